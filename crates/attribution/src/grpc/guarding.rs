//! What is believed without asking: the settings, the secret that user ids are signed with, and what is odd about an
//! identify.

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::SignedDuration;
use model::OrganizationId;
use proto::attribution as wire;
use sha2::Sha256;
use tonic::Code;
use vault::{ExposeSecret, Scope, Sealed, SecretString};

use super::{Asker, Service};
use crate::{
    Error,
    domain::{
        facts::Click,
        guard::{Guards, Signing},
        outcome::Suspicion,
    },
    error::Refusal,
    publisher,
    store::{
        self,
        facts::Customer,
        guards::{StoredGuards, find},
    },
    text,
};

/// For how long the secret before the present one is good.
const OVERLAP: SignedDuration = SignedDuration::from_hours(24);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// The largest limit.
const LARGEST: u32 = 1_000_000;

impl Service {
    pub(super) async fn get_guards(
        &self,
        asker: &Asker,
        _request: wire::GetGuardsRequest,
    ) -> Result<wire::Guards, Error> {
        Ok(to_wire(find(&self.pool, asker.organization).await?.as_ref()))
    }

    pub(super) async fn set_guards(
        &self,
        asker: &Asker,
        request: wire::Guards,
    ) -> Result<wire::Guards, Error> {
        let guards = from_wire(&request)?;
        let organization = asker.organization;
        let mut tx = self.changing(organization).await?;
        let stored = find(&mut *tx, organization).await?;
        if guards.signing != Signing::Off && stored.as_ref().is_none_or(|stored| stored.secret.is_none()) {
            let message = "Make a secret to sign with first.";
            return Err(Refusal::conflict("secret_missing", message).into());
        }
        store::guards::put(&mut tx, organization, &guards).await?;
        let told = publisher::settings(organization, "guards", "changed", &asker.actor, self.now())?;
        bus::outbox::enqueue(&mut tx, &[told]).await?;
        let stored = find(&mut *tx, organization).await?;
        self.commit(tx).await?;
        Ok(to_wire(stored.as_ref()))
    }

    pub(super) async fn rotate_identify_secret(
        &self,
        asker: &Asker,
        _request: wire::RotateIdentifySecretRequest,
    ) -> Result<wire::RotateIdentifySecretResponse, Error> {
        let (organization, now) = (asker.organization, self.now());
        let secret = text::new_secret("idsec");
        let sealed = self.vault.seal(&scope(&organization.to_string()), &secret).map_err(sealing)?;
        let mut tx = self.changing(organization).await?;
        if find(&mut *tx, organization).await?.is_none() {
            store::guards::put(&mut tx, organization, &Guards::default()).await?;
        }
        store::guards::put_secret(&mut tx, organization, sealed.as_bytes(), now).await?;
        let told = publisher::settings(organization, "identify_secret", "rotated", &asker.actor, now)?;
        bus::outbox::enqueue(&mut tx, &[told]).await?;
        let stored = find(&mut *tx, organization).await?;
        self.commit(tx).await?;
        Ok(wire::RotateIdentifySecretResponse {
            secret: secret.expose_secret().to_owned(),
            guards: Some(to_wire(stored.as_ref())),
        })
    }

    pub(super) async fn sign_user(
        &self,
        asker: &Asker,
        request: wire::SignUserRequest,
    ) -> Result<wire::SignUserResponse, Error> {
        let user_id = text::required("user_id", &request.user_id, text::LONGEST)?;
        let organization = asker.organization;
        let stored = find(&self.pool, organization).await?;
        let signing = stored.filter(|stored| stored.guards.signing != Signing::Off);
        let Some(sealed) = signing.and_then(|stored| stored.secret) else {
            return Ok(wire::SignUserResponse::default());
        };
        let opened = self.vault.open(&scope(&organization.to_string()), &Sealed::from_bytes(sealed));
        let signature = keyed(&opened.map_err(sealing)?, &user_id).map(|mac| mac.finalize().into_bytes());
        Ok(wire::SignUserResponse { signature: text::hex(&signature.unwrap_or_default()) })
    }

    /// Whether the merchant signed the user id; refuses what may not be believed.
    pub(super) async fn is_signed(
        &self,
        organization: OrganizationId,
        user_id: &str,
        signature: &str,
    ) -> Result<bool, Error> {
        let stored = find(&self.pool, organization).await?;
        let Some(stored) = stored.filter(|stored| stored.guards.signing != Signing::Off) else {
            return Ok(false);
        };
        if signature.is_empty() {
            return match stored.guards.signing {
                Signing::Required => Err(denied("signature_required", "signature is required.")),
                Signing::Off | Signing::On => Ok(false),
            };
        }
        let created_at = stored.secret_created_at;
        let overlaps = created_at.is_some_and(|at| self.now().duration_since(at) < OVERLAP);
        let secrets = stored.secret.into_iter().chain(stored.previous_secret.filter(|_| overlaps));
        let organization = organization.to_string();
        for sealed in secrets {
            let secret =
                self.vault.open(&scope(&organization), &Sealed::from_bytes(sealed)).map_err(sealing)?;
            if is_signature(&secret, user_id, signature) {
                return Ok(true);
            }
        }
        Err(denied("signature_invalid", "signature is not that of this user id."))
    }

    /// What is odd about tying a click to a customer, by what is known of others.
    pub(super) async fn oddness(
        &self,
        customer: &Customer,
        click: &Click,
        person: &str,
    ) -> Result<Option<Suspicion>, Error> {
        let catalog = self.catalogs.current(customer.organization).await?;
        let since = click.identified_at.checked_sub(HOUR).unwrap_or(click.identified_at);
        let seen = store::guards::seen(&self.pool, customer, &click.id, person, since).await?;
        Ok(catalog.guards.suspicion(seen))
    }
}

fn denied(code: &'static str, message: &str) -> Error {
    Error::Refused(Refusal { kind: Code::PermissionDenied, code, field: "", message: message.to_owned() })
}

fn sealing(error: vault::Error) -> Error {
    Error::Stored(format!("a sealed secret: {error}"))
}

fn scope(organization: &str) -> Scope<'_> {
    Scope { organization, connection: "attribution", purpose: "identify_secret" }
}

/// Whether this is HMAC-SHA256 of the user id by the secret, in hexadecimal digits.
fn is_signature(secret: &SecretString, user_id: &str, signature: &str) -> bool {
    let bytes = text::from_hex(signature);
    keyed(secret, user_id).zip(bytes).is_some_and(|(mac, bytes)| mac.verify_slice(&bytes).is_ok())
}

fn keyed(secret: &SecretString, user_id: &str) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).ok()?;
    mac.update(user_id.as_bytes());
    Some(mac)
}

fn from_wire(guards: &wire::Guards) -> Result<Guards, Refusal> {
    let signing = if guards.signed_identify.is_empty() { "off" } else { &guards.signed_identify };
    let wrong = |_| {
        let message = "signed_identify must be off, on or required.";
        Refusal::invalid("signed_identify", "signing_invalid", message)
    };
    let limit = |field, limit: u32| {
        (limit <= LARGEST)
            .then_some(limit)
            .ok_or_else(|| Refusal::invalid(field, "too_large", format!("{field} is more than {LARGEST}.")))
    };
    Ok(Guards {
        signing: signing.parse().map_err(wrong)?,
        users_per_click: limit("users_per_click", guards.users_per_click)?,
        identifies_per_address_hour: limit(
            "identifies_per_address_hour",
            guards.identifies_per_address_hour,
        )?,
        events_per_partner_hour: limit("events_per_partner_hour", guards.events_per_partner_hour)?,
        one_stitch_per_day: guards.one_stitch_per_day,
        known_customers_wait: guards.known_customers_wait,
    })
}

fn to_wire(stored: Option<&StoredGuards>) -> wire::Guards {
    let guards = stored.map(|stored| stored.guards).unwrap_or_default();
    wire::Guards {
        signed_identify: guards.signing.name().to_owned(),
        secret_created_at: stored.and_then(|stored| stored.secret_created_at).map(proto::to_wire_time),
        users_per_click: guards.users_per_click,
        identifies_per_address_hour: guards.identifies_per_address_hour,
        events_per_partner_hour: guards.events_per_partner_hour,
        one_stitch_per_day: guards.one_stitch_per_day,
        known_customers_wait: guards.known_customers_wait,
    }
}
