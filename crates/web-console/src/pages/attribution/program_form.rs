use askama::Template;
use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use model::Scope;
use proto::attribution::{AllowedDomains, Program, UpdateProgramRequest};

use super::{
    MODELS, program,
    rule_form::{RuleDraft, TermsDraft},
};
use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::{Form, Pairs, all, one},
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

const ONLY_MANAGERS: &str = "Only an Owner or Admin changes programs.";
/// When a rule pays.
const TRIGGERS: &[(&str, &str)] = &[
    ("every", "Every event"),
    ("first", "A customer's first event"),
    ("subsequent", "Each event after the first"),
];
/// The most rules of a program.
const MOST_RULES: usize = 10;

/// A new program, or one that is changed.
#[derive(Template)]
#[template(path = "attribution/program_form.html")]
pub(crate) struct ProgramFormPage {
    shell: Shell,
    /// None while it is new.
    program: Option<Program>,
    draft: Draft,
}
respond::page_response!(ProgramFormPage);

/// What was typed.
#[derive(Debug, Clone, Default, PartialEq)]
struct Draft {
    name: String,
    destination_url: String,
    /// One a line.
    allowed_domains: String,
    starts_at: String,
    ends_at: String,
    terms: TermsDraft,
}

impl Draft {
    fn fresh() -> Self {
        let rules = vec![RuleDraft::fresh()];
        let terms = TermsDraft {
            model: "last_click".to_owned(),
            window_days: "60".to_owned(),
            hold_days: "30".to_owned(),
            rules,
        };
        Self { terms, ..Self::default() }
    }

    fn of(program: &Program) -> Self {
        Self {
            name: program.name.clone(),
            destination_url: program.destination_url.clone(),
            allowed_domains: program.allowed_domains.join("\n"),
            starts_at: field_time(program.starts_at.as_ref()),
            ends_at: field_time(program.ends_at.as_ref()),
            terms: TermsDraft::of(program.terms.as_ref()),
        }
    }

    fn read(form: &Pairs) -> Self {
        Self {
            name: one(form, "name"),
            destination_url: one(form, "destination_url"),
            allowed_domains: one(form, "allowed_domains").replace('\r', ""),
            starts_at: one(form, "starts_at"),
            ends_at: one(form, "ends_at"),
            terms: TermsDraft::read(form),
        }
    }

    fn domains(&self) -> Vec<String> {
        self.allowed_domains.split_whitespace().map(str::to_owned).collect()
    }

    fn to_program(&self) -> Result<Program, Failure> {
        Ok(Program {
            name: self.name.clone(),
            destination_url: self.destination_url.clone(),
            allowed_domains: self.domains(),
            terms: Some(self.terms.to_wire()?),
            starts_at: moment(&self.starts_at)?,
            ends_at: moment(&self.ends_at)?,
            ..Program::default()
        })
    }

    /// What differs from the program as it was. Its terms are sent when one of them differs: they become a new version.
    fn to_update(&self, program: &Program) -> Result<UpdateProgramRequest, Failure> {
        let before = Self::of(program);
        let changed = |now: &String, then: &String| (now != then).then(|| now.clone());
        let date = |now: &String, then: &String| if now == then { Ok(None) } else { moment(now) };
        Ok(UpdateProgramRequest {
            program_id: program.id.clone(),
            name: changed(&self.name, &before.name),
            destination_url: changed(&self.destination_url, &before.destination_url),
            allowed_domains: (self.domains() != before.domains())
                .then(|| AllowedDomains { domains: self.domains() }),
            terms: if self.terms == before.terms { None } else { Some(self.terms.to_wire()?) },
            starts_at: date(&self.starts_at, &before.starts_at)?,
            ends_at: date(&self.ends_at, &before.ends_at)?,
            clear_starts_at: self.starts_at.is_empty() && !before.starts_at.is_empty(),
            clear_ends_at: self.ends_at.is_empty() && !before.ends_at.is_empty(),
            extra_json: None,
        })
    }
}

/// A moment as the browser's field for day and time holds it, in UTC.
fn field_time(at: Option<&prost_types::Timestamp>) -> String {
    ui::to_time(at).map(|at| at.strftime("%Y-%m-%dT%H:%M").to_string()).unwrap_or_default()
}

pub(super) fn moment(text: &str) -> Result<Option<prost_types::Timestamp>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    let at = text.parse::<jiff::civil::DateTime>().ok();
    let at = at.and_then(|at| at.to_zoned(jiff::tz::TimeZone::UTC).ok());
    let at = at.ok_or_else(|| Failure::invalid("time_malformed", "Write a time as 2026-01-31T09:30."))?;
    Ok(Some(proto::to_wire_time(at.timestamp())))
}

impl ProgramFormPage {
    fn may_add(&self) -> bool {
        self.draft.terms.rules.len() < MOST_RULES
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        Self { shell, program: None, draft: Draft::fresh() }
    }

    pub(crate) fn sample_edit(shell: Shell) -> Self {
        let program = sample::program(1);
        Self { shell, draft: Draft::of(&program), program: Some(program) }
    }
}

/// `GET /attribution/programs/new`.
pub(crate) async fn new(visitor: Visitor) -> Result<ProgramFormPage, Failure> {
    visitor.must(Scope::ProgramsWrite, ONLY_MANAGERS)?;
    let shell = visitor.shell("New program", Nav::Programs);
    Ok(ProgramFormPage { shell, program: None, draft: Draft::fresh() })
}

/// `GET /attribution/programs/{program}/edit`.
pub(crate) async fn edit(
    State(app): State<App>,
    visitor: Visitor,
    Path(program_id): Path<String>,
) -> Result<ProgramFormPage, Failure> {
    visitor.must(Scope::ProgramsWrite, ONLY_MANAGERS)?;
    let program = program::find(&app, &visitor, &program_id).await?;
    let shell = visitor.shell(format!("Edit {}", program.name), Nav::Programs);
    Ok(ProgramFormPage { shell, draft: Draft::of(&program), program: Some(program) })
}

/// `POST /attribution/programs`: makes it, or draws the form with a rule more or less.
pub(crate) async fn create(
    State(app): State<App>,
    Form(visitor, form): Form<Pairs>,
) -> Result<Response, Failure> {
    visitor.must(Scope::ProgramsWrite, ONLY_MANAGERS)?;
    let shell = visitor.shell("New program", Nav::Programs);
    let mut draft = Draft::read(&form);
    if draft.terms.was_reshaped(&all(&form, "action")) {
        return Ok(ProgramFormPage { shell, program: None, draft }.into_response());
    }
    let made = async {
        let request = visitor.ask(draft.to_program()?)?;
        Ok::<Program, Failure>(app.rooms().attribution().create_program(request).await?.into_inner())
    };
    match made.await {
        Ok(program) => {
            let text = "The program is there. Give partners links of it.";
            Ok(respond::redirect(&format!("/attribution/programs/{}", program.id), &Flash::good(text)))
        }
        Err(failure) => again(shell, None, draft, failure),
    }
}

/// `POST /attribution/programs/{program}`: changes it, or draws the form with a rule more or less.
pub(crate) async fn update(
    State(app): State<App>,
    Path(program_id): Path<String>,
    Form(visitor, form): Form<Pairs>,
) -> Result<Response, Failure> {
    visitor.must(Scope::ProgramsWrite, ONLY_MANAGERS)?;
    let program = program::find(&app, &visitor, &program_id).await?;
    let shell = visitor.shell(format!("Edit {}", program.name), Nav::Programs);
    let mut draft = Draft::read(&form);
    // The model is changed on a page of its own, which shows the difference.
    draft.terms.model = Draft::of(&program).terms.model;
    if draft.terms.was_reshaped(&all(&form, "action")) {
        return Ok(ProgramFormPage { shell, program: Some(program), draft }.into_response());
    }
    let changed = async {
        let request = visitor.ask(draft.to_update(&program)?)?;
        Ok::<Program, Failure>(app.rooms().deriver().update_program(request).await?.into_inner())
    };
    match changed.await {
        Ok(_) => {
            let text = "Saved. What was earned before stays as it was.";
            Ok(respond::redirect(&format!("/attribution/programs/{program_id}"), &Flash::good(text)))
        }
        Err(failure) => again(shell, Some(program), draft, failure),
    }
}

/// The form with what was typed, where changing it can help.
fn again(
    mut shell: Shell,
    program: Option<Program>,
    draft: Draft,
    failure: Failure,
) -> Result<Response, Failure> {
    if !failure.is_fixable() {
        return Err(failure);
    }
    let status: StatusCode = failure.status;
    shell.flash = Some(Flash::bad(failure.message, failure.code));
    Ok(respond::page_with(status, &ProgramFormPage { shell, program, draft }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_that_was_not_touched_changes_nothing() {
        let program = sample::program(1);
        let update = Draft::of(&program).to_update(&program).unwrap();
        assert_eq!(
            update,
            UpdateProgramRequest { program_id: program.id, ..UpdateProgramRequest::default() }
        );
    }

    #[test]
    fn an_end_that_is_emptied_is_taken_away() {
        let program =
            Program { ends_at: moment("2027-01-31T09:30").unwrap(), starts_at: None, ..sample::program(1) };
        let draft = Draft { ends_at: String::new(), ..Draft::of(&program) };
        let update = draft.to_update(&program).unwrap();
        assert_eq!((update.clear_starts_at, update.clear_ends_at, update.ends_at), (false, true, None));
    }

    #[test]
    fn terms_survive_the_way_through_the_form() {
        let program = sample::program(1);
        let mut again = Draft::of(&program).to_program().unwrap().terms.unwrap();
        let mut terms = program.terms.unwrap();
        for terms in [&mut again, &mut terms] {
            (terms.version, terms.effective_from) = (0, None);
        }
        assert_eq!(again, terms);
    }
}
