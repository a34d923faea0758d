//! The pure core: no clock, no chance, no database. State and a fact go in, a decision comes out.

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
#[derive(Debug, thiserror::Error)]
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

pub(crate) mod cell;
pub(crate) mod change;
pub(crate) mod drift;
pub(crate) mod filter;
pub(crate) mod health;
pub(crate) mod lineage;
pub(crate) mod mapping;
pub(crate) mod matching;
pub(crate) mod merge;
#[cfg(test)]
pub(crate) mod mutant;
pub(crate) mod plan;
pub(crate) mod reference;
pub(crate) mod rule;
pub(crate) mod suggest;
pub(crate) mod sync;
pub(crate) mod transform;
pub(crate) mod undo;
pub(crate) mod words;

#[cfg(test)]
mod world;
