//! The public HTTP API: each operation is one call of a room, in the caller's name.

mod access;
mod activities;
mod audit;
mod campaigns;
mod connections;
mod decisions;
mod mappings;
mod notifications;
mod reconciles;
mod records;
mod registrations;
mod review;
mod runs;

use utoipa_axum::router::OpenApiRouter;

use crate::rooms::Rooms;

/// All operations, without their common prefix.
pub(crate) fn router() -> OpenApiRouter<Rooms> {
    OpenApiRouter::new()
        .merge(records::router())
        .merge(connections::router())
        .merge(mappings::router())
        .merge(review::router())
        .merge(decisions::router())
        .merge(runs::router())
        .merge(reconciles::router())
        .merge(registrations::router())
        .merge(activities::router())
        .merge(notifications::router())
        .merge(campaigns::router())
        .merge(audit::router())
        .merge(access::router())
}
