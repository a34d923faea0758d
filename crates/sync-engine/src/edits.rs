//! Edits made here: create, update and archive records, restore a conflict's losing value. Each is one transaction; what follows for connected systems leaves through the outbox.

use std::{collections::BTreeMap, sync::Arc};

use model::{Caller, CanonicalObject, FieldType, ObjectSchema, OrganizationId, RecordId, Value, kind};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    Error,
    domain::{
        cell::Record,
        sync::{self, Reason},
    },
    engine::Engine,
    error::Refusal,
    mappings,
    store::{self, records::RequestKey},
    unit::{Cause, Scope, Unit, non_blank},
};

/// The longest text of one field, in bytes.
const MAX_VALUE_BYTES: usize = 256 * 1024;

/// The longest idempotency key, in bytes.
const MAX_KEY_BYTES: usize = 255;

impl Engine {
    /// Creates a record. The same idempotency key of the same credential gives the record that it created the first
    /// time, and is refused with another request.
    pub(crate) async fn create_record(
        &self,
        caller: &Caller,
        object: CanonicalObject,
        fields: BTreeMap<String, Value>,
        idempotency_key: &str,
    ) -> Result<Record, Error> {
        if idempotency_key.len() > MAX_KEY_BYTES {
            let message = "an idempotency key has at most 255 bytes";
            return Err(Error::invalid_field("idempotency_key_too_long", "idempotency_key", message));
        }
        let request = serde_json::to_vec(&fields).map_err(|error| Error::stored("a request", error))?;
        let (actor, request) = (caller.actor.to_string(), Sha256::digest(request));
        let key = (!idempotency_key.is_empty()).then_some(RequestKey {
            organization: caller.organization,
            actor: &actor,
            object,
            key: idempotency_key,
            request: &request,
        });
        loop {
            match self.try_create(caller, object, fields.clone(), key).await {
                Err(Error::Moved) => {}
                done => return done,
            }
        }
    }

    async fn try_create(
        &self,
        caller: &Caller,
        object: CanonicalObject,
        fields: BTreeMap<String, Value>,
        key: Option<RequestKey<'_>>,
    ) -> Result<Record, Error> {
        let now = self.clock.now();
        let id = RecordId::generate(now);
        let mut tx = self.pool.begin().await?;
        if let Some(key) = key
            && let Some((earlier, request)) = store::records::take_key(&mut tx, key, id, now).await?
        {
            if request != key.request {
                let message = "this idempotency key came with another request before; send a new one";
                return Err(Error::refused(Refusal::Exists, "idempotency_key_reused", message));
            }
            return store::records::get(&mut tx, caller.organization, earlier)
                .await?
                .ok_or_else(|| Error::not_found("record"));
        }
        store::records::lock_creation(&mut tx, caller.organization, object).await?;
        let schema = mappings::canonical_schema(&mut tx, caller.organization, object).await?;
        let fields = non_blank(fit(&schema, fields)?);
        for required in schema.fields.iter().filter(|field| field.required) {
            if !fields.contains_key(&required.name) {
                return Err(Error::invalid_field(
                    "field_required",
                    &required.name,
                    "this field cannot be blank",
                ));
            }
        }
        let cause = self.cause(caller);
        let mappings = self.mappings.load(&mut tx, &[caller.organization]).await?;
        let mut unit = Unit::load(&mut tx, now, mappings, Scope::default()).await?;
        let mut record = Record::new(id, caller.organization, object, now);
        let changes = sync::edit(&mut record, fields, now, &cause.actor, Reason::Edited);
        unit.create(record, changes, &cause);
        let record = unit.record(id).cloned().ok_or_else(|| Error::not_found("record"))?;
        unit.flush(&mut tx).await?;
        tx.commit().await?;
        self.waker.wake();
        Ok(record)
    }

    /// Changes fields of a record.
    pub(crate) async fn update_record(
        &self,
        caller: &Caller,
        id: RecordId,
        fields: BTreeMap<String, Value>,
        if_version: Option<i64>,
        reason: Reason,
    ) -> Result<Record, Error> {
        let mut tx = self.pool.begin().await?;
        let record = self.update_in(&mut tx, caller, id, fields, if_version, reason).await?;
        tx.commit().await?;
        self.waker.wake();
        Ok(record)
    }

    async fn update_in(
        &self,
        tx: &mut sqlx::PgConnection,
        caller: &Caller,
        id: RecordId,
        fields: BTreeMap<String, Value>,
        if_version: Option<i64>,
        reason: Reason,
    ) -> Result<Record, Error> {
        let mappings = self.mappings.load(tx, &[caller.organization]).await?;
        let scope = Scope { records: vec![id], ..Scope::default() };
        let mut unit = Unit::load(tx, self.clock.now(), mappings, scope).await?;
        let record = own(&unit, caller.organization, id)?;
        if let Some(version) = if_version.filter(|version| *version != record.version) {
            let message =
                format!("the record is at version {}, not {version}; read it again", record.version);
            return Err(Error::refused(Refusal::Changed, "version_changed", message));
        }
        if record.archived_at.is_some() {
            return Err(Error::refused(Refusal::NotReady, "record_archived", "the record is archived"));
        }
        let schema = mappings::canonical_schema(tx, caller.organization, record.object).await?;
        let fields = fit(&schema, fields)?;
        for required in schema.fields.iter().filter(|field| field.required) {
            if fields.get(&required.name).is_some_and(Value::is_blank) {
                return Err(Error::invalid_field(
                    "field_required",
                    &required.name,
                    "this field cannot be blank",
                ));
            }
        }
        let cause = self.cause(caller);
        unit.edit(id, kind::RECORD_CHANGED, &cause, |record| {
            sync::edit(record, fields, cause.at, &cause.actor, reason)
        });
        let record = own(&unit, caller.organization, id)?.clone();
        unit.flush(tx).await?;
        Ok(record)
    }

    /// Archives a record here. What becomes of the vendors' is their mappings' delete policy; its values are written to
    /// none any more.
    pub(crate) async fn archive_record(&self, caller: &Caller, id: RecordId) -> Result<Record, Error> {
        let mut tx = self.pool.begin().await?;
        let mappings = self.mappings.load(&mut tx, &[caller.organization]).await?;
        let scope = Scope { records: vec![id], ..Scope::default() };
        let mut unit = Unit::load(&mut tx, self.clock.now(), mappings, scope).await?;
        let record = own(&unit, caller.organization, id)?.clone();
        if record.archived_at.is_some() {
            return Ok(record);
        }
        let cause = self.cause(caller);
        unit.edit(id, kind::RECORD_ARCHIVED, &cause, |record| {
            record.archived_at = Some(cause.at);
            Vec::new()
        });
        let record = own(&unit, caller.organization, id)?.clone();
        unit.flush(&mut tx).await?;
        tx.commit().await?;
        self.waker.wake();
        Ok(record)
    }

    /// Puts the losing value of a conflict back, as an edit of the caller.
    pub(crate) async fn restore_conflict(&self, caller: &Caller, id: Uuid) -> Result<Record, Error> {
        let mut tx = self.pool.begin().await?;
        let conflict = store::conflicts::lock(&mut tx, caller.organization, id)
            .await?
            .ok_or_else(|| Error::not_found("conflict"))?;
        if conflict.restored_at.is_some() {
            return Err(Error::refused(
                Refusal::NotReady,
                "already_restored",
                "its value was restored before",
            ));
        }
        store::conflicts::restored(&mut tx, id, self.clock.now()).await?;
        let fields = BTreeMap::from([(conflict.field, conflict.lost)]);
        let record = self.update_in(&mut tx, caller, conflict.record, fields, None, Reason::Restored).await?;
        tx.commit().await?;
        self.waker.wake();
        Ok(record)
    }

    /// A request of this caller, now.
    pub(crate) fn cause(&self, caller: &Caller) -> Arc<Cause> {
        Arc::new(Cause {
            id: Uuid::now_v7().to_string(),
            actor: caller.actor.to_string(),
            at: self.clock.now(),
            taken_at: self.clock.now(),
            lane: None,
            vendor: None,
            connection: None,
            traceparent: None,
        })
    }
}

fn own(unit: &Unit, organization: OrganizationId, id: RecordId) -> Result<&Record, Error> {
    unit.record(id)
        .filter(|record| record.organization == organization && !record.deleted)
        .ok_or_else(|| Error::not_found("record"))
}

/// Brings values into the canonical form of their fields.
pub(crate) fn fit(
    schema: &ObjectSchema,
    fields: BTreeMap<String, Value>,
) -> Result<BTreeMap<String, Value>, Error> {
    fields
        .into_iter()
        .map(|(name, value)| {
            let Some(field) = schema.field(&name) else {
                return Err(Error::invalid_field(
                    "field_unknown",
                    &name,
                    format!("{} has no such field", schema.label),
                ));
            };
            let bytes = match &value {
                Value::Text(text) => text.len(),
                Value::List(options) => options.iter().map(String::len).sum(),
                _ => 0,
            };
            if bytes > MAX_VALUE_BYTES {
                return Err(Error::invalid_field("value_too_long", &name, "the text is longer than 256 KiB"));
            }
            let found = value.type_name();
            let value = field.field_type.coerce(value).map_err(|_| {
                let message = format!("a {found} does not fit a {} field", field.field_type.name());
                Error::invalid_field("value_does_not_fit", &name, message)
            })?;
            let is_known = |value: &str| field.options.iter().any(|option| option.value == value);
            let fits = match &value {
                Value::Text(text) if field.field_type == FieldType::Picklist => is_known(text),
                Value::List(options) => options.iter().all(|option| is_known(option)),
                _ => true,
            };
            if !fits && !field.options.is_empty() {
                let options: Vec<&str> = field.options.iter().map(|option| option.value.as_str()).collect();
                let message = format!("expected one of {}", options.join(", "));
                return Err(Error::invalid_field("option_unknown", &name, message));
            }
            Ok((name, value))
        })
        .collect()
}
