//! What vendors tell at the address of a watch: checked, noted, and then the feed is read, wherever its reader runs.

use std::sync::LazyLock;

use http::HeaderMap;
use opentelemetry::{KeyValue, global, metrics::Counter};
use proto::connections as wire;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::{
    Connector, Heard, Notice, Push, Pushed, Refusal, core::Core, owner, receiving::NotTaken,
    store::StoredWatch, watching,
};

/// It was never ours, or is not any more.
const UNKNOWN: Refusal =
    Refusal { code: Refusal::WATCH_UNKNOWN, message: "Nothing is to be told at this address." };
const FORGED: Refusal =
    Refusal { code: "secret_invalid", message: "The request does not say the secret of this address." };

static RECEIVED: LazyLock<Counter<u64>> = LazyLock::new(|| {
    let what = "requests of vendors that something is new, by what came of them";
    global::meter("connector").u64_counter("accord_push_received").with_description(what).build()
});

/// Whoever watches the refused ones grow sees the count before it does.
pub(crate) fn begin_counting() {
    RECEIVED.add(0, &[]);
}

/// Takes a vendor's request to the address of a watch; gives what to answer. The feed is read after the answer.
pub(crate) async fn receive(
    core: &Core,
    connector: &dyn Connector,
    headers: &HeaderMap,
    asked: &wire::ReceiveRequest,
) -> Result<String, NotTaken> {
    let vendor = connector.vendor().name;
    let taken = take(core, connector, headers, asked).await;
    let outcome = match &taken {
        Ok(text) if text.is_empty() => "accepted",
        Ok(_) => "handshake",
        Err(NotTaken::Refused(refusal)) => refusal.code,
        Err(NotTaken::NoSuchVendor | NotTaken::Failed(_)) => "failed",
    };
    RECEIVED.add(1, &[KeyValue::new("vendor", vendor), KeyValue::new("outcome", outcome)]);
    if let Err(NotTaken::Refused(refusal)) = &taken {
        match refusal.code {
            // Anybody can ask for addresses that are none.
            Refusal::WATCH_UNKNOWN => tracing::debug!(vendor, code = refusal.code, "a push was refused"),
            code => tracing::warn!(vendor, code, "a push was refused"),
        }
    }
    taken
}

async fn take(
    core: &Core,
    connector: &dyn Connector,
    headers: &HeaderMap,
    asked: &wire::ReceiveRequest,
) -> Result<String, NotTaken> {
    let pusher = connector.pusher().ok_or(NotTaken::NoSuchVendor)?;
    let refused = |refusal| Err(NotTaken::Refused(refusal));
    let Ok(id) = asked.watch.parse::<Uuid>() else { return refused(UNKNOWN) };
    let watch = core.store.watch(id).await?.filter(|watch| watch.vendor == connector.vendor().name);
    let Some(watch) = watch else { return refused(UNKNOWN) };
    let push = Push { headers, query: &asked.query, body: &asked.body };
    let told = match pusher.receive(&push).map_err(NotTaken::Refused)? {
        Pushed::Handshake(text) => return Ok(text),
        Pushed::Told(told) => told,
    };
    let heard: Vec<Heard> =
        told.iter().filter(|notice| is_genuine(notice, &watch)).map(|notice| notice.heard).collect();
    if heard.is_empty() {
        return refused(if told.is_empty() { Refusal::UNREADABLE } else { FORGED });
    }
    core.store.note_push(watch.id, &heard, core.now()).await?;
    owner::pushed(core, &watch, &heard).await.map_err(crate::failure::Failure::from)?;
    Ok(String::new())
}

/// Whether a notice is of this watch and says its secret.
fn is_genuine(notice: &Notice, watch: &StoredWatch) -> bool {
    // Before the vendor's answer, its name of the watch is not known.
    let is_named = watch.external_id.as_ref().is_none_or(|id| *id == notice.watch);
    let says: bool = watching::digest(&notice.secret).as_slice().ct_eq(&watch.secret).into();
    is_named && says
}
