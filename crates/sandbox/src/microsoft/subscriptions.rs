//! Subscriptions to changes: creating with proof of the endpoint, renewing, ending, and what subscribers are told.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use super::TENANT_ID;
use super::call::{Call, Outcome, Reply};
use super::errors::Failure;
use super::mailbox::{Mailbox, Notice};
use super::sim::Sim;
use super::wire::seconds;
use crate::clock::parse_ms;

/// Just under seven days.
const LIFE_MOST_MS: i64 = 10_080 * 60_000;
/// Live subscriptions of one mailbox.
const MOST: usize = 1_000;
const SECRET_MOST: usize = 128;

/// A subscription.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Subscription {
    pub(crate) id: String,
    pub(crate) person: usize,
    pub(crate) folder: Option<usize>,
    change_type: String,
    notification_url: String,
    lifecycle_url: Option<String>,
    resource: String,
    pub(crate) expires_ms: i64,
    client_state: Option<String>,
    immutable: bool,
}

/// Something that an endpoint is to be told.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) url: String,
    pub(crate) body: Value,
    pub(crate) due_ms: i64,
    pub(crate) first_ms: i64,
    pub(crate) attempts: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wish {
    change_type: String,
    notification_url: String,
    lifecycle_notification_url: Option<String>,
    resource: String,
    expiration_date_time: String,
    client_state: Option<String>,
    include_resource_data: Option<bool>,
}

impl Subscription {
    fn wire(&self, sim: &Sim) -> Value {
        json!({
            "id": self.id, "resource": self.resource, "applicationId": sim.settings.client_id,
            "changeType": self.change_type, "clientState": self.client_state,
            "notificationUrl": self.notification_url, "notificationQueryOptions": null,
            "lifecycleNotificationUrl": self.lifecycle_url, "expirationDateTime": seconds(self.expires_ms),
            "creatorId": sim.boxes[self.person].person.id, "includeResourceData": null,
            "latestSupportedTlsVersion": "v1_2", "encryptionCertificate": null, "encryptionCertificateId": null,
            "notificationUrlAppId": null,
        })
    }

    fn wants(&self, notice: &Notice) -> bool {
        self.folder.is_none_or(|folder| folder == notice.folder)
            && self.change_type.split(',').any(|word| word.trim() == notice.word)
    }

    fn notification(&self, mailbox: &Mailbox, notice: &Notice) -> Value {
        let id = mailbox.id(notice.serial, notice.place, self.immutable);
        let resource = format!("Users/{}/Messages/{id}", mailbox.person.id);
        json!({
            "subscriptionId": self.id, "subscriptionExpirationDateTime": seconds(self.expires_ms),
            "changeType": notice.word, "resource": resource, "clientState": self.client_state,
            "tenantId": TENANT_ID, "resourceData": {
                "@odata.type": "#Microsoft.Graph.Message", "@odata.id": resource,
                "@odata.etag": format!("W/\"{}\"", notice.version), "id": id,
            },
        })
    }
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::bad("InvalidRequest", message)
}

/// What a creation asks for, checked; its endpoints are still to prove themselves.
fn checked(sim: &mut Sim, call: &Call) -> Result<(Subscription, Vec<Url>), Failure> {
    let wish: Wish = call.json()?;
    let caller = call.caller.clone().ok_or_else(Failure::denied)?;
    let mailbox = sim.mailbox(call)?;
    let folder = resource_folder(mailbox, &wish.resource)?;
    let known = |word: &str| matches!(word.trim(), "created" | "updated" | "deleted");
    if wish.change_type.is_empty() || !wish.change_type.split(',').all(known) {
        return Err(invalid("The changeType is not created, updated or deleted."));
    }
    if wish.client_state.as_ref().is_some_and(|state| state.len() > SECRET_MOST) {
        return Err(invalid("The clientState is longer than 128 characters."));
    }
    if wish.include_resource_data == Some(true) {
        return Err(invalid("The sandbox sends no resource data."));
    }
    let url = |text: &str| {
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        url.ok_or_else(|| invalid("The notification URL is not a web address."))
    };
    let mut urls = vec![url(&wish.notification_url)?];
    if let Some(text) = &wish.lifecycle_notification_url {
        urls.push(url(text)?);
    }
    let expires_ms = expiration(&wish.expiration_date_time, call.now_ms)?;
    if sim.subscriptions.iter().filter(|one| one.person == caller.person).count() >= MOST {
        let message = "The limit of subscriptions of this mailbox is reached.";
        return Err(Failure::new(StatusCode::FORBIDDEN, "ExtensionError", message));
    }
    let subscription = Subscription {
        id: Uuid::new_v4().to_string(),
        person: caller.person,
        folder,
        change_type: wish.change_type,
        notification_url: wish.notification_url,
        lifecycle_url: wish.lifecycle_notification_url,
        resource: wish.resource,
        expires_ms,
        client_state: wish.client_state,
        immutable: call.prefer().immutable,
    };
    Ok((subscription, urls))
}

fn expiration(text: &str, now_ms: i64) -> Result<i64, Failure> {
    let at = parse_ms(text).ok_or_else(|| invalid("The expirationDateTime is not a time."))?;
    if at <= now_ms || at > now_ms + LIFE_MOST_MS {
        let words = "Subscription expiration can only be 10080 minutes in the future.";
        return Err(Failure::bad("ExtensionError", words));
    }
    Ok(at)
}

/// The folder of `me/mailFolders('inbox')/messages`; None stands for the whole mailbox.
fn resource_folder(mailbox: &Mailbox, resource: &str) -> Result<Option<usize>, Failure> {
    let path = super::routes::plain_path(resource.trim_start_matches('/'));
    let words: Vec<&str> = path.split('/').collect();
    let (rest, is_own) = match words.as_slice() {
        ["me", rest @ ..] => (rest, true),
        ["users", user, rest @ ..] => {
            (rest, *user == mailbox.person.id || mailbox.person.address.eq_ignore_ascii_case(user))
        }
        other => (other, false),
    };
    if !is_own {
        return Err(Failure::denied());
    }
    let is = |word: &str, name: &str| word.eq_ignore_ascii_case(name);
    match rest {
        [messages] if is(messages, "messages") => Ok(None),
        [folders, folder, messages] if is(folders, "mailFolders") && is(messages, "messages") => {
            mailbox.folder_at(folder).map(Some)
        }
        _ => Err(invalid("The sandbox has subscriptions to messages only.")),
    }
}

/// Which endpoints a creation has to hear from before it is answered.
pub(crate) fn endpoints(sim: &mut Sim, call: &Call) -> Result<Vec<Url>, Failure> {
    checked(sim, call).map(|(_, urls)| urls)
}

/// `POST /subscriptions`
pub(crate) fn create(sim: &mut Sim, call: &Call) -> Outcome {
    let (subscription, _) = checked(sim, call)?;
    let refused = |why: &str| {
        let message = format!("Subscription validation request failed. {why}");
        Failure::bad("ValidationError", message)
    };
    match &call.validated {
        Some(Ok(())) => {}
        Some(Err(why)) => return Err(refused(why)),
        None => return Err(refused("In a batch the sandbox validates no endpoint.")),
    }
    let wire = subscription.wire(sim);
    sim.subscriptions.push(subscription);
    sim.subscriptions_touched = true;
    Reply::json(StatusCode::CREATED, &wire)
}

/// `GET /subscriptions`
pub(crate) fn list(sim: &mut Sim, call: &Call) -> Outcome {
    let person = sim.target(call)?;
    let live = sim.subscriptions.iter().filter(|one| one.person == person && one.expires_ms > call.now_ms);
    let value: Vec<Value> = live.map(|one| one.wire(sim)).collect();
    Reply::ok(
        &json!({"@odata.context": format!("{}/v1.0/$metadata#subscriptions", call.origin), "value": value}),
    )
}

fn find(sim: &mut Sim, call: &Call) -> Result<usize, Failure> {
    let person = sim.target(call)?;
    let live = |one: &Subscription| {
        one.person == person && one.expires_ms > call.now_ms && one.id == call.param("id")
    };
    let at = sim.subscriptions.iter().position(live);
    at.ok_or_else(|| Failure::not_found("ResourceNotFound", "The object was not found."))
}

/// `GET /subscriptions/{id}`
pub(crate) fn get(sim: &mut Sim, call: &Call) -> Outcome {
    let at = find(sim, call)?;
    Reply::ok(&sim.subscriptions[at].wire(sim))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Renewal {
    expiration_date_time: String,
}

/// `PATCH /subscriptions/{id}`
pub(crate) fn renew(sim: &mut Sim, call: &Call) -> Outcome {
    let Renewal { expiration_date_time } = call.json()?;
    let at = find(sim, call)?;
    sim.subscriptions[at].expires_ms = expiration(&expiration_date_time, call.now_ms)?;
    sim.subscriptions_touched = true;
    Reply::ok(&sim.subscriptions[at].wire(sim))
}

/// `POST /subscriptions/{id}/reauthorize`
pub(crate) fn reauthorize(sim: &mut Sim, call: &Call) -> Outcome {
    find(sim, call)?;
    Reply::empty(StatusCode::OK)
}

/// `DELETE /subscriptions/{id}`
pub(crate) fn delete(sim: &mut Sim, call: &Call) -> Outcome {
    let at = find(sim, call)?;
    sim.subscriptions.remove(at);
    sim.subscriptions_touched = true;
    Reply::empty(StatusCode::NO_CONTENT)
}

/// Turns what happened in the mailboxes into notifications for those who wait for them.
pub(crate) fn gather(sim: &mut Sim) {
    let now_ms = sim.clock.now_ms();
    let due_ms = now_ms + sim.settings.notification_delay_ms;
    let before = sim.subscriptions.len();
    sim.subscriptions.retain(|one| one.expires_ms > now_ms);
    sim.subscriptions_touched |= before != sim.subscriptions.len();
    for (person, mailbox) in sim.boxes.iter_mut().enumerate() {
        let notices = std::mem::take(&mut mailbox.notices);
        for one in sim.subscriptions.iter().filter(|one| one.person == person) {
            for notice in notices.iter().filter(|notice| one.wants(notice)) {
                let body = json!({"value": [one.notification(mailbox, notice)]});
                let url = one.notification_url.clone();
                let delivery = Delivery { url, body, due_ms, first_ms: now_ms, attempts: 0 };
                let times = match sim.dials.notifications {
                    super::sim::Notifications::Lost => 0,
                    super::sim::Notifications::Once => 1,
                    super::sim::Notifications::Twice => 2,
                };
                sim.outgoing.extend(std::iter::repeat_n(delivery, times));
            }
        }
    }
}

/// Tells an app about its subscriptions: one, or those of a user. Answers how many were told.
pub(crate) fn lifecycle(sim: &mut Sim, word: &str, chosen: impl Fn(&Subscription) -> bool) -> usize {
    let now_ms = sim.clock.now_ms();
    let told: Vec<Subscription> = sim.subscriptions.iter().filter(|one| chosen(one)).cloned().collect();
    for one in &told {
        let body = json!({"value": [{
            "subscriptionId": one.id, "subscriptionExpirationDateTime": seconds(one.expires_ms),
            "tenantId": TENANT_ID, "clientState": one.client_state, "lifecycleEvent": word,
        }]});
        let url = one.lifecycle_url.clone();
        sim.outgoing.extend(url.map(|url| Delivery {
            url,
            body,
            due_ms: now_ms,
            first_ms: now_ms,
            attempts: 0,
        }));
    }
    if word == "subscriptionRemoved" {
        sim.subscriptions.retain(|one| !told.iter().any(|gone| gone.id == one.id));
        sim.subscriptions_touched = true;
    }
    told.len()
}
