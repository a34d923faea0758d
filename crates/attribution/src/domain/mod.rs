//! The pure core: no clock, no chance, no database. Facts and terms go in, what they come to comes out.
//!
//! | File | Decides |
//! |---|---|
//! | `money` | currencies, amounts in minor units, percentages, exact splits |
//! | `facts` | what never changes: clicks, conversion events, corrections, decisions, payout lines |
//! | `terms` | programs, their dated terms, rules, conditions, tiers, caps; which partners are active when |
//! | `weights` | the five models and their exact weights |
//! | `guard` | what is odd about tying a click to a user |
//! | `value` | what an event is worth after its corrections |
//! | `attribute` | which clicks brought an event, and why the others did not |
//! | `claim` | what each rule asks for each of those clicks, before tiers and caps |
//! | `settle` | tiers and caps, in the order of the events: one customer's claims, or one partner's of many customers, all or from one on |
//! | `derive` | all of it for one customer |
//! | `commission` | where a commission stands after decisions and payouts |
//! | `ledger` | the entries that lead from where it stood to where it stands
//! | `reconcile` | all of them for a customer, with why a commission is gone
//! | `payout` | what a partner is paid, with what was taken back |
//! | `preview` | who gains and who loses when other terms hold |

/// A closed set of words that are spelled the same in JSON, in the database and over gRPC.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub(crate) enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Its name in JSON, in the database and over gRPC.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::domain::UnknownWord;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                match name {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(crate::domain::UnknownWord(name.to_owned())),
                }
            }
        }
    };
}

/// A word that is not in its set: something newer wrote it, or a person mistyped it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the word {0:?} is not known to this version")]
pub(crate) struct UnknownWord(pub(crate) String);

/// Whether the mutation check broke this rule on purpose; never outside of it.
#[cfg(test)]
macro_rules! broken {
    ($rule:ident) => {
        crate::domain::mutant::is(crate::domain::mutant::Mutant::$rule)
    };
}
#[cfg(not(test))]
macro_rules! broken {
    ($rule:ident) => {
        false
    };
}

pub(crate) mod attribute;
pub(crate) mod claim;
pub(crate) mod commission;
pub(crate) mod derive;
pub(crate) mod facts;
pub(crate) mod guard;
pub(crate) mod ledger;
pub(crate) mod money;
#[cfg(test)]
mod mutant;
pub(crate) mod outcome;
pub(crate) mod payout;
pub(crate) mod preview;
pub(crate) mod reconcile;
pub(crate) mod settle;
pub(crate) mod terms;
pub(crate) mod value;
pub(crate) mod weights;

#[cfg(test)]
mod stories;
