//! What people and programs look at.

use jiff::Timestamp;
use model::{AttributionId, CommissionId, ConversionId, LedgerEntryId, OrganizationId, PartnerId, ProgramId};
use proto::attribution as wire;
use uuid::Uuid;

use super::{Asker, Service, id, setup::partner_missing};
use crate::{
    Error,
    domain::facts::user_key,
    error::Refusal,
    store::{self, commissions, dashboard, listing},
    text,
    verify::{self, Verification},
};

const USUAL_LIMIT: u32 = 50;
const LARGEST_LIMIT: u32 = 500;

/// How many rows a page has.
pub(super) fn limit(asked: u32, usual: u32, largest: u32) -> u32 {
    if asked == 0 { usual } else { asked.min(largest) }
}

/// Where a page goes on.
pub(super) fn cursor(text: &str) -> Result<Option<Uuid>, Refusal> {
    let wrong = |_| Refusal::invalid("cursor", "cursor_invalid", "cursor is not one that was given.");
    (!text.is_empty()).then(|| Uuid::try_parse(text).map_err(wrong)).transpose()
}

/// Cuts one row more than a page, and says where the next goes on.
pub(super) fn cut<T>(rows: &mut Vec<T>, limit: u32, id: impl Fn(&T) -> Option<Uuid>) -> String {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if rows.len() <= limit {
        return String::new();
    }
    rows.truncate(limit);
    rows.last().and_then(id).map(|id| id.simple().to_string()).unwrap_or_default()
}

pub(super) fn partner(text: &str) -> Result<Option<PartnerId>, Refusal> {
    (!text.is_empty()).then(|| id("partner_not_found", "partner", text)).transpose()
}

fn program(text: &str) -> Result<Option<Uuid>, Refusal> {
    let read = || id("program_not_found", "program", text).map(ProgramId::uuid);
    (!text.is_empty()).then(read).transpose()
}

/// A status that there is, or none.
pub(super) fn status(text: &str, known: &[&str]) -> Result<String, Refusal> {
    if text.is_empty() || known.contains(&text) {
        return Ok(text.to_owned());
    }
    let message = format!("status must be one of {}.", known.join(", "));
    Err(Refusal::invalid("status", "status_invalid", message))
}

impl Service {
    pub(super) async fn list_commissions(
        &self,
        asker: &Asker,
        request: wire::ListCommissionsRequest,
    ) -> Result<wire::ListCommissionsResponse, Error> {
        let filter = commissions::Filter {
            status: status(&request.status, &["accrued", "approved", "paid", "reversed"])?,
            partner: partner(&request.partner_id)?.map(PartnerId::uuid),
            program: program(&request.program_id)?,
            only_held: request.held,
            below: cursor(&request.cursor)?,
        };
        let limit = limit(request.limit, USUAL_LIMIT, LARGEST_LIMIT);
        let mut rows =
            commissions::list(&self.pool, asker.organization, &filter, i64::from(limit) + 1).await?;
        let next_cursor = cut(&mut rows, limit, |row| Some(row.id.uuid()));
        let names = commissions::program_names(&self.pool, asker.organization).await?;
        let commissions = rows.iter().map(|row| commissions::to_wire(row, &names)).collect();
        Ok(wire::ListCommissionsResponse { commissions, next_cursor })
    }

    pub(super) async fn list_events(
        &self,
        asker: &Asker,
        request: wire::ListEventsRequest,
    ) -> Result<wire::ListEventsResponse, Error> {
        // No event has the last one here; callers of the contract ask for it all the same.
        let known =
            ["attributed", "no_identity", "no_click", "outside_window", "unattributed", "already_attributed"];
        let ids = request.event_ids.iter();
        let filter = listing::EventFilter {
            ids: ids
                .map(|text| id("event_not_found", "event", text).map(ConversionId::uuid))
                .collect::<Result<_, _>>()?,
            status: status(&request.status, &known)?,
            user_key: user_key(&text::optional("user_id", &request.user_id, text::LONGEST)?),
            kind: text::optional("type", &request.r#type, text::LONGEST)?,
            metadata_value: text::optional("metadata_value", &request.metadata_value, text::LONGEST)?,
            since: text::moment("since", request.since.as_ref())?,
            until: text::moment("until", request.until.as_ref())?,
            below: cursor(&request.cursor)?,
        };
        let limit = limit(request.limit, USUAL_LIMIT, LARGEST_LIMIT);
        let mut events =
            listing::events(&self.pool, asker.organization, &filter, i64::from(limit) + 1).await?;
        let next_cursor = cut(&mut events, limit, |event| event.id.parse().map(ConversionId::uuid).ok());
        Ok(wire::ListEventsResponse { events, next_cursor })
    }

    pub(super) async fn list_attributions(
        &self,
        asker: &Asker,
        request: wire::ListAttributionsRequest,
    ) -> Result<wire::ListAttributionsResponse, Error> {
        let filter = listing::AttributionFilter {
            partner: partner(&request.partner_id)?.map(PartnerId::uuid),
            program: program(&request.program_id)?,
            user_key: user_key(&text::optional("user_id", &request.user_id, text::LONGEST)?),
            kind: text::optional("type", &request.r#type, text::LONGEST)?,
            since: text::moment("since", request.since.as_ref())?,
            until: text::moment("until", request.until.as_ref())?,
            below: cursor(&request.cursor)?,
            offset: i64::from(request.offset),
        };
        let limit = limit(request.limit, USUAL_LIMIT, LARGEST_LIMIT);
        let mut attributions =
            listing::attributions(&self.pool, asker.organization, &filter, i64::from(limit) + 1).await?;
        let next_cursor = cut(&mut attributions, limit, |row| row.id.parse().map(AttributionId::uuid).ok());
        Ok(wire::ListAttributionsResponse { attributions, next_cursor })
    }

    pub(super) async fn get_dashboard(
        &self,
        asker: &Asker,
        request: wire::DashboardRequest,
    ) -> Result<wire::Dashboard, Error> {
        let partner = self.partner_of(asker.organization, &request.partner_id).await?;
        let since = text::moment("since", request.since.as_ref())?.unwrap_or(Timestamp::UNIX_EPOCH);
        let mut found = dashboard::dashboard(&self.pool, asker.organization, partner, since).await?;
        if request.include_links {
            found.links = store::links::list(&self.pool, asker.organization, partner, since).await?;
        }
        Ok(found)
    }

    pub(super) async fn get_timeseries(
        &self,
        asker: &Asker,
        request: wire::TimeseriesRequest,
    ) -> Result<wire::TimeseriesResponse, Error> {
        let partner = self.partner_of(asker.organization, &request.partner_id).await?;
        let since = text::moment("since", request.since.as_ref())?.unwrap_or(Timestamp::UNIX_EPOCH);
        let until = text::moment("until", request.until.as_ref())?.unwrap_or_else(|| self.now());
        let days = dashboard::days(&self.pool, asker.organization, partner, since, until).await?;
        Ok(wire::TimeseriesResponse { days })
    }

    async fn partner_of(&self, organization: OrganizationId, text: &str) -> Result<PartnerId, Error> {
        let partner: PartnerId = id("partner_not_found", "partner", text)?;
        let found = store::partners::find(&self.pool, organization, partner).await?;
        found.ok_or_else(partner_missing)?;
        Ok(partner)
    }

    pub(super) async fn list_balances(
        &self,
        asker: &Asker,
        request: wire::ListBalancesRequest,
    ) -> Result<wire::ListBalancesResponse, Error> {
        let partner = partner(&request.partner_id)?;
        let balances = listing::balances(&self.pool, asker.organization, partner).await?;
        Ok(wire::ListBalancesResponse { balances })
    }

    pub(super) async fn list_entries(
        &self,
        asker: &Asker,
        request: wire::ListEntriesRequest,
    ) -> Result<wire::ListEntriesResponse, Error> {
        let commission = &request.commission_id;
        let commission = (!commission.is_empty())
            .then(|| id("commission_not_found", "commission", commission).map(CommissionId::uuid))
            .transpose()?;
        let filter = listing::EntryFilter {
            partner: partner(&request.partner_id)?.map(PartnerId::uuid),
            commission,
            kind: text::optional("kind", &request.kind, text::LONGEST)?,
            below: cursor(&request.cursor)?,
        };
        let limit = limit(request.limit, USUAL_LIMIT, LARGEST_LIMIT);
        let mut entries =
            listing::entries(&self.pool, asker.organization, &filter, i64::from(limit) + 1).await?;
        let next_cursor = cut(&mut entries, limit, |entry| entry.id.parse().map(LedgerEntryId::uuid).ok());
        Ok(wire::ListEntriesResponse { entries, next_cursor })
    }

    pub(super) async fn verify(
        &self,
        asker: &Asker,
        _request: wire::VerifyRequest,
    ) -> Result<wire::VerifyResponse, Error> {
        let found: Verification = verify::verify(&self.pool, asker.organization).await?;
        let difference = |difference: &verify::Difference| wire::Difference {
            what: difference.what.clone(),
            derived: difference.derived.clone(),
            stored: difference.stored.clone(),
        };
        Ok(wire::VerifyResponse {
            whole: found.is_whole(),
            events: found.events,
            commissions: found.commissions,
            entries: found.entries,
            differences: found.differences.iter().map(difference).collect(),
        })
    }
}
