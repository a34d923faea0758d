//! Rules that reach over customers: tiers by a partner's volume and caps of a partner. What they ask for is kept in the
//! order in which it is settled, with what was paid until there; an event that is the last is settled from the one
//! before it on, and one that comes late changes what comes after it. Only organizations that have such rules pay for it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use model::{ConversionId, OrganizationId, ProgramId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Gathering, Known};
use crate::{
    Error,
    domain::{
        derive::derive,
        facts::CommissionKey,
        outcome::Payment,
        settle::{Asked, Group, Paid, Place, Reaching, settle_on},
        terms::Book,
    },
    store::{
        self,
        claims::{self, ClaimRow},
        facts::Customer,
    },
};

/// What rules that reach over customers come to.
#[derive(Default)]
pub(super) struct Beyond {
    /// What they pay, to those who are derived.
    pub(super) payments: Reaching,
    /// Customers of whom nothing is new, and who are paid otherwise.
    pub(super) others: BTreeMap<Customer, Known>,
    removed: Vec<ClaimRow>,
    changed: Vec<ClaimRow>,
}

impl Beyond {
    /// Stores what is asked and what it came to.
    pub(super) async fn store(&self, tx: &mut PgConnection) -> Result<(), Error> {
        claims::delete(tx, &self.removed).await?;
        claims::put(tx, &self.changed).await
    }
}

/// Claims by what they are of, in the order in which they are settled.
type Placed = BTreeMap<(Group, Place), ClaimRow>;

impl Gathering<'_> {
    /// Settles what rules that reach over customers ask for those of whom something is new.
    pub(super) async fn beyond(&self, tx: &mut PgConnection) -> Result<Beyond, Error> {
        let mut beyond = Beyond::default();
        for (organization, customers) in self.reaching() {
            let Some(catalog) = self.catalogs.get(&organization) else { continue };
            let stood = placed(claims::of_customers(tx, &customers).await?);
            let asked = self.asked(&catalog.book, &customers);
            let settling = Settling { book: &catalog.book, customers: customers.into_iter().collect() };
            settling.settle(tx, stood, asked, &mut beyond).await?;
        }
        Ok(beyond)
    }

    /// What is asked for these customers now.
    fn asked(&self, book: &Book, customers: &[&Customer]) -> Placed {
        let mut asked = Vec::new();
        for customer in customers {
            let Some(known) = self.customers.get(*customer) else { continue };
            let derived = derive(book, &customer.user_key.as_str().into(), &known.facts);
            let reaching = derived.claims.iter().filter(|claim| claim.rule.reaches_over_customers());
            asked.extend(reaching.map(|claim| ClaimRow::of(customer, claim)));
        }
        placed(asked)
    }

    /// The customers of whom something is new and who have clicks of a program with such rules.
    fn reaching(&self) -> Vec<(OrganizationId, Vec<&Customer>)> {
        let concerned = self.concerned();
        let organizations: BTreeSet<OrganizationId> =
            concerned.iter().map(|customer| customer.organization).collect();
        let customers = |organization: OrganizationId| {
            let programs = self.catalogs.get(&organization)?.book.reaching_programs();
            let own = concerned.iter().filter(|customer| customer.organization == organization);
            let own: Vec<&Customer> =
                own.copied().filter(|customer| self.has_clicked(customer, &programs)).collect();
            (!own.is_empty()).then_some((organization, own))
        };
        organizations.into_iter().filter_map(customers).collect()
    }

    fn has_clicked(&self, customer: &Customer, programs: &[ProgramId]) -> bool {
        let known = self.customers.get(customer);
        known.is_some_and(|known| known.facts.clicks.iter().any(|click| programs.contains(&click.program)))
    }
}

fn placed(rows: Vec<ClaimRow>) -> Placed {
    rows.into_iter().map(|row| ((row.group, row.place()), row)).collect()
}

/// What is settled together.
struct Settling<'a> {
    book: &'a Book,
    /// Those of whom something is new.
    customers: HashSet<&'a Customer>,
}

impl Settling<'_> {
    async fn settle(
        &self,
        tx: &mut PgConnection,
        stood: Placed,
        asked: Placed,
        beyond: &mut Beyond,
    ) -> Result<(), Error> {
        beyond.payments.extend(stood.values().filter_map(payment));
        let from = first_changes(&stood, &asked);
        let ends = claims::before(tx, &from).await?;
        let mut after = placed(claims::after(tx, &from).await?);
        after.retain(|_, row| !self.customers.contains(&row.customer));
        let mut before = stood.clone();
        before.extend(after.iter().map(|(place, row)| (place.clone(), row.clone())));
        let starts: HashMap<Group, &Place> = from.iter().map(|(group, place)| (*group, place)).collect();
        let reached =
            |(group, place): &(Group, Place)| starts.get(group).is_some_and(|start| place >= *start);
        after.extend(
            asked.iter().filter(|(place, _)| reached(place)).map(|(p, row)| (p.clone(), row.clone())),
        );
        let paid = self.paid_before(tx, &from, &after, &stood).await?;
        let mut settled = Vec::with_capacity(after.len());
        for (group, _) in &from {
            let rows = after.values().filter(|row| row.group == *group);
            let asked: Vec<Asked<'_>> = rows.map(|row| row.asked(self.book)).collect::<Result<_, _>>()?;
            let end = ends.iter().find(|row| row.group == *group).and_then(|row| row.settled.clone());
            let tally = end.map(|end| end.tally).unwrap_or_default();
            let customers = paid.get(group).cloned().unwrap_or_default();
            let customers = customers.iter().map(|(customer, paid)| (&**customer, paid.clone())).collect();
            settled.extend(settle_on(tally, customers, asked.into_iter()));
        }
        for (row, settled) in after.values_mut().zip(settled) {
            row.settled = Some(settled);
        }
        beyond.removed.extend(stood.into_iter().filter(|(p, _)| !asked.contains_key(p)).map(|(_, row)| row));
        let changed: Vec<ClaimRow> =
            after.into_iter().filter(|(p, row)| before.get(p) != Some(row)).map(|(_, row)| row).collect();
        self.add_others(tx, &before, &changed, beyond).await?;
        beyond.payments.extend(changed.iter().filter_map(payment));
        beyond.changed.extend(changed);
        Ok(())
    }

    /// What was paid for the customers of these claims before the first of them that changed, by group.
    async fn paid_before(
        &self,
        tx: &mut PgConnection,
        from: &[(Group, Place)],
        after: &Placed,
        stood: &Placed,
    ) -> Result<HashMap<Group, HashMap<String, Paid>>, Error> {
        let all: BTreeSet<&Customer> = after.values().map(|row| &row.customer).collect();
        let others: Vec<&Customer> =
            all.into_iter().filter(|customer| !self.customers.contains(*customer)).collect();
        let others = placed(claims::of_customers(tx, &others).await?);
        let mut paid: HashMap<Group, HashMap<String, Paid>> = HashMap::new();
        for (group, start) in from {
            let earlier = (*group, earliest())..(*group, start.clone());
            let rows = others.range(earlier.clone()).chain(stood.range(earlier));
            let of_group = rows.filter_map(|(_, row)| {
                Some((row.customer.user_key.clone(), row.settled.as_ref()?.customer.clone()))
            });
            paid.insert(*group, of_group.collect());
        }
        Ok(paid)
    }

    /// Adds the customers of whom nothing is new and who are paid otherwise now, with what all rules pay them.
    async fn add_others(
        &self,
        tx: &mut PgConnection,
        before: &Placed,
        changed: &[ClaimRow],
        beyond: &mut Beyond,
    ) -> Result<(), Error> {
        let is_paid_otherwise = |row: &&ClaimRow| {
            let stood = before.get(&(row.group, row.place())).and_then(payment);
            !self.customers.contains(&row.customer) && stood != payment(row)
        };
        let others: BTreeSet<&Customer> =
            changed.iter().filter(is_paid_otherwise).map(|row| &row.customer).collect();
        let others: Vec<&Customer> = others.into_iter().collect();
        if others.is_empty() {
            return Ok(());
        }
        beyond.payments.extend(claims::of_customers(tx, &others).await?.iter().filter_map(payment));
        let mut facts = store::facts::load(tx, &others, self.book.reads_metadata()).await?;
        let standings = store::standing::load(tx, &mut facts).await?;
        for ((customer, facts), standing) in others.into_iter().zip(facts).zip(standings) {
            beyond.others.insert(customer.clone(), Known { facts, standing });
        }
        Ok(())
    }
}

fn earliest() -> Place {
    (Timestamp::MIN, ConversionId::from_uuid(Uuid::nil()), "".into())
}

fn payment(row: &ClaimRow) -> Option<(CommissionKey, Payment)> {
    Some((row.key.clone(), row.settled.as_ref()?.payment))
}

/// Of each group the first place at which something else is asked than stood.
fn first_changes(stood: &Placed, asked: &Placed) -> Vec<(Group, Place)> {
    let is_new = |(place, row): &(&(Group, Place), &ClaimRow)| {
        stood.get(*place).is_none_or(|stood| !stood.asks_the_same_as(row))
    };
    let gone = stood.keys().filter(|place| !asked.contains_key(*place));
    let mut first: BTreeMap<Group, Place> = BTreeMap::new();
    for (group, place) in asked.iter().filter(is_new).map(|(place, _)| place).chain(gone) {
        match first.get_mut(group) {
            Some(known) if *known <= *place => {}
            Some(known) => *known = place.clone(),
            None => drop(first.insert(*group, place.clone())),
        }
    }
    first.into_iter().collect()
}
