//! Bodies that tell how a record is: the first that says that it is won is its event, and later ones correct it.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    Service,
    ingest::{Ingested, UNMET, actor, digest, repeat, said},
};
use crate::{
    Error,
    domain::{
        facts::{Change, Correction},
        money::Money,
    },
    ingest::{
        IngestUrl,
        follow::{Known, Recorded, Status, Told},
        mapping::Reading,
    },
    key,
    store::{
        self,
        facts::{Customer, NewCorrection},
    },
    text,
    writer::{Answer, Fact, Job},
};

/// How many records are followed at once. Each holds a connection while others write what comes of it.
pub(super) const AT_ONCE: usize = 2;

/// A body of a record.
struct Body<'a> {
    url: &'a IngestUrl,
    told: &'a Told,
    reading: Reading,
}

impl Service {
    /// Records the event of a record, or corrects it. What is written has keys, so that a body that comes again after a
    /// crash writes nothing twice.
    pub(super) async fn follow_body(
        &self,
        url: &IngestUrl,
        body: &Value,
        told: &Told,
    ) -> Result<Ingested, Error> {
        let _place = self.following.acquire().await.map_err(|_| Error::Ending)?;
        let body = Body { url, told, reading: url.mapping.read(body) };
        let mut tx = self.pool.begin().await?;
        store::following::lock(&mut tx, url.id, &told.record).await?;
        let mut known = store::following::known(&mut tx, url.id, &told.record).await?;
        if known.stands.is_none() {
            // One that was recorded before the mapping followed records.
            let key = key::of_webhook(&body.key(known.cycle));
            known.stands = store::following::recorded(&mut tx, url.organization, key).await?;
        }
        let is_stale = known.is_newer_than(told.at);
        known.learn(told, body.worth(&known));
        let ingested = match known.stands.as_ref().map(|stands| stands.event) {
            None => self.begin(&body, &mut known).await?,
            event => match self.catch_up(&body, &mut known).await? {
                Some(ingested) => ingested,
                None if is_stale => Ingested::skipped("A newer body of the deal came before."),
                None if body.reading.meets_conditions => {
                    Ingested { outcome: "recorded", message: String::new(), event }
                }
                None => Ingested::skipped("It changes nothing of the deal's event."),
            },
        };
        store::following::remember(&mut tx, url.id, &told.record, &known).await?;
        tx.commit().await?;
        Ok(ingested)
    }

    /// Records the event of a record that has none.
    async fn begin(&self, body: &Body<'_>, known: &mut Known) -> Result<Ingested, Error> {
        if !body.reading.meets_conditions {
            return Ok(Ingested::skipped(UNMET));
        }
        if known.is_lost() {
            return Ok(Ingested::skipped("The deal is not won, by the newest body that came."));
        }
        if let Some(refused) = self.record_as(body, known).await? {
            return Ok(refused);
        }
        self.catch_up(body, known).await?;
        let event = known.stands.as_ref().map(|stands| stands.event);
        Ok(Ingested { outcome: "recorded", message: String::new(), event })
    }

    /// Records the record's event as the body says it; what is answered where it cannot be read.
    async fn record_as(&self, body: &Body<'_>, known: &mut Known) -> Result<Option<Ingested>, Error> {
        if !body.reading.problems.is_empty() {
            return Ok(Some(Ingested::refused(body.reading.problems.join(" "))));
        }
        let event = match said(body.url, &body.reading, &body.repeats(known.cycle), self.now()) {
            Ok(event) => event,
            Err(refusal) => return Ok(Some(Ingested::refused(refusal.message))),
        };
        let (user_key, value) = (event.customer.user_key.clone(), event.conversion.value);
        let currency = event.conversion.currency;
        let event = self.record_said(event).await?;
        known.stands = Some(Recorded { event, user_key, value, currency, void: false });
        Ok(None)
    }

    /// Makes the event what the record is by the newest bodies; none where it is so.
    async fn catch_up(&self, body: &Body<'_>, known: &mut Known) -> Result<Option<Ingested>, Error> {
        if let (Some(since), Some(stood)) = (known.other_currency(), known.stands.clone())
            && since == body.told.at
        {
            known.cycle += 1;
            if let Some(refused) = self.record_as(body, known).await? {
                known.cycle -= 1;
                return Ok(Some(refused));
            }
            if !stood.void {
                let reason = "the deal has another currency";
                self.correct(body, &stood, (Change::Void, since), reason).await?;
            }
            let message = format!("The deal is in {} now, as another event.", body.reading.currency);
            return Ok(Some(Ingested::corrected(message, known)));
        }
        let mut said = Vec::new();
        let deleted = known.status.is_some_and(|(status, _)| status == Status::Deleted);
        for (change, since) in known.catch_up() {
            let Some(stands) = known.stands.clone() else { continue };
            let (reason, message) = match change {
                Change::Void if deleted => ("the deal was deleted", "The deal was deleted.".to_owned()),
                Change::Void => ("the deal is not won any more", "The deal is not won any more.".to_owned()),
                Change::Restore => ("the deal is won again", "The deal is won again.".to_owned()),
                Change::Value(worth) | Change::Refund(worth) => {
                    let amount = text::amount_of(worth.minor(), worth.currency().code());
                    let code = worth.currency().code();
                    ("the deal's amount changed", format!("The deal's amount is {amount} {code} now."))
                }
            };
            self.correct(body, &stands, (change, since), reason).await?;
            said.push(message);
        }
        Ok((!said.is_empty()).then(|| Ingested::corrected(said.join(" "), known)))
    }

    async fn correct(
        &self,
        body: &Body<'_>,
        stands: &Recorded,
        (change, at): (Change, Timestamp),
        reason: &str,
    ) -> Result<(), Error> {
        let what = match change {
            Change::Void => "void".to_owned(),
            Change::Restore => "restore".to_owned(),
            Change::Value(worth) | Change::Refund(worth) => format!("value {}", worth.minor()),
        };
        let customer = Customer { organization: body.url.organization, user_key: stands.user_key.clone() };
        let id = text::new_id(self.now());
        let new = NewCorrection {
            customer: customer.clone(),
            correction: Correction { id, conversion: stands.event, at, change },
            is_dated: false,
            key: format!("{}:{}:{}:{what}", body.url.id, digest(&body.told.record), at.as_microsecond()),
            reason: reason.to_owned(),
            actor: actor(body.url),
        };
        let job = Job { customers: vec![customer], fact: Fact::Correct(Box::new(new)) };
        let Answer::Corrected(_) = self.writers.run(job).await? else { return Err(Error::Ending) };
        Ok(())
    }
}

impl Ingested {
    fn corrected(message: String, known: &Known) -> Self {
        Self { outcome: "corrected", message, event: known.stands.as_ref().map(|stands| stands.event) }
    }
}

impl Body<'_> {
    /// What the body says that the record is worth. One that names no currency means that of the event.
    fn worth(&self, known: &Known) -> Option<Money> {
        let event = known.stands.as_ref().filter(|_| !self.reading.tells_currency);
        let currency = event.map_or_else(|| self.reading.currency.parse().ok(), |event| Some(event.currency));
        Money::try_new(self.reading.value?, currency?).ok()
    }

    /// What a repeat of the record's event is recognized by, after so many others.
    fn repeats(&self, cycle: i32) -> String {
        match cycle {
            0 => format!("id {}", self.told.record),
            some => format!("event {some} of id {}", self.told.record),
        }
    }

    fn key(&self, cycle: i32) -> String {
        repeat(self.url, &self.reading.event_type, &self.repeats(cycle))
    }
}
