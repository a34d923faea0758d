//! The people whom a record concerns: its associated contacts.

use std::collections::{BTreeSet, HashMap};

use connector::{Error, ErrorKind};

use crate::{
    client::Client,
    companies::READ_SIZE,
    read::BATCH_SIZE,
    wire::{Associations, AssociationsOf, AssociationsRead, BatchRead, RecordId, Records},
};

const CONTACTS: &str = "contacts";
const EMAIL: &str = "email";
/// So many contacts of one record are told at most; HubSpot gives them in pages of five hundred.
const MOST: usize = 100;

/// The e-mail addresses of the contacts of these records, in HubSpot's order, which knows no primary one. None of contacts
/// themselves, and where we may not see contacts.
pub(crate) async fn of(
    client: Client<'_>,
    object: &str,
    ids: &[String],
) -> Result<Option<HashMap<String, Vec<String>>>, Error> {
    if object == CONTACTS {
        return Ok(None);
    }
    match read(client, object, ids).await {
        Err(error) if error.kind == ErrorKind::Permission => Ok(None),
        read => read.map(Some),
    }
}

async fn read(
    client: Client<'_>,
    object: &str,
    ids: &[String],
) -> Result<HashMap<String, Vec<String>>, Error> {
    let mut contacts: HashMap<String, Vec<String>> = HashMap::with_capacity(ids.len());
    for some in ids.chunks(READ_SIZE) {
        let inputs = some.iter().map(|id| AssociationsOf { id, after: None }).collect();
        let answer = client.read_associations(object, CONTACTS, &AssociationsRead { inputs }).await?;
        let found: Associations<'_> = answer.read()?;
        for one in found.results {
            let ids = one.to.iter().take(MOST).map(|to| to.to_object_id.to_string());
            contacts.insert(one.from.id.to_string(), ids.collect());
        }
    }
    let wanted: BTreeSet<&str> = contacts.values().flatten().map(String::as_str).collect();
    let emails = emails(client, &wanted.into_iter().collect::<Vec<_>>()).await?;
    for ids in contacts.values_mut() {
        *ids = ids.iter().filter_map(|id| emails.get(id).cloned()).collect();
    }
    Ok(contacts)
}

async fn emails(client: Client<'_>, ids: &[&str]) -> Result<HashMap<String, String>, Error> {
    let mut emails = HashMap::with_capacity(ids.len());
    for some in ids.chunks(BATCH_SIZE) {
        let batch = BatchRead {
            properties: vec![EMAIL],
            properties_with_history: Vec::new(),
            id_property: None,
            inputs: some.iter().map(|id| RecordId { id }).collect(),
        };
        let answer = client.batch_read(CONTACTS, &batch).await?;
        let records: Records<'_> = answer.read()?;
        let email = |record: &crate::wire::Record<'_>| {
            let email = record.properties.get(EMAIL).filter(|email| !email.is_empty())?;
            Some((record.id.to_string(), email.to_owned()))
        };
        emails.extend(records.results.iter().filter_map(email));
    }
    Ok(emails)
}
