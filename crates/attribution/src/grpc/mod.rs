//! Requests in.

mod agreeing;
mod deciding;
mod following;
mod guarding;
mod hooking;
mod ingest;
mod paying;
mod reading;
mod recording;
mod reviewing;
mod rules;
mod setup;

use std::sync::Arc;

use bus::outbox::Waker;
use chassis::guard::{Authorized, Guard};
use jiff::Timestamp;
use model::{Clock, OrganizationId, Scope};
use proto::attribution::{self as wire, attribution_server::Attribution};
use sqlx::PgPool;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status, metadata::MetadataMap};
use vault::Vault;

use crate::{
    catalog::Catalogs,
    clicking::Clicker,
    error::Refusal,
    text,
    transfers::Transfers,
    turns::Turns,
    webhooks::{Bell, Sender},
    writer::Writers,
};

/// The gRPC service `accord.attribution.v1.Attribution`.
#[derive(Clone)]
pub struct Service {
    pool: PgPool,
    writers: Writers,
    clicker: Clicker,
    catalogs: Arc<Catalogs>,
    guard: Guard,
    clock: Arc<dyn Clock>,
    waker: Waker,
    vault: Arc<Vault>,
    sender: Sender,
    bell: Bell,
    transfers: Transfers,
    following: Arc<Semaphore>,
    /// Of those who write payouts.
    paying: Turns,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

/// Who asks.
struct Asker {
    organization: OrganizationId,
    actor: String,
    credential_id: String,
}

impl Service {
    pub(crate) fn new(
        pool: PgPool,
        works: (Writers, Clicker, Arc<Catalogs>),
        guard: Guard,
        clock: Arc<dyn Clock>,
        waker: Waker,
        vault: Arc<Vault>,
        (sender, bell, transfers): (Sender, Bell, Transfers),
    ) -> Self {
        let (writers, clicker, catalogs) = works;
        let following = Arc::new(Semaphore::new(following::AT_ONCE));
        Self {
            pool,
            writers,
            clicker,
            catalogs,
            guard,
            clock,
            waker,
            vault,
            sender,
            bell,
            transfers,
            following,
            paying: Turns::default(),
        }
    }

    async fn asker(&self, metadata: &MetadataMap, scope: Scope) -> Result<Asker, Status> {
        let Authorized { caller, credential_id, .. } = self.guard.authorize(metadata, scope).await?;
        Ok(Asker { organization: caller.organization, actor: caller.actor.to_string(), credential_id })
    }

    /// Who asks for what is a partner's: who has the scope, or the partner.
    async fn asker_about(
        &self,
        metadata: &MetadataMap,
        scope: Scope,
        partner: &str,
    ) -> Result<Asker, Status> {
        let known = self.guard.authenticate(metadata).await?;
        let own = known.partner().filter(|own| own.to_string() == partner);
        let Authorized { caller, credential_id, .. } =
            if own.is_some() { known } else { known.require(scope)? };
        let asker =
            Asker { organization: caller.organization, actor: caller.actor.to_string(), credential_id };
        if let Some(own) = own {
            self.came(&asker, own).await?;
        }
        Ok(asker)
    }

    fn now(&self) -> Timestamp {
        text::micros(self.clock.now())
    }
}

/// An id of a request.
fn id<T: std::str::FromStr>(code: &'static str, what: &str, text: &str) -> Result<T, Refusal> {
    // A text that is no such id names nothing that there is.
    text.parse().map_err(|_| Refusal::missing(code, format!("There is no such {what}.")))
}

/// The organization of a request that needs no credential.
fn slug(text: &str) -> Result<Option<OrganizationId>, Refusal> {
    let wrong = |_| {
        Refusal::invalid(
            "organization_id",
            "organization_id_invalid",
            "organization_id is of the form org_….",
        )
    };
    (!text.is_empty()).then(|| text.parse().map_err(wrong)).transpose()
}

/// Serves each call by the method of the same name, which gets the caller and the message.
macro_rules! serve {
    (guarded { $($method:ident($request:ident) -> $response:ident needs $scope:ident;)* }
     of_partner { $($own:ident($own_request:ident) -> $own_response:ident needs $own_scope:ident;)* }
     open { $($free:ident($free_request:ident) -> $free_response:ident;)* }) => {
        #[tonic::async_trait]
        impl Attribution for Service {
            $(async fn $method(
                &self,
                request: Request<wire::$request>,
            ) -> Result<Response<wire::$response>, Status> {
                let asker = self.asker(request.metadata(), Scope::$scope).await?;
                Ok(Response::new(self.$method(&asker, request.into_inner()).await?))
            })*
            $(async fn $own(
                &self,
                request: Request<wire::$own_request>,
            ) -> Result<Response<wire::$own_response>, Status> {
                let partner = &request.get_ref().partner_id;
                let asker = self.asker_about(request.metadata(), Scope::$own_scope, partner).await?;
                Ok(Response::new(self.$own(&asker, request.into_inner()).await?))
            })*
            $(async fn $free(
                &self,
                request: Request<wire::$free_request>,
            ) -> Result<Response<wire::$free_response>, Status> {
                Ok(Response::new(self.$free(request.into_inner()).await?))
            })*
        }
    };
}

serve! {
    guarded {
    record_events(RecordEventsRequest) -> RecordEventsResponse needs EventsWrite;
    correct_event(CorrectEventRequest) -> CorrectEventResponse needs EventsWrite;
    record_click(RecordClickRequest) -> RecordClickResponse needs ClicksWrite;
    create_partner(CreatePartnerRequest) -> Partner needs PartnersWrite;
    decide_partner(DecidePartnerRequest) -> Partner needs PartnersWrite;
    list_partners(ListPartnersRequest) -> ListPartnersResponse needs PartnersRead;
    create_program(Program) -> Program needs ProgramsWrite;
    update_program(UpdateProgramRequest) -> Program needs ProgramsWrite;
    list_programs(ListProgramsRequest) -> ListProgramsResponse needs PartnersRead;
    get_program(GetProgramRequest) -> Program needs PartnersRead;
    set_partner_terms(SetPartnerTermsRequest) -> PartnerTerms needs ProgramsWrite;
    create_link(CreateLinkRequest) -> Link needs PartnersWrite;
    approve_commissions(DecideCommissionsRequest) -> DecideCommissionsResponse needs CommissionsWrite;
    reverse_commissions(DecideCommissionsRequest) -> DecideCommissionsResponse needs CommissionsWrite;
    hold_commissions(DecideCommissionsRequest) -> DecideCommissionsResponse needs CommissionsWrite;
    release_commissions(DecideCommissionsRequest) -> DecideCommissionsResponse needs CommissionsWrite;
    decide_click(DecideClickRequest) -> DecideClickResponse needs CommissionsWrite;
    list_events(ListEventsRequest) -> ListEventsResponse needs CommissionsRead;
    list_entries(ListEntriesRequest) -> ListEntriesResponse needs CommissionsRead;
    verify(VerifyRequest) -> VerifyResponse needs CommissionsRead;
    run_payouts(RunPayoutsRequest) -> RunPayoutsResponse needs PayoutsWrite;
    settle_payout(SettlePayoutRequest) -> Payout needs PayoutsWrite;
    preview_model(ChangeModelRequest) -> ModelDifference needs ProgramsWrite;
    change_model(ChangeModelRequest) -> ModelDifference needs ProgramsWrite;
    get_guards(GetGuardsRequest) -> Guards needs PartnersRead;
    set_guards(Guards) -> Guards needs ProgramsWrite;
    rotate_identify_secret(RotateIdentifySecretRequest) -> RotateIdentifySecretResponse needs ProgramsWrite;
    sign_user(SignUserRequest) -> SignUserResponse needs ProgramsWrite;
    list_reviews(ListReviewsRequest) -> ListReviewsResponse needs CommissionsRead;
    decide_reviews(DecideReviewsRequest) -> DecideCommissionsResponse needs CommissionsWrite;
    create_webhook(CreateWebhookRequest) -> CreateWebhookResponse needs ProgramsWrite;
    update_webhook(UpdateWebhookRequest) -> WebhookEndpoint needs ProgramsWrite;
    delete_webhook(DeleteWebhookRequest) -> DeleteWebhookResponse needs ProgramsWrite;
    get_webhook(GetWebhookRequest) -> WebhookEndpoint needs ProgramsWrite;
    list_webhooks(ListWebhooksRequest) -> ListWebhooksResponse needs ProgramsWrite;
    list_deliveries(ListDeliveriesRequest) -> ListDeliveriesResponse needs ProgramsWrite;
    retry_delivery(RetryDeliveryRequest) -> WebhookDelivery needs ProgramsWrite;
    test_webhook(TestWebhookRequest) -> WebhookDelivery needs ProgramsWrite;
    }
    of_partner {
    get_partner(GetPartnerRequest) -> Partner needs PartnersRead;
    list_links(ListLinksRequest) -> ListLinksResponse needs PartnersRead;
    list_commissions(ListCommissionsRequest) -> ListCommissionsResponse needs CommissionsRead;
    list_attributions(ListAttributionsRequest) -> ListAttributionsResponse needs CommissionsRead;
    get_dashboard(DashboardRequest) -> Dashboard needs CommissionsRead;
    get_timeseries(TimeseriesRequest) -> TimeseriesResponse needs CommissionsRead;
    list_balances(ListBalancesRequest) -> ListBalancesResponse needs CommissionsRead;
    list_payouts(ListPayoutsRequest) -> ListPayoutsResponse needs CommissionsRead;
    list_partner_terms(ListPartnerTermsRequest) -> ListPartnerTermsResponse needs PartnersRead;
    }
    open {
    identify(IdentifyRequest) -> IdentifyResponse;
    follow_link(FollowLinkRequest) -> FollowLinkResponse;
    }
}
