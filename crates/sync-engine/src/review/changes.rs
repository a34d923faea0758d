//! Changes of a mapping that wait for their plan to be applied.

use std::collections::{BTreeMap, BTreeSet};

use model::{Caller, MappingId};
use sqlx::PgConnection;

use super::{Changed, describe, describe_settings, differences};
use crate::{
    Error,
    domain::mapping::{FieldMapping, Mapping, MappingState, Settings},
    drifts,
    engine::Engine,
    error::Refusal,
    publisher::request_capture,
    store,
};

/// A setting that would be another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// The canonical field; empty for the mapping itself.
    pub(crate) field: String,
    pub(crate) setting: String,
    pub(crate) before: String,
    pub(crate) after: String,
}

/// What differs between two settings of a mapping as far as records sync otherwise.
pub(crate) fn pending(before: &Settings, after: &Settings) -> Vec<Change> {
    let change = |field: &str, changed: Changed| {
        let field = field.to_owned();
        changed.into_iter().map(move |(setting, (before, after))| Change {
            field: field.clone(),
            setting,
            before,
            after,
        })
    };
    let whole = differences(&describe_settings(before), &describe_settings(after));
    let none = FieldMapping::unmapped();
    let of = |settings: &Settings, name: &str| flowing(settings.fields.get(name).unwrap_or(&none));
    let names: BTreeSet<&String> = before.fields.keys().chain(after.fields.keys()).collect();
    let fields =
        names.into_iter().flat_map(|name| change(name, differences(&of(before, name), &of(after, name))));
    change("", whole).chain(fields).collect()
}

/// The settings of a field by which values flow; those of one through which none do decide nothing.
fn flowing(field: &FieldMapping) -> BTreeMap<&'static str, String> {
    let none = FieldMapping::unmapped();
    let mut described = describe(if field.effective().is_some() { field } else { &none });
    described.remove("state");
    described.remove("pii");
    described
}

impl Engine {
    /// Stores what somebody changed, at once or to wait for its plan.
    pub(super) async fn change(
        &self,
        tx: &mut PgConnection,
        mapping: &mut Mapping,
        edited: Settings,
    ) -> Result<(), Error> {
        let waited = mapping.draft.is_some();
        mapping.change(edited);
        drifts::forget_settled(tx, mapping, self.clock.now()).await?;
        store::mappings::update(tx, mapping).await?;
        if waited && mapping.draft.is_none() {
            self.forget_plan(tx, mapping).await?;
        }
        Ok(())
    }

    /// Drops the changes that wait; the mapping stays as it works.
    pub(crate) async fn discard_changes(&self, caller: &Caller, id: MappingId) -> Result<Mapping, Error> {
        let mut tx = self.pool.begin().await?;
        let mut mapping = self.own_mapping(&mut tx, caller, id).await?;
        if mapping.draft.take().is_none() {
            let message = "no change of the mapping waits to be applied";
            return Err(Error::refused(Refusal::NotReady, "nothing_pending", message));
        }
        store::mappings::update(&mut tx, &mut mapping).await?;
        self.forget_plan(&mut tx, &mapping).await?;
        self.say(&mut tx, caller, &mapping, "changes_discarded", None, Changed::new()).await?;
        self.done(tx).await?;
        Ok(mapping)
    }

    /// There is nothing to plan any more, and nothing to be read for it.
    async fn forget_plan(&self, tx: &mut PgConnection, mapping: &Mapping) -> Result<(), Error> {
        if !store::plans::remove_unapplied(tx, mapping.id).await? {
            return Ok(());
        }
        // What a pause left of changes that were being applied is still to be merged.
        if mapping.state == MappingState::Active {
            store::beside::clear(tx, mapping.id).await?;
        }
        request_capture(self, tx, mapping, false).await
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{
        mapping::{Direction, FieldState, Policy},
        rule::{Blank, Transform},
    };

    fn fields() -> impl Strategy<Value = FieldMapping> {
        let state =
            prop::sample::select(vec![FieldState::Confirmed, FieldState::AutoMapped, FieldState::Suggested]);
        let vendor_field = prop::option::of(prop::sample::select(vec!["a".to_owned(), "b".to_owned()]));
        let direction =
            prop::option::of(prop::sample::select(vec![Direction::ToVendor, Direction::Bidirectional]));
        let policy = prop::option::of(prop::sample::select(vec![Policy::Crm, Policy::Platform]));
        let blank = prop::option::of(Just(Blank::OnlyFills));
        let transforms = prop::sample::select(vec![Vec::new(), vec![Transform::Trim]]);
        (state, vendor_field, direction, policy, blank, transforms, any::<bool>()).prop_map(
            |(state, vendor_field, direction, policy, blank, transforms, pii)| FieldMapping {
                vendor_field,
                direction,
                policy,
                blank,
                transforms,
                pii,
                ..FieldMapping { state, ..FieldMapping::unmapped() }
            },
        )
    }

    fn settings() -> impl Strategy<Value = Settings> {
        let direction = prop::sample::select(vec![Direction::FromVendor, Direction::Bidirectional]);
        (direction, prop::collection::btree_map("[xy]", fields(), 0..3))
            .prop_map(|(direction, fields)| Settings { direction, fields, ..Settings::default() })
    }

    proptest! {
        #[test]
        fn what_would_sync_records_otherwise_is_shown_and_nothing_else_is(before in settings(), after in settings()) {
            prop_assert_eq!(pending(&before, &after).is_empty(), before.sync_like(&after));
        }
    }
}
