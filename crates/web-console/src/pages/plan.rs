use askama::Template;
use axum::{
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use proto::sync::{Mapping, MappingRequest, Plan};
use tonic::Code;

use super::mapping::{Where, find};
use crate::{
    app::App,
    failure::Failure,
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

/// What activation, or applying changes, would do, before it does it.
#[derive(Template)]
#[template(path = "plan.html")]
pub(crate) struct PlanPage {
    shell: Shell,
    body: Body,
}
respond::page_response!(PlanPage);

/// All of the page below its frame, kept fresh by the script.
#[derive(Template)]
#[template(path = "_plan.html")]
pub(crate) struct Body {
    shell: Shell,
    vendor: String,
    connection_path: String,
    base: String,
    mapping: Mapping,
    /// None before the first was asked for.
    plan: Option<Plan>,
}

impl Body {
    fn new(shell: Shell, mapping: Mapping, plan: Option<Plan>) -> Self {
        let connection_path = format!("/settings/integrations/{}/{}", mapping.vendor, mapping.connection_id);
        Self {
            vendor: ui::vendor(&mapping.vendor),
            base: format!("{connection_path}/mappings/{}", mapping.id),
            connection_path,
            shell,
            mapping,
            plan,
        }
    }

    /// Whether the plan is of the mapping as it is now. The mapping was read a moment before the plan, which may be of a
    /// later revision by then.
    fn is_current(&self, plan: &Plan) -> bool {
        plan.state != "stale" && plan.mapping_revision >= self.mapping.revision
    }

    /// Whether it changes by itself, so that it is worth asking again and again.
    fn is_moving(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| matches!(&*plan.state, "reading" | "computing" | "applying"))
            || (!self.may_plan() && self.plan.as_ref().is_some_and(|plan| plan.state == "ready"))
    }

    /// Whether there is something to plan: an activation, or changes.
    fn may_plan(&self) -> bool {
        self.mapping.state != "active" || !self.mapping.pending_changes.is_empty()
    }

    /// How many records the plan says something about. It may have read none of them: what was read for an earlier plan
    /// is still here.
    fn compared(&self, plan: &Plan) -> String {
        let all = plan.categories.iter().map(|category| category.count).sum();
        ui::count(&all, "record", "records")
    }

    fn mapped(&self) -> usize {
        self.mapping
            .fields
            .iter()
            .filter(|field| matches!(&*field.state, "auto_mapped" | "confirmed"))
            .count()
    }
}

/// The sign before a category.
fn sign(category: &str) -> &'static str {
    match category {
        "matched_equal" => "check",
        "update_here" => "left",
        "update_there" => "right",
        "create_here" | "create_there" => "plus",
        "conflict" => "both",
        _ => "alert",
    }
}

/// What a category means.
fn meaning(category: &str) -> &'static str {
    match category {
        "matched_equal" => "Linked; no value changes.",
        "update_here" => "Linked; values of the CRM are taken over here.",
        "update_there" => "Linked; values from here are written to the CRM.",
        "create_here" => "New records appear here.",
        "create_there" => "New records appear in the CRM.",
        "conflict" => "Linked; both sides hold different values, and each field's policy decides.",
        "blocked" => "These cannot be synced as things are; each example says why.",
        _ => "",
    }
}

impl PlanPage {
    fn sample_with(shell: Shell, plan: Option<Plan>) -> Self {
        Self { body: Body::new(shell.clone(), sample::mapping(2, "draft"), plan), shell }
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        Self::sample_with(shell, Some(sample::plan("ready")))
    }

    pub(crate) fn sample_of_changes(shell: Shell) -> Self {
        let mapping = sample::mapping(2, "active");
        Self { body: Body::new(shell.clone(), mapping, Some(sample::plan("ready"))), shell }
    }

    pub(crate) fn sample_reading(shell: Shell) -> Self {
        Self::sample_with(shell, Some(sample::plan("reading")))
    }

    pub(crate) fn sample_applying(shell: Shell) -> Self {
        Self::sample_with(shell, Some(sample::plan("applying")))
    }

    pub(crate) fn sample_none(shell: Shell) -> Self {
        Self::sample_with(shell, None)
    }
}

/// `GET …/plan`.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Path(place): Where,
) -> Result<PlanPage, Failure> {
    let shell = visitor.shell("Plan", Nav::Integrations);
    let body = load(&app, &visitor, shell.clone(), &place).await?;
    Ok(PlanPage { shell, body })
}

/// `GET …/plan/live`.
pub(crate) async fn live(
    State(app): State<App>,
    visitor: Visitor,
    headers: HeaderMap,
    Path(place): Where,
) -> Result<Response, Failure> {
    let body = load(&app, &visitor, visitor.shell("", Nav::Integrations), &place).await?;
    Ok(respond::fragment(&headers, &body))
}

async fn load(
    app: &App,
    visitor: &Visitor,
    shell: Shell,
    place: &(String, String, String),
) -> Result<Body, Failure> {
    let mapping = find(app, visitor, place).await?;
    let request = visitor.ask(MappingRequest { mapping_id: mapping.id.clone() })?;
    let plan = match app.rooms().sync().get_plan(request).await {
        Ok(plan) => Some(plan.into_inner()).filter(|plan| !plan.state.is_empty()),
        Err(status) if status.code() == Code::NotFound => None,
        Err(status) => return Err(status.into()),
    };
    Ok(Body::new(shell, mapping, plan))
}
