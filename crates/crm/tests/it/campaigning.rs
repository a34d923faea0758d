//! Sequences and campaigns go out through a mailbox, each mail once, to nobody who does not want them (R249, R250).

use std::time::Duration;

use model::{ConnectionState, MailSent, MailState, kind};
use proto::crm::*;
use testkit::eventually;

use crate::{
    mailbox::{draft, mailbox, person, token},
    slack::changed,
    world::{SOON, by, code, world},
};

const DAY: Duration = Duration::from_secs(86_400);
const HELLO: &[(u32, &str, &str)] = &[(0, "A word, {{first_name}}", "Dear {{first_name}},\n\nhello.")];
const TWICE: &[(u32, &str, &str)] =
    &[(0, "A word, {{first_name}}", "Dear {{first_name}},\n\nhello."), (3, "", "Did you see it?")];

#[tokio::test]
async fn a_campaign_goes_out_once_to_each_recipient() {
    let world = world().await;
    let mut post = world.mailbox().await;
    let campaign = world.started(HELLO, &["ann@one.example", "bob@two.example"]).await;
    assert_eq!((campaign.state.as_str(), campaign.recipient_count), ("running", 2));
    post.mails(2).await;
    post.no_more_than(2).await;
    let mail = post.to("ann@one.example");
    assert_eq!(mail.subject, "A word, ann");
    assert!(mail.text.starts_with("Dear ann,\n\nhello.\n\n--\n"), "{}", mail.text);
    assert_eq!((mail.connection, mail.answers.as_ref()), (mailbox(), None));
    assert_ne!(token(mail), token(post.to("bob@two.example")));
    world.becomes(&campaign.id, "ann@one.example", "sending").await;
    for number in [0, 1, 0] {
        post.sent(number).await;
    }
    let seen = world.becomes(&campaign.id, "ann@one.example", "finished").await;
    assert_eq!((seen.step, seen.due_at), (1, None));
    world.becomes(&campaign.id, "bob@two.example", "finished").await;
    let request = CampaignRequest { id: campaign.id };
    let over = world.client().get_campaign(by("viewer", request)).await.unwrap().into_inner();
    assert_eq!((over.state.as_str(), over.mails_sent), ("finished", 2));
    assert_eq!(over.recipients, [RecipientCount { state: "finished".to_owned(), count: 2 }]);
}

#[tokio::test]
async fn a_reply_stops_a_sequence_and_a_note_of_absence_does_not() {
    let world = world().await;
    let mut post = world.mailbox().await;
    let people = ["ann@one.example", "bob@two.example", "cid@three.example", "dan@four.example"];
    // What came in before is no reply, whenever it is told.
    post.comes_in("dan@four.example", "", "", "An old one.").await;
    world.clock.advance(Duration::from_secs(60));
    let campaign = world.started(TWICE, &people).await;
    post.mails(4).await;
    for number in 0..4 {
        post.sent(number).await;
    }
    for email in people {
        world.becomes(&campaign.id, email, "sent").await;
    }
    let first = post.mails.clone();
    let place = |email: &str| first.iter().position(|mail| mail.to.address == email).unwrap();
    let thread_of = |email: &str| format!("thread-{}", place(email));
    world.clock.advance(DAY);
    post.comes_in("Ann@One.example", "elsewhere", "", "Thank you!").await;
    // A colleague answers in the thread.
    post.comes_in("boss@two.example", &thread_of("bob@two.example"), "", "Call me.").await;
    let away = thread_of("cid@three.example");
    post.comes_in("cid@three.example", &away, "auto_reply", "I am away.").await;
    world.becomes(&campaign.id, "ann@one.example", "replied").await;
    world.becomes(&campaign.id, "bob@two.example", "replied").await;
    world.clock.advance(2 * DAY);
    post.mails(6).await;
    post.no_more_than(6).await;
    let first = place("cid@three.example");
    let second = post.to("cid@three.example");
    assert_eq!(second.answers, Some(format!("sent-{first}")));
    assert_eq!(second.subject, "Re: A word, cid");
    assert_eq!(post.to("dan@four.example").subject, "Re: A word, dan");
}

#[tokio::test]
async fn a_mail_that_comes_back_puts_its_address_on_the_list() {
    let world = world().await;
    let mut post = world.mailbox().await;
    let campaign = world.started(TWICE, &["ann@one.example", "bob@two.example", "cid@three.example"]).await;
    let other = world.started(&[(1, "Later", "hello")], &["ann@one.example"]).await;
    post.mails(3).await;
    for number in 0..3 {
        post.sent(number).await;
    }
    for email in ["ann@one.example", "bob@two.example", "cid@three.example"] {
        world.becomes(&campaign.id, email, "sent").await;
    }
    let place = post.mails.iter().position(|mail| mail.to.address == "ann@one.example").unwrap();
    let daemon = "mailer-daemon@three.example";
    post.comes_in(daemon, &format!("thread-{place}"), "bounce", "No such user.").await;
    post.comes_in(daemon, "", "bounce", "To <Bob@two.example>: no such user. Ask sales@accord.example.")
        .await;
    // Which of the two it was cannot be said.
    post.comes_in(daemon, "", "bounce", "bob@two.example or cid@three.example").await;
    world.becomes(&campaign.id, "ann@one.example", "bounced").await;
    world.becomes(&campaign.id, "bob@two.example", "bounced").await;
    let elsewhere = world.becomes(&other.id, "ann@one.example", "suppressed").await;
    assert_eq!(elsewhere.reason, "bounced");
    assert!(!elsewhere.reason_message.is_empty());
    let request = ListSuppressionsRequest::default();
    let listed = world.client().list_suppressions(by("viewer", request)).await.unwrap().into_inner();
    let mut listed: Vec<(String, String)> =
        listed.suppressions.into_iter().map(|it| (it.email, it.reason)).collect();
    listed.sort();
    let both = ["ann@one.example", "bob@two.example"].map(|it| (it.to_owned(), "bounced".to_owned()));
    assert_eq!(listed, both);
    world.clock.advance(3 * DAY);
    post.mails(4).await;
    post.no_more_than(4).await;
    assert_eq!(post.mails[3].to.address, "cid@three.example");
}

#[tokio::test]
async fn pages_lead_through_all_suppressions_once_and_their_names_say_no_address() {
    let world = world().await;
    let emails = |numbers: std::ops::Range<u32>| {
        let emails: Vec<String> = numbers.map(|number| format!("p{number}@one.example")).collect();
        emails
    };
    for numbers in [0..5, 5..7] {
        let request = AddSuppressionsRequest { emails: emails(numbers) };
        world.client().add_suppressions(by("ann", request)).await.unwrap();
    }
    let (mut page, mut seen) = (String::new(), Vec::new());
    loop {
        let request = ListSuppressionsRequest { limit: 2, page, ..ListSuppressionsRequest::default() };
        let answer = world.client().list_suppressions(by("viewer", request)).await.unwrap().into_inner();
        seen.extend(answer.suppressions.into_iter().map(|it| it.email));
        page = answer.next_page;
        if page.is_empty() {
            break;
        }
        assert!(page.chars().all(|letter| letter.is_ascii_digit() || letter == '.'), "{page}");
    }
    seen.sort();
    assert_eq!(seen, emails(0..7));
    for page in ["1.p1@one.example", "1", "x.1", "1.9999999999999999999999", "\0", "99999999999999999999.1"] {
        let request = ListSuppressionsRequest { page: page.to_owned(), ..ListSuppressionsRequest::default() };
        assert_eq!(
            code(world.client().list_suppressions(by("ann", request)).await),
            "page_invalid",
            "{page}"
        );
    }
}

#[tokio::test]
async fn who_opts_out_by_the_link_gets_no_mail_of_any_campaign_again() {
    let world = world().await;
    let mut post = world.mailbox().await;
    let campaign = world.started(TWICE, &["ann@one.example"]).await;
    let other = world.started(&[(1, "Later", "hello")], &["ann@one.example", "bob@two.example"]).await;
    let mail = post.mails(1).await[0].clone();
    post.sent(0).await;
    world.becomes(&campaign.id, "ann@one.example", "sent").await;
    let stored: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT token_hash FROM mails").fetch_all(&world.pool).await.unwrap();
    assert!(stored.iter().all(|hash| hash.len() == 32 && *hash != token(&mail).into_bytes()));
    for wrong in ["", "preview", &token(&mail)[1..], &"x".repeat(10_000)] {
        let request = OptOutRequest { token: wrong.to_owned() };
        assert_eq!(code(world.client().opt_out(request).await), "link_not_found");
    }
    // The link works forever, and again.
    world.clock.advance(400 * DAY);
    for _ in 0..2 {
        world.client().opt_out(OptOutRequest { token: token(&mail) }).await.unwrap();
    }
    world.becomes(&campaign.id, "ann@one.example", "opted_out").await;
    post.mails(2).await;
    post.no_more_than(2).await;
    assert_eq!(post.mails[1].to.address, "bob@two.example");
    let elsewhere = world.becomes(&other.id, "ann@one.example", "suppressed").await;
    assert_eq!(elsewhere.reason, "opted_out");
    let refused = world.enrol(&other.id, vec![person("ANN@one.example"), person("cid@x.example")]).await;
    let refused = refused.unwrap();
    assert_eq!((refused.enrolled, refused.refused.len()), (1, 1));
    assert_eq!((refused.refused[0].index, refused.refused[0].code.as_str()), (0, "suppressed"));
}

#[tokio::test]
async fn who_is_put_on_the_list_between_the_start_and_the_sending_gets_nothing() {
    let world = world().await;
    let mut post = world.mailbox().await;
    let made = world.campaign(draft(&[(1, "Later", "hello")])).await.unwrap();
    let people = ["ann@one.example", "bob@two.example", "cid@three.example"];
    world.enrol(&made.id, people.iter().copied().map(person).collect()).await.unwrap();
    world.start(&made.id).await.unwrap();
    // Past all that takes recipients out at once: only the sending itself can see it.
    sqlx::query(
        "INSERT INTO suppressions (organization, address, reason, at) VALUES ($1, 'ann@one.example', 'manual', now())",
    )
    .bind(world.organization.uuid())
    .execute(&world.pool)
    .await
    .unwrap();
    let emails = ["Bob@TWO.example", "bob@two.example", "nobody", "zed@x.example"].map(str::to_owned);
    let request = AddSuppressionsRequest { emails: emails.into() };
    let added = world.client().add_suppressions(by("ann", request.clone())).await.unwrap().into_inner();
    assert_eq!((added.added, added.known, added.refused.len()), (2, 1, 1));
    assert_eq!((added.refused[0].index, added.refused[0].code.as_str()), (2, "address_invalid"));
    assert_eq!(code(world.client().add_suppressions(by("viewer", request)).await), "scope_missing");
    world.becomes(&made.id, "bob@two.example", "suppressed").await;
    world.becomes(&made.id, "ann@one.example", "scheduled").await;
    world.clock.advance(DAY);
    post.mails(1).await;
    let seen = world.becomes(&made.id, "ann@one.example", "suppressed").await;
    assert_eq!((seen.reason.as_str(), seen.step), ("manual", 0));
    post.no_more_than(1).await;
    assert_eq!(post.mails[0].to.address, "cid@three.example");
    let remove = || RemoveSuppressionRequest { email: "Zed@x.example".to_owned() };
    world.client().remove_suppression(by("ann", remove())).await.unwrap();
    assert_eq!(code(world.client().remove_suppression(by("ann", remove())).await), "suppression_not_found");
}

#[tokio::test]
async fn three_instances_share_the_work_and_each_mail_is_asked_for_once() {
    let world = world().await;
    let mut post = world.mailbox().await;
    world.replica().await;
    world.replica().await;
    let request =
        SetMailboxRequest { connection_id: mailbox().to_string(), per_minute: 1_000, per_day: 5_000 };
    world.client().set_mailbox(by("ann", request)).await.unwrap();
    let people: Vec<String> = (0..700).map(|number| format!("p{number}@many.example")).collect();
    let people: Vec<&str> = people.iter().map(String::as_str).collect();
    world.started(HELLO, &people).await;
    post.mails(700).await;
    post.no_more_than(700).await;
    let addresses: std::collections::BTreeSet<&str> =
        post.mails.iter().map(|mail| mail.to.address.as_str()).collect();
    assert_eq!(addresses.len(), 700);
}

#[tokio::test]
async fn a_mailbox_sends_no_more_than_its_limits_and_only_in_the_hours_of_the_campaign() {
    let world = world().await;
    let mut post = world.mailbox().await;
    let set =
        |per_minute, per_day| SetMailboxRequest { connection_id: mailbox().to_string(), per_minute, per_day };
    assert_eq!(code(world.client().set_mailbox(by("ann", set(0, 5))).await), "limit_invalid");
    world.client().set_mailbox(by("ann", set(3, 5))).await.unwrap();
    let people = (0..9).map(|number| person(&format!("p{number}@many.example"))).collect();
    // From one in the afternoon in Berlin, which is noon in London; on working days.
    let zone = "Europe/Berlin".to_owned();
    let window = SendingWindow { time_zone: zone, from_minute: 780, until_minute: 840, weekdays_only: true };
    let made = world.campaign(CampaignDraft { window: Some(window), ..draft(HELLO) }).await.unwrap();
    world.enrol(&made.id, people).await.unwrap();
    world.start(&made.id).await.unwrap();
    post.mails(3).await;
    post.no_more_than(3).await;
    world.clock.advance(Duration::from_secs(61));
    // A mailbox that has not sent these is asked for no more.
    post.no_more_than(3).await;
    for number in 0..3 {
        post.sent(number).await;
    }
    post.mails(5).await;
    for number in 3..5 {
        post.sent(number).await;
    }
    world.clock.advance(Duration::from_secs(61));
    post.no_more_than(5).await;
    let mailboxes = world.client().list_mailboxes(by("viewer", ListMailboxesRequest {})).await.unwrap();
    let told = mailboxes.into_inner().mailboxes.remove(0);
    assert_eq!((told.per_minute, told.per_day, told.asked_today), (3, 5, 5));
    // The day after is a Saturday; on Monday it is too early first.
    world.clock.advance(DAY);
    post.no_more_than(5).await;
    world.clock.advance(2 * DAY - Duration::from_secs(600));
    post.no_more_than(5).await;
    world.clock.advance(Duration::from_secs(600));
    post.mails(8).await;
}

#[tokio::test]
async fn what_the_mailbox_cannot_send_pauses_the_campaign_and_what_one_address_refuses_does_not() {
    let world = world().await;
    let mut post = world.mailbox().await;
    let campaign = world.started(HELLO, &["ann@one.example", "bob@two.example"]).await;
    post.mails(2).await;
    let place = |email: &str| post.mails.iter().position(|mail| mail.to.address == email).unwrap();
    let (ann, bob) = (place("ann@one.example"), place("bob@two.example"));
    post.failed(ann, "recipient_refused", false).await;
    let failed = world.becomes(&campaign.id, "ann@one.example", "failed").await;
    assert_eq!(failed.reason, "recipient_refused");
    post.failed(bob, "scope_missing", true).await;
    world.becomes(&campaign.id, "bob@two.example", "scheduled").await;
    let request = || CampaignRequest { id: campaign.id.clone() };
    let paused = world.client().get_campaign(by("viewer", request())).await.unwrap().into_inner();
    assert_eq!((paused.state.as_str(), paused.pause_reason.as_str()), ("paused", "scope_missing"));
    assert!(paused.pause_message.contains("connect it again"), "{}", paused.pause_message);
    // A late answer to the same mail changes nothing.
    post.sent(bob).await;
    post.no_more_than(2).await;
    let resumed = world.client().resume_campaign(by("ann", request())).await.unwrap().into_inner();
    assert_eq!((resumed.state.as_str(), resumed.pause_reason.as_str()), ("running", ""));
    post.mails(3).await;
    assert_eq!(post.mails[2].to.address, "bob@two.example");
    assert_ne!(post.mails[2].mail, post.mails[bob].mail);
    // For a day it could not send at all.
    post.failed(2, "mail_too_late", false).await;
    world.becomes(&campaign.id, "bob@two.example", "scheduled").await;
    world.client().resume_campaign(by("ann", request())).await.unwrap();
    post.mails(4).await;
    let unsure = MailSent {
        connection: mailbox(),
        mail: post.mails[3].mail,
        state: MailState::Unsure,
        external_id: None,
        thread: None,
        at: crate::world::noon(),
        error: None,
        message: None,
        retryable: false,
    };
    post.answer(&unsure).await;
    world.becomes(&campaign.id, "bob@two.example", "finished").await;
}

#[tokio::test]
async fn a_mail_that_waits_at_a_mailbox_is_withdrawn_from_whoever_wants_none_any_more() {
    let world = world().await;
    let mut post = world.mailbox().await;
    let before = world.started(HELLO, &["ann@one.example"]).await;
    let link = token(&post.mails(1).await[0]);
    post.sent(0).await;
    world.becomes(&before.id, "ann@one.example", "finished").await;
    let people =
        ["ann@one.example", "bob@two.example", "cid@three.example", "dan@four.example", "eve@five.example"];
    let campaign = world.started(HELLO, &people).await;
    post.mails(6).await;
    let place = |email: &str| {
        let is_it = |mail: &model::SendMail| mail.to.address == email;
        post.mails.iter().rposition(is_it).unwrap()
    };
    let [ann, bob, cid, dan, eve] = people.map(place);
    world.client().opt_out(OptOutRequest { token: link }).await.unwrap();
    let emails = vec!["bob@two.example".to_owned(), "eve@five.example".to_owned()];
    world.client().add_suppressions(by("ann", AddSuppressionsRequest { emails })).await.unwrap();
    let stop = RecipientRequest {
        campaign_id: campaign.id.clone(),
        recipient_id: world.recipients(&campaign.id).await["cid@three.example"].id.clone(),
    };
    world.client().stop_recipient(by("ann", stop)).await.unwrap();
    let asked = |place: usize| post.mails[place].mail;
    let expected = [ann, bob, cid, eve].map(asked).into();
    assert_eq!(post.withdrawn(4).await, expected);
    for number in [ann, bob, cid] {
        post.failed(number, model::MAIL_WITHDRAWN, false).await;
    }
    // One came too late.
    post.sent(eve).await;
    post.sent(dan).await;
    world.becomes(&campaign.id, "dan@four.example", "finished").await;
    let told = world.recipients(&campaign.id).await;
    let told =
        people.map(|email| (told[email].state.as_str(), told[email].reason.as_str(), told[email].step));
    let stands = [
        ("suppressed", "opted_out", 0),
        ("suppressed", "manual", 0),
        ("stopped", "", 0),
        ("finished", "", 1),
        ("suppressed", "manual", 1),
    ];
    assert_eq!(told, stands);
    let request = CampaignRequest { id: campaign.id };
    let over = world.client().get_campaign(by("viewer", request)).await.unwrap().into_inner();
    assert_eq!((over.state.as_str(), over.mails_sent), ("finished", 2));
    post.no_more_than(6).await;
    assert_eq!(post.withdrawn.len(), 4);
}

#[tokio::test]
async fn a_mail_that_waits_at_a_mailbox_comes_back_when_its_campaign_is_paused_and_goes_out_later() {
    let world = world().await;
    let mut post = world.mailbox().await;
    let campaign = world.started(HELLO, &["ann@one.example", "bob@two.example"]).await;
    post.mails(2).await;
    let request = || CampaignRequest { id: campaign.id.clone() };
    world.client().pause_campaign(by("ann", request())).await.unwrap();
    assert_eq!(post.withdrawn(2).await, [post.mails[0].mail, post.mails[1].mail].into());
    // One had left.
    post.sent(0).await;
    post.failed(1, model::MAIL_WITHDRAWN, false).await;
    let (gone, back) = (post.mails[0].to.address.clone(), post.mails[1].to.address.clone());
    world.becomes(&campaign.id, &gone, "finished").await;
    world.becomes(&campaign.id, &back, "scheduled").await;
    let paused = world.client().get_campaign(by("viewer", request())).await.unwrap().into_inner();
    assert_eq!((paused.state.as_str(), paused.pause_reason.as_str()), ("paused", ""));
    world.client().resume_campaign(by("ann", request())).await.unwrap();
    assert_eq!(post.mails(3).await[2].to.address, back);
    post.sent(2).await;
    world.becomes(&campaign.id, &back, "finished").await;
    post.no_more_than(3).await;
}

#[tokio::test]
async fn a_paused_campaign_and_a_mailbox_that_is_not_connected_send_nothing() {
    let world = world().await;
    let mut post = world.mailbox().await;
    let campaign = world.started(&[(1, "Later", "hello")], &["ann@one.example", "bob@two.example"]).await;
    let request = || CampaignRequest { id: campaign.id.clone() };
    let paused = world.client().pause_campaign(by("ann", request())).await.unwrap().into_inner();
    assert_eq!(paused.state, "paused");
    world.client().pause_campaign(by("ann", request())).await.unwrap();
    world.clock.advance(DAY);
    post.no_more_than(0).await;
    let stop = RecipientRequest {
        campaign_id: campaign.id.clone(),
        recipient_id: world.recipients(&campaign.id).await["ann@one.example"].id.clone(),
    };
    let stopped = world.client().stop_recipient(by("ann", stop)).await.unwrap().into_inner();
    assert_eq!((stopped.state.as_str(), stopped.due_at), ("stopped", None));
    let lost = changed(mailbox(), "m365", ConnectionState::ReauthRequired);
    world.publish("connection", "changed", kind::CONNECTION_CHANGED, &lost).await;
    eventually(SOON, "the room to hear of it", || async {
        let mailboxes = world.client().list_mailboxes(by("viewer", ListMailboxesRequest {})).await.unwrap();
        (mailboxes.into_inner().mailboxes[0].state == "reauth_required").then_some(())
    })
    .await;
    let refused = world.client().resume_campaign(by("ann", request())).await;
    assert_eq!(code(refused), "connection_not_active");
    let back = changed(mailbox(), "m365", ConnectionState::Active);
    world.publish("connection", "authorized", kind::CONNECTION_AUTHORIZED, &back).await;
    eventually(SOON, "it to be resumed", || async {
        world.client().resume_campaign(by("ann", request())).await.ok()
    })
    .await;
    post.mails(1).await;
    post.no_more_than(1).await;
    assert_eq!(post.mails[0].to.address, "bob@two.example");
}
