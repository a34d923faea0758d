//! The people whom an opportunity concerns: the contacts that have a role in it.

use std::collections::HashMap;

use connector::{Error, ErrorKind};

use crate::{
    client::Client,
    soql::{Soql, literal},
    wire::{RoleRow, Rows},
};

/// The only object with roles that people keep everywhere.
const OPPORTUNITY: &str = "Opportunity";
const FIELDS: [&str; 3] = ["OpportunityId", "IsPrimary", "Contact.Email"];
/// Ids per query, so that its address stays short.
const IDS_PER_QUERY: usize = 200;

/// The e-mail addresses of the contacts of these opportunities, the primary one first. None of other objects, and where we may
/// not see contacts or their roles.
pub(crate) async fn of(
    client: Client<'_>,
    object: &str,
    ids: &[String],
) -> Result<Option<HashMap<String, Vec<String>>>, Error> {
    if object != OPPORTUNITY {
        return Ok(None);
    }
    match read(client, ids).await {
        // What we may not see does not exist for us.
        Err(error) if matches!(error.kind, ErrorKind::Permission | ErrorKind::SchemaDrift) => Ok(None),
        read => read.map(Some),
    }
}

async fn read(client: Client<'_>, ids: &[String]) -> Result<HashMap<String, Vec<String>>, Error> {
    let mut people: HashMap<String, Vec<String>> = HashMap::with_capacity(ids.len());
    for some in ids.chunks(IDS_PER_QUERY) {
        let ids: Vec<String> = some.iter().map(|id| literal(id)).collect();
        let condition = format!("OpportunityId IN ({}) AND Contact.Email != null", ids.join(","));
        let soql = Soql {
            fields: &FIELDS,
            object: "OpportunityContactRole",
            condition: &condition,
            order: "IsPrimary DESC, CreatedDate, Id",
            limit: None,
        };
        let answer = client.query(&soql.to_string(), false).await?;
        let rows: Rows<RoleRow> = answer.read()?;
        for row in rows.records {
            let known = people.entry(row.opportunity).or_default();
            if !known.contains(&row.contact.email) {
                known.push(row.contact.email);
            }
        }
    }
    Ok(people)
}
