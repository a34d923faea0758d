use http::{Method, StatusCode};
use proto::attribution::{
    Commission, CommissionAnswer, CommissionRefusal, DecideCommissionsRequest, DecideCommissionsResponse,
    ListCommissionsRequest, ListCommissionsResponse, Money, Payout, RunPayoutsRequest, RunPayoutsResponse,
    commission_answer::Answer,
};
use serde_json::json;

use super::{ORGANIZATION, house};

const LIST: &str = "accord.attribution.v1.Attribution/ListCommissions";
const APPROVE: &str = "accord.attribution.v1.Attribution/ApproveCommissions";
const RUN: &str = "accord.attribution.v1.Attribution/RunPayouts";

fn commission(id: &str) -> Commission {
    Commission {
        id: id.to_owned(),
        attribution_id: "attr_1".into(),
        event_id: "evt_1".into(),
        partner_id: "ptnr_1".into(),
        program_id: "prog_1".into(),
        program_name: "Referrals".into(),
        amount: "900.00".into(),
        currency: "USD".into(),
        status: "accrued".into(),
        reason: "attributed".into(),
        accrued_at: Some(prost_types::Timestamp { seconds: 1_776_686_400, nanos: 123_000_000 }),
        mature_at: Some(prost_types::Timestamp { seconds: 1_779_278_400, nanos: 0 }),
        hold_days: 30,
        ..Commission::default()
    }
}

#[tokio::test]
async fn commissions_are_listed_as_callers_know_them() {
    let door = house().await;
    door.rooms.on(LIST, |_: ListCommissionsRequest| {
        Ok(ListCommissionsResponse { commissions: vec![commission("comm_1")], next_cursor: String::new() })
    });
    let answer = door.get("/api/commissions?status=accrued&limit=500").await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let row = &answer.json()["commissions"][0];
    for (name, expected) in [
        ("id", json!("comm_1")),
        ("tenantId", json!(ORGANIZATION)),
        ("attributionId", json!("attr_1")),
        ("partnerId", json!("ptnr_1")),
        ("amount", json!("900.00")),
        ("currency", json!("USD")),
        ("status", json!("accrued")),
        ("accruedAt", json!("2026-04-20T12:00:00.123Z")),
        ("paidAt", json!(null)),
        ("payoutId", json!(null)),
        ("holdbackDays", json!(30)),
        ("programId", json!("prog_1")),
        ("campaignName", json!("Referrals")),
        ("matureAt", json!("2026-05-20T12:00:00.000Z")),
    ] {
        assert_eq!(row[name], expected, "{name}");
    }
    let asked = door.rooms.last_of(LIST).message::<ListCommissionsRequest>();
    assert_eq!((asked.status.as_str(), asked.limit, asked.partner_id.as_str()), ("accrued", 500, ""));
    door.get("/partners/ptnr_1/commissions").await;
    let asked = door.rooms.last_of(LIST).message::<ListCommissionsRequest>();
    assert_eq!((asked.limit, asked.partner_id.as_str()), (100, "ptnr_1"));
}

#[tokio::test]
async fn a_decision_on_a_commission_is_answered_with_it_or_with_why_not() {
    let door = house().await;
    let refused = |code: &str, message: &str| CommissionRefusal {
        code: code.to_owned(),
        message: message.to_owned(),
        mature_at: commission("c").mature_at,
        hold_days: 30,
    };
    for (answer, status, expected) in [
        (Answer::Refused(refused("not_found", "")), 404, json!({ "error": "not_found" })),
        (
            Answer::Refused(refused("not_approvable", "must be in accrued state")),
            409,
            json!({ "error": "not_approvable", "detail": "must be in accrued state" }),
        ),
        (
            Answer::Refused(refused("holdback_active", "Not yet.")),
            409,
            json!({
                "error": "holdback_active", "detail": "Not yet.", "matureAt": "2026-05-20T12:00:00.000Z", "holdbackDays": 30,
            }),
        ),
    ] {
        let answer = CommissionAnswer { answer: Some(answer) };
        door.rooms.on(APPROVE, move |_: DecideCommissionsRequest| {
            Ok(DecideCommissionsResponse { answers: vec![answer.clone()] })
        });
        let answer = door.call(Method::POST, "/commissions/comm_1/approve", None).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (status, expected));
    }
    door.rooms.on(APPROVE, |request: DecideCommissionsRequest| {
        let answer = |id: &String| match id.as_str() {
            "held" => {
                Answer::Refused(CommissionRefusal { code: "commission_held".into(), ..Default::default() })
            }
            id => Answer::Commission(commission(id)),
        };
        let answers = request.commission_ids.iter().map(|id| CommissionAnswer { answer: Some(answer(id)) });
        Ok(DecideCommissionsResponse { answers: answers.collect() })
    });
    let answer = door.post("/commissions/comm_1/approve", &json!({ "note": "fine" })).await;
    assert_eq!(answer.json()["commission"]["id"], "comm_1");
    assert_eq!(door.rooms.last_of(APPROVE).message::<DecideCommissionsRequest>().note, "fine");
    let answer = door.post("/commissions/approve", &json!({ "ids": ["comm_1", "held"] })).await;
    let results = &answer.json()["results"];
    assert_eq!((&results[0]["ok"], &results[0]["commission"]["id"]), (&json!(true), &json!("comm_1")));
    assert_eq!(results[1], json!({ "ok": false, "id": "held", "error": "commission_held" }));
}

#[tokio::test]
async fn payouts_are_run_once_for_a_key_and_for_each_call_without_one() {
    let door = house().await;
    door.rooms.on(RUN, |_: RunPayoutsRequest| {
        let amount = Some(Money { amount: "12.50".into(), currency: "EUR".into() });
        let payout = Payout { id: "pay_1".into(), status: "pending".into(), amount, ..Default::default() };
        Ok(RunPayoutsResponse { run_id: "run_1".into(), mode: "manual".into(), payouts: vec![payout] })
    });
    let mut keys = Vec::new();
    for _ in 0..2 {
        let answer = door.call(Method::POST, "/payouts/run", None).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let body = answer.json();
        assert_eq!((&body["runId"], &body["mode"]), (&json!("run_1"), &json!("manual")));
        assert_eq!(
            (&body["payouts"][0]["amount"], &body["payouts"][0]["currency"]),
            (&json!("12.50"), &json!("EUR"))
        );
        keys.push(door.rooms.last().message::<RunPayoutsRequest>().idempotency_key);
    }
    assert!(keys[0] != keys[1] && !keys[0].is_empty());
}
