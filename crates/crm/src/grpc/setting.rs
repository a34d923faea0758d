//! What an organization sets.

use std::collections::BTreeSet;

use proto::crm as wire;

use super::{Asker, Service};
use crate::{
    Error,
    domain::address,
    error::Refusal,
    store::{self, settings::Settings},
};

/// The most days that anything is set to.
pub(super) const MOST_DAYS: u32 = 3_650;
/// The most domains of an organization's own.
const MOST_DOMAINS: usize = 1_000;

impl Service {
    pub(super) async fn get_settings(
        &self,
        asker: &Asker,
        _: wire::GetSettingsRequest,
    ) -> Result<wire::Settings, Error> {
        let mut db = self.pool.acquire().await?;
        Ok(to_wire(store::settings::find(&mut db, asker.organization).await?))
    }

    pub(super) async fn set_settings(
        &self,
        asker: &Asker,
        request: wire::Settings,
    ) -> Result<wire::Settings, Error> {
        if request.free_domains.len() > MOST_DOMAINS {
            let message = format!("free_domains has more than {MOST_DOMAINS} domains.");
            return Err(Refusal::invalid("free_domains", "too_many", message).into());
        }
        let domain = |text: &String| {
            let message = "free_domains holds what is no domain.";
            address::domain(text).ok_or_else(|| Refusal::invalid("free_domains", "domain_invalid", message))
        };
        let free: BTreeSet<String> = request.free_domains.iter().map(domain).collect::<Result<_, _>>()?;
        let settings = Settings {
            protected_days: days("protected_days", request.protected_days)?,
            review_days: days("review_days", request.review_days)?,
            free_domains: free.into_iter().collect(),
        };
        let mut db = self.pool.acquire().await?;
        store::settings::put(&mut db, asker.organization, &settings).await?;
        Ok(to_wire(settings))
    }
}

/// A number of days.
pub(super) fn days(field: &'static str, days: u32) -> Result<u32, Refusal> {
    let message = || format!("{field} is from 1 to {MOST_DAYS}.");
    let is_sound = (1..=MOST_DAYS).contains(&days);
    is_sound.then_some(days).ok_or_else(|| Refusal::invalid(field, "days_invalid", message()))
}

fn to_wire(settings: Settings) -> wire::Settings {
    let Settings { protected_days, review_days, free_domains } = settings;
    wire::Settings { protected_days, review_days, free_domains }
}
