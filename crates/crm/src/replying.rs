//! What comes in may answer a campaign's mail, or be that mail coming back.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use model::{Actor, OrganizationId, RecipientId};
use sqlx::PgConnection;

use crate::{
    Error,
    domain::{activity::NewActivity, address, campaign::Fact},
    store::{self, mails::Answerable},
    suppressing::{self, Why},
};

/// A mailbox tells times to the second.
const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// Stops what was answered, and puts on the list whose mails came back. Notes of absence do neither.
pub(crate) async fn heard(
    tx: &mut PgConnection,
    organization: OrganizationId,
    news: &[&NewActivity],
    now: Timestamp,
) -> Result<(), Error> {
    let is_heard = |new: &&&NewActivity| {
        new.kind == "email"
            && new.direction == "inbound"
            && matches!(new.automatic.as_str(), "" | "bounce")
            && !new.is_gone
    };
    let mails: Vec<(&NewActivity, BTreeSet<String>)> =
        news.iter().filter(is_heard).map(|new| (*new, named(new))).collect();
    if mails.is_empty() {
        return Ok(());
    }
    let addresses: BTreeSet<&str> = mails.iter().flat_map(|(_, named)| named).map(String::as_str).collect();
    let threads: BTreeSet<&str> =
        mails.iter().map(|(new, _)| new.thread.as_str()).filter(|thread| !thread.is_empty()).collect();
    let (addresses, threads): (Vec<_>, Vec<_>) =
        (addresses.into_iter().collect(), threads.into_iter().collect());
    let known = store::mails::answered_by(&mut *tx, organization, &addresses, &threads).await?;
    let mut replied: BTreeSet<RecipientId> = BTreeSet::new();
    let mut bounced: BTreeMap<String, Vec<Answerable>> = BTreeMap::new();
    for (new, named) in &mails {
        let about = about(new, named, &known);
        if new.automatic.is_empty() {
            replied.extend(about.iter().map(|mail| mail.recipient));
        } else if let Some(address) = only_address(&about) {
            bounced.entry(address).or_default().extend(about.into_iter().cloned());
        }
    }
    for id in replied {
        if let Some(recipient) = store::recipients::lock(&mut *tx, organization, id).await? {
            suppressing::settle(&mut *tx, &recipient, &Fact::Replied, now).await?;
        }
    }
    let actor = Actor::Service("crm").to_string();
    for (address, mails) in bounced {
        let recipients: Vec<RecipientId> = mails.iter().map(|mail| mail.recipient).collect();
        let campaign = mails.first().map(|mail| mail.campaign);
        let why = Why { reason: "bounced", campaign, recipients: &recipients, actor: &actor };
        suppressing::suppress(&mut *tx, organization, &[&address], &why, now).await?;
    }
    Ok(())
}

/// The addresses by which a mail may concern a recipient: whom it is from, and of one that came back whom it names.
fn named(new: &NewActivity) -> BTreeSet<String> {
    let senders = new.participants.iter().filter(|who| matches!(who.role.as_str(), "from" | "sender"));
    let senders = senders.map(|who| who.address.clone()).filter(|address| !address.is_empty());
    if new.automatic.is_empty() {
        return senders.collect();
    }
    let is_part = |c: char| c.is_whitespace() || "<>()[]\"',;:".contains(c);
    let words = [&new.subject, &new.body].into_iter().flat_map(|text| text.split(is_part));
    words
        .filter(|word| word.contains('@'))
        .filter_map(|word| address::email(word.trim_end_matches('.')))
        .collect()
}

/// The campaigns' mails that a mail is about, of those that were asked for before it. One that came back is about the mail in
/// whose thread it is, or else about those to the addresses that it names.
fn about<'k>(new: &NewActivity, named: &BTreeSet<String>, known: &'k [Answerable]) -> Vec<&'k Answerable> {
    let until = new.at.checked_add(SECOND).unwrap_or(Timestamp::MAX);
    let earlier = || known.iter().filter(|mail| mail.asked_at < until);
    let in_thread: Vec<&Answerable> = earlier()
        .filter(|mail| !new.thread.is_empty() && mail.thread.as_deref() == Some(new.thread.as_str()))
        .collect();
    if !new.automatic.is_empty() && !in_thread.is_empty() {
        return in_thread;
    }
    let of_address = earlier().filter(|mail| named.contains(&mail.address));
    of_address.chain(in_thread).collect()
}

/// The one address that they all went to; none where there are several, of which one cannot say which it is.
fn only_address(mails: &[&Answerable]) -> Option<String> {
    let addresses: BTreeSet<&str> = mails.iter().map(|mail| mail.address.as_str()).collect();
    <[&str; 1]>::try_from(addresses.into_iter().collect::<Vec<_>>()).ok().map(|[only]| only.to_owned())
}
