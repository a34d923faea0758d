//! A mailbox of the vendor: what was drafted and what left, and a door behind which a draft that was made is held back.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use connector::{Activity, Error, ErrorKind, FoundMail, Mailer, Session};
use model::{MailId, SendMail};
use tokio::sync::Semaphore;

/// A mail that the mailbox has.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    mail: MailId,
    is_sent: bool,
}

#[derive(Clone)]
pub(crate) struct Mailbox {
    kept: Arc<Mutex<BTreeMap<String, Kept>>>,
    door: Arc<Semaphore>,
}

impl Mailbox {
    /// One whose drafts are made and not answered.
    pub(crate) fn held() -> Self {
        Self { kept: Arc::default(), door: Arc::new(Semaphore::new(0)) }
    }

    /// What was held back is answered, and nothing is held back any more.
    pub(crate) fn go_on(&self) {
        self.door.add_permits(1_000);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Kept>> {
        self.kept.lock().unwrap()
    }

    /// Whoever else asked has sent it.
    pub(crate) fn leaves(&self, id: &str, mail: MailId) {
        self.lock().insert(id.to_owned(), Kept { mail, is_sent: true });
    }

    /// The ids of what left, or of what are drafts still.
    pub(crate) fn ids(&self, are_sent: bool) -> Vec<String> {
        let kept = self.lock();
        kept.iter().filter(|(_, kept)| kept.is_sent == are_sent).map(|(id, _)| id.clone()).collect()
    }
}

#[async_trait]
impl Mailer for Mailbox {
    async fn draft(&self, _: &Session, mail: &SendMail) -> Result<String, Error> {
        let id = format!("draft-{}", self.lock().len());
        self.lock().insert(id.clone(), Kept { mail: mail.mail, is_sent: false });
        self.door.acquire().await.unwrap().forget();
        Ok(id)
    }

    async fn find(&self, _: &Session, mail: MailId, draft: Option<&str>) -> Result<Option<FoundMail>, Error> {
        let is_it = |(id, kept): &(&String, &Kept)| draft.map_or(kept.mail == mail, |draft| *id == draft);
        let found = |(id, kept): (&String, &Kept)| FoundMail { id: id.clone(), is_sent: kept.is_sent };
        Ok(self.lock().iter().find(is_it).map(found))
    }

    async fn send(&self, _: &Session, draft: &str) -> Result<(), Error> {
        self.lock().get_mut(draft).unwrap().is_sent = true;
        Ok(())
    }

    fn external_id(&self, draft: &str) -> String {
        format!("sent:{draft}")
    }

    async fn sent(&self, _: &Session, _: &str) -> Result<Activity, Error> {
        Err(Error::new(ErrorKind::Protocol, "read a mail", "it shows none"))
    }

    async fn discard(&self, _: &Session, draft: &str) -> Result<(), Error> {
        self.lock().remove(draft);
        Ok(())
    }
}
