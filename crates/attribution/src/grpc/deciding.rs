//! Decisions about commissions and clicks.

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use model::{CommissionId, PartnerId, ProgramId};
use proto::attribution as wire;

use super::{Asker, Service, id, setup::program_missing};
use crate::{
    Error,
    domain::{
        facts::{CommissionKey, Decision, Verdict},
        preview::Preview,
        terms::Model,
    },
    error::Refusal,
    publisher,
    store::{
        self,
        facts::{Customer, NewDecision},
    },
    text,
    writer::{Answer, Fact, Job, NotDecided},
};

/// The most commissions of one call.
const MOST: usize = 1_000;
/// Customers that are derived together.
const CHUNK: usize = 500;
/// Enough that no writer waits for another.
const CHUNKS_AT_ONCE: usize = 4;
/// Chunks that are read at once for a preview, while another is looked at.
const PREVIEWED_AT_ONCE: usize = 2;

impl Service {
    pub(super) async fn approve_commissions(
        &self,
        asker: &Asker,
        request: wire::DecideCommissionsRequest,
    ) -> Result<wire::DecideCommissionsResponse, Error> {
        self.decide_commissions(asker, request, Verdict::Approve).await
    }

    pub(super) async fn reverse_commissions(
        &self,
        asker: &Asker,
        request: wire::DecideCommissionsRequest,
    ) -> Result<wire::DecideCommissionsResponse, Error> {
        self.decide_commissions(asker, request, Verdict::Reverse).await
    }

    pub(super) async fn hold_commissions(
        &self,
        asker: &Asker,
        request: wire::DecideCommissionsRequest,
    ) -> Result<wire::DecideCommissionsResponse, Error> {
        self.decide_commissions(asker, request, Verdict::Hold).await
    }

    pub(super) async fn release_commissions(
        &self,
        asker: &Asker,
        request: wire::DecideCommissionsRequest,
    ) -> Result<wire::DecideCommissionsResponse, Error> {
        self.decide_commissions(asker, request, Verdict::Release).await
    }

    pub(super) async fn decide_commissions(
        &self,
        asker: &Asker,
        request: wire::DecideCommissionsRequest,
        verdict: fn(CommissionKey) -> Verdict,
    ) -> Result<wire::DecideCommissionsResponse, Error> {
        if request.commission_ids.len() > MOST {
            let message = format!("At most {MOST} commissions can be decided at once.");
            return Err(Refusal::invalid("commission_ids", "too_many", message).into());
        }
        let note = text::optional("note", &request.note, text::LONGEST)?;
        let ids: Vec<Option<CommissionId>> =
            request.commission_ids.iter().map(|text| text.parse().ok()).collect();
        let known: Vec<CommissionId> = ids.iter().flatten().copied().collect();
        let found = store::commissions::keys(&self.pool, asker.organization, &known).await?;
        let now = self.now();
        let jobs = ids.iter().filter_map(|id| found.get(&(*id)?)).map(|(customer, key)| Job {
            customers: vec![customer.clone()],
            fact: Fact::DecideCommission(
                key.clone(),
                Box::new(new_decision(asker, verdict(key.clone()), &note, now)),
            ),
        });
        let jobs: Vec<Job> = jobs.collect();
        let mut decided = self.writers.run_all(jobs).await?.into_iter();
        let mut outcomes = Vec::with_capacity(ids.len());
        for id in &ids {
            let is_known = id.is_some_and(|id| found.contains_key(&id));
            outcomes.push(if is_known {
                match decided.next().unwrap_or(Err(Error::Ending))? {
                    Answer::Decided(outcome) => outcome,
                    _ => return Err(Error::Ending),
                }
            } else {
                Err(NotDecided::missing())
            });
        }
        let names = store::commissions::program_names(&self.pool, asker.organization).await?;
        let answers = outcomes.into_iter().map(|outcome| {
            let answer = match outcome {
                Ok(row) => {
                    wire::commission_answer::Answer::Commission(store::commissions::to_wire(&row, &names))
                }
                Err(why) => wire::commission_answer::Answer::Refused(refused(&why)),
            };
            wire::CommissionAnswer { answer: Some(answer) }
        });
        Ok(wire::DecideCommissionsResponse { answers: answers.collect() })
    }

    pub(super) async fn decide_click(
        &self,
        asker: &Asker,
        request: wire::DecideClickRequest,
    ) -> Result<wire::DecideClickResponse, Error> {
        let verdict = match request.decision.as_str() {
            "flag" => Verdict::FlagClick,
            "clear" => Verdict::ClearClick,
            _ => {
                let message = "decision must be flag or clear.";
                return Err(Refusal::invalid("decision", "decision_invalid", message).into());
            }
        };
        let note = text::optional("note", &request.note, text::LONGEST)?;
        let found = store::clicks::find(&self.pool, &request.click_id).await?;
        let own = found.filter(|(organization, ..)| *organization == asker.organization);
        let (_, _, click) =
            own.ok_or_else(|| Refusal::missing("click_not_found", "There is no such click."))?;
        let decision = new_decision(asker, verdict(click.id.clone()), &note, self.now());
        let customers = store::clicks::customers(&self.pool, asker.organization, &click.id).await?;
        if customers.is_empty() {
            // Nobody identifies a click of the organization meanwhile without knowing of the decision.
            let mut tx = self.changing(asker.organization).await?;
            bus::outbox::enqueue(&mut tx, &[publisher::decided(&decision, None)?]).await?;
            store::facts::insert_decisions(&mut tx, &[decision]).await?;
            let customers = store::clicks::customers(&mut *tx, asker.organization, &click.id).await?;
            store::stale::insert(&mut tx, &customers).await?;
            self.commit(tx).await?;
            let reattributed_events = self.derive_again(customers).await?;
            return Ok(wire::DecideClickResponse { reattributed_events });
        }
        let job = Job { customers: customers.clone(), fact: Fact::DecideClick(Box::new(decision)) };
        let Answer::Changed(changed) = self.writers.run(job).await? else {
            return Err(Error::Ending);
        };
        let mut since = store::clicks::customers(&self.pool, asker.organization, &click.id).await?;
        since.retain(|one| !customers.contains(one));
        let reattributed_events = changed.saturating_add(self.derive_again(since).await?);
        Ok(wire::DecideClickResponse { reattributed_events })
    }

    /// Derives customers again, after something changed that all of them are derived by.
    pub(super) async fn derive_again(&self, customers: Vec<Customer>) -> Result<u32, Error> {
        let _deriving = self.writers.deriving().await;
        let job = |customer: &Customer| Job { customers: vec![customer.clone()], fact: Fact::Nothing };
        let chunks: Vec<Vec<Job>> =
            customers.chunks(CHUNK).map(|chunk| chunk.iter().map(job).collect()).collect();
        let mut done =
            stream::iter(chunks).map(|jobs| self.writers.run_all(jobs)).buffer_unordered(CHUNKS_AT_ONCE);
        let mut changed = 0_u32;
        while let Some(answers) = done.try_next().await? {
            for answer in answers {
                let Answer::Changed(events) = answer? else { continue };
                changed = changed.saturating_add(events);
            }
        }
        Ok(changed)
    }

    pub(super) async fn preview_model(
        &self,
        asker: &Asker,
        request: wire::ChangeModelRequest,
    ) -> Result<wire::ModelDifference, Error> {
        let (program, model) = asked(&request)?;
        let catalog = self.catalogs.current(asker.organization).await?;
        if !catalog.book.programs.contains_key(&program) {
            return Err(program_missing().into());
        }
        let after = catalog.book.with_model(program, model);
        let mut preview = Preview::new(&catalog.book, &after);
        let customers = store::listing::customers_of_program(&self.pool, asker.organization, program).await?;
        let with_metadata = catalog.book.reads_metadata();
        let load = |chunk: Vec<Customer>| async move {
            let mut connection = self.pool.acquire().await?;
            let customers: Vec<&Customer> = chunk.iter().collect();
            let facts = store::facts::load(&mut connection, &customers, with_metadata).await?;
            Ok::<_, Error>((chunk, facts))
        };
        let chunks: Vec<Vec<Customer>> = customers.chunks(CHUNK).map(<[Customer]>::to_vec).collect();
        let mut loaded = stream::iter(chunks).map(load).buffer_unordered(PREVIEWED_AT_ONCE);
        while let Some((chunk, facts)) = loaded.try_next().await? {
            for (customer, facts) in chunk.iter().zip(&facts) {
                preview.add(&customer.user_key.as_str().into(), facts);
            }
        }
        Ok(difference(preview.finish()))
    }

    pub(super) async fn change_model(
        &self,
        asker: &Asker,
        request: wire::ChangeModelRequest,
    ) -> Result<wire::ModelDifference, Error> {
        let told = self.preview_model(asker, request.clone()).await?;
        let (program, model) = asked(&request)?;
        let now = self.now();
        let mut tx = self.changing(asker.organization).await?;
        store::programs::insert_model(&mut tx, program, text::new_id(now), model, &asker.actor, now).await?;
        let customers = store::stale::insert_from(&mut tx, asker.organization, program.uuid(), None).await?;
        self.commit(tx).await?;
        self.derive_again(customers).await?;
        Ok(told)
    }
}

fn asked(request: &wire::ChangeModelRequest) -> Result<(ProgramId, Model), Refusal> {
    let wrong = |_| Refusal::invalid("model", "model_invalid", "There is no such model.");
    let program = id("program_not_found", "program", &request.program_id)?;
    Ok((program, request.model.parse().map_err(wrong)?))
}

fn difference(difference: crate::domain::preview::Difference) -> wire::ModelDifference {
    let partner = |((partner, currency), gain): ((PartnerId, crate::domain::money::Currency), _)| {
        let crate::domain::preview::Gain { before, after } = gain;
        wire::PartnerDifference {
            partner_id: partner.to_string(),
            currency: currency.code().to_owned(),
            before: text::amount(before, currency),
            after: text::amount(after, currency),
        }
    };
    wire::ModelDifference {
        events: difference.events,
        changed_events: difference.changed_events,
        partners: difference.partners.into_iter().map(partner).collect(),
    }
}

fn new_decision(asker: &Asker, verdict: Verdict, note: &str, now: Timestamp) -> NewDecision {
    NewDecision {
        organization: asker.organization,
        decision: Decision { id: text::new_id(now), at: now, verdict },
        note: note.to_owned(),
        actor: asker.actor.clone(),
    }
}

fn refused(why: &NotDecided) -> wire::CommissionRefusal {
    wire::CommissionRefusal {
        code: why.code.to_owned(),
        message: why.message.to_owned(),
        mature_at: why.mature_at.map(proto::to_wire_time),
        hold_days: u32::from(why.hold_days),
    }
}
