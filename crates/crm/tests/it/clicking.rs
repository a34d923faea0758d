//! Registrations are decided in a channel, by people who may (R32, R33, D9).

use std::{collections::BTreeMap, time::Duration};

use model::{AccessChanged, AccessSubject, kind};
use proto::crm::{DealRegistration, ListVendorUsersRequest, VendorUser, VendorUserRequest};
use testkit::eventually;

use crate::{
    slack::{CHANNEL, Slack, connection},
    telling::words,
    world::{PEOPLE, SOON, World, by, code, deal, email, user, world},
};

impl World {
    async fn decided(&self, id: &str, status: &str) -> DealRegistration {
        eventually(SOON, "the registration to be decided", || async {
            let seen = self.get("ann", id).await.unwrap();
            (seen.status == status).then_some(seen)
        })
        .await
    }

    async fn vendor_users(&self) -> Vec<VendorUser> {
        let request = by("ann", ListVendorUsersRequest {});
        self.client().list_vendor_users(request).await.unwrap().into_inner().users
    }

    async fn tell_access(&self, number: usize, action: &str, role: &str) {
        let changed = AccessChanged {
            subject: AccessSubject::User,
            id: user(number).to_string(),
            action: action.to_owned(),
            facts: BTreeMap::from([("role".to_owned(), role.to_owned())]),
            at: crate::world::noon(),
        };
        self.publish("identity", "access_changed", kind::ACCESS_CHANGED, &changed).await;
    }

    /// Until the room has heard that somebody's role is this.
    async fn hears_role(&self, number: usize, role: &str) {
        eventually(SOON, "the room to know the role", || async {
            let known: Option<String> = sqlx::query_scalar("SELECT role FROM people WHERE person = $1")
                .bind(user(number).uuid())
                .fetch_optional(&self.pool)
                .await
                .unwrap();
            (known.as_deref() == Some(role)).then_some(())
        })
        .await;
    }
}

impl Slack<'_> {
    /// A registration whose message, the newest, is posted as this one.
    async fn registered(&mut self, name: &str, message: &str) -> DealRegistration {
        let made = self.world.submit("first", deal(1, name)).await.unwrap();
        let count = self.posts.len() + 1;
        let post = self.posts(count).await[count - 1].clone();
        self.answer(&post, Ok(message)).await;
        made
    }
}

async fn told(world: &World) -> Slack<'_> {
    let slack = world.slack().await;
    world.rules(&[(CHANNEL, &["registration_submitted"])]).await;
    for number in 0..PEOPLE.len() {
        world.confirm(&format!("U{number}"), number).await;
    }
    slack
}

#[tokio::test]
async fn whoever_may_approves_by_a_click_once_and_the_message_says_who_did() {
    let world = world().await;
    let mut slack = told(&world).await;
    let made = slack.registered("Ten presses", "1.1").await;
    slack.approve("t1", 0, &made.id).await;
    let approved = world.decided(&made.id, "approved").await;
    assert_eq!(approved.decided_by, format!("user:{}", user(0)));
    assert!(approved.deal_id.starts_with("rec_"));
    let update = slack.posts(2).await[1].clone();
    assert_eq!((update.replaces.as_deref(), update.channel.as_str()), (Some("1.1"), CHANNEL));
    assert!(update.content.buttons.is_empty());
    assert!(
        words(&update).ends_with("| Approved by Ann Field on 2026-11-20 at 12:00 UTC."),
        "{}",
        words(&update)
    );
    slack.answer(&update, Ok("1.1")).await;
    // The same click comes once more, and then the person clicks again.
    slack.approve("t1", 0, &made.id).await;
    slack.approve("t2", 0, &made.id).await;
    assert_eq!(slack.answers(1).await, ["You decided so already. Nothing changed."]);
    assert_eq!(slack.answers[0].interaction, "t2");
    assert_eq!((slack.answers[0].user.as_str(), slack.answers[0].reply.as_str()), ("U0", "handle"));
    assert_eq!(world.get("ann", &made.id).await.unwrap(), approved);
    slack.posts(2).await;
}

#[tokio::test]
async fn a_rejection_takes_its_reason_from_the_dialog() {
    let world = world().await;
    let mut slack = told(&world).await;
    let made = slack.registered("Ten presses", "1.1").await;
    // The button alone only opens the dialog.
    slack.interact("t1", 1, "registration:reject:ask", &made.id, None).await;
    slack.reject("t2", 1, &made.id, " \n ").await;
    assert!(slack.answers(1).await[0].starts_with("It was not rejected"));
    slack.reject("t3", 1, &made.id, " we are there already ").await;
    let rejected = world.decided(&made.id, "rejected").await;
    assert_eq!(rejected.reason, "we are there already");
    let end = "| Rejected by Bob Marsh on 2026-11-20 at 12:00 UTC: we are there already";
    assert!(words(&slack.posts(2).await[1]).ends_with(end));
    assert_eq!(slack.said(5).await[4].2["reason"], "reason_invalid");
    // Whoever comes late is told who decided.
    slack.approve("t4", 0, &made.id).await;
    let late = slack.answers(2).await[1].clone();
    assert!(late.starts_with("You are too late. Rejected by Bob Marsh on"), "{late}");
    assert_eq!(slack.said(6).await[5].2["reason"], "already_decided");
}

#[tokio::test]
async fn somebody_unknown_is_refused_until_an_admin_confirms_who_it_is() {
    let world = world().await;
    let mut slack = world.slack().await;
    world.rules(&[(CHANNEL, &["registration_submitted"])]).await;
    let made = slack.registered("Ten presses", "1.1").await;
    slack.approve("t1", 1, &made.id).await;
    assert!(slack.answers(1).await[0].starts_with("Accord does not know yet who you are."));
    assert_eq!(world.get("ann", &made.id).await.unwrap().status, "submitted");
    let (refused, actor, body) = slack.said(2).await[1].clone();
    assert_eq!(refused, "deal_registration.decision_refused");
    assert_eq!(
        (actor, body["reason"].as_str()),
        (format!("connection:{}", connection()), Some("user_unmapped"))
    );
    assert_eq!(
        (body["registration"].as_str(), body["vendor_user"].as_str()),
        (Some(made.id.as_str()), Some("U1"))
    );
    // Who it seems to be is known by the e-mail address, and nothing but shown.
    let seen = world.vendor_users().await.remove(0);
    assert_eq!((seen.vendor_user_id.as_str(), seen.user_id.as_str()), ("U1", ""));
    assert_eq!(
        (seen.suggested_user_id, seen.suggested_user_name.as_str()),
        (user(1).to_string(), "Bob Marsh")
    );
    assert!(seen.email.eq_ignore_ascii_case(&email(1)));
    slack.approve("t2", 1, &made.id).await;
    slack.answers(2).await;
    world.confirm("U1", 1).await;
    let seen = world.vendor_users().await.remove(0);
    assert_eq!((seen.user_name.as_str(), seen.suggested_user_id.as_str()), ("Bob Marsh", ""));
    assert!(!seen.confirmed_by.is_empty() && seen.seen_at.is_some());
    slack.approve("t3", 1, &made.id).await;
    world.decided(&made.id, "approved").await;
    // And no more, once an admin takes it back.
    let again = slack.world.submit("first", deal(1, "Spare parts")).await.unwrap();
    let request =
        || VendorUserRequest { connection_id: connection().to_string(), vendor_user_id: "U1".to_owned() };
    world.client().remove_vendor_user(by("bob", request())).await.unwrap();
    assert_eq!(code(world.client().remove_vendor_user(by("bob", request())).await), "vendor_user_not_found");
    slack.approve("t4", 1, &again.id).await;
    slack.answers(3).await;
    assert_eq!(world.get("ann", &again.id).await.unwrap().status, "submitted");
    let said = slack.said(6).await;
    let changes: Vec<_> = said.iter().filter_map(|(_, _, body)| body["change"].as_str()).collect();
    assert_eq!(changes, ["created", "confirmed", "removed"]);
    let text = serde_json::to_string(&said.iter().map(|it| &it.2).collect::<Vec<_>>()).unwrap();
    assert!(!text.to_lowercase().contains("example.com") && !text.contains("person 1"), "{text}");
}

#[tokio::test]
async fn a_role_that_may_not_decide_is_refused_also_when_it_was_another_one_before() {
    let world = world().await;
    let mut slack = told(&world).await;
    let made = slack.registered("Ten presses", "1.1").await;
    slack.approve("t1", 2, &made.id).await;
    let forbidden = "Your role in Accord does not let you decide about deal registrations.";
    assert_eq!(slack.answers(1).await, [forbidden]);
    world.tell_access(1, "role_set", "member").await;
    world.hears_role(1, "member").await;
    // An answer of identity that was on its way does not give the role back.
    world.vendor_users().await;
    slack.reject("t2", 1, &made.id, "no").await;
    world.tell_access(0, "removed", "").await;
    world.hears_role(0, "").await;
    slack.approve("t3", 0, &made.id).await;
    assert_eq!(slack.answers(3).await, [forbidden; 3]);
    assert_eq!(world.get("ann", &made.id).await.unwrap().status, "submitted");
    let said = slack.said(7).await;
    assert!(said[4..].iter().all(|(_, _, body)| body["reason"] == "role_forbidden"));
    assert_eq!(said[4].1, format!("user:{}", user(2)));
}

#[tokio::test]
async fn a_registration_of_another_organization_is_none() {
    let world = world().await;
    let mut slack = told(&world).await;
    let foreign = world.submit("other", deal(3, "Elsewhere")).await.unwrap();
    let values = [foreign.id.as_str(), "dreg_00000000000000000000000000000000", "x", ""];
    for (number, value) in values.into_iter().enumerate() {
        slack.approve(&format!("a{number}"), 0, value).await;
        slack.reject(&format!("r{number}"), 0, value, "no").await;
    }
    slack.interact("t1", 0, "registration:eat", &foreign.id, None).await;
    let answers = slack.answers(8).await;
    assert!(answers.iter().all(|text| text == "There is no such deal registration."));
    assert_eq!(world.get("other", &foreign.id).await.unwrap().status, "submitted");
    let said = slack.said(12).await;
    assert!(said[4..].iter().all(|(_, _, body)| body["reason"] == "registration_unknown"));
}

#[tokio::test]
async fn of_two_clicks_at_the_same_instant_one_stands_and_the_other_is_told() {
    let world = world().await;
    world.replica().await;
    let mut slack = told(&world).await;
    for round in 0..5 {
        let made = world.submit("first", deal(1, &format!("Deal {round}"))).await.unwrap();
        let (one, other) = (format!("a{round}"), format!("b{round}"));
        let (yes, no) = (slack.approve(&one, 0, &made.id), slack.reject(&other, 1, &made.id, "not ours"));
        tokio::join!(yes, no);
        let told = slack.answers(round + 1).await[round].clone();
        let seen = world.get("ann", &made.id).await.unwrap();
        let (winner, loser) =
            if seen.status == "approved" { ("Ann Field", "U1") } else { ("Bob Marsh", "U0") };
        assert!(told.contains(&format!(" by {winner} on ")), "{told}");
        assert_eq!(slack.answers[round].user, loser);
    }
    let said = slack.said(4 + 5).await;
    assert!(said[4..].iter().all(|(_, _, body)| body["reason"] == "already_decided"));
    let submitted = "SELECT count(*) FROM registrations WHERE status IN ('approved', 'rejected')";
    assert_eq!(sqlx::query_scalar::<_, i64>(submitted).fetch_one(&world.pool).await.unwrap(), 5);
}

#[tokio::test]
async fn a_message_follows_what_is_decided_elsewhere_and_what_expires() {
    let world = world().await;
    let mut slack = told(&world).await;
    let first = slack.registered("Ten presses", "1.1").await;
    world.approve("bob", &first.id).await.unwrap();
    let update = slack.posts(2).await[1].clone();
    assert_eq!(update.replaces.as_deref(), Some("1.1"));
    assert!(words(&update).contains("| Approved by an API key on"), "{}", words(&update));
    // Decided before the vendor told which message it is.
    let second = world.submit("first", deal(1, "Spare parts")).await.unwrap();
    let post = slack.posts(3).await[2].clone();
    world.reject("bob", &second.id, "not ours").await.unwrap();
    eventually(SOON, "the decision to be heard", || async {
        let pending = world.bus.pending("EVENTS", "crm-notifications").await.unwrap();
        (pending.waiting == 0 && pending.unanswered == 0).then_some(())
    })
    .await;
    slack.answer(&post, Ok("2.2")).await;
    let update = slack.posts(4).await[3].clone();
    assert_eq!((update.replaces.as_deref(), update.content.buttons.len()), (Some("2.2"), 0));
    assert!(words(&update).ends_with("not ours"));
    // Told again, it changes nothing.
    slack.answer(&post, Ok("2.2")).await;
    slack.registered("Third", "3.3").await;
    world.clock.advance(Duration::from_secs(91 * 86_400));
    let posts = slack.posts(7).await;
    let over: Vec<String> = posts[5..].iter().map(words).collect();
    assert!(over.iter().any(|text| text.contains("Its protection ended on")), "{over:?}");
    assert!(over.iter().any(|text| text.contains("nobody decided in time.")), "{over:?}");
}

// R32: a click waits for nobody's name.
#[tokio::test]
async fn who_somebody_is_may_be_learnt_behind_the_click_and_stays_known() {
    let world = world().await;
    let mut slack = world.slack().await;
    let id = world.submit("first", deal(1, "Ten presses")).await.unwrap().id;
    let called = |name: &'static str| {
        let world = &world;
        eventually(SOON, name, move || async move {
            let mut users = world.vendor_users().await;
            users.retain(|it| it.vendor_user_id == "U9");
            users.pop().filter(|it| it.name == name)
        })
    };
    // Told before the click is heard, and after it: both are the same.
    slack.tell("U9", "Nora Nine", "nora@acme.example").await;
    assert_eq!(called("Nora Nine").await.email, "nora@acme.example");
    slack.click_as("c1", "U9", "nora", &id).await;
    assert_eq!(slack.answers(1).await.len(), 1);
    let known = called("Nora Nine").await;
    assert_eq!((known.email.as_str(), known.user_id.as_str()), ("nora@acme.example", ""));
    slack.tell("U9", "Nora Ninety", "nora@acme.example").await;
    called("Nora Ninety").await;
}
