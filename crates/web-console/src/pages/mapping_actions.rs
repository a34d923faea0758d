//! What people do to a mapping. A single field is saved in place when the script asks, else by a round trip.

use askama::Template;
use axum::{
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use proto::sync::{
    ActivateRequest, Filter, Mapping, MappingRequest, SetFieldRequest, SetMappingRequest, Transforms,
    ValueMap, ValuePair,
};
use serde::Deserialize;

use super::mapping::{Counts, Pending, Row, Where, find};
use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::{Form, Nothing},
    respond,
    session::Visitor,
    shell::Nav,
    ui,
};

type Done = Result<Response, Failure>;

fn base((vendor, connection, mapping): &(String, String, String)) -> String {
    format!("/settings/integrations/{vendor}/{connection}/mappings/{mapping}")
}

fn request(visitor: &Visitor, mapping: &Mapping) -> Result<tonic::Request<MappingRequest>, Failure> {
    visitor.ask(MappingRequest { mapping_id: mapping.id.clone() })
}

/// `POST …/suggest`.
pub(crate) async fn suggest(
    State(app): State<App>,
    Path(place): Where,
    Form(visitor, _): Form<Nothing>,
) -> Done {
    let mapping = find(&app, &visitor, &place).await?;
    let mapping = app.rooms().sync().suggest_mappings(request(&visitor, &mapping)?).await?.into_inner();
    let count = |state: &str| mapping.fields.iter().filter(|field| field.state == state).count() as u64;
    let text = format!(
        "{} auto-mapped, {} suggested for you to confirm.",
        ui::count(&count("auto_mapped"), "field", "fields"),
        ui::number(&count("suggested"))
    );
    Ok(respond::redirect(&base(&place), &Flash::good(text)))
}

#[derive(Deserialize)]
pub(crate) struct PairSettings {
    direction: Option<String>,
    default_policy: Option<String>,
    delete_policy: Option<String>,
    time_zone: Option<String>,
    /// `any` or `all`.
    any: Option<String>,
    /// The conditions of the filter, one in each line.
    conditions: Option<String>,
}

/// `POST …/settings`.
pub(crate) async fn settings(
    State(app): State<App>,
    Path(place): Where,
    Form(visitor, form): Form<PairSettings>,
) -> Done {
    let mapping = find(&app, &visitor, &place).await?;
    let request = visitor.ask(SetMappingRequest {
        mapping_id: mapping.id,
        direction: form.direction,
        default_policy: form.default_policy,
        delete_policy: form.delete_policy,
        time_zone: form.time_zone.map(|zone| zone.trim().to_owned()),
        filter: form
            .conditions
            .map(|text| Filter { any: form.any.as_deref() == Some("any"), conditions: lines(&text) }),
        ..SetMappingRequest::default()
    })?;
    let saved = app.rooms().sync().set_mapping(request).await?.into_inner();
    let said = if saved.pending_changes.is_empty() { "Saved." } else { "Saved, to be planned and applied." };
    Ok(respond::redirect(&base(&place), &Flash::good(said)))
}

/// `POST …/discard`.
pub(crate) async fn discard(
    State(app): State<App>,
    Path(place): Where,
    Form(visitor, _): Form<Nothing>,
) -> Done {
    let mapping = find(&app, &visitor, &place).await?;
    app.rooms().sync().discard_changes(request(&visitor, &mapping)?).await?;
    Ok(respond::redirect(&base(&place), &Flash::good("Discarded. The mapping is what records sync by.")))
}

/// `POST …/confirm-all`.
pub(crate) async fn confirm_all(
    State(app): State<App>,
    Path(place): Where,
    Form(visitor, _): Form<Nothing>,
) -> Done {
    let mapping = find(&app, &visitor, &place).await?;
    let request = visitor.ask(SetMappingRequest {
        mapping_id: mapping.id,
        confirm_all: true,
        ..SetMappingRequest::default()
    })?;
    app.rooms().sync().set_mapping(request).await?;
    Ok(respond::redirect(
        &base(&place),
        &Flash::good("All suggested fields are confirmed. Next: review the plan."),
    ))
}

/// The form of one row: all that the row shows.
#[derive(Deserialize)]
pub(crate) struct FieldForm {
    action: String,
    #[serde(default)]
    vendor_field: String,
    direction: Option<String>,
    policy: Option<String>,
    /// Sent only when it is ticked.
    pii: Option<String>,
    blank_rule: Option<String>,
    /// One in each line.
    transforms: Option<String>,
    /// `ours = theirs`, one in each line.
    values: Option<String>,
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::trim_start).filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
}

/// Reads a value map as it is written on the page.
fn pairs(text: &str) -> Result<Vec<ValuePair>, Failure> {
    let read = |line: String| {
        let (ours, theirs) = line.split_once('=').ok_or_else(|| {
            Failure::invalid(
                "value_map_malformed",
                "Write each pair of values on a line of its own: ours = theirs.",
            )
        })?;
        Ok(ValuePair { ours: ours.trim().to_owned(), theirs: theirs.trim().to_owned() })
    };
    lines(text).into_iter().map(read).collect()
}

/// `POST …/fields/{field}`.
pub(crate) async fn field(
    State(app): State<App>,
    Path((vendor, connection, mapping, name)): Path<(String, String, String, String)>,
    Form(visitor, form): Form<FieldForm>,
) -> Done {
    let place = (vendor, connection, mapping);
    let mapping = find(&app, &visitor, &place).await?;
    let vendor_field = form.vendor_field.trim();
    let action = if form.action == "choose" && vendor_field.is_empty() { "unmap" } else { &form.action };
    let with_rules = matches!(action, "choose" | "settings") && form.policy.is_some();
    let mapping = app
        .rooms()
        .sync()
        .set_field(
            visitor.ask(SetFieldRequest {
                mapping_id: mapping.id,
                field: name.clone(),
                action: action.to_owned(),
                vendor_field: if action == "choose" { vendor_field.to_owned() } else { String::new() },
                direction: form.direction.filter(|_| with_rules),
                policy: form.policy.filter(|_| with_rules),
                pii: with_rules.then_some(form.pii.is_some()),
                blank_rule: form.blank_rule.filter(|_| with_rules),
                transforms: form
                    .transforms
                    .filter(|_| with_rules && action == "settings")
                    .map(|text| Transforms { lines: lines(&text) }),
                values: match form.values.filter(|_| with_rules && action == "settings") {
                    Some(text) => Some(ValueMap { pairs: pairs(&text)? }),
                    None => None,
                },
            })?,
        )
        .await?
        .into_inner();
    let base = base(&place);
    let row = mapping.fields.iter().find(|field| field.field == name).ok_or_else(Failure::not_found)?;
    let said = format!("{}: {}.", row.field_label, ui::spaced(&row.state).to_lowercase());
    if !visitor.is_by_script() {
        return Ok(respond::redirect(&format!("{base}#row-{name}"), &Flash::good(said)));
    }
    let shell = visitor.shell("", Nav::Integrations);
    let row = Row::new(&shell, &mapping, &base, row).render();
    let counts = Counts::new(&mapping, &base, "").render();
    let pending = Pending::new(&shell, &mapping, &base).render();
    let (Ok(row), Ok(counts), Ok(pending)) = (row, counts, pending) else {
        return Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response());
    };
    // A row only parses inside a table.
    let html = format!("{counts}{pending}<table><tbody>{row}</tbody></table>");
    let mut response = ([(header::CACHE_CONTROL, "no-store")], axum::response::Html(html)).into_response();
    if let Ok(said) = HeaderValue::from_str(&said) {
        response.headers_mut().insert("x-accord-said", said);
    }
    Ok(response)
}

/// `POST …/plan`.
pub(crate) async fn request_plan(
    State(app): State<App>,
    Path(place): Where,
    Form(visitor, _): Form<Nothing>,
) -> Done {
    let mapping = find(&app, &visitor, &place).await?;
    app.rooms().sync().request_plan(request(&visitor, &mapping)?).await?;
    Ok(axum::response::Redirect::to(&format!("{}/plan", base(&place))).into_response())
}

#[derive(Deserialize)]
pub(crate) struct Accepted {
    plan_hash: String,
}

/// `POST …/activate`.
pub(crate) async fn activate(
    State(app): State<App>,
    Path(place): Where,
    Form(visitor, accepted): Form<Accepted>,
) -> Done {
    let mapping = find(&app, &visitor, &place).await?;
    let request = visitor.ask(ActivateRequest { mapping_id: mapping.id, plan_hash: accepted.plan_hash })?;
    app.rooms().sync().activate(request).await?;
    let path = format!("{}/plan", base(&place));
    Ok(respond::redirect(
        &path,
        &Flash::good("The plan is being applied; from now on both sides stay in step."),
    ))
}

/// `POST …/pause`.
pub(crate) async fn pause(
    State(app): State<App>,
    Path(place): Where,
    Form(visitor, _): Form<Nothing>,
) -> Done {
    let mapping = find(&app, &visitor, &place).await?;
    app.rooms().sync().pause_mapping(request(&visitor, &mapping)?).await?;
    Ok(respond::redirect(&base(&place), &Flash::good("Paused. Changes wait until somebody resumes it.")))
}

/// `POST …/resume`.
pub(crate) async fn resume(
    State(app): State<App>,
    Path(place): Where,
    Form(visitor, _): Form<Nothing>,
) -> Done {
    let mapping = find(&app, &visitor, &place).await?;
    app.rooms().sync().resume_mapping(request(&visitor, &mapping)?).await?;
    Ok(respond::redirect(&base(&place), &Flash::good("Resumed.")))
}
