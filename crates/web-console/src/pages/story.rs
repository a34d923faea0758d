use proto::sync::{Lineage, LineageStep};

use super::record::why;
use crate::{people::People, ui};

/// Why a field has its value, in words.
pub(super) struct Story {
    pub(super) field: String,
    pub(super) label: String,
    pub(super) value: ui::Markup,
    pub(super) pii: bool,
    /// Zero when nothing had been there before.
    pub(super) previous: i64,
    pub(super) steps: Vec<Step>,
}

/// One link of the chain.
pub(super) struct Step {
    pub(super) kind: String,
    /// A vendor's mark; empty for what happened here.
    pub(super) mark: String,
    pub(super) icon: &'static str,
    pub(super) says: String,
    pub(super) value: ui::Markup,
    /// What was there before, or lost.
    pub(super) other: Option<ui::Markup>,
    pub(super) note: String,
    pub(super) at: Option<prost_types::Timestamp>,
    pub(super) id: String,
    /// Where to look further; empty when nowhere.
    pub(super) path: String,
}

impl Story {
    pub(super) fn new(lineage: Lineage, people: &People) -> Self {
        Self {
            value: ui::show(&lineage.value),
            steps: lineage.steps.into_iter().map(|step| Step::new(step, people)).collect(),
            field: lineage.field,
            label: lineage.field_label,
            pii: lineage.pii,
            previous: lineage.previous_version,
        }
    }
}

impl Step {
    fn new(step: LineageStep, people: &People) -> Self {
        let vendor = ui::vendor(&step.vendor);
        let there =
            if step.vendor_field_label.is_empty() { &step.vendor_field } else { &step.vendor_field_label };
        let (icon, says, note) = match &*step.kind {
            "change" => ("left", format!("Somebody changed it in {vendor}"), why(&step.note).to_owned()),
            "edit" => {
                ("dot", format!("{} changed it here", people.name(&step.actor)), why(&step.note).to_owned())
            }
            "mapping" => {
                let since = if step.mapping_changed_since { "; the mapping was changed since" } else { "" };
                let says = format!("The mapping of {vendor} {} took it in", step.vendor_object);
                ("link", says, format!("revision {}{since}", step.mapping_revision))
            }
            "conflict" => {
                let (winner, doubt) = step.detail.split_once(';').unwrap_or((&step.detail, ""));
                let winner = if winner == "crm" { &*vendor } else { "Accord" };
                let policy = ui::policy(&step.note);
                ("alert", format!("Both sides had changed it, and {winner} won"), format!("{policy}{doubt}"))
            }
            "write" => ("right", format!("Accord asked {vendor} to write {there}"), String::new()),
            "answer" => ("check", format!("{vendor} took it"), String::new()),
            "refusal" => ("cross", format!("{vendor} refused it"), step.detail.clone()),
            _ => ("both", format!("{vendor} shows it by itself"), String::new()),
        };
        let was = matches!(&*step.kind, "change" | "edit" | "conflict");
        let here = matches!(&*step.kind, "edit" | "mapping" | "conflict");
        Self {
            mark: if here { String::new() } else { step.vendor.clone() },
            icon,
            says,
            note,
            value: if step.kind == "refusal" { ui::Markup::default() } else { ui::show(&step.value) },
            other: was.then(|| ui::show(&step.other)),
            at: step.at,
            path: if step.kind == "mapping" && !step.vendor.is_empty() {
                format!(
                    "/settings/integrations/{}/{}/mappings/{}",
                    step.vendor, step.connection_id, step.mapping_id
                )
            } else {
                String::new()
            },
            id: step.id,
            kind: step.kind,
        }
    }
}
