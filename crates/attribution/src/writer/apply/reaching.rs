//! Rules that reach over customers: tiers by a partner's volume and caps of a partner. Who brings something new about a
//! customer of such a program derives all customers of the organization's such programs, under one lock. Only
//! organizations that have such rules pay for it.

use std::collections::BTreeSet;

use model::{OrganizationId, ProgramId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Beyond, Gathering, Known};
use crate::{
    Error,
    store::{
        self,
        facts::Customer,
        locks::{self, Lock},
    },
};

impl<'j> Gathering<'j> {
    /// Reads the customers whose payments depend on those of whom something is new.
    pub(super) async fn beyond(&self, tx: &mut PgConnection) -> Result<Beyond<'j>, Error> {
        let mut beyond = Beyond::default();
        for (organization, programs) in self.reaching() {
            locks::take(tx, &[], &[Lock::settling(organization)]).await?;
            let ids: Vec<Uuid> = programs.iter().map(|program| program.uuid()).collect();
            let all = store::listing::customers_of_programs(tx, organization, &ids).await?;
            let others: Vec<&Customer> =
                all.iter().filter(|customer| !self.customers.contains_key(*customer)).collect();
            let with_metadata =
                self.catalogs.get(&organization).is_some_and(|catalog| catalog.book.reads_metadata());
            let facts = store::facts::load(tx, &others, with_metadata).await?;
            let events: Vec<Uuid> =
                facts.iter().flat_map(|facts| &facts.conversions).map(|one| one.id.uuid()).collect();
            let mut standings = store::standing::load(tx, &events).await?;
            for (customer, facts) in others.into_iter().zip(facts) {
                let standing = standings.of(&facts);
                beyond.others.insert(customer.clone(), Known { facts, standing });
            }
            let own = self.customers.keys().copied().filter(|customer| customer.organization == organization);
            beyond.within.extend(own);
        }
        Ok(beyond)
    }

    /// The organizations where something new is about a customer who has clicks of a program with such rules.
    fn reaching(&self) -> Vec<(OrganizationId, Vec<ProgramId>)> {
        let concerned = self.concerned();
        let organizations: BTreeSet<OrganizationId> =
            concerned.iter().map(|customer| customer.organization).collect();
        let programs = |organization: &OrganizationId| {
            let catalog = self.catalogs.get(organization)?;
            let programs = catalog.book.reaching_programs();
            let clicked = |customer: &&&Customer| {
                self.customers.get(**customer).is_some_and(|known| {
                    known.facts.clicks.iter().any(|click| programs.contains(&click.program))
                })
            };
            let own = concerned.iter().filter(|customer| customer.organization == *organization);
            (!programs.is_empty() && own.into_iter().any(|customer| clicked(&customer)))
                .then_some((*organization, programs))
        };
        organizations.iter().filter_map(programs).collect()
    }
}
