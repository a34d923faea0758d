use askama::Template;
use axum::extract::{Query, State};
use proto::crm::{Campaign, ListCampaignsRequest};
use serde::{Deserialize, Serialize};

use super::{PATH, number, starts, state};
use crate::{
    app::App,
    failure::Failure,
    pages::attribution::address,
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

const PAGE: u32 = 50;

/// All campaigns and sequences, with what came of them.
#[derive(Template)]
#[template(path = "campaigns/list.html")]
pub(crate) struct CampaignsPage {
    shell: Shell,
    campaigns: Vec<Campaign>,
    /// The address of the next page; empty on the last one.
    next: String,
}
respond::page_response!(CampaignsPage);

/// Which page.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Place {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    page: String,
}

/// How many recipients are in a state.
fn of(it: &Campaign, state: &str) -> String {
    number(&it.recipients.iter().find(|counted| counted.state == state).map_or(0, |counted| counted.count))
}

impl CampaignsPage {
    pub(crate) fn sample(shell: Shell) -> Self {
        Self { shell, campaigns: sample::campaigns(), next: format!("{PATH}?page=next") }
    }

    pub(crate) fn sample_none(shell: Shell) -> Self {
        Self { shell, campaigns: Vec::new(), next: String::new() }
    }
}

/// `GET /campaigns`.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Query(place): Query<Place>,
) -> Result<CampaignsPage, Failure> {
    let request = visitor.ask(ListCampaignsRequest { limit: PAGE, page: place.page })?;
    let list = app.rooms().crm().list_campaigns(request).await?.into_inner();
    let next = if list.next_page.is_empty() {
        String::new()
    } else {
        address(PATH, &Place { page: list.next_page })
    };
    let shell = visitor.shell("Campaigns", Nav::Campaigns);
    Ok(CampaignsPage { shell, campaigns: list.campaigns, next })
}
