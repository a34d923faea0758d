//! The ledger, as it is kept.

use axum::{Json, extract::State};
use model::Scope;
use proto::attribution as room;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Surface,
    caller::Key,
    query::Params,
    refusal::{AttributionRefusals, Refusal},
    wire::{instant, text},
};

pub(super) fn router() -> OpenApiRouter<Surface> {
    OpenApiRouter::new().routes(routes!(balances)).routes(routes!(entries)).routes(routes!(verify))
}

/// An amount on an account.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OnAccount {
    /// `commission_expense`, `cash`, `accrued` or `payable`.
    account: String,
    /// Null for the organization's own accounts.
    partner_id: Option<String>,
    /// In major units.
    amount: String,
    currency: String,
}

impl OnAccount {
    fn of(account: String, partner_id: String, money: Option<room::Money>) -> Self {
        let room::Money { amount, currency } = money.unwrap_or_default();
        Self { account, partner_id: text(partner_id), amount, currency }
    }
}

/// The balances of all accounts.
#[derive(Serialize, ToSchema)]
struct Balances {
    balances: Vec<OnAccount>,
}

/// List the balances of the ledger's accounts.
///
/// Scope `commissions:read`.
#[utoipa::path(
    get, path = "/ledger/balances", tag = "attribution", params(("partnerId" = Option<String>, Query)),
    responses((status = 200, body = Balances), AttributionRefusals)
)]
async fn balances(
    State(surface): State<Surface>,
    key: Key,
    mut params: Params,
) -> Result<Json<Balances>, Refusal> {
    let request = room::ListBalancesRequest { partner_id: params.text_or_empty("partnerId") };
    let request = key.queried(Scope::CommissionsRead, params.done(request)).await?;
    let listed = surface.attribution().list_balances(key.asks(request)?).await;
    let listed = listed.map_err(|status| Refusal::of_query(&status, Scope::CommissionsRead))?.into_inner();
    let balance =
        |balance: room::Balance| OnAccount::of(balance.account, balance.partner_id, balance.balance);
    Ok(Json(Balances { balances: listed.balances.into_iter().map(balance).collect() }))
}

/// An entry: its postings sum to zero.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LedgerEntry {
    id: String,
    /// `accrual`, `approval`, `reversal`, `adjustment`, `clawback` or `payout`.
    kind: String,
    commission_id: Option<String>,
    payout_id: Option<String>,
    partner_id: Option<String>,
    reason: String,
    at: Option<String>,
    postings: Vec<OnAccount>,
}

impl From<room::LedgerEntry> for LedgerEntry {
    fn from(entry: room::LedgerEntry) -> Self {
        let posting =
            |posting: room::Posting| OnAccount::of(posting.account, posting.partner_id, posting.amount);
        Self {
            id: entry.id,
            kind: entry.kind,
            commission_id: text(entry.commission_id),
            payout_id: text(entry.payout_id),
            partner_id: text(entry.partner_id),
            reason: entry.reason,
            at: instant(entry.at),
            postings: entry.postings.into_iter().map(posting).collect(),
        }
    }
}

/// A page of entries.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct EntryPage {
    entries: Vec<LedgerEntry>,
    /// Where the next page begins; null on the last one.
    next_cursor: Option<String>,
}

/// List the entries of the ledger, newest first.
///
/// Scope `commissions:read`.
#[utoipa::path(
    get, path = "/ledger/entries", tag = "attribution",
    params(
        ("partnerId" = Option<String>, Query), ("commissionId" = Option<String>, Query),
        ("kind" = Option<String>, Query), ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query),
    ),
    responses((status = 200, body = EntryPage), AttributionRefusals)
)]
async fn entries(
    State(surface): State<Surface>,
    key: Key,
    mut params: Params,
) -> Result<Json<EntryPage>, Refusal> {
    const KINDS: [&str; 6] = ["accrual", "approval", "reversal", "adjustment", "clawback", "payout"];
    let request = room::ListEntriesRequest {
        partner_id: params.text_or_empty("partnerId"),
        commission_id: params.text_or_empty("commissionId"),
        kind: params.one_of("kind", &KINDS).unwrap_or_default().to_owned(),
        limit: params.integer("limit", 1, 200).unwrap_or(50),
        cursor: params.text_or_empty("cursor"),
    };
    let request = key.queried(Scope::CommissionsRead, params.done(request)).await?;
    let listed = surface.attribution().list_entries(key.asks(request)?).await;
    let listed = listed.map_err(|status| Refusal::of_query(&status, Scope::CommissionsRead))?.into_inner();
    let entries = listed.entries.into_iter().map(LedgerEntry::from).collect();
    Ok(Json(EntryPage { entries, next_cursor: text(listed.next_cursor) }))
}

/// Whether the ledger is what the facts come to.
#[derive(Serialize, ToSchema)]
struct Verified {
    /// Nothing differs.
    whole: bool,
    events: u64,
    commissions: u64,
    entries: u64,
    /// Up to a hundred.
    differences: Vec<LedgerDifference>,
}

/// Something that is stored otherwise than the facts come to.
#[derive(Serialize, ToSchema)]
struct LedgerDifference {
    what: String,
    derived: String,
    stored: String,
}

/// Derive every balance from the facts again and say what differs.
///
/// Scope `commissions:read`.
#[utoipa::path(
    get, path = "/ledger/verify", tag = "attribution", responses((status = 200, body = Verified), AttributionRefusals)
)]
async fn verify(State(surface): State<Surface>, key: Key) -> Result<Json<Verified>, Refusal> {
    let verified = surface.attribution().verify(key.asks(room::VerifyRequest {})?).await;
    let verified = verified.map_err(|status| Refusal::of_room(&status, Scope::CommissionsRead))?.into_inner();
    let difference = |difference: room::Difference| LedgerDifference {
        what: difference.what,
        derived: difference.derived,
        stored: difference.stored,
    };
    Ok(Json(Verified {
        whole: verified.whole,
        events: verified.events,
        commissions: verified.commissions,
        entries: verified.entries,
        differences: verified.differences.into_iter().map(difference).collect(),
    }))
}
