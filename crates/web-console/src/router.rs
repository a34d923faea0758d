use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::MatchedPath,
    http::{Request, StatusCode},
    middleware,
    routing::{get, post},
};
use model::Clock;
use tower_http::{
    catch_panic::CatchPanicLayer, compression::CompressionLayer, timeout::TimeoutLayer, trace::TraceLayer,
};

use crate::{
    Config, Error,
    app::App,
    assets, headers,
    pages::{
        account,
        attribution::{
            commissions, conversion_rules, crm, events, guards, ingest, ledger, model_change, partner,
            partners, payouts, program, program_form, programs, review, webhooks,
        },
        audit, budget, campaigns, connect, connection, connection_actions as actions, decisions, health,
        integrations, issues, keys, mapping, mapping_actions, partner_form, plan, reading, reconcile, record,
        record_edit, records, registrations, runs, sign_in,
        telling::{channels, people},
        timeline, users, writing,
    },
    rooms::VERIFIED_WITHIN,
    session,
};

/// All pages of the console, to be served by whoever has a listener.
///
/// # Errors
/// The configuration does not hold together.
pub fn router(config: &Config, clock: Arc<dyn Clock>) -> Result<Router, Error> {
    Ok(pages(App::try_new(config, clock)?, config.answered_within * 3 / 2))
}

fn pages(app: App, answered_within: Duration) -> Router {
    let settings = Router::new()
        .merge(integrations())
        .merge(mappings())
        .route("/audit", get(audit::show))
        .route("/audit/export", get(audit::export))
        .route("/keys", get(keys::show))
        .route("/keys/api", post(keys::mint_api))
        .route("/keys/integration", post(keys::mint_integration))
        .route("/keys/integration/{key}/rotate", post(keys::rotate))
        .route("/keys/{kind}/{key}/revoke", post(keys::revoke))
        .route("/users", get(users::show).post(users::invite))
        .route("/users/{user}/role", post(users::set_role))
        .route("/users/{user}/remove", get(users::confirm_removal).post(users::remove))
        .route("/crm", get(crm::show))
        .route("/crm/keys", post(crm::mint))
        .route("/crm/keys/{key}/again", post(crm::mint_again))
        .route("/crm/keys/{key}/revoke", post(crm::revoke))
        .route("/crm/test", post(crm::test))
        .merge(crm_records())
        .route("/registrations", get(registrations::settings::show).post(registrations::settings::save))
        .route("/guards", get(guards::show).post(guards::save))
        .route("/guards/secret", post(guards::rotate))
        .route("/webhooks", get(webhooks::show).post(webhooks::create))
        .route("/webhooks/{webhook}", get(webhooks::one_of_them).post(webhooks::update))
        .route("/webhooks/{webhook}/delete", get(webhooks::confirm_deletion).post(webhooks::delete))
        .route("/webhooks/{webhook}/test", post(webhooks::test))
        .route("/webhooks/{webhook}/deliveries/{delivery}/retry", post(webhooks::retry))
        .route("/account", get(account::show))
        .route("/account/password", post(account::set_password))
        .route("/account/end-other-sessions", post(account::end_other_sessions))
        .route("/issues/{issue}/{action}", post(actions::issue));
    let patient = Router::new()
        .route("/settings/audit/verify", get(audit::verify))
        .nest("/attribution", patient_attribution())
        .layer(within(VERIFIED_WITHIN + answered_within));
    let signed_in = Router::new()
        .route("/", get(sign_in::home))
        .route("/sign-out", post(sign_in::out))
        .nest("/settings", settings)
        .nest("/records", records())
        .nest("/attribution", attribution())
        .nest("/campaigns", mails())
        .layer(within(answered_within))
        .merge(patient)
        .fallback(sign_in::nowhere)
        .method_not_allowed_fallback(sign_in::wrong_method)
        .layer(middleware::from_fn_with_state(app.clone(), session::layer));
    Router::new()
        .route("/assets/{name}", get(assets::serve))
        .route("/sign-in", get(sign_in::show).post(sign_in::with_password))
        .route("/sign-in/link/{token}", get(sign_in::show_link).post(sign_in::with_link))
        .route("/deals/{link}", get(partner_form::show).post(partner_form::submit))
        .layer(within(answered_within))
        .merge(signed_in)
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn_with_state(app.clone(), headers::layer))
        .layer(CatchPanicLayer::new())
        .layer(TraceLayer::new_for_http().make_span_with(span))
        .with_state(app)
}

/// Ends what takes longer.
fn within(limit: Duration) -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, limit)
}

fn integrations() -> Router<App> {
    Router::new()
        .route("/integrations", get(integrations::show))
        .route("/integrations/live", get(integrations::live))
        .route("/integrations/return", get(connect::come_back))
        .route("/integrations/health", get(health::show))
        .route("/integrations/health/live", get(health::live))
        .route("/integrations/{vendor}/connect", get(connect::confirm).post(connect::begin))
        .route("/integrations/{vendor}/{connection}", get(connection::show))
        .route("/integrations/{vendor}/{connection}/live", get(connection::live))
        .route("/integrations/{vendor}/{connection}/disconnect", get(connect::confirm_end).post(connect::end))
        .route("/integrations/{vendor}/{connection}/issues", get(issues::show).post(issues::change))
        .route("/integrations/{vendor}/{connection}/issues/{issue}/settle", post(issues::settle))
        .route("/integrations/{vendor}/{connection}/runs", get(runs::show))
        .route("/integrations/{vendor}/{connection}/reconcile", get(reconcile::show).post(reconcile::begin))
        .route("/integrations/{vendor}/{connection}/reconcile/live", get(reconcile::live))
        .route("/integrations/{vendor}/{connection}/runs/{run}/undo", get(runs::preview).post(runs::undo))
        .route("/integrations/{vendor}/{connection}/sync", post(actions::sync_now))
        .route("/integrations/{vendor}/{connection}/refresh-schema", post(actions::refresh_schema))
        .route("/integrations/{vendor}/{connection}/pause", post(actions::pause))
        .route("/integrations/{vendor}/{connection}/resume", post(actions::resume))
        .route("/integrations/{vendor}/{connection}/budget", post(budget::set))
        .route("/integrations/{vendor}/{connection}/reading", post(reading::set))
        .route("/integrations/{vendor}/{connection}/attribution", get(writing::show).post(writing::set))
        .route("/integrations/{vendor}/{connection}/channels", get(channels::show).post(channels::save))
        .route("/integrations/{vendor}/{connection}/people", get(people::show).post(people::save))
        .route("/integrations/{vendor}/{connection}/pairs", post(actions::map_pair))
        .route("/integrations/{vendor}/{connection}/decisions", get(decisions::show))
        .route("/integrations/{vendor}/{connection}/decisions/{decision}", post(decisions::settle))
}

fn mappings() -> Router<App> {
    let below = Router::new()
        .route("/", get(mapping::show))
        .route("/suggest", post(mapping_actions::suggest))
        .route("/settings", post(mapping_actions::settings))
        .route("/confirm-all", post(mapping_actions::confirm_all))
        .route("/fields/{field}", post(mapping_actions::field))
        .route("/plan", get(plan::show).post(mapping_actions::request_plan))
        .route("/plan/live", get(plan::live))
        .route("/discard", post(mapping_actions::discard))
        .route("/activate", post(mapping_actions::activate))
        .route("/pause", post(mapping_actions::pause))
        .route("/resume", post(mapping_actions::resume));
    Router::new().nest("/integrations/{vendor}/{connection}/mappings/{mapping}", below)
}

/// How a CRM's records become events.
fn crm_records() -> Router<App> {
    Router::new()
        .route("/crm/rules", get(conversion_rules::show).post(conversion_rules::create))
        .route("/crm/rules/new", get(conversion_rules::new))
        .route("/crm/rules/{rule}", get(conversion_rules::one_of_them).post(conversion_rules::update))
        .route("/crm/rules/{rule}/edit", get(conversion_rules::edit))
        .route("/crm/rules/{rule}/enabled", post(conversion_rules::set_enabled))
        .route("/crm/ingest", get(ingest::show).post(ingest::create))
        .route("/crm/ingest/{url}", get(ingest::one_of_them).post(ingest::update))
        .route("/crm/ingest/{url}/revoke", get(ingest::confirm_revocation).post(ingest::revoke))
}

fn mails() -> Router<App> {
    Router::new()
        .route("/", get(campaigns::list::show).post(campaigns::form::create))
        .route("/new", get(campaigns::form::show))
        .route("/suppressions", get(campaigns::suppressions::show).post(campaigns::suppressions::act))
        .route("/mailboxes", get(campaigns::mailboxes::show).post(campaigns::mailboxes::save))
        .route("/{campaign}", get(campaigns::detail::show).post(campaigns::detail::act))
        .route("/{campaign}/edit", get(campaigns::form::edit).post(campaigns::form::save))
}

fn attribution() -> Router<App> {
    Router::new()
        .route("/programs", get(programs::show).post(program_form::create))
        .route("/programs/new", get(program_form::new))
        .route("/programs/{program}/edit", get(program_form::edit))
        .route("/partners", get(partners::show).post(partners::create))
        .route("/partners/{partner}", get(partner::show))
        .route("/partners/{partner}/links", post(partner::link))
        .route("/partners/{partner}/forms", post(partner::make_form))
        .route("/partners/{partner}/forms/{form}/revoke", post(partner::revoke_form))
        .route("/partners/{partner}/timeline", get(timeline::of_partner))
        .route("/partners/{partner}/timeline/{activity}", get(timeline::activity::of_partner))
        .route("/registrations", get(registrations::queue::show).post(registrations::form::submit))
        .route("/registrations/new", get(registrations::form::show))
        .route(
            "/registrations/{registration}",
            get(registrations::detail::show).post(registrations::detail::decide),
        )
        .route("/events", get(events::show))
        .route("/events/{event}/correct", post(events::correct))
        .route("/ledger", get(ledger::show))
        .route("/payouts", get(payouts::show))
        .route("/payouts/export", get(payouts::export))
        .route("/payouts/{payout}/settle", post(payouts::settle))
}

/// What takes as long as there are events to derive again.
fn patient_attribution() -> Router<App> {
    Router::new()
        .route("/programs/{program}", get(program::show).post(program_form::update))
        .route("/programs/{program}/model", get(model_change::show).post(model_change::change))
        .route("/partners/{partner}/decide", post(partners::decide))
        .route("/partners/{partner}/terms", post(partner::agree))
        .route("/commissions", get(commissions::show).post(commissions::decide))
        .route("/ledger/verify", get(ledger::verify))
        .route("/review", get(review::show).post(review::decide))
        .route("/payouts", post(payouts::run))
}

fn records() -> Router<App> {
    Router::new()
        .route("/", get(records::home))
        .route("/{object}", get(records::show).post(records::create))
        .route("/{object}/{record}", get(record::show).post(record_edit::save))
        .route("/{object}/{record}/edit", get(record_edit::edit))
        .route("/{object}/{record}/archive", post(record::archive))
        .route("/{object}/{record}/timeline", get(timeline::of_record))
        .route("/{object}/{record}/timeline/{activity}", get(timeline::activity::of_record))
        .route("/conflicts/{conflict}/restore", post(record::restore))
}

/// The route and not the address is traced: an address may hold a one-time link or what somebody searched for.
fn span<B>(request: &Request<B>) -> tracing::Span {
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str);
    tracing::info_span!("page", method = %request.method(), route)
}
