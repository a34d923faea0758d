//! The table of Salesforce's faults: what is done, and what is seen of it.

use serde_json::{Value, json};

use super::OBJECTS;

const DATA: &str = "/services/data";
/// Where records are read by their ids.
const READ: &str = "POST /services/data/{version}/composite/sobjects/{object}";
/// Where records are made.
const CREATE: &str = "PATCH /services/data/{version}/composite/sobjects/{object}/{field}";
/// Where records are read by when they were changed.
const QUERY: &str = "/query";

/// A row of the fault table: what is done, and what is seen of it, in order.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) steps: Vec<Step>,
}

pub(super) enum Step {
    /// A call of the sandbox's control API.
    Do(&'static str, &'static str, Value),
    /// People edit on both sides at once; in the org, these fields too.
    Edit(Value),
    /// Waits until it shows.
    See(Sign),
    /// Somebody presses "Sync now".
    SyncNow,
    /// Somebody gives the consent once more.
    Reconnect,
}

/// What shows that a fault struck, and how it went on.
pub(super) enum Sign {
    /// So many calls of such paths were answered with this status since the row began.
    Calls { path: &'static str, status: &'static str, times: u64 },
    /// The stream of accounts is said to be in this state.
    Stream(&'static str),
    /// The connection is in this state.
    Connection(&'static str),
    /// The audit log has such an entry of the connection.
    Audited(&'static str),
    /// Every stream fault that was set found its subscription.
    EveryStreamFault,
    /// Both sides are equal.
    Equal,
    /// Both sides are equal but for what was deleted there, which is asked for every few minutes only.
    EqualButForDeletions,
}

fn post(path: &'static str, body: Value) -> Step {
    Step::Do("POST", path, body)
}

fn delete(path: &'static str) -> Step {
    Step::Do("DELETE", path, json!({}))
}

fn edit() -> Step {
    Step::Edit(json!({}))
}

/// A fault of calls strikes reads by id, which events that only tell ids lead to, and writes.
fn fault_of_calls(
    name: &'static str,
    mut fault: Value,
    status: &'static str,
    (path, times): (&'static str, u64),
) -> Row {
    fault["match"] = json!({ "path_prefix": DATA });
    let steps = vec![
        post("stream/settings", json!({ "gap_percent": 100 })),
        post("faults", fault),
        edit(),
        Step::See(Sign::Calls { path, status, times }),
        delete("faults"),
        post("stream/settings", json!({ "gap_percent": 0 })),
    ];
    Row { name, steps }
}

/// Calls that are too many or find nobody.
fn faults_of_calls() -> Vec<Row> {
    let kind = |kind: &str| json!({ "kind": kind });
    let for_a_second = json!({ "kind": "429", "delay_ms": 1_000 });
    vec![
        fault_of_calls("REQUEST_LIMIT_EXCEEDED", kind("concurrent_limit"), "403", (DATA, 2)),
        // A call is repeated three times before it has failed.
        fault_of_calls("429", kind("429"), "429", (CREATE, 5)),
        fault_of_calls("429 with Retry-After", for_a_second, "429", (CREATE, 5)),
        fault_of_calls("503", kind("503"), "503", (CREATE, 5)),
    ]
}

fn clock(moved_ms: i64) -> Step {
    post("clock", json!({ "advance_ms": moved_ms }))
}

/// The org's clock is minutes behind ours, and then right again: what it says is late, and less new than what was read
/// before of other records.
fn clock_behind() -> Row {
    let steps = vec![clock(-420_000), edit(), Step::See(Sign::Equal), clock(420_000), edit()];
    Row { name: "clock behind", steps }
}

/// An administrator changes which fields an account has, while nobody listens: the events of before and after lie in one
/// stream, and of those fields that nobody changed, some lie elsewhere in it.
fn schema(name: &'static str, changes: Vec<Step>, written: Value) -> Row {
    let mut steps = vec![
        post("stream/faults", json!({ "rpc": "subscribe", "kind": "unavailable" })),
        post("stream/cut", json!({ "kind": "cut_connection" })),
        edit(),
    ];
    steps.extend(changes);
    steps.extend([Step::Edit(written), delete("stream/faults"), Step::See(Sign::Equal), edit()]);
    Row { name, steps }
}

/// A text field of accounts, as an administrator makes it.
pub(super) fn text_field(name: &str) -> Value {
    json!({ "object": "Account", "name": name, "type": "Text", "length": 20 })
}

fn schemas() -> Vec<Row> {
    let added = || text_field("Added__c");
    let number = json!({ "object": "Account", "name": "Added__c", "type": "Number", "precision": 8 });
    let removed = Step::Do("DELETE", "field", text_field("Level__c"));
    let retyped = vec![Step::Do("DELETE", "field", added()), post("field", number)];
    vec![
        schema("a field added", vec![post("field", added())], json!({ "Added__c": "gold" })),
        schema("a field removed", vec![removed], json!({ "Added__c": "silver" })),
        schema("a field of another type", retyped, json!({ "Added__c": 7 })),
    ]
}

/// The session ends, and then the user takes the access back.
fn tokens() -> Vec<Row> {
    let renewed = Sign::Calls { path: "/services/oauth2/token", status: "200", times: 1 };
    let refused = Sign::Calls { path: "/services/oauth2/token", status: "400", times: 1 };
    vec![
        Row {
            name: "token expired",
            steps: vec![post("expire_tokens", json!({})), edit(), Step::See(renewed)],
        },
        Row {
            name: "token revoked",
            steps: vec![
                edit(),
                post("revoke", json!({})),
                edit(),
                Step::See(refused),
                Step::See(Sign::Connection("reauth_required")),
                Step::See(Sign::Audited("token.refresh_failed")),
                edit(),
                Step::Reconnect,
                Step::See(Sign::Connection("active")),
            ],
        },
    ]
}

/// A position that nothing can be resumed from when the stream is opened again.
fn lost_position(name: &'static str, before: Vec<Step>, lose: Step) -> Row {
    let mut steps = before;
    steps.extend([
        post("stream/faults", json!({ "rpc": "subscribe", "kind": "unavailable" })),
        post("stream/cut", json!({ "kind": "cut_connection" })),
        edit(),
        Step::See(Sign::Stream("interrupted")),
        lose,
        delete("stream/faults"),
        Step::See(Sign::Stream("lost")),
    ]);
    Row { name, steps }
}

/// A fault that strikes once edits come, and is there until they are made good.
fn setting(name: &'static str, on: Value, sign: Sign, off: Value) -> Row {
    let steps = vec![post("stream/settings", on), edit(), Step::See(sign), post("stream/settings", off)];
    Row { name, steps }
}

/// The event bus has enough of us, both while it is followed and when it is subscribed to again.
fn overloaded() -> Row {
    let refused = json!({ "rpc": "subscribe", "kind": "resource_exhausted", "times": OBJECTS.len() });
    let steps = vec![
        post("stream/faults", refused),
        post("stream/cut", json!({ "kind": "resource_exhausted" })),
        edit(),
        Step::See(Sign::Stream("interrupted")),
        // Long before the stream may be tried again.
        Step::See(Sign::EqualButForDeletions),
        Step::SyncNow,
        Step::See(Sign::EveryStreamFault),
        edit(),
        Step::See(Sign::EqualButForDeletions),
        Step::See(Sign::Stream("interrupted")),
        Step::SyncNow,
    ];
    Row { name: "RESOURCE_EXHAUSTED", steps }
}

/// Neither events nor signs of life come, first in streams that are open, then in those that are opened instead.
fn silence() -> Row {
    let mute = json!({ "rpc": "subscribe", "kind": "silence", "times": OBJECTS.len() });
    let steps = vec![
        post("stream/faults", mute),
        post("stream/cut", json!({ "kind": "silence" })),
        edit(),
        Step::See(Sign::EveryStreamFault),
        edit(),
    ];
    Row { name: "silence", steps }
}

/// Streams that break off.
fn interrupted() -> Vec<Row> {
    let cut = json!({ "rpc": "subscribe", "kind": "cut_connection", "after_events": 2, "times": 6 });
    let steps = vec![
        post("stream/faults", cut),
        post("stream/cut", json!({ "kind": "cut_connection" })),
        edit(),
        Step::See(Sign::EveryStreamFault),
        delete("stream/faults"),
    ];
    vec![Row { name: "cut stream", steps }, overloaded(), silence()]
}

/// Events that cannot be had any more, or do not say what happened.
fn left_out() -> Vec<Row> {
    let damaged = |is: bool| post("stream/settings", json!({ "damaged_replay_ids": is }));
    vec![
        lost_position("corrupted replay", vec![], post("stream/migrate", json!({}))),
        // What was pushed was taken, and with it a position that is none.
        lost_position("damaged replay", vec![damaged(true), edit(), Step::See(Sign::Equal)], damaged(false)),
        setting(
            "gap",
            json!({ "gap_percent": 100 }),
            Sign::Calls { path: READ, status: "200", times: OBJECTS.len() as u64 },
            json!({ "gap_percent": 0 }),
        ),
        setting(
            "overflow",
            json!({ "overflow_threshold": 0 }),
            Sign::Calls { path: QUERY, status: "200", times: OBJECTS.len() as u64 },
            json!({ "overflow_threshold": 100_000 }),
        ),
    ]
}

/// The table, in the order in which it is walked.
pub(super) fn rows() -> Vec<Row> {
    // First, while all that is edited in it was stamped long before.
    let mut rows = vec![clock_behind()];
    rows.extend(faults_of_calls());
    rows.extend(interrupted());
    rows.extend(left_out());
    rows.extend(schemas());
    rows.extend(tokens());
    rows.push(Row { name: "clock ahead", steps: vec![clock(420_000), edit()] });
    rows.push(lost_position("expired replay", vec![], clock(73 * 3_600_000)));
    rows
}
