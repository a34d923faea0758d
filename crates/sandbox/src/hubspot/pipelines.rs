//! The deal pipeline every portal starts with, and the people who own records.

use serde_json::{Value, json};

use super::clock::iso;

/// A step of the default deal pipeline.
pub(crate) struct Stage {
    pub(crate) id: &'static str,
    pub(crate) label: &'static str,
    pub(crate) closed: bool,
    pub(crate) probability: &'static str,
}

impl Stage {
    pub(crate) fn won(&self) -> bool {
        self.closed && self.probability == "1.0"
    }
}

pub(crate) const DEFAULT_PIPELINE: &str = "default";

pub(crate) const STAGES: [Stage; 7] = [
    stage_of("appointmentscheduled", "Appointment Scheduled", false, "0.2"),
    stage_of("qualifiedtobuy", "Qualified To Buy", false, "0.4"),
    stage_of("presentationscheduled", "Presentation Scheduled", false, "0.6"),
    stage_of("decisionmakerboughtin", "Decision Maker Bought-In", false, "0.8"),
    stage_of("contractsent", "Contract Sent", false, "0.9"),
    stage_of("closedwon", "Closed Won", true, "1.0"),
    stage_of("closedlost", "Closed Lost", true, "0.0"),
];

const fn stage_of(id: &'static str, label: &'static str, closed: bool, probability: &'static str) -> Stage {
    Stage { id, label, closed, probability }
}

pub(crate) fn stage(id: &str) -> Option<&'static Stage> {
    STAGES.iter().find(|stage| stage.id == id)
}

/// When the portal, its pipeline and its people came to be (2021-03-01).
pub(crate) const PORTAL_CREATED_MS: i64 = 1_614_556_800_000;

pub(crate) fn wire() -> Value {
    let created = iso(PORTAL_CREATED_MS);
    json!({"id": DEFAULT_PIPELINE, "label": "Sales Pipeline", "displayOrder": 0, "stages": stages_wire(),
           "createdAt": created, "updatedAt": created, "archived": false})
}

pub(crate) fn stages_wire() -> Vec<Value> {
    STAGES.iter().enumerate().map(|(order, stage)| stage_wire(stage, order)).collect()
}

fn stage_wire(stage: &Stage, order: usize) -> Value {
    let created = iso(PORTAL_CREATED_MS);
    json!({"id": stage.id, "label": stage.label, "displayOrder": order, "archived": false,
           "metadata": {"isClosed": stage.closed.to_string(), "probability": stage.probability},
           "createdAt": created, "updatedAt": created, "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT"})
}

/// A person of the portal who can own records.
pub(crate) struct Owner {
    pub(crate) id: u64,
    pub(crate) user_id: u64,
    pub(crate) first: &'static str,
    pub(crate) last: &'static str,
    pub(crate) archived: bool,
}

pub(crate) const OWNERS: [Owner; 6] = [
    owner(77_410_001, 9_001_001, "Maya", "Lindqvist", false),
    owner(77_410_002, 9_001_002, "Tomás", "Herrera", false),
    owner(77_410_003, 9_001_003, "Priya", "Raman", false),
    owner(77_410_004, 9_001_004, "Jonas", "Weber", false),
    owner(77_410_005, 9_001_005, "Aisha", "Bello", false),
    owner(77_410_006, 9_001_006, "Greg", "Novak", true),
];

const fn owner(id: u64, user_id: u64, first: &'static str, last: &'static str, archived: bool) -> Owner {
    Owner { id, user_id, first, last, archived }
}

impl Owner {
    pub(crate) fn email(&self) -> String {
        format!("{}@harborline.example", self.first.to_lowercase().replace('á', "a"))
    }

    pub(crate) fn wire(&self) -> Value {
        let created = iso(PORTAL_CREATED_MS);
        json!({"id": self.id.to_string(), "email": self.email(), "type": "PERSON", "firstName": self.first,
               "lastName": self.last, "userId": self.user_id, "userIdIncludingInactive": self.user_id,
               "createdAt": created, "updatedAt": created, "archived": self.archived, "teams": []})
    }
}
