//! What is told in which channel, and who the people are who click there.

use std::collections::{BTreeMap, BTreeSet};

use bus::outbox;
use model::{ConnectionId, CrmSettingsChanged, NotificationRuleId, OrganizationId, UserId};
use proto::crm as wire;
use sqlx::PgConnection;

use super::{Asker, Service};
use crate::{
    Error,
    domain::telling::{EVENTS, why_not},
    error::Refusal,
    publisher,
    store::{self, people::Person, rules::Rule, vendor_users::VendorUser},
    text::{self, LONGEST_NAME},
};

/// The vendors with channels.
const VENDORS: [&str; 1] = ["slack"];
/// The most rules of one connection.
const MOST_RULES: usize = 100;
/// The longest id at a vendor, in bytes.
const LONGEST_ID: usize = 128;

impl Service {
    pub(super) async fn list_notification_rules(
        &self,
        asker: &Asker,
        _: wire::ListNotificationRulesRequest,
    ) -> Result<wire::ListNotificationRulesResponse, Error> {
        let mut db = self.pool.acquire().await?;
        let rules = store::rules::list(&mut db, asker.organization).await?;
        Ok(wire::ListNotificationRulesResponse { rules: rules.into_iter().map(rule_to_wire).collect() })
    }

    pub(super) async fn set_notification_rules(
        &self,
        asker: &Asker,
        request: wire::SetNotificationRulesRequest,
    ) -> Result<wire::ListNotificationRulesResponse, Error> {
        let (organization, now) = (asker.organization, self.now());
        let connection: ConnectionId = connection_id(&request.connection_id)?;
        let wanted = wanted(&request.rules)?;
        let mut tx = self.pool.begin().await?;
        let vendor = vendor_of(&mut tx, organization, connection).await?;
        let known = store::rules::lock(&mut tx, organization, connection).await?;
        let mut known: BTreeMap<String, Rule> =
            known.into_iter().map(|rule| (rule.channel.clone(), rule)).collect();
        let mut changes = Vec::new();
        for (channel, (channel_name, events)) in wanted {
            let before = known.remove(&channel);
            let change = match &before {
                None => "created",
                Some(rule) if rule.events == events && rule.channel_name == channel_name => continue,
                Some(_) => "changed",
            };
            let rule = Rule {
                id: before.map_or_else(|| NotificationRuleId::generate(now), |rule| rule.id),
                connection,
                vendor: vendor.clone(),
                channel,
                channel_name,
                events,
                error: String::new(),
                error_at: None,
                posted_at: None,
            };
            store::rules::put(&mut tx, organization, &rule).await?;
            changes.push((rule.id, change, rule.events));
        }
        for gone in known.into_values() {
            store::rules::delete(&mut tx, gone.id).await?;
            changes.push((gone.id, "deleted", Vec::new()));
        }
        for (id, change, events) in changes {
            let changed = CrmSettingsChanged {
                subject: "notification_rule".to_owned(),
                id: id.to_string(),
                change: change.to_owned(),
                connection,
                user: None,
                events,
                at: now,
            };
            let message = publisher::settings(organization, &changed, &asker.actor)?;
            outbox::enqueue(&mut tx, &[message]).await?;
        }
        let rules = store::rules::list(&mut tx, organization).await?;
        tx.commit().await?;
        self.waker.wake();
        Ok(wire::ListNotificationRulesResponse { rules: rules.into_iter().map(rule_to_wire).collect() })
    }

    /// Keeps who people are: in whose name they click, and what they may do.
    pub(super) async fn know(&self, asker: &Asker, people: &[Person]) -> Result<(), Error> {
        let mut tx = self.pool.begin().await?;
        for person in people {
            store::people::know(&mut tx, asker.organization, person).await?;
        }
        Ok(tx.commit().await?)
    }

    pub(super) async fn list_vendor_users(
        &self,
        asker: &Asker,
        people: &[Person],
        _: wire::ListVendorUsersRequest,
    ) -> Result<wire::ListVendorUsersResponse, Error> {
        let mut db = self.pool.acquire().await?;
        let users = store::vendor_users::list(&mut db, asker.organization).await?;
        let users = users.into_iter().map(|user| user_to_wire(user, people)).collect();
        Ok(wire::ListVendorUsersResponse { users })
    }

    pub(super) async fn confirm_vendor_user(
        &self,
        asker: &Asker,
        people: &[Person],
        request: wire::ConfirmVendorUserRequest,
    ) -> Result<wire::VendorUser, Error> {
        let (organization, now) = (asker.organization, self.now());
        let connection: ConnectionId = connection_id(&request.connection_id)?;
        let id = text::required("vendor_user_id", &request.vendor_user_id, LONGEST_ID)?;
        let person: UserId = text::id("user_not_found", "user", &request.user_id)?;
        if !people.iter().any(|it| it.person == person) {
            return Err(Refusal::missing("user_not_found", "There is no such user.").into());
        }
        let mut tx = self.pool.begin().await?;
        let vendor = vendor_of(&mut tx, organization, connection).await?;
        let found = store::vendor_users::lock(&mut tx, organization, connection, &id).await?;
        if let Some(found) = &found
            && found.person == Some(person)
        {
            return Ok(user_to_wire(found.clone(), people));
        }
        let (name, email, seen_at) = found.map(|it| (it.name, it.email, it.seen_at)).unwrap_or_default();
        let confirmed = VendorUser {
            connection,
            id,
            vendor,
            name,
            email,
            person: Some(person),
            confirmed_by: asker.actor.clone(),
            confirmed_at: Some(now),
            seen_at,
        };
        store::vendor_users::confirm(&mut tx, organization, &confirmed).await?;
        let changed = vendor_user_changed(&confirmed, "confirmed", now);
        outbox::enqueue(&mut tx, &[publisher::settings(organization, &changed, &asker.actor)?]).await?;
        tx.commit().await?;
        self.waker.wake();
        Ok(user_to_wire(confirmed, people))
    }

    pub(super) async fn remove_vendor_user(
        &self,
        asker: &Asker,
        request: wire::VendorUserRequest,
    ) -> Result<wire::RemoveVendorUserResponse, Error> {
        let (organization, now) = (asker.organization, self.now());
        let missing = || Refusal::missing("vendor_user_not_found", "There is no such person at a vendor.");
        let connection: ConnectionId = request.connection_id.parse().map_err(|_| missing())?;
        let mut tx = self.pool.begin().await?;
        let id = &request.vendor_user_id;
        let id = text::optional("vendor_user_id", id, LONGEST_ID).map_err(|_| missing())?;
        let found = store::vendor_users::lock(&mut tx, organization, connection, &id).await?;
        let found = found.ok_or_else(missing)?;
        store::vendor_users::remove(&mut tx, connection, &id).await?;
        let changed = vendor_user_changed(&found, "removed", now);
        outbox::enqueue(&mut tx, &[publisher::settings(organization, &changed, &asker.actor)?]).await?;
        tx.commit().await?;
        self.waker.wake();
        Ok(wire::RemoveVendorUserResponse {})
    }
}

fn connection_id(text: &str) -> Result<ConnectionId, Refusal> {
    text::id("connection_not_found", "connection", text)
}

/// The vendor of a connection with channels.
async fn vendor_of(
    db: &mut PgConnection,
    organization: OrganizationId,
    connection: ConnectionId,
) -> Result<String, Error> {
    let missing = || Refusal::missing("connection_not_found", "There is no such connection.");
    let (vendor, _) = store::connections::find(db, organization, connection).await?.ok_or_else(missing)?;
    if VENDORS.contains(&vendor.as_str()) {
        return Ok(vendor);
    }
    let message = format!("{} has no channels.", model::vendor_name(&vendor));
    Err(Refusal::conflict("vendor_has_no_channels", message).into())
}

/// The rules that are asked for, by channel: its name and events, each once and in their usual order.
fn wanted(rules: &[wire::NewNotificationRule]) -> Result<BTreeMap<String, (String, Vec<String>)>, Refusal> {
    if rules.len() > MOST_RULES {
        let message = format!("rules has more than {MOST_RULES} rules.");
        return Err(Refusal::invalid("rules", "too_many", message));
    }
    let mut wanted = BTreeMap::new();
    for (place, rule) in rules.iter().enumerate() {
        let field = |name: &str| format!("rules[{place}].{name}");
        let channel = text::required(&field("channel_id"), &rule.channel_id, LONGEST_ID)?;
        let name = text::optional(&field("channel_name"), &rule.channel_name, LONGEST_NAME)?;
        let asked: BTreeSet<&str> = rule.events.iter().map(String::as_str).collect();
        let events: Vec<String> =
            EVENTS.into_iter().filter(|event| asked.contains(event)).map(str::to_owned).collect();
        if events.is_empty() || events.len() < asked.len() {
            let message = format!("events are at least one of {}.", EVENTS.join(", "));
            return Err(Refusal::invalid(field("events"), "events_invalid", message));
        }
        if wanted.insert(channel, (name, events)).is_some() {
            let message = "The channel has a rule already in this request.";
            return Err(Refusal::invalid(field("channel_id"), "channel_repeated", message));
        }
    }
    Ok(wanted)
}

fn vendor_user_changed(user: &VendorUser, change: &str, at: jiff::Timestamp) -> CrmSettingsChanged {
    CrmSettingsChanged {
        subject: "vendor_user".to_owned(),
        id: user.id.clone(),
        change: change.to_owned(),
        connection: user.connection,
        user: user.person,
        events: Vec::new(),
        at,
    }
}

fn rule_to_wire(rule: Rule) -> wire::NotificationRule {
    wire::NotificationRule {
        id: rule.id.to_string(),
        connection_id: rule.connection.to_string(),
        channel_id: rule.channel,
        channel_name: rule.channel_name,
        events: rule.events,
        error_message: why_not(&rule.vendor, &rule.error),
        vendor: rule.vendor,
        error: rule.error,
        error_at: rule.error_at.map(proto::to_wire_time),
        posted_at: rule.posted_at.map(proto::to_wire_time),
    }
}

fn user_to_wire(user: VendorUser, people: &[Person]) -> wire::VendorUser {
    let confirmed = people.iter().find(|it| user.person == Some(it.person));
    let is_suggested = |it: &&Person| {
        user.person.is_none() && !user.email.is_empty() && it.email.eq_ignore_ascii_case(&user.email)
    };
    let suggested = people.iter().find(is_suggested);
    let id = |person: Option<&Person>| person.map(|it| it.person.to_string()).unwrap_or_default();
    let name = |person: Option<&Person>| person.map(|it| it.name.clone()).unwrap_or_default();
    wire::VendorUser {
        user_id: user.person.map(|person| person.to_string()).unwrap_or_default(),
        user_name: name(confirmed),
        suggested_user_id: id(suggested),
        suggested_user_name: name(suggested),
        connection_id: user.connection.to_string(),
        vendor: user.vendor,
        vendor_user_id: user.id,
        name: user.name,
        email: user.email,
        confirmed_by: user.confirmed_by,
        confirmed_at: user.confirmed_at.map(proto::to_wire_time),
        seen_at: user.seen_at.map(proto::to_wire_time),
    }
}
