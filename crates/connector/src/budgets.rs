//! Budgets at work: read into the meters of the connections at hand, changed by people, and told when a level is reached.

use std::time::Duration;

use bus::outbox;
use chassis::guard::{at_field, status};
use jiff::Timestamp;
use model::{BudgetChanged, BudgetLevel, BudgetReached, BudgetSettings, ConnectionId};
use proto::{connections as wire, to_wire_time};
use tonic::{Code, Status};

use crate::{
    budget::Budget,
    core::{Core, Link},
    failure::Failure,
    limiter::DAILY,
    publisher::Publisher,
    store::{Connection, Store, StoredBudget},
};

/// The windows to choose from, in seconds: a minute, an hour, a day.
const WINDOWS_S: [u32; 3] = [60, 3_600, 86_400];
/// More calls than any vendor allows.
const MOST_CALLS: u64 = 1_000_000_000;
/// The span whose calls say how fast they are made.
const SAMPLE: Duration = Duration::from_secs(600);
/// The warning when none is chosen.
const USUAL_WARNING: u32 = 80;

/// Reads a connection's budget, when its link is opened: not one call is made before.
pub(crate) async fn load(core: &Core, link: &Link) -> Result<(), Failure> {
    let stored = core.store.budgets(&[link.id]).await?.pop();
    recount(core, link, chosen(stored.as_ref())).await?;
    Ok(())
}

/// The budget that people set; the vendor's allocation is counted by what the vendor says.
fn chosen(stored: Option<&StoredBudget>) -> Option<Budget> {
    stored.filter(|stored| !stored.of_vendor).map(|stored| stored.budget)
}

async fn recount(core: &Core, link: &Link, budget: Option<Budget>) -> Result<(), Failure> {
    let now = core.now();
    let known = match budget {
        Some(budget) => {
            let began = budget.began(now);
            core.store.calls_since(link.id, began).await? + link.line.usage.pending_calls(began)
        }
        None => 0,
    };
    link.line.budget.load(budget, known, now);
    Ok(())
}

/// Looks after the budgets of all connections at hand: takes over changes, and tells of levels.
pub(crate) async fn look_after(core: &Core) -> Result<(), Failure> {
    let links = core.links();
    let ids: Vec<ConnectionId> = links.iter().map(|link| link.id).collect();
    let stored = core.store.budgets(&ids).await?;
    for link in links {
        let stored = stored.iter().find(|stored| stored.connection == link.id);
        let budget = chosen(stored);
        if link.line.budget.wants_count(budget, core.now()) {
            recount(core, &link, budget).await?;
        }
        if let Some(heard) = link.line.budget.heard()
            && stored.is_none_or(|stored| stored.of_vendor && stored.budget != heard.budget)
        {
            // It is told with the next look.
            core.store.put_allocation(link.id, heard.budget, core.now()).await?;
        } else if let Some(stored) = stored {
            tell(core, &link, stored).await?;
        }
    }
    Ok(())
}

/// Whether a level that is lower than the one told is news. Within a window our own count only rises: another process may
/// have counted more. The vendor's falls when it says so later than what was told.
fn may_fall(stored: &StoredBudget, began: Timestamp, heard: Option<Timestamp>) -> bool {
    stored.told_window.is_none_or(|told| {
        let new_window = !stored.of_vendor && told < began;
        new_window || (told != began && heard.is_some_and(|heard| heard > told))
    })
}

/// Tells of another level than was told, once.
async fn tell(core: &Core, link: &Link, stored: &StoredBudget) -> Result<(), Failure> {
    let now = core.now();
    let Some(standing) = link.line.budget.standing(now) else { return Ok(()) };
    let (level, began) = (standing.level(), stored.budget.began(now));
    let heard = link.line.budget.heard().and_then(|said| said.heard);
    if level == stored.told || (level < stored.told && !may_fall(stored, began, heard)) {
        return Ok(());
    }
    let window = standing.heard.unwrap_or(began);
    let mut tx = core.store.pool.begin().await?;
    if Store::note_told(&mut tx, stored, level, window).await? {
        let reached = reached(&link.publisher, link.id, Some(standing.budget), level, standing.used, now);
        outbox::enqueue(&mut tx, &[link.publisher.budget_reached(&reached)?]).await?;
    }
    tx.commit().await?;
    core.waker.wake();
    Ok(())
}

fn reached(
    publisher: &Publisher,
    connection: ConnectionId,
    budget: Option<Budget>,
    level: BudgetLevel,
    used: u64,
    at: Timestamp,
) -> BudgetReached {
    BudgetReached {
        connection,
        vendor: publisher.vendor.to_owned(),
        level,
        used,
        budget: budget.map(settings),
        turns_at: budget.map_or(at, |budget| budget.turns(at)),
        at,
    }
}

fn settings(budget: Budget) -> BudgetSettings {
    BudgetSettings {
        calls: budget.calls,
        window_seconds: u32::try_from(budget.window.as_secs()).unwrap_or(u32::MAX),
        warn_percent: u32::try_from(budget.warn_percent).unwrap_or(100),
    }
}

/// The budget that somebody asks for; none for none.
pub(crate) fn asked(request: &wire::SetBudgetRequest) -> Result<Option<Budget>, Status> {
    let invalid = |code, field: &'static str, message: &str| {
        Err(at_field(status(Code::InvalidArgument, code, message), field))
    };
    if request.calls == 0 {
        return Ok(None);
    }
    if request.calls > MOST_CALLS {
        return invalid("budget_calls_invalid", "calls", "A budget has at most 1,000,000,000 calls.");
    }
    if !WINDOWS_S.contains(&request.window_seconds) {
        return invalid(
            "budget_window_invalid",
            "window_seconds",
            "The window is a minute, an hour or a day.",
        );
    }
    let warn = if request.warn_percent == 0 { USUAL_WARNING } else { request.warn_percent };
    if warn > 100 {
        return invalid("budget_warning_invalid", "warn_percent", "The warning is from 1 to 100 percent.");
    }
    Ok(Some(Budget {
        calls: request.calls,
        window: Duration::from_secs(request.window_seconds.into()),
        warn_percent: warn.into(),
    }))
}

/// Changes a connection's budget. One that is as it was is no change.
pub(crate) async fn set(
    core: &Core,
    connection: &Connection,
    publisher: &Publisher,
    budget: Option<Budget>,
    actor: &str,
) -> Result<(), Failure> {
    let (id, now) = (connection.id, core.now());
    let mut tx = core.store.pool.begin().await?;
    let before = Store::lock_budget(&mut tx, id).await?;
    let old = chosen(before.as_ref());
    if old == budget {
        return Ok(());
    }
    Store::put_budget(&mut tx, id, budget, actor, now).await?;
    let changed = BudgetChanged {
        connection: id,
        vendor: connection.vendor.clone(),
        before: old.map(settings),
        after: budget.map(settings),
        at: now,
    };
    let mut messages = vec![publisher.budget_changed(actor, &changed)?];
    if budget.is_none() && before.is_some_and(|before| before.told != BudgetLevel::Ok) {
        let reached = reached(publisher, id, None, BudgetLevel::Ok, 0, now);
        messages.push(publisher.budget_reached(&reached)?);
    }
    outbox::enqueue(&mut tx, &messages).await?;
    tx.commit().await?;
    core.waker.wake();
    if let Some(link) = core.link_at_hand(id) {
        recount(core, &link, budget).await?;
    }
    Ok(())
}

/// A connection's budget, and where it stands.
pub(crate) async fn show(core: &Core, connection: ConnectionId) -> Result<wire::Budget, Failure> {
    let now = core.now();
    let Some(stored) = core.store.budgets(&[connection]).await?.pop() else {
        return Ok(wire::Budget { level: BudgetLevel::Ok.name().to_owned(), ..wire::Budget::default() });
    };
    let (budget, began) = (stored.budget, stored.budget.began(now));
    let mut used = core.store.calls_since(connection, began).await?;
    let here = core.link_at_hand(connection).and_then(|link| link.line.budget.standing(now));
    if let Some(here) = here.filter(|here| here.budget == budget) {
        used = used.max(here.used);
    } else if stored.of_vendor {
        let said = core.store.limits(connection).await?.into_iter().find(|said| said.name == DAILY);
        used = said.map_or(used, |said| used.max(budget.calls.saturating_sub(said.remaining)));
    }
    let recent = core.store.calls_since(connection, now - SAMPLE).await?;
    let settings = settings(budget);
    Ok(wire::Budget {
        calls: settings.calls,
        window_seconds: settings.window_seconds,
        warn_percent: settings.warn_percent,
        used,
        left: budget.calls.saturating_sub(used),
        forecast: budget.forecast(used, recent, SAMPLE, now),
        level: budget.level(used).name().to_owned(),
        turns_at: Some(to_wire_time(budget.turns(now))),
        changed_by: stored.changed_by,
        changed_at: Some(to_wire_time(stored.changed_at)),
    })
}
