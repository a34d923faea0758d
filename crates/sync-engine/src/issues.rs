//! What could not be synced, tried again or dismissed: one, or all that fit a filter.

use std::sync::Arc;

use model::{Caller, IssueCategory, OrganizationId, Value};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    Error, connections,
    domain::{
        mapping::{Compiled, MappingState},
        matching,
    },
    drifts,
    engine::Engine,
    error::{Refusal, category_name},
    publisher::mapping_changed,
    store::{
        self,
        issues::{Changed, Filter, StoredIssue},
    },
    unit::{Cause, Scope, Unit, Wanted},
};

/// Issues of one transaction.
const CHUNK: i64 = 100;

impl Engine {
    /// Offers what an issue is about again.
    pub(crate) async fn retry_issue(&self, caller: &Caller, id: Uuid) -> Result<StoredIssue, Error> {
        let gone = || Error::not_found("open issue");
        let mut db = self.pool.acquire().await?;
        let issue = store::issues::get(&mut db, caller.organization, id).await?.ok_or_else(gone)?;
        if issue.link == connections::place_of_budget(issue.connection) {
            let message = "it clears itself when the window turns; raise the budget to go on at once";
            return Err(Error::refused(Refusal::NotReady, "budget_low", message));
        }
        let paused = drifts::mapping_of(&mut db, &issue).await?;
        drop(db);
        if let Some(mapping) = paused {
            let actor = caller.actor.to_string();
            self.resume_field(caller.organization, &actor, mapping, &issue.field).await?;
        } else if !self
            .retry_together(caller.organization, std::slice::from_ref(&issue), &self.cause(caller), true)
            .await?
        {
            return Err(gone());
        }
        let mut db = self.pool.acquire().await?;
        store::issues::get(&mut db, caller.organization, id).await?.ok_or_else(gone)
    }

    /// Decides a conflict that waits for a person: the vendor's value stands, or ours. The other one is kept in the
    /// conflict's entry.
    pub(crate) async fn settle_conflict(
        &self,
        caller: &Caller,
        id: Uuid,
        vendor_wins: bool,
    ) -> Result<(), Error> {
        let gone = || Error::not_found("conflict that waits");
        let mut tx = self.pool.begin().await?;
        let issue = store::issues::get(&mut tx, caller.organization, id).await?.ok_or_else(gone)?;
        let mappings = self.mappings.load(&mut tx, &[caller.organization]).await?;
        let link = store::links::get(&mut tx, issue.link).await?.ok_or_else(gone)?;
        let mapping = mappings.get(link.mapping).cloned().ok_or_else(gone)?;
        must_be_active(&mapping)?;
        let scope = Scope { links: vec![link.id], ..Scope::default() };
        let mut unit = Unit::load(&mut tx, self.clock.now(), mappings, scope).await?;
        if !unit.decide(&mapping, link.id, &issue.field, vendor_wins, &self.cause(caller)) {
            return Err(gone());
        }
        unit.flush(&mut tx).await?;
        tx.commit().await?;
        self.waker.wake();
        Ok(())
    }

    /// Ours and theirs of a conflict that waits; none of anything else, of personal data, and for whoever may not read
    /// records.
    pub(crate) async fn held_values(
        &self,
        db: &mut PgConnection,
        caller: &Caller,
        issue: &StoredIssue,
    ) -> Result<Option<(Value, Value)>, Error> {
        if issue.category != category_name(IssueCategory::Conflict) || !caller.may(model::Scope::RecordsRead)
        {
            return Ok(None);
        }
        let Some(link) = store::links::get(db, issue.link).await? else { return Ok(None) };
        let mappings = self.mappings.load(db, &[issue.organization]).await?;
        let pair = mappings.get(link.mapping).and_then(|mapping| {
            mapping.pairs.iter().find(|pair| pair.canonical.name == issue.field && !pair.pii)
        });
        let (Some(pair), Some(record)) = (pair, link.record) else { return Ok(None) };
        let Some(record) = store::records::get(db, issue.organization, record).await? else {
            return Ok(None);
        };
        let held = link.fields.get(&issue.field).and_then(|state| state.held.clone());
        Ok(held.map(|theirs| (pair.ours(&record), theirs.value)))
    }

    /// Has all issues that fit tried again in the background; gives how many.
    pub(crate) async fn retry_issues(&self, caller: &Caller, filter: &Filter) -> Result<u64, Error> {
        check(filter)?;
        let mut tx = self.pool.begin().await?;
        let (actor, now) = (caller.actor.to_string(), self.clock.now());
        let changed = store::issues::want(&mut tx, caller.organization, filter, &actor, now).await?;
        let count = self.tell(&mut tx, caller.organization, &actor, "issues_retried", &changed).await?;
        tx.commit().await?;
        self.waker.wake();
        self.chores.notify_one();
        Ok(count)
    }

    /// Dismisses all issues that fit; gives how many.
    pub(crate) async fn dismiss_issues(&self, caller: &Caller, filter: &Filter) -> Result<u64, Error> {
        check(filter)?;
        let mut tx = self.pool.begin().await?;
        let changed = store::issues::dismiss(&mut tx, caller.organization, filter).await?;
        let actor = caller.actor.to_string();
        let count = self.tell(&mut tx, caller.organization, &actor, "issues_dismissed", &changed).await?;
        tx.commit().await?;
        self.waker.wake();
        Ok(count)
    }

    /// Tells who did what to how many issues of which mapping; gives how many there are.
    async fn tell(
        &self,
        tx: &mut PgConnection,
        organization: OrganizationId,
        actor: &str,
        action: &str,
        changed: &[Changed],
    ) -> Result<u64, Error> {
        let mappings = self.mappings.load(tx, &[organization]).await?;
        let mut count = 0;
        for Changed { mapping, count: own, field } in changed {
            count += own.unsigned_abs();
            let Some(mapping) = mapping.and_then(|mapping| mappings.get(mapping)) else { continue };
            let settings = [("issues".to_owned(), (String::new(), own.to_string()))].into();
            mapping_changed(self, tx, &mapping.mapping, actor, action, field.as_deref(), settings).await?;
        }
        Ok(count)
    }

    /// Tries issues again in one transaction, and tells who wanted it where that was not told yet (`tells`); false when one
    /// of them is not open any more, or what it is about is gone.
    async fn retry_together(
        &self,
        organization: OrganizationId,
        issues: &[StoredIssue],
        cause: &Arc<Cause>,
        tells: bool,
    ) -> Result<bool, Error> {
        let mut tx = self.pool.begin().await?;
        let mappings = self.mappings.load(&mut tx, &[organization]).await?;
        let mut scope = Scope::default();
        let mut offers = Vec::new();
        for issue in issues {
            let Some(link) = store::links::get(&mut tx, issue.link).await? else { return Ok(false) };
            let Some(mapping) = mappings.get(link.mapping).cloned() else { return Ok(false) };
            must_be_active(&mapping)?;
            scope.links.push(link.id);
            if let (None, Some(staged), Some(vendor_id)) = (link.record, link.staged, link.vendor_id) {
                let keys = matching::keys_there(&mapping, &staged.fields);
                let mapping = Arc::clone(&mapping);
                scope.vendor_records.push(Wanted { mapping, vendor_id, keys, external: None });
            }
            offers.push((issue, mapping));
        }
        let mut unit = Unit::load(&mut tx, self.clock.now(), mappings, scope).await?;
        for (issue, mapping) in offers {
            // After the link is locked, as everybody does it.
            if store::issues::set_state(&mut tx, organization, issue.id, "retrying").await?.is_none() {
                return Ok(false);
            }
            unit.retry(&mapping, issue.link, &issue.field, cause);
            if tells {
                let field = Some(issue.field.clone()).filter(|field| !field.is_empty());
                let changed = [Changed { mapping: Some(mapping.mapping.id), count: 1, field }];
                self.tell(&mut tx, organization, &cause.actor, "issues_retried", &changed).await?;
            }
        }
        unit.flush(&mut tx).await?;
        let ids: Vec<Uuid> = issues.iter().map(|issue| issue.id).collect();
        store::issues::tried(&mut tx, &ids).await?;
        tx.commit().await?;
        self.waker.wake();
        Ok(true)
    }
}

fn must_be_active(mapping: &Compiled) -> Result<(), Error> {
    let message = "its mapping is paused; resume that, then try again";
    let refused = || Error::refused(Refusal::NotReady, "mapping_state", message);
    if mapping.mapping.state == MappingState::Active { Ok(()) } else { Err(refused()) }
}

/// A change of many names them, or at least a connection, a record or a category.
fn check(filter: &Filter) -> Result<(), Error> {
    let names = !filter.ids.is_empty()
        || filter.connection.is_some()
        || filter.record.is_some()
        || !filter.category.is_empty();
    let message = "name the issues, or a connection, a record or a category";
    if names { Ok(()) } else { Err(Error::refused(Refusal::Invalid, "filter_missing", message)) }
}

/// Tries some of the wanted issues again; false when nobody wants any. Where a chunk cannot be stored together, its
/// issues are tried one by one: a bad one does not stop its neighbours.
pub(crate) async fn retry_some(engine: &Engine) -> Result<bool, Error> {
    let mut db = engine.pool.acquire().await?;
    let wanted = store::issues::wanted(&mut db, CHUNK).await?;
    drop(db);
    let Some((first, actor)) = wanted.first() else { return Ok(false) };
    let (organization, actor) = (first.organization, actor.clone());
    let chunk: Vec<StoredIssue> =
        wanted.into_iter().filter(|(_, by)| *by == actor).map(|(issue, _)| issue).collect();
    let cause = cause(engine, &actor);
    if matches!(engine.retry_together(organization, &chunk, &cause, false).await, Ok(true)) {
        return Ok(true);
    }
    for issue in chunk {
        match retry_alone(engine, organization, &issue, &cause).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) if error.passes() => return Err(error),
            Err(error) => tracing::warn!(%error, issue = %issue.id, "an issue could not be tried again"),
        }
        let mut db = engine.pool.acquire().await?;
        store::issues::not_tried(&mut db, issue.id).await?;
    }
    Ok(true)
}

/// Tries one issue again, or lets go on what a change of the schema paused; false when there is nothing to try any more.
async fn retry_alone(
    engine: &Engine,
    organization: OrganizationId,
    issue: &StoredIssue,
    cause: &Arc<Cause>,
) -> Result<bool, Error> {
    let mut db = engine.pool.acquire().await?;
    let paused = drifts::mapping_of(&mut db, issue).await?;
    if let Some(mapping) = paused {
        engine.resume_field(organization, &cause.actor, mapping, &issue.field).await?;
        store::issues::tried(&mut db, &[issue.id]).await?;
        return Ok(true);
    }
    drop(db);
    engine.retry_together(organization, std::slice::from_ref(issue), cause, false).await
}

/// Whoever asked for it is what caused it.
fn cause(engine: &Engine, actor: &str) -> Arc<Cause> {
    let now = engine.clock.now();
    Arc::new(Cause {
        id: Uuid::now_v7().to_string(),
        actor: actor.to_owned(),
        at: now,
        taken_at: now,
        lane: None,
        vendor: None,
        connection: None,
        traceparent: None,
    })
}
