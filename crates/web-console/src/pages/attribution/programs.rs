use askama::Template;
use axum::extract::State;
use proto::attribution::Program;

use super::{all_programs, model};
use crate::{
    app::App,
    failure::Failure,
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

/// The partner programs and what they pay.
#[derive(Template)]
#[template(path = "attribution/programs.html")]
pub(crate) struct ProgramsPage {
    shell: Shell,
    programs: Vec<Program>,
}
respond::page_response!(ProgramsPage);

impl ProgramsPage {
    pub(crate) fn sample(shell: Shell) -> Self {
        Self { shell, programs: sample::programs() }
    }

    pub(crate) fn sample_none(shell: Shell) -> Self {
        Self { shell, programs: Vec::new() }
    }
}

/// `GET /attribution/programs`.
pub(crate) async fn show(State(app): State<App>, visitor: Visitor) -> Result<ProgramsPage, Failure> {
    let programs = all_programs(&app, &visitor).await?;
    Ok(ProgramsPage { shell: visitor.shell("Programs", Nav::Programs), programs })
}
