use axum::extract::{DefaultBodyLimit, State};
use http::StatusCode;
use proto::crm as wire;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    extract::{Caller, Json, Path, Query},
    failure::{ApiError, Conflicts, Refusals},
    rooms::Rooms,
    view::campaign::{
        Campaign, CampaignDraft, CampaignEdit, CampaignList, Enrolment, IfVersion, ListRecipients,
        ListSuppressions, Mailbox, MailboxLimits, Mailboxes, NewRecipients, NewSuppressions, Page, Preview,
        PreviewQuery, Recipient, RecipientList, SuppressionList, SuppressionRemoved, SuppressionsAdded,
    },
};

/// The largest list of people that is read, in bytes: ten thousand with their fields.
const LARGEST_LIST: usize = 8 * 1024 * 1024;

pub(super) fn router() -> OpenApiRouter<Rooms> {
    let lists = OpenApiRouter::new()
        .routes(routes!(recipients, enrol))
        .routes(routes!(suppressions, suppress))
        .layer(DefaultBodyLimit::max(LARGEST_LIST));
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update))
        .routes(routes!(start))
        .routes(routes!(withdraw))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(preview))
        .routes(routes!(stop_recipient))
        .routes(routes!(unsuppress))
        .routes(routes!(mailboxes))
        .routes(routes!(set_mailbox))
        .merge(lists)
}

/// List campaigns and sequences, newest first, with what came of them so far.
///
/// Scope `records:read`.
#[utoipa::path(
    get, path = "/campaigns", tag = "crm", params(Page),
    responses((status = 200, body = CampaignList), Refusals)
)]
async fn list(
    State(rooms): State<Rooms>,
    caller: Caller,
    Query(query): Query<Page>,
) -> Result<Json<CampaignList>, ApiError> {
    let request = wire::ListCampaignsRequest {
        limit: query.limit.unwrap_or_default(),
        page: query.page.unwrap_or_default(),
    };
    Ok(Json(rooms.crm().list_campaigns(caller.asks(request)?).await?.into_inner().into()))
}

/// Draft a campaign, or with several steps a sequence. Nothing is sent before it is started.
///
/// Scope `records:write`.
#[utoipa::path(
    post, path = "/campaigns", tag = "crm", request_body = CampaignDraft,
    responses((status = 201, body = Campaign), Refusals, Conflicts)
)]
async fn create(
    State(rooms): State<Rooms>,
    caller: Caller,
    Json(draft): Json<CampaignDraft>,
) -> Result<(StatusCode, Json<Campaign>), ApiError> {
    let request: wire::CampaignDraft = draft.into();
    let made = rooms.crm().create_campaign(caller.asks(request)?).await?;
    Ok((StatusCode::CREATED, Json(made.into_inner().into())))
}

/// Read a campaign.
///
/// Scope `records:read`.
#[utoipa::path(
    get, path = "/campaigns/{id}", tag = "crm", params(("id" = String, Path, description = "`camp_…`")),
    responses((status = 200, body = Campaign), Refusals)
)]
async fn get(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Campaign>, ApiError> {
    let request = caller.asks(wire::CampaignRequest { id })?;
    Ok(Json(rooms.crm().get_campaign(request).await?.into_inner().into()))
}

/// Write a draft anew. One that was started stays as it is: `campaign_started`. With `if_version`, one that somebody else
/// changed meanwhile does as well: `version_changed`.
///
/// Scope `records:write`.
#[utoipa::path(
    put, path = "/campaigns/{id}", tag = "crm", params(("id" = String, Path)), request_body = CampaignEdit,
    responses((status = 200, body = Campaign), Refusals, Conflicts)
)]
async fn update(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
    Json(edit): Json<CampaignEdit>,
) -> Result<Json<Campaign>, ApiError> {
    let (draft, if_version) = edit.into_wire();
    let request = caller.asks(wire::UpdateCampaignRequest { id, draft: Some(draft), if_version })?;
    Ok(Json(rooms.crm().update_campaign(request).await?.into_inner().into()))
}

/// Start a campaign. Where a recipient lacks a field of the texts, nothing is sent: `fields_missing`. With `if_version`,
/// one that somebody changed meanwhile is not started: `version_changed`.
///
/// Scope `records:write`.
#[utoipa::path(
    post, path = "/campaigns/{id}/start", tag = "crm", params(("id" = String, Path), IfVersion),
    responses((status = 200, body = Campaign), Refusals, Conflicts)
)]
async fn start(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
    Query(IfVersion { if_version }): Query<IfVersion>,
) -> Result<Json<Campaign>, ApiError> {
    let request = caller.asks(wire::StartCampaignRequest { id, if_version })?;
    Ok(Json(rooms.crm().start_campaign(request).await?.into_inner().into()))
}

/// Make a draft again of a campaign that was started, as long as no mail of it was asked for: `mails_asked_for`.
///
/// Scope `records:write`.
#[utoipa::path(
    post, path = "/campaigns/{id}/withdraw", tag = "crm", params(("id" = String, Path)),
    responses((status = 200, body = Campaign), Refusals, Conflicts)
)]
async fn withdraw(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Campaign>, ApiError> {
    let request = caller.asks(wire::CampaignRequest { id })?;
    Ok(Json(rooms.crm().withdraw_campaign(request).await?.into_inner().into()))
}

/// Pause a campaign: no mail of it is sent until it is resumed, but for those that the mailbox was asked for before.
///
/// Scope `records:write`.
#[utoipa::path(
    post, path = "/campaigns/{id}/pause", tag = "crm", params(("id" = String, Path)),
    responses((status = 200, body = Campaign), Refusals, Conflicts)
)]
async fn pause(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Campaign>, ApiError> {
    let request = caller.asks(wire::CampaignRequest { id })?;
    Ok(Json(rooms.crm().pause_campaign(request).await?.into_inner().into()))
}

/// Resume a campaign that was paused, by somebody or by itself.
///
/// Scope `records:write`.
#[utoipa::path(
    post, path = "/campaigns/{id}/resume", tag = "crm", params(("id" = String, Path)),
    responses((status = 200, body = Campaign), Refusals, Conflicts)
)]
async fn resume(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Campaign>, ApiError> {
    let request = caller.asks(wire::CampaignRequest { id })?;
    Ok(Json(rooms.crm().resume_campaign(request).await?.into_inner().into()))
}

/// Show the mails as recipients would get them, and which fields are missing.
///
/// Scope `records:read`.
#[utoipa::path(
    get, path = "/campaigns/{id}/preview", tag = "crm", params(("id" = String, Path), PreviewQuery),
    responses((status = 200, body = Preview), Refusals)
)]
async fn preview(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<PreviewQuery>,
) -> Result<Json<Preview>, ApiError> {
    let request = wire::PreviewCampaignRequest {
        campaign_id: id,
        recipient_id: query.recipient_id.unwrap_or_default(),
        limit: query.limit.unwrap_or_default(),
    };
    Ok(Json(rooms.crm().preview_campaign(caller.asks(request)?).await?.into_inner().into()))
}

/// List the recipients of a campaign.
///
/// Scope `records:read`.
#[utoipa::path(
    get, path = "/campaigns/{id}/recipients", tag = "crm", params(("id" = String, Path), ListRecipients),
    responses((status = 200, body = RecipientList), Refusals)
)]
async fn recipients(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<ListRecipients>,
) -> Result<Json<RecipientList>, ApiError> {
    let request = wire::ListRecipientsRequest {
        campaign_id: id,
        state: query.state.unwrap_or_default(),
        limit: query.limit.unwrap_or_default(),
        page: query.page.unwrap_or_default(),
    };
    Ok(Json(rooms.crm().list_recipients(caller.asks(request)?).await?.into_inner().into()))
}

/// Enrol recipients, at most 10,000 in at most 8 MiB. Those that can be mailed go in; each of the others is in `refused`.
///
/// Scope `records:write`.
#[utoipa::path(
    post, path = "/campaigns/{id}/recipients", tag = "crm", params(("id" = String, Path)),
    request_body = NewRecipients, responses((status = 200, body = Enrolment), Refusals, Conflicts)
)]
async fn enrol(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
    Json(NewRecipients { recipients }): Json<NewRecipients>,
) -> Result<Json<Enrolment>, ApiError> {
    let recipients = recipients.into_iter().map(wire::NewRecipient::from).collect();
    let request = caller.asks(wire::EnrolRecipientsRequest { campaign_id: id, recipients })?;
    Ok(Json(rooms.crm().enrol_recipients(request).await?.into_inner().into()))
}

/// Take one recipient out. Who ended already stays so.
///
/// Scope `records:write`.
#[utoipa::path(
    post, path = "/campaigns/{id}/recipients/{recipient_id}/stop", tag = "crm",
    params(("id" = String, Path), ("recipient_id" = String, Path, description = "`rcpt_…`")),
    responses((status = 200, body = Recipient), Refusals, Conflicts)
)]
async fn stop_recipient(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path((campaign_id, recipient_id)): Path<(String, String)>,
) -> Result<Json<Recipient>, ApiError> {
    let request = caller.asks(wire::RecipientRequest { campaign_id, recipient_id })?;
    Ok(Json(rooms.crm().stop_recipient(request).await?.into_inner().into()))
}

/// List the mailboxes that campaigns are sent through, with their limits.
///
/// Scope `records:read`.
#[utoipa::path(
    get, path = "/mailboxes", tag = "crm", responses((status = 200, body = Mailboxes), Refusals)
)]
async fn mailboxes(State(rooms): State<Rooms>, caller: Caller) -> Result<Json<Mailboxes>, ApiError> {
    let request = caller.asks(wire::ListMailboxesRequest {})?;
    Ok(Json(rooms.crm().list_mailboxes(request).await?.into_inner().into()))
}

/// Set how many mails a mailbox sends at most.
///
/// Scope `records:write`.
#[utoipa::path(
    put, path = "/mailboxes/{connection_id}", tag = "crm", params(("connection_id" = String, Path)),
    request_body = MailboxLimits, responses((status = 200, body = Mailbox), Refusals, Conflicts)
)]
async fn set_mailbox(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(connection_id): Path<String>,
    Json(MailboxLimits { per_minute, per_day }): Json<MailboxLimits>,
) -> Result<Json<Mailbox>, ApiError> {
    let request = caller.asks(wire::SetMailboxRequest { connection_id, per_minute, per_day })?;
    Ok(Json(rooms.crm().set_mailbox(request).await?.into_inner().into()))
}

/// List who gets no mail of any campaign, newest first.
///
/// Scope `records:read`.
#[utoipa::path(
    get, path = "/suppressions", tag = "crm", params(ListSuppressions),
    responses((status = 200, body = SuppressionList), Refusals)
)]
async fn suppressions(
    State(rooms): State<Rooms>,
    caller: Caller,
    Query(query): Query<ListSuppressions>,
) -> Result<Json<SuppressionList>, ApiError> {
    let request = wire::ListSuppressionsRequest {
        query: query.query.unwrap_or_default(),
        limit: query.limit.unwrap_or_default(),
        page: query.page.unwrap_or_default(),
    };
    Ok(Json(rooms.crm().list_suppressions(caller.asks(request)?).await?.into_inner().into()))
}

/// Put addresses on the suppression list, at most 10,000. What is no address is in `refused`; everything else is on the list.
///
/// Scope `records:write`.
#[utoipa::path(
    post, path = "/suppressions", tag = "crm", request_body = NewSuppressions,
    responses((status = 200, body = SuppressionsAdded), Refusals, Conflicts)
)]
async fn suppress(
    State(rooms): State<Rooms>,
    caller: Caller,
    Json(NewSuppressions { emails }): Json<NewSuppressions>,
) -> Result<Json<SuppressionsAdded>, ApiError> {
    let request = caller.asks(wire::AddSuppressionsRequest { emails })?;
    Ok(Json(rooms.crm().add_suppressions(request).await?.into_inner().into()))
}

/// Take an address from the suppression list, by its body, so that no log has it.
///
/// Scope `records:write`.
#[utoipa::path(
    post, path = "/suppressions/remove", tag = "crm", request_body = SuppressionRemoved,
    responses((status = 200, body = SuppressionRemoved), Refusals, Conflicts)
)]
async fn unsuppress(
    State(rooms): State<Rooms>,
    caller: Caller,
    Json(SuppressionRemoved { email }): Json<SuppressionRemoved>,
) -> Result<Json<SuppressionRemoved>, ApiError> {
    let request = caller.asks(wire::RemoveSuppressionRequest { email: email.clone() })?;
    rooms.crm().remove_suppression(request).await?;
    Ok(Json(SuppressionRemoved { email }))
}
