//! Bulk API 2.0 queries.

use reqwest::Method;
use sandbox::salesforce::Settings;
use serde_json::json;

use super::{Force, force, force_with, refused};
use crate::client::Answer;

async fn job(force: &Force, soql: &str) -> String {
    let made = force.post("jobs/query", json!({"operation": "query", "query": soql})).await.ok();
    assert_eq!((&made["state"], &made["contentType"]), (&json!("UploadComplete"), &json!("CSV")));
    made["id"].as_str().expect("an id").to_owned()
}

async fn results(force: &Force, job: &str, query: &str) -> Answer {
    force.get(&format!("jobs/query/{job}/results?{query}")).await
}

#[tokio::test]
async fn a_query_job_gives_its_rows_as_csv_in_pages() {
    let force = force().await;
    force.handle.seed("Account", 3).expect("seeded");
    let odd = force.make("Account", json!({"Name": "Quote \"x\", comma", "NumberOfEmployees": 7})).await;
    let job = job(
        &force,
        "SELECT Id, Name, NumberOfEmployees, Rating, Owner.Email, IsDeleted FROM Account ORDER BY Id",
    )
    .await;
    let status = force.get(&format!("jobs/query/{job}")).await.ok();
    assert_eq!((&status["state"], &status["numberRecordsProcessed"]), (&json!("JobComplete"), &json!(4)));
    assert_eq!((&status["object"], &status["jobType"]), (&json!("Account"), &json!("V2Query")));
    let whole = results(&force, &job, "").await;
    assert_eq!(
        (whole.header("sforce-locator"), whole.header("sforce-numberofrecords")),
        (Some("null"), Some("4"))
    );
    let text = whole.body.as_str().expect("csv");
    assert!(
        text.starts_with("\"Id\",\"Name\",\"NumberOfEmployees\",\"Rating\",\"Owner.Email\",\"IsDeleted\"\n"),
        "{text}"
    );
    let last = format!(
        "\"{odd}\",\"Quote \"\"x\"\", comma\",\"7\",\"\",\"avery.lindqvist@harborline.example\",\"false\"\n"
    );
    assert!(text.ends_with(&last), "{text}");
    let first = results(&force, &job, "maxRecords=3").await;
    let locator = first.header("sforce-locator").expect("a locator").to_owned();
    assert_eq!(first.body.as_str().expect("csv").lines().count(), 4);
    let rest = results(&force, &job, &format!("maxRecords=3&locator={locator}")).await;
    assert_eq!(
        (rest.header("sforce-locator"), rest.header("sforce-numberofrecords")),
        (Some("null"), Some("1"))
    );
    refused(&results(&force, &job, "locator=nonsense").await, 400, "INVALIDJOB");
    refused(&results(&force, &job, "maxRecords=0").await, 400, "INVALIDJOB");
    assert_eq!(force.get("jobs/query").await.ok()["records"][0]["id"], json!(job));
    assert_eq!(force.delete(&format!("jobs/query/{job}")).await.status, 204);
    refused(&force.get(&format!("jobs/query/{job}")).await, 404, "NOT_FOUND");
}

#[tokio::test]
async fn a_job_takes_its_time_and_can_be_aborted() {
    let force = force_with(Settings { bulk_delay_ms: 60_000, ..Settings::default() }).await;
    force.handle.seed("Lead", 2).expect("seeded");
    let (slow, doomed) = (job(&force, "SELECT Id FROM Lead").await, job(&force, "SELECT Id FROM Lead").await);
    force.handle.advance_clock(1_000);
    assert_eq!(force.get(&format!("jobs/query/{slow}")).await.ok()["state"], json!("InProgress"));
    refused(&results(&force, &slow, "").await, 400, "INVALIDJOB");
    refused(&force.delete(&format!("jobs/query/{slow}")).await, 400, "INVALIDJOB");
    let aborted = force.patch(&format!("jobs/query/{doomed}"), json!({"state": "Aborted"})).await.ok();
    assert_eq!(aborted["state"], json!("Aborted"));
    force.handle.advance_clock(60_000);
    assert_eq!(force.get(&format!("jobs/query/{slow}")).await.ok()["state"], json!("JobComplete"));
    assert_eq!(results(&force, &slow, "").await.header("sforce-numberofrecords"), Some("2"));
    refused(&results(&force, &doomed, "").await, 400, "INVALIDJOB");
    refused(
        &force.patch(&format!("jobs/query/{slow}"), json!({"state": "Aborted"})).await,
        400,
        "INVALIDJOB",
    );
    force.handle.advance_clock(7 * 86_400_000);
    refused(&force.get(&format!("jobs/query/{slow}")).await, 404, "NOT_FOUND");
}

#[tokio::test]
async fn wrong_jobs_are_refused_and_deleted_rows_can_be_asked_for() {
    let force = force().await;
    let id = force.make("Lead", json!({"LastName": "Doe", "Company": "Acme"})).await;
    force.delete(&format!("sobjects/Lead/{id}")).await;
    for (body, code) in [
        (json!({"operation": "insert", "query": "SELECT Id FROM Lead"}), "INVALIDJOB"),
        (json!({"operation": "query", "query": "SELECT COUNT() FROM Lead"}), "INVALIDJOB"),
        (json!({"operation": "query", "query": "SELECT Foo FROM Lead"}), "INVALID_FIELD"),
        (
            json!({"operation": "query", "query": "SELECT Id FROM Lead", "columnDelimiter": "STAR"}),
            "INVALIDJOB",
        ),
        (json!({"operation": "query"}), "JSON_PARSER_ERROR"),
    ] {
        refused(&force.post("jobs/query", body).await, 400, code);
    }
    let order = json!({"operation": "queryAll", "query": "SELECT Id, IsDeleted FROM Lead", "columnDelimiter": "PIPE",
        "lineEnding": "CRLF"});
    let job = force.post("jobs/query", order).await.ok()["id"].as_str().expect("an id").to_owned();
    let token = force.handle.access_token();
    let rows = force.send(Method::GET, &format!("jobs/query/{job}/results"), token, &[], None).await;
    assert_eq!(rows.body.as_str(), Some(format!("\"Id\"|\"IsDeleted\"\r\n\"{id}\"|\"true\"\r\n").as_str()));
}
