//! `users.*`: who the people of a workspace are.

use serde_json::{Value, json};

use super::call::{Call, Outcome, Reply};
use super::conversations::{cursor, start_of};
use super::errors::Failure;
use super::sim::Sim;

const MAY_SEE_ADDRESSES: &str = "users:read.email";

/// `users.info`
pub(crate) fn info(sim: &mut Sim, call: &Call) -> Outcome {
    let id = call.args()?.needed("user")?;
    let with_email = call.caller()?.scopes.contains(MAY_SEE_ADDRESSES);
    let user = sim.home(call)?.user(&id).ok_or_else(|| Failure::named("user_not_found"))?;
    Reply::ok(json!({"user": user.wire(with_email)}))
}

/// `users.list`: everybody, also those who left.
pub(crate) fn list(sim: &mut Sim, call: &Call) -> Outcome {
    let args = call.args()?;
    let with_email = call.caller()?.scopes.contains(MAY_SEE_ADDRESSES);
    let home = sim.home(call)?;
    let most = args.limit(1_000, 1_000)?;
    let ids = home.users.iter().map(|user| user.id.as_str());
    let start = start_of(args.text("cursor").as_deref(), "user", ids)?;
    let page = home.users.iter().skip(start).take(most);
    let members: Vec<Value> = page.map(|user| user.wire(with_email)).collect();
    let next = home.users.get(start + most).map(|user| cursor("user", &user.id)).unwrap_or_default();
    let updated = home.users.iter().map(|user| user.updated_s).max();
    Reply::ok(json!({"members": members, "cache_ts": updated, "response_metadata": {"next_cursor": next}}))
}

/// `users.lookupByEmail`
pub(crate) fn lookup_by_email(sim: &mut Sim, call: &Call) -> Outcome {
    let email = call.args()?.needed("email")?;
    let is_theirs = |theirs: &String| theirs.eq_ignore_ascii_case(&email);
    let mut live = sim.home(call)?.users.iter().filter(|user| user.is_human());
    let found = live.find(|user| user.email.as_ref().is_some_and(is_theirs));
    let found = found.ok_or_else(|| Failure::named("users_not_found"))?;
    Reply::ok(json!({"user": found.wire(true)}))
}
