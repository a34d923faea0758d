use proto::attribution::{
    AttributionRow, Dashboard, DashboardRequest, Day, ListAttributionsRequest, ListAttributionsResponse,
    Money, StatusTotal, TimeseriesRequest, TimeseriesResponse, Weight,
};
use serde_json::json;

use super::house;

fn money(amount: &str, currency: &str) -> Money {
    Money { amount: amount.into(), currency: currency.into() }
}

#[tokio::test]
async fn attributions_are_read_by_jobs_page_by_page() {
    const LIST: &str = "accord.attribution.v1.Attribution/ListAttributions";
    let door = house().await;
    door.rooms.on(LIST, |_: ListAttributionsRequest| {
        let row = AttributionRow {
            id: "attr_1".into(),
            partner_id: "ptnr_1".into(),
            weight: Some(Weight { numerator: 2, denominator: 5 }),
            model: "position".into(),
            event_id: "evt_1".into(),
            value: "4500.00".into(),
            currency: "USD".into(),
            metadata_json: r#"{"deal_id":"d"}"#.into(),
            click_id: "01J".into(),
            link_key: "ada".into(),
            ..AttributionRow::default()
        };
        let bare = AttributionRow { id: "attr_2".into(), ..AttributionRow::default() };
        Ok(ListAttributionsResponse { attributions: vec![row, bare], next_cursor: "next".into() })
    });
    let answer = door
        .get("/api/attributions?since=2026-04-20T12:00:00%2B02:00&type=won&partnerId=ptnr_1&cursor=c")
        .await;
    let body = answer.json();
    assert_eq!(
        (&body["attributions"][0]["weight"], &body["nextCursor"]),
        (&json!(0.4), &json!("next")),
        "{answer:?}"
    );
    assert_eq!(body["attributions"][0]["event"]["metadata"], json!({ "deal_id": "d" }));
    assert_eq!(body["attributions"][0]["click"]["linkKey"], "ada");
    assert_eq!(body["attributions"][1]["click"], json!(null));
    let asked = door.rooms.last().message::<ListAttributionsRequest>();
    assert_eq!(
        (asked.r#type.as_str(), asked.partner_id.as_str(), asked.cursor.as_str()),
        ("won", "ptnr_1", "c")
    );
    assert_eq!((asked.since.unwrap().seconds, asked.limit), (1_776_679_200, 50));

    let body = door.get("/partners/ptnr_1/events?limit=200&offset=7").await.json();
    assert_eq!(
        (&body["partnerId"], &body["events"][0]["attributionId"]),
        (&json!("ptnr_1"), &json!("attr_1"))
    );
    assert_eq!(
        (&body["events"][0]["value"], &body["events"][0]["click"]["id"]),
        (&json!(4500.0), &json!("01J"))
    );
    let asked = door.rooms.last().message::<ListAttributionsRequest>();
    assert_eq!((asked.limit, asked.offset), (200, 7));
}

#[tokio::test]
async fn a_dashboard_never_adds_money_across_currencies() {
    const SHOW: &str = "accord.attribution.v1.Attribution/GetDashboard";
    let door = house().await;
    door.rooms.on(SHOW, |request: DashboardRequest| {
        let total = |status: &str, amount: &str, currency: &str| StatusTotal {
            status: status.into(),
            count: 1,
            total: Some(money(amount, currency)),
        };
        Ok(Dashboard {
            partner_id: request.partner_id,
            clicks: 12,
            attributed_events: 2,
            attributed_revenue: vec![money("100.00", "EUR"), money("4500.00", "USD")],
            commission_by_status: vec![total("accrued", "10.00", "EUR"), total("accrued", "900.00", "USD")],
            ..Dashboard::default()
        })
    });
    let body = door.get("/partners/ptnr_1/dashboard?since=2026-04-20T12:00:00Z").await.json();
    assert_eq!((&body["partnerId"], &body["since"]), (&json!("ptnr_1"), &json!("2026-04-20T12:00:00.000Z")));
    assert_eq!((&body["clicks"], &body["attributedEvents"]), (&json!(12), &json!(2)));
    assert_eq!(
        (&body["attributedRevenue"], &body["commissionByStatus"]),
        (&json!(4500.0), &json!({ "accrued": 900.0 }))
    );
    assert_eq!(body["currency"], "USD");
    assert_eq!(body["revenue"][0], json!({ "amount": 100.0, "currency": "EUR" }));
    assert_eq!(body["links"], json!(null));
}

#[tokio::test]
async fn a_series_has_every_day() {
    const SHOW: &str = "accord.attribution.v1.Attribution/GetTimeseries";
    let door = house().await;
    door.rooms.on(SHOW, |_: TimeseriesRequest| {
        let day = Day {
            date: "2026-04-21".into(),
            clicks: 3,
            events: 1,
            revenue: vec![money("7.50", "EUR")],
            commission: vec![money("0.75", "EUR")],
        };
        Ok(TimeseriesResponse { days: vec![day] })
    });
    let path = "/partners/p/timeseries?since=2026-04-20T23:00:00Z&until=2026-04-22T01:00:00Z";
    let body = door.get(path).await.json();
    let days: Vec<_> =
        body["buckets"].as_array().unwrap().iter().map(|day| day["bucket"].as_str().unwrap()).collect();
    assert_eq!(days, ["2026-04-20T00:00:00.000Z", "2026-04-21T00:00:00.000Z", "2026-04-22T00:00:00.000Z"]);
    assert_eq!(
        (&body["buckets"][1]["revenue"], &body["buckets"][1]["earnings"]),
        (&json!(7.5), &json!(0.75))
    );
    assert_eq!((&body["buckets"][0]["revenue"], &body["currency"]), (&json!(0), &json!("EUR")));
}
