//! The service `accord.connections.v1.Connections`: requests in.

use std::sync::Arc;

use bus::outbox;
use chassis::guard::{Authorized, Guard, at_field, status};
use model::{ConnectionChanged, ConnectionId, ConnectionState, Scope, kind};
use proto::{connections as wire, to_wire_time};
use tonic::{Code, Request, Response, Status};

use self::refusals::{failed, must_work, not_taken, oauth_failed};
use crate::{
    Connector, budgets,
    core::{Core, Link, SCHEMA},
    failure::Failure,
    oauth::{self, Callback, NewFlow},
    owner, reading, receiving, states,
    store::{Connection, SaidLimit, ShownArrival, Store, Transition},
    watching,
};

mod refusals;
mod shown;

const LONGEST_USAGE_MINUTES: u32 = 31 * 24 * 60;

/// Answers requests about connections.
pub(crate) struct Service {
    pub(crate) core: Arc<Core>,
    pub(crate) guard: Guard,
}

#[tonic::async_trait]
impl wire::connections_server::Connections for Service {
    async fn list_vendors(
        &self,
        request: Request<wire::ListVendorsRequest>,
    ) -> Result<Response<wire::ListVendorsResponse>, Status> {
        self.guard.authorize(request.metadata(), Scope::ConnectionsRead).await?;
        let login =
            |login: &crate::Login| wire::Login { site: login.site.to_owned(), label: login.label.to_owned() };
        let vendor = |connector: &Arc<dyn Connector>| {
            let info = connector.vendor();
            wire::Vendor {
                name: info.name.to_owned(),
                label: info.label.to_owned(),
                summary: info.summary.to_owned(),
                objects: connector.capabilities().objects.iter().map(|object| (*object).to_owned()).collect(),
                logins: info.logins.iter().map(login).collect(),
                own_login: info.own_login.unwrap_or_default().to_owned(),
                posts: connector.messenger().is_some(),
            }
        };
        let vendors = self.core.connectors.values().map(vendor).collect();
        Ok(Response::new(wire::ListVendorsResponse { vendors }))
    }

    async fn list_connections(
        &self,
        request: Request<wire::ListConnectionsRequest>,
    ) -> Result<Response<wire::ListConnectionsResponse>, Status> {
        let by = self.guard.authorize(request.metadata(), Scope::ConnectionsRead).await?;
        let stored = self.core.store.connections(by.caller.organization).await.map_err(failed)?;
        let connections = stored.iter().map(|connection| self.to_wire(connection)).collect();
        Ok(Response::new(wire::ListConnectionsResponse { connections }))
    }

    async fn get_connection(
        &self,
        request: Request<wire::ConnectionRequest>,
    ) -> Result<Response<wire::Connection>, Status> {
        let (_, connection) = self.find(&request, Scope::ConnectionsRead).await?;
        Ok(Response::new(self.to_wire(&connection)))
    }

    async fn begin_authorization(
        &self,
        request: Request<wire::BeginAuthorizationRequest>,
    ) -> Result<Response<wire::BeginAuthorizationResponse>, Status> {
        let by = self.guard.authorize(request.metadata(), Scope::ConnectionsManage).await?;
        let asked = request.into_inner();
        let connector = self.core.connectors.get(asked.vendor.as_str());
        let connector = connector.ok_or_else(|| {
            at_field(status(Code::NotFound, "vendor_unknown", "There is no such vendor here."), "vendor")
        })?;
        if !connector.is_configured() {
            let label = connector.vendor().label;
            let message = format!(
                "{label} is not set up here: the operator of this installation must give Accord the client id and secret of a {label} app."
            );
            return Err(status(Code::FailedPrecondition, "vendor_not_configured", message));
        }
        if !oauth::is_return_path(&asked.return_path) {
            let message = "The return path must be a path of the console, like /settings/integrations.";
            let refusal = status(Code::InvalidArgument, "return_path_invalid", message);
            return Err(at_field(refusal, "return_path"));
        }
        let again = match asked.connection_id.as_str() {
            "" => None,
            id => Some(self.connection_of(&by, id).await?),
        };
        if again.as_ref().is_some_and(|connection| connection.vendor != asked.vendor) {
            let refusal =
                status(Code::InvalidArgument, "vendor_mismatch", "The connection is to another vendor.");
            return Err(at_field(refusal, "vendor"));
        }
        let site = match (asked.site.trim(), &again) {
            ("", Some(connection)) => connection.site.as_str(),
            (site, _) => site,
        };
        if let Err(error) = connector.login_url(site) {
            return Err(at_field(status(Code::InvalidArgument, "site_invalid", &error.message), "site"));
        }
        let (organization, actor) = (by.caller.organization, by.caller.actor.to_string());
        let begin = NewFlow {
            organization,
            actor: &actor,
            connector: connector.as_ref(),
            connection: again.as_ref().map(|connection| connection.id),
            return_path: &asked.return_path,
            site,
        };
        let begun = oauth::begin(&self.core, &begin);
        let start_url = begun.await.map_err(failed)?.into();
        Ok(Response::new(wire::BeginAuthorizationResponse { start_url }))
    }

    async fn start_authorization(
        &self,
        request: Request<wire::StartAuthorizationRequest>,
    ) -> Result<Response<wire::StartAuthorizationResponse>, Status> {
        let (url, browser_nonce) =
            oauth::start(&self.core, &request.into_inner().ticket).await.map_err(oauth_failed)?;
        let authorize_url = url.into();
        Ok(Response::new(wire::StartAuthorizationResponse { authorize_url, browser_nonce }))
    }

    async fn complete_authorization(
        &self,
        request: Request<wire::CompleteAuthorizationRequest>,
    ) -> Result<Response<wire::CompleteAuthorizationResponse>, Status> {
        let asked = request.into_inner();
        let callback = Callback {
            vendor: &asked.vendor,
            state: &asked.state,
            code: &asked.code,
            error: &asked.error,
            nonce: &asked.browser_nonce,
        };
        let url = oauth::complete(&self.core, &callback).await.map_err(oauth_failed)?;
        Ok(Response::new(wire::CompleteAuthorizationResponse { confirm_url: url.into() }))
    }

    async fn confirm_authorization(
        &self,
        request: Request<wire::ConfirmAuthorizationRequest>,
    ) -> Result<Response<wire::ConfirmAuthorizationResponse>, Status> {
        let by = self.guard.authorize(request.metadata(), Scope::ConnectionsManage).await?;
        let token = request.into_inner().token;
        let (connection, return_path) =
            oauth::confirm(&self.core, &by.caller, &token).await.map_err(oauth_failed)?;
        let connection = Some(self.to_wire(&connection));
        Ok(Response::new(wire::ConfirmAuthorizationResponse { connection, return_path }))
    }

    async fn disconnect(
        &self,
        request: Request<wire::ConnectionRequest>,
    ) -> Result<Response<wire::Connection>, Status> {
        let (by, connection) = self.find(&request, Scope::ConnectionsManage).await?;
        if connection.state != ConnectionState::Disconnected {
            if let Err(failure) = watching::say_goodbye(&self.core, &connection).await {
                tracing::warn!(connection = %connection.id, error = %failure, "could not end what is watched");
            }
            let revoked = oauth::revoke(&self.core, &connection).await;
            if let Err(failure) = &revoked {
                tracing::warn!(connection = %connection.id, error = %failure, "could not give the authorization back");
            }
            self.disconnected(&by, &connection, revoked.is_ok()).await.map_err(failed)?;
        }
        self.answer(connection.id).await
    }

    async fn pause(
        &self,
        request: Request<wire::ConnectionRequest>,
    ) -> Result<Response<wire::Connection>, Status> {
        use ConnectionState::{Active, Error, Paused};
        let (by, connection) = self.find(&request, Scope::ConnectionsManage).await?;
        let message = Some("Somebody paused the connection; writes wait.");
        let transition = Transition { from: &[Active, Error], to: Paused, reason: Some("paused"), message };
        self.transition(&by, &connection, &transition, &[Paused]).await
    }

    async fn resume(
        &self,
        request: Request<wire::ConnectionRequest>,
    ) -> Result<Response<wire::Connection>, Status> {
        use ConnectionState::{Active, Error, Paused};
        let (by, connection) = self.find(&request, Scope::ConnectionsManage).await?;
        let transition = Transition { from: &[Paused], to: Active, reason: None, message: None };
        self.transition(&by, &connection, &transition, &[Active, Error]).await
    }

    async fn sync_now(
        &self,
        request: Request<wire::ConnectionRequest>,
    ) -> Result<Response<wire::SyncNowResponse>, Status> {
        let (_, connection) = self.find(&request, Scope::ConnectionsManage).await?;
        must_work(&connection)?;
        let captures = self.core.store.captures(&[connection.id]).await.map_err(failed)?;
        owner::sync_now(&self.core, connection.id).await.map_err(failed)?;
        let feeds = self.core.feeds(&connection).iter().map(|feed| feed.name.to_owned());
        let objects = captures.into_iter().map(|capture| capture.object).chain(feeds).collect();
        Ok(Response::new(wire::SyncNowResponse { objects }))
    }

    async fn refresh_schema(
        &self,
        request: Request<wire::ConnectionRequest>,
    ) -> Result<Response<wire::GetSchemaResponse>, Status> {
        let (by, connection) = self.find(&request, Scope::ConnectionsManage).await?;
        must_work(&connection)?;
        let link = self.link(&connection).await?;
        let refreshed = self.core.refresh_schema(&link, &by.caller.actor.to_string()).await;
        if let Err(Failure::Vendor(error)) = &refreshed {
            self.core.part_failed(&link, SCHEMA, error).await.map_err(failed)?;
        }
        refreshed.map_err(failed)?;
        self.schema(&connection).await
    }

    async fn create_attribution_fields(
        &self,
        request: Request<wire::ConnectionRequest>,
    ) -> Result<Response<wire::GetSchemaResponse>, Status> {
        let (by, connection) = self.find(&request, Scope::ConnectionsManage).await?;
        must_work(&connection)?;
        let link = self.link(&connection).await?;
        let wanted = model::attribution_fields();
        for object in link.connector.attributed_objects() {
            link.connector.create_fields(&link.session, object, &wanted).await.map_err(failed)?;
        }
        self.core.refresh_schema(&link, &by.caller.actor.to_string()).await.map_err(failed)?;
        self.schema(&connection).await
    }

    async fn get_schema(
        &self,
        request: Request<wire::ConnectionRequest>,
    ) -> Result<Response<wire::GetSchemaResponse>, Status> {
        let (_, connection) = self.find(&request, Scope::ConnectionsRead).await?;
        self.schema(&connection).await
    }

    async fn get_progress(
        &self,
        request: Request<wire::ConnectionRequest>,
    ) -> Result<Response<wire::GetProgressResponse>, Status> {
        let (_, connection) = self.find(&request, Scope::ConnectionsRead).await?;
        let mut objects = Vec::new();
        let connector = self.core.connectors.get(connection.vendor.as_str());
        let followed = self.core.store.followed(connection.id).await.map_err(failed)?;
        for capture in self.core.store.captures(&[connection.id]).await.map_err(failed)? {
            let lanes = self.core.store.checkpoints(connection.id, &capture.object).await.map_err(failed)?;
            let backfill = format!("backfill_{}", capture.generation);
            let backfill = lanes.iter().find(|lane| lane.lane == backfill);
            let live = lanes.iter().find(|lane| lane.lane == "live");
            let stream = lanes.iter().find(|lane| lane.lane == "stream");
            let channel = connector.and_then(|connector| connector.channel(&capture.object));
            let following = followed.get(&capture.object).map(|it| it.to_wire(channel.unwrap_or_default()));
            let phase = match (backfill, live) {
                (Some(lane), _) if !lane.finished => "backfill",
                (None, _) if capture.generation > 0 => "waiting",
                (_, None) => "waiting",
                _ => "live",
            };
            let counted = backfill.map(|lane| (lane.read.unsigned_abs(), lane.total.unsigned_abs()));
            let (read, total) = counted.unwrap_or_default();
            let watermark = live.into_iter().chain(stream).map(|lane| lane.position.time).max();
            objects.push(wire::ObjectProgress {
                vendor_object: capture.object,
                phase: phase.to_owned(),
                read,
                total: total.max(read),
                watermark: watermark.map(to_wire_time),
                last_poll_at: capture.last_poll_at.map(to_wire_time),
                last_error: capture.last_error.unwrap_or_default(),
                stream: following,
            });
        }
        let feeds = self.feeds(&connection).await.map_err(failed)?;
        Ok(Response::new(wire::GetProgressResponse { objects, feeds }))
    }

    async fn get_usage(
        &self,
        request: Request<wire::GetUsageRequest>,
    ) -> Result<Response<wire::GetUsageResponse>, Status> {
        let by = self.guard.authorize(request.metadata(), Scope::ConnectionsRead).await?;
        let asked = request.into_inner();
        let connection = self.connection_of(&by, &asked.connection_id).await?;
        let minutes = if asked.minutes == 0 { 60 } else { asked.minutes.min(LONGEST_USAGE_MINUTES) };
        let since = self.core.now() - std::time::Duration::from_secs(u64::from(minutes) * 60);
        let points = self.core.store.usage(connection.id, since).await.map_err(failed)?;
        let point = |point: &crate::store::UsagePoint| wire::UsagePoint {
            minute: Some(to_wire_time(point.minute)),
            calls: point.used.calls.unsigned_abs(),
            failed: point.used.failed.unsigned_abs(),
            rate_limited: point.used.rate_limited.unsigned_abs(),
            records_read: point.used.records_read.unsigned_abs(),
            records_written: point.used.records_written.unsigned_abs(),
        };
        let limit = |limit: &SaidLimit| wire::VendorLimit {
            name: limit.name.clone(),
            calls: limit.calls,
            remaining: limit.remaining,
            window_seconds: u32::try_from(limit.window.as_secs()).unwrap_or(u32::MAX),
            said_at: Some(to_wire_time(limit.said_at)),
        };
        let limits = self.core.store.limits(connection.id).await.map_err(failed)?;
        let tightest = limits.iter().min_by_key(|limit| limit.remaining * 1_000 / limit.calls.max(1));
        let least = |of: fn(&SaidLimit) -> u64| {
            tightest.map_or(0, |limit| u32::try_from(of(limit)).unwrap_or(u32::MAX))
        };
        Ok(Response::new(wire::GetUsageResponse {
            points: points.iter().map(point).collect(),
            window_limit: least(|limit| limit.calls),
            window_remaining: least(|limit| limit.remaining),
            window_seconds: least(|limit| limit.window.as_secs()),
            limits: limits.iter().map(limit).collect(),
        }))
    }

    async fn list_channels(
        &self,
        request: Request<wire::ConnectionRequest>,
    ) -> Result<Response<wire::ListChannelsResponse>, Status> {
        let (_, connection) = self.find(&request, Scope::ConnectionsRead).await?;
        must_work(&connection)?;
        let link = self.link(&connection).await?;
        Ok(Response::new(receiving::channels(&self.core, &link).await.map_err(failed)?))
    }

    async fn receive(
        &self,
        request: Request<wire::ReceiveRequest>,
    ) -> Result<Response<wire::ReceiveResponse>, Status> {
        let text = receiving::receive(&self.core, request.get_ref()).await.map_err(not_taken)?;
        Ok(Response::new(wire::ReceiveResponse { text }))
    }

    async fn get_budget(
        &self,
        request: Request<wire::ConnectionRequest>,
    ) -> Result<Response<wire::Budget>, Status> {
        let (_, connection) = self.find(&request, Scope::ConnectionsRead).await?;
        Ok(Response::new(budgets::show(&self.core, connection.id).await.map_err(failed)?))
    }

    async fn get_reading(
        &self,
        request: Request<wire::ConnectionRequest>,
    ) -> Result<Response<wire::Reading>, Status> {
        let (_, connection) = self.find(&request, Scope::ConnectionsRead).await?;
        reading::shown(&self.core, &connection).await.map_err(failed)?.map(Response::new)
    }

    async fn set_reading(
        &self,
        request: Request<wire::SetReadingRequest>,
    ) -> Result<Response<wire::Reading>, Status> {
        let by = self.guard.authorize(request.metadata(), Scope::ConnectionsManage).await?;
        let connection = self.connection_of(&by, &request.get_ref().connection_id).await?;
        let settings = reading::asked(self.core.feeds(&connection), request.get_ref())?;
        let link = self.link(&connection).await?;
        let actor = by.caller.actor.to_string();
        let set = reading::set(&self.core, &connection, &link.publisher, settings, &actor);
        set.await.map_err(failed)?;
        reading::shown(&self.core, &connection).await.map_err(failed)?.map(Response::new)
    }

    async fn set_budget(
        &self,
        request: Request<wire::SetBudgetRequest>,
    ) -> Result<Response<wire::Budget>, Status> {
        let by = self.guard.authorize(request.metadata(), Scope::ConnectionsManage).await?;
        let asked = request.into_inner();
        let connection = self.connection_of(&by, &asked.connection_id).await?;
        let budget = budgets::asked(&asked)?;
        let link = self.link(&connection).await?;
        let actor = by.caller.actor.to_string();
        let set = budgets::set(&self.core, &connection, &link.publisher, budget, &actor);
        set.await.map_err(failed)?;
        Ok(Response::new(budgets::show(&self.core, connection.id).await.map_err(failed)?))
    }
}

impl Service {
    async fn find(
        &self,
        request: &Request<wire::ConnectionRequest>,
        scope: Scope,
    ) -> Result<(Authorized, Connection), Status> {
        let by = self.guard.authorize(request.metadata(), scope).await?;
        let connection = self.connection_of(&by, &request.get_ref().connection_id).await?;
        Ok((by, connection))
    }

    /// A connection of the caller's organization; another organization's is not there.
    async fn connection_of(&self, by: &Authorized, id: &str) -> Result<Connection, Status> {
        let id: ConnectionId = id.parse().map_err(|_| {
            let refusal = status(Code::InvalidArgument, "connection_id_invalid", "This is no connection id.");
            at_field(refusal, "connection_id")
        })?;
        let found = self.core.store.connection(id).await.map_err(failed)?;
        found
            .filter(|connection| connection.organization == by.caller.organization)
            .ok_or_else(|| status(Code::NotFound, "connection_not_found", "There is no such connection."))
    }

    async fn link(&self, connection: &Connection) -> Result<Arc<Link>, Status> {
        self.core.link(connection).await.map_err(failed)?.ok_or_else(|| {
            status(Code::Unavailable, "vendor_not_served", "The connector of this vendor does not run here.")
        })
    }

    async fn answer(&self, id: ConnectionId) -> Result<Response<wire::Connection>, Status> {
        let connection = self.core.store.connection(id).await.map_err(failed)?;
        let gone = || status(Code::NotFound, "connection_not_found", "There is no such connection.");
        Ok(Response::new(self.to_wire(&connection.ok_or_else(gone)?)))
    }

    async fn schema(&self, connection: &Connection) -> Result<Response<wire::GetSchemaResponse>, Status> {
        let schemas = self.core.store.schemas(connection.id).await.map_err(failed)?;
        let schemas = schemas.ok_or_else(|| {
            status(
                Code::FailedPrecondition,
                "schema_not_read",
                "The schema was not read yet. Try again shortly.",
            )
        })?;
        Ok(Response::new(wire::GetSchemaResponse {
            objects: schemas.objects.iter().map(Into::into).collect(),
            refreshed_at: Some(to_wire_time(schemas.refreshed_at)),
        }))
    }

    /// Changes the state; being in one of `already` is as good.
    async fn transition(
        &self,
        by: &Authorized,
        connection: &Connection,
        transition: &Transition<'_>,
        already: &[ConnectionState],
    ) -> Result<Response<wire::Connection>, Status> {
        if !already.contains(&connection.state) {
            let link = self.link(connection).await?;
            let change = async {
                let (actor, now) = (by.caller.actor.to_string(), self.core.now());
                let mut tx = self.core.store.pool.begin().await?;
                let publisher = &link.publisher;
                let changed =
                    states::change(&mut tx, publisher, connection.id, transition, &actor, now).await?;
                tx.commit().await?;
                Ok::<bool, Failure>(changed)
            };
            if !change.await.map_err(failed)? {
                let message = format!("The connection is {}.", connection.state.name().replace('_', " "));
                return Err(status(Code::FailedPrecondition, "connection_state", message));
            }
            self.core.waker.wake();
            self.core.changed.notify_one();
        }
        self.answer(connection.id).await
    }

    /// Ends the connection here. Whether the vendor knows too is part of what is told.
    async fn disconnected(
        &self,
        by: &Authorized,
        connection: &Connection,
        revoked: bool,
    ) -> Result<(), Failure> {
        let Some(connector) = self.core.connectors.get(connection.vendor.as_str()) else { return Ok(()) };
        let publisher = crate::publisher::Publisher::new(connection.organization, connector.vendor().name);
        let (id, now) = (connection.id, self.core.now());
        let label = connector.vendor().label;
        let message = match revoked {
            true => "Somebody disconnected it.".to_owned(),
            false => format!(
                "Somebody disconnected it, but {label} did not confirm that the authorization ended: remove Accord in the account's settings at {label}."
            ),
        };
        let mut tx = self.core.store.pool.begin().await?;
        let fact = ConnectionChanged {
            connection: Some(id),
            vendor: connection.vendor.clone(),
            state: Some(ConnectionState::Disconnected),
            account: Some(connection.account_id.clone()),
            reason: Some("disconnected".to_owned()),
            message: Some(message),
            at: now,
        };
        let transition = Transition {
            from: &[
                ConnectionState::Active,
                ConnectionState::Paused,
                ConnectionState::Error,
                ConnectionState::ReauthRequired,
            ],
            to: ConnectionState::Disconnected,
            reason: fact.reason.as_deref(),
            message: fact.message.as_deref(),
        };
        if Store::transition(&mut tx, id, &transition).await? {
            let actor = by.caller.actor.to_string();
            let event = publisher.connection(kind::CONNECTION_DISCONNECTED, &actor, &fact)?;
            outbox::enqueue(&mut tx, &[event]).await?;
        }
        Store::delete_tokens(&mut tx, id).await?;
        Store::stop_captures(&mut tx, id).await?;
        Store::forget_reading(&mut tx, id).await?;
        tx.commit().await?;
        self.core.forget_link(id);
        self.core.waker.wake();
        self.core.changed.notify_one();
        Ok(())
    }

    /// How far the feeds of a connection are.
    async fn feeds(&self, connection: &Connection) -> Result<Vec<wire::FeedProgress>, Failure> {
        let feeds = self.core.feeds(connection);
        let known = if feeds.is_empty() { Vec::new() } else { self.core.store.feeds(connection.id).await? };
        let arrivals = self.core.store.arrivals(connection.id).await?;
        let readings = self.core.store.readings(&[connection.id]).await?;
        let chosen = readings.first().map(|stored| stored.settings).unwrap_or_default();
        let progress = |feed: &crate::Feed| {
            let arrival = arrivals.iter().find(|arrival| arrival.feed == feed.name);
            let known = known.iter().find(|known| known.feed == feed.name);
            let phase = known.map_or("waiting", |known| if known.whole { "live" } else { "backfill" });
            let every = self.core.feed_interval(&connection.vendor, feed, chosen);
            wire::FeedProgress {
                feed: feed.name.to_owned(),
                label: feed.label.to_owned(),
                phase: phase.to_owned(),
                read: known.map_or(0, |known| known.read.unsigned_abs()),
                last_poll_at: known.and_then(|known| known.last_poll_at).map(|at| to_wire_time(at.to_jiff())),
                last_error: known.and_then(|known| known.last_error.clone()).unwrap_or_default(),
                interval_seconds: u32::try_from(every.as_secs()).unwrap_or(u32::MAX),
                arrival: arrival.map(ShownArrival::to_wire),
            }
        };
        Ok(feeds.iter().map(progress).collect())
    }

    fn to_wire(&self, connection: &Connection) -> wire::Connection {
        let connector = self.core.connectors.get(connection.vendor.as_str());
        let label = connector.map_or("the vendor", |connector| connector.vendor().label);
        wire::Connection {
            id: connection.id.to_string(),
            vendor: connection.vendor.clone(),
            state: connection.state.name().to_owned(),
            reason: connection.reason.clone().unwrap_or_default(),
            message: connection.message.clone().unwrap_or_default(),
            next_step: states::next_step(connection, label),
            account_id: connection.account_id.clone(),
            account_name: connection.account_name.clone(),
            tier: connection.tier.clone().unwrap_or_default(),
            scopes: connection.scopes.clone(),
            connected_by: connection.connected_by.clone(),
            connected_at: Some(to_wire_time(connection.connected_at)),
            last_sync_at: connection.last_sync_at.map(to_wire_time),
            schema_refreshed_at: connection.schema_refreshed_at.map(to_wire_time),
            poll_interval_seconds: u32::try_from(self.core.config.poll_interval.as_secs())
                .unwrap_or(u32::MAX),
            notices: connection.notices.clone(),
        }
    }
}
