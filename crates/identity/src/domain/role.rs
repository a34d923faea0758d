use model::Role;

use crate::error::Refusal;

/// Who may give which role. `by` is the caller's role; a key has none and counts as an Admin.
pub(crate) fn may_set(by: Option<Role>, from: Role, to: Role, owners: i64) -> Result<(), Refusal> {
    if from == to {
        return Ok(());
    }
    if (from == Role::Owner || to == Role::Owner) && by != Some(Role::Owner) {
        return Err(owner_required());
    }
    if from == Role::Owner && owners <= 1 {
        let message = "This is the last Owner. Make somebody else an Owner first.";
        return Err(Refusal::precondition("last_owner", message));
    }
    Ok(())
}

/// Who may invite a new person with this role.
pub(crate) fn may_invite(by: Option<Role>, role: Role) -> Result<(), Refusal> {
    if role == Role::Owner && by != Some(Role::Owner) { Err(owner_required()) } else { Ok(()) }
}

/// Who may make a link by which somebody who is a user already can be signed in as: an Owner, or whoever stands
/// above that user. Otherwise an Admin could act as an Owner.
pub(crate) fn may_link(by: Option<Role>, role: Role) -> Result<(), Refusal> {
    if by == Some(Role::Owner) || role < by.unwrap_or(Role::Admin) {
        return Ok(());
    }
    let message = "Only an Owner may make a link for somebody of the same or a higher role.";
    Err(Refusal::denied("owner_required", message))
}

fn owner_required() -> Refusal {
    Refusal::denied("owner_required", "Only an Owner may make or change an Owner.")
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};

    use super::*;

    fn role() -> impl Strategy<Value = Role> {
        select(Role::ALL.to_vec())
    }

    proptest! {
        #[test]
        fn whatever_is_tried_an_owner_remains_and_only_owners_touch_owners(
            by in proptest::option::of(role()), from in role(), to in role(), others in 0_i64..3,
        ) {
            let owners = others + i64::from(from == Role::Owner);
            let allowed = may_set(by, from, to, owners).is_ok();
            let owners_after = others + i64::from(to == Role::Owner);
            prop_assert!(!allowed || owners == 0 || owners_after > 0);
            let touches_owner = from != to && (from == Role::Owner || to == Role::Owner);
            prop_assert!(!allowed || !touches_owner || by == Some(Role::Owner));
        }

        #[test]
        fn a_link_never_lifts_its_maker(by in proptest::option::of(role()), role in role()) {
            let rank = by.unwrap_or(Role::Admin);
            prop_assert!(may_link(by, role).is_err() || role < rank || rank == Role::Owner);
            prop_assert!(may_invite(by, role).is_err() || role <= rank || role != Role::Owner);
        }
    }
}
