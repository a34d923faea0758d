//! Records that look like a real business: the same seed gives the same records.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::errors::Failure;
use super::id::Id;
use super::org::{Org, Transaction};
use super::time::{date_of, midnight};
use crate::names::{
    CITIES, DEAL_KINDS, FAMILY_NAMES, FIRST_WORDS, GIVEN_NAMES, JOBS, SECOND_WORDS, STREETS, SUFFIXES, slug,
};

const DAY_S: i64 = 86_400;
const COUNT_MOST: usize = 2_000_000;
const SALUTATIONS: [&str; 4] = ["Mr.", "Ms.", "Mrs.", "Dr."];

/// What to plant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    pub(crate) object: String,
    count: usize,
    #[serde(default)]
    seed: Option<u64>,
    /// Spread creation and modification over this many days before now. Such records were there
    /// before anybody listened: no change events tell of them.
    #[serde(default)]
    spread_days: u32,
}

/// Plants records, each in a transaction of its own, and answers with their ids.
pub(crate) fn plant(
    org: &mut Org,
    order: &Order,
    default_seed: u64,
    now_ms: i64,
) -> Result<Vec<Id>, Failure> {
    if order.count > COUNT_MOST {
        let message = format!("at most {COUNT_MOST} records can be planted at once");
        return Err(Failure::bad("LIMIT_EXCEEDED", message));
    }
    let at = org.find(&order.object).ok_or_else(Failure::not_found)?;
    let now_s = now_ms.div_euclid(1_000);
    let mut rng = StdRng::seed_from_u64(order.seed.unwrap_or(default_seed) ^ (at as u64) << 32);
    let accounts: Vec<Id> = match org.find("Account") {
        Some(accounts) if accounts != at => org.objects[accounts].live().map(|record| record.id).collect(),
        _ => Vec::new(),
    };
    let mut ids = Vec::with_capacity(order.count);
    for number in 0..order.count {
        let account = accounts.choose(&mut rng).copied();
        let body = match org.objects[at].schema.name.as_str() {
            "Account" => account_values(org, number, &mut rng),
            "Contact" => contact_values(org, account, number, &mut rng),
            "Opportunity" => opportunity_values(org, account, now_s, &mut rng),
            "Lead" => lead_values(org, number, &mut rng),
            "Custom__c" => json!({"Name": company(&mut rng), "CustomField__c": pick(&JOBS, &mut rng)}),
            other => {
                return Err(Failure::bad("INVALID_TYPE", format!("records of {other} cannot be planted")));
            }
        };
        let user = org.users[0];
        let mut transaction = Transaction::new(user, "com/salesforce/api/bulk/67.0;client=dataloader", now_s);
        if order.spread_days > 0 {
            transaction.silent = true;
            let left = (order.count - number) as i64;
            transaction.now_s =
                now_s - i64::from(order.spread_days) * DAY_S / (order.count as i64) * left - 1;
        }
        let values = cells(org, at, &body);
        ids.push(org.insert(&mut transaction, at, values));
        org.commit(transaction, now_ms);
    }
    Ok(ids)
}

/// Values by field, as they are stored: no check is made.
pub(crate) fn cells(org: &Org, at: usize, body: &Value) -> Vec<(u16, Value)> {
    let schema = &org.objects[at].schema;
    let named = body.as_object().into_iter().flatten();
    named.filter_map(|(name, value)| Some((schema.field(name)?.at, value.clone()))).collect()
}

fn pick<'a>(from: &[&'a str], rng: &mut StdRng) -> &'a str {
    from.choose(rng).copied().unwrap_or_default()
}

fn choices<'a>(org: &'a Org, object: &str, field: &str) -> Vec<&'a str> {
    let object = org.find(object).map(|at| &org.objects[at].schema);
    let field = object.and_then(|schema| schema.field(field));
    let choices = field.map(|field| field.choices.iter().map(|choice| choice.value.as_str()).collect());
    choices.unwrap_or_default()
}

fn company(rng: &mut StdRng) -> String {
    format!("{} {}{}", pick(&FIRST_WORDS, rng), pick(&SECOND_WORDS, rng), pick(&SUFFIXES, rng))
}

pub(crate) fn phone(code: &str, rng: &mut StdRng) -> String {
    format!("{code} 555 {:04}", rng.random_range(0..10_000))
}

fn owner(org: &Org, rng: &mut StdRng) -> String {
    org.users[rng.random_range(0..org.users.len())].to_string()
}

fn account_values(org: &Org, number: usize, rng: &mut StdRng) -> Value {
    let name = company(rng);
    let (city, state, country, code) = CITIES[rng.random_range(0..CITIES.len())];
    let employees: u32 =
        [8, 15, 25, 60, 120, 250, 700, 1_500, 5_200][rng.random_range(0..9)] + rng.random_range(0..9);
    let street = format!("{} {}", rng.random_range(1..480), pick(&STREETS, rng));
    let zip = format!("{:05}", rng.random_range(1_000..99_000));
    json!({
        "Name": name, "Website": format!("https://www.{}-{}.example", slug(&name), number + 1),
        "Phone": phone(code, rng), "BillingStreet": street, "BillingCity": city, "BillingState": state,
        "BillingPostalCode": zip, "BillingCountry": country, "ShippingCity": city, "ShippingCountry": country,
        "Industry": pick(&choices(org, "Account", "Industry"), rng), "Type": pick(&choices(org, "Account", "Type"), rng),
        "Rating": pick(&["Hot", "Warm", "Cold"], rng), "NumberOfEmployees": employees,
        "AnnualRevenue": (f64::from(employees) * f64::from(rng.random_range(60_000..240_000))),
        "AccountNumber": format!("HL-{:06}", number + 1), "OwnerId": owner(org, rng),
    })
}

fn contact_values(org: &Org, account: Option<Id>, number: usize, rng: &mut StdRng) -> Value {
    let (first, last) = (pick(&GIVEN_NAMES, rng), pick(&FAMILY_NAMES, rng));
    let (city, state, country, code) = CITIES[rng.random_range(0..CITIES.len())];
    let host = account.and_then(|id| text(org, "Account", id, "Website"));
    let host = host.and_then(|url| url.strip_prefix("https://www.").map(str::to_owned));
    let host = host.unwrap_or_else(|| "mail.example".to_owned());
    let mut values = json!({
        "Salutation": pick(&SALUTATIONS, rng), "FirstName": first, "LastName": last,
        "Email": format!("{}.{}{number}@{host}", slug(first), slug(last)), "Phone": phone(code, rng),
        "MobilePhone": phone(code, rng), "Title": pick(&JOBS, rng), "MailingCity": city, "MailingState": state,
        "MailingCountry": country, "LeadSource": pick(&choices(org, "Contact", "LeadSource"), rng),
        "OwnerId": owner(org, rng),
    });
    if let Some(account) = account {
        values["AccountId"] = json!(account);
    }
    values
}

pub(crate) fn opportunity_values(org: &Org, account: Option<Id>, now_s: i64, rng: &mut StdRng) -> Value {
    let name = account.and_then(|id| text(org, "Account", id, "Name")).unwrap_or_else(|| company(rng));
    let stage = pick(&choices(org, "Opportunity", "StageName"), rng);
    let days = if stage.starts_with("Closed") { -rng.random_range(1..300) } else { rng.random_range(3..180) };
    let mut values = json!({
        "Name": format!("{name} - {}", pick(&DEAL_KINDS, rng)), "StageName": stage, "Amount": amount(rng),
        "CloseDate": date_of(midnight(date_of(now_s)) + days * DAY_S).to_string(),
        "Type": pick(&choices(org, "Opportunity", "Type"), rng),
        "LeadSource": pick(&choices(org, "Opportunity", "LeadSource"), rng), "OwnerId": owner(org, rng),
    });
    if let Some(account) = account {
        values["AccountId"] = json!(account);
    }
    values
}

fn lead_values(org: &Org, number: usize, rng: &mut StdRng) -> Value {
    let (first, last) = (pick(&GIVEN_NAMES, rng), pick(&FAMILY_NAMES, rng));
    let (city, state, country, code) = CITIES[rng.random_range(0..CITIES.len())];
    let company = company(rng);
    json!({
        "FirstName": first, "LastName": last, "Company": company, "Title": pick(&JOBS, rng),
        "Email": format!("{}.{}{number}@{}.example", slug(first), slug(last), slug(&company)),
        "Phone": phone(code, rng), "City": city, "State": state, "Country": country,
        "Status": pick(&["Open - Not Contacted", "Working - Contacted"], rng),
        "LeadSource": pick(&choices(org, "Lead", "LeadSource"), rng),
        "Industry": pick(&choices(org, "Lead", "Industry"), rng), "OwnerId": owner(org, rng),
    })
}

pub(crate) fn amount(rng: &mut StdRng) -> f64 {
    f64::from(rng.random_range(2..180) * 1_000 + [0, 0, 250, 500, 750, 990][rng.random_range(0..6)])
}

fn text(org: &Org, object: &str, id: Id, field: &str) -> Option<String> {
    let object = &org.objects[org.find(object)?];
    let field = object.schema.field(field)?;
    Some(object.get(id)?.cells.text(field.at)?.to_owned())
}

/// A whole record in its values by name, for what is made of it.
pub(crate) fn facts(org: &Org, at: usize, id: Id) -> Map<String, Value> {
    let object = &org.objects[at];
    object.get(id).map(|record| object.fields(record).into_iter().collect()).unwrap_or_default()
}
