//! The review queue: what waits for a person, and what people decide.

use std::collections::BTreeSet;

use model::{CommissionId, PartnerId};
use proto::attribution as wire;

use super::{Asker, Service, reading};
use crate::{
    Error,
    domain::facts::Verdict,
    error::Refusal,
    store::{self, reviews::Filter},
    text,
};

const USUAL_LIMIT: u32 = 50;
const LARGEST_LIMIT: u32 = 500;

impl Service {
    pub(super) async fn list_reviews(
        &self,
        asker: &Asker,
        request: wire::ListReviewsRequest,
    ) -> Result<wire::ListReviewsResponse, Error> {
        let only_held = match request.state.as_str() {
            "" | "held" => true,
            "accrued" => false,
            _ => {
                let message = "state must be held or accrued.";
                return Err(Refusal::invalid("state", "state_invalid", message).into());
            }
        };
        let filter = Filter {
            only_held,
            partner: reading::partner(&request.partner_id)?.map(PartnerId::uuid),
            reason: text::optional("reason", &request.reason, 64)?,
            below: reading::cursor(&request.cursor)?,
        };
        let limit = reading::limit(request.limit, USUAL_LIMIT, LARGEST_LIMIT);
        let mut items =
            store::reviews::list(&self.pool, asker.organization, &filter, i64::from(limit) + 1).await?;
        let next_cursor =
            reading::cut(&mut items, limit, |item| item.commission_id.parse().map(CommissionId::uuid).ok());
        let totals = store::reviews::totals(&self.pool, asker.organization, &filter).await?;
        Ok(wire::ListReviewsResponse { items, next_cursor, totals })
    }

    pub(super) async fn decide_reviews(
        &self,
        asker: &Asker,
        request: wire::DecideReviewsRequest,
    ) -> Result<wire::DecideCommissionsResponse, Error> {
        let (decision, verdict): (_, fn(_) -> _) = match request.decision.as_str() {
            "clear" => ("clear", Verdict::Release),
            "reject" => ("flag", Verdict::Reverse),
            _ => {
                let message = "decision must be clear or reject.";
                return Err(Refusal::invalid("decision", "decision_invalid", message).into());
            }
        };
        let asked = wire::DecideCommissionsRequest {
            commission_ids: request.commission_ids.clone(),
            note: request.note.clone(),
        };
        // First each for itself, so that each has its own answer; what then hangs on the click follows.
        let decided = self.decide_commissions(asker, asked, verdict).await?;
        if request.with_click {
            let ids: Vec<CommissionId> =
                request.commission_ids.iter().filter_map(|id| id.parse().ok()).collect();
            let found = store::commissions::keys(&self.pool, asker.organization, &ids).await?;
            let clicks: BTreeSet<_> = found.into_values().map(|(_, key)| key.click).collect();
            for click in clicks {
                let request = wire::DecideClickRequest {
                    click_id: click.to_string(),
                    decision: decision.to_owned(),
                    note: request.note.clone(),
                };
                self.decide_click(asker, request).await?;
            }
        }
        Ok(decided)
    }
}
