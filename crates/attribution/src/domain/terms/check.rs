use super::{Reward, Rule, Terms, condition::Operator};
use crate::domain::money::Currency;

/// Terms that cannot hold, by the place where they do not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidTerms {
    #[error("the window is not between 1 and 365 days")]
    Window,
    #[error("the hold period is longer than 365 days")]
    Hold,
    #[error("there are not between 1 and 10 rules")]
    Rules,
    #[error("rule {0} has more than 10 conditions, or one whose value is no number where it has to be")]
    Conditions(usize),
    #[error(
        "rule {0} has more than 10 tiers, or tiers that do not ascend in one currency with rewards like its own"
    )]
    Tiers(usize),
    #[error("rule {0} is in one currency and its cap in another")]
    CapCurrency(usize),
    #[error("rule {0} has a limit of nothing")]
    Nothing(usize),
}

const MOST_RULES: usize = 10;
const MOST_PARTS: usize = 10;

impl Terms {
    /// Whether they can hold.
    pub(crate) fn check(&self) -> Result<(), InvalidTerms> {
        if !(1..=365).contains(&self.window_days) {
            return Err(InvalidTerms::Window);
        }
        if self.hold_days > 365 {
            return Err(InvalidTerms::Hold);
        }
        if !(1..=MOST_RULES).contains(&self.rules.len()) {
            return Err(InvalidTerms::Rules);
        }
        self.rules.iter().enumerate().try_for_each(|(place, rule)| rule.check(place))
    }
}

impl Rule {
    fn check(&self, place: usize) -> Result<(), InvalidTerms> {
        let wrong = |condition: &super::Condition| {
            matches!(condition.operator, Operator::AtLeast | Operator::AtMost)
                && super::condition::decimal(&condition.value).is_none()
        };
        if self.conditions.len() > MOST_PARTS || self.conditions.iter().any(wrong) {
            return Err(InvalidTerms::Conditions(place));
        }
        if self.tiers.len() > MOST_PARTS || !self.tiers_ascend() {
            return Err(InvalidTerms::Tiers(place));
        }
        let caps = [self.partner_cap, self.customer_cap];
        if self.months == Some(0) || caps.iter().any(|cap| cap.count == Some(0)) {
            return Err(InvalidTerms::Nothing(place));
        }
        let foreign = |currency: Currency| {
            caps.iter().any(|cap| cap.amount.is_some_and(|amount| amount.currency() != currency))
        };
        match self.reward {
            Reward::Fixed(amount) if foreign(amount.currency()) => Err(InvalidTerms::CapCurrency(place)),
            Reward::Fixed(_) | Reward::Percent(_) => Ok(()),
        }
    }

    fn tiers_ascend(&self) -> bool {
        let ascend = self.tiers.windows(2).all(|pair| {
            pair[0].volume.currency() == pair[1].volume.currency()
                && pair[0].volume.minor() < pair[1].volume.minor()
        });
        ascend
            && self.tiers.iter().all(|tier| match (self.reward, tier.reward) {
                (Reward::Percent(_), Reward::Percent(_)) => true,
                (Reward::Fixed(own), Reward::Fixed(other)) => own.currency() == other.currency(),
                (Reward::Percent(_), Reward::Fixed(_)) | (Reward::Fixed(_), Reward::Percent(_)) => false,
            })
    }
}
