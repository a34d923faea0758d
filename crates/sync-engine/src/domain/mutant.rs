//! Rules of the merge that the mutation check breaks, one at a time, to see that the simulator notices.

use std::cell::Cell;

macro_rules! mutants {
    ($($(#[doc = $doc:literal])+ $name:ident),+ $(,)?) => {
        /// A rule that can be broken.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Mutant { $($(#[doc = $doc])+ $name),+ }

        impl Mutant {
            /// All of them, each with what it does.
            pub(crate) const ALL: &[(Self, &str)] = &[$((Self::$name, concat!($($doc),+))),+];
        }
    };
}

mutants! {
    /// an echo is taken for somebody's edit
    EchoUnknown,
    /// the base stays where it was
    BaseStays,
    /// of two edits the older one wins
    OlderWins,
    /// a tie goes to the platform
    TieToPlatform,
    /// older versions are taken too
    StaleTaken,
    /// versions do not advance
    VersionStays,
    /// what is pending is never confirmed
    PendingStays,
    /// what arrives during a write is dropped
    DeferredDropped,
    /// what arrives during a write is decided at once
    NeverDeferred,
    /// what a write covered is ignored
    CoveredIgnored,
    /// writes say nothing of what they expect there
    GuardOff,
    /// a refused value stays refused when it changes
    RefusedStays,
    /// several writes of a link are in flight
    TwoInFlight,
    /// the vendor's spelling is compared with ours where it never comes back
    SpellingCompared,
    /// a lost conflict is not recorded
    ConflictSilent,
    /// a refused write is no issue
    RefusalSilent,
    /// a value that does not fit is taken for a blank one
    UnfitIsBlank,
    /// an answer is taken whatever write it answers
    AnyAnswer,
    /// a deletion of an older version counts
    OldDeletion,
    /// what was put aside during a write is forgotten at a deletion
    DeletionForgets,
    /// any write that is applied clears the issue of the whole record
    RecordIssueCleared,
    /// a covered value that does not fit here is dropped
    UnfitCoveredDropped,
    /// an answer about another vendor record is taken for the link's
    StrangerAnswers,
    /// a record that was deleted before its creation was answered is linked twice
    HeirForgotten,
    /// an old change of a deleted record opens issues
    IssueOfGone,
    /// what was sent and not answered is taken for somebody's edit once it shows
    EchoForgotten,
    /// what a write covered of another record is ignored
    StrangerCovered,
    /// a deletion while the mapping is paused is forgotten
    DeletionUntold,
    /// an answer to a write that is not waited for any more is ignored
    LateIgnored,
    /// a change that tells too little is forgotten once the record is asked for
    PartForgotten,
    /// what was refused and is ours no more stays an issue
    RefusedRemembered,
    /// what cannot be read back and need not is written again
    UnreadAgain,
    /// a vendor's edit has the time of its record, although that of the field is known
    FieldTimesIgnored,
    /// ours is written over theirs while both wait for a person
    HeldWritten,
    /// what waited for a person is not asked again when a deleted record is back
    HeldForgotten,
}

thread_local! {
    static BROKEN: Cell<Option<Mutant>> = const { Cell::new(None) };
}

/// Whether this rule is broken on this thread.
pub(crate) fn is(mutant: Mutant) -> bool {
    BROKEN.get() == Some(mutant)
}

/// Breaks a rule on this thread, or none.
pub(crate) fn set(mutant: Option<Mutant>) {
    BROKEN.set(mutant);
}
