use axum::http::StatusCode;
use model::Role;
use tonic::Code;
use web_console::sample;

use crate::console::Browser;

fn program() -> String {
    format!("/attribution/programs/{}", sample::id("prog", 1))
}

const FORM: &[(&str, &str)] = &[
    ("name", "Referrals"),
    ("destination_url", "https://shop.example/"),
    ("model", "last_click"),
    ("window_days", "60"),
    ("hold_days", "30"),
    ("r0.trigger", "every"),
    ("r0.event_type", "opportunity_won"),
    ("r0.kind", "percent"),
    ("r0.reward", "20%"),
    ("r0.currency", "usd"),
    ("r0.conditions", "plan != free\r\nseats >= 10"),
    ("r0.tiers", "10000: 25%"),
    ("r0.customer_amount", "5000"),
];

#[tokio::test]
async fn a_program_is_made_with_the_rules_of_its_form() {
    let mut browser = Browser::of(Role::Admin).await;
    let page = browser.post("/attribution/programs", &[FORM, &[("action", "save")]].concat()).await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, &*program()));
    let asked = browser.rooms.asked().remove(0);
    for part in [
        "program Referrals https://shop.example/",
        "reward: Some(Percent(\"20\"))",
        "currency: \"USD\"",
        "Condition { field: \"plan\", operator: \"not_equals\", value: \"free\" }",
        "Condition { field: \"seats\", operator: \"at_least\", value: \"10\" }",
        "Tier { volume: \"10000\", currency: \"USD\", reward: \"25\" }",
        "partner_cap: None, customer_cap: Some(Cap { amount: \"5000\", currency: \"USD\", count: 0 })",
    ] {
        assert!(asked.contains(part), "no {part} in {asked}");
    }
}

#[tokio::test]
async fn rules_are_added_and_removed_without_losing_what_was_typed() {
    let mut browser = Browser::of(Role::Owner).await;
    let page = browser.post("/attribution/programs", &[FORM, &[("action", "add")]].concat()).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("name=\"r1.reward\"") && page.body.contains("value=\"20%\""), "{}", page.body);
    assert!(page.body.contains("plan != free\nseats &#62;= 10"), "{}", page.body);
    let page = browser.post("/attribution/programs", &[FORM, &[("action", "remove.0")]].concat()).await;
    assert!(!page.body.contains("name=\"r0.reward\"") && page.body.contains("value=\"Referrals\""));
    assert!(browser.rooms.asked().is_empty(), "only Save makes a program");
}

#[tokio::test]
async fn a_program_that_is_refused_comes_back_with_what_was_typed() {
    let mut browser = Browser::of(Role::Owner).await;
    browser.rooms.fail_next(Code::InvalidArgument, "terms_invalid", "a rule needs a percentage");
    let page = browser.post("/attribution/programs", &[FORM, &[("action", "save")]].concat()).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.body.contains("A rule needs a percentage.") && page.body.contains("terms_invalid"));
    assert!(page.body.contains("value=\"https://shop.example/\""));
    let odd = [FORM, &[("action", "save"), ("r1.trigger", "every"), ("r1.tiers", "a lot")]].concat();
    let page = browser.post("/attribution/programs", &odd).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.body.contains("tier_malformed"), "{}", page.body);
}

#[tokio::test]
async fn a_change_of_the_name_alone_makes_no_new_terms() {
    let mut browser = Browser::of(Role::Owner).await;
    let form = browser.get(&format!("{}/edit", program())).await;
    let fields: Vec<(String, String)> = crate::html::read(&form.body)
        .unwrap()
        .iter()
        .filter(|tag| tag.get("name").is_some_and(|name| name != "_token" && name != "action"))
        .filter_map(|tag| {
            let text = match &*tag.name {
                "input" => tag.get("value").unwrap_or_default(),
                "textarea" => tag.text.as_str(),
                _ => return None,
            };
            Some((tag.get("name")?.to_owned(), text.replace("&#62;", ">")))
        })
        .collect();
    let chosen = [
        ("r0.kind", "percent"),
        ("r0.trigger", "every"),
        ("r1.kind", "fixed"),
        ("r1.trigger", "first"),
        ("action", "save"),
    ];
    let renamed =
        fields.iter().map(
            |(name, value)| {
                if name == "name" { ("name", "Friends") } else { (name.as_str(), value.as_str()) }
            },
        );
    let renamed: Vec<_> = renamed.chain(chosen).collect();
    browser.post(&program(), &renamed).await;
    assert_eq!(browser.rooms.asked(), ["update Some(\"Friends\") same terms"]);
}

// B4
#[tokio::test]
async fn another_model_is_looked_at_before_it_is_applied() {
    let mut browser = Browser::of(Role::Owner).await;
    let path = format!("{}/model", program());
    let page = browser.get(&format!("{path}?model=linear")).await;
    assert_eq!(browser.rooms.asked(), ["preview linear"]);
    for words in ["87 events of 1,204", "−1,550.25 USD", "+1,550.25 USD", "Bo &#38; Søn"] {
        assert!(page.body.contains(words), "no {words} in {}", page.body);
    }
    browser.post(&path, &[("model", "linear")]).await;
    assert_eq!(browser.rooms.asked(), ["change linear"]);
}

#[tokio::test]
async fn many_commissions_are_decided_at_once_and_what_was_refused_is_told() {
    let mut browser = Browser::of(Role::Owner).await;
    let back = "/attribution/commissions?status=accrued";
    let chosen = [("commission", "comm_1"), ("commission", "comm_2"), ("commission", "comm_3")];
    let rest = [("action", "approve"), ("note", "all good"), ("back", back)];
    let page = browser.post("/attribution/commissions", &[&chosen[..], &rest].concat()).await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, back));
    assert_eq!(browser.rooms.asked(), ["approve 3 “all good”"]);
    let page = browser.get(back).await;
    assert!(
        page.body.contains("1 commission is approved. 2 not: Its hold period is not over."),
        "{}",
        page.body
    );
    assert!(page.body.contains("holdback_active"));
    for away in ["https://evil.test/", "//evil.test", "/settings/keys"] {
        let page =
            browser.post("/attribution/commissions", &[chosen[0], ("action", "hold"), ("back", away)]).await;
        assert_eq!(page.location(), "/attribution/commissions", "{away}");
    }
    browser.rooms.asked();
    let page = browser.post("/attribution/commissions", &rest).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert!(browser.rooms.asked().is_empty(), "nothing was chosen");
}

#[tokio::test]
async fn each_event_tells_why_it_pays_nobody_and_what_repairs_it() {
    let mut browser = Browser::of(Role::Viewer).await;
    let page = browser.get("/attribution/events?status=unattributed&id=0061k00000ABC").await;
    let asked = [r#"events "unattributed" "" "0061k00000ABC" 0"#, r#"waiting "" "0061k00000ABC" """#];
    assert_eq!(browser.rooms.asked(), asked);
    for words in
        ["No identity: nobody said which click", "Call identify with exactly this user ID", "0061k00000ABC"]
    {
        assert!(page.body.contains(words), "no {words}");
    }
    browser.get(&format!("/attribution/events?id={}", sample::id("evt", 1))).await;
    assert_eq!(browser.rooms.asked(), ["events \"\" \"\" \"\" 1"]);
}

#[tokio::test]
async fn unattributed_won_deals_show_those_that_never_became_an_event() {
    let mut browser = Browser::of(Role::Viewer).await;
    let path = "/attribution/events?status=unattributed&type=opportunity_won";
    let page = browser.get(path).await;
    assert_eq!(browser.rooms.asked()[1], r#"waiting "opportunity_won" "" """#);
    for words in [
        "Unattributed won deals",
        "Never became an event",
        "<code>7101</code>",
        "deals of HubSpot",
        "4,500.00 USD",
        "Its field user_id is empty.",
        "Fill in user_id in the CRM.",
        "waiting=2+more\">Older records",
    ] {
        assert!(page.body.contains(words), "no {words} in {}", page.body);
    }
    let page = browser.get(&format!("{path}&waiting=2+more")).await;
    assert_eq!(browser.rooms.asked()[1], r#"waiting "opportunity_won" "" "2 more""#);
    assert!(page.body.contains("First records"), "{}", page.body);
    for other in ["?status=attributed", "?status=unattributed&user=ada", "?status=unattributed&id=evt_1"] {
        let page = browser.get(&format!("/attribution/events{other}")).await;
        assert_eq!(browser.rooms.asked().len(), 1, "{other}");
        assert!(!page.body.contains("Never became an event"), "{other}");
    }
}

#[tokio::test]
async fn a_partner_gets_terms_of_their_own_from_a_moment_on_and_the_programs_again() {
    let mut browser = Browser::of(Role::Owner).await;
    let (path, program) = (format!("/attribution/partners/{}", sample::id("ptnr", 1)), sample::id("prog", 1));
    let page = browser.get(&path).await;
    for words in ["Terms of their own", "what the program pays", "<button class=\"main\" id=\"agree\">"] {
        assert!(page.body.contains(words), "no {words}");
    }
    browser.rooms.asked();
    let agree = [("program", program.as_str()), ("percent", " 12.5 "), ("from", "2027-01-31T09:30")];
    browser.post(&format!("{path}/terms"), &agree).await;
    let again = [("program", program.as_str()), ("percent", ""), ("from", "")];
    browser.post(&format!("{path}/terms"), &again).await;
    let asked = browser.rooms.asked();
    assert!(
        asked[0].contains("Percent(\"12.5\")") && asked[0].ends_with("from Some(1801387800)"),
        "{asked:?}"
    );
    assert_eq!(asked[1], "agree same terms from None");
}

#[tokio::test]
async fn payouts_are_run_once_settled_and_taken_away_as_a_file() {
    let mut browser = Browser::of(Role::Owner).await;
    browser.post("/attribution/payouts", &[("run_key", "k1"), ("partner", "")]).await;
    browser
        .post("/attribution/payouts/pay_1/settle", &[("outcome", "paid"), ("reference", " SEPA 17 ")])
        .await;
    assert_eq!(browser.rooms.asked(), ["run k1 []", "settle paid SEPA 17"]);
    let file = browser.get("/attribution/payouts/export").await;
    assert_eq!(file.header("content-type"), "text/csv; charset=utf-8");
    let lines: Vec<&str> = file.body.lines().collect();
    assert_eq!(lines.len(), 7, "a line of names and both pages of three: {}", file.body);
    assert!(lines[1].contains(",Ada Writes,3150.50,USD,pending,"), "{}", lines[1]);
}

#[tokio::test]
async fn a_partners_days_are_those_of_the_chosen_span() {
    let mut browser = Browser::of(Role::Viewer).await;
    let path = format!("/attribution/partners/{}", sample::id("ptnr", 1));
    let page = browser.get(&format!("{path}?days=90")).await;
    // 2025-12-13T00:00:00Z, 89 days before the day of the samples.
    assert_eq!(browser.rooms.asked(), ["days since 1765584000"]);
    assert!(
        page.body.contains("Earnings in JPY")
            && page.body.contains("https://api.accord.test/t/northwind-partners/r/ada-2026")
    );
    browser.get(&format!("{path}?days=12")).await;
    assert_eq!(browser.rooms.asked(), ["days since 1770768000"], "only the offered spans");
}

// R129-R131, R142, R143, D5
#[tokio::test]
async fn a_crms_key_sends_events_only_is_shown_once_and_is_replaced_by_another() {
    let mut browser = Browser::of(Role::Admin).await;
    let page = browser.post("/settings/crm/keys", &[("label", "HubSpot")]).await;
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(browser.rooms.asked(), ["mint_api HubSpot events:write"]);
    assert!(page.body.contains("value=\"ak_fresh\""));
    for recipe in ["hubspot", "zapier", "apex", "curl"] {
        let tags = crate::html::read(&page.body).unwrap();
        let text = tags.iter().find(|tag| tag.get("id") == Some(recipe)).unwrap().text.clone();
        assert!(
            text.contains("ak_fresh") && text.contains("https://api.accord.test/api/attribution/events"),
            "{text}"
        );
    }
    let page = browser.get("/settings/crm").await;
    assert!(!page.body.contains("ak_fresh") && page.body.contains("YOUR_KEY"));
    let key = format!("/settings/crm/keys/{}", sample::id("apikey", 3));
    let page = browser.post(&format!("{key}/again"), &[]).await;
    assert!(page.body.contains("value=\"ak_fresh\""));
    assert_eq!(browser.rooms.asked(), ["mint_api HubSpot events:write", "revoke_api"]);
    browser.post(&format!("{key}/revoke"), &[]).await;
    assert_eq!(browser.rooms.asked(), ["revoke_api"]);
    let other = browser.post(&format!("/settings/crm/keys/{}/again", sample::id("apikey", 1)), &[]).await;
    assert_eq!(other.status, StatusCode::NOT_FOUND, "a key that may do other things is not replaced here");
}

/// The names that a map of the Apex recipe gives its values, from a place of the text on.
fn names<'t>(text: &'t str, from: &str) -> Vec<&'t str> {
    let (_, map) = text.split_once(from).unwrap_or_else(|| panic!("no {from} in the recipe"));
    let (map, _) = map.split_once(");").unwrap();
    map.lines()
        .filter_map(|line| line.trim().strip_prefix('\'')?.split_once("' => "))
        .map(|(name, _)| name)
        .collect()
}

// R172, mistake 11
#[tokio::test]
async fn the_recipe_of_salesforce_sends_the_deal_s_currency_and_all_contacts_and_reads_each_answer() {
    let mut browser = Browser::of(Role::Admin).await;
    let page = browser.get("/settings/crm").await;
    let tags = crate::html::read(&page.body).unwrap();
    let escaped = tags.iter().find(|tag| tag.get("id") == Some("apex")).unwrap().text.clone();
    let marks = [("&#39;", "'"), ("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#38;", "&")];
    let text = marks.iter().fold(escaped, |text, (escaped, mark)| text.replace(escaped, mark));
    assert_eq!(
        names(&text, "events.add(new Map<String, Object>{"),
        ["userId", "otherUserIds", "type", "value", "currency", "externalEventId", "ts", "metadata"]
    );
    assert_eq!(
        names(&text, "post('https://api.accord.test/api/attribution/corrections', new Map<String, Object>{"),
        ["externalEventId", "idempotencyKey", "ts"]
    );
    for words in [
        "post('https://api.accord.test/api/attribution/events/batch'",
        "(String) deal.get('CurrencyIsoCode')",
        "this.currencyCode = currencyOf(deal);",
        "'currency' => change.currencyCode",
        "'otherUserIds' => emails",
        "after insert, after update, after delete",
        "answered.get('results')",
        "if (result.get('ok') != true) failures.add(",
    ] {
        assert!(text.contains(words), "no “{words}” in {text}");
    }
    assert!(!text.contains("LIMIT 1"), "one contact is not all of them");
    for (open, close) in [('{', '}'), ('(', ')'), ('[', ']')] {
        assert_eq!(text.matches(open).count(), text.matches(close).count(), "{open} {close}");
    }
}

// R180, R181
#[tokio::test]
async fn a_test_event_goes_the_whole_way() {
    let mut browser = Browser::of(Role::Admin).await;
    let event = [("type", "opportunity_won"), ("value", "100.00"), ("currency", "usd")];
    let page = browser.post("/settings/crm/test", &[&event[..], &[("link", "ada-2026")]].concat()).await;
    let evt = sample::id("evt", 3);
    assert_eq!(page.location(), format!("/settings/crm?tested={evt}#test"));
    assert_eq!(
        browser.rooms.asked(),
        [
            format!("follow ada-2026 of {}", sample::id("org", 1)),
            "identify click1 test-click1".to_owned(),
            "event test-click1 opportunity_won Some(\"100.00\") USD test-click1".to_owned(),
            "reviews \"accrued\" \"\"".to_owned(),
            "hold 1 “A test event.”".to_owned(),
        ]
    );
    let page = browser.post("/settings/crm/test", &event).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "neither a link nor a user");
    browser
        .post(&format!("/attribution/events/{evt}/correct"), &[("action", "void"), ("reason", "a test")])
        .await;
    assert_eq!(browser.rooms.asked(), ["correct Some(Void(true)) “a test”"]);
}

#[tokio::test]
async fn members_look_at_programs_and_money_and_change_none_of_it() {
    for role in [Role::Member, Role::Viewer] {
        let mut browser = Browser::of(role).await;
        for path in ["programs", "partners", "events", "commissions", "ledger", "payouts"] {
            let page = browser.get(&format!("/attribution/{path}")).await;
            assert_eq!(page.status, StatusCode::OK, "{path}");
        }
        browser.rooms.asked();
        for path in
            ["/settings/crm", "/attribution/programs/new", &format!("{}/model?model=linear", program())]
        {
            assert_eq!(browser.get(path).await.status, StatusCode::FORBIDDEN, "{path}");
        }
        for (path, fields) in [
            ("/attribution/programs", [("action", "save")]),
            ("/attribution/partners/ptnr_1/decide", [("decision", "revoke")]),
            ("/attribution/payouts", [("run_key", "k")]),
            ("/settings/crm/keys", [("label", "HubSpot")]),
        ] {
            let page = browser.post(path, &fields).await;
            assert_eq!(page.status, StatusCode::FORBIDDEN, "{path}");
        }
        let chosen = [("commission", "comm_1"), ("action", "approve")];
        assert_eq!(browser.post("/attribution/commissions", &chosen).await.status, StatusCode::FORBIDDEN);
        assert!(browser.rooms.asked().is_empty());
    }
}
