//! What cannot be taken is refused by name.

use proto::crm::{
    ApproveDealRegistrationRequest, GetTimelineRequest, ListDealRegistrationsRequest, NewActivity,
    Participant, Settings, SubmitDealRegistrationRequest,
};

use crate::world::{by, code, deal, mail, partner, world};

#[tokio::test]
async fn a_registration_that_makes_no_sense_is_refused_and_nothing_personal_is_said() {
    let world = world().await;
    type Spoil = fn(&mut SubmitDealRegistrationRequest);
    let mistakes: [(&str, &str, Spoil); 18] = [
        ("partner_id", "required", |it| it.partner_id.clear()),
        ("", "partner_not_found", |it| it.partner_id = "ptnr_1".to_owned()),
        ("", "partner_not_found", |it| it.partner_id = partner(99).to_string()),
        ("partner_record_id", "record_invalid", |it| it.partner_record_id = "rec_1".to_owned()),
        ("company_name", "required", |it| it.company_name = " ".to_owned()),
        ("company_name", "too_long", |it| it.company_name = "x".repeat(600)),
        ("company_domain", "required", |it| it.company_domain.clear()),
        ("company_domain", "domain_invalid", |it| it.company_domain = "acme".to_owned()),
        ("company_domain", "domain_of_free_mail", |it| it.company_domain = "GMail.com".to_owned()),
        ("contact_name", "required", |it| it.contact_name.clear()),
        ("contact_email", "email_invalid", |it| it.contact_email = "secret@nowhere".to_owned()),
        ("deal_name", "invalid_text", |it| it.deal_name = "a\0b".to_owned()),
        ("amount", "amount_invalid", |it| it.amount = "a lot".to_owned()),
        ("amount", "negative", |it| it.amount = "-0.01".to_owned()),
        ("amount", "amount_invalid", |it| it.amount = "1.001".to_owned()),
        ("currency", "currency_invalid", |it| it.currency = "EURO".to_owned()),
        ("expected_close", "date_invalid", |it| it.expected_close = "2027-02-30".to_owned()),
        ("note", "too_long", |it| it.note = "x".repeat(9_000)),
    ];
    for (field, expected, spoil) in mistakes {
        let mut request = deal(1, "Ten presses");
        spoil(&mut request);
        let refused = world.submit("ann", request).await.unwrap_err();
        assert_eq!(chassis::guard::stable_code(&refused), Some(expected), "{field}");
        assert_eq!(chassis::guard::field(&refused).unwrap_or_default(), field, "{expected}");
        assert!(!refused.message().contains("secret"), "{}", refused.message());
    }
}

#[tokio::test]
async fn questions_that_make_no_sense_are_refused() {
    let world = world().await;
    for id in ["", "dreg_1", "dreg_00000000000000000000000000000000", "'; DROP TABLE registrations"] {
        assert_eq!(code(world.get("ann", id).await), "deal_registration_not_found");
        assert_eq!(code(world.approve("ann", id).await), "deal_registration_not_found");
    }
    let made = world.submit("ann", deal(1, "Ten presses")).await.unwrap();
    let request = ApproveDealRegistrationRequest { id: made.id, days: 4_000 };
    assert_eq!(code(world.client().approve_deal_registration(by("ann", request)).await), "days_invalid");
    let list = |status: &str, limit, page: &str| {
        let (status, page) = (status.to_owned(), page.to_owned());
        let request = ListDealRegistrationsRequest { status, limit, page, ..Default::default() };
        let mut client = world.client();
        async move { code(client.list_deal_registrations(by("ann", request)).await) }
    };
    assert_eq!(list("won", 0, "").await, "status_invalid");
    assert_eq!(list("", 201, "").await, "limit_invalid");
    assert_eq!(list("", 0, "2").await, "page_invalid");
    let set = |protected_days, free: &str| {
        let free_domains = vec![free.to_owned()];
        let mut client = world.client();
        let settings = Settings { protected_days, review_days: 1, free_domains };
        async move { code(client.set_settings(by("ann", settings)).await) }
    };
    assert_eq!(set(0, "free.example").await, "days_invalid");
    assert_eq!(set(1, "free").await, "domain_invalid");
    assert!(world.client().get_settings(by("nobody", Default::default())).await.is_err());
}

#[tokio::test]
async fn activities_that_make_no_sense_are_refused_whole_and_nothing_that_was_written_is_said() {
    let world = world().await;
    type Spoil = fn(&mut NewActivity);
    let mistakes: [(&str, &str, Spoil); 14] = [
        ("source", "required", |it| it.source.clear()),
        ("external_id", "required", |it| it.external_id.clear()),
        ("external_id", "activity_repeated", |it| it.external_id = "m0".to_owned()),
        ("kind", "kind_invalid", |it| it.kind = "fax".to_owned()),
        ("direction", "direction_invalid", |it| it.direction = "up".to_owned()),
        ("at", "required", |it| it.at = None),
        ("at", "time_invalid", |it| it.at = Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 })),
        ("subject", "too_long", |it| it.subject = "secret ".repeat(1_000)),
        ("body", "too_long", |it| it.body = "secret ".repeat(200_000)),
        ("body", "invalid_text", |it| it.body = "secret\0".to_owned()),
        ("url", "url_invalid", |it| it.url = "javascript:secret".to_owned()),
        ("record_ids", "record_invalid", |it| it.record_ids = vec!["secret".to_owned()]),
        ("participants", "too_many", |it| it.participants = vec![Participant::default(); 2_001]),
        ("participants[0].email", "too_long", |it| it.participants[0].email = "secret".repeat(200)),
    ];
    for (field, expected, spoil) in mistakes {
        let mut second = mail("m1", "secret subject", &["secret@acme.example"]);
        spoil(&mut second);
        let refused = world.record("ann", vec![mail("m0", "Hello", &[]), second]).await.unwrap_err();
        assert_eq!(chassis::guard::stable_code(&refused), Some(expected), "{field}");
        assert_eq!(chassis::guard::field(&refused), Some(format!("activities[1].{field}").as_str()));
        assert!(!refused.message().contains("secret"), "{}", refused.message());
    }
    assert_eq!(code(world.record("ann", Vec::new()).await), "activities_invalid");
    assert_eq!(code(world.record("viewer", vec![mail("m0", "Hello", &[])]).await), "scope_missing");
    let kept: i64 =
        sqlx::query_scalar("SELECT count(*) FROM activities").fetch_one(&world.pool).await.unwrap();
    assert_eq!(kept, 0);
}

#[tokio::test]
async fn large_mails_and_odd_texts_are_taken() {
    let world = world().await;
    let people: Vec<String> = (0..1_000).map(|number| format!("p{number}@acme.example")).collect();
    let people: Vec<&str> = people.iter().map(String::as_str).collect();
    let large = NewActivity { body: "wörd-".repeat(170_000), ..mail("m1", "Large", &people) };
    let unlike: String = (0..90_000).map(|number| format!("w{number} ")).collect();
    let many = NewActivity { body: unlike, ..mail("m2", "Many words", &[]) };
    let odd = NewActivity {
        body: "\u{202e}<script>\u{fffd}\u{1f600}'\\\":*&|!".to_owned(),
        ..mail("m3", "", &["", "@", "a@b@c"])
    };
    let told = world.record("ann", vec![large, many, odd]).await.unwrap();
    assert!(told.iter().all(|it| it.outcome == "new"));
}

#[tokio::test]
async fn timelines_that_are_asked_for_wrongly_are_refused() {
    let world = world().await;
    let record = "rec_00000000000000000000000000000001";
    let ask = |record_id: &str, kind: &str, query: &str, page: &str| {
        let kinds = if kind.is_empty() { Vec::new() } else { vec![kind.to_owned()] };
        let (record_id, query, page) = (record_id.to_owned(), query.to_owned(), page.to_owned());
        let request = GetTimelineRequest { record_id, kinds, query, page, limit: 0 };
        let mut client = world.client();
        async move { code(client.get_timeline(by("viewer", request)).await) }
    };
    assert_eq!(ask("conn_1", "", "", "").await, "record_not_found");
    assert_eq!(ask(record, "fax", "", "").await, "kind_invalid");
    assert_eq!(ask(record, "", &"x".repeat(600), "").await, "too_long");
    assert_eq!(ask(record, "", "a\0b", "").await, "invalid_text");
    for page in ["x", "1", "1.2", "99999999999999999999.00000000000000000000000000000000", "."] {
        assert_eq!(ask(record, "", "", page).await, "page_invalid", "{page}");
    }
}
