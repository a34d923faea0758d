use connector::{Body, Connector, Cursor, Error, ErrorKind, Fetch, Host, Page, Request, Session};
use http::Method;
use jiff::Timestamp;
use model::{ObjectSchema, Value, WriteOutcome};
use sandbox::salesforce::Settings;
use serde_json::json;

use crate::{
    org::{Org, connected_with, fields, session},
    writing::update,
};

const DAY: u64 = 300;

async fn look(org: &Org, session: &Session, schema: &ObjectSchema) -> Result<Page, Error> {
    let (from, fields) = (Cursor::at(Timestamp::UNIX_EPOCH), fields(&["Name"]));
    let fetch = Fetch { object: "Account", schema, fields: &fields, from: &from, until: None };
    org.salesforce.fetch_changes(session, &fetch).await
}

/// Another app of the organization uses its calls until so many are left.
async fn others_leave(org: &Org, left: u64) {
    let other = session(&org.sandbox, &org.salesforce, &org.grant);
    loop {
        let request = Request {
            host: Host::Api,
            class: "others",
            method: Method::GET,
            path: "/services/data/v65.0/limits".into(),
            headers: Vec::new(),
            body: Body::Empty,
            idempotent: true,
        };
        let limits: serde_json::Value =
            serde_json::from_slice(&other.send(request).await.unwrap().body).unwrap();
        if limits["DailyApiRequests"]["Remaining"].as_u64().unwrap() <= left {
            return;
        }
    }
}

#[tokio::test]
async fn near_the_end_of_the_day_history_waits_then_polling_and_a_write_still_goes_out() {
    let settings = Settings { daily_requests: DAY, ..Settings::default() };
    let org = connected_with(settings, connector_salesforce::BULK_FROM).await;
    let id = org.make("Account", json!({"Name": "Acme"}));
    let schema = org.schema("Account").await;
    let (history, polling) = (org.session.in_background(), org.session.polling());
    look(&org, &history, &schema).await.unwrap();

    // Others count: the next answer tells of them.
    others_leave(&org, 30).await;
    look(&org, &org.session, &schema).await.unwrap();
    let calls = org.calls_of("/query");
    assert_eq!(look(&org, &history, &schema).await.unwrap_err().kind, ErrorKind::BudgetSpent);
    assert_eq!(org.calls_of("/query"), calls, "nobody is called");
    look(&org, &polling, &schema).await.unwrap();

    others_leave(&org, 15).await;
    look(&org, &org.session, &schema).await.unwrap();
    assert_eq!(look(&org, &polling, &schema).await.unwrap_err().kind, ErrorKind::BudgetSpent);
    let name = [("Name", Value::text("Acme GmbH"))];
    let written = org.salesforce.write(&org.session, &schema, &[update(&id, &name)]).await;
    assert!(matches!(written[0], Ok(WriteOutcome::Applied { .. })), "{written:?}");
    assert_eq!(org.record("Account", &id)["Name"], "Acme GmbH");

    // An answer says that there is room again.
    org.sandbox.control("POST", "/_sandbox/settings", json!({"daily_requests": 100_000})).unwrap();
    look(&org, &org.session, &schema).await.unwrap();
    look(&org, &history, &schema).await.unwrap();
}
