//! What people asked for and the background does: issues to try again, runs to put
//! back. Small transactions that survive a crash at every
//! step, because each is found again by what is left to do.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{Error, engine::Engine, issues, undo};

/// How often to look for work that nobody announced: another replica's that died.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Works until shutdown.
pub(crate) async fn run(engine: Arc<Engine>, shutdown: CancellationToken) {
    loop {
        match step(&engine).await {
            Ok(true) | Err(Error::Moved) => continue,
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "what somebody asked for failed; it is tried again"),
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = engine.chores.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Does one piece of waiting work; false when nothing waits.
async fn step(engine: &Engine) -> Result<bool, Error> {
    Ok(issues::retry_some(engine).await? || undo::undo_some(engine).await?)
}
