//! Deals of a connected CRM become commissions, without anybody sending an event.

use std::time::Duration;

use proto::attribution::{
    ConversionRecord, ConversionRule, ConversionRuleSpec, CreateConversionRuleRequest,
    CreateIngestUrlRequest, IngestMapping, ListConversionRecordsRequest, ListConversionRulesRequest,
    RecordCondition, conversion_rule_spec::User, conversion_rules_client::ConversionRulesClient,
    ingest_urls_client::IngestUrlsClient,
};
use serde_json::{Value, json};
use testkit::eventually;
use tests::{House, HubSpotPortal, SalesforceOrg, Start};
use tonic::{Request, transport::Channel};

use super::shop::Shop;

const WAIT: Duration = Duration::from_secs(60);

/// The rules of an organization, by its key.
pub(super) struct Rules {
    client: ConversionRulesClient<Channel>,
    key: String,
}

impl Rules {
    pub(super) async fn of(house: &House) -> Self {
        let client = ConversionRulesClient::connect(house.ready("grpc_url").to_owned()).await;
        Self { client: client.expect("the rooms answer"), key: house.ready("api_key").to_owned() }
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let key = format!("Bearer {}", self.key).parse().expect("a key is a header");
        request.metadata_mut().insert("authorization", key);
        request
    }

    /// Makes a rule and waits until the records were read that were there.
    pub(super) async fn make(&self, spec: ConversionRuleSpec) -> ConversionRule {
        let request = self.request(CreateConversionRuleRequest { spec: Some(spec) });
        let made = self.client.clone().create_conversion_rule(request).await.expect("a rule").into_inner();
        eventually(WAIT, "the records to be read", || async {
            let request = self.request(ListConversionRulesRequest {});
            let rules = self.client.clone().list_conversion_rules(request).await.ok()?.into_inner().rules;
            rules.into_iter().find(|rule| rule.id == made.id && rule.read_at.is_some())
        })
        .await
    }

    /// Won deals of a vendor, by their contacts' addresses.
    pub(super) async fn won_deals(&self, vendor: &str, house: &House) -> ConversionRuleSpec {
        let (object, condition, value_field) = match vendor {
            "salesforce" => ("Opportunity", becomes("StageName", "Closed Won"), "Amount"),
            _ => ("deals", becomes("dealstage", "closedwon"), "amount"),
        };
        ConversionRuleSpec {
            name: "Won deals".to_owned(),
            connection_id: house.connection_to(vendor).await,
            vendor_object: object.to_owned(),
            conditions: vec![condition],
            event_type: "opportunity_won".to_owned(),
            user: Some(User::ContactEmail(true)),
            value_field: value_field.to_owned(),
            currency: "USD".to_owned(),
            ..ConversionRuleSpec::default()
        }
    }

    pub(super) async fn records(&self, rule: &ConversionRule) -> Vec<ConversionRecord> {
        let request = ListConversionRecordsRequest { rule_id: rule.id.clone(), ..Default::default() };
        let answer = self.client.clone().list_conversion_records(self.request(request)).await;
        answer.expect("records").into_inner().records
    }
}

fn becomes(field: &str, value: &str) -> RecordCondition {
    let (operator, values) = ("one_of".to_owned(), vec![value.to_owned()]);
    RecordCondition { field: field.to_owned(), operator, values }
}

/// Waits until the partner's commissions are these, as `status amount currency`.
async fn wait_for(shop: &Shop, wanted: &[&str]) -> Vec<Value> {
    eventually(WAIT, &format!("the commissions {wanted:?}"), || async {
        let path = format!("/partners/{}/commissions?limit=500", shop.partner);
        let listed = shop.ok("GET", &path, None).await["commissions"].as_array().cloned()?;
        let text = |one: &Value| {
            let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
            format!("{} {} {}", text("status"), text("amount"), text("currency"))
        };
        let mut found: Vec<String> = listed.iter().map(text).collect();
        found.sort();
        (found == wanted).then_some(listed)
    })
    .await
}

async fn assert_whole(shop: &Shop, house: &House) {
    let ledger = shop.ok("GET", "/ledger/verify", None).await;
    assert_eq!((&ledger["whole"], &ledger["differences"]), (&json!(true), &json!([])), "{ledger}");
    assert!(!house.log().contains("panicked"), "something panicked: {}", house.log());
}

pub(super) async fn create_in_hubspot(hubspot: &HubSpotPortal, object: &str, properties: Value) -> String {
    let path = format!("/crm/v3/objects/{object}");
    let (status, answer) = hubspot.call("POST", &path, Some(json!({ "properties": properties }))).await;
    assert_eq!(status, 201, "{answer}");
    answer["id"].as_str().expect("an id").to_owned()
}

pub(super) async fn associate(hubspot: &HubSpotPortal, deal: &str, contact: &str) {
    let path = format!("/crm/v4/objects/deals/{deal}/associations/default/contacts/{contact}");
    let (status, answer) = hubspot.call("PUT", &path, None).await;
    assert_eq!(status, 200, "{answer}");
}

pub(super) async fn create_in_salesforce(salesforce: &SalesforceOrg, object: &str, fields: Value) -> String {
    let path = format!("/services/data/v62.0/sobjects/{object}");
    let (status, answer) = salesforce.call("POST", &path, Some(fields)).await;
    assert_eq!(status, 201, "{answer}");
    answer["id"].as_str().expect("an id").to_owned()
}

// B8, R120, R122, R124, mistake 11
#[tokio::test]
async fn a_deal_that_is_won_in_hubspot_pays_the_partner_of_one_of_its_contacts_and_follows_the_deal() {
    let house = House::start(Start { companies: 5, deals: 5, ..Start::default() }).await;
    let (hubspot, shop, rules) = (house.hubspot(), Shop::open(&house).await, Rules::of(&house).await);
    let before = json!({ "dealname": "Won before", "dealstage": "closedwon", "amount": "9000" });
    let before = create_in_hubspot(&hubspot, "deals", before).await;
    let rule = rules
        .make(ConversionRuleSpec {
            name: "Won deals".to_owned(),
            connection_id: house.connection_to("hubspot").await,
            vendor_object: "deals".to_owned(),
            conditions: vec![becomes("dealstage", "closedwon")],
            event_type: "opportunity_won".to_owned(),
            user: Some(User::ContactEmail(true)),
            value_field: "amount".to_owned(),
            currency_field: "deal_currency_code".to_owned(),
            ..ConversionRuleSpec::default()
        })
        .await;
    let deal = json!({ "dealname": "A deal", "dealstage": "contractsent", "amount": "4500" });
    let deal = create_in_hubspot(&hubspot, "deals", deal).await;
    for email in ["assistant@shop.example", "buyer@shop.example"] {
        let contact = create_in_hubspot(&hubspot, "contacts", json!({ "email": email })).await;
        associate(&hubspot, &deal, &contact).await;
        associate(&hubspot, &before, &contact).await;
    }
    shop.click("Buyer@shop.example").await;
    hubspot.edit("deals", &before, "dealname", "Edited after the rule").await;
    hubspot.edit("deals", &deal, "dealstage", "closedwon").await;
    let paid = wait_for(&shop, &["accrued 900.00 USD"]).await;
    let events = shop.ok("GET", &format!("/attribution/events?metadataValue={deal}"), None).await;
    let event = &events["events"][0];
    assert_eq!(
        (&event["type"], &event["userId"], &event["metadata"]["record_id"]),
        (&json!("opportunity_won"), &json!("buyer@shop.example"), &json!(deal)),
        "{event}"
    );
    // Every later edit of the deal is the same event.
    hubspot.edit("deals", &deal, "dealname", "A better name").await;
    hubspot.edit("deals", &deal, "amount", "5000").await;
    wait_for(&shop, &["accrued 1000.00 USD"]).await;
    hubspot.edit("deals", &deal, "dealstage", "contractsent").await;
    wait_for(&shop, &["reversed 0.00 USD"]).await;
    hubspot.edit("deals", &deal, "dealstage", "closedwon").await;
    wait_for(&shop, &["accrued 1000.00 USD"]).await;
    let commission = paid[0]["id"].as_str().expect("an id");
    let approved = shop.ok("POST", &format!("/commissions/{commission}/approve"), None).await;
    assert_eq!(approved["commission"]["status"], "approved");
    let (status, answer) = hubspot.call("DELETE", &format!("/crm/v3/objects/deals/{deal}"), None).await;
    assert_eq!(status, 204, "{answer}");
    // What is archived moves no date there: all that is archived is looked through now and then, and now.
    let connection = house.connection_to("hubspot").await;
    house.ok("POST", &format!("/api/v1/connections/{connection}/sync"), None).await;
    wait_for(&shop, &["reversed 0.00 USD"]).await;
    let records = rules.records(&rule).await;
    let only = &records[..];
    assert_eq!(only.len(), 1, "what was won before the rule is no event: {records:?}");
    assert_eq!((only[0].record_id.as_str(), only[0].reason.as_str()), (deal.as_str(), "record_deleted"));
    assert_whole(&shop, &house).await;
}

// B8, R120, R122, R124: how the demo ends.
#[tokio::test]
async fn the_demo_ends_with_a_deal_that_was_won_in_the_crm_and_the_commission_that_is_approved_for_it() {
    let house = House::start(Start { companies: 5, deals: 10, contacts: 5, ..Start::default() }).await;
    let (hubspot, shop) = (house.hubspot(), Shop::open(&house).await);
    let all = shop.ok("GET", "/commissions", None).await;
    let [commission] = &all["commissions"].as_array().expect("a list")[..] else { panic!("not one: {all}") };
    assert_eq!(commission["status"], "approved");
    let partner = commission["partnerId"].as_str().expect("a partner");
    let partner = shop.ok("GET", &format!("/partners/{partner}"), None).await;
    assert_eq!(partner["email"], "grace@harbour.example");

    let events = shop.ok("GET", "/attribution/events", None).await;
    let [event] = &events["events"].as_array().expect("a list")[..] else { panic!("not one: {events}") };
    assert_eq!((&event["id"], &event["type"]), (&commission["eventId"], &json!("opportunity_won")));
    let deal = event["metadata"]["record_id"].as_str().expect("the deal of the sandbox");
    let property = async |name: &str| hubspot.property("deals", deal, name).await;
    assert_eq!(property("dealstage").await.as_deref(), Some("closedwon"));
    let amount: f64 = property("amount").await.and_then(|amount| amount.parse().ok()).expect("an amount");
    assert_eq!(event["value"].as_f64(), Some(amount));
    assert_eq!(commission["amount"], format!("{:.2}", amount * 0.15), "of {amount}");
    let approval = shop.ok("GET", "/ledger/entries", None).await;
    let kinds = approval["entries"].as_array().expect("a list").iter().map(|entry| entry["kind"].clone());
    assert_eq!(kinds.collect::<Vec<_>>(), [json!("approval"), json!("accrual")], "{approval}");
    assert_whole(&shop, &house).await;
}

// B8, R120, R122, R125, mistake 11
#[tokio::test]
async fn an_opportunity_that_is_won_in_salesforce_pays_in_its_currency_and_follows_the_opportunity() {
    let house = House::start(Start { companies: 3, deals: 3, accounts: 4, ..Start::default() }).await;
    let (salesforce, shop, rules) = (house.salesforce(), Shop::open(&house).await, Rules::of(&house).await);
    let connection = house.connection_to("salesforce").await;
    house.wait_for_streams(&connection, &["Opportunity"]).await;
    let spec = ConversionRuleSpec {
        name: "Won opportunities".to_owned(),
        connection_id: connection.clone(),
        vendor_object: "Opportunity".to_owned(),
        conditions: vec![becomes("StageName", "Closed Won")],
        event_type: "opportunity_won".to_owned(),
        user: Some(User::ContactEmail(true)),
        value_field: "Amount".to_owned(),
        currency: "EUR".to_owned(),
        ..ConversionRuleSpec::default()
    };
    let rule = rules.make(spec).await;
    let lead = ConversionRuleSpec {
        name: "Qualified leads".to_owned(),
        connection_id: connection,
        vendor_object: "Lead".to_owned(),
        conditions: vec![becomes("Status", "Working - Contacted")],
        event_type: "lead_qualified".to_owned(),
        user: Some(User::UserField("Email".to_owned())),
        when_left: "keep".to_owned(),
        ..ConversionRuleSpec::default()
    };
    let leads = rules.make(lead).await;

    let fields = json!({
        "Name": "A deal", "StageName": "Negotiation/Review", "CloseDate": "2026-12-31", "Amount": 4500,
    });
    let deal = create_in_salesforce(&salesforce, "Opportunity", fields).await;
    for (email, primary) in
        [("assistant@shop.example", false), ("boss@shop.example", true), ("buyer@shop.example", false)]
    {
        let contact = json!({ "LastName": "Example", "Email": email });
        let contact = create_in_salesforce(&salesforce, "Contact", contact).await;
        let role = json!({ "OpportunityId": deal, "ContactId": contact, "IsPrimary": primary });
        create_in_salesforce(&salesforce, "OpportunityContactRole", role).await;
    }
    shop.click("buyer@shop.example").await;
    salesforce.edit("Opportunity", &deal, json!({ "StageName": "Closed Won" })).await;
    wait_for(&shop, &["accrued 900.00 EUR"]).await;
    salesforce.edit("Opportunity", &deal, json!({ "Amount": 100.5 })).await;
    wait_for(&shop, &["accrued 20.10 EUR"]).await;
    salesforce.edit("Opportunity", &deal, json!({ "StageName": "Closed Lost" })).await;
    wait_for(&shop, &["reversed 0.00 EUR"]).await;
    let records = rules.records(&rule).await;
    assert_eq!(
        (records.len(), records[0].user_id.as_str(), records[0].reason.as_str()),
        (1, "buyer@shop.example", "condition_left")
    );
    // An object that is not synced is looked at all the same.
    let qualified = json!({ "LastName": "Lead", "Company": "Shop", "Email": "buyer@shop.example", "Status": "Open - Not Contacted" });
    let qualified = create_in_salesforce(&salesforce, "Lead", qualified).await;
    salesforce.edit("Lead", &qualified, json!({ "Status": "Working - Contacted" })).await;
    eventually(WAIT, "the lead to be an event", || async {
        let records = rules.records(&leads).await;
        records.into_iter().find(|record| record.record_id == qualified && record.status == "recorded")
    })
    .await;
    assert_whole(&shop, &house).await;
}

// R126, R127, R173, D11
#[tokio::test]
async fn a_crms_own_webhook_is_an_event_without_middleware() {
    let house = House::start(Start { companies: 3, deals: 3, ..Start::default() }).await;
    let (shop, rules) = (Shop::open(&house).await, Rules::of(&house).await);
    let mut urls =
        IngestUrlsClient::connect(house.ready("grpc_url").to_owned()).await.expect("the rooms answer");
    let mapping = IngestMapping {
        user_id: vec!["data.custom_fields.9dc8.value".to_owned()],
        event_type: "opportunity_won".to_owned(),
        value: vec!["data.value".to_owned()],
        currency: vec!["data.currency".to_owned()],
        external_event_id: vec!["data.id".to_owned()],
        conditions: vec![becomes("data.status", "won")],
        ..IngestMapping::default()
    };
    let request = CreateIngestUrlRequest {
        name: "Pipedrive".to_owned(),
        vendor: "pipedrive".to_owned(),
        mapping: Some(mapping),
        signature_key: String::new(),
    };
    let made = urls.create_ingest_url(rules.request(request)).await.expect("an address").into_inner();
    shop.click("buyer@shop.example").await;
    let body = json!({
        "meta": { "action": "change", "entity": "deal", "entity_id": "7", "version": "2.0", "attempt": 1 },
        "data": { "id": 7, "value": 4500, "currency": "USD", "status": "won",
                  "custom_fields": { "9dc8": { "type": "varchar", "value": "buyer@shop.example" } } },
        "previous": { "status": "open" },
    });
    let post = |password: String, path: String, body: String| {
        let request = house.http().post(format!("{}{path}", house.ready("api_url")));
        let request = request.basic_auth(made.user.clone(), Some(password)).body(body);
        async move {
            let answer = request.send().await.expect("the gateway answers");
            (answer.status().as_u16(), answer.json::<Value>().await.expect("it is JSON"))
        }
    };
    let right = || made.secret.clone();
    for base in ["", "/api"] {
        let (status, answer) = post(right(), format!("{base}{}", made.secret_path), body.to_string()).await;
        assert_eq!((status, &answer["outcome"]), (200, &json!("recorded")), "{answer}");
    }
    wait_for(&shop, &["accrued 900.00 USD"]).await;
    let at = || made.secret_path.clone();
    let wrong = post("wrong".to_owned(), at(), body.to_string()).await;
    assert_eq!(wrong, (401, json!({ "error": "signature_invalid" })));
    let nowhere = post(right(), "/ingest/ing_nothing".to_owned(), body.to_string()).await;
    assert_eq!(nowhere, (404, json!({ "error": "not_found" })));
    let (status, refused) = post(right(), at(), "not JSON".to_owned()).await;
    assert_eq!((status, &refused["error"]), (400, &json!("invalid_body")));
    assert_whole(&shop, &house).await;
}
