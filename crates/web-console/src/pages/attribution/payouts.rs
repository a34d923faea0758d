use askama::Template;
use axum::{
    extract::{Path, Query, State},
    http::header,
    response::{IntoResponse, Response},
};
use proto::attribution::{ListPayoutsRequest, Payout, RunPayoutsRequest, SettlePayoutRequest};
use serde::{Deserialize, Serialize};

use super::{Names, address, money, sums};
use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::Form,
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

const PAGE: u32 = 50;
/// How many payouts are read at once for a file.
const FILE_PAGE: u32 = 500;
/// More than this many payouts do not go into one file.
const MOST: usize = 50_000;
const PATH: &str = "/attribution/payouts";
/// The statuses to choose from.
const STATUSES: &[(&str, &str)] =
    &[("", "All"), ("pending", "Pending"), ("paid", "Paid"), ("failed", "Failed")];

/// Payouts: what was sent to whom, and what waits to be sent.
#[derive(Template)]
#[template(path = "attribution/payouts.html")]
pub(crate) struct PayoutsPage {
    shell: Shell,
    filter: Filter,
    payouts: Vec<Payout>,
    names: Names,
    next: String,
    /// The key of a run that is started from this page: sent twice, it is one run.
    run_key: String,
}
respond::page_response!(PayoutsPage);

/// What the list is narrowed by.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub(crate) struct Filter {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    status: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    partner: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    cursor: String,
}

impl Filter {
    fn to_request(&self, limit: u32) -> ListPayoutsRequest {
        ListPayoutsRequest {
            partner_id: self.partner.clone(),
            status: self.status.clone(),
            limit,
            cursor: self.cursor.clone(),
        }
    }
}

impl PayoutsPage {
    /// The address of the same list with this status.
    fn of(&self, status: &str) -> String {
        address(PATH, &Filter { status: status.to_owned(), cursor: String::new(), ..self.filter.clone() })
    }

    /// The address of the list as a file.
    fn file(&self) -> String {
        address(&format!("{PATH}/export"), &Filter { cursor: String::new(), ..self.filter.clone() })
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        Self {
            shell,
            filter: Filter::default(),
            payouts: sample::payouts(),
            names: Names::sample(),
            next: String::new(),
            run_key: "sample".to_owned(),
        }
    }

    pub(crate) fn sample_none(shell: Shell) -> Self {
        Self { payouts: Vec::new(), ..Self::sample(shell) }
    }
}

/// `GET /attribution/payouts`.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Query(filter): Query<Filter>,
) -> Result<PayoutsPage, Failure> {
    let request = visitor.ask(filter.to_request(PAGE))?;
    let list = app.rooms().attribution().list_payouts(request).await?.into_inner();
    let ids = list.payouts.iter().map(|payout| payout.partner_id.clone());
    let names = Names::load(&app, &visitor, ids.chain([filter.partner.clone()]).collect()).await?;
    let next = Filter { cursor: list.next_cursor, ..filter.clone() };
    Ok(PayoutsPage {
        shell: visitor.shell("Payouts", Nav::Payouts),
        next: if next.cursor.is_empty() { String::new() } else { address(PATH, &next) },
        filter,
        payouts: list.payouts,
        names,
        run_key: format!("console-{}-{}", visitor.user().id, visitor.now().as_microsecond()),
    })
}

#[derive(Deserialize)]
pub(crate) struct Run {
    run_key: String,
    /// Empty: every partner.
    #[serde(default)]
    partner: String,
}

/// `POST /attribution/payouts`: writes down what is owed.
pub(crate) async fn run(State(app): State<App>, Form(visitor, form): Form<Run>) -> Result<Response, Failure> {
    let partner_ids = if form.partner.is_empty() { Vec::new() } else { vec![form.partner.clone()] };
    let request = RunPayoutsRequest { idempotency_key: form.run_key, partner_ids };
    let made = app.rooms().deriver().run_payouts(visitor.ask(request)?).await?.into_inner().payouts;
    let path = address(PATH, &Filter { partner: form.partner, ..Filter::default() });
    if made.is_empty() {
        let text = "Nothing is owed: no approved commission waits for a payout.";
        return Ok(respond::redirect(&path, &Flash::good(text)));
    }
    let amounts: Vec<_> = made.iter().filter_map(|payout| payout.amount.clone()).collect();
    let count = ui::count(&(made.len() as u64), "payout", "payouts");
    let text = if amounts.len() <= 3 {
        format!("{count} made: {}. Send the money, then mark them as paid.", sums(&amounts))
    } else {
        format!("{count} made. Send the money, then mark them as paid.")
    };
    Ok(respond::redirect(&path, &Flash::good(text)))
}

#[derive(Deserialize)]
pub(crate) struct Settlement {
    outcome: String,
    #[serde(default)]
    reference: String,
}

/// `POST /attribution/payouts/{payout}/settle`: the money left, or did not.
pub(crate) async fn settle(
    State(app): State<App>,
    Path(payout_id): Path<String>,
    Form(visitor, form): Form<Settlement>,
) -> Result<Response, Failure> {
    let reference = form.reference.trim().to_owned();
    let request = SettlePayoutRequest { payout_id, outcome: form.outcome, reference };
    let payout = app.rooms().attribution().settle_payout(visitor.ask(request)?).await?.into_inner();
    let text = match &*payout.status {
        "failed" => format!("{} is owed again: the next run takes it up.", money(&payout.amount)),
        _ => format!("{} is paid.", money(&payout.amount)),
    };
    Ok(respond::redirect(PATH, &Flash::good(text)))
}

/// `GET /attribution/payouts/export`: the payouts as a CSV file, to pay them by.
pub(crate) async fn export(
    State(app): State<App>,
    visitor: Visitor,
    Query(filter): Query<Filter>,
) -> Result<Response, Failure> {
    let mut payouts = Vec::new();
    let mut page = Filter { cursor: String::new(), ..filter };
    loop {
        let request = visitor.ask(page.to_request(FILE_PAGE))?;
        let list = app.rooms().attribution().list_payouts(request).await?.into_inner();
        payouts.extend(list.payouts);
        if list.next_cursor.is_empty() {
            break;
        }
        if payouts.len() >= MOST {
            let message = "These are too many payouts for one file. Narrow the list first.";
            return Err(Failure::invalid("too_many", message));
        }
        page.cursor = list.next_cursor;
    }
    let ids = payouts.iter().map(|payout| payout.partner_id.clone()).collect();
    let names = Names::load(&app, &visitor, ids).await?;
    Ok((
        [
            (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
            (header::CONTENT_DISPOSITION, "attachment; filename=\"accord-payouts.csv\""),
            (header::CACHE_CONTROL, "no-store"),
        ],
        csv(&payouts, &names),
    )
        .into_response())
}

fn csv(payouts: &[Payout], names: &Names) -> String {
    let mut file =
        "payout,partner,partner_name,amount,currency,status,created_at,settled_at,reference,key\r\n"
            .to_owned();
    let time = |at: &Option<prost_types::Timestamp>| {
        ui::to_time(at.as_ref()).map(|at| at.to_string()).unwrap_or_default()
    };
    for payout in payouts {
        let amount = payout.amount.clone().unwrap_or_default();
        let (created, settled) = (time(&payout.created_at), time(&payout.settled_at));
        let name = names.name(&payout.partner_id);
        let cells = [
            payout.id.as_str(),
            &payout.partner_id,
            &name,
            &amount.amount,
            &amount.currency,
            &payout.status,
            &created,
            &settled,
            &payout.reference,
            &payout.key,
        ];
        file += &cells.map(cell).join(",");
        file += "\r\n";
    }
    file
}

/// A cell of a CSV file (RFC 4180). A text that a spreadsheet would take for a formula gets an apostrophe before it.
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '@', '\t', '\r'])
        || (text.starts_with('-') && text.parse::<f64>().is_err());
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_are_no_formulas() {
        for (text, written) in [
            ("Ada", "Ada"),
            ("Ada, \"the\" first", "\"Ada, \"\"the\"\" first\""),
            ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
            ("-900.00", "-900.00"),
            ("-cmd", "'-cmd"),
            ("@sum", "'@sum"),
        ] {
            assert_eq!(cell(text), written);
        }
    }
}
