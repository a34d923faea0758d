use axum::http::StatusCode;
use model::Role;
use tonic::Code;
use web_console::sample;

use crate::console::{Browser, connection};

fn slack() -> String {
    format!("/settings/integrations/slack/{}", sample::id("conn", 3))
}

async fn browser(role: Role) -> Browser {
    let browser = Browser::of(role).await;
    browser.rooms.serve_all_vendors();
    browser
}

#[tokio::test]
async fn a_workspace_shows_what_is_told_where_and_whom_nobody_confirmed() {
    let mut browser = browser(Role::Owner).await;
    let page = browser.get(&slack()).await;
    for shown in [
        "Workspace ID",
        "Told in 2 channels",
        "1 person confirmed",
        "#deals",
        "Deal won",
        "#old-&#60;partners&#62;",
        "The channel is archived.",
        "2 people who clicked are not confirmed",
    ] {
        assert!(page.body.contains(shown), "no {shown} in {}", page.body);
    }
    for not in ["Object pairs", "Refresh schema", "Sync now", "Schema read", "#elsewhere"] {
        assert!(!page.body.contains(not), "{not} is shown of channels");
    }
    let part = browser.get(&format!("{}/live", slack())).await;
    assert!(part.body.contains("#deals") && !part.body.contains("<html"), "{}", part.body);
}

#[tokio::test]
async fn a_mailbox_shows_how_far_its_folders_are_read_and_nothing_of_records() {
    let mut browser = browser(Role::Owner).await;
    let path = format!("/settings/integrations/m365/{}", sample::m365_connection().id);
    let page = browser.get(&path).await;
    for shown in [
        "Mailbox ID",
        "mara@northwind.example",
        "Inbox",
        "12,480",
        "Reading history",
        "Microsoft 365 answered 503",
        "Pushed, and looked for every 5 min",
        "Microsoft did not get the answer that it wants",
        "15,594 activities so far",
        "Sync now",
        "href=\"/campaigns/mailboxes#",
    ] {
        assert!(page.body.contains(shown), "no {shown} in {}", page.body);
    }
    for not in ["Object pairs", "Refresh schema", "Told in channels", "Recent conflicts"] {
        assert!(!page.body.contains(not), "{not} is shown of a mailbox");
    }
    browser.rooms.asked();
    for page in ["channels", "people"] {
        assert_eq!(browser.get(&format!("{path}/{page}")).await.status, StatusCode::NOT_FOUND, "{page}");
        let hubspot = format!("{}/{page}", connection());
        assert_eq!(browser.get(&hubspot).await.status, StatusCode::NOT_FOUND, "{page}");
        let posted = browser.post(&hubspot, &[("channel", "C1"), ("person", "U1")]).await;
        assert_eq!(posted.status, StatusCode::NOT_FOUND, "{page}");
    }
    assert!(browser.rooms.asked().is_empty());
}

#[tokio::test]
async fn what_is_told_in_a_channel_is_chosen_and_the_other_channels_stay_as_they_are() {
    let mut browser = browser(Role::Admin).await;
    let path = format!("{}/channels", slack());
    let page = browser.get(&path).await;
    for shown in [
        "<option value=\"C0SAMPLE2\">#partner-ops (private)</option>",
        "#random – Accord is not in it",
        "value=\"deal_won\" checked",
        "The channel is archived.",
    ] {
        assert!(page.body.contains(shown), "no {shown} in {}", page.body);
    }
    assert!(!page.body.contains("<option value=\"C0SAMPLE1\""), "#deals has its rule already");
    let old = "C0SAMPLE9 #old-<partners> partner_created+payout_created";
    let deals = "C0SAMPLE1 #deals deal_won+registration_submitted";
    let of = format!("rules of {}:", sample::id("conn", 3));
    let add = [("channel", "C0SAMPLE2"), ("event", "deal_won"), ("event", "deal_lost"), ("action", "save")];
    let page = browser.post(&path, &add).await;
    assert_eq!(page.location(), path);
    let added = "C0SAMPLE2 #partner-ops deal_won+deal_lost";
    assert_eq!(browser.rooms.asked(), [format!("{of} {deals}, {old}, {added}")]);
    let page = browser.get(&path).await;
    assert!(page.body.contains("#partner-ops is told “Deal won” and “Deal lost” from now on."));
    let change = [("channel", "C0SAMPLE1"), ("event", "sync_trouble"), ("action", "save")];
    browser.post(&path, &change).await;
    assert_eq!(browser.rooms.asked(), [format!("{of} {old}, C0SAMPLE1 #deals sync_trouble")]);
    browser.post(&path, &[("channel", "C0SAMPLE9"), ("action", "remove")]).await;
    assert_eq!(browser.rooms.asked(), [format!("{of} {deals}")]);
    for (form, code) in [
        (vec![("channel", "C0SAMPLE2"), ("action", "save")], "events_required"),
        (vec![("channel", ""), ("event", "deal_won"), ("action", "save")], "channel_required"),
        (vec![("channel", "C0NOWHERE"), ("event", "deal_won"), ("action", "save")], "channel_unknown"),
    ] {
        let page = browser.post(&path, &form).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{form:?}");
        assert!(page.body.contains(code), "no {code} in {}", page.body);
    }
    assert!(browser.rooms.asked().is_empty());
}

#[tokio::test]
async fn what_is_told_stays_to_be_changed_while_the_vendor_lists_no_channels() {
    let mut browser = browser(Role::Admin).await;
    browser.rooms.hide_channels();
    let path = format!("{}/channels", slack());
    let page = browser.get(&path).await;
    assert!(page.body.contains("The channels cannot be listed at the moment"), "{}", page.body);
    assert!(page.body.contains("id=\"save-C0SAMPLE1\"") && !page.body.contains("id=\"add\""));
    browser.post(&path, &[("channel", "C0SAMPLE1"), ("event", "deal_lost"), ("action", "save")]).await;
    assert_eq!(browser.rooms.asked().len(), 1);
    let add = [("channel", "C0SAMPLE2"), ("event", "deal_won"), ("action", "save")];
    assert_eq!(browser.post(&path, &add).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(browser.rooms.asked().is_empty());
    browser.rooms.set_connection_state("reauth_required");
    let page = browser.get(&path).await;
    assert!(!page.body.contains("cannot be listed") && page.body.contains("#deals"), "{}", page.body);
}

#[tokio::test]
async fn members_and_viewers_see_what_is_told_and_choose_nothing() {
    for role in [Role::Member, Role::Viewer] {
        let mut browser = browser(role).await;
        let path = format!("{}/channels", slack());
        let page = browser.get(&path).await;
        assert!(page.body.contains("#deals") && !page.body.contains("type=\"checkbox\""), "{}", page.body);
        let form = [("channel", "C0SAMPLE1"), ("action", "remove")];
        assert_eq!(browser.post(&path, &form).await.status, StatusCode::FORBIDDEN);
        let path = format!("{}/people", slack());
        assert_eq!(browser.get(&path).await.status, StatusCode::FORBIDDEN);
        let form = [("person", "U0SAMPLE3"), ("user", &*sample::id("user", 1)), ("action", "confirm")];
        assert_eq!(browser.post(&path, &form).await.status, StatusCode::FORBIDDEN);
        assert!(browser.rooms.asked().is_empty());
        let page = browser.get(&slack()).await;
        assert!(page.body.contains("#deals") && !page.body.contains("id=\"people\""), "{}", page.body);
    }
}

#[tokio::test]
async fn an_admin_says_who_people_are_and_an_e_mail_address_only_suggests_it() {
    let mut browser = browser(Role::Admin).await;
    let path = format!("{}/people", slack());
    let page = browser.get(&path).await;
    let aiko = sample::id("user", 3);
    for shown in [
        "Aiko &#60;T&#62;",
        &format!("<option value=\"{aiko}\" selected>Aiko Tanaka (Member)"),
        "Suggested",
        "Not known",
        "2 days ago</time> by you",
    ] {
        assert!(page.body.contains(shown), "no {shown} in {}", page.body);
    }
    let id_of = |n: u32| format!("<code class=\"muted\">U0SAMPLE{n}</code>");
    assert!(page.body.contains(&id_of(2)) && page.body.contains("<strong>U0SAMPLE3</strong>"));
    assert!(!page.body.contains(&id_of(3)), "who has no name is called by the id, and it is said once");
    assert!(!page.body.contains("U0ELSEWHERE"), "whoever is in another workspace is not here");
    let confirm = [("person", "U0SAMPLE2"), ("user", aiko.as_str()), ("action", "confirm")];
    assert_eq!(browser.post(&path, &confirm).await.location(), path);
    assert!(
        browser.get(&path).await.body.contains("is Mara Lindqvist. What they click is done in that name")
    );
    browser.post(&path, &[("person", " U0NEW "), ("user", &aiko), ("action", "confirm")]).await;
    browser.post(&path, &[("person", "U0SAMPLE1"), ("user", &aiko), ("action", "remove")]).await;
    let asked = [
        format!("confirm U0SAMPLE2 as {aiko}"),
        format!("confirm U0NEW as {aiko}"),
        "forget U0SAMPLE1".to_owned(),
    ];
    assert_eq!(browser.rooms.asked(), asked);
    for (form, code) in [
        (vec![("person", "U0SAMPLE2"), ("user", ""), ("action", "confirm")], "user_required"),
        (vec![("person", " "), ("user", &*aiko), ("action", "confirm")], "person_required"),
    ] {
        let page = browser.post(&path, &form).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(page.body.contains(code), "no {code} in {}", page.body);
    }
    assert!(browser.rooms.asked().is_empty());
    browser.rooms.fail_next(Code::NotFound, "user_not_found", "There is no such user.");
    assert_eq!(browser.post(&path, &confirm).await.status, StatusCode::NOT_FOUND);
}
