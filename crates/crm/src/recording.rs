//! Activities are stored with all that they concern: what was told, people by their addresses, companies and partners by
//! their domains, and the companies and partners of those.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use jiff::Timestamp;
use model::{ActivityId, OrganizationId, RecordId};
use sqlx::PgConnection;

use crate::{
    Error,
    domain::{
        activity::{Concerned, NewActivity},
        address,
    },
    replying,
    store::activities::{self, Arrival, Found, Outcome},
};

/// What became of an activity.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) id: ActivityId,
    pub(crate) outcome: Outcome,
}

/// Stores activities. Whoever calls holds the lock of the directory, shared or not. No two of them are the same of the
/// same source.
pub(crate) async fn record(
    tx: &mut PgConnection,
    organization: OrganizationId,
    news: &[&NewActivity],
    free: &[String],
    actor: &str,
    now: Timestamp,
) -> Result<Vec<Recorded>, Error> {
    let longer = activities::longer(&mut *tx, organization, news).await?;
    let kept: Vec<Cow<'_, NewActivity>> = news.iter().map(|new| with_longer(new, &longer)).collect();
    let news: Vec<&NewActivity> = kept.iter().map(AsRef::as_ref).collect();
    let participants = || news.iter().flat_map(|new| &new.participants);
    let addresses: BTreeSet<&str> =
        participants().map(|who| who.address.as_str()).filter(|it| !it.is_empty()).collect();
    let domains: BTreeSet<&str> = participants()
        .map(|who| who.domain())
        .filter(|domain| !domain.is_empty() && !address::is_free(domain, free))
        .collect();
    let told: BTreeSet<RecordId> = news.iter().flat_map(|new| &new.told).filter_map(record_of).collect();
    let found = activities::find(&mut *tx, organization, &addresses, &domains, &told).await?;
    let arrivals: Vec<Arrival<'_>> =
        news.iter().map(|new| Arrival { new, concerned: concerned(new, &found) }).collect();
    let stored = activities::put(&mut *tx, organization, &arrivals, actor, now).await?;
    let told: Vec<&NewActivity> =
        news.iter().zip(&stored).filter(|(_, (_, it))| *it != Outcome::Known).map(|(new, _)| *new).collect();
    replying::heard(tx, organization, &told, now).await?;
    Ok(stored.into_iter().map(|(id, outcome)| Recorded { id, outcome }).collect())
}

/// An activity with the text that is there, where it tells the beginning of it alone.
fn with_longer<'n>(
    new: &'n NewActivity,
    longer: &BTreeMap<(String, String), String>,
) -> Cow<'n, NewActivity> {
    match longer.get(&activities::place(new)).filter(|_| new.is_preview) {
        Some(body) => Cow::Owned(NewActivity { body: body.clone(), ..new.clone() }),
        None => Cow::Borrowed(new),
    }
}

fn record_of(told: &Concerned) -> Option<RecordId> {
    match told {
        Concerned::Record(id) => Some(*id),
        Concerned::Partner(_) => None,
    }
}

/// All that an activity concerns.
fn concerned(new: &NewActivity, found: &Found) -> BTreeSet<Concerned> {
    let mut people: BTreeSet<RecordId> = new.told.iter().filter_map(record_of).collect();
    let mut companies = Vec::new();
    for who in &new.participants {
        people.extend(found.contacts.get(&who.address).into_iter().flatten());
        companies.extend(found.companies.get(who.domain()).into_iter().flatten());
    }
    let named = people.iter().filter_map(|record| found.named.get(record)).flatten();
    let records: BTreeSet<RecordId> = people.iter().chain(companies).chain(named).copied().collect();
    new.told.iter().copied().chain(records.into_iter().map(Concerned::Record)).collect()
}
