//! Native conversion rules: what records of a connected CRM become.

use std::{collections::BTreeMap, time::Duration};

use bus::{Message, subject};
use jiff::Timestamp;
use model::{
    CaptureProgress, ChangeEvent, ChangeKind, ConnectionId, Lane, OrganizationId, Value, WatchRequested, kind,
};
use proto::attribution::{conversion_rule_spec::User, conversion_rules_client::ConversionRulesClient, *};
use testkit::eventually;
use tonic::transport::{Channel, Server};
use uuid::Uuid;

use crate::world::{Brought, SOON, World, by_all, percent, serve, with, world};

/// A merchant with a CRM, a program that pays a tenth, and a partner.
pub(crate) struct Crm {
    pub(crate) world: World,
    pub(crate) rules: ConversionRulesClient<Channel>,
    connection: ConnectionId,
    ada: Brought,
}

fn connection() -> ConnectionId {
    ConnectionId::from_uuid(Uuid::from_u128(77))
}

/// Closed won pays; the customer is a contact of the deal.
pub(crate) fn won() -> ConversionRuleSpec {
    ConversionRuleSpec {
        name: "Won deals".to_owned(),
        connection_id: connection().to_string(),
        vendor_object: "deals".to_owned(),
        conditions: vec![RecordCondition {
            field: "dealstage".to_owned(),
            operator: "one_of".to_owned(),
            values: vec!["closedwon".to_owned()],
        }],
        event_type: "opportunity_won".to_owned(),
        user: Some(User::ContactEmail(true)),
        value_field: "amount".to_owned(),
        currency_field: "deal_currency_code".to_owned(),
        ..ConversionRuleSpec::default()
    }
}

impl Crm {
    pub(crate) async fn open() -> Self {
        let world = world().await;
        let program = world.program("Referrals", percent("10")).await;
        let ada = world.partner("ada", &program).await;
        let click = world.click(&ada).await;
        world.identify(&click, "buyer@shop.example").await;
        let server = Server::builder().add_service(world.running.conversion_rules());
        let rules = ConversionRulesClient::new(serve(server).await);
        world.clock.advance(Duration::from_secs(60));
        Self { world, rules, connection: connection(), ada }
    }

    pub(crate) async fn rule(&self, spec: ConversionRuleSpec) -> ConversionRule {
        let request = CreateConversionRuleRequest { spec: Some(spec) };
        let rule = self.rules.clone().create_conversion_rule(by_all(request)).await.unwrap().into_inner();
        self.world.clock.advance(Duration::from_secs(60));
        rule
    }

    fn now(&self) -> Timestamp {
        use model::Clock as _;
        self.world.clock.now()
    }

    /// A deal as a poll shows it, now.
    pub(crate) fn deal(&self, id: &str, version: i64, fields: &[(&str, Value)]) -> ChangeEvent {
        ChangeEvent {
            connection: self.connection,
            vendor: "hubspot".to_owned(),
            object: "deals".to_owned(),
            id: id.to_owned(),
            kind: ChangeKind::Upserted,
            version,
            changed_at: self.now(),
            captured_at: self.now(),
            lane: Lane::Live,
            fields: fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
            is_partial: false,
            field_times: BTreeMap::new(),
            external_id: None,
            merged_ids: Vec::new(),
            says_ours: false,
            people: Some(vec!["buyer@shop.example".to_owned()]),
        }
    }

    pub(crate) fn of_stage(&self, id: &str, version: i64, stage: &str, amount: i64) -> ChangeEvent {
        let amount = Value::Number(amount.into());
        let (stage, currency) = (Value::text(stage), Value::text("USD"));
        self.deal(id, version, &[("dealstage", stage), ("amount", amount), ("deal_currency_code", currency)])
    }

    async fn say(&self, organization: OrganizationId, change: &ChangeEvent) {
        let subject = subject::change(&organization, &change.vendor, &change.object);
        let message =
            Message::json(subject, kind::CHANGE, "connector/hubspot", organization, self.now(), change);
        self.world.bus.publish(&message.unwrap()).await.unwrap();
    }

    /// Tells changes one after the other, and waits until they were taken.
    pub(crate) async fn tell(&self, changes: &[ChangeEvent]) {
        for change in changes {
            self.say(self.world.organization, change).await;
            self.world.clock.advance(Duration::from_secs(1));
        }
        self.settle().await;
    }

    /// Says that all records were read.
    pub(crate) async fn read_all(&self) {
        let progress = CaptureProgress {
            connection: self.connection,
            vendor_object: "deals".to_owned(),
            read: 1,
            total: 1,
            at: self.now(),
            asked_at: None,
        };
        let subject = subject::change(&self.world.organization, "hubspot", "deals");
        let (kind, organization) = (kind::BACKFILL_FINISHED, self.world.organization);
        let message = Message::json(subject, kind, "connector/hubspot", organization, self.now(), &progress);
        self.world.bus.publish(&message.unwrap()).await.unwrap();
        self.settle().await;
        self.world.clock.advance(Duration::from_secs(60));
    }

    /// Waits until everything that was said was taken.
    async fn settle(&self) {
        let consumer = bus::ConsumerConfig::new(subject::CHANGES, "attribution-rules");
        eventually(SOON, "all changes to be taken", || async {
            let pending = self.world.bus.pending(&consumer.stream, &consumer.durable).await.ok()?;
            (pending.waiting == 0 && pending.unanswered == 0).then_some(())
        })
        .await;
    }

    pub(crate) async fn events(&self) -> Vec<ConversionEvent> {
        let request = ListEventsRequest { limit: 200, ..ListEventsRequest::default() };
        self.world.client().list_events(by_all(request)).await.unwrap().into_inner().events
    }

    pub(crate) async fn records(&self, rule: &ConversionRule) -> Vec<String> {
        let request = ListConversionRecordsRequest { rule_id: rule.id.clone(), ..Default::default() };
        let answer = self.rules.clone().list_conversion_records(by_all(request)).await.unwrap().into_inner();
        let text = |one: ConversionRecord| {
            let parts = [one.record_id, one.status, one.reason, one.value, one.currency];
            parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
        };
        answer.records.into_iter().map(text).collect()
    }

    pub(crate) async fn earned(&self) -> Vec<String> {
        self.world.earned(&self.ada).await
    }
}

// B8, R120-R125
#[tokio::test(flavor = "multi_thread")]
async fn a_deal_that_becomes_won_is_one_event_and_the_ledger_follows_the_deal() {
    let crm = Crm::open().await;
    let rule = crm.rule(won()).await;
    crm.tell(&[crm.of_stage("1", 1, "contractsent", 1000)]).await;
    assert!(crm.events().await.is_empty(), "it is not won yet");
    let now_won = crm.of_stage("1", 2, "closedwon", 1000);
    crm.tell(std::slice::from_ref(&now_won)).await;
    assert_eq!(crm.earned().await, ["accrued 100.00 USD"]);
    let event = crm.events().await.remove(0);
    assert_eq!((event.user_id.as_str(), event.r#type.as_str()), ("buyer@shop.example", "opportunity_won"));
    assert!(event.metadata_json.contains(r#""record_id": "1""#), "{}", event.metadata_json);

    // Said again, edited elsewhere, and said again out of order.
    crm.tell(&[now_won, crm.of_stage("1", 3, "closedwon", 1000), crm.of_stage("1", 1, "contractsent", 9)])
        .await;
    assert_eq!(crm.events().await.len(), 1);
    assert_eq!(crm.earned().await, ["accrued 100.00 USD"]);

    crm.tell(&[crm.of_stage("1", 4, "closedwon", 2500)]).await;
    assert_eq!(crm.earned().await, ["accrued 250.00 USD"], "the amount changed");
    crm.tell(&[crm.of_stage("1", 5, "contractsent", 2500)]).await;
    assert_eq!(crm.earned().await, ["reversed 0.00 USD"], "it was reopened");
    assert_eq!(crm.records(&rule).await, ["1 voided condition_left 2500.00 USD"]);
    crm.tell(&[crm.of_stage("1", 6, "closedwon", 3000)]).await;
    assert_eq!(crm.earned().await, ["accrued 300.00 USD"], "it was won again");
    crm.tell(&[crm.of_stage("1", 7, "closedlost", 3000)]).await;
    assert_eq!(crm.earned().await, ["reversed 0.00 USD"], "lost after it was won");
    crm.tell(&[crm.of_stage("1", 8, "closedwon", 3000)]).await;
    let deleted =
        ChangeEvent { kind: ChangeKind::Deleted, fields: BTreeMap::new(), ..crm.of_stage("1", 9, "", 0) };
    crm.tell(&[deleted]).await;
    assert_eq!(crm.earned().await, ["reversed 0.00 USD"], "it was deleted");
    assert_eq!(crm.records(&rule).await, ["1 voided record_deleted 3000.00 USD"]);
    assert_eq!(crm.events().await.len(), 1, "it was one event all along");
    crm.world.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_won_before_the_rule_pays_nothing_whenever_it_is_seen() {
    let crm = Crm::open().await;
    let won_before = crm.of_stage("old", 1, "closedwon", 1000);
    crm.world.clock.advance(Duration::from_secs(1));
    crm.rule(won()).await;
    crm.tell(&[ChangeEvent { lane: Lane::Backfill, people: None, ..won_before.clone() }]).await;
    crm.tell(&[crm.of_stage("old", 2, "closedwon", 5000)]).await;
    // Edited before history came to it; its stage was not set since.
    crm.tell(&[crm.of_stage("unread", 2, "closedwon", 1000)]).await;
    let dated = BTreeMap::from([("dealstage".to_owned(), won_before.changed_at)]);
    crm.tell(&[ChangeEvent { field_times: dated, ..crm.of_stage("dated", 2, "closedwon", 1000) }]).await;
    assert!(crm.events().await.is_empty());

    // What the vendor dates after the rule, what a stream says to have changed, and what is new after all was read.
    let dated = BTreeMap::from([("dealstage".to_owned(), crm.now())]);
    crm.tell(&[ChangeEvent { field_times: dated, ..crm.of_stage("a", 2, "closedwon", 100) }]).await;
    crm.tell(&[ChangeEvent { is_partial: true, ..crm.of_stage("b", 2, "closedwon", 200) }]).await;
    crm.read_all().await;
    crm.tell(&[crm.of_stage("c", 2, "closedwon", 300)]).await;
    assert_eq!(crm.earned().await, ["accrued 10.00 USD", "accrued 20.00 USD", "accrued 30.00 USD"]);
    // Reopened and won again is a new transition.
    crm.tell(&[crm.of_stage("old", 3, "contractsent", 5000), crm.of_stage("old", 4, "closedwon", 5000)])
        .await;
    assert_eq!(crm.events().await.len(), 4);
}

// R183, R185-R189
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_names_nobody_waits_with_its_reason_and_is_recorded_when_it_does() {
    let crm = Crm::open().await;
    let rule = crm.rule(won()).await;
    let nobody = |version, stage: &str| ChangeEvent {
        people: Some(Vec::new()),
        ..crm.of_stage("1", version, stage, 1000)
    };
    crm.tell(&[nobody(1, "contractsent"), nobody(2, "closedwon")]).await;
    assert_eq!(crm.records(&rule).await, ["1 waiting no_user"]);
    let listed =
        crm.rules.clone().list_conversion_rules(by_all(ListConversionRulesRequest {})).await.unwrap();
    assert_eq!((listed.get_ref().rules[0].waiting, listed.get_ref().rules[0].recorded), (1, 0));
    let worthless = |version, amount: &str| {
        let amount = Value::text(amount);
        crm.deal("2", version, &[("dealstage", Value::text("closedwon")), ("amount", amount)])
    };
    crm.read_all().await;
    crm.tell(&[worthless(1, "a lot")]).await;
    assert_eq!(crm.records(&rule).await, ["2 waiting value_invalid", "1 waiting no_user"]);
    crm.tell(&[crm.of_stage("1", 3, "closedwon", 1000), worthless(2, "7.005")]).await;
    assert_eq!(crm.records(&rule).await, ["2 recorded 7.01 USD", "1 recorded 1000.00 USD"]);

    let by_account = ConversionRuleSpec { user: Some(User::UserField("account_id".to_owned())), ..won() };
    crm.rule(ConversionRuleSpec { vendor_object: "subscriptions".to_owned(), ..by_account }).await;
    let of_account = |version, stage: &str| ChangeEvent {
        object: "subscriptions".to_owned(),
        people: None,
        ..crm.deal("9", version, &[("dealstage", Value::text(stage)), ("account_id", Value::text("acct-9"))])
    };
    crm.tell(&[of_account(1, "open"), of_account(2, "ClosedWon ")]).await;
    let event = crm.events().await.remove(0);
    assert_eq!((event.user_id.as_str(), event.reason.as_str()), ("acct-9", "no_identity"));
}

// R121, R123
#[tokio::test(flavor = "multi_thread")]
async fn a_lead_that_goes_on_to_its_next_status_keeps_its_event() {
    let crm = Crm::open().await;
    let qualified = RecordCondition {
        field: "status".to_owned(),
        operator: "one_of".to_owned(),
        values: vec!["Sales Qualified".to_owned()],
    };
    let spec = ConversionRuleSpec {
        event_type: "lead_qualified".to_owned(),
        conditions: vec![qualified],
        user: Some(User::UserField("email".to_owned())),
        value_field: String::new(),
        currency_field: String::new(),
        when_left: "keep".to_owned(),
        ..won()
    };
    let rule = crm.rule(spec).await;
    let lead = |version, status: &str| {
        let email = ("email", Value::text("buyer@shop.example"));
        crm.deal("7", version, &[("status", Value::text(status)), email])
    };
    crm.tell(&[lead(1, "New"), lead(2, "Sales Qualified"), lead(3, "Converted"), lead(4, "Sales Qualified")])
        .await;
    assert_eq!(crm.records(&rule).await, ["7 recorded USD"]);
    let events = crm.events().await;
    assert_eq!((events.len(), events[0].is_void), (1, false));
    crm.world.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_little_of_a_record_is_asked_for_before_its_event_is_recorded() {
    let crm = Crm::open().await;
    let rule = crm.rule(won()).await;
    let told = |id: &str, name: &str, value: &str| ChangeEvent {
        is_partial: true,
        ..crm.deal(id, 2, &[(name, Value::text(value))])
    };
    // A stream says what changed alone.
    crm.tell(&[told("1", "amount", "5"), told("2", "dealstage", "closedwon")]).await;
    assert_eq!(crm.records(&rule).await, ["2 waiting incomplete"]);
    crm.tell(&[crm.of_stage("2", 2, "closedwon", 1000)]).await;
    assert_eq!(crm.records(&rule).await, ["2 recorded 1000.00 USD"]);
    // Known fields complete what a stream leaves out.
    crm.tell(&[
        crm.of_stage("3", 1, "contractsent", 70),
        ChangeEvent { id: "3".to_owned(), ..told("3", "dealstage", "closedwon") },
    ])
    .await;
    assert_eq!(crm.earned().await, ["accrued 100.00 USD", "accrued 7.00 USD"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_is_changed_and_switched_off_and_on_without_paying_for_what_was_before() {
    let crm = Crm::open().await;
    let rule = crm.rule(won()).await;
    let request = |enabled| SetConversionRuleEnabledRequest { rule_id: rule.id.clone(), enabled };
    crm.tell(&[crm.of_stage("1", 1, "contractsent", 100), crm.of_stage("2", 1, "closedlost", 100)]).await;
    let mut rules = crm.rules.clone();
    rules.set_conversion_rule_enabled(by_all(request(false))).await.unwrap();
    crm.tell(&[crm.of_stage("1", 2, "closedwon", 100)]).await;
    rules.set_conversion_rule_enabled(by_all(request(true))).await.unwrap();
    crm.world.clock.advance(Duration::from_secs(60));
    let old = ChangeEvent { lane: Lane::Backfill, ..crm.of_stage("1", 2, "closedwon", 100) };
    crm.tell(&[old]).await;
    assert!(crm.events().await.is_empty());
    // A lost deal is what counts from now on; the one that was lost before is none.
    let mut spec = won();
    spec.conditions[0].values = vec!["closedlost".to_owned()];
    let change = UpdateConversionRuleRequest { rule_id: rule.id.clone(), spec: Some(spec) };
    rules.update_conversion_rule(by_all(change)).await.unwrap();
    crm.world.clock.advance(Duration::from_secs(60));
    crm.tell(&[
        ChangeEvent { lane: Lane::Backfill, ..crm.of_stage("2", 1, "closedlost", 100) },
        ChangeEvent { lane: Lane::Backfill, ..crm.of_stage("1", 2, "closedwon", 100) },
        crm.of_stage("1", 3, "closedlost", 100),
    ])
    .await;
    assert_eq!(crm.records(&rule).await, ["1 recorded 100.00 USD"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_of_an_organization_are_nobody_elses_and_say_what_they_look_at() {
    let crm = Crm::open().await;
    let rule = crm.rule(won()).await;
    let other = OrganizationId::from_uuid(Uuid::from_u128(2));
    crm.say(other, &crm.of_stage("1", 1, "contractsent", 100)).await;
    crm.say(other, &crm.of_stage("1", 2, "closedwon", 100)).await;
    crm.settle().await;
    assert!(crm.events().await.is_empty());
    let mut rules = crm.rules.clone();
    let listed = rules.list_conversion_rules(with("ak_other", ListConversionRulesRequest {})).await.unwrap();
    assert!(listed.get_ref().rules.is_empty());
    let change =
        |key| with(key, SetConversionRuleEnabledRequest { rule_id: rule.id.clone(), enabled: false });
    assert_eq!(
        rules.set_conversion_rule_enabled(change("ak_other")).await.unwrap_err().code(),
        tonic::Code::NotFound
    );
    assert_eq!(
        rules.set_conversion_rule_enabled(change("ak_events")).await.unwrap_err().code(),
        tonic::Code::PermissionDenied
    );
    let nothing =
        CreateConversionRuleRequest { spec: Some(ConversionRuleSpec { conditions: Vec::new(), ..won() }) };
    let refused = rules.create_conversion_rule(by_all(nothing)).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);

    let mut consumer = crm
        .world
        .bus
        .consumer(bus::ConsumerConfig::new(subject::EVENTS, "looks").filtered(["capture.>"]))
        .await
        .unwrap();
    let delivery = consumer.next_batch().await.unwrap().remove(0);
    let wish: WatchRequested = delivery.message.decode().unwrap();
    assert_eq!(delivery.message.envelope.kind, kind::WATCH_REQUESTED);
    assert_eq!(wish.fields, ["amount", "deal_currency_code", "dealstage"]);
    assert_eq!(
        (wish.dated.as_slice(), wish.people, wish.backfill),
        (&["dealstage".to_owned()][..], true, true)
    );
    delivery.ack().await.unwrap();
}
