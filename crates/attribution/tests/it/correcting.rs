use std::time::Duration;

use proto::attribution::{
    ChangeModelRequest, DashboardRequest, DecidePartnerRequest, NewEvent, TimeseriesRequest,
    correct_event_request::Correction,
};

use crate::world::{Sold, by_all, event, percent, world};

#[tokio::test(flavor = "multi_thread")]
async fn an_identify_after_the_sale_pays_for_the_sale() {
    let world = world().await;
    let program = world.program("Spring", percent("10")).await;
    let ada = world.partner("ada", &program).await;
    let click = world.click(&ada).await;
    let deal = NewEvent { idempotency_key: "deal".to_owned(), ..event("user-1", "100") };
    assert_eq!(world.record(deal.clone()).await.status, "no_identity");
    assert_eq!(world.identify(&click, "user-1").await.backfilled_attributions, 1);
    assert_eq!(world.earned(&ada).await, ["accrued 10.00 USD"]);
    assert_eq!(world.record(deal).await.status, "no_identity", "a repeat gets the first answer");
    world.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_a_new_value_a_lost_deal_and_a_won_one_correct_what_is_owed() {
    let world = world().await;
    let Sold { ada, event: deal, .. } = world.sold(percent("10")).await;
    for (key, correction, owed) in [
        ("1", Correction::Refund("40".to_owned()), "accrued 6.00 USD"),
        ("2", Correction::Value("300".to_owned()), "accrued 30.00 USD"),
        ("3", Correction::Void(true), "reversed 0.00 USD"),
        ("4", Correction::Restore(true), "accrued 30.00 USD"),
    ] {
        assert!(world.correct(&deal, key, correction.clone()).await);
        assert!(!world.correct(&deal, key, correction).await, "a repeat does nothing");
        assert_eq!(world.earned(&ada).await, [owed]);
        world.clock.advance(Duration::from_secs(1));
    }
    world.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_s_figures_count_what_is_left_of_their_events() {
    let world = world().await;
    let Sold { ada, event: deal, .. } = world.sold(percent("10")).await;
    for (key, correction, left) in [
        ("1", Correction::Refund("40".to_owned()), Some("60.00")),
        ("2", Correction::Refund("70".to_owned()), None),
        ("3", Correction::Value("300".to_owned()), Some("300.00")),
        ("4", Correction::Void(true), None),
        ("5", Correction::Refund("50".to_owned()), None),
        ("6", Correction::Restore(true), Some("250.00")),
    ] {
        world.clock.advance(Duration::from_secs(1));
        assert!(world.correct(&deal, key, correction).await);
        let request = DashboardRequest { partner_id: ada.partner.clone(), ..DashboardRequest::default() };
        let figures = world.client().get_dashboard(by_all(request)).await.unwrap().into_inner();
        let revenue: Vec<&str> = figures.attributed_revenue.iter().map(|money| &*money.amount).collect();
        assert_eq!(
            (figures.attributed_events, revenue),
            (u64::from(left.is_some()), Vec::from_iter(left)),
            "{key}"
        );
        let request = TimeseriesRequest { partner_id: ada.partner.clone(), ..TimeseriesRequest::default() };
        let days = world.client().get_timeseries(by_all(request)).await.unwrap().into_inner().days;
        let revenue = days.iter().flat_map(|day| &day.revenue).map(|money| &*money.amount);
        assert_eq!(revenue.collect::<Vec<&str>>(), Vec::from_iter(left), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_model_is_previewed_and_then_replaces_what_stands() {
    let world = world().await;
    let program = world.program("Spring", percent("10")).await;
    let (ada, bob) = (world.partner("ada", &program).await, world.partner("bob", &program).await);
    for brought in [&ada, &bob] {
        let click = world.click(brought).await;
        world.identify(&click, "user-1").await;
        world.clock.advance(Duration::from_secs(60));
    }
    world.record(event("user-1", "0.30")).await;
    let change = ChangeModelRequest { program_id: program.clone(), model: "linear".to_owned() };
    let told = world.client().preview_model(by_all(change.clone())).await.unwrap().into_inner();
    assert_eq!((told.events, told.changed_events), (1, 1));
    assert_eq!(world.earned(&bob).await, ["accrued 0.03 USD"], "a preview changes nothing");
    let done = world.client().change_model(by_all(change)).await.unwrap().into_inner();
    assert_eq!(told, done);
    let shares = (world.earned(&ada).await, world.earned(&bob).await);
    let expected = |text: &str| vec![format!("accrued {text} USD")];
    assert_eq!(shares, (expected("0.02"), expected("0.01")), "the shares sum to the commission");
    world.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_partner_earns_nothing_more_and_keeps_what_it_earned() {
    let world = world().await;
    let Sold { ada, .. } = world.sold(percent("10")).await;
    let tomorrow = Some(proto::to_wire_time(world.later(24)));
    world.record(NewEvent { ts: tomorrow, ..event("user-1", "50") }).await;
    world.clock.advance(Duration::from_secs(60));
    let decision = |decision: &str| DecidePartnerRequest {
        partner_id: ada.partner.clone(),
        decision: decision.to_owned(),
        ..DecidePartnerRequest::default()
    };
    world.client().decide_partner(by_all(decision("revoke"))).await.unwrap();
    assert_eq!(world.record(event("user-1", "100")).await.status, "no_click");
    assert_eq!(world.earned(&ada).await, ["accrued 10.00 USD", "reversed 0.00 USD"]);
    world.assert_whole().await;
    world.client().decide_partner(by_all(decision("reinstate"))).await.unwrap();
    world.assert_whole().await;
}
