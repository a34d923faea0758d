//! The attribution API in front of rooms that are made up.

mod bad_input;
mod bases;
mod budgets;
mod clicks;
mod commissions;
mod conversions;
mod events;
mod keys;
mod programs;
mod reports;

use axum::body::Body;
use http::{Method, Request, header};
use proto::{
    attribution::{
        EventAnswer, RecordEventsRequest, RecordEventsResponse, RecordedEvent, Touch, Weight,
        event_answer::Answer,
    },
    identity::{CheckRequest, CheckResponse, FindOrganizationRequest, FindOrganizationResponse},
};
use serde_json::Value;
use tonic::Code;

use crate::client::{Answer as HttpAnswer, Door, door};

pub(crate) const CHECK: &str = "accord.identity.v1.Identity/Check";
pub(crate) const FIND: &str = "accord.identity.v1.Identity/FindOrganization";
pub(crate) const RECORD: &str = "accord.attribution.v1.Attribution/RecordEvents";

pub(crate) const ORGANIZATION: &str = "org_01900000000070008000000000000001";
const ELSEWHERE: &str = "org_01900000000070008000000000000002";

/// Identity as it would answer: `ak_test` may do everything, `ak_events` records events, `ak_elsewhere` is another organization's. No
/// other key is known. `northwind` and `contoso` are organizations.
pub(crate) async fn house() -> Door {
    let door = door().await;
    people(&door);
    door
}

pub(crate) fn people(door: &Door) {
    door.rooms.on(CHECK, |request: CheckRequest| {
        let everything = || model::Scope::ALL.map(|scope| scope.name().to_owned()).to_vec();
        let (organization, scopes) = match request.credential.as_str() {
            "ak_test" => (ORGANIZATION, everything()),
            "ak_events" => (ORGANIZATION, vec!["events:write".to_owned()]),
            "ak_elsewhere" => (ELSEWHERE, everything()),
            _ => {
                return Err(chassis::guard::status(
                    Code::Unauthenticated,
                    "credential_unknown",
                    "It is not known.",
                ));
            }
        };
        Ok(CheckResponse {
            organization_id: organization.to_owned(),
            actor: "api_key:apikey_01900000000070008000000000000003".to_owned(),
            scopes,
            credential_id: "apikey_01900000000070008000000000000003".to_owned(),
            ..CheckResponse::default()
        })
    });
    door.rooms.on(FIND, |request: FindOrganizationRequest| {
        let organization_id = match request.slug.as_str() {
            "northwind" => ORGANIZATION,
            "contoso" => ELSEWHERE,
            _ => {
                return Err(chassis::guard::status(
                    Code::NotFound,
                    "organization_not_found",
                    "There is none.",
                ));
            }
        };
        Ok(FindOrganizationResponse { organization_id: organization_id.to_owned() })
    });
    door.rooms.on(RECORD, |request: RecordEventsRequest| {
        let answer =
            |(place, _)| EventAnswer { answer: Some(Answer::Recorded(attributed(&format!("evt_{place}")))) };
        Ok(RecordEventsResponse { answers: request.events.iter().enumerate().map(answer).collect() })
    });
}

/// An event that one click brought.
pub(crate) fn attributed(event_id: &str) -> RecordedEvent {
    let touch = Touch {
        click_id: "01JCLICK".to_owned(),
        partner_id: "ptnr_1".to_owned(),
        weight: Some(Weight { numerator: 1, denominator: 1 }),
        attribution_id: "attr_1".to_owned(),
        commission_id: "comm_1".to_owned(),
    };
    RecordedEvent {
        event_id: event_id.to_owned(),
        status: "attributed".to_owned(),
        model: "last_click".to_owned(),
        touches: vec![touch],
    }
}

impl Door {
    /// Posts a text as JSON with this key.
    pub(crate) async fn post_as(&self, key: &str, path: &str, body: &str) -> HttpAnswer {
        let request = Request::builder().method(Method::POST).uri(path);
        let request = request
            .header(header::AUTHORIZATION, format!("Bearer {key}"))
            .header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> HttpAnswer {
        self.post_as("ak_test", path, &body.to_string()).await
    }
}
