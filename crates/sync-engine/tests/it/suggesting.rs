//! Suggestions: stored values on the way there and back, and the language model that an operator may name, played by a
//! server of the story's own.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use model::{FieldType, MappingChanged, ObjectSchema, kind};
use proto::sync as wire;
use serde_json::{Value, json};
use sync_engine::RerankerConfig;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::world::{World, by, field, hubspot};

/// How the model answers.
#[derive(Clone, Copy)]
enum Says {
    /// With this as the text of its message.
    Text(&'static str),
    /// With this status and no message.
    Status(u16),
    /// Not at all.
    Nothing,
}

/// The requests that came: authorization and body.
type Asked = Arc<Mutex<Vec<(String, Value)>>>;

async fn model(says: Says) -> (RerankerConfig, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap()).parse().unwrap();
    let asked = Asked::default();
    let heard = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, says, Arc::clone(&heard)));
        }
    });
    let timeout =
        if matches!(says, Says::Nothing) { Duration::from_secs(1) } else { Duration::from_secs(30) };
    (RerankerConfig { url, key: Some("key-1".into()), model: "ranker-1".to_owned(), timeout }, asked)
}

async fn answer(mut stream: TcpStream, says: Says, asked: Asked) {
    let mut request = Vec::new();
    let (head, body) = loop {
        if stream.read_buf(&mut request).await.unwrap() == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        if let Ok(body) = serde_json::from_str(body) {
            break (head.to_owned(), body);
        }
    };
    let header = |name: &str| {
        let line = head.lines().find(|line| line.to_lowercase().starts_with(name));
        line.unwrap_or_default().to_owned()
    };
    assert!(head.starts_with("POST /v1/chat/completions "), "{head}");
    asked.lock().unwrap().push((header("authorization"), body));
    let (status, body) = match says {
        Says::Text(text) => (200, json!({"choices": [{"message": {"content": text}}]}).to_string()),
        Says::Status(status) => (status, String::new()),
        Says::Nothing => std::future::pending().await,
    };
    let length = body.len();
    let answer =
        format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await.unwrap();
}

/// The stories' vendor, with two fields that may be the description, and employees as a text.
fn vendor() -> Vec<ObjectSchema> {
    let mut objects = hubspot();
    let companies = &mut objects[0].fields;
    for field in companies.iter_mut().filter(|field| field.name == "numberofemployees") {
        field.field_type = FieldType::Text;
    }
    companies.push(field("remarks", "Company remarks", FieldType::Text));
    companies.push(field("summary_text", "Company summary", FieldType::Text));
    objects
}

async fn world() -> (World, wire::MappingRequest) {
    let world = World::bare().await;
    world.connect(world.connection, &vendor()).await;
    let ask = wire::CreateMappingRequest {
        connection_id: world.connection.to_string(),
        object: "company".to_owned(),
        vendor_object: "companies".to_owned(),
    };
    let draft = world.api.clone().create_mapping(by("admin", ask)).await.unwrap().into_inner();
    (world, wire::MappingRequest { mapping_id: draft.id })
}

fn of<'a>(mapping: &'a wire::Mapping, name: &str) -> &'a wire::FieldMapping {
    mapping.fields.iter().find(|field| field.field == name).unwrap()
}

fn says(field: &wire::FieldMapping, what: &str) -> bool {
    field.evidence.iter().any(|line| line.contains(what))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_loses_stored_values_on_the_way_there_and_back_is_mapped_by_itself_no_longer() {
    let (world, draft) = world().await;
    let mut api = world.api.clone();
    let suggested = api.suggest_mappings(by("admin", draft.clone())).await.unwrap().into_inner();
    let employees = of(&suggested, "employee_count");
    assert_eq!(employees.state, "auto_mapped", "{employees:?}");
    assert!(says(employees, "no value is stored yet"), "{employees:?}");

    world.create(&[("name", "Ours Ltd"), ("domain", "ours.test"), ("employee_count", "7")]).await;
    world.request_plan(&draft.mapping_id).await;
    let first = [("name", "One"), ("domain", "one.test"), ("numberofemployees", "12")];
    let second = [("name", "Two"), ("domain", "two.test"), ("numberofemployees", "50-100")];
    world.deliver(&[world.edited("1", &first), world.edited("2", &second)]).await;
    world.backfill_finished("companies", 2).await;
    world.plan_in(&draft.mapping_id, "ready").await;

    let checked = world.mapping(&draft.mapping_id).await;
    let employees = of(&checked, "employee_count");
    assert_eq!(employees.state, "suggested", "{employees:?}");
    assert!(says(employees, "1 values would not come back unchanged, of 1 stored here and 2 at the vendor"));
    let name = of(&checked, "name");
    assert_eq!(name.state, "auto_mapped");
    assert!(says(name, "every value comes back unchanged, of 1 stored here and 2 at the vendor"), "{name:?}");
    assert!(checked.fields.iter().flat_map(|field| &field.evidence).all(|line| !line.contains("50-100")));
    let said: MappingChanged = world
        .wait_for("why it waits", kind::MAPPING_CHANGED, |c: &MappingChanged| c.action == "field_suggested")
        .await;
    assert_eq!(said.field.as_deref(), Some("employee_count"));

    let again = api.suggest_mappings(by("admin", draft.clone())).await.unwrap().into_inner();
    assert_eq!(of(&again, "employee_count").state, "suggested");
    let all = wire::SetMappingRequest {
        mapping_id: draft.mapping_id,
        confirm_all: true,
        ..wire::SetMappingRequest::default()
    };
    let confirmed = api.set_mapping(by("admin", all)).await.unwrap().into_inner();
    assert_eq!(of(&confirmed, "employee_count").state, "suggested", "a person looks at it first");
    assert_eq!(of(&confirmed, "name").state, "confirmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_language_model_chooses_among_what_the_matcher_is_unsure_of_and_sees_no_value() {
    let (world, draft) = world().await;
    world.create(&[("name", "Zanzibar Trading"), ("description", "Spices since 1910")]).await;
    let suggested =
        world.api.clone().suggest_mappings(by("admin", draft.clone())).await.unwrap().into_inner();
    assert_eq!(of(&suggested, "description").vendor_field, "remarks");

    let (config, asked) = model(Says::Text(r#"{"choices": {"description": "summary_text"}}"#)).await;
    let mut api = world.start_replica_with(Some(config)).await;
    let advised = api.suggest_mappings(by("admin", draft)).await.unwrap().into_inner();
    let description = of(&advised, "description");
    assert_eq!(
        (description.vendor_field.as_str(), description.state.as_str()),
        ("summary_text", "suggested")
    );
    assert!(says(description, "ranker-1 chose it among 2"), "{description:?}");
    assert!(says(description, "the matcher's own choice was remarks"), "{description:?}");
    for ours in ["name", "domain", "phone"] {
        assert_eq!(of(&advised, ours), of(&suggested, ours), "sure without it");
    }

    let asked = asked.lock().unwrap();
    let [(key, request)] = asked.as_slice() else { panic!("asked {} times", asked.len()) };
    assert_eq!(key, "authorization: Bearer key-1");
    assert_eq!(request["model"], "ranker-1");
    let told: Value = serde_json::from_str(request["messages"][1]["content"].as_str().unwrap()).unwrap();
    let fields: Vec<&str> =
        told["fields"].as_array().unwrap().iter().map(|field| field["name"].as_str().unwrap()).collect();
    assert_eq!(fields, ["description"], "only what the matcher is unsure of");
    let text = request.to_string();
    assert!(!text.contains("Zanzibar") && !text.contains("1910"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_language_model_fails_the_matchers_choice_stands_and_says_why() {
    let (world, draft) = world().await;
    let suggested =
        world.api.clone().suggest_mappings(by("admin", draft.clone())).await.unwrap().into_inner();
    let nonsense = "answered something else than was asked for";
    for (answer, why) in [
        (Says::Text("I think description is summary_text."), nonsense),
        (Says::Text(r#"{"choices": {"description": "password"}}"#), nonsense),
        (Says::Text(r#"{"choices": {"name": "remarks"}}"#), nonsense),
        (Says::Status(500), "answered with status 500"),
        (Says::Nothing, "did not answer within 1s"),
    ] {
        let (config, asked) = model(answer).await;
        let mut api = world.start_replica_with(Some(config)).await;
        let advised = api.suggest_mappings(by("admin", draft.clone())).await.unwrap().into_inner();
        assert_eq!(asked.lock().unwrap().len(), 1);
        for (now, own) in advised.fields.iter().zip(&suggested.fields) {
            let (now, own) = ((&now.vendor_field, &now.state), (&own.vendor_field, &own.state));
            assert_eq!(now, own);
        }
        let description = of(&advised, "description");
        assert!(says(description, why), "{why}: {description:?}");
        assert!(says(description, "the matcher's own choice stands"), "{description:?}");
    }
}
