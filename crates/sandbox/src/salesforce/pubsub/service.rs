//! The calls of the Pub/Sub API.

use futures::stream::BoxStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::TlsConnectInfo;
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use super::access::Caller;
use super::errors::{self, Refusal};
use super::faults::{Rpc, StreamFault, StreamFaultKind, strike};
use super::subscription::Subscription;
use super::wire::pub_sub_server::PubSub;
use super::wire::{
    FetchRequest, FetchResponse, ManagedFetchRequest, ManagedFetchResponse, PublishRequest, PublishResponse,
    SchemaInfo, SchemaRequest, TopicInfo, TopicRequest,
};
use crate::salesforce::server::Shared;
use crate::wiretap::Scissors;

/// Responses that wait for a slow client.
const WAITING: usize = 2;

/// The service.
#[derive(Debug, Clone)]
pub(crate) struct Service(pub(crate) Shared);

/// One call that was let in.
struct Call {
    rpc_id: Uuid,
    caller: Caller,
    fault: Option<StreamFault>,
    scissors: Option<Scissors>,
}

impl Service {
    /// Checks who calls, and lets a fault hit the call.
    async fn admit<T>(&self, rpc: Rpc, request: &Request<T>) -> Result<Call, Status> {
        let rpc_id = Uuid::new_v4();
        let (caller, fault) = {
            let mut sim = self.0.lock();
            sim.events.misaddressed += u64::from(Caller::is_misaddressed(request.metadata(), &sim));
            let caller = Caller::of(request.metadata(), &sim).map_err(|refusal| refusal.status(rpc_id))?;
            let events = &mut sim.events;
            (caller, strike(&mut events.faults, rpc, &mut events.rng))
        };
        let plain = request.extensions().get::<Scissors>();
        let tls = request.extensions().get::<TlsConnectInfo<Scissors>>();
        let scissors = plain.or(tls.map(TlsConnectInfo::get_ref)).cloned();
        let call = Call { rpc_id, caller, fault, scissors };
        let streams = |fault: &StreamFault| {
            rpc == Rpc::Subscribe && (fault.after_events > 0 || fault.kind == StreamFaultKind::ResetStream)
        };
        match call.fault.as_ref().filter(|fault| !streams(fault)) {
            Some(fault) => Err(self.hit(&call, rpc, fault.kind).await),
            None => Ok(call),
        }
    }

    async fn hit(&self, call: &Call, rpc: Rpc, kind: StreamFaultKind) -> Status {
        if let Some(refusal) = kind.refusal(rpc) {
            return refusal.status(call.rpc_id);
        }
        match (kind, &call.scissors) {
            (StreamFaultKind::CutConnection, Some(scissors)) => scissors.cut(),
            _ => self.0.stop.cancelled().await,
        }
        errors::UNAVAILABLE.status(call.rpc_id)
    }
}

/// A call that is refused whoever makes it.
async fn refuse<T, R>(service: &Service, request: Request<T>, refusal: Refusal) -> Result<R, Status> {
    let rpc_id = Uuid::new_v4();
    Caller::of(request.metadata(), &service.0.lock()).map_err(|refusal| refusal.status(rpc_id))?;
    Err(refusal.status(rpc_id))
}

#[tonic::async_trait]
impl PubSub for Service {
    type SubscribeStream = BoxStream<'static, Result<FetchResponse, Status>>;
    type PublishStreamStream = BoxStream<'static, Result<PublishResponse, Status>>;
    type ManagedSubscribeStream = BoxStream<'static, Result<ManagedFetchResponse, Status>>;

    async fn subscribe(
        &self,
        request: Request<Streaming<FetchRequest>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let call = self.admit(Rpc::Subscribe, &request).await?;
        let (sender, receiver) = mpsc::channel(WAITING);
        let Call { rpc_id, caller, fault, scissors } = call;
        let subscription = Subscription::new(self.0.clone(), caller, rpc_id, fault, scissors);
        tokio::spawn(subscription.run(request.into_inner(), sender));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn get_schema(&self, request: Request<SchemaRequest>) -> Result<Response<SchemaInfo>, Status> {
        let call = self.admit(Rpc::GetSchema, &request).await?;
        let id = request.into_inner().schema_id;
        let schema = self.0.lock().events.named(&id).cloned();
        let schema = schema.ok_or_else(|| errors::SCHEMA_UNKNOWN.status(call.rpc_id))?;
        Ok(Response::new(SchemaInfo {
            schema_json: schema.json.clone(),
            schema_id: schema.id.clone(),
            rpc_id: call.rpc_id.to_string(),
        }))
    }

    async fn get_topic(&self, request: Request<TopicRequest>) -> Result<Response<TopicInfo>, Status> {
        let call = self.admit(Rpc::GetTopic, &request).await?;
        let topic_name = request.into_inner().topic_name;
        let mut sim = self.0.lock();
        let sim = &mut *sim;
        let topic = sim.topic(&topic_name).map_err(|refusal| refusal.status(call.rpc_id))?;
        let schema = sim.events.topic_schema(&topic, &sim.org);
        Ok(Response::new(TopicInfo {
            topic_name,
            tenant_guid: call.caller.tenant,
            can_publish: false,
            can_subscribe: true,
            schema_id: schema.map(|schema| schema.id.clone()).unwrap_or_default(),
            rpc_id: call.rpc_id.to_string(),
        }))
    }

    async fn publish(&self, request: Request<PublishRequest>) -> Result<Response<PublishResponse>, Status> {
        refuse(self, request, errors::PUBLISH).await
    }

    async fn publish_stream(
        &self,
        request: Request<Streaming<PublishRequest>>,
    ) -> Result<Response<Self::PublishStreamStream>, Status> {
        refuse(self, request, errors::PUBLISH).await
    }

    /// The org has no managed subscription: whichever is asked for does not exist.
    async fn managed_subscribe(
        &self,
        request: Request<Streaming<ManagedFetchRequest>>,
    ) -> Result<Response<Self::ManagedSubscribeStream>, Status> {
        let rpc_id = Uuid::new_v4();
        Caller::of(request.metadata(), &self.0.lock()).map_err(|refusal| refusal.status(rpc_id))?;
        let first = request.into_inner().message().await?.unwrap_or_default();
        let refusal = match (first.subscription_id.is_empty(), first.developer_name.is_empty()) {
            (true, true) => errors::MANAGED_EMPTY,
            (false, _) => errors::MANAGED_ID,
            (true, false) => errors::MANAGED_NAME,
        };
        Err(refusal.status(rpc_id))
    }
}
