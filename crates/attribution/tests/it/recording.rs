use std::collections::HashSet;

use chassis::guard;
use model::OrganizationId;
use proto::attribution::{
    CreateLinkRequest, CreatePartnerRequest, FollowLinkRequest, NewEvent, Program, RecordEventsRequest,
    event_answer,
};
use tonic::Code;
use uuid::Uuid;

use crate::world::{World, event, noon, percent, with, world};

#[tokio::test(flavor = "multi_thread")]
async fn a_click_that_is_identified_earns_the_partner_its_share_of_the_deal() {
    let world = world().await;
    let program = world.program("Spring", percent("20")).await;
    let ada = world.partner("ada", &program).await;
    let click = world.click(&ada).await;
    let identified = world.identify(&click, "jane@customer.example").await;
    assert!(identified.first_stitch);
    assert_eq!(world.identify(&click, "Jane@customer.example").await.identify_id, "");
    let recorded = world.record(event("Jane@Customer.example", "4500.00")).await;
    assert_eq!((recorded.status.as_str(), recorded.model.as_str()), ("attributed", "last_click"));
    assert_eq!(recorded.touches[0].click_id, click);
    assert_eq!(recorded.touches[0].commission_id, world.commissions().await[0].id);
    assert_eq!(world.earned(&ada).await, ["accrued 900.00 USD"]);
    assert_eq!(world.balances(&ada).await, ["accrued 900.00 USD"]);
    world.assert_whole().await;
}

/// A partner whose click is identified as this user's.
async fn brought(world: &World, user: &str) -> crate::world::Brought {
    let program = world.program("Spring", percent("10")).await;
    let ada = world.partner("ada", &program).await;
    let click = world.click(&ada).await;
    world.identify(&click, user).await;
    ada
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_for_another_user_gets_the_first_answer_also_at_the_same_time() {
    let world = world().await;
    let ada = brought(&world, "user-1").await;
    let posts = (0..32).map(|number| {
        let user = if number % 2 == 0 { "user-1" } else { "user-2" };
        world.record(NewEvent { external_event_id: "deal-7".to_owned(), ..event(user, "100") })
    });
    let answers = futures::future::join_all(posts).await;
    let ids: HashSet<&str> = answers.iter().map(|answer| answer.event_id.as_str()).collect();
    assert_eq!(ids.len(), 1);
    assert!(world.earned(&ada).await.len() <= 1);
    world.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_the_crm_is_an_event_once_for_each_type_and_an_event_without_a_key_every_time() {
    let world = world().await;
    let ada = brought(&world, "user-1").await;
    let deal = NewEvent { metadata_json: r#"{"deal_id":"D-1"}"#.to_owned(), ..event("user-1", "100") };
    let first = world.record(deal.clone()).await;
    let again = world.record(NewEvent { value: Some("7".to_owned()), ..deal.clone() }).await;
    assert_eq!(first, again);
    let expansion = world.record(NewEvent { r#type: "expansion_signed".to_owned(), ..deal }).await;
    assert_ne!(first.event_id, expansion.event_id);
    let one = world.record(event("user-1", "1")).await;
    let other = world.record(event("user-1", "1")).await;
    assert_ne!(one.event_id, other.event_id);
    let dated = NewEvent { ts: Some(proto::to_wire_time(noon())), ..event("user-1", "1") };
    let dated = (world.record(dated.clone()).await, world.record(dated).await);
    assert_eq!(dated.0, dated.1);
    assert_eq!(world.earned(&ada).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_integrations_that_count_their_calls_alike_do_not_swallow_each_others_events() {
    let world = world().await;
    let ada = brought(&world, "user-1").await;
    let by = async |key: &str, event: NewEvent| {
        let request = RecordEventsRequest { events: vec![event] };
        let answers = world.client().record_events(with(key, request)).await.unwrap().into_inner().answers;
        match answers.into_iter().next().and_then(|answer| answer.answer) {
            Some(event_answer::Answer::Recorded(recorded)) => recorded.event_id,
            other => panic!("{other:?}"),
        }
    };
    let first = NewEvent { idempotency_key: "1001".to_owned(), ..event("user-1", "100") };
    let [one, again] = [by("ak_events", first.clone()).await, by("ak_events", first.clone()).await];
    assert_eq!(one, again);
    let twin = by("ak_twin", NewEvent { value: Some("200".to_owned()), ..first.clone() }).await;
    assert_ne!(one, twin);
    // What the sender calls the event is the same whoever sends it.
    let named = NewEvent { external_event_id: "deal-7".to_owned(), ..first };
    assert_eq!(by("ak_events", named.clone()).await, by("ak_twin", named).await);
    let mut earned = world.earned(&ada).await;
    earned.sort();
    assert_eq!(earned, ["accrued 10.00 USD", "accrued 10.00 USD", "accrued 20.00 USD"]);
    world.assert_whole().await;
}

// Mistake 11
#[tokio::test(flavor = "multi_thread")]
async fn of_a_deal_s_contacts_the_first_who_was_identified_is_meant_and_else_the_first() {
    let world = world().await;
    let ada = brought(&world, "buyer@example.com").await;
    let of = |first: &str, others: &[&str]| NewEvent {
        other_user_ids: others.iter().map(|&other| other.to_owned()).collect(),
        ..event(first, "100")
    };
    let contacts = ["chief@example.com", "Buyer@Example.com"];
    let recorded = world.record(of("chief@example.com", &contacts)).await;
    assert_eq!(recorded.status, "attributed");
    assert_eq!(world.earned(&ada).await, ["accrued 10.00 USD"]);
    let unknown = world.record(of("chief@example.com", &["nobody@example.com"])).await;
    assert_eq!(unknown.status, "no_identity");
    // Whom the event is of is settled when it comes.
    let click = world.click(&ada).await;
    assert_eq!(world.identify(&click, "nobody@example.com").await.backfilled_attributions, 0);
    assert_eq!(world.identify(&click, "chief@example.com").await.backfilled_attributions, 1);
    world.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_event_of_a_batch_is_refused_alone() {
    let world = world().await;
    let ada = brought(&world, "user-1").await;
    const OTHERS: &str = "other_user_ids";
    let bad = [
        NewEvent { user_id: String::new(), ..event("", "1") },
        NewEvent { currency: "zzz".to_owned(), ..event("user-1", "1") },
        NewEvent { value: Some("-1".to_owned()), ..event("user-1", "1") },
        NewEvent { value: Some("1e30".to_owned()), ..event("user-1", "1") },
        NewEvent { metadata_json: "[1]".to_owned(), ..event("user-1", "1") },
        NewEvent { metadata_json: "{\"a\":\"\\u0000\"}".to_owned(), ..event("user-1", "1") },
        NewEvent { r#type: "a\0b".to_owned(), ..event("user-1", "1") },
        NewEvent { other_user_ids: vec!["user-2".to_owned(); 21], ..event("user-1", "1") },
        NewEvent { other_user_ids: vec![String::new()], ..event("user-1", "1") },
    ];
    let fields = ["user_id", "currency", "value", "value", "metadata", "metadata", "type", OTHERS, OTHERS];
    let batch = bad.into_iter().chain([event("user-1", "50")]).collect();
    let answers = world.try_record(batch).await.unwrap();
    for (answer, field) in answers.iter().zip(fields) {
        match answer.answer.as_ref().unwrap() {
            event_answer::Answer::Refused(refusal) => assert_eq!(refusal.field, field),
            event_answer::Answer::Recorded(recorded) => panic!("{recorded:?}"),
        }
    }
    assert!(matches!(answers[9].answer, Some(event_answer::Answer::Recorded(_))));
    assert_eq!(world.earned(&ada).await, ["accrued 5.00 USD"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_an_unknown_user_is_kept_with_its_reason_and_pays_nobody() {
    let world = world().await;
    brought(&world, "user-1").await;
    let recorded = world.record(event("stranger", "100")).await;
    assert_eq!(recorded.status, "no_identity");
    assert!(world.commissions().await.is_empty());
    let request = proto::attribution::ListEventsRequest {
        status: "unattributed".to_owned(),
        ..proto::attribution::ListEventsRequest::default()
    };
    let listed = world.client().list_events(with("ak_all", request)).await.unwrap().into_inner().events;
    assert_eq!((listed.len(), listed[0].reason.as_str()), (1, "no_identity"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_events_key_reaches_nothing_else_and_no_other_organization() {
    let world = world().await;
    let ada = brought(&world, "user-1").await;
    let request = proto::attribution::RunPayoutsRequest::default();
    let refused = world.client().run_payouts(with("ak_events", request)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let events = vec![event("user-1", "100")];
    let foreign = proto::attribution::RecordEventsRequest { events };
    let answer = world.client().record_events(with("ak_other", foreign)).await.unwrap().into_inner();
    match answer.answers[0].answer.as_ref().unwrap() {
        event_answer::Answer::Recorded(recorded) => assert_eq!(recorded.status, "no_identity"),
        event_answer::Answer::Refused(refusal) => panic!("{refusal:?}"),
    }
    assert!(world.earned(&ada).await.is_empty());
    let request = proto::attribution::GetPartnerRequest { partner_id: ada.partner.clone() };
    let refused = world.client().get_partner(with("ak_other", request)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
}

/// Another organization makes a link with this key.
async fn made_elsewhere(world: &World, key: &str) {
    let mut client = world.client();
    let program = Program {
        name: "Elsewhere".to_owned(),
        destination_url: "https://elsewhere.example/".to_owned(),
        terms: Some(percent("10")),
        ..Program::default()
    };
    let program_id = client.create_program(with("ak_other", program)).await.unwrap().into_inner().id;
    let partner = CreatePartnerRequest {
        email: "ada@elsewhere.example".to_owned(),
        name: "Ada".to_owned(),
        ..CreatePartnerRequest::default()
    };
    let partner_id = client.create_partner(with("ak_other", partner)).await.unwrap().into_inner().id;
    let link = CreateLinkRequest { key: key.to_owned(), partner_id, program_id, ..Default::default() };
    client.create_link(with("ak_other", link)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_two_organizations_have_leads_nowhere_until_it_is_said_whose() {
    let world = world().await;
    let program = world.program("Spring", percent("10")).await;
    let ada = world.partner("ada", &program).await;
    world.click(&ada).await;
    made_elsewhere(&world, &ada.link).await;
    let follow = async |organization: &str| {
        let (link_key, organization_id) = (ada.link.clone(), organization.to_owned());
        let request = FollowLinkRequest { link_key, organization_id, ..FollowLinkRequest::default() };
        world.client().follow_link(request).await.map(|answer| answer.into_inner().destination_url)
    };
    let refused = follow("").await.unwrap_err();
    let code = guard::stable_code(&refused);
    assert_eq!((refused.code(), code), (Code::InvalidArgument, Some("tenant_slug_missing")));
    let ours = follow(&world.organization.to_string()).await.unwrap();
    assert!(ours.starts_with("https://shop.example/"), "{ours}");
    let theirs = OrganizationId::from_uuid(Uuid::from_u128(2)).to_string();
    let theirs = follow(&theirs).await.unwrap();
    assert!(theirs.starts_with("https://elsewhere.example/"), "{theirs}");
    let counted = sqlx::query_scalar::<_, i64>(
        "SELECT count(*) FROM clicks GROUP BY organization ORDER BY organization",
    );
    assert_eq!(counted.fetch_all(&world.pool).await.unwrap(), [2, 1]);
}
