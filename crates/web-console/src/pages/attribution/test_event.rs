//! A test event goes the way of every other: somebody follows a partner's link, is identified, and buys.

use futures::future::try_join_all;
use proto::attribution::{
    DecideCommissionsRequest, FollowLinkRequest, GetGuardsRequest, IdentifyRequest, ListLinksRequest,
    ListPartnersRequest, ListReviewsRequest, NewEvent, Partner, RecordEventsRequest, RecordedEvent,
    ReviewItem, SignUserRequest, event_answer::Answer,
};
use serde::Deserialize;

use crate::{app::App, failure::Failure, session::Visitor};

/// The partners whose links are offered.
const PARTNERS: u32 = 25;

/// Links to choose from: the key, and whose it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Links(pub(super) Vec<(String, String)>);

impl Links {
    /// The links of the newest active partners.
    pub(super) async fn load(app: &App, visitor: &Visitor) -> Result<Self, Failure> {
        let request =
            ListPartnersRequest { status: "active".to_owned(), limit: PARTNERS, cursor: String::new() };
        let partners =
            app.rooms().attribution().list_partners(visitor.ask(request)?).await?.into_inner().partners;
        let links = partners.into_iter().map(|partner| of_partner(app.clone(), visitor.clone(), partner));
        Ok(Self(try_join_all(links).await?.into_iter().flatten().collect()))
    }

    pub(super) fn sample() -> Self {
        Self(vec![("ada-2026".to_owned(), "Ada Writes".to_owned())])
    }
}

/// The links of a partner.
async fn of_partner(app: App, visitor: Visitor, partner: Partner) -> Result<Vec<(String, String)>, Failure> {
    let request = visitor.ask(ListLinksRequest { partner_id: partner.id })?;
    let links = app.rooms().attribution().list_links(request).await?.into_inner().links;
    Ok(links.into_iter().map(|link| (link.key, partner.name.clone())).collect())
}

/// What is to be tried.
#[derive(Deserialize)]
pub(crate) struct Wish {
    /// The link that the customer is to come by; empty: nobody clicked.
    #[serde(default)]
    link: String,
    /// Whose event it is; empty: a customer made up for this test.
    #[serde(default)]
    user: String,
    r#type: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    currency: String,
}

/// Sends it; gives the event's id.
pub(super) async fn send(app: &App, visitor: &Visitor, wish: Wish) -> Result<String, Failure> {
    let Wish { link, user, r#type, value, currency } = wish;
    let (link, user, value) = (link.trim(), user.trim(), value.trim());
    if link.is_empty() && user.is_empty() {
        let message = "Choose a link, or write the user ID that the event is to have.";
        return Err(Failure::invalid("user_missing", message));
    }
    let mut room = app.rooms().attribution();
    let (key, user) = if link.is_empty() {
        (format!("{}-{}", visitor.user().id, visitor.now().as_microsecond()), user.to_owned())
    } else {
        let request = FollowLinkRequest {
            link_key: link.to_owned(),
            organization_id: visitor.organization_id().to_owned(),
            user_agent: "Accord test event".to_owned(),
            ..FollowLinkRequest::default()
        };
        let click = room.follow_link(visitor.ask(request)?).await?.into_inner().click_id;
        let user = if user.is_empty() { format!("test-{click}") } else { user.to_owned() };
        let request = IdentifyRequest {
            click_id: click.clone(),
            user_id: user.clone(),
            organization_id: visitor.organization_id().to_owned(),
            signature: signature(app, visitor, &user).await?,
        };
        room.identify(visitor.ask(request)?).await?;
        (click, user)
    };
    let event = NewEvent {
        user_id: user,
        r#type: r#type.trim().to_owned(),
        value: (!value.is_empty()).then(|| value.to_owned()),
        currency: currency.trim().to_uppercase(),
        metadata_json: r#"{"test":"sent from the console"}"#.to_owned(),
        idempotency_key: format!("test-{key}"),
        ..NewEvent::default()
    };
    let request = visitor.ask(RecordEventsRequest { events: vec![event] })?;
    let answers = room.record_events(request).await?.into_inner().answers;
    match answers.into_iter().next().and_then(|answer| answer.answer) {
        Some(Answer::Recorded(recorded)) => {
            hold(app, visitor, &recorded).await?;
            Ok(recorded.event_id)
        }
        Some(Answer::Refused(refusal)) => Err(Failure::invalid(&refusal.code, refusal.message)),
        None => Err(Failure::new(
            axum::http::StatusCode::BAD_GATEWAY,
            "no_answer",
            "The attribution service did not say what became of the event.",
        )),
    }
}

/// What the merchant would sign the user id with; empty where it need not.
async fn signature(app: &App, visitor: &Visitor, user: &str) -> Result<String, Failure> {
    let mut room = app.rooms().attribution();
    let guards = room.get_guards(visitor.ask(GetGuardsRequest {})?).await?.into_inner();
    if guards.signed_identify != "required" {
        return Ok(String::new());
    }
    let request = visitor.ask(SignUserRequest { user_id: user.to_owned() })?;
    Ok(room.sign_user(request).await?.into_inner().signature)
}

/// Holds what a test earned: it waits in the review queue for whoever looks, and is not approved by itself.
async fn hold(app: &App, visitor: &Visitor, recorded: &RecordedEvent) -> Result<(), Failure> {
    let mut commission_ids = Vec::new();
    for touch in &recorded.touches {
        let request = ListReviewsRequest {
            state: "accrued".to_owned(),
            partner_id: touch.partner_id.clone(),
            ..ListReviewsRequest::default()
        };
        let waiting = app.rooms().attribution().list_reviews(visitor.ask(request)?).await?.into_inner().items;
        let earned = |item: &ReviewItem| item.event_id == recorded.event_id && !item.held;
        commission_ids.extend(waiting.into_iter().filter(earned).map(|item| item.commission_id));
    }
    if commission_ids.is_empty() {
        return Ok(());
    }
    let request = DecideCommissionsRequest { commission_ids, note: "A test event.".to_owned() };
    app.rooms().deriver().hold_commissions(visitor.ask(request)?).await?;
    Ok(())
}
