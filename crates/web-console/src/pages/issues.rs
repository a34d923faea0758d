use askama::Template;
use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use proto::{
    connections::Connection,
    sync::{ChangeIssuesRequest, Issue, IssueCount, ListIssuesRequest, SettleConflictRequest},
};
use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::Form,
    pages::connection,
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

const PAGE: u32 = 50;

/// Everything of a connection that waits for somebody.
#[derive(Template)]
#[template(path = "issues.html")]
pub(crate) struct IssuesPage {
    shell: Shell,
    vendor: String,
    /// The connection's page.
    base: String,
    filter: Filter,
    issues: Vec<Issue>,
    counts: Vec<IssueCount>,
    total: u64,
    /// The address of the next page; empty on the last one.
    next: String,
}
respond::page_response!(IssuesPage);

/// What the list is narrowed by. It is part of the address, so that it can be sent to somebody.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub(crate) struct Filter {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    category: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    page: String,
}

impl Filter {
    fn address(&self, path: &str) -> String {
        match serde_urlencoded::to_string(self) {
            Ok(query) if !query.is_empty() => format!("{path}?{query}"),
            _ => path.to_owned(),
        }
    }
}

impl IssuesPage {
    fn new(
        shell: Shell,
        connection: &Connection,
        filter: Filter,
        issues: Vec<Issue>,
        counts: Vec<IssueCount>,
        next_page: String,
    ) -> Self {
        let base = format!("/settings/integrations/{}/{}", connection.vendor, connection.id);
        let next = Filter { page: next_page, ..filter.clone() };
        Self {
            vendor: ui::vendor(&connection.vendor),
            total: counts.iter().map(|count| count.count).sum(),
            next: if next.page.is_empty() { String::new() } else { next.address(&format!("{base}/issues")) },
            base,
            shell,
            filter,
            issues,
            counts,
        }
    }

    /// The address of one category, or with an empty name of all.
    fn of(&self, category: &str) -> String {
        Filter { category: category.to_owned(), page: String::new() }
            .address(&format!("{}/issues", self.base))
    }

    /// What to do about the chosen category.
    fn advice(&self) -> &str {
        let chosen = self.counts.iter().find(|count| count.category == self.filter.category);
        chosen.map_or("", |count| count.suggestion.as_str())
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        let (issues, counts) = (sample::issues(), sample::issue_counts());
        Self::new(shell, &sample::connection("active"), Filter::default(), issues, counts, "next".to_owned())
    }

    pub(crate) fn sample_none(shell: Shell) -> Self {
        let none = (Vec::new(), Vec::new());
        Self::new(shell, &sample::connection("active"), Filter::default(), none.0, none.1, String::new())
    }
}

/// `GET /settings/integrations/{vendor}/{connection}/issues`.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Path((vendor, id)): Path<(String, String)>,
    Query(filter): Query<Filter>,
) -> Result<IssuesPage, Failure> {
    let connection = connection::find(&app, &visitor, &vendor, &id).await?;
    let request = ListIssuesRequest {
        connection_id: id,
        limit: PAGE,
        category: filter.category.clone(),
        page: filter.page.clone(),
        ..ListIssuesRequest::default()
    };
    let list = app.rooms().sync().list_issues(visitor.ask(request)?).await?.into_inner();
    let shell = visitor.shell(format!("{} issues", ui::vendor(&vendor)), Nav::Integrations);
    Ok(IssuesPage::new(shell, &connection, filter, list.issues, list.counts, list.next_page))
}

/// `POST /settings/integrations/{vendor}/{connection}/issues/{issue}/settle`: one side of a conflict.
pub(crate) async fn settle(
    State(app): State<App>,
    Path((vendor, id, issue_id)): Path<(String, String, String)>,
    Form(visitor, fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    connection::find(&app, &visitor, &vendor, &id).await?;
    let winner = fields.into_iter().find(|(name, _)| name == "winner").map(|(_, value)| value);
    let request = SettleConflictRequest { issue_id, winner: winner.unwrap_or_default() };
    app.rooms().sync().settle_conflict(visitor.ask(request)?).await?;
    let text = "Decided. The other value is kept with the record, and can be restored there.";
    Ok(respond::redirect(&format!("/settings/integrations/{vendor}/{id}/issues"), &Flash::good(text)))
}

/// `POST /settings/integrations/{vendor}/{connection}/issues`: the chosen ones, or all of a category.
pub(crate) async fn change(
    State(app): State<App>,
    Path((vendor, id)): Path<(String, String)>,
    Form(visitor, fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    connection::find(&app, &visitor, &vendor, &id).await?;
    let field = |name: &str| {
        fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let chosen: Vec<String> =
        fields.iter().filter(|(name, _)| name == "issue").map(|(_, value)| value.clone()).collect();
    let (action, category) = (field("action"), field("category"));
    let path = Filter { category: category.clone(), page: String::new() }
        .address(&format!("/settings/integrations/{vendor}/{id}/issues"));
    let all = action.ends_with("_all");
    if !all && chosen.is_empty() {
        return Ok(respond::redirect(&path, &Flash::bad("Choose at least one first.", "nothing_chosen")));
    }
    let request = visitor.ask(ChangeIssuesRequest {
        issue_ids: if all { Vec::new() } else { chosen },
        connection_id: id,
        category: if all { category } else { String::new() },
        ..ChangeIssuesRequest::default()
    })?;
    let text = match action.trim_end_matches("_all") {
        "retry" => {
            let done = app.rooms().sync().retry_issues(request).await?.into_inner();
            format!(
                "Trying {} again. What works now disappears by itself.",
                ui::count(&done.count, "issue", "issues")
            )
        }
        "dismiss" => {
            let done = app.rooms().sync().dismiss_issues(request).await?.into_inner();
            format!("Dismissed {}.", ui::count(&done.count, "issue", "issues"))
        }
        _ => return Err(Failure::not_found()),
    };
    Ok(respond::redirect(&path, &Flash::good(text)))
}
