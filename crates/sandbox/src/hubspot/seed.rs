//! Planting realistic records: companies, deals named after them, the people who work there.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde::Deserialize;

use super::clock::{Clock, iso};
use super::errors::Failure;
use super::names::{
    CITIES, DEAL_KINDS, FAMILY_NAMES, FIRST_WORDS, GIVEN_NAMES, JOBS, SECOND_WORDS, STREETS, SUFFIXES, slug,
};
use super::pipelines::{DEFAULT_PIPELINE, OWNERS, STAGES};
use super::portal::{Changes, Portal};
use super::record::{Source, Stamp};

const DAY_MS: i64 = 86_400_000;
const COUNT_MOST: usize = 2_000_000;

/// What to plant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    pub(crate) object: String,
    count: usize,
    #[serde(default)]
    seed: Option<u64>,
    /// Give all records one and the same modification time, as a bulk import at the vendor can.
    #[serde(default)]
    same_moment: bool,
    /// Spread creation and modification over this many days before now, known to search at once;
    /// without it the records are an import that happens now.
    #[serde(default)]
    spread_days: u32,
}

/// Plants records and answers with their ids.
pub(crate) fn plant(
    portal: &mut Portal,
    order: &Order,
    default_seed: u64,
    delay_ms: u64,
    clock: &Clock,
) -> Result<Vec<u64>, Failure> {
    if order.count > COUNT_MOST {
        return Err(Failure::validation(format!("at most {COUNT_MOST} records can be planted at once")));
    }
    let at = portal.object_at(&order.object)?;
    let mut rng = StdRng::seed_from_u64(order.seed.unwrap_or(default_seed) ^ (at as u64) << 32);
    let companies: Vec<u64> = if at == COMPANIES { Vec::new() } else { live_companies(portal) };
    let began_ms = clock.now_ms();
    let mut ids = Vec::with_capacity(order.count);
    for number in 0..order.count {
        let now_ms = if order.same_moment { began_ms } else { clock.now_ms() };
        let stamp = stamp(portal, order, number, delay_ms, now_ms);
        let company = companies.choose(&mut rng).copied();
        let changes = match portal.objects[at].name.as_str() {
            "companies" => company_values(portal, number, &mut rng),
            "deals" => deal_values(portal, company, stamp.now_ms, &mut rng),
            "contacts" => contact_values(portal, company, portal.next_id, &mut rng),
            other => return Err(Failure::validation(format!("records of {other} cannot be planted"))),
        };
        let id = portal.create(at, changes, stamp);
        if let Some(company) = company {
            super::associations::connect(portal, (at, id), (COMPANIES, company), &[]);
        }
        ids.push(id);
    }
    if order.spread_days > 0 {
        portal.objects[at].reindex();
    }
    Ok(ids)
}

/// Position of companies among a portal's objects.
pub(crate) const COMPANIES: usize = 1;

fn live_companies(portal: &Portal) -> Vec<u64> {
    let records = portal.objects[COMPANIES].records.values();
    records.filter(|record| record.archived_ms.is_none()).map(|record| record.id).collect()
}

fn stamp(portal: &mut Portal, order: &Order, number: usize, delay_ms: u64, now_ms: i64) -> Stamp {
    let source = Source::Import(OWNERS[0].user_id);
    if order.spread_days == 0 {
        return portal.stamp(now_ms, delay_ms, source);
    }
    let span = i64::from(order.spread_days) * DAY_MS;
    let left = (order.count - number) as i64;
    let at = now_ms - span / (order.count as i64) * left - 1_000;
    Stamp { now_ms: at, visible_at: at, source }
}

fn pick<'a>(from: &[&'a str], rng: &mut StdRng) -> &'a str {
    from.choose(rng).copied().unwrap_or_default()
}

fn values(list: Vec<(&'static str, String)>) -> Changes {
    list.into_iter().map(|(name, value)| (Arc::from(name), value)).collect()
}

fn company_values(portal: &Portal, number: usize, rng: &mut StdRng) -> Changes {
    let name = format!("{} {}{}", pick(&FIRST_WORDS, rng), pick(&SECOND_WORDS, rng), pick(&SUFFIXES, rng));
    let (city, state, country, code) = CITIES[rng.random_range(0..CITIES.len())];
    let domain = format!("{}-{}.example", slug(&name), number + 1);
    let industries = options(portal, COMPANIES, "industry");
    let stages = options(portal, COMPANIES, "lifecyclestage");
    let employees: u32 =
        [8, 15, 25, 60, 120, 250, 700, 1_500, 5_200][rng.random_range(0..9)] + rng.random_range(0..9);
    values(vec![
        ("website", format!("https://www.{domain}")),
        ("domain", domain),
        ("name", name),
        ("phone", phone(code, rng)),
        ("address", format!("{} {}", rng.random_range(1..480), pick(&STREETS, rng))),
        ("city", city.to_owned()),
        ("state", state.to_owned()),
        ("country", country.to_owned()),
        ("zip", format!("{:05}", rng.random_range(1_000..99_000))),
        ("industry", pick(&industries, rng).to_owned()),
        ("numberofemployees", employees.to_string()),
        ("annualrevenue", (u64::from(employees) * rng.random_range(60_000..240_000)).to_string()),
        ("founded_year", rng.random_range(1948..2022).to_string()),
        ("lifecyclestage", pick(&stages, rng).to_owned()),
        ("type", pick(&["PROSPECT", "PARTNER", "RESELLER", "VENDOR", "OTHER"], rng).to_owned()),
        ("hubspot_owner_id", owner(rng)),
    ])
}

pub(crate) fn deal_values(portal: &Portal, company: Option<u64>, now_ms: i64, rng: &mut StdRng) -> Changes {
    let name = company_name(portal, company)
        .unwrap_or_else(|| format!("{} {}", pick(&FIRST_WORDS, rng), pick(&SECOND_WORDS, rng)));
    let stage = &STAGES[rng.random_range(0..STAGES.len())];
    let days = if stage.closed { -rng.random_range(1..300) } else { rng.random_range(3..180) };
    let close = (now_ms + days * DAY_MS).div_euclid(DAY_MS) * DAY_MS;
    values(vec![
        ("dealname", format!("{name} - {}", pick(&DEAL_KINDS, rng))),
        ("amount", amount(rng)),
        ("pipeline", DEFAULT_PIPELINE.to_owned()),
        ("dealstage", stage.id.to_owned()),
        ("closedate", iso(close)),
        ("createdate", iso(close - rng.random_range(20..240) * DAY_MS)),
        ("dealtype", pick(&["newbusiness", "existingbusiness"], rng).to_owned()),
        ("hs_priority", pick(&["low", "medium", "high"], rng).to_owned()),
        ("hubspot_owner_id", owner(rng)),
    ])
}

fn contact_values(portal: &Portal, company: Option<u64>, number: u64, rng: &mut StdRng) -> Changes {
    let (first, last) = (pick(&GIVEN_NAMES, rng), pick(&FAMILY_NAMES, rng));
    let (city, _, country, code) = CITIES[rng.random_range(0..CITIES.len())];
    let domain = company
        .and_then(|id| portal.objects[COMPANIES].records.get(&id)?.get("domain").map(str::to_owned))
        .unwrap_or_else(|| "mail.example".to_owned());
    values(vec![
        ("email", format!("{}.{}{number}@{domain}", slug(first), slug(last))),
        ("firstname", first.to_owned()),
        ("lastname", last.to_owned()),
        ("phone", phone(code, rng)),
        ("jobtitle", pick(&JOBS, rng).to_owned()),
        ("company", company_name(portal, company).unwrap_or_default()),
        ("city", city.to_owned()),
        ("country", country.to_owned()),
        ("lifecyclestage", "lead".to_owned()),
        ("hubspot_owner_id", owner(rng)),
    ])
}

fn company_name(portal: &Portal, company: Option<u64>) -> Option<String> {
    portal.objects[COMPANIES].records.get(&company?)?.get("name").map(str::to_owned)
}

fn options<'a>(portal: &'a Portal, object: usize, property: &str) -> Vec<&'a str> {
    let definition = portal.objects[object].definitions.get(property);
    definition
        .map(|found| found.options.iter().map(|choice| choice.value.as_str()).collect())
        .unwrap_or_default()
}

fn owner(rng: &mut StdRng) -> String {
    let live = OWNERS.iter().filter(|owner| !owner.archived).count();
    OWNERS[rng.random_range(0..live)].id.to_string()
}

pub(crate) fn amount(rng: &mut StdRng) -> String {
    let thousands: u64 = rng.random_range(2..180);
    let rest: u64 = [0, 0, 250, 500, 750, 990][rng.random_range(0..6)];
    format!("{}", thousands * 1_000 + rest)
}

pub(crate) fn phone(code: &str, rng: &mut StdRng) -> String {
    format!("{code} 555 {:04}", rng.random_range(0..10_000))
}
