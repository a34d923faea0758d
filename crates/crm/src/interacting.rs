//! What vendors answered to messages, and what people clicked in them.

use std::sync::Arc;

use bus::{
    Bus, Message, inbox,
    outbox::{self, Waker},
    subject,
};
use jiff::Timestamp;
use model::{
    Actor, AnswerPrivately, Clock, ConnectionId, DealRegistrationId, DecisionRefused, InteractionReceived,
    MessagePosted, OrganizationId, RecordId, Role, Scope, UserId, VendorUserTold, kind,
};
use sqlx::{PgConnection, PgPool};

use crate::{
    Error,
    deciding::{Outcome, decide_registration},
    domain::{
        registration::{Fact, Refused},
        telling::{self as words, APPROVE, REJECT},
    },
    hearing::Hears,
    publisher,
    store::{self, vendor_users::VendorUser},
    telling,
    text::{self, LONGEST_NAME, LONGEST_NOTE},
};

/// Hears what became of messages and what people do with them.
pub(crate) struct Interactions {
    pub(crate) pool: PgPool,
    pub(crate) bus: Bus,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) waker: Waker,
}

/// What is heard.
pub(crate) enum Heard {
    Posted(MessagePosted),
    Interaction(Box<InteractionReceived>),
    Person(Box<VendorUserTold>),
}

impl Hears for Interactions {
    const STREAM: &'static str = subject::CHANGES;
    const DURABLE: &'static str = "crm-interactions";
    const FILTERS: &'static [&'static str] = &[subject::ALL_POSTED, subject::ALL_INTERACTIONS];
    const FAILED: &'static str = "crm_interaction_failed";
    type Heard = Heard;

    fn bus(&self) -> &Bus {
        &self.bus
    }

    fn read(message: &Message) -> Result<Option<Heard>, bus::Error> {
        Ok(match message.envelope.kind.as_str() {
            kind::POSTED => Some(Heard::Posted(message.decode()?)),
            kind::INTERACTION => Some(Heard::Interaction(Box::new(message.decode()?))),
            kind::VENDOR_USER => Some(Heard::Person(Box::new(message.decode()?))),
            _ => None,
        })
    }

    async fn keep(&self, message: &Message, heard: &Heard) -> Result<(), Error> {
        let mut tx = self.pool.begin().await?;
        let organization = message.envelope.organization;
        let cause = message.envelope.id.as_str();
        match heard {
            Heard::Posted(posted) => {
                let now = text::micros(self.clock.now());
                keep_posted(&mut tx, organization, posted, cause, now).await?;
            }
            Heard::Interaction(received) => {
                let vendor = message.subject.rsplit('.').next().unwrap_or_default();
                let scene = Scene { organization, vendor, cause, received };
                // The vendor's own id of it: the same click may have come in another message.
                let known = format!("{}/{}", received.connection, received.id);
                if inbox::fresh(&mut tx, Self::DURABLE, &[known]).await?.is_empty() {
                    return Ok(());
                }
                self.act(&mut tx, &scene).await?;
            }
            Heard::Person(told) => {
                let vendor = message.subject.rsplit('.').next().unwrap_or_default();
                let user = person(vendor, told.connection, &told.user);
                store::vendor_users::told(&mut tx, organization, &user).await?;
            }
        }
        tx.commit().await?;
        self.waker.wake();
        Ok(())
    }
}

/// What a vendor answered; a repeat changes nothing.
async fn keep_posted(
    tx: &mut PgConnection,
    organization: OrganizationId,
    posted: &MessagePosted,
    cause: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let found = store::posts::lock(&mut *tx, organization, posted.connection, posted.post).await?;
    let Some(mut post) = found else { return Ok(()) };
    let error = posted.error.as_deref().unwrap_or_default();
    store::posts::answered(&mut *tx, post.id, posted.message.as_deref(), error, now).await?;
    store::rules::answered(&mut *tx, post.rule, error, now).await?;
    post.message = posted.message.clone().or(post.message);
    if post.replaces.is_some() {
        return Ok(());
    }
    telling::refresh(tx, &post, cause, now).await
}

/// Where somebody did what.
struct Scene<'a> {
    organization: OrganizationId,
    vendor: &'a str,
    cause: &'a str,
    received: &'a InteractionReceived,
}

/// What somebody wants of a registration.
enum Wish {
    Approve,
    Reject(String),
}

impl Wish {
    const fn name(&self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject(_) => "reject",
        }
    }
}

/// Why somebody's wish is not granted.
struct Denied {
    reason: &'static str,
    /// What the person is told.
    words: String,
}

fn denied(reason: &'static str, words: impl Into<String>) -> Denied {
    Denied { reason, words: words.into() }
}

impl Interactions {
    /// Does what somebody clicked, or tells the person why not.
    async fn act(&self, tx: &mut PgConnection, scene: &Scene<'_>) -> Result<(), Error> {
        let received = scene.received;
        let now = text::micros(self.clock.now());
        let wish = match received.action.as_str() {
            APPROVE => Wish::Approve,
            // The connector asks for the reason first.
            REJECT if received.kind == "button" => return Ok(()),
            REJECT => Wish::Reject(received.fields.get("reason").cloned().unwrap_or_default()),
            other => {
                tracing::warn!(action = other, "somebody clicked what is not known here");
                return Ok(());
            }
        };
        let user = person(scene.vendor, received.connection, &received.user);
        let user = VendorUser { seen_at: Some(now), ..user };
        let person = store::vendor_users::seen(&mut *tx, scene.organization, &user).await?;
        let words = match self.grant(&mut *tx, scene, person, &wish).await? {
            // The message itself tells everybody.
            Ok(None) => return Ok(()),
            Ok(Some(words)) => words,
            Err(denied) => {
                let refused = DecisionRefused {
                    registration: received.value.parse().ok(),
                    decision: wish.name().to_owned(),
                    vendor: scene.vendor.to_owned(),
                    connection: received.connection,
                    vendor_user: user.id.clone(),
                    user: person,
                    reason: denied.reason.to_owned(),
                    at: now,
                };
                let actor = person.map_or(Actor::Connection(received.connection), Actor::User);
                let message =
                    publisher::refused(scene.organization, &refused, &actor.to_string(), scene.cause)?;
                outbox::enqueue(&mut *tx, &[message]).await?;
                denied.words
            }
        };
        let answer = AnswerPrivately {
            connection: received.connection,
            interaction: received.id.clone(),
            channel: received.channel.clone(),
            user: received.user.id.clone(),
            text: words,
            reply: received.reply.clone(),
        };
        let message = publisher::answer(scene.organization, scene.vendor, &answer, scene.cause, now)?;
        Ok(outbox::enqueue(tx, &[message]).await?)
    }

    /// Decides as the person, as a call of the person would be decided. None where there is nothing to tell.
    async fn grant(
        &self,
        tx: &mut PgConnection,
        scene: &Scene<'_>,
        person: Option<UserId>,
        wish: &Wish,
    ) -> Result<Result<Option<String>, Denied>, Error> {
        let Some(person) = person else {
            let words =
                "Accord does not know yet who you are. An admin can confirm it: Settings > Integrations.";
            return Ok(Err(denied("user_unmapped", words)));
        };
        let role = store::people::role(&mut *tx, scene.organization, person).await?;
        let role: Option<Role> = role.and_then(|role| role.parse().ok());
        if !role.is_some_and(|role| role.scopes().contains(&Scope::PartnersWrite)) {
            let words = "Your role in Accord does not let you decide about deal registrations.";
            return Ok(Err(denied("role_forbidden", words)));
        }
        if let Wish::Reject(reason) = wish
            && let Err(refusal) = text::required("reason", reason, LONGEST_NOTE)
        {
            return Ok(Err(denied("reason_invalid", format!("It was not rejected: {}", refusal.message))));
        }
        let unknown = || denied("registration_unknown", "There is no such deal registration.");
        let Ok(id) = scene.received.value.parse::<DealRegistrationId>() else { return Ok(Err(unknown())) };
        let actor = Actor::User(person).to_string();
        let deal = RecordId::generate(self.clock.now());
        let fact = |settings: &store::settings::Settings| match wish {
            Wish::Approve => Fact::Approved { by: actor.clone(), deal, days: settings.protected_days },
            Wish::Reject(reason) => Fact::Rejected { by: actor.clone(), reason: reason.trim().to_owned() },
        };
        let about = (scene.organization, id);
        let decided = decide_registration(&mut *tx, self.clock.as_ref(), about, &actor, fact).await?;
        Ok(match decided {
            Outcome::Taken(_) => Ok(None),
            Outcome::Same(_) => Ok(Some("You decided so already. Nothing changed.".to_owned())),
            Outcome::Unknown => Err(unknown()),
            Outcome::Refused(why, registration) => {
                let by = match &registration.standing.decided {
                    Some(decided) => telling::called(tx, scene.organization, &decided.by).await?,
                    None => String::new(),
                };
                Err(match why {
                    Refused::Decided { .. } => {
                        let words = format!("You are too late. {}", words::decision(&registration, &by));
                        denied("already_decided", words)
                    }
                    Refused::Expired => denied(
                        "registration_expired",
                        "You are too late: the time of the registration is over.",
                    ),
                    Refused::ReasonMissing => denied("reason_invalid", "It was not rejected: say why."),
                })
            }
        })
    }
}

/// Somebody of whom a vendor told.
fn person(vendor: &str, connection: ConnectionId, told: &model::VendorUser) -> VendorUser {
    VendorUser {
        connection,
        id: short(&told.id),
        vendor: vendor.to_owned(),
        name: short(&told.name),
        email: short(told.email.as_deref().unwrap_or_default()),
        person: None,
        confirmed_by: String::new(),
        confirmed_at: None,
        seen_at: None,
    }
}

/// What a vendor tells of a person, as it is kept: no longer than a name, and as Postgres stores it.
fn short(text: &str) -> String {
    let mut short: String = text.chars().filter(|c| *c != '\0').take(LONGEST_NAME / 4).collect();
    short.truncate(short.trim_end().len());
    short
}
