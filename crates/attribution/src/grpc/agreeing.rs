//! Terms of one partner in a program.

use model::{PartnerId, ProgramId};
use proto::attribution as wire;

use super::{
    Asker, Service, id,
    setup::{partner_missing, program_missing},
};
use crate::{
    Error,
    error::Refusal,
    store::{self, partner_terms::NewTerms},
    terms, text,
};

impl Service {
    pub(super) async fn set_partner_terms(
        &self,
        asker: &Asker,
        request: wire::SetPartnerTermsRequest,
    ) -> Result<wire::PartnerTerms, Error> {
        let partner: PartnerId = id("partner_not_found", "partner", &request.partner_id)?;
        let program: ProgramId = id("program_not_found", "program", &request.program_id)?;
        if let Some(terms) = &request.terms {
            terms::from_wire(terms)?;
        }
        let (now, organization) = (self.now(), asker.organization);
        let from = text::moment("effective_from", request.effective_from.as_ref())?;
        if from.is_some_and(|from| from < now) {
            let message = "What was earned stays earned: effective_from is in the past.";
            return Err(Refusal::invalid("effective_from", "in_the_past", message).into());
        }
        let mut tx = self.changing(organization).await?;
        store::partners::find(&mut *tx, organization, partner).await?.ok_or_else(partner_missing)?;
        let found = store::programs::find(&mut *tx, organization, program).await?;
        found.ok_or_else(program_missing)?;
        let new = NewTerms {
            program,
            partner,
            version: store::programs::next_version(&mut tx, program).await?,
            effective_from: from.unwrap_or(now),
            terms: request.terms,
            actor: asker.actor.clone(),
        };
        store::partner_terms::insert(&mut tx, &new, now).await?;
        // Events of that time may be recorded already.
        let from = Some(new.effective_from);
        let customers = store::stale::insert_from(&mut tx, organization, partner.uuid(), from).await?;
        self.commit(tx).await?;
        self.derive_again(customers).await?;
        let listed = store::partner_terms::list(&self.pool, organization, partner, Some(program)).await?;
        let stored = listed.into_iter().find(|one| one.version == new.version);
        stored.ok_or_else(|| Error::Stored("terms of a partner are missing".to_owned()))
    }

    pub(super) async fn list_partner_terms(
        &self,
        asker: &Asker,
        request: wire::ListPartnerTermsRequest,
    ) -> Result<wire::ListPartnerTermsResponse, Error> {
        let organization = asker.organization;
        let partner: PartnerId = id("partner_not_found", "partner", &request.partner_id)?;
        store::partners::find(&self.pool, organization, partner).await?.ok_or_else(partner_missing)?;
        let program = match request.program_id.as_str() {
            "" => None,
            text => {
                let program: ProgramId = id("program_not_found", "program", text)?;
                let found = store::programs::find(&self.pool, organization, program).await?;
                found.ok_or_else(program_missing)?;
                Some(program)
            }
        };
        let terms = store::partner_terms::list(&self.pool, organization, partner, program).await?;
        Ok(wire::ListPartnerTermsResponse { terms })
    }
}
