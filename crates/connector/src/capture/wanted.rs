//! Records that are wanted as they are now, because what was told of them was not enough.

use std::time::Duration;

use model::Lane;
use uuid::Uuid;

use super::{Begun, Reader, stream::READ_TOGETHER, wait_or_wake};
use crate::failure::Failure;

const WANTED: &str = "wanted";
/// How often to look, when nobody says in this process that there is something.
const LOOK_EVERY: Duration = Duration::from_secs(2);

impl Reader {
    /// Reads what is wanted, as soon as it is.
    pub(super) async fn read_wanted(&self) {
        // Nobody else asks for single records.
        if !self.link.connector.capabilities().streams && !self.capture.people {
            return;
        }
        let mut wanted = self.link.wanted.subscribe();
        loop {
            let pause = match self.read_some_wanted().await {
                Ok(true) => continue,
                Ok(false) => LOOK_EVERY,
                Err(Failure::LeaseLost) => return,
                Err(failure) => self.failed(WANTED, &mut Begun::new(WANTED, self.core.now()), &failure).await,
            };
            wait_or_wake(pause, &mut wanted).await;
        }
    }

    /// Tells whether there was something.
    async fn read_some_wanted(&self) -> Result<bool, Failure> {
        let (id, object) = (self.link.id, self.capture.object.as_str());
        let wanted = self.core.store.wanted(id, object, READ_TOGETHER).await?;
        if wanted.is_empty() {
            return Ok(false);
        }
        let ids: Vec<String> = wanted.iter().map(|(id, _)| id.clone()).collect();
        let (connector, session) = (&self.link.connector, &self.link.session);
        let read = connector.fetch_records(session, &self.schema, &self.fields, &ids).await?;
        let now = self.core.now();
        self.link.line.usage.read(now, read.len());
        // It may have been published like this before, when nobody could use it.
        self.publish_as(&self.changes.again(Uuid::new_v4()), read, Lane::Live, now).await?;
        self.core.store.was_read(id, object, &wanted).await?;
        self.core.part_succeeded(&self.link, &self.part(WANTED)).await?;
        Ok(true)
    }
}
