//! What an endpoint is sent: `{"id", "event", "created", "data"}`, names as the public API spells them.

use bus::Message;
use jiff::Timestamp;
use model::{OrganizationId, kind};
use serde_json::{Map, Value, json};

use crate::Error;

/// What can be subscribed to.
pub(crate) const EVENTS: [&str; 11] = [
    kind::ATTRIBUTION_CREATED,
    kind::ATTRIBUTION_REPLACED,
    kind::COMMISSION_ACCRUED,
    kind::COMMISSION_APPROVED,
    kind::COMMISSION_PAID,
    kind::COMMISSION_REVERSED,
    kind::COMMISSION_ADJUSTED,
    kind::PARTNER_CREATED,
    kind::PARTNER_ACTIVATED,
    kind::PARTNER_REVOKED,
    kind::PAYOUT_CREATED,
];
/// What is sent to try an endpoint.
pub(crate) const TEST: &str = "webhook.test";

/// The body for a public event.
pub(crate) fn of(message: &Message, event_id: &str) -> Result<String, Error> {
    let envelope = &message.envelope;
    let mut data: Value = message.decode()?;
    // What is for the CRM of the organization is not for others.
    if let Value::Object(fields) = &mut data {
        fields.retain(|name, _| !matches!(name.as_str(), "user_id" | "source" | "pii"));
    }
    Ok(body(event_id, &envelope.kind, envelope.time, envelope.organization, in_api_words(data)))
}

/// The body of a sample.
pub(crate) fn sample(
    event: &str,
    event_id: &str,
    organization: OrganizationId,
    now: Timestamp,
) -> Result<String, Error> {
    let nobody = "00000000000000000000000000000000";
    let mut data = json!({ "sample": true, "at": now });
    let about = match event.split_once('.').map_or(event, |(noun, _)| noun) {
        "attribution" => {
            json!({ "eventId": format!("evt_{nobody}"), "eventType": "opportunity_won", "status": "attributed",
            "model": "last_click", "touches": [{ "attributionId": format!("attr_{nobody}"), "clickId": "sample",
            "partnerId": format!("ptnr_{nobody}"), "programId": format!("prog_{nobody}"), "weight": 1, "of": 1 }] })
        }
        "commission" => json!({ "commissionId": format!("comm_{nobody}"), "eventId": format!("evt_{nobody}"),
            "partnerId": format!("ptnr_{nobody}"), "programId": format!("prog_{nobody}"), "amount": "20.00",
            "currency": "USD", "status": event.split_once('.').map_or("", |(_, status)| status) }),
        "partner" => json!({ "partnerId": format!("ptnr_{nobody}"), "status": "active" }),
        "payout" => json!({ "payoutId": format!("pay_{nobody}"), "partnerId": format!("ptnr_{nobody}"),
            "amount": "20.00", "currency": "USD", "commissions": 1 }),
        _ => json!({ "message": "This endpoint is reached." }),
    };
    if let (Value::Object(data), Value::Object(about)) = (&mut data, about) {
        data.extend(about);
    }
    Ok(body(event_id, event, now, organization, data))
}

fn body(event_id: &str, event: &str, at: Timestamp, organization: OrganizationId, data: Value) -> String {
    json!({
        "id": event_id,
        "event": event,
        "created": format!("{at:.3}"),
        "tenantId": organization,
        "data": data,
    })
    .to_string()
}

/// `partner` is `partnerId`, `event_type` is `eventType`.
fn in_api_words(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| (in_api(&name, &value), in_api_words(value)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(in_api_words).collect()),
        other => other,
    }
}

fn in_api(name: &str, value: &Value) -> String {
    let is_id =
        matches!(name, "attribution" | "click" | "commission" | "event" | "partner" | "payout" | "program");
    if is_id && value.is_string() {
        return format!("{name}Id");
    }
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |text, word| {
        let (head, rest) = word.split_at(word.len().min(1));
        format!("{text}{}{rest}", head.to_ascii_uppercase())
    })
}
