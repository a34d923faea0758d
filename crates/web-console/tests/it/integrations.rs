use axum::http::StatusCode;
use model::Role;
use tonic::Code;
use web_console::sample;

use crate::console::{Browser, connection, mapping};

#[tokio::test]
async fn there_is_a_card_for_each_of_the_five_tools() {
    let mut browser = Browser::of(Role::Viewer).await;
    let page = browser.get("/settings/integrations").await;
    for name in ["Salesforce", "HubSpot", "Slack", "Google Calendar", "Microsoft 365"] {
        assert!(page.body.contains(&format!(">{name}<")), "{name} has no card");
    }
    assert_eq!(page.body.matches("Not yet available").count(), 3);
    for shown in ["Active", "48120037", "Integration Health", "Audit log"] {
        assert!(page.body.contains(shown), "{shown} is not shown");
    }
    // What the edition there does not have is said where one looks first.
    let (_, card) = page.body.split_once("id=\"card-hubspot\"").unwrap();
    let card = card.split_once("</li>").unwrap().0;
    assert!(card.contains("This portal has no custom objects"), "{card}");
}

#[tokio::test]
async fn where_all_five_connectors_run_each_card_is_live_and_tells_its_own_next_step() {
    let mut browser = Browser::of(Role::Owner).await;
    browser.rooms.serve_all_vendors();
    let page = browser.get("/settings/integrations").await;
    assert!(!page.body.contains("Not yet available"), "{}", page.body);
    for id in ["open-slack", "open-m365", "connect-google-calendar", "connect-salesforce"] {
        assert!(page.body.contains(&format!("id=\"{id}\"")), "no {id} in {}", page.body);
    }
    let (_, slack) = page.body.split_once("id=\"card-slack\"").unwrap();
    let (_, m365) = page.body.split_once("id=\"card-m365\"").unwrap();
    assert!(slack.split_once("</li>").unwrap().0.contains("Workspace ID"));
    assert!(!m365.split_once("</li>").unwrap().0.contains("map the fields"), "mail has no fields: {m365}");
}

#[tokio::test]
async fn connecting_says_what_it_means_for_that_vendor() {
    let mut browser = Browser::of(Role::Admin).await;
    browser.rooms.serve_all_vendors();
    for (vendor, said) in [
        ("slack", "Nothing is posted before that."),
        ("m365", "everybody here can read it there"),
        ("google-calendar", "What is there is read, then what is new."),
        ("hubspot", "No record moves before you activate them."),
    ] {
        let path = format!("/settings/integrations/{vendor}/connect");
        let page = browser.get(&path).await;
        assert!(page.body.contains(said), "{vendor}: {}", page.body);
        assert_eq!(page.body.contains("CRM records"), vendor == "hubspot", "{vendor}");
        browser.post(&path, &[]).await;
        assert_eq!(browser.rooms.asked(), [format!("begin {vendor} /settings/integrations")]);
    }
    let lost = sample::slack_connection("reauth_required").id;
    let page = browser.get(&format!("/settings/integrations/slack/connect?connection={lost}")).await;
    assert!(page.body.contains("What you chose is told again"), "{}", page.body);
}

#[tokio::test]
async fn connecting_says_first_that_it_concerns_everybody_and_leaves_by_a_page() {
    let mut browser = Browser::of(Role::Admin).await;
    let page = browser.get("/settings/integrations/hubspot/connect").await;
    assert!(page.body.contains("This concerns your whole organization."));
    assert!(browser.rooms.asked().is_empty(), "something was begun before the confirmation");
    let page = browser.post("/settings/integrations/hubspot/connect", &[]).await;
    assert_eq!(page.status, StatusCode::OK, "a redirect of a form would be stopped by form-action");
    let url = "https://api.accord.test/oauth/start?ticket=t1&#38;x=2";
    assert!(page.body.contains(&format!(r#"http-equiv="refresh" content="0; url={url}""#)), "{}", page.body);
    assert!(page.body.contains(&format!(r#"href="{url}""#)));
    assert_eq!(browser.rooms.asked(), ["begin hubspot /settings/integrations"]);
}

#[tokio::test]
async fn where_several_places_to_sign_in_are_the_chosen_one_is_gone_to() {
    let mut browser = Browser::of(Role::Admin).await;
    let path = "/settings/integrations/salesforce/connect";
    let page = browser.get(path).await;
    for shown in [
        "Where do you sign in to Salesforce?",
        "Sandbox",
        "<span>My Domain</span>",
        "while you work in Salesforce",
    ] {
        assert!(page.body.contains(shown), "{shown} is not shown");
    }
    let page = browser.get("/settings/integrations/hubspot/connect").await;
    assert!(!page.body.contains("Where do you sign in"), "HubSpot has one place");
    let lost = sample::salesforce_connection();
    let page = browser.get(&format!("{path}?connection={}", lost.id)).await;
    assert!(!page.body.contains("Where do you sign in"), "a connection keeps its place");
    for shown in ["Connect Salesforce again</h1>", &lost.account_id, "goes on at once"] {
        assert!(page.body.contains(shown), "{shown} is not shown");
    }
    assert!(!page.body.contains("No record moves"), "records move at once");
    assert_eq!(browser.get(&format!("{path}?connection=conn_1")).await.status, StatusCode::NOT_FOUND);
    for (site, own_site, gone_to) in [
        ("", "", ""),
        ("sandbox", "left over", " sandbox"),
        ("_own", " acme.my.salesforce.com", "  acme.my.salesforce.com"),
    ] {
        let page = browser.post(path, &[("site", site), ("own_site", own_site)]).await;
        assert_eq!(page.status, StatusCode::OK);
        assert_eq!(browser.rooms.asked(), [format!("begin salesforce /settings/integrations{gone_to}")]);
    }
}

#[tokio::test]
async fn a_place_to_sign_in_that_is_refused_is_told_at_its_field_with_what_was_typed() {
    let mut browser = Browser::of(Role::Admin).await;
    let path = "/settings/integrations/salesforce/connect";
    browser.rooms.fail_next(Code::InvalidArgument, "site_invalid", "this is no login: like acme");
    let page = browser.post(path, &[("site", "_own"), ("own_site", "evil.example")]).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    let typed = r#"name="own_site" value="evil.example""#;
    let chosen = r#"value="_own" checked"#;
    let said = r#"aria-describedby="own_site-error own_site-hint""#;
    for shown in [typed, chosen, said, "This is no login: like acme.", "site_invalid"] {
        assert!(page.body.contains(shown), "{shown} is not shown: {}", page.body);
    }
    browser.rooms.asked();
    let page = browser.post(path, &[("site", "_own"), ("own_site", " ")]).await;
    assert!(page.body.contains("Enter where you sign in") && page.body.contains(chosen));
    assert!(browser.rooms.asked().is_empty(), "nowhere is no place to begin at");
    browser.rooms.fail_next(Code::InvalidArgument, "site_invalid", "there is no such place");
    let page = browser.post(path, &[("site", "sandbox"), ("own_site", "acme")]).await;
    assert!(page.body.contains("There is no such place.") && !page.body.contains("own_site-error"));
    assert!(page.body.contains(r#"value="sandbox" checked"#) && page.body.contains(r#"value="acme""#));
}

#[tokio::test]
async fn where_the_vendor_pushes_its_changes_each_object_tells_how_it_is_followed() {
    let mut browser = Browser::of(Role::Viewer).await;
    let path = format!("/settings/integrations/salesforce/{}", sample::salesforce_connection().id);
    for path in [path.clone(), format!("{path}/live")] {
        let page = browser.get(&path).await;
        for shown in [
            "Live changes",
            "pushed by Salesforce",
            "/data/AccountChangeEvent",
            "</svg>Live</span>",
            "</svg>Catching up</span>",
            "</svg>Interrupted</span>",
            "</svg>Reading again</span>",
            "</svg>Not live</span>",
            "Asked for changes every 30 s. Salesforce sends no change events of Machine__c",
            "4 min ago",
            "here after 412 ms",
            "<code>AAAAAAAUqWkAAA==</code>",
            "3 days ago",
        ] {
            assert!(page.body.contains(shown), "{shown} is not shown at {path}");
        }
    }
    let page = browser.get(&connection()).await;
    let is_asked = page.body.contains("looked for every 30 s");
    assert!(!page.body.contains("Live changes") && is_asked, "HubSpot is asked");
}

#[tokio::test]
async fn an_account_has_the_name_that_its_vendor_gives_it() {
    let mut browser = Browser::of(Role::Owner).await;
    let salesforce = format!("/settings/integrations/salesforce/{}", sample::salesforce_connection().id);
    for (path, own, other) in [(connection(), "Portal", "Org"), (salesforce, "Org", "Portal")] {
        let page = browser.get(&path).await;
        assert!(page.body.contains(&format!(">{own} ID<")) && !page.body.contains(&format!("{other} ID")));
        let page = browser.get(&format!("{path}/disconnect")).await;
        assert!(
            page.body.contains(&format!("<p>{own} <strong")) && !page.body.contains(&format!("{other} <"))
        );
    }
}

#[tokio::test]
async fn members_and_viewers_see_why_they_cannot_connect() {
    for role in [Role::Member, Role::Viewer] {
        let mut browser = Browser::of(role).await;
        let page = browser.get("/settings/integrations").await;
        assert!(page.body.contains("takes an <strong>Owner</strong> or <strong>Admin</strong>"));
        let page = browser.get("/settings/integrations/hubspot/connect").await;
        assert_eq!(page.status, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn coming_back_from_the_vendor_says_how_it_went() {
    let mut browser = Browser::of(Role::Owner).await;
    let page = browser.get("/settings/integrations/return?confirm=t1").await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "/settings/integrations"));
    assert_eq!(browser.rooms.asked(), ["confirm t1"]);
    let page = browser.get("/settings/integrations").await;
    assert!(page.body.contains("HubSpot is connected."));
    browser.rooms.fail_next(Code::PermissionDenied, "oauth_confirm_not_yours", "Somebody else began this.");
    let page = browser.get("/settings/integrations/return?confirm=t2").await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "/settings/integrations"));
    let page = browser.get("/settings/integrations").await;
    assert!(page.body.contains("Somebody else began this.") && !page.body.contains("is connected."));
    let mut nobody = Browser::new().await;
    let page = nobody.get("/settings/integrations/return?confirm=t3").await;
    let back = "/sign-in?next=%2Fsettings%2Fintegrations%2Freturn%3Fconfirm%3Dt3";
    assert_eq!(page.location(), back, "whoever began signs in and confirms then");
    let page = browser.get("/settings/integrations?error=missing_scopes").await;
    let missing = "Not connected: HubSpot deals cannot be written (crm.objects.deals.write)";
    assert!(page.body.contains(missing) && page.body.contains("missing_scopes"), "{}", page.body);
    let page = browser.get("/settings/integrations?error=oauth_denied").await;
    assert!(page.body.contains("The consent was not given") && !page.body.contains(missing));
    let page = browser.get("/settings/integrations?error=%3Cscript%3E").await;
    assert!(page.body.contains("The connection was not made.") && !page.body.contains("<script>"));
}

#[tokio::test]
async fn the_detail_page_shows_steps_progress_pairs_issues_and_audit() {
    let mut browser = Browser::of(Role::Owner).await;
    let page = browser.get(&connection()).await;
    for shown in [
        "Authorize",
        "Map",
        "Sync",
        "48120037",
        "318 of 804",
        "Reading deals",
        "Needs attention",
        "Recent conflicts",
        "Audit log of this connection",
        "Map fields",
        "Sync now",
        "Refresh schema",
        "Pause",
        "Disconnect",
    ] {
        assert!(page.body.contains(shown), "{shown} is not shown");
    }
    assert!(page.body.contains(&format!("href=\"{}\"", mapping())));
    assert!(page.body.contains("Mara Lindqvist") && page.body.contains("You"));
}

#[tokio::test]
async fn a_connection_that_needs_connecting_again_offers_nothing_else() {
    let mut browser = Browser::of(Role::Owner).await;
    browser.rooms.set_connection_state("reauth_required");
    let page = browser.get(&connection()).await;
    assert!(page.body.contains("id=\"reconnect\""), "{}", page.body);
    for action in ["Map fields", "Sync now", "Refresh schema", "Pause"] {
        assert!(!page.body.contains(action), "{action} is offered");
    }
}

#[tokio::test]
async fn every_button_of_the_connection_does_what_it_says() {
    let mut browser = Browser::of(Role::Owner).await;
    for (path, fields, asked) in [
        ("sync", vec![], "sync_now"),
        ("refresh-schema", vec![], "refresh_schema"),
        ("pause", vec![], "pause"),
        ("resume", vec![], "resume"),
        (
            "pairs",
            vec![("object", "partner"), ("vendor_object", "companies")],
            "create_mapping partner companies",
        ),
        ("disconnect", vec![], "disconnect"),
        ("attribution", vec![("writing", "on")], "set_attribution_writing true"),
        ("attribution", vec![("writing", "off")], "set_attribution_writing false"),
    ] {
        let page = browser.post(&format!("{}/{path}", connection()), &fields).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{path}");
        assert_eq!(browser.rooms.asked(), [asked]);
    }
    for consent in [vec![("writing", "on"), ("create", "yes")], vec![("writing", "create")]] {
        browser.post(&format!("{}/attribution", connection()), &consent).await;
        let asked = ["set_attribution_writing true", "create_attribution_fields"];
        assert_eq!(browser.rooms.asked(), asked, "with a consent of its own");
    }
    for action in ["retry", "dismiss"] {
        browser.post(&format!("/settings/issues/issue_1/{action}"), &[]).await;
        assert_eq!(browser.rooms.asked(), [action]);
    }
}

#[tokio::test]
async fn under_another_vendors_name_nothing_is_there_and_nothing_is_done() {
    let mut browser = Browser::of(Role::Owner).await;
    let (run, decision) = (sample::id("run", 1), sample::decision().id);
    for vendor in ["salesforce", "x%0Ay", "HubSpot"] {
        let base = connection().replace("hubspot", vendor);
        for (path, fields) in [
            ("sync", vec![]),
            ("refresh-schema", vec![]),
            ("pause", vec![]),
            ("resume", vec![]),
            ("pairs", vec![("object", "partner"), ("vendor_object", "companies")]),
            ("disconnect", vec![]),
            ("budget", vec![("calls", "5000"), ("window_seconds", "3600")]),
            ("reading", vec![("interval_minutes", "9")]),
            ("reconcile", vec![]),
            ("issues", vec![("action", "retry_all")]),
            ("issues/issue_3/settle", vec![("winner", "crm")]),
            ("attribution", vec![("writing", "on"), ("create", "yes")]),
            (&format!("runs/{run}/undo"), vec![]),
            (&format!("decisions/{decision}"), vec![("action", "leave")]),
        ] {
            let page = browser.post(&format!("{base}/{path}"), &fields).await;
            assert_eq!(page.status, StatusCode::NOT_FOUND, "{base}/{path}");
            assert_eq!(browser.rooms.asked(), [""; 0], "{base}/{path} did something");
        }
        for path in [
            "",
            "/live",
            "/issues",
            "/runs",
            "/reconcile",
            "/reconcile/live",
            "/decisions",
            "/disconnect",
            "/attribution",
        ] {
            let page = browser.get(&format!("{base}{path}")).await;
            assert_eq!(page.status, StatusCode::NOT_FOUND, "{base}{path}");
        }
        let page = browser.get(&format!("{base}/runs/{run}/undo")).await;
        assert_eq!((page.status, browser.rooms.asked()), (StatusCode::NOT_FOUND, vec![]), "{base}");
    }
}

#[tokio::test]
async fn issues_are_chosen_by_kind_and_changed_together() {
    let mut browser = Browser::of(Role::Owner).await;
    let path = format!("{}/issues", connection());
    let page = browser.get(&path).await;
    for shown in
        ["Pinegrove expansion", "Refused value", "Unmatched", "41", "Retry all", "nothing was guessed"]
    {
        assert!(page.body.contains(shown), "{shown} is not shown");
    }
    assert!(page.body.contains(&format!("{path}?category=ambiguous")));
    let conn = sample::id("conn", 1);
    for (fields, asked) in [
        (
            vec![("action", "retry"), ("issue", "a"), ("issue", "b")],
            vec![format!("retry [\"a\", \"b\"] \"\" of {conn}")],
        ),
        (
            vec![("action", "dismiss_all"), ("category", "value"), ("issue", "a")],
            vec![format!("dismiss [] \"value\" of {conn}")],
        ),
        (vec![("action", "retry")], vec![]),
    ] {
        let page = browser.post(&path, &fields).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER);
        assert_eq!(browser.rooms.asked(), asked);
    }
    let mut browser = Browser::of(Role::Viewer).await;
    assert!(!browser.get(&path).await.body.contains("Retry chosen"));
}

#[tokio::test]
async fn a_conflict_that_waits_shows_both_values_and_is_decided_by_who_may_edit() {
    let mut browser = Browser::of(Role::Owner).await;
    let path = format!("{}/issues", connection());
    let page = browser.get(&path).await;
    for shown in ["Conflict held", "+49 30 1234", "+49 30 9876", "Keep ours", "Take HubSpot’s"] {
        assert!(page.body.contains(shown), "{shown} is not shown");
    }
    for winner in ["platform", "crm"] {
        // The whole form goes with the button.
        let fields = [("winner", winner), ("category", ""), ("issue", "a")];
        let page = browser.post(&format!("{path}/issue_3/settle"), &fields).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER);
        assert_eq!(browser.rooms.asked(), [format!("settle issue_3 {winner}")]);
    }
    let mut browser = Browser::of(Role::Viewer).await;
    let page = browser.get(&path).await;
    assert!(page.body.contains("+49 30 9876") && !page.body.contains("Keep ours"));
}

#[tokio::test]
async fn a_run_is_looked_at_before_it_is_put_back() {
    let mut browser = Browser::of(Role::Owner).await;
    let page = browser.get(&format!("{}/runs", connection())).await;
    for shown in ["Changes read from HubSpot", "Mapping applied", "1,120 put back, 6 stayed", "Put back…"] {
        assert!(page.body.contains(shown), "{shown} is not shown");
    }
    let path = format!("{}/runs/{}/undo", connection(), sample::id("run", 1));
    let page = browser.get(&path).await;
    assert_eq!(browser.rooms.asked(), ["preview_undo"]);
    for shown in ["Put 11 values back", "stays: changed since", "the run created it", "presentationscheduled"]
    {
        assert!(page.body.contains(shown), "{shown} is not shown");
    }
    let page = browser.post(&path, &[]).await;
    assert_eq!((page.status, browser.rooms.asked()), (StatusCode::SEE_OTHER, vec!["undo".to_owned()]));
}

#[tokio::test]
async fn both_sides_are_compared_and_what_was_repaired_is_listed() {
    let mut browser = Browser::of(Role::Admin).await;
    let path = format!("{}/reconcile", connection());
    let page = browser.get(&path).await;
    for shown in [
        "is being compared: 6,200 of 12,480 records",
        "3 held by issues",
        "verified equal as of",
        "2 repaired",
        "is detached",
        "1,024 buckets",
        "Compare now",
    ] {
        assert!(page.body.contains(shown), "{shown} is not shown");
    }
    assert!(page.body.contains(&format!("data-live=\"{path}/live\"")), "it keeps itself fresh");
    let part = browser.get(&format!("{path}/live")).await;
    assert!(part.body.contains("is being compared") && !part.body.contains("<html"), "{}", part.body);
    let page = browser.post(&path, &[]).await;
    assert_eq!((page.status, browser.rooms.asked()), (StatusCode::SEE_OTHER, vec!["reconcile".to_owned()]));
    let mut browser = Browser::of(Role::Viewer).await;
    assert!(!browser.get(&path).await.body.contains("Compare now"));
}

#[tokio::test]
async fn health_shows_success_calls_and_lag_as_numbers_and_pictures() {
    let mut browser = Browser::of(Role::Viewer).await;
    let page = browser.get("/settings/integrations/health?minutes=360").await;
    for shown in ["Success rate", "API calls", "Sync lag", "<svg class=\"chart\"", "The numbers"] {
        assert!(page.body.contains(shown), "{shown} is not shown");
    }
    assert!(page.body.contains("<option value=\"360\" selected>"));
    for shown in
        ["By object", "deals", "16,250 of 20,000 calls", "The API budget runs low", "612,345 of 650,000"]
    {
        assert!(page.body.contains(shown), "{shown} is not shown");
    }
    assert!(!page.body.contains("Save the budget"), "a viewer changes no budget");
    let page = browser.get("/settings/integrations/health?connection=conn_other").await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_budget_of_a_connection_is_changed_on_the_page_of_its_health() {
    let mut browser = Browser::of(Role::Admin).await;
    let page = browser.get("/settings/integrations/health").await;
    assert!(page.body.contains("Save the budget"));
    let path = format!("{}/budget", connection());
    let fields = [("calls", "5000"), ("window_seconds", "3600"), ("warn_percent", "")];
    let page = browser.post(&path, &fields).await;
    let health = format!(
        "/settings/integrations/health?connection={}",
        connection().rsplit('/').next().unwrap_or_default()
    );
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, &*health));
    assert_eq!(browser.rooms.asked(), ["set_budget 5000 in 3600 warn 0"]);
    assert!(browser.get(&health).await.body.contains("The budget is 5,000 API calls an hour now."));
    let malformed = browser.post(&path, &[("calls", "many"), ("window_seconds", "60")]).await;
    assert_eq!(malformed.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn how_a_mailbox_is_read_is_changed_on_its_page() {
    let mut browser = Browser::of(Role::Admin).await;
    browser.rooms.serve_all_vendors();
    let base = format!("/settings/integrations/m365/{}", sample::m365_connection().id);
    let page = browser.get(&base).await;
    for shown in
        ["Keep the whole text of each mail", "From 1 to 1440", "what is there already stays as it is"]
    {
        assert!(page.body.contains(shown), "{shown} is not shown");
    }
    let path = format!("{base}/reading");
    let page = browser.post(&path, &[("interval_minutes", " 15 "), ("bodies", "on")]).await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, &*base));
    let page = browser.post(&path, &[("interval_minutes", "")]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    let asked = ["set_reading every 15 bodies true", "set_reading every 0 bodies false"];
    assert_eq!(browser.rooms.asked()[1..], asked, "after the page was read");
    let malformed = browser.post(&path, &[("interval_minutes", "often")]).await;
    assert_eq!(malformed.status, StatusCode::UNPROCESSABLE_ENTITY);

    let mut viewer = Browser::of(Role::Viewer).await;
    viewer.rooms.serve_all_vendors();
    let page = viewer.get(&base).await;
    assert!(page.body.contains("The first 255 letters of each mail are kept."), "{}", page.body);
    assert!(!page.body.contains("save-reading"), "a viewer changes nothing");
}
