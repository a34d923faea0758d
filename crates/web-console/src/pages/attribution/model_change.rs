use askama::Template;
use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use model::Scope;
use proto::attribution::{ChangeModelRequest, ModelDifference, Program};
use serde::Deserialize;

use super::{MODELS, Names, model, program};
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

/// What another model would do to a program's events, before it does it.
#[derive(Template)]
#[template(path = "attribution/model.html")]
pub(crate) struct ModelPage {
    shell: Shell,
    program: Program,
    current: String,
    /// The model that is looked at, and its difference.
    wished: String,
    difference: Option<Difference>,
}
respond::page_response!(ModelPage);

/// Who gains, who loses.
struct Difference {
    events: u64,
    changed: u64,
    /// Those whose amount changes, by the name of the partner.
    partners: Vec<Line>,
}

struct Line {
    partner_id: String,
    name: String,
    before: String,
    after: String,
    /// The difference with its sign.
    change: String,
    gains: bool,
}

impl Difference {
    fn new(difference: ModelDifference, names: &Names) -> Self {
        let mut partners: Vec<Line> = difference
            .partners
            .into_iter()
            .filter(|partner| partner.before != partner.after)
            .map(|partner| {
                let change = subtract(&partner.after, &partner.before);
                let gains = !change.starts_with('-');
                let sign = if gains { "+" } else { "" };
                Line {
                    name: names.name(&partner.partner_id),
                    before: ui::amount(&partner.before, &partner.currency),
                    after: ui::amount(&partner.after, &partner.currency),
                    change: format!("{sign}{}", ui::amount(&change, &partner.currency)),
                    gains,
                    partner_id: partner.partner_id,
                }
            })
            .collect();
        partners.sort_by(|one, other| one.name.cmp(&other.name));
        Self { events: difference.events, changed: difference.changed_events, partners }
    }
}

/// The difference of two amounts of one currency, which have the same number of decimals.
fn subtract(after: &str, before: &str) -> String {
    let minor = |text: &str| text.replace('.', "").parse::<i128>().unwrap_or_default();
    let decimals = after.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let difference = minor(after) - minor(before);
    let digits = format!("{:0>width$}", difference.unsigned_abs(), width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    let sign = if difference < 0 { "-" } else { "" };
    if decimals == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

impl ModelPage {
    fn new(shell: Shell, program: Program, wished: String, difference: Option<Difference>) -> Self {
        let current = program.terms.as_ref().map(|terms| terms.model.clone()).unwrap_or_default();
        let current = if current.is_empty() { "last_click".to_owned() } else { current };
        Self { shell, program, current, wished, difference }
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        let difference = Difference::new(sample::model_difference(), &Names::sample());
        Self::new(shell, sample::program(1), "linear".to_owned(), Some(difference))
    }

    pub(crate) fn sample_open(shell: Shell) -> Self {
        Self::new(shell, sample::program(1), String::new(), None)
    }
}

#[derive(Deserialize)]
pub(crate) struct Wish {
    #[serde(default)]
    model: String,
}

const ONLY_MANAGERS: &str = "Only an Owner or Admin changes programs.";

/// `GET /attribution/programs/{program}/model`: the difference that `?model=` would make.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Path(program_id): Path<String>,
    Query(wish): Query<Wish>,
) -> Result<ModelPage, Failure> {
    visitor.must(Scope::ProgramsWrite, ONLY_MANAGERS)?;
    let program = program::find(&app, &visitor, &program_id).await?;
    let difference = if wish.model.is_empty() {
        None
    } else {
        let request = ChangeModelRequest { program_id, model: wish.model.clone() };
        let found = app.rooms().deriver().preview_model(visitor.ask(request)?).await?.into_inner();
        let ids = found.partners.iter().map(|partner| partner.partner_id.clone()).collect();
        let names = Names::load(&app, &visitor, ids).await?;
        Some(Difference::new(found, &names))
    };
    Ok(ModelPage::new(visitor.shell("Change the model", Nav::Programs), program, wish.model, difference))
}

/// `POST /attribution/programs/{program}/model`: does it.
pub(crate) async fn change(
    State(app): State<App>,
    Path(program_id): Path<String>,
    Form(visitor, wish): Form<Wish>,
) -> Result<Response, Failure> {
    let label = model(&wish.model);
    let request = ChangeModelRequest { program_id: program_id.clone(), model: wish.model };
    let done = app.rooms().deriver().change_model(visitor.ask(request)?).await?.into_inner();
    let changed = ui::count(&done.changed_events, "event is", "events are");
    let text = format!(
        "The model is {label} now. {changed} attributed otherwise; the ledger holds the differences."
    );
    Ok(respond::redirect(&format!("/attribution/programs/{program_id}"), &Flash::good(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_subtracted_to_the_last_digit() {
        for (after, before, change) in [
            ("10.00", "3.34", "6.66"),
            ("3.34", "10.00", "-6.66"),
            ("0.00", "0.05", "-0.05"),
            ("1000", "1", "999"),
            ("0.001", "1.000", "-0.999"),
        ] {
            assert_eq!(subtract(after, before), change);
        }
    }
}
