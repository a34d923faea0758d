//! The dialog that asks for a reason, and what it keeps until it is submitted. Pure.

use connector::Question;
use model::ConnectionId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::render::plain;

/// What our dialog is known by.
pub(crate) const CALLBACK: &str = "accord_reason";
pub(crate) const BLOCK: &str = "reason";
pub(crate) const FIELD: &str = "reason";
const TITLE_MOST: usize = 24;
const REASON_MOST: u32 = 2_000;

/// What the dialog was opened for; Slack keeps it and nobody sees it.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct About {
    pub(crate) connection: ConnectionId,
    pub(crate) action: String,
    pub(crate) value: String,
    pub(crate) channel: String,
    pub(crate) message: String,
}

/// What opens the dialog of a question.
pub(crate) fn view(question: &Question) -> Value {
    let about = About {
        connection: question.connection,
        action: question.action.clone(),
        value: question.value.clone(),
        channel: question.channel.clone(),
        message: question.message.clone(),
    };
    let label = plain(&question.label, TITLE_MOST);
    let label = if label.is_empty() { "Reason".to_owned() } else { label };
    let plain_text = |text: &str| json!({"type": "plain_text", "text": text});
    json!({
        "trigger_id": question.trigger,
        "view": {
            "type": "modal",
            "callback_id": CALLBACK,
            "private_metadata": serde_json::to_string(&about).unwrap_or_default(),
            "title": plain_text(&label),
            "submit": plain_text(&label),
            "close": plain_text("Cancel"),
            "blocks": [{
                "type": "input",
                "block_id": BLOCK,
                "label": plain_text("Reason"),
                "element": {
                    "type": "plain_text_input", "action_id": FIELD, "multiline": true, "min_length": 1,
                    "max_length": REASON_MOST,
                },
            }],
        },
    })
}
