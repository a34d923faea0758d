//! SOQL.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Force, V, force, names, refused};

async fn planted() -> Force {
    let force = force().await;
    let rows = [
        ("Acme", "Bern", 10, "Banking"),
        ("acme two", "Basel", 20, "Energy"),
        ("Zeta's \"50%\"", "", 30, ""),
        ("Omega_1", "Bern", 40, "Banking"),
    ];
    for (name, city, employees, industry) in rows {
        force.make("Account", json!({"Name": name, "BillingCity": city, "NumberOfEmployees": employees, "Industry": industry})).await;
    }
    force
}

#[tokio::test]
async fn conditions_find_what_they_say() {
    let force = planted().await;
    let cases: [(&str, &[&str]); 24] = [
        ("Name = 'ACME'", &["Acme"]),
        ("Name LIKE 'acme%'", &["Acme", "acme two"]),
        ("Name LIKE 'Omega\\_%'", &["Omega_1"]),
        ("Name LIKE '%50\\%%'", &["Zeta's \"50%\""]),
        ("Name = 'Zeta\\'s \"50%\"'", &["Zeta's \"50%\""]),
        ("BillingCity = null", &["Zeta's \"50%\""]),
        ("BillingCity != null AND Industry <> 'Energy'", &["Acme", "Omega_1"]),
        ("BillingCity != 'Bern'", &["acme two", "Zeta's \"50%\""]),
        ("NumberOfEmployees >= 20 AND NumberOfEmployees < 40", &["acme two", "Zeta's \"50%\""]),
        (
            "NumberOfEmployees > 10.5 AND (BillingCity = 'Bern' OR Industry = 'Energy')",
            &["acme two", "Omega_1"],
        ),
        ("NOT BillingCity = 'Bern'", &["acme two", "Zeta's \"50%\""]),
        ("NOT (BillingCity = 'Bern' OR Industry = 'Energy')", &["Zeta's \"50%\""]),
        ("Industry IN ('banking', 'Energy')", &["Acme", "acme two", "Omega_1"]),
        ("Industry NOT IN ('Banking')", &["acme two", "Zeta's \"50%\""]),
        ("IsDeleted = FALSE AND NumberOfEmployees <= 10", &["Acme"]),
        ("CreatedDate = TODAY AND NumberOfEmployees = 10", &["Acme"]),
        ("CreatedDate > TODAY", &[]),
        ("CreatedDate >= LAST_N_DAYS:7 AND NumberOfEmployees = 40", &["Omega_1"]),
        ("CreatedDate < YESTERDAY", &[]),
        ("SystemModstamp > 2024-01-01T00:00:00Z AND NumberOfEmployees = 40", &["Omega_1"]),
        ("SystemModstamp < 2024-01-01T00:00:00.000+0000", &[]),
        ("CreatedDate > 2024-01-01T00:00:00-05:00 AND Name = 'Acme'", &["Acme"]),
        ("Owner.Email LIKE 'avery%' AND Name = 'Acme'", &["Acme"]),
        ("Account.Name = 'Acme' AND Owner.IsActive = true", &["Acme"]),
    ];
    for (condition, expected) in cases {
        let found = force
            .query(&format!("SELECT Name FROM Account WHERE {condition} ORDER BY NumberOfEmployees"))
            .await
            .ok();
        assert_eq!(names(&found, "Name"), expected, "{condition}");
        assert_eq!((&found["totalSize"], &found["done"]), (&json!(expected.len()), &json!(true)));
    }
}

#[tokio::test]
async fn rows_are_ordered_limited_and_counted() {
    let force = planted().await;
    let by = |order: &'static str| {
        let force = &force;
        async move { names(&force.query(&format!("SELECT Name FROM Account {order}")).await.ok(), "Name") }
    };
    assert_eq!(by("ORDER BY NumberOfEmployees DESC LIMIT 2").await, ["Omega_1", "Zeta's \"50%\""]);
    assert_eq!(by("ORDER BY NumberOfEmployees LIMIT 2 OFFSET 1").await, ["acme two", "Zeta's \"50%\""]);
    assert_eq!(by("ORDER BY Industry, Name DESC").await, ["Zeta's \"50%\"", "Omega_1", "Acme", "acme two"]);
    assert_eq!(
        by("ORDER BY Industry ASC NULLS LAST, Name").await,
        ["Acme", "Omega_1", "acme two", "Zeta's \"50%\""]
    );
    assert_eq!(by("ORDER BY Owner.Name, Id DESC LIMIT 1").await, ["Omega_1"]);
    let count = force.query("select count() from Account where Industry = 'Banking'").await.ok();
    assert_eq!(count, json!({"totalSize": 2, "done": true, "records": []}));
}

#[tokio::test]
async fn rows_show_what_was_selected_parents_too() {
    let force = force().await;
    let account = force.make("Account", json!({"Name": "Acme", "BillingCity": "Bern"})).await;
    force.make("Contact", json!({"LastName": "Doe", "AccountId": account})).await;
    force.make("Contact", json!({"LastName": "Free"})).await;
    let soql = "SELECT Id, Account.Name, Account.Owner.Email, LastName FROM Contact ORDER BY LastName";
    let found = force.query(soql).await.ok();
    let first = &found["records"][0];
    assert_eq!(first["Account"]["Name"], json!("Acme"));
    assert_eq!(first["Account"]["Owner"]["Email"], json!("avery.lindqvist@harborline.example"));
    assert_eq!(first["Account"]["attributes"]["url"], json!(format!("{V}/sobjects/Account/{account}")));
    assert_eq!(found["records"][1]["Account"], Value::Null);
    assert!(first.get("AccountId").is_none());
    let all = force.query("SELECT FIELDS(ALL) FROM Account LIMIT 200").await.ok();
    assert_eq!(all["records"][0]["BillingAddress"]["city"], json!("Bern"));
    assert_eq!(all["records"][0].as_object().map(serde_json::Map::len), Some(65));
    refused(&force.query("SELECT FIELDS(ALL) FROM Account").await, 400, "MALFORMED_QUERY");
    assert_eq!(force.query("SELECT Id FROM User").await.ok()["totalSize"], json!(6));
    assert_eq!(
        force.query("SELECT Id FROM RecordType WHERE SobjectType = 'Account'").await.ok()["totalSize"],
        json!(1)
    );
}

#[tokio::test]
async fn wrong_queries_are_refused_with_the_place() {
    let force = force().await;
    let cases = [
        ("SELECT Foo FROM Account", "INVALID_FIELD", "No such column 'Foo' on entity 'Account'"),
        ("SELECT Id FROM Foo", "INVALID_TYPE", "sObject type 'Foo' is not supported."),
        ("SELECT Id FORM Account", "MALFORMED_QUERY", "unexpected token: 'FORM'"),
        ("SELECT Id FROM Account WHERE", "MALFORMED_QUERY", "unexpected token: '<EOF>'"),
        ("SELECT Id FROM Account WHERE Name = 'open", "MALFORMED_QUERY", "unexpected token: '''"),
        (
            "SELECT Id FROM Account WHERE Name = 'a' AND Name = 'b' OR Name = 'c'",
            "MALFORMED_QUERY",
            "unexpected token: 'OR'",
        ),
        ("SELECT Id, Id FROM Account", "MALFORMED_QUERY", "duplicate field selected: Id"),
        (
            "SELECT Boss.Name FROM Account",
            "INVALID_FIELD",
            "Didn't understand relationship 'Boss' in field path.",
        ),
        (
            "SELECT Id FROM Account WHERE CreatedDate > '2024-01-01T00:00:00Z'",
            "INVALID_FIELD",
            "must be of type dateTime and should not",
        ),
        ("SELECT Id FROM Account WHERE Name = 5", "INVALID_FIELD", "must be of type string and should be"),
        ("SELECT Id FROM Account WHERE Id = 'x'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: x"),
        (
            "SELECT Id FROM Account WHERE Description = 'x'",
            "INVALID_FIELD",
            "can not be filtered in a query call",
        ),
        (
            "SELECT Id FROM Account OFFSET 2001",
            "NUMBER_OUTSIDE_VALID_RANGE",
            "Maximum SOQL offset allowed is 2000",
        ),
        ("SELECT Id FROM Account WHERE Name = 'a\\x'", "MALFORMED_QUERY", "Illegal escape sequence"),
    ];
    for (soql, code, words) in cases {
        let message = refused(&force.query(soql).await, 400, code);
        assert!(message.contains(words), "{soql}: {message}");
    }
    let message = refused(&force.query("SELECT Id, Foo FROM Account").await, 400, "INVALID_FIELD");
    assert!(
        message.starts_with("\nSELECT Id, Foo FROM Account\n           ^\nERROR at Row:1:Column:12\n"),
        "{message}"
    );
    refused(&force.get("query").await, 400, "MALFORMED_QUERY");
    let deep = format!("SELECT Id FROM Account WHERE {}Name = 'a'{}", "(".repeat(500), ")".repeat(500));
    refused(&force.query(&deep).await, 400, "MALFORMED_QUERY");
}

#[tokio::test]
async fn cursors_page_through_everything_and_expire() {
    let force = force().await;
    force.handle.seed("Lead", 5_000).expect("seeded");
    let first = force.query("SELECT Id FROM Lead ORDER BY Id").await.ok();
    assert_eq!((&first["totalSize"], &first["done"]), (&json!(5_000), &json!(false)));
    let next = first["nextRecordsUrl"].as_str().expect("more").to_owned();
    assert!(next.starts_with(&format!("{V}/query/01g")) && next.ends_with("-2000"), "{next}");
    let mut ids = names(&first, "Id");
    assert_eq!(ids.len(), 2_000);
    let mut page = force.get(&next).await.ok();
    loop {
        ids.extend(names(&page, "Id"));
        match page["nextRecordsUrl"].as_str().map(str::to_owned) {
            Some(next) => page = force.get(&next).await.ok(),
            None => break,
        }
    }
    assert!(ids.len() == 5_000 && ids.is_sorted() && page["done"] == true);
    let token = force.handle.access_token();
    let small = [("Sforce-Query-Options", "batchSize=300")];
    let page = force.send(Method::GET, "query?q=SELECT+Id+FROM+Lead", token, &small, None).await.ok();
    assert_eq!(names(&page, "Id").len(), 300);
    let other = page["nextRecordsUrl"].as_str().expect("more").to_owned();
    force.handle.advance_clock(2 * 86_400_000 + 1);
    let gone = refused(&force.get(&next).await, 400, "INVALID_QUERY_LOCATOR");
    assert_eq!(gone, "invalid query locator");
    refused(&force.get(&other).await, 400, "INVALID_QUERY_LOCATOR");
    refused(&force.get("query/nonsense").await, 400, "INVALID_QUERY_LOCATOR");
    let open =
        force.query("SELECT Id FROM Lead").await.ok()["nextRecordsUrl"].as_str().expect("more").to_owned();
    force.get(&open).await.ok();
    assert_eq!(force.control("close_cursors", json!({}))["closed"], json!(3));
    refused(&force.get(&open).await, 400, "INVALID_QUERY_LOCATOR");
}

#[tokio::test]
async fn a_keyset_over_stamp_and_id_reads_every_row_once() {
    let force = force().await;
    // All of it within a second or two: most rows share their stamp.
    force.handle.seed("Account", 1_300).expect("seeded");
    let (mut seen, mut last) = (Vec::new(), None::<(String, String)>);
    loop {
        let after = last.as_ref().map_or_else(String::new, |(stamp, id)| {
            format!("WHERE (SystemModstamp = {stamp} AND Id > '{id}') OR SystemModstamp > {stamp} ")
        });
        let soql =
            format!("SELECT Id, SystemModstamp FROM Account {after}ORDER BY SystemModstamp, Id LIMIT 200");
        let page = force.query(&soql).await.ok();
        let (ids, stamps) = (names(&page, "Id"), names(&page, "SystemModstamp"));
        let Some(end) = stamps.last().cloned().zip(ids.last().cloned()) else { break };
        last = Some(end);
        seen.extend(ids);
    }
    assert_eq!(seen.len(), 1_300);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 1_300);
}

/// Whether a row (stamp, id) meets a condition.
type Holds<'a> = Box<dyn Fn(&(String, String)) -> bool + 'a>;

#[tokio::test]
async fn stamps_are_compared_to_the_second() {
    let force = force().await;
    for number in 0..6 {
        force.make("Account", json!({"Name": number.to_string()})).await;
        force.handle.advance_clock(1_000);
    }
    let all = force.query("SELECT Id, SystemModstamp FROM Account ORDER BY SystemModstamp, Id").await.ok();
    let rows: Vec<(String, String)> =
        names(&all, "SystemModstamp").into_iter().zip(names(&all, "Id")).collect();
    assert!(rows.first().map(|row| &row.0) < rows.last().map(|row| &row.0));
    for (stamp, id) in rows.clone() {
        let conditions: [(String, Holds<'_>); 10] = [
            (format!("SystemModstamp > {stamp}"), Box::new(|row| row.0 > stamp)),
            (format!("SystemModstamp >= {stamp}"), Box::new(|row| row.0 >= stamp)),
            (format!("SystemModstamp < {stamp}"), Box::new(|row| row.0 < stamp)),
            (format!("SystemModstamp <= {stamp}"), Box::new(|row| row.0 <= stamp)),
            (format!("SystemModstamp = {stamp}"), Box::new(|row| row.0 == stamp)),
            (
                format!("SystemModstamp = {stamp} AND Id > '{id}'"),
                Box::new(|row| row.0 == stamp && row.1 > id),
            ),
            (format!("SystemModstamp != {stamp}"), Box::new(|row| row.0 != stamp)),
            (
                format!("SystemModstamp < {stamp} OR (SystemModstamp = {stamp} AND Id <= '{id}')"),
                Box::new(|row| (&row.0, &row.1) <= (&stamp, &id)),
            ),
            (
                format!("SystemModstamp >= {stamp} AND (SystemModstamp > {stamp} OR Id > '{id}')"),
                Box::new(|row| (&row.0, &row.1) > (&stamp, &id)),
            ),
            (
                format!("(SystemModstamp > {stamp} OR Id = '{id}') AND (Name = '1' OR Name = '4')"),
                Box::new(|row| (row.0 > stamp || row.1 == id) && [&rows[1], &rows[4]].contains(&row)),
            ),
        ];
        for (condition, holds) in conditions {
            let soql = format!("SELECT Id FROM Account WHERE {condition} ORDER BY SystemModstamp, Id");
            let expected: Vec<String> =
                rows.iter().filter(|row| holds(row)).map(|row| row.1.clone()).collect();
            assert_eq!(names(&force.query(&soql).await.ok(), "Id"), expected, "{condition}");
        }
    }
}
