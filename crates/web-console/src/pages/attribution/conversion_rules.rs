use askama::Template;
use axum::{
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use model::Scope;
use proto::{
    attribution::{
        ConversionRecord, ConversionRule, ConversionRuleSpec, CreateConversionRuleRequest,
        ListConversionRecordsRequest, ListConversionRulesRequest, RecordCondition,
        SetConversionRuleEnabledRequest, UpdateConversionRuleRequest, conversion_rule_spec::User,
    },
    connections::{Connection, ListConnectionsRequest},
};
use serde::{Deserialize, Serialize};

use super::address;
use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::{Form, Pairs, one},
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

const PATH: &str = "/settings/crm/rules";
const PAGE: u32 = 50;
const ONLY_MANAGERS: &str = "Only an Owner or Admin changes what becomes a conversion.";
/// The statuses of a rule's records.
const STATUSES: &[(&str, &str)] =
    &[("", "All"), ("recorded", "Recorded"), ("waiting", "Waiting"), ("voided", "Voided")];

/// The rules by which changes of CRM records become events.
#[derive(Template)]
#[template(path = "attribution/conversion_rules.html")]
pub(crate) struct RulesPage {
    shell: Shell,
    rules: Vec<ConversionRule>,
    connections: Vec<Connection>,
}
respond::page_response!(RulesPage);

/// One rule, and what came of the records that met it.
#[derive(Template)]
#[template(path = "attribution/conversion_rule.html")]
pub(crate) struct RulePage {
    shell: Shell,
    rule: ConversionRule,
    connections: Vec<Connection>,
    filter: Filter,
    records: Vec<ConversionRecord>,
    next: String,
}
respond::page_response!(RulePage);

/// A new rule, or one that is changed.
#[derive(Template)]
#[template(path = "attribution/conversion_rule_form.html")]
pub(crate) struct RuleFormPage {
    shell: Shell,
    /// Empty while it is new.
    id: String,
    connections: Vec<Connection>,
    spec: ConversionRuleSpec,
    /// The conditions as they are typed, one a line.
    conditions: String,
}
respond::page_response!(RuleFormPage);

/// What the list of records is narrowed by.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub(crate) struct Filter {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    status: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    cursor: String,
}

/// The connection's name for people.
pub(super) fn connection(connections: &[Connection], id: &str) -> String {
    connections.iter().find(|connection| connection.id == id).map_or_else(
        || format!("a connection (…{})", ui::short(id)),
        |connection| format!("{} {}", ui::vendor(&connection.vendor), connection.account_id),
    )
}

/// What a rule says, in one sentence.
fn says(spec: &ConversionRuleSpec) -> String {
    let conditions: Vec<String> = spec.conditions.iter().map(condition).collect();
    format!("{} where {} becomes {}", spec.vendor_object, conditions.join(" and "), spec.event_type)
}

fn says_of(spec: &Option<ConversionRuleSpec>) -> String {
    spec.as_ref().map(says).unwrap_or_default()
}

/// A condition as it is typed.
pub(super) fn condition(condition: &RecordCondition) -> String {
    let values = condition.values.join(", ");
    match condition.operator.as_str() {
        "exists" => format!("{} exists", condition.field),
        "none_of" => format!("{} != {values}", condition.field),
        _ => format!("{} = {values}", condition.field),
    }
}

/// Conditions as they are typed, one a line.
pub(super) fn typed(conditions: &[RecordCondition]) -> String {
    conditions.iter().map(condition).collect::<Vec<_>>().join("\n")
}

/// Reads conditions, one a line.
pub(super) fn read_conditions(text: &str) -> Result<Vec<RecordCondition>, Failure> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(read_condition).collect()
}

fn read_condition(line: &str) -> Result<RecordCondition, Failure> {
    let new = |field: &str, operator: &str, values: &str| RecordCondition {
        field: field.trim().to_owned(),
        operator: operator.to_owned(),
        values: values
            .split(',')
            .map(str::trim)
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
            .collect(),
    };
    if let Some(field) = line.strip_suffix(" exists") {
        return Ok(new(field, "exists", ""));
    }
    let read = match line.split_once('=') {
        Some((field, values)) => match field.strip_suffix('!') {
            Some(field) => new(field, "none_of", values),
            None => new(field, "one_of", values),
        },
        None => RecordCondition::default(),
    };
    if read.field.is_empty() || read.values.is_empty() {
        let message = format!("Write the condition “{line}” as StageName = Closed Won, or Amount exists.");
        return Err(Failure::invalid("condition_malformed", message));
    }
    Ok(read)
}

/// Why a record has no event, or has one no more.
fn because(reason: &str) -> &'static str {
    match reason {
        "no_user" => "none of its contacts has an e-mail address, or the field of the user is empty",
        "value_invalid" => "its value is no amount of money",
        "currency_invalid" => "its currency is none that is known",
        "incomplete" => "some of the fields that the rule reads are not known yet",
        "condition_left" => "it does not meet the rule any more",
        "record_deleted" => "it was deleted",
        _ => "",
    }
}

impl RuleFormPage {
    fn is_contact(&self) -> bool {
        !matches!(self.spec.user, Some(User::UserField(_)))
    }

    fn user_field(&self) -> &str {
        match &self.spec.user {
            Some(User::UserField(field)) => field,
            _ => "",
        }
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        let connections = vec![sample::connection("active")];
        let spec = ConversionRuleSpec { event_type: "opportunity_won".to_owned(), ..Default::default() };
        Self { shell, id: String::new(), connections, spec, conditions: String::new() }
    }

    pub(crate) fn sample_edit(shell: Shell) -> Self {
        let rule = sample::conversion_rules().remove(0);
        let spec = rule.spec.unwrap_or_default();
        let conditions = typed(&spec.conditions);
        Self { shell, id: rule.id, connections: vec![sample::connection("active")], spec, conditions }
    }
}

impl RulesPage {
    pub(crate) fn sample(shell: Shell) -> Self {
        Self { shell, rules: sample::conversion_rules(), connections: vec![sample::connection("active")] }
    }

    pub(crate) fn sample_none(shell: Shell) -> Self {
        Self { shell, rules: Vec::new(), connections: vec![sample::connection("active")] }
    }
}

impl RulePage {
    fn of(&self, status: &str) -> String {
        let filter = Filter { status: status.to_owned(), cursor: String::new() };
        address(&format!("{PATH}/{}", self.rule.id), &filter)
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        Self {
            shell,
            rule: sample::conversion_rules().remove(0),
            connections: vec![sample::connection("active")],
            filter: Filter::default(),
            records: sample::conversion_records(),
            next: String::new(),
        }
    }
}

async fn rules(app: &App, visitor: &Visitor) -> Result<Vec<ConversionRule>, Failure> {
    let request = visitor.ask(ListConversionRulesRequest {})?;
    Ok(app.rooms().conversion_rules().list_conversion_rules(request).await?.into_inner().rules)
}

async fn find(app: &App, visitor: &Visitor, id: &str) -> Result<ConversionRule, Failure> {
    rules(app, visitor).await?.into_iter().find(|rule| rule.id == id).ok_or_else(Failure::not_found)
}

pub(super) async fn connections(app: &App, visitor: &Visitor) -> Result<Vec<Connection>, Failure> {
    let request = visitor.ask(ListConnectionsRequest {})?;
    Ok(app.rooms().connections().list_connections(request).await?.into_inner().connections)
}

/// `GET /settings/crm/rules`.
pub(crate) async fn show(State(app): State<App>, visitor: Visitor) -> Result<RulesPage, Failure> {
    let rules = rules(&app, &visitor).await?;
    let connections = connections(&app, &visitor).await?;
    Ok(RulesPage { shell: visitor.shell("Conversion rules", Nav::Crm), rules, connections })
}

/// `GET /settings/crm/rules/{rule}`.
pub(crate) async fn one_of_them(
    State(app): State<App>,
    visitor: Visitor,
    Path(rule_id): Path<String>,
    Query(filter): Query<Filter>,
) -> Result<RulePage, Failure> {
    let rule = find(&app, &visitor, &rule_id).await?;
    let request = ListConversionRecordsRequest {
        rule_id: rule_id.clone(),
        status: filter.status.clone(),
        limit: PAGE,
        cursor: filter.cursor.clone(),
    };
    let request = visitor.ask(request)?;
    let list = app.rooms().conversion_rules().list_conversion_records(request).await?.into_inner();
    let next = Filter { cursor: list.next_cursor, ..filter.clone() };
    Ok(RulePage {
        shell: visitor.shell("Conversion rule", Nav::Crm),
        connections: connections(&app, &visitor).await?,
        next: if next.cursor.is_empty() {
            String::new()
        } else {
            address(&format!("{PATH}/{rule_id}"), &next)
        },
        rule,
        filter,
        records: list.records,
    })
}

/// `GET /settings/crm/rules/new`.
pub(crate) async fn new(State(app): State<App>, visitor: Visitor) -> Result<RuleFormPage, Failure> {
    visitor.must(Scope::ProgramsWrite, ONLY_MANAGERS)?;
    let spec = ConversionRuleSpec { event_type: "opportunity_won".to_owned(), ..Default::default() };
    let connections = connections(&app, &visitor).await?;
    let shell = visitor.shell("New conversion rule", Nav::Crm);
    Ok(RuleFormPage { shell, id: String::new(), connections, spec, conditions: String::new() })
}

/// `GET /settings/crm/rules/{rule}/edit`.
pub(crate) async fn edit(
    State(app): State<App>,
    visitor: Visitor,
    Path(rule_id): Path<String>,
) -> Result<RuleFormPage, Failure> {
    visitor.must(Scope::ProgramsWrite, ONLY_MANAGERS)?;
    let spec = find(&app, &visitor, &rule_id).await?.spec.unwrap_or_default();
    let connections = connections(&app, &visitor).await?;
    let conditions = typed(&spec.conditions);
    let shell = visitor.shell("Edit conversion rule", Nav::Crm);
    Ok(RuleFormPage { shell, id: rule_id, connections, spec, conditions })
}

/// What was typed, but for its conditions.
fn read(form: &Pairs) -> ConversionRuleSpec {
    let user = match &*one(form, "user") {
        "field" => User::UserField(one(form, "user_field")),
        _ => User::ContactEmail(true),
    };
    ConversionRuleSpec {
        name: one(form, "name"),
        connection_id: one(form, "connection"),
        vendor_object: one(form, "object"),
        conditions: Vec::new(),
        event_type: one(form, "event_type"),
        user: Some(user),
        value_field: one(form, "value_field"),
        currency_field: one(form, "currency_field"),
        currency: one(form, "currency").to_uppercase(),
        when_left: one(form, "when_left"),
    }
}

/// `POST /settings/crm/rules`.
pub(crate) async fn create(
    State(app): State<App>,
    Form(visitor, form): Form<Pairs>,
) -> Result<Response, Failure> {
    save(&app, &visitor, String::new(), &form).await
}

/// `POST /settings/crm/rules/{rule}`.
pub(crate) async fn update(
    State(app): State<App>,
    Path(rule_id): Path<String>,
    Form(visitor, form): Form<Pairs>,
) -> Result<Response, Failure> {
    save(&app, &visitor, rule_id, &form).await
}

async fn save(app: &App, visitor: &Visitor, id: String, form: &Pairs) -> Result<Response, Failure> {
    visitor.must(Scope::ProgramsWrite, ONLY_MANAGERS)?;
    let mut spec = read(form);
    if !id.is_empty() {
        let before = find(app, visitor, &id).await?.spec.unwrap_or_default();
        (spec.connection_id, spec.vendor_object) = (before.connection_id, before.vendor_object);
    }
    let conditions = one(form, "conditions").replace('\r', "");
    let saved = async {
        let spec = Some(ConversionRuleSpec { conditions: read_conditions(&conditions)?, ..spec.clone() });
        let mut room = app.rooms().conversion_rules();
        let rule = if id.is_empty() {
            room.create_conversion_rule(visitor.ask(CreateConversionRuleRequest { spec })?).await?
        } else {
            let request = UpdateConversionRuleRequest { rule_id: id.clone(), spec };
            room.update_conversion_rule(visitor.ask(request)?).await?
        };
        Ok::<ConversionRule, Failure>(rule.into_inner())
    };
    match saved.await {
        Ok(rule) => {
            let text = "Saved. It counts what changes in the CRM from now on.";
            Ok(respond::redirect(&format!("{PATH}/{}", rule.id), &Flash::good(text)))
        }
        Err(failure) if failure.is_fixable() => {
            let mut shell = visitor.shell("Conversion rule", Nav::Crm);
            let status: StatusCode = failure.status;
            shell.flash = Some(Flash::bad(failure.message, failure.code));
            let connections = connections(app, visitor).await?;
            let page = RuleFormPage { shell, id, connections, spec, conditions };
            Ok((status, page.into_response()).into_response())
        }
        Err(failure) => Err(failure),
    }
}

#[derive(Deserialize)]
pub(crate) struct Switch {
    action: String,
}

/// `POST /settings/crm/rules/{rule}/enabled`: disables it, or enables it again.
pub(crate) async fn set_enabled(
    State(app): State<App>,
    Path(rule_id): Path<String>,
    Form(visitor, form): Form<Switch>,
) -> Result<Response, Failure> {
    let enabled = form.action == "enable";
    let request = SetConversionRuleEnabledRequest { rule_id: rule_id.clone(), enabled };
    app.rooms().conversion_rules().set_conversion_rule_enabled(visitor.ask(request)?).await?;
    let text = if enabled {
        "Enabled. It counts what changes from now on."
    } else {
        "Disabled. What it recorded stays."
    };
    Ok(respond::redirect(&format!("{PATH}/{rule_id}"), &Flash::good(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_as_they_are_written() {
        let text = "StageName = Closed Won, Won\nType != Renewal\nAmount exists";
        let read = read_conditions(text).unwrap();
        assert_eq!(typed(&read), text);
        assert_eq!(read[0].values, ["Closed Won", "Won"]);
        for line in ["StageName", "= Closed Won", "StageName ="] {
            assert_eq!(read_conditions(line).unwrap_err().code, "condition_malformed", "{line}");
        }
    }
}
