use askama::Template;
use axum::extract::{Query, State};
use proto::attribution::{
    Balance, LedgerEntry, ListBalancesRequest, ListEntriesRequest, VerifyRequest, VerifyResponse,
};
use serde::{Deserialize, Serialize};

use super::{Names, address, because, money};
use crate::{
    app::App,
    failure::Failure,
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

const PAGE: u32 = 50;
const PATH: &str = "/attribution/ledger";

/// The double-entry ledger: balances and entries, and whether all of it follows from the facts.
#[derive(Template)]
#[template(path = "attribution/ledger.html")]
pub(crate) struct LedgerPage {
    shell: Shell,
    filter: Filter,
    balances: Vec<Balance>,
    entries: Vec<LedgerEntry>,
    names: Names,
    next: String,
    /// What deriving everything again has found, when it was asked for.
    verified: Option<VerifyResponse>,
}
respond::page_response!(LedgerPage);

/// What the list is narrowed by.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub(crate) struct Filter {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    partner: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    commission: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    cursor: String,
}

impl LedgerPage {
    fn first_page(&self) -> String {
        address(PATH, &Filter { cursor: String::new(), ..self.filter.clone() })
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        let verified =
            VerifyResponse { whole: true, events: 42, commissions: 40, entries: 97, differences: Vec::new() };
        Self {
            shell,
            filter: Filter::default(),
            balances: sample::balances(),
            entries: sample::ledger(),
            names: Names::sample(),
            next: String::new(),
            verified: Some(verified),
        }
    }

    pub(crate) fn sample_broken(shell: Shell) -> Self {
        let page = Self::sample(shell);
        let difference = proto::attribution::Difference {
            what: format!("commission {}", sample::id("comm", 1)),
            derived: "900.00 USD".to_owned(),
            stored: "9000.00 USD".to_owned(),
        };
        let verified =
            VerifyResponse { whole: false, differences: vec![difference], ..VerifyResponse::default() };
        Self { verified: Some(verified), ..page }
    }
}

/// An account in words.
fn account(name: &str) -> &'static str {
    match name {
        "commission_expense" => "Commission expense",
        "cash" => "Cash",
        "accrued" => "Accrued, waiting for approval",
        "payable" => "Payable, approved and not paid",
        _ => "Another account",
    }
}

/// `GET /attribution/ledger`.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Query(filter): Query<Filter>,
) -> Result<LedgerPage, Failure> {
    page(&app, &visitor, filter, None).await
}

/// `GET /attribution/ledger/verify`: the same page, after everything was derived from the facts again.
pub(crate) async fn verify(State(app): State<App>, visitor: Visitor) -> Result<LedgerPage, Failure> {
    let verified = app.rooms().deriver().verify(visitor.ask(VerifyRequest {})?).await?.into_inner();
    page(&app, &visitor, Filter::default(), Some(verified)).await
}

async fn page(
    app: &App,
    visitor: &Visitor,
    filter: Filter,
    verified: Option<VerifyResponse>,
) -> Result<LedgerPage, Failure> {
    let request = ListEntriesRequest {
        partner_id: filter.partner.clone(),
        commission_id: filter.commission.clone(),
        kind: String::new(),
        limit: PAGE,
        cursor: filter.cursor.clone(),
    };
    let (mut entries, mut balances) = (app.rooms().attribution(), app.rooms().attribution());
    let (entries, balances) = tokio::try_join!(
        entries.list_entries(visitor.ask(request)?),
        balances.list_balances(visitor.ask(ListBalancesRequest { partner_id: filter.partner.clone() })?),
    )?;
    let (entries, balances) = (entries.into_inner(), balances.into_inner().balances);
    let ids = entries.entries.iter().map(|entry| entry.partner_id.clone());
    let ids = ids.chain(balances.iter().map(|balance| balance.partner_id.clone()));
    let names = Names::load(app, visitor, ids.chain([filter.partner.clone()]).collect()).await?;
    let next = Filter { cursor: entries.next_cursor, ..filter.clone() };
    Ok(LedgerPage {
        shell: visitor.shell("Ledger", Nav::Ledger),
        next: if next.cursor.is_empty() { String::new() } else { address(PATH, &next) },
        filter,
        balances,
        entries: entries.entries,
        names,
        verified,
    })
}
