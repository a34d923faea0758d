//! What waits for a person, and where others are told what happened.

use proto::attribution::{DecisionNote, Guards, ReviewItem, ReviewTotal, WebhookDelivery, WebhookEndpoint};

use super::{before, id};

/// Commissions that wait: one that looks odd, one that somebody held, one that only waits for its approval.
#[must_use]
pub fn reviews() -> Vec<ReviewItem> {
    let item = |n: u32, reason: &str, explanation: &str| ReviewItem {
        commission_id: id("comm", n),
        partner_id: id("ptnr", 1),
        partner_name: "Ada Writes".to_owned(),
        program_id: id("prog", 1),
        program_name: "Referrals".to_owned(),
        event_id: id("evt", n),
        event_type: "opportunity_won".to_owned(),
        user_id: "ada@blog.example".to_owned(),
        amount: "900.00".to_owned(),
        currency: "USD".to_owned(),
        reason: reason.to_owned(),
        explanation: explanation.to_owned(),
        since: before(i64::from(n) * 5000),
        mature_at: before(-86_400 * 9),
        held: !reason.is_empty(),
        status: "accrued".to_owned(),
        ..ReviewItem::default()
    };
    let noted = DecisionNote {
        decision: "hold".to_owned(),
        note: "asking the customer".to_owned(),
        actor: format!("user:{}", id("user", 1)),
        at: before(4000),
    };
    vec![
        item(1, "self_referral", "the customer's address is the partner's"),
        ReviewItem { decisions: vec![noted], ..item(2, "held_by_hand", "") },
        item(3, "", ""),
    ]
}

/// What is at stake in all.
#[must_use]
pub fn review_totals() -> Vec<ReviewTotal> {
    let total = |reason: &str, count, amount: &str| ReviewTotal {
        reason: reason.to_owned(),
        currency: "USD".to_owned(),
        count,
        amount: amount.to_owned(),
    };
    vec![total("self_referral", 12, "10800.00"), total("held_by_hand", 1, "900.00")]
}

/// What is believed without asking.
#[must_use]
pub fn guards() -> Guards {
    Guards {
        signed_identify: "on".to_owned(),
        secret_created_at: before(86_400 * 2),
        users_per_click: 3,
        identifies_per_address_hour: 20,
        events_per_partner_hour: 0,
        one_stitch_per_day: true,
        known_customers_wait: false,
    }
}

/// Where others are told: an endpoint that works, and one that is paused.
#[must_use]
pub fn webhooks() -> Vec<WebhookEndpoint> {
    let endpoint = |n: u32, active| WebhookEndpoint {
        id: id("wh", n),
        url: "https://hooks.northwind.example/accord".to_owned(),
        events: vec!["commission.accrued".to_owned(), "commission.paid".to_owned()],
        label: if n == 1 { "Back office" } else { "" }.to_owned(),
        active,
        secret_prefix: "whsec_8fQ2".to_owned(),
        created_at: before(86_400 * 12),
        last_used_at: before(300),
        pending: u64::from(n) - 1,
        failures: 0,
    };
    vec![endpoint(1, true), endpoint(2, false)]
}

/// What was sent there: taken, waiting to be sent again, given up.
#[must_use]
pub fn deliveries() -> Vec<WebhookDelivery> {
    let delivery = |n: u32, status: &str, http_status, error: &str| WebhookDelivery {
        id: id("whd", n),
        webhook_id: id("wh", 1),
        event_id: id("evn", n),
        event: "commission.accrued".to_owned(),
        payload_json: r#"{"event":"commission.accrued","data":{"amount":"900.00","currency":"USD"}}"#
            .to_owned(),
        status: status.to_owned(),
        attempts: n,
        http_status,
        error: error.to_owned(),
        created_at: before(i64::from(n) * 700),
        last_attempt_at: before(i64::from(n) * 600),
        delivered_at: if status == "delivered" { before(300) } else { None },
        next_attempt_at: if status == "pending" { before(-120) } else { None },
    };
    vec![
        delivery(1, "delivered", 200, ""),
        delivery(2, "pending", 503, ""),
        delivery(3, "failed", 0, "nobody answered within 10 seconds"),
    ]
}
