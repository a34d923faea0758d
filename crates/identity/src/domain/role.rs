use model::{Actor, Caller, Role, UserId};

use crate::error::Refusal;

/// Who may give which role: whoever has every scope of the old and of the new one, and for Owners an Owner only.
pub(crate) fn may_set(by: &Caller, from: Role, to: Role, owners: i64) -> Result<(), Refusal> {
    if from == to {
        return Ok(());
    }
    if (from == Role::Owner || to == Role::Owner) && by.role != Some(Role::Owner) {
        return Err(owner_required());
    }
    covers(by, from)?;
    covers(by, to)?;
    if from == Role::Owner && owners <= 1 {
        let message = "This is the last Owner. Make somebody else an Owner first.";
        return Err(Refusal::precondition("last_owner", message));
    }
    Ok(())
}

/// Who may remove somebody from the organization: whoever may take their role away, and nobody themselves.
pub(crate) fn may_remove(by: &Caller, user: UserId, role: Role, owners: i64) -> Result<(), Refusal> {
    if by.actor == Actor::User(user) {
        let message = "You cannot remove yourself. Ask another Owner or Admin to do it.";
        return Err(Refusal::precondition("own_user", message));
    }
    if role == Role::Owner && by.role != Some(Role::Owner) {
        return Err(Refusal::denied("owner_required", "Only an Owner may remove an Owner."));
    }
    covers(by, role)?;
    if role == Role::Owner && owners <= 1 {
        let message = "This is the last Owner. Make somebody else an Owner first.";
        return Err(Refusal::precondition("last_owner", message));
    }
    Ok(())
}

/// Who may invite a new person with this role.
pub(crate) fn may_invite(by: &Caller, role: Role) -> Result<(), Refusal> {
    if role == Role::Owner && by.role != Some(Role::Owner) {
        return Err(owner_required());
    }
    covers(by, role)
}

/// Who may make a link by which somebody who is a user already can be signed in as: an Owner, or whoever stands
/// above that user. Otherwise an Admin could act as an Owner. A key has no role and counts as an Admin at most.
pub(crate) fn may_link(by: &Caller, role: Role) -> Result<(), Refusal> {
    if by.role != Some(Role::Owner) && role >= by.role.unwrap_or(Role::Admin) {
        let message = "Only an Owner may make a link for somebody of the same or a higher role.";
        return Err(Refusal::denied("owner_required", message));
    }
    covers(by, role)
}

/// Nobody lets another person do what they may not do themselves: a key may have few scopes.
fn covers(by: &Caller, role: Role) -> Result<(), Refusal> {
    let scopes = role.scopes();
    let Some(above) = scopes.difference(&by.scopes).next() else { return Ok(()) };
    let message = format!("The role {role} may do {above}, which you may not do yourself.");
    Err(Refusal::denied("role_above_own", message).at("role"))
}

fn owner_required() -> Refusal {
    Refusal::denied("owner_required", "Only an Owner may make or change an Owner.")
}

#[cfg(test)]
mod tests {
    use model::{OrganizationId, Scope};
    use proptest::{
        prelude::*,
        sample::{select, subsequence},
    };

    use super::*;

    fn role() -> impl Strategy<Value = Role> {
        select(Role::ALL.to_vec())
    }

    fn caller() -> impl Strategy<Value = Caller> {
        let scopes = subsequence(Scope::ALL.to_vec(), 0..=Scope::ALL.len());
        (proptest::option::of(role()), scopes).prop_map(|(role, scopes)| Caller {
            organization: OrganizationId::from_uuid(uuid::Uuid::nil()),
            actor: Actor::Service("test"),
            role,
            // A person has the scopes of their role, a key those that it was given.
            scopes: role.map_or_else(|| scopes.into_iter().collect(), Role::scopes),
        })
    }

    proptest! {
        #[test]
        fn whatever_is_tried_an_owner_remains_and_only_owners_touch_owners(
            by in caller(), from in role(), to in role(), others in 0_i64..3,
        ) {
            let owners = others + i64::from(from == Role::Owner);
            let allowed = may_set(&by, from, to, owners).is_ok();
            let owners_after = others + i64::from(to == Role::Owner);
            prop_assert!(!allowed || owners == 0 || owners_after > 0);
            let touches_owner = from != to && (from == Role::Owner || to == Role::Owner);
            prop_assert!(!allowed || !touches_owner || by.role == Some(Role::Owner));
        }

        #[test]
        fn whoever_is_removed_an_owner_remains_and_only_owners_remove_owners(
            by in caller(), role in role(), others in 0_i64..3,
        ) {
            let owners = others + i64::from(role == Role::Owner);
            let somebody = UserId::from_uuid(uuid::Uuid::from_u128(7));
            let allowed = may_remove(&by, somebody, role, owners).is_ok();
            prop_assert!(!allowed || role != Role::Owner || (by.role == Some(Role::Owner) && others > 0));
            prop_assert!(!allowed || role.scopes().is_subset(&by.scopes));
            let themselves = Caller { actor: Actor::User(somebody), ..by };
            prop_assert!(may_remove(&themselves, somebody, role, owners).is_err());
        }

        #[test]
        fn a_link_never_lifts_its_maker(by in caller(), role in role()) {
            let rank = by.role.unwrap_or(Role::Admin);
            prop_assert!(may_link(&by, role).is_err() || role < rank || rank == Role::Owner);
            prop_assert!(may_invite(&by, role).is_err() || role <= rank || role != Role::Owner);
        }

        #[test]
        fn nobody_makes_anybody_who_may_do_more_than_they(by in caller(), from in role(), to in role()) {
            let covered = to.scopes().is_subset(&by.scopes);
            prop_assert!(covered || may_invite(&by, to).is_err());
            prop_assert!(covered || may_link(&by, to).is_err());
            prop_assert!(covered || from == to || may_set(&by, from, to, 2).is_err());
        }
    }
}
