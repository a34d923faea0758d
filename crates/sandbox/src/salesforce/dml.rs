//! Writes of single records, as every API of the vendor does them.

use serde_json::{Map, Value};

use super::call::Call;
use super::errors::{Failure, Problem};
use super::faults::{Row, lock};
use super::id::Id;
use super::org::{Touch, Transaction};
use super::schema::{Field, Schema};
use super::sim::Sim;
use super::values::{check, no_column};

pub(crate) type Body = Map<String, Value>;

/// What an upsert came to.
#[derive(Debug)]
pub(crate) enum Upserted {
    Created(Id),
    Updated(Id),
    /// The key belongs to several records.
    Several(Vec<Id>),
}

impl Sim {
    /// Starts the transaction of a call.
    pub(crate) fn begin(&self, call: &Call) -> Transaction {
        let user = call.caller.as_ref().map_or(self.org.users[0], |caller| caller.user);
        let release = call.release();
        let origin = match call.option("sforce-call-options", "client") {
            Some(client) => format!("com/salesforce/api/rest/{release}.0;client={client}"),
            None => format!("com/salesforce/api/rest/{release}.0"),
        };
        Transaction::new(user, &origin, call.now_s())
    }

    /// The position of an object that the user may see.
    pub(crate) fn object(&self, name: &str) -> Result<usize, Failure> {
        self.visible(name).ok_or_else(Failure::not_found)
    }

    pub(crate) fn visible(&self, name: &str) -> Option<usize> {
        let hidden = self.dials.hidden_objects.iter().any(|hidden| hidden.eq_ignore_ascii_case(name));
        self.org.find(name).filter(|_| !hidden)
    }

    pub(crate) fn is_read_only(&self, schema: &Schema) -> bool {
        self.dials.read_only_objects.iter().any(|name| name.eq_ignore_ascii_case(&schema.name))
    }

    fn may_write(&self, at: usize, allowed: impl Fn(&Schema) -> bool) -> Result<(), Vec<Problem>> {
        let schema = &self.org.objects[at].schema;
        if !allowed(schema) || self.is_read_only(schema) {
            let message = format!("entity type cannot be inserted, updated or deleted: {}", schema.label);
            return Err(vec![Problem::new("INSUFFICIENT_ACCESS_OR_READONLY", message)]);
        }
        Ok(())
    }

    /// A live record of an object by the id a client gives.
    pub(crate) fn live_id(&self, at: usize, text: &str) -> Result<Id, Problem> {
        let object = &self.org.objects[at];
        let id = Id::parse(text)
            .filter(|id| id.prefix() == object.schema.prefix)
            .ok_or_else(|| Problem::new("MALFORMED_ID", format!("{}: bad id {text}", object.schema.label)))?;
        match object.get(id) {
            Some(record) if record.is_live() => Ok(id),
            Some(_) => Err(Problem::new("ENTITY_IS_DELETED", "entity is deleted")),
            None => Err(Problem::new("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")),
        }
    }

    fn strike(&mut self, call: &Call, at: usize, id: Option<Id>, body: &Body) -> Result<(), Vec<Problem>> {
        let allow = call.option("sforce-duplicate-rule-header", "allowSave");
        let fields: Vec<&str> = body.keys().map(String::as_str).collect();
        let text = id.map(|id| id.to_string()).unwrap_or_default();
        if id.is_some_and(|id| self.org.is_locked(at, id)) {
            return Err(vec![lock(&text)]);
        }
        let row = Row {
            object: &self.org.objects[at].schema.name,
            id: &text,
            fields: &fields,
            allow_save: allow.is_some_and(|allow| allow.eq_ignore_ascii_case("true")),
        };
        self.faults.strike_row(row, &mut self.rng).map_or(Ok(()), |problem| Err(vec![problem]))
    }

    pub(crate) fn insert_row(
        &mut self,
        to: &mut Transaction,
        call: &Call,
        at: usize,
        body: &Body,
    ) -> Result<Id, Vec<Problem>> {
        self.may_write(at, |schema| schema.createable)?;
        let values = check(&self.org, at, None, body)?;
        self.strike(call, at, None, body)?;
        if self.org.objects[at].schema.name == "FieldPermissions" {
            self.permit_field(body, call.now_s())?;
        }
        Ok(self.org.insert(to, at, values))
    }

    pub(crate) fn update_row(
        &mut self,
        to: &mut Transaction,
        call: &Call,
        at: usize,
        id: Id,
        body: &Body,
    ) -> Result<(), Vec<Problem>> {
        self.may_write(at, |schema| schema.updateable)?;
        self.unconverted(at, id)?;
        let values = check(&self.org, at, Some(id), body)?;
        self.strike(call, at, Some(id), body)?;
        self.org.update(to, at, id, values, Touch::User);
        Ok(())
    }

    fn unconverted(&self, at: usize, id: Id) -> Result<(), Vec<Problem>> {
        let object = &self.org.objects[at];
        let field = object.schema.field("IsConverted");
        let converted = object.get(id).zip(field).and_then(|(record, field)| record.cells.get(field.at));
        if converted.is_some_and(|value| *value == true) {
            let message = "cannot reference converted lead";
            return Err(vec![Problem::new("CANNOT_UPDATE_CONVERTED_LEAD", message)]);
        }
        Ok(())
    }

    pub(crate) fn delete_row(
        &mut self,
        to: &mut Transaction,
        call: &Call,
        at: usize,
        id: Id,
    ) -> Result<(), Vec<Problem>> {
        self.may_write(at, |schema| schema.deletable)?;
        self.strike(call, at, Some(id), &Body::new())?;
        self.org.delete(to, at, id);
        Ok(())
    }

    /// The field that an upsert or a read by key names.
    pub(crate) fn key_field(&self, at: usize, name: &str) -> Result<&Field, Problem> {
        let field = self.org.objects[at].schema.field(name);
        field.map(|field| &**field).filter(|field| field.is_key()).ok_or_else(|| {
            let message = format!("Provided external ID field does not exist or is not accessible: {name}");
            Problem::new("NOT_FOUND", message)
        })
    }

    /// Updates the record that has the key, or creates one.
    pub(crate) fn upsert_row(
        &mut self,
        to: &mut Transaction,
        call: &Call,
        at: usize,
        (key, value): (&str, &str),
        body: &Body,
    ) -> Result<Upserted, Vec<Problem>> {
        let key = self.key_field(at, key).map_err(|problem| vec![problem])?;
        let (name, found) = (key.name.to_string(), self.org.objects[at].find(key, value).to_vec());
        match found.as_slice() {
            [] => {
                let mut body = body.clone();
                body.insert(name, value.into());
                self.insert_row(to, call, at, &body).map(Upserted::Created)
            }
            [id] => self.update_row(to, call, at, *id, body).map(|()| Upserted::Updated(*id)),
            several => Ok(Upserted::Several(several.to_vec())),
        }
    }

    /// The fields a call asks for by name.
    pub(crate) fn fields(&self, at: usize, names: &str) -> Result<Vec<u16>, Problem> {
        let schema = &self.org.objects[at].schema;
        names
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(|name| schema.field(name).map(|field| field.at).ok_or_else(|| no_column(name, &schema.name)))
            .collect()
    }
}
