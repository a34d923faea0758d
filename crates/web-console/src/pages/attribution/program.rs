use askama::Template;
use axum::extract::{Path, State};
use proto::attribution::{GetProgramRequest, Program};

use super::model;
use crate::{
    app::App,
    failure::Failure,
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

/// One program with its terms.
#[derive(Template)]
#[template(path = "attribution/program.html")]
pub(crate) struct ProgramPage {
    shell: Shell,
    program: Program,
}
respond::page_response!(ProgramPage);

impl ProgramPage {
    pub(crate) fn sample(shell: Shell) -> Self {
        Self { shell, program: sample::program(1) }
    }
}

/// The program with this id.
pub(crate) async fn find(app: &App, visitor: &Visitor, program_id: &str) -> Result<Program, Failure> {
    let request = visitor.ask(GetProgramRequest { program_id: program_id.to_owned() })?;
    Ok(app.rooms().attribution().get_program(request).await?.into_inner())
}

/// `GET /attribution/programs/{program}`.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Path(program_id): Path<String>,
) -> Result<ProgramPage, Failure> {
    let program = find(&app, &visitor, &program_id).await?;
    Ok(ProgramPage { shell: visitor.shell(&program.name, Nav::Programs), program })
}
