use std::{sync::Arc, time::Duration};

use attribution::{
    Config, Deps, Running,
    rail::{Manual, Rail},
};
use bus::{Bus, ConnectOptions};
use chassis::guard::Guard;
use jiff::{SignedDuration, Timestamp};
use model::{OrganizationId, Scope};
use proto::attribution::{attribution_client::AttributionClient, commission_answer, event_answer, *};
use sqlx::PgPool;
use testkit::{Identity, ManualClock, TestDatabase, TestNats};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{
    Request, Status,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use uuid::Uuid;
use vault::{Keyring, Vault};

pub(crate) const SOON: Duration = Duration::from_secs(20);

/// An organization with its running room.
pub(crate) struct World {
    pub(crate) organization: OrganizationId,
    pub(crate) clock: ManualClock,
    pub(crate) bus: Bus,
    pub(crate) pool: PgPool,
    pub(crate) client: AttributionClient<Channel>,
    pub(crate) running: Running,
    identity: Channel,
    vault: Arc<Vault>,
    rail: Arc<dyn Rail>,
    database: TestDatabase,
    _nats: TestNats,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

pub(crate) fn noon() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

/// Serves on a free port for the rest of the test.
pub(crate) async fn serve(router: tonic::transport::server::Router) -> Channel {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(router.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))));
    Endpoint::from_shared(url).unwrap().connect().await.unwrap()
}

/// `ak_all` may do all, `ak_events` and `ak_twin` may record events alone; `ak_other` is of another organization.
fn knowing(organization: OrganizationId, other: OrganizationId) -> Identity {
    Identity::new(move |credential| match credential {
        "ak_all" => Some(Identity::key(organization, Scope::ALL)),
        "ak_events" => Some(Identity::key(organization, [Scope::EventsWrite])),
        "ak_twin" => Some(proto::identity::CheckResponse {
            credential_id: "another key".to_owned(),
            ..Identity::key(organization, [Scope::EventsWrite])
        }),
        "ak_other" => Some(Identity::key(other, Scope::ALL)),
        _ => None,
    })
}

/// A message with a credential.
pub(crate) fn with<T>(key: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    request
}

/// The same with the one that may do all.
pub(crate) fn by_all<T>(message: T) -> Request<T> {
    with("ak_all", message)
}

/// A room whose job for commissions that mature does not look again soon.
pub(crate) async fn world() -> World {
    world_that_looks_every(3_600).await
}

/// A room whose job for commissions that mature looks so often, in seconds.
pub(crate) async fn world_that_looks_every(maturity_seconds: u64) -> World {
    world_with_rail(Arc::new(Manual), maturity_seconds).await
}

/// The same, whose payouts this moves.
pub(crate) async fn world_with_rail(rail: Arc<dyn Rail>, maturity_seconds: u64) -> World {
    let (nats, database) = tokio::join!(testkit::nats(), testkit::database());
    world_over((nats, database), rail, maturity_seconds).await
}

/// The same, over a database that may be filled already.
pub(crate) async fn world_over(
    (nats, database): (TestNats, TestDatabase),
    rail: Arc<dyn Rail>,
    maturity_seconds: u64,
) -> World {
    let bus = Bus::connect(nats.url(), ConnectOptions::named("test")).await.unwrap();
    bus.ensure_streams().await.unwrap();
    let organization = OrganizationId::from_uuid(Uuid::from_u128(1));
    let other = OrganizationId::from_uuid(Uuid::from_u128(2));
    let identity = serve(Server::builder().add_service(knowing(organization, other))).await;
    let clock = ManualClock::at(noon());
    let pool = attribution::open(&Config::new(database.url())).await.unwrap();
    let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
    let vault = Arc::new(Vault::new(Keyring::generate("k1".parse().unwrap())));
    let deps = deps(&bus, &identity, &vault, &clock, (&shutdown, &tasks));
    let moving = Arc::clone(&rail);
    let config =
        Config { maturity_seconds, private_webhooks: true, rail: moving, ..Config::new(database.url()) };
    let running = attribution::start(config, deps).await.unwrap();
    let client = AttributionClient::new(serve(Server::builder().add_service(running.grpc())).await);
    World {
        organization,
        clock,
        bus,
        pool,
        client,
        running,
        identity,
        vault,
        rail,
        database,
        _nats: nats,
        shutdown,
        tasks,
    }
}

fn deps(
    bus: &Bus,
    identity: &Channel,
    vault: &Arc<Vault>,
    clock: &ManualClock,
    (shutdown, tasks): (&CancellationToken, &TaskTracker),
) -> Deps {
    Deps {
        bus: bus.clone(),
        guard: Guard::new(identity.clone()),
        vault: Arc::clone(vault),
        clock: Arc::new(clock.clone()),
        shutdown: shutdown.clone(),
        tasks: tasks.clone(),
    }
}

/// A partner with a link of a program.
pub(crate) struct Brought {
    pub(crate) partner: String,
    pub(crate) link: String,
}

/// A deal over 100 USD of `user-1`, whom a partner brought.
pub(crate) struct Sold {
    pub(crate) ada: Brought,
    pub(crate) click: String,
    pub(crate) event: String,
}

/// Terms that pay this percentage for every event.
pub(crate) fn percent(percent: &str) -> Terms {
    let reward = Some(rule::Reward::Percent(percent.to_owned()));
    Terms { rules: vec![Rule { reward, ..Rule::default() }], ..Terms::default() }
}

pub(crate) fn event(user: &str, value: &str) -> NewEvent {
    NewEvent {
        user_id: user.to_owned(),
        r#type: "opportunity_won".to_owned(),
        value: Some(value.to_owned()),
        ..NewEvent::default()
    }
}

impl World {
    /// Ends the room as a crash would not: in good order. What it wrote stays.
    pub(crate) async fn restarted(mut self) -> Self {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        (self.shutdown, self.tasks) = (CancellationToken::new(), TaskTracker::new());
        let deps = deps(&self.bus, &self.identity, &self.vault, &self.clock, (&self.shutdown, &self.tasks));
        let rail = Arc::clone(&self.rail);
        let config = Config { private_webhooks: true, rail, ..Config::new(self.database.url()) };
        self.running = attribution::start(config, deps).await.unwrap();
        self.client = AttributionClient::new(serve(Server::builder().add_service(self.running.grpc())).await);
        self
    }

    pub(crate) fn client(&self) -> AttributionClient<Channel> {
        self.client.clone()
    }

    pub(crate) fn later(&self, hours: i64) -> Timestamp {
        noon() + SignedDuration::from_hours(hours)
    }

    pub(crate) async fn program(&self, name: &str, terms: Terms) -> String {
        let program = Program {
            name: name.to_owned(),
            destination_url: "https://shop.example/start?from=partner".to_owned(),
            terms: Some(terms),
            ..Program::default()
        };
        self.client().create_program(by_all(program)).await.unwrap().into_inner().id
    }

    pub(crate) async fn partner(&self, name: &str, program: &str) -> Brought {
        self.partner_with_links(name, &[(format!("{name}-link"), program)]).await
    }

    /// A partner with links by these names of these programs; the first is the one that is told of.
    pub(crate) async fn partner_with_links(&self, name: &str, links: &[(String, &str)]) -> Brought {
        let partner = CreatePartnerRequest {
            email: format!("{name}@partners.example"),
            name: name.to_owned(),
            ..CreatePartnerRequest::default()
        };
        let partner = self.client().create_partner(by_all(partner)).await.unwrap().into_inner().id;
        for (link, program) in links {
            let request = CreateLinkRequest {
                key: link.clone(),
                partner_id: partner.clone(),
                program_id: (*program).to_owned(),
                ..CreateLinkRequest::default()
            };
            self.client().create_link(by_all(request)).await.unwrap();
        }
        Brought { partner, link: links[0].0.clone() }
    }

    /// A partner of a program with these terms brought a deal.
    pub(crate) async fn sold(&self, terms: Terms) -> Sold {
        let program = self.program("Spring", terms).await;
        let ada = self.partner("ada", &program).await;
        let click = self.click(&ada).await;
        self.identify(&click, "user-1").await;
        let event = self.record(event("user-1", "100")).await.event_id;
        Sold { ada, click, event }
    }

    /// Somebody follows the link at the present time; the answer is the click.
    pub(crate) async fn click(&self, brought: &Brought) -> String {
        let request = FollowLinkRequest { link_key: brought.link.clone(), ..FollowLinkRequest::default() };
        self.client().follow_link(request).await.unwrap().into_inner().click_id
    }

    pub(crate) async fn identify(&self, click: &str, user: &str) -> IdentifyResponse {
        let request = IdentifyRequest {
            click_id: click.to_owned(),
            user_id: user.to_owned(),
            ..IdentifyRequest::default()
        };
        self.client().identify(request).await.unwrap().into_inner()
    }

    /// The same, with a signature; the refusal's code where it is refused.
    pub(crate) async fn identify_signed(
        &self,
        click: &str,
        user: &str,
        signature: &str,
    ) -> Result<IdentifyResponse, String> {
        let request = IdentifyRequest {
            click_id: click.to_owned(),
            user_id: user.to_owned(),
            signature: signature.to_owned(),
            ..IdentifyRequest::default()
        };
        let answer = self.client().identify(request).await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| chassis::guard::stable_code(&status).unwrap_or_default().to_owned())
    }

    pub(crate) async fn guards(&self) -> Guards {
        self.client().get_guards(by_all(GetGuardsRequest {})).await.unwrap().into_inner()
    }

    pub(crate) async fn set_guards(&self, guards: Guards) {
        self.client().set_guards(by_all(guards)).await.unwrap();
    }

    /// What waits, as `reason user amount`.
    pub(crate) async fn waiting(&self) -> Vec<String> {
        let items = self.reviews().await.items;
        items.into_iter().map(|item| format!("{} {} {}", item.reason, item.user_id, item.amount)).collect()
    }

    pub(crate) async fn reviews(&self) -> ListReviewsResponse {
        self.client().list_reviews(by_all(ListReviewsRequest::default())).await.unwrap().into_inner()
    }

    pub(crate) async fn decide_reviews(
        &self,
        commissions: &[String],
        decision: &str,
        with_click: bool,
    ) -> Vec<Result<Commission, CommissionRefusal>> {
        let request = DecideReviewsRequest {
            commission_ids: commissions.to_vec(),
            decision: decision.to_owned(),
            with_click,
            note: "looked into it".to_owned(),
        };
        let answers = self.client().decide_reviews(by_all(request)).await.unwrap().into_inner().answers;
        answers.into_iter().map(decided).collect()
    }

    pub(crate) async fn try_record(&self, events: Vec<NewEvent>) -> Result<Vec<EventAnswer>, Status> {
        let answer = self.client().record_events(with("ak_events", RecordEventsRequest { events })).await;
        Ok(answer?.into_inner().answers)
    }

    /// Records an event.
    pub(crate) async fn record(&self, event: NewEvent) -> RecordedEvent {
        let answers = self.try_record(vec![event]).await.unwrap();
        match answers.into_iter().next().unwrap().answer.unwrap() {
            event_answer::Answer::Recorded(recorded) => recorded,
            event_answer::Answer::Refused(refusal) => panic!("{refusal:?}"),
        }
    }

    pub(crate) async fn correct(
        &self,
        event: &str,
        key: &str,
        correction: correct_event_request::Correction,
    ) -> bool {
        let request = CorrectEventRequest {
            event_id: event.to_owned(),
            idempotency_key: key.to_owned(),
            correction: Some(correction),
            ..CorrectEventRequest::default()
        };
        self.client().correct_event(with("ak_events", request)).await.unwrap().into_inner().recorded
    }

    pub(crate) async fn commissions(&self) -> Vec<Commission> {
        let request = ListCommissionsRequest { limit: 500, ..ListCommissionsRequest::default() };
        let answer = self.client().list_commissions(by_all(request)).await.unwrap().into_inner();
        answer.commissions
    }

    /// The commissions of a partner as `status amount currency`, in the order of these texts.
    pub(crate) async fn earned(&self, brought: &Brought) -> Vec<String> {
        let all = self.commissions().await;
        let own = all.iter().filter(|one| one.partner_id == brought.partner);
        let mut texts: Vec<String> =
            own.map(|one| format!("{} {} {}", one.status, one.amount, one.currency)).collect();
        texts.sort();
        texts
    }

    /// A partner's balances as `account amount currency`, without those that are zero.
    pub(crate) async fn balances(&self, brought: &Brought) -> Vec<String> {
        let request = ListBalancesRequest { partner_id: brought.partner.clone() };
        let balances = self.client().list_balances(by_all(request)).await.unwrap().into_inner().balances;
        let text = |balance: Balance| {
            let money = balance.balance.unwrap();
            format!("{} {} {}", balance.account, money.amount, money.currency)
        };
        balances.into_iter().map(text).filter(|text| !text.contains(" 0.00 ")).collect()
    }

    pub(crate) async fn kinds_of_entries(&self) -> Vec<String> {
        let request = ListEntriesRequest { limit: 500, ..ListEntriesRequest::default() };
        let entries = self.client().list_entries(by_all(request)).await.unwrap().into_inner().entries;
        entries.into_iter().rev().map(|entry| entry.kind).collect()
    }

    pub(crate) async fn approve(&self, commission: &str) -> Result<Commission, CommissionRefusal> {
        let request = DecideCommissionsRequest {
            commission_ids: vec![commission.to_owned()],
            ..DecideCommissionsRequest::default()
        };
        one(self.client().approve_commissions(by_all(request)).await.unwrap().into_inner())
    }

    pub(crate) async fn reverse(&self, commission: &str) -> Result<Commission, CommissionRefusal> {
        let request = DecideCommissionsRequest {
            commission_ids: vec![commission.to_owned()],
            note: "not ours".to_owned(),
        };
        one(self.client().reverse_commissions(by_all(request)).await.unwrap().into_inner())
    }

    pub(crate) async fn decide_click(&self, click: &str, decision: &str) -> u32 {
        let request = DecideClickRequest {
            click_id: click.to_owned(),
            decision: decision.to_owned(),
            note: "looked into it".to_owned(),
        };
        self.client().decide_click(by_all(request)).await.unwrap().into_inner().reattributed_events
    }

    pub(crate) async fn payouts(&self, key: &str) -> RunPayoutsResponse {
        let request = RunPayoutsRequest { idempotency_key: key.to_owned(), partner_ids: Vec::new() };
        self.client().run_payouts(by_all(request)).await.unwrap().into_inner()
    }

    pub(crate) async fn verify(&self) -> VerifyResponse {
        let found = attribution::verify(&self.pool, self.organization).await;
        assert!(found.is_ok(), "{found:?}");
        self.client().verify(by_all(VerifyRequest {})).await.unwrap().into_inner()
    }

    /// All stands as it was derived.
    pub(crate) async fn assert_whole(&self) {
        let found = self.verify().await;
        assert!(found.whole, "{found:#?}");
    }
}

fn one(response: DecideCommissionsResponse) -> Result<Commission, CommissionRefusal> {
    decided(response.answers.into_iter().next().unwrap())
}

fn decided(answer: CommissionAnswer) -> Result<Commission, CommissionRefusal> {
    match answer.answer.unwrap() {
        commission_answer::Answer::Commission(commission) => Ok(commission),
        commission_answer::Answer::Refused(refused) => Err(refused),
    }
}
