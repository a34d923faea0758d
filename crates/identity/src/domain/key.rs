use std::collections::BTreeSet;

use jiff::Timestamp;
use model::{PartnerId, Scope};

use super::{secret::SecretKind, text};
use crate::error::Refusal;

/// Which kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    Api,
    Integration,
}

impl KeyKind {
    /// As it is stored.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Api => "api_key",
            Self::Integration => "integration_key",
        }
    }

    pub(crate) const fn secret(self) -> SecretKind {
        match self {
            Self::Api => SecretKind::ApiKey,
            Self::Integration => SecretKind::IntegrationKey,
        }
    }
}

/// A key that somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// What people call it, 1 to 200 characters.
    pub label: String,
    /// The sibling product of an integration key; the partner of an API key that is only theirs, else empty.
    pub product: String,
    /// What it may do; at least one scope.
    pub scopes: BTreeSet<Scope>,
    /// When it ends; never when none.
    pub expires_at: Option<Timestamp>,
}

impl NewKey {
    /// The key as it may be minted by a caller who has these scopes.
    pub(crate) fn check(self, kind: KeyKind, own: &BTreeSet<Scope>, now: Timestamp) -> Result<Self, Refusal> {
        let label = text::name("label", &self.label)?;
        let product = match kind {
            KeyKind::Api => partner(&self.product)?,
            KeyKind::Integration => text::product(&self.product)?,
        };
        if self.scopes.is_empty() {
            return Err(Refusal::invalid("scopes_missing", "A key needs at least one scope.").at("scopes"));
        }
        ceiling(&self.scopes, own)?;
        if self.expires_at.is_some_and(|at| at <= now) {
            return Err(
                Refusal::invalid("expires_at_invalid", "A key must end in the future.").at("expires_at")
            );
        }
        Ok(Self { label, product, ..self })
    }
}

/// The id of a partner, behind `form:` where it is for their form; empty where it is for none.
fn partner(text: &str) -> Result<String, Refusal> {
    if text.is_empty() || text.strip_prefix("form:").unwrap_or(text).parse::<PartnerId>().is_ok() {
        return Ok(text.to_owned());
    }
    Err(Refusal::invalid("partner_invalid", "That is no partner's id.").at("scopes"))
}

/// The partner whom a key is for that is asked for by the one scope `partner:ptnr_…`, and what such a key may read; or
/// `form:ptnr_…`, the same for the link to a partner's form, which registers deals as well. Its maker may do both.
pub(crate) fn for_partner(scopes: &[String]) -> Option<(String, Vec<String>)> {
    let [scope] = scopes else { return None };
    let may = |scopes: &[Scope]| scopes.iter().map(|scope| scope.name().to_owned()).collect();
    if scope.starts_with("form:") {
        return Some((scope.clone(), may(&[Scope::PartnersRead, Scope::RecordsWrite])));
    }
    let is_id = |partner: &&str| !partner.is_empty() && !partner.starts_with("form:");
    let partner = scope.strip_prefix("partner:").filter(is_id)?;
    Some((partner.to_owned(), may(&[Scope::PartnersRead, Scope::CommissionsRead])))
}

/// Nobody gives a key more than they have.
pub(crate) fn ceiling(wanted: &BTreeSet<Scope>, own: &BTreeSet<Scope>) -> Result<(), Refusal> {
    let Some(above) = wanted.difference(own).next() else { return Ok(()) };
    let message = format!("A key cannot have the scope {above}, which you do not have yourself.");
    Err(Refusal::denied("scope_above_own", message).at("scopes"))
}

/// What becomes of a key when its maker may do less than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Demoted {
    /// It may do no more than its maker still may.
    Untouched,
    /// It keeps what its maker still may.
    Narrowed(BTreeSet<Scope>),
    /// Nothing is left of it.
    Revoked,
}

/// Keeps a key of somebody who now has these scopes within them.
pub(crate) fn demote(scopes: &BTreeSet<Scope>, of_maker: &BTreeSet<Scope>) -> Demoted {
    let kept: BTreeSet<Scope> = scopes.intersection(of_maker).copied().collect();
    match kept.len() {
        0 => Demoted::Revoked,
        all if all == scopes.len() => Demoted::Untouched,
        _ => Demoted::Narrowed(kept),
    }
}

/// Reads the names of scopes.
pub(crate) fn scopes(names: &[String]) -> Result<BTreeSet<Scope>, Refusal> {
    names.iter().map(|name| name.parse()).collect::<Result<_, _>>().map_err(|_| {
        let known = Scope::ALL.map(Scope::name).join(", ");
        Refusal::invalid("scope_unknown", format!("A scope is one of {known}.")).at("scopes")
    })
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::subsequence};

    use super::*;

    fn some_scopes() -> impl Strategy<Value = BTreeSet<Scope>> {
        subsequence(Scope::ALL.to_vec(), 0..=Scope::ALL.len()).prop_map(|scopes| scopes.into_iter().collect())
    }

    proptest! {
        #[test]
        fn a_key_never_has_more_scopes_than_its_maker(wanted in some_scopes(), own in some_scopes()) {
            let new = NewKey { label: "key".into(), product: String::new(), scopes: wanted.clone(), expires_at: None };
            let minted = new.check(KeyKind::Api, &own, Timestamp::UNIX_EPOCH);
            prop_assert_eq!(minted.is_ok(), !wanted.is_empty() && wanted.is_subset(&own));
        }

        #[test]
        fn after_a_demotion_a_key_may_do_what_it_could_and_its_maker_still_may(
            had in some_scopes(), own in some_scopes(),
        ) {
            prop_assume!(!had.is_empty());
            let kept = match demote(&had, &own) {
                Demoted::Untouched => had.clone(),
                Demoted::Narrowed(kept) => kept,
                Demoted::Revoked => BTreeSet::new(),
            };
            prop_assert_eq!(kept, had.intersection(&own).copied().collect::<BTreeSet<_>>());
        }
    }
}
