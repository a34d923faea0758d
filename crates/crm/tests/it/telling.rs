//! What happened is told in the channels that want it (R3, R31).

use std::collections::BTreeMap;

use model::{
    CanonicalObject, CommissionChanged, CommissionId, ConnectionId, ConnectionState, ConversionId,
    PartnerChanged, PayoutCreated, PayoutId, PostMessage, ProgramId, RecordChanged, RecordId, Value, kind,
};
use proto::crm::{
    ListNotificationRulesRequest, NewNotificationRule, NotificationRule, SetNotificationRulesRequest,
};
use testkit::eventually;
use uuid::Uuid;

use crate::{
    slack::{CHANNEL, changed, connection},
    world::{SOON, World, by, code, deal, noon, partner, world},
};

fn record(number: u128) -> RecordId {
    RecordId::from_uuid(Uuid::from_u128(0x1000 + number))
}

fn payout(amount: &str) -> PayoutCreated {
    PayoutCreated {
        payout: PayoutId::from_uuid(Uuid::from_u128(7)),
        partner: partner(1),
        amount: amount.to_owned(),
        currency: "EUR".to_owned(),
        commissions: 2,
        at: noon(),
    }
}

/// A message in words: its title, lines and text.
pub(crate) fn words(post: &PostMessage) -> String {
    let content = &post.content;
    let lines: Vec<String> = content.lines.iter().map(|(label, value)| format!("{label}: {value}")).collect();
    let parts = [content.title.clone(), lines.join(", "), content.text.clone()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" | ")
}

impl World {
    async fn change(
        &self,
        object: CanonicalObject,
        id: RecordId,
        version: i64,
        fields: [(&str, &str, &str); 1],
    ) {
        let [(name, before, now)] = fields;
        let one = |text: &str| BTreeMap::from([(name.to_owned(), Value::text(text))]);
        let changed = RecordChanged {
            record: id,
            object,
            version,
            fields: one(now),
            before: one(before),
            truncated: false,
            pii: Vec::new(),
            actor: "user:somebody".to_owned(),
            at: noon(),
            connection: None,
        };
        self.publish("record", object.name(), kind::RECORD_CHANGED, &changed).await;
    }

    async fn rule(&self) -> NotificationRule {
        let request = by("viewer", ListNotificationRulesRequest {});
        self.client().list_notification_rules(request).await.unwrap().into_inner().rules.remove(0)
    }
}

#[tokio::test]
async fn each_event_is_told_once_in_plain_words_in_each_channel_that_wants_it() {
    let world = world().await;
    let mut slack = world.slack().await;
    let all = crate::telling::EVENTS;
    world.rules(&[(CHANNEL, &all), ("C2", &["payout_created"])]).await;
    let created = PartnerChanged {
        partner: partner(1),
        name: "Tidal Loom".to_owned(),
        status: "active".to_owned(),
        note: "secret".to_owned(),
        at: noon(),
    };
    world.publish("partner", "created", kind::PARTNER_CREATED, &created).await;
    slack.posts(1).await;
    // The names are known by then.
    world.change(CanonicalObject::Deal, record(1), 1, [("name", "", "Ten presses")]).await;
    world.change(CanonicalObject::Partner, record(2), 1, [("name", "", "Tidal Loom")]).await;
    eventually(SOON, "the room to know the names", || async {
        let count =
            "SELECT (SELECT count(*) FROM directory) + (SELECT count(*) FROM partners WHERE name <> '')";
        let known: i64 = sqlx::query_scalar(count).fetch_one(&world.pool).await.unwrap();
        (known == 3).then_some(())
    })
    .await;
    world.change(CanonicalObject::Partner, record(2), 2, [("tier", "Silver", "Gold")]).await;
    world.change(CanonicalObject::Deal, record(1), 2, [("status", "open", "won")]).await;
    world.change(CanonicalObject::Deal, record(1), 3, [("status", "won", "lost")]).await;
    world.change(CanonicalObject::Deal, record(1), 4, [("stage", "a", "b")]).await;
    let commission = CommissionChanged {
        commission: CommissionId::from_uuid(Uuid::from_u128(1)),
        event: ConversionId::from_uuid(Uuid::from_u128(2)),
        partner: partner(1),
        program: ProgramId::from_uuid(Uuid::from_u128(3)),
        amount: "900.00".to_owned(),
        before: None,
        currency: "USD".to_owned(),
        status: "accrued".to_owned(),
        reason: "on_hold".to_owned(),
        at: noon(),
    };
    world.publish("commission", "accrued", kind::COMMISSION_ACCRUED, &commission).await;
    let other = ConnectionId::from_uuid(Uuid::from_u128(0x301));
    let mut broken = changed(other, "hubspot", ConnectionState::ReauthRequired);
    broken.message = Some("HubSpot revoked the access".to_owned());
    world.publish("connection", "changed", kind::CONNECTION_CHANGED, &broken).await;
    // It is as bad as before.
    world.publish("connection", "changed", kind::CONNECTION_CHANGED, &broken).await;
    world.publish("payout", "created", kind::PAYOUT_CREATED, &payout("900.00")).await;
    let posts = slack.posts(8).await;
    let told: Vec<String> = posts.iter().map(words).collect();
    assert_eq!(
        told[..6],
        [
            "New partner | Partner: Tidal Loom",
            "A partner is in another tier | Partner: Tidal Loom, Before: Silver, Now: Gold",
            "Deal won | Deal: Ten presses",
            "Deal lost | Deal: Ten presses",
            "Commission accrued | Partner: Tidal Loom, Amount: 900.00 USD, Because: on hold",
            "HubSpot does not sync | Why: HubSpot revoked the access | Somebody must connect it again: Settings > \
             Integrations.",
        ]
    );
    let payout = "Payout written down | Partner: Tidal Loom, Amount: 900.00 EUR, Commissions: 2 | Its money has not \
                  moved yet.";
    assert_eq!(told[6..], [payout, payout]);
    let mut channels: Vec<&str> = posts[6..].iter().map(|post| post.channel.as_str()).collect();
    channels.sort_unstable();
    assert_eq!(channels, [CHANNEL, "C2"]);
    assert!(posts.iter().all(|post| post.connection == connection() && post.content.buttons.is_empty()));
}

pub(crate) const EVENTS: [&str; 8] = [
    "partner_created",
    "partner_tier_changed",
    "deal_won",
    "deal_lost",
    "commission_accrued",
    "payout_created",
    "sync_trouble",
    "registration_submitted",
];

#[tokio::test]
async fn a_registration_is_told_with_two_buttons_and_without_whom_to_talk_to() {
    let world = world().await;
    let mut slack = world.slack().await;
    world.rules(&[(CHANNEL, &["registration_submitted"])]).await;
    let first = world.submit("first", deal(1, "Ten presses")).await.unwrap();
    world.submit("second", deal(2, "Ten presses")).await.unwrap();
    // Nobody there wants to know, and another organization is none of this one's business.
    world.publish("payout", "created", kind::PAYOUT_CREATED, &payout("1.00")).await;
    world.submit("other", deal(3, "Elsewhere")).await.unwrap();
    let posts = slack.posts(2).await;
    let expected = format!(
        "Deal registration: Ten presses | Partner: {}, Company: Acme (acme.example), Amount: 45000.10 EUR, Expected \
         close: 2027-01-31",
        partner(1)
    );
    assert_eq!(words(&posts[0]), expected);
    assert!(words(&posts[1]).ends_with("Note: another partner registered this company before"));
    let buttons: Vec<_> = posts[0]
        .content
        .buttons
        .iter()
        .map(|it| (it.action.as_str(), it.label.as_str(), &it.value))
        .collect();
    assert_eq!(
        buttons,
        [("registration:approve", "Approve", &first.id), ("registration:reject:ask", "Reject", &first.id)]
    );
    let text = serde_json::to_string(posts).unwrap().to_lowercase();
    assert!(!text.contains("carol") && !text.contains("they know us"), "{text}");
}

#[tokio::test]
async fn what_could_not_be_stored_at_first_is_told_once_when_it_can() {
    let world = world().await;
    let mut slack = world.slack().await;
    world.rules(&[(CHANNEL, &["payout_created"])]).await;
    // A sequence counts on where a transaction is rolled back: what is tried four times in vain was redelivered.
    let failing = "CREATE SEQUENCE tries;
         CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF nextval('tries') <= 4 THEN RAISE EXCEPTION 'not yet'; END IF; RETURN NEW;
         END $$;
         CREATE TRIGGER fail AFTER INSERT ON posts FOR EACH ROW EXECUTE FUNCTION fail();";
    sqlx::raw_sql(failing).execute(&world.pool).await.unwrap();
    world.publish("payout", "created", kind::PAYOUT_CREATED, &payout("1.00")).await;
    slack.posts(1).await;
    let tries: i64 = sqlx::query_scalar("SELECT last_value FROM tries").fetch_one(&world.pool).await.unwrap();
    assert_eq!(tries, 5);
    world.publish("payout", "created", kind::PAYOUT_CREATED, &payout("2.00")).await;
    assert!(words(&slack.posts(2).await[1]).contains("2.00 EUR"));
}

#[tokio::test]
async fn a_message_that_could_not_be_posted_is_shown_with_its_rule_until_one_could() {
    let world = world().await;
    let mut slack = world.slack().await;
    world.rules(&[(CHANNEL, &["payout_created"])]).await;
    world.publish("payout", "created", kind::PAYOUT_CREATED, &payout("1.00")).await;
    let post = slack.posts(1).await[0].clone();
    slack.answer(&post, Err("is_archived")).await;
    let broken = eventually(SOON, "the rule to show it", || async {
        let rule = world.rule().await;
        (!rule.error.is_empty()).then_some(rule)
    })
    .await;
    assert_eq!(
        (broken.error.as_str(), broken.error_message.as_str()),
        ("is_archived", "The channel is archived.")
    );
    assert_eq!((broken.error_at, broken.posted_at), (Some(proto::to_wire_time(noon())), None));
    slack.answer(&post, Ok("1.1")).await;
    eventually(SOON, "the rule to be well", || async {
        let rule = world.rule().await;
        (rule.error.is_empty() && rule.error_at.is_none() && rule.posted_at.is_some()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn rules_are_set_as_a_whole_and_each_change_is_said() {
    let world = world().await;
    let mut slack = world.slack().await;
    world.rules(&[("C1", &["deal_won", "deal_won", "deal_lost"])]).await;
    let first = world.rule().await;
    assert_eq!(first.events, ["deal_won", "deal_lost"]);
    world.rules(&[("C1", &["deal_lost", "deal_won"])]).await;
    world.rules(&[("C1", &["deal_won"]), ("C2", &["deal_won"])]).await;
    assert_eq!(world.rule().await.id, first.id);
    world.rules(&[("C2", &["deal_won"])]).await;
    let said = slack.said(4).await;
    let changes: Vec<&str> = said.iter().map(|(_, _, body)| body["change"].as_str().unwrap()).collect();
    assert_eq!(changes, ["created", "changed", "created", "deleted"]);
    assert!(
        said.iter().all(|(kind, actor, _)| kind == "crm.settings_changed" && actor.starts_with("api_key:"))
    );
    assert_eq!(
        (said[3].2["id"].as_str(), said[1].2["events"][0].as_str()),
        (Some(first.id.as_str()), Some("deal_won"))
    );
}

#[tokio::test]
async fn rules_that_make_no_sense_are_refused() {
    let world = world().await;
    let _slack = world.slack().await;
    let crm = ConnectionId::from_uuid(Uuid::from_u128(0x301));
    let active = changed(crm, "hubspot", ConnectionState::Active);
    world.publish("connection", "authorized", kind::CONNECTION_AUTHORIZED, &active).await;
    world.knows_connections(2).await;
    let set = |who: &'static str, connection: String, rules: Vec<(&str, &str)>| {
        let rule = |(channel, event): (&str, &str)| NewNotificationRule {
            channel_id: channel.to_owned(),
            channel_name: String::new(),
            events: if event.is_empty() { Vec::new() } else { vec![event.to_owned()] },
        };
        let rules = rules.into_iter().map(rule).collect();
        let request = SetNotificationRulesRequest { connection_id: connection, rules };
        let mut client = world.client();
        async move { code(client.set_notification_rules(by(who, request)).await) }
    };
    let own = || connection().to_string();
    let many = vec![("C", "deal_won"); 101];
    assert_eq!(set("ann", own(), vec![("", "deal_won")]).await, "required");
    assert_eq!(set("ann", own(), vec![("C1", "")]).await, "events_invalid");
    assert_eq!(set("ann", own(), vec![("C1", "deal_eaten")]).await, "events_invalid");
    assert_eq!(set("ann", own(), vec![("C1", "deal_won"), ("C1", "deal_lost")]).await, "channel_repeated");
    assert_eq!(set("ann", own(), many).await, "too_many");
    assert_eq!(set("ann", crm.to_string(), Vec::new()).await, "vendor_has_no_channels");
    assert_eq!(set("ann", "conn_1".to_owned(), Vec::new()).await, "connection_not_found");
    assert_eq!(set("other", own(), vec![("C1", "deal_won")]).await, "connection_not_found");
    assert_eq!(set("viewer", own(), Vec::new()).await, "scope_missing");
    assert_eq!(set("first", own(), Vec::new()).await, "partner_key");
}
