//! Payouts. What is owed is written down with a key of its own before any money moves; a rail is called with that key
//! outside of every transaction, and its outcome is added afterwards.

use std::collections::HashMap;

use jiff::Timestamp;
use model::{CommissionId, LedgerEntryId, PartnerId, PayoutCreated, PayoutId};
use proto::attribution as wire;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Asker, Service, id, reading};
use crate::{
    Error,
    domain::{
        facts::CommissionKey,
        ledger,
        outcome::{Commission, CommissionReason},
        payout::{Payable, payable},
    },
    error::Refusal,
    publisher, store,
    store::{
        ledger::EntryRow,
        locks::{self, Lock},
        news::News,
        payouts::{Filter, NewPayout},
        standing::CommissionRow,
    },
    text,
    transfers::{self, End},
    webhooks,
};

const USUAL_LIMIT: u32 = 50;
const LARGEST_LIMIT: u32 = 500;
/// The most payouts of a run in its answer.
const MOST_OF_RUN: i64 = 10_000;

impl Service {
    pub(super) async fn run_payouts(
        &self,
        asker: &Asker,
        request: wire::RunPayoutsRequest,
    ) -> Result<wire::RunPayoutsResponse, Error> {
        let key = text::required("idempotency_key", &request.idempotency_key, 255)?;
        let partners = request.partner_ids.iter();
        let partners: Vec<Uuid> = partners
            .map(|text| id("partner_not_found", "partner", text).map(PartnerId::uuid))
            .collect::<Result<_, _>>()?;
        let turn = self.paying.of(asker.organization).await;
        let now = self.now();
        let mut tx = self.pool.begin().await?;
        locks::take(&mut tx, &[], &[Lock::payouts(asker.organization)]).await?;
        let run = match store::payouts::run_of(&mut tx, asker.organization, &key).await? {
            Some(run) => run,
            None => {
                let run = text::new_id(now);
                store::payouts::insert_run(&mut tx, asker.organization, &key, run, now).await?;
                pay(&mut tx, asker, (run, self.transfers.rail.name()), &partners, now).await?;
                run
            }
        };
        self.commit(tx).await?;
        drop(turn);
        // What the rail does not answer now it is asked about again later.
        self.transfers.ask(Some(run)).await?;
        let filter = Filter { run: Some(run), ..Filter::default() };
        let payouts = store::payouts::list(&self.pool, asker.organization, &filter, MOST_OF_RUN).await?;
        Ok(wire::RunPayoutsResponse {
            run_id: run.simple().to_string(),
            mode: self.transfers.rail.name().to_owned(),
            payouts,
        })
    }

    pub(super) async fn settle_payout(
        &self,
        asker: &Asker,
        request: wire::SettlePayoutRequest,
    ) -> Result<wire::Payout, Error> {
        let payout: PayoutId = id("payout_not_found", "payout", &request.payout_id)?;
        let reference = text::optional("reference", &request.reference, 255)?;
        if !matches!(request.outcome.as_str(), "paid" | "failed") {
            let message = "outcome must be paid or failed.";
            return Err(Refusal::invalid("outcome", "outcome_invalid", message).into());
        }
        let turn = self.paying.of(asker.organization).await;
        let now = self.now();
        let missing = || Refusal::missing("payout_not_found", "There is no such payout.");
        let mut tx = self.pool.begin().await?;
        let held = store::payouts::hold(&mut tx, asker.organization, payout).await?.ok_or_else(missing)?;
        transfers::by_hand(&held, &request.outcome)?;
        if held.status == transfers::PENDING {
            let end = End { is_paid: request.outcome == "paid", reference: &reference, trouble: "" };
            let of = (asker.organization, payout);
            let customers = transfers::settle(&mut tx, of, &held, end, now).await?;
            self.commit(tx).await?;
            self.derive_again(customers).await?;
        } else {
            // It would be held while another connection is waited for, by those who wait for it.
            drop(tx);
        }
        drop(turn);
        let filter = Filter { id: Some(payout.uuid()), ..Filter::default() };
        let found = store::payouts::list(&self.pool, asker.organization, &filter, 1).await?;
        found.into_iter().next().ok_or_else(|| missing().into())
    }

    pub(super) async fn list_payouts(
        &self,
        asker: &Asker,
        request: wire::ListPayoutsRequest,
    ) -> Result<wire::ListPayoutsResponse, Error> {
        let partner = &request.partner_id;
        let partner = (!partner.is_empty())
            .then(|| id("partner_not_found", "partner", partner).map(PartnerId::uuid))
            .transpose()?;
        let below = reading::cursor(&request.cursor)?;
        let filter = Filter { partner, status: request.status, below, ..Filter::default() };
        let limit = reading::limit(request.limit, USUAL_LIMIT, LARGEST_LIMIT);
        let mut payouts =
            store::payouts::list(&self.pool, asker.organization, &filter, i64::from(limit) + 1).await?;
        let next_cursor =
            reading::cut(&mut payouts, limit, |payout| payout.id.parse().map(PayoutId::uuid).ok());
        Ok(wire::ListPayoutsResponse { payouts, next_cursor })
    }
}

/// Writes down what is owed.
async fn pay(
    tx: &mut PgConnection,
    asker: &Asker,
    run: (Uuid, &'static str),
    partners: &[Uuid],
    now: Timestamp,
) -> Result<(), Error> {
    let rows = store::commissions::payable(tx, asker.organization, partners).await?;
    let commissions: Vec<Commission> = rows.iter().map(|row| row.is.clone()).collect();
    let by_key: HashMap<&CommissionKey, &CommissionRow> = rows.iter().map(|row| (&row.is.key, row)).collect();
    let (mut moved, mut entries, mut messages) = (Vec::new(), Vec::new(), Vec::new());
    for payable in payable(&commissions) {
        let payout = new_payout(&payable, asker, run, &by_key, now);
        store::payouts::insert(tx, &payout, now).await?;
        entries.push(EntryRow {
            id: LedgerEntryId::generate(now),
            organization: asker.organization,
            entry: ledger::payout(payout.minor),
            commission: None,
            payout: Some(payout.id),
            partner: payout.partner,
            currency: payout.currency,
            reason: CommissionReason::PaidOut.name(),
        });
        let created = PayoutCreated {
            payout: payout.id,
            partner: payout.partner,
            amount: text::amount(payout.minor, payout.currency),
            currency: payout.currency.code().to_owned(),
            commissions: payout.lines.len() as u64,
            at: now,
        };
        messages.push(publisher::payout(asker.organization, &created, &asker.actor)?);
        for (_, key, minor) in &payout.lines {
            let Some(row) = by_key.get(key) else { continue };
            let after = paid(row, payout.id, *minor, now);
            messages.extend(publisher::commission(Some(row.is.position), &after, now)?);
            moved.push(((*row).clone(), after));
        }
    }
    if !store::standing::update(tx, &moved).await? {
        return Err(Error::Contended);
    }
    webhooks::enqueue(tx, &messages, now).await?;
    let news = News { entries: &entries, messages: &messages, ..News::default() };
    store::news::insert(tx, news, now).await
}

fn new_payout(
    payable: &Payable,
    asker: &Asker,
    (run, rail): (Uuid, &'static str),
    by_key: &HashMap<&CommissionKey, &CommissionRow>,
    now: Timestamp,
) -> NewPayout {
    let line = |(key, minor): &(CommissionKey, i64)| -> Option<(CommissionId, CommissionKey, i64)> {
        by_key.get(key).map(|row| (row.id, key.clone(), *minor))
    };
    NewPayout {
        id: PayoutId::generate(now),
        organization: asker.organization,
        run,
        partner: payable.partner,
        currency: payable.currency,
        minor: payable.minor,
        actor: asker.actor.clone(),
        rail,
        lines: payable.lines.iter().filter_map(line).collect(),
    }
}

/// A commission after a payout took so much for it.
fn paid(row: &CommissionRow, payout: PayoutId, minor: i64, now: Timestamp) -> CommissionRow {
    let mut after = row.clone();
    after.is = row.is.taken_by(payout, minor);
    after.paid_at = Some(now);
    after
}
