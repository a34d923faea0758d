//! The console's main path, as a person walks it in a browser.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::eventually;
use tests::{Chrome, House, Start};

// R4, R5, R11-R13, R18, R25, R30, R34, R37-R41, R45-R48, R51, R52, R63, R75-R80, R86-R106
#[tokio::test]
async fn browser_walks_from_the_sign_in_link_to_a_living_mapping_and_back_through_the_consent_page() {
    let house = House::start(Start { companies: 12, deals: 8, ..Start::default() }).await;
    let chrome = Chrome::start().await;
    chrome.open(house.ready("sign_in.owner")).await;
    chrome.wait_for_url("/settings/integrations").await;
    integrations_show_hubspot_active(&house, &chrome).await;
    a_new_pair_is_reviewed_field_by_field(&house, &chrome).await;
    its_plan_is_made_and_activated(&house, &chrome).await;
    a_change_of_its_mapping_is_planned_and_applied(&house, &chrome).await;
    a_record_is_edited_and_reaches_hubspot(&house, &chrome).await;
    values_tell_their_lineage(&house, &chrome).await;
    issues_are_retried_and_dismissed(&house, &chrome).await;
    the_loser_of_a_conflict_is_put_back(&house, &chrome).await;
    the_audit_log_and_the_health_page_tell(&chrome, house.ready("console_url")).await;
    hubspot_is_disconnected_and_connected_again(&house, &chrome).await;
    a_viewer_sees_no_buttons(&house, &chrome).await;
    chrome.close().await;
}

async fn integrations_show_hubspot_active(house: &House, chrome: &Chrome) {
    chrome.open(&page(house, "/settings/integrations")).await;
    chrome.wait_for_text("#card-hubspot", "Active").await;
    chrome.wait_for_text("#card-hubspot", &portal(house)).await;
    let cards = chrome.text("#cards").await;
    for vendor in ["HubSpot", "Salesforce", "Slack", "Google Calendar"] {
        assert!(cards.contains(vendor), "no card of {vendor}");
    }
    chrome.shoot("01-integrations").await;
    chrome.click("#open-hubspot").await;
    assert_eq!(chrome.text("#account-id").await, portal(house));
    chrome.shoot("02-connection").await;
    for (button, action) in [("#sync-now", "sync."), ("#refresh-schema", "schema.refreshed")] {
        chrome.click(button).await;
        chrome.wait_for_text("#connection", "Active").await;
        house.wait_for_audit(&format!("action={action}*")).await;
    }
}

async fn a_new_pair_is_reviewed_field_by_field(house: &House, chrome: &Chrome) {
    chrome.click("#further > summary").await;
    chrome.click("#map-partner-companies").await;
    chrome.wait_for_url("/mappings/").await;
    chrome.click("#suggest").await;
    chrome.wait_for_text("#row-name", "Auto-mapped").await;
    chrome.shoot("03-suggestions").await;

    // Confirm one, choose for one, override another, ignore one.
    chrome.click("#confirm-name").await;
    chrome.wait_for_text("#row-name", "Confirmed").await;
    let unmapped = unmapped_text_field(house).await;
    chrome.wait_for_text(&format!("#row-{unmapped}"), "Unmapped").await;
    chrome.fill(&format!("#p-{unmapped}"), "about_us").await;
    chrome.wait_for_text(&format!("#row-{unmapped}"), "Confirmed").await;
    chrome.fill("#p-description", "web_technologies").await;
    eventually(Duration::from_secs(30), "the other property to be mapped", || async {
        let description = field(&partner_mapping(house).await, "description");
        (description["vendor_field"] == "web_technologies" && description["state"] == "confirmed")
            .then_some(())
    })
    .await;
    chrome.click("#ignore-fit_score").await;
    chrome.wait_for_text("#row-fit_score", "Ignored").await;
    chrome.choose("#c-name", "platform_wins").await;
    chrome.click("#s-phone").await;
    let rules = eventually(Duration::from_secs(30), "the rules to be kept", || async {
        let mapping = partner_mapping(house).await;
        let is_kept =
            field(&mapping, "name")["policy"] == "platform_wins" && field(&mapping, "phone")["pii"] == true;
        is_kept.then_some(mapping)
    })
    .await;
    assert_eq!(rules["state"], "draft");
    chrome.click("#confirm-all").await;
    eventually(Duration::from_secs(30), "the good suggestions to be confirmed at once", || async {
        let mapping = partner_mapping(house).await;
        let fields = mapping["fields"].as_array().expect("a list");
        (fields.iter().filter(|field| field["state"] == "confirmed").count() >= 10).then_some(())
    })
    .await;
    chrome.shoot("04-reviewed").await;
    let partners = house.ok("GET", "/api/v1/records/partner", None).await;
    assert_eq!(partners["total"], 0, "nothing moves before the mapping is activated");
}

async fn its_plan_is_made_and_activated(house: &House, chrome: &Chrome) {
    chrome.click("#review-plan").await;
    chrome.click("#make-plan").await;
    chrome.find("#activate").await;
    chrome.shoot("05-plan").await;
    let partners = house.ok("GET", "/api/v1/records/partner", None).await;
    assert_eq!(partners["total"], 0, "a plan moves nothing");
    chrome.click("#activate").await;
    chrome.wait_for_text("#plan", "The plan is applied").await;
    chrome.shoot("06-applied").await;
    let partners = house.ok("GET", "/api/v1/records/partner", None).await;
    assert!(partners["total"].as_u64() >= Some(12), "{}", partners["total"]);
    chrome.click("#to-connection").await;
    chrome.find("#mapping-partner-companies").await;
}

async fn a_change_of_its_mapping_is_planned_and_applied(house: &House, chrome: &Chrome) {
    let mapping = partner_mapping(house).await;
    let [connection, id] = ["connection_id", "id"].map(|name| mapping[name].as_str().expect("an id"));
    let path = format!("/settings/integrations/hubspot/{connection}/mappings/{id}");
    chrome.open(&page(house, &path)).await;
    chrome.choose("#c-description", "crm_wins").await;
    chrome.wait_for_text("#pending", "1 change waits").await;
    chrome.choose("#direction", "from_vendor").await;
    chrome.wait_for_text("#pending", "2 changes wait").await;
    chrome.shoot("06-changed").await;
    chrome.click("#plan-changes").await;
    chrome.find("#activate").await;
    chrome.click("#activate").await;
    chrome.wait_for_text("#plan", "The plan is applied").await;
    let mapping = partner_mapping(house).await;
    assert_eq!((&mapping["pending_changes"], &mapping["direction"]), (&json!([]), &json!("from_vendor")));
    chrome.open(&page(house, &path)).await;
    chrome.choose("#direction", "bidirectional").await;
    chrome.click("#discard-changes").await;
    chrome.wait_for_text("main", "Discarded").await;
}

async fn a_record_is_edited_and_reaches_hubspot(house: &House, chrome: &Chrome) {
    let company = house.hubspot().ids("companies", 2).await.remove(1);
    let record = house.linked("company", &company).await.expect("it was backfilled");
    let id = record["id"].as_str().expect("an id");
    chrome.open(&page(house, &format!("/records/company/{id}"))).await;
    chrome.click("#edit").await;
    chrome.fill("#f-phone", "+1 555 0777").await;
    chrome.click("#save").await;
    chrome.wait_for_text("main", "+1 555 0777").await;
    chrome.wait_for_text(".history", "You").await;
    house.hubspot().wait_for_property("companies", &company, "phone", "+1 555 0777").await;
    house.hubspot().edit("companies", &company, "city", "Uppsala").await;
    house.wait_for_field("company", &company, "address_city", "Uppsala").await;
    chrome.open(&page(house, &format!("/records/company/{id}"))).await;
    chrome.wait_for_text(".history", "Uppsala").await;
    chrome.shoot("07-record").await;
    chrome.open(&page(house, "/records/company")).await;
    chrome.find("table").await;
    chrome.shoot("08-records").await;
}

async fn values_tell_their_lineage(house: &House, chrome: &Chrome) {
    let company = house.hubspot().ids("companies", 2).await.remove(1);
    let record = house.linked("company", &company).await.expect("it was backfilled");
    let id = record["id"].as_str().expect("an id");
    chrome.open(&page(house, &format!("/records/company/{id}"))).await;
    chrome.click("a.why[href^='?why=address_city']").await;
    chrome.wait_for_text("#why-title", "Uppsala").await;
    let story = chrome.text("#why").await;
    for words in ["Somebody changed it in HubSpot", "The mapping of HubSpot companies took it in"] {
        assert!(story.contains(words), "no “{words}” in {story}");
    }
    chrome.shoot("09-lineage-from-hubspot").await;

    eventually(Duration::from_secs(30), "the edit to be shown by HubSpot itself", || async {
        let path = format!("/api/v1/records/company/{id}/lineage?field=phone");
        let steps = house.ok("GET", &path, None).await["steps"].clone();
        steps.as_array()?.iter().any(|step| step["kind"] == "echo").then_some(())
    })
    .await;
    chrome.click("a.why[href^='?why=phone']").await;
    chrome.wait_for_text("#why-title", "+1 555 0777").await;
    let story = chrome.text("#why").await;
    let way = [
        "You changed it here",
        "Accord asked HubSpot to write",
        "HubSpot took it",
        "HubSpot shows it by itself",
    ];
    let places: Vec<_> = way.iter().map(|words| story.find(words)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{way:?} is not the way in {story}");
    chrome.shoot("10-lineage-to-hubspot").await;
}

async fn issues_are_retried_and_dismissed(house: &House, chrome: &Chrome) {
    let companies = house.hubspot().ids("companies", 4).await.split_off(2);
    let mut titles = Vec::new();
    for company in &companies {
        let record = house.linked("company", company).await.expect("it was backfilled");
        house
            .edit("company", record["id"].as_str().expect("an id"), json!({ "industry": "Beekeeping" }))
            .await;
        titles.push(record["title"].as_str().expect("a title").to_owned());
    }
    wait_for_issues(house, 2).await;
    chrome.open(&page(house, "/settings/integrations")).await;
    chrome.click("#open-hubspot").await;
    chrome.wait_for_text("[aria-labelledby=issues-title]", &titles[1]).await;
    chrome.click("[aria-labelledby=issues-title] header a").await;
    chrome.wait_for_url("/issues").await;
    let list = chrome.text("main").await;
    for words in ["industry", "Open", &titles[0], &titles[1]] {
        assert!(list.contains(words), "no “{words}” in {list}");
    }
    chrome.shoot("11-issues").await;

    // What HubSpot refused it takes now, once somebody presses the button.
    let path = "/crm/v3/properties/companies/industry";
    let (_, mut property) = house.hubspot().call("GET", path, None).await;
    let options = property["options"].as_array_mut().expect("it has options");
    options.push(json!({ "label": "Beekeeping", "value": "Beekeeping", "displayOrder": 999 }));
    let wish = json!({ "options": property["options"] });
    let (status, answer) = house.hubspot().call("PATCH", path, Some(wish)).await;
    assert_eq!(status, 200, "{answer}");
    let connection = house.connection().await;
    house.ok("POST", &format!("/api/v1/connections/{connection}/refresh-schema"), None).await;
    let mapping = format!("/api/v1/mappings/{}", house.mapping("company").await);
    eventually(Duration::from_secs(30), "the new option to be known here", || async {
        let mapping = house.ok("GET", &mapping, None).await;
        let fields = mapping["vendor_fields"].as_array()?;
        let industry = fields.iter().find(|field| field["name"] == "industry")?;
        industry["options"].to_string().contains("Beekeeping").then_some(())
    })
    .await;
    chrome.click(&format!("input[aria-label='Choose {}']", titles[0])).await;
    chrome.click("button[value=retry]").await;
    chrome.wait_for_text("main", "Trying 1 issue again").await;
    house.hubspot().wait_for_property("companies", &companies[0], "industry", "Beekeeping").await;
    wait_for_issues(house, 1).await;

    chrome.open(&chrome.url().await).await;
    let list = chrome.text("main").await;
    assert!(list.contains(&titles[1]) && !list.contains(&titles[0]), "one is solved: {list}");
    chrome.click(&format!("input[aria-label='Choose {}']", titles[1])).await;
    chrome.click("button[value=dismiss]").await;
    chrome.wait_for_text("main", "Dismissed 1 issue").await;
    chrome.wait_for_text("main", "Nothing waits for you").await;
    chrome.shoot("12-issues-settled").await;
    wait_for_issues(house, 0).await;
    let refused = house.hubspot().property("companies", &companies[1], "industry").await;
    assert_ne!(refused.as_deref(), Some("Beekeeping"), "what was dismissed was written");
}

async fn wait_for_issues(house: &House, count: usize) {
    eventually(Duration::from_secs(60), &format!("{count} open issues"), || async {
        let list = house.ok("GET", "/api/v1/issues", None).await;
        (list["data"].as_array()?.len() == count).then_some(())
    })
    .await;
}

async fn the_loser_of_a_conflict_is_put_back(house: &House, chrome: &Chrome) {
    let (company, ours, theirs) =
        (house.hubspot().ids("companies", 1).await.remove(0), "+1 555 0781", "+1 555 0782");
    let record = house.linked("company", &company).await.expect("it was backfilled");
    let id = record["id"].as_str().expect("an id");
    chrome.open(&page(house, "/settings/integrations")).await;
    chrome.click("#open-hubspot").await;
    chrome.click("#pause").await;
    house.wait_for_state("paused").await;
    house.edit("company", id, json!({ "phone": ours })).await;
    // The vendor tells times in milliseconds; its edit is to be the newer one.
    tokio::time::sleep(Duration::from_millis(50)).await;
    house.hubspot().edit("companies", &company, "phone", theirs).await;
    chrome.click("#resume").await;
    house.wait_for_field("company", &company, "phone", theirs).await;
    chrome.wait_for_text("[aria-labelledby=conflicts-title]", ours).await;
    chrome.shoot("13-connection-with-a-conflict").await;

    chrome.click(&format!("[aria-labelledby=conflicts-title] a[href='/records/company/{id}']")).await;
    let conflict = chrome.text("[aria-labelledby=conflicts-title]").await;
    for words in [theirs, "instead of", ours, "the CRM won"] {
        assert!(conflict.contains(words), "no “{words}” in {conflict}");
    }
    chrome.shoot("14-conflict").await;
    chrome.click("[id^=restore-]").await;
    chrome.wait_for_text("main", "The other value is back, as your edit.").await;
    chrome.wait_for_text("[aria-labelledby=conflicts-title]", "Restored").await;
    chrome.shoot("15-conflict-restored").await;
    house.hubspot().wait_for_property("companies", &company, "phone", ours).await;
    assert!(!chrome.has("[id^=restore-]").await, "it can be put back once");
}

async fn the_audit_log_and_the_health_page_tell(chrome: &Chrome, console: &str) {
    chrome.open(&format!("{console}/settings/audit")).await;
    chrome.wait_for_text("main", "was changed: phone").await;
    chrome.shoot("16-audit").await;
    chrome.open(&format!("{console}/settings/integrations/health")).await;
    chrome.find("svg").await;
    chrome.shoot("17-health").await;
}

async fn hubspot_is_disconnected_and_connected_again(house: &House, chrome: &Chrome) {
    chrome.open(&page(house, "/settings/integrations")).await;
    chrome.click("#open-hubspot").await;
    chrome.click("a#disconnect").await;
    chrome.click("button#disconnect").await;
    house.wait_for_state("disconnected").await;
    chrome.open(&page(house, "/settings/integrations")).await;
    chrome.wait_for_text("#card-hubspot", "Disconnected").await;
    chrome.shoot("18-disconnected").await;

    chrome.click("#connect-hubspot").await;
    chrome.wait_for_text("main", "It has to be the same one").await;
    chrome.click("#go").await;
    chrome.wait_for_text("main", "Choose an account").await;
    assert!(
        chrome.url().await.starts_with(house.ready("sandboxes.hubspot.url")),
        "the consent page is HubSpot's"
    );
    chrome.shoot("19-consent").await;
    chrome.click("#connect").await;
    chrome.wait_for_url("/settings/integrations").await;
    chrome.wait_for_text("#card-hubspot", "Active").await;
    chrome.wait_for_text("#card-hubspot", &portal(house)).await;
    chrome.shoot("20-connected-again").await;

    let company = house.hubspot().ids("companies", 1).await.remove(0);
    house.hubspot().edit("companies", &company, "phone", "+1 555 0778").await;
    house.wait_for_field("company", &company, "phone", "+1 555 0778").await;
}

async fn a_viewer_sees_no_buttons(house: &House, chrome: &Chrome) {
    chrome.forget().await;
    chrome.open(&page(house, "/settings/integrations")).await;
    chrome.wait_for_url("/sign-in").await;
    chrome.shoot("21-sign-in").await;
    chrome.open(house.ready("sign_in.viewer")).await;
    chrome.wait_for_url("/settings/integrations").await;
    chrome.open(&page(house, "/settings/integrations")).await;
    chrome.wait_for_text("#card-hubspot", "Active").await;
    chrome.click("#open-hubspot").await;
    chrome.find("#account-id").await;
    for button in ["#sync-now", "#refresh-schema", "#pause", "#disconnect", "[id^=map-]"] {
        assert!(!chrome.has(button).await, "a viewer sees {button}");
    }
    let records = house.ok("GET", "/api/v1/records/company?limit=1", None).await;
    let id = records["data"][0]["id"].as_str().expect("an id");
    chrome.open(&page(house, &format!("/records/company/{id}"))).await;
    chrome.find(".history").await;
    assert!(!chrome.has("#edit").await, "a viewer sees the edit button");

    chrome.resize(390, 844).await;
    chrome.open(&page(house, "/settings/integrations")).await;
    chrome.find("#cards").await;
    chrome.shoot("22-phone").await;
    let width = chrome.run("return document.documentElement.scrollWidth - window.innerWidth").await;
    assert!(width.as_i64() <= Some(0), "the page is wider than a phone by {width} pixels");
    let skip = chrome.run("return document.querySelector('a')?.getAttribute('href')").await;
    assert!(
        skip.as_str().is_some_and(|target| target.starts_with('#')),
        "the first link skips to the content: {skip}"
    );
}

async fn partner_mapping(house: &House) -> Value {
    house.ok("GET", &format!("/api/v1/mappings/{}", house.mapping("partner").await), None).await
}

fn field(mapping: &Value, name: &str) -> Value {
    let fields = mapping["fields"].as_array().expect("a list");
    fields.iter().find(|field| field["field"] == name).cloned().expect("the object has the field")
}

/// A field for which nothing was suggested.
async fn unmapped_text_field(house: &House) -> String {
    let mapping = partner_mapping(house).await;
    let mut fields = mapping["fields"].as_array().expect("a list").iter();
    let found = fields.find(|field| field["state"] == "unmapped" && field["field_type"] == "text");
    found.and_then(|field| field["field"].as_str()).expect("something is unmapped").to_owned()
}

fn page(house: &House, path: &str) -> String {
    format!("{}{path}", house.ready("console_url"))
}

fn portal(house: &House) -> String {
    house.ready_file_content()["sandboxes"]["hubspot"]["portal_id"].to_string()
}
