//! Partners register deals, and what stands already is told.

use std::collections::BTreeMap;

use model::{CanonicalObject, DealRegistrationId, PartnerChanged, RecordChanged, RecordId, Value, kind};
use proto::crm::{
    DealForm, DealRegistration, DealRegistrationRequest, GetDealFormRequest, ListDealRegistrationsRequest,
    RegistrationConflict,
};
use testkit::eventually;
use uuid::Uuid;

use crate::world::{SOON, by, code, deal, noon, partner, user, world};

#[tokio::test]
async fn a_registered_deal_is_kept_as_it_was_told_and_said_without_whom_to_talk_to() {
    let world = world().await;
    let mut ear = world.ear().await;
    let made = world.submit("first", deal(1, "Ten presses")).await.unwrap();
    assert_eq!((made.status.as_str(), made.company_domain.as_str()), ("submitted", "acme.example"));
    assert_eq!((made.amount.as_str(), made.currency.as_str()), ("45000.10", "EUR"));
    assert_eq!(made.contact_email, "carol@acme.example");
    assert_eq!(made.expected_close, "2027-01-31");
    for who in ["first", "viewer"] {
        assert_eq!(world.get(who, &made.id).await.unwrap(), made);
    }
    let (kind, actor, said) = &ear.hear(1).await[0];
    assert_eq!(kind, "deal_registration.submitted");
    assert_eq!(*actor, made.submitted_by);
    assert_eq!((said.deal_name.as_str(), said.amount.as_deref()), ("Ten presses", Some("45000.10")));
    let text = serde_json::to_string(said).unwrap().to_lowercase();
    assert!(!text.contains("carol") && !text.contains("they know us"), "{text}");
}

#[tokio::test]
async fn another_registration_of_the_company_is_told_and_the_same_deal_is_refused() {
    let world = world().await;
    let first = world.submit("first", deal(1, "Ten presses")).await.unwrap();
    assert_eq!(code(world.submit("ann", deal(1, " ten  PRESSES ")).await), "deal_already_registered");
    let again = world.submit("first", deal(1, "Spare parts")).await.unwrap();
    let kinds = |it: &DealRegistration| {
        let kinds =
            it.conflicts.iter().map(|conflict| format!("{} {}", conflict.kind, conflict.registration_id));
        kinds.collect::<Vec<_>>()
    };
    assert_eq!(kinds(&again), [format!("duplicate {}", first.id)]);
    let second = world.submit("second", deal(2, "Ten presses")).await.unwrap();
    // The partner is told that somebody was first, the reviewer who and how often.
    assert_eq!(kinds(&second), ["channel "]);
    let seen = world.get("ann", &second.id).await.unwrap();
    assert_eq!(kinds(&seen), [format!("channel {}", first.id), format!("channel {}", again.id)]);
    assert_eq!(seen.conflicts[0].partner_id, partner(1).to_string());
    // What was rejected does not stand in the way.
    world.reject("ann", &first.id, "we are there already").await.unwrap();
    let anew = world.submit("first", deal(1, "Ten presses")).await.unwrap();
    assert!(!anew.conflicts.iter().any(|conflict| conflict.registration_id == first.id));
}

#[tokio::test]
async fn the_same_deal_sent_twice_at_once_is_registered_once() {
    let world = world().await;
    let sent = (0..8).map(|_| world.submit("first", deal(1, "Ten presses")));
    let answers = futures::future::join_all(sent).await;
    let made = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(made, 1);
    for refused in answers.into_iter().filter(Result::is_err) {
        assert_eq!(code(refused), "deal_already_registered");
    }
}

#[tokio::test]
async fn a_partner_sees_its_own_and_nobody_those_of_another_organization() {
    let world = world().await;
    let first = world.submit("first", deal(1, "Ten presses")).await.unwrap();
    let second = world.submit("ann", deal(2, "Five presses")).await.unwrap();
    assert_eq!(code(world.get("first", &second.id).await), "deal_registration_not_found");
    assert_eq!(code(world.get("other", &second.id).await), "deal_registration_not_found");
    assert_eq!(code(world.approve("first", &first.id).await), "partner_key");
    assert_eq!(code(world.approve("viewer", &first.id).await), "scope_missing");
    assert_eq!(code(world.approve("other", &first.id).await), "deal_registration_not_found");
    assert_eq!(code(world.submit("viewer", deal(1, "x")).await), "scope_missing");
    assert_eq!(code(world.submit("first", deal(2, "x")).await), "partner_not_found");
    let list = |who: &'static str, partner: String, status: &'static str| {
        let mut client = world.client();
        async move {
            let request = ListDealRegistrationsRequest {
                partner_id: partner,
                status: status.to_owned(),
                ..ListDealRegistrationsRequest::default()
            };
            let answer = client.list_deal_registrations(by(who, request)).await.unwrap().into_inner();
            answer.registrations.into_iter().map(|it| it.id).collect::<Vec<_>>()
        }
    };
    let all = [second.id.clone(), first.id.clone()];
    assert_eq!(list("ann", String::new(), "open").await, all);
    assert_eq!(list("first", String::new(), "").await, all[1..]);
    assert_eq!(list("ann", partner(2).to_string(), "submitted").await, all[..1]);
    assert!(list("ann", String::new(), "approved").await.is_empty());
    assert!(list("other", String::new(), "").await.is_empty());
}

#[tokio::test]
async fn pages_lead_through_all_registrations_once() {
    let world = world().await;
    for number in 0..7 {
        world.submit("first", deal(1, &format!("Deal {number}"))).await.unwrap();
    }
    let (mut page, mut seen) = (String::new(), Vec::new());
    loop {
        let request =
            ListDealRegistrationsRequest { limit: 3, page, ..ListDealRegistrationsRequest::default() };
        let answer = world.client().list_deal_registrations(by("ann", request)).await.unwrap().into_inner();
        seen.extend(answer.registrations.into_iter().map(|it| it.deal_name));
        page = answer.next_page;
        if page.is_empty() {
            break;
        }
    }
    seen.sort();
    assert_eq!(seen, (0..7).map(|number| format!("Deal {number}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_revoked_partner_registers_nothing_and_the_companys_record_is_named() {
    let world = world().await;
    let revoked = PartnerChanged {
        partner: partner(2),
        name: String::new(),
        status: "revoked".to_owned(),
        note: String::new(),
        at: noon(),
    };
    world.publish("partner", "revoked", kind::PARTNER_REVOKED, &revoked).await;
    let acme = RecordId::from_uuid(Uuid::from_u128(77));
    let created = RecordChanged {
        record: acme,
        object: CanonicalObject::Company,
        version: 1,
        fields: BTreeMap::from([("domain".to_owned(), Value::text("ACME.example"))]),
        before: BTreeMap::new(),
        truncated: false,
        pii: Vec::new(),
        actor: "user:someone".to_owned(),
        at: noon(),
        connection: None,
    };
    world.publish("record", "company", kind::RECORD_CREATED, &created).await;
    eventually(SOON, "the room to know them", || async {
        let count = "SELECT (SELECT count(*) FROM partners WHERE status = 'revoked') + (SELECT count(*) FROM directory)";
        let known: i64 = sqlx::query_scalar(count).fetch_one(&world.pool).await.unwrap();
        (known == 2).then_some(())
    })
    .await;
    assert_eq!(code(world.submit("second", deal(2, "Ten presses")).await), "partner_revoked");
    let mut ear = world.ear().await;
    world.submit("first", deal(1, "Ten presses")).await.unwrap();
    assert_eq!(ear.hear(1).await[0].2.company_record, Some(acme));
}

// R32
#[tokio::test]
async fn a_link_to_a_form_registers_for_its_partner_sees_what_is_theirs_and_nothing_else() {
    let world = world().await;
    let form = |who: &'static str| {
        let mut client = world.client();
        async move { Ok(client.get_deal_form(by(who, GetDealFormRequest {})).await?.into_inner()) }
    };
    let of_whom = DealForm { partner_id: partner(1).to_string(), ..DealForm::default() };
    assert_eq!(form("form").await.unwrap(), of_whom);
    for who in ["first", "ann"] {
        assert_eq!(code(form(who).await), "form_link_needed", "{who} has a key and no link");
    }
    let own = world.submit("first", deal(1, "By key")).await.unwrap();
    let other = world.submit("second", deal(2, "Theirs")).await.unwrap();
    let made = world.submit("form", deal(1, "By the form")).await.unwrap();
    assert_eq!(made.partner_id, partner(1).to_string());
    let told = made.conflicts.iter().map(|it| (it.kind.as_str(), it.partner_id.as_str()));
    let partner_id = partner(1).to_string();
    assert_eq!(told.collect::<Vec<_>>(), [("duplicate", partner_id.as_str()), ("channel", "")]);
    assert_eq!(code(world.submit("form", deal(2, "x")).await), "partner_not_found");
    assert_eq!(world.get("form", &own.id).await.unwrap(), own);
    assert_eq!(code(world.get("form", &other.id).await), "deal_registration_not_found");
    let request = ListDealRegistrationsRequest::default();
    let listed = world.client().list_deal_registrations(by("form", request)).await.unwrap().into_inner();
    let ids: Vec<String> = listed.registrations.into_iter().map(|it| it.id).collect();
    assert_eq!(ids, [made.id.clone(), own.id]);
    assert_eq!(code(world.approve("form", &made.id).await), "partner_key");
    assert_eq!(code(world.reject("form", &made.id, "no").await), "partner_key");
}

#[tokio::test]
async fn a_partner_is_told_what_became_of_its_deals_and_not_who_of_the_organization_did_it_nor_how_others_stand()
 {
    let world = world().await;
    for name in ["Ten presses", "Spare parts"] {
        world.submit("second", deal(2, name)).await.unwrap();
    }
    let made = world.submit("ann", deal(1, "Ten presses")).await.unwrap();
    let review = by("bob", DealRegistrationRequest { id: made.id.clone() });
    world.client().review_deal_registration(review).await.unwrap();
    world.reject("ann", &made.id, "We are there already.").await.unwrap();
    // All keys of this world are one and the same; people are not.
    let person = format!("user:{}", user(0));
    let by_person = sqlx::query("UPDATE registrations SET submitted_by = $1 WHERE id = $2")
        .bind(&person)
        .bind(made.id.parse::<DealRegistrationId>().unwrap().uuid());
    by_person.execute(&world.pool).await.unwrap();
    let whole = world.get("viewer", &made.id).await.unwrap();
    assert_eq!(whole.submitted_by, person);
    assert!(!whole.reviewer.is_empty() && !whole.decided_by.is_empty() && !whole.submitted_by.is_empty());
    assert_eq!(whole.conflicts.len(), 2);
    let conflicts = vec![RegistrationConflict { kind: "channel".to_owned(), ..<_>::default() }];
    let (reviewer, decided_by, submitted_by) = Default::default();
    let told = DealRegistration { conflicts, reviewer, decided_by, submitted_by, ..whole };
    assert_eq!((told.status.as_str(), told.reason.as_str()), ("rejected", "We are there already."));
    for who in ["form", "first"] {
        assert_eq!(world.get(who, &made.id).await.unwrap(), told, "{who}");
        let request = by(who, ListDealRegistrationsRequest::default());
        let listed = world.client().list_deal_registrations(request).await.unwrap().into_inner();
        assert_eq!(listed.registrations, std::slice::from_ref(&told), "{who}");
    }
    // What it is told as it registers is no more.
    let again = world.submit("form", deal(1, "Five presses")).await.unwrap();
    assert_eq!(again.conflicts, told.conflicts);
}

#[tokio::test]
async fn a_link_to_a_form_registers_twenty_deals_an_hour_however_many_come_at_once() {
    let world = world().await;
    let sent = (0..24).map(|number| world.submit("form", deal(1, &format!("Deal {number}"))));
    let answers = futures::future::join_all(sent).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 20);
    for refused in answers.into_iter().filter(Result::is_err) {
        assert_eq!(code(refused), "too_many_registrations");
    }
    world.submit("first", deal(1, "By key")).await.expect("the key of the partner is not held back");
    world.clock.advance(std::time::Duration::from_secs(3_600));
    world.submit("form", deal(1, "Later")).await.expect("an hour later there is room again");
}
