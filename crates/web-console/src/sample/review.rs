use proto::{
    sync::{Difference, Issue, IssueCount, Lineage, LineageStep, Reconcile, Run, UndoPreview, UndoSample},
    v1::value::Kind,
};

use super::{before, id, issue, text, value};

/// Some of them.
#[must_use]
pub fn issues() -> Vec<Issue> {
    let unmatched = Issue {
        id: id("issue", 2),
        record_id: String::new(),
        record_title: String::new(),
        object: String::new(),
        field: String::new(),
        category: "ambiguous".to_owned(),
        category_label: "Unmatched".to_owned(),
        message: "several records here match this one; nothing was guessed".to_owned(),
        suggestion: "Make the match field unique on one of the records, then retry.".to_owned(),
        state: "retrying".to_owned(),
        ..issue()
    };
    let conflict = Issue {
        id: id("issue", 3),
        field: "phone".to_owned(),
        category: "conflict".to_owned(),
        category_label: "Conflict held".to_owned(),
        message: "changed here and at the vendor; both keep theirs until somebody decides".to_owned(),
        suggestion: "Choose which of the two values stands.".to_owned(),
        state: "open".to_owned(),
        here: Some(text("+49 30 1234")),
        there: Some(text("+49 30 9876")),
        ..issue()
    };
    vec![conflict, issue(), unmatched]
}

/// How many there are by category.
#[must_use]
pub fn issue_counts() -> Vec<IssueCount> {
    let count = |category: &str, label: &str, count| IssueCount {
        category: category.to_owned(),
        label: label.to_owned(),
        count,
        suggestion: "Correct the value here; it is then written by itself.".to_owned(),
    };
    vec![count("validation", "Refused value", 41), count("ambiguous", "Unmatched", 3)]
}

/// Why a deal has its value: edited here, written to HubSpot, and seen there.
#[must_use]
pub fn lineage() -> Lineage {
    let number = |text: &str| Some(value(Kind::Number(text.to_owned())));
    let step = |kind: &str, ago, id: &str| LineageStep {
        kind: kind.to_owned(),
        at: before(ago),
        id: id.to_owned(),
        mapping_id: super::id("map", 2),
        mapping_revision: 12,
        connection_id: super::id("conn", 1),
        vendor: "hubspot".to_owned(),
        vendor_object: "deals".to_owned(),
        vendor_field: "amount".to_owned(),
        vendor_field_label: "Amount".to_owned(),
        value: number("12500.00"),
        other: Some(value(Kind::Null(true))),
        ..LineageStep::default()
    };
    Lineage {
        record_id: id("rec", 0),
        object: "deal".to_owned(),
        field: "amount".to_owned(),
        field_label: "Deal Value".to_owned(),
        value: number("12500.00"),
        pii: false,
        version: 6,
        previous_version: 2,
        steps: vec![
            LineageStep {
                actor: format!("user:{}", id("user", 1)),
                mapping_id: String::new(),
                vendor: String::new(),
                other: number("11000"),
                note: "edited".to_owned(),
                ..step("edit", 3400, "019ce11a-1")
            },
            LineageStep { mapping_changed_since: true, ..step("mapping", 3400, "map_1") },
            LineageStep {
                other: number("11800.00"),
                note: "newest_wins".to_owned(),
                detail: "platform".to_owned(),
                ..step("conflict", 3399, "019ce11a-2")
            },
            step("write", 3398, "write_1"),
            step("answer", 3396, "019ce11a-3"),
            LineageStep {
                note: "validation".to_owned(),
                detail: "HubSpot does not take this value.".to_owned(),
                ..step("refusal", 3395, "019ce11a-4")
            },
            step("echo", 3390, "019ce11a-5"),
        ],
    }
}

/// Runs: a reading, one that was put back, and what put it back.
#[must_use]
pub fn runs() -> Vec<Run> {
    let run = |n, kind: &str, ago| Run {
        id: id("run", n),
        connection_id: id("conn", 1),
        vendor: "hubspot".to_owned(),
        vendor_object: "deals".to_owned(),
        kind: kind.to_owned(),
        state: "done".to_owned(),
        actor: format!("connection:{}", id("conn", 1)),
        started_at: before(ago),
        finished_at: before(ago - 3),
        read: 12,
        can_undo: true,
        ..Run::default()
    };
    let undoing = Run {
        state: "working".to_owned(),
        actor: format!("user:{}", id("user", 1)),
        read: 0,
        total: 804,
        done: 400,
        put_back: 1_120,
        stayed: 6,
        undo_of: id("run", 3),
        can_undo: false,
        ..run(2, "undo", 60)
    };
    vec![
        run(1, "poll", 30),
        undoing,
        Run { undone_by: id("run", 2), can_undo: false, ..run(3, "apply", 3600) },
    ]
}

/// What putting the first of them back would do.
#[must_use]
pub fn undo_preview() -> UndoPreview {
    let sample = |field: &str, label: &str, action: &str| UndoSample {
        record_id: id("rec", 0),
        object: "deal".to_owned(),
        title: "Halvorsen Freight — renewal".to_owned(),
        field: field.to_owned(),
        field_label: label.to_owned(),
        now: Some(text("contractsent")),
        back: Some(text("presentationscheduled")),
        action: action.to_owned(),
    };
    UndoPreview {
        run_id: id("run", 1),
        records: 12,
        put_back: 11,
        stays: 1,
        complete: true,
        samples: vec![
            sample("stage", "Stage", "put_back"),
            sample("amount", "Deal Value", "changed_since"),
            sample("", "", "archive"),
        ],
    }
}

/// Comparisons of both sides: one at work, one that repaired something, one that found nothing.
#[must_use]
pub fn reconciles() -> Vec<Reconcile> {
    let compared = |n, object: &str, ago| Reconcile {
        id: id("reconcile", n),
        connection_id: id("conn", 1),
        vendor: "hubspot".to_owned(),
        vendor_object: object.to_owned(),
        state: "done".to_owned(),
        actor: format!("user:{}", id("user", 1)),
        started_at: before(ago),
        finished_at: before(ago - 20),
        verified_at: before(ago - 1),
        read: 12_480,
        buckets: 1_024,
        ..Reconcile::default()
    };
    let differed = |vendor_id: &str, what: &str, fields: &[&str]| Difference {
        vendor_id: vendor_id.to_owned(),
        what: what.to_owned(),
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        ..Difference::default()
    };
    let repaired = Reconcile {
        buckets_that_differed: 2,
        repaired: 2,
        held: 3,
        differences: vec![
            Difference {
                record_id: id("rec", 1),
                object: "deal".to_owned(),
                ..differed("9001", "value", &["stage", "amount"])
            },
            differed("9002", "missing_there", &[]),
        ],
        ..compared(2, "deals", 3_600)
    };
    let working = Reconcile {
        state: "reading".to_owned(),
        read: 6_200,
        total: 12_480,
        verified_at: None,
        finished_at: None,
        ..compared(1, "deals", 30)
    };
    vec![working, repaired, compared(3, "companies", 3_600)]
}
