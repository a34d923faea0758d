//! The merge of one field: base, seen and pending on the link, the cell on the record, and a value from the vendor.
//!
//! `base` is the value both sides last agreed on, `seen` the last value observed at the vendor, `pending` a value the
//! vendor was asked to write. All three are in canonical form, so that a vendor that trims or rounds a value ends in
//! agreement after one extra exchange.

use jiff::{SignedDuration, Timestamp};
use model::{Value, WriteId};
use serde::{Deserialize, Serialize};

use super::{
    mapping::Policy,
    rule::{Blank, Rules},
};

/// Two edits that are closer in time than this cannot be told apart by clocks that nobody synchronized; a comparison
/// within it stands, and is marked.
pub(crate) const CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(2);

/// What a link remembers of one field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Field {
    /// The vendor's field that all of this is said of. When another one is mapped, it starts anew.
    pub(crate) of: String,
    /// The value that both sides last agreed on; none before they ever did.
    pub(crate) base: Option<Value>,
    /// The last value observed at the vendor.
    pub(crate) seen: Option<Value>,
    /// The vendor's version at that observation.
    pub(crate) version: i64,
    /// A value that the vendor was asked to write and has not confirmed.
    pub(crate) pending: Option<Value>,
    /// Values of writes that are not waited for any more, and may have been made or still be: where the vendor shows
    /// one, it is ours.
    pub(crate) sent: Vec<Sent>,
    /// Somebody wants what was refused to be offered again, which is not done yet.
    pub(crate) retried: bool,
    /// A value that the vendor refused; it is not offered again until it changes or somebody retries.
    pub(crate) refused: Option<Value>,
    /// A value that the vendor showed while our write was in flight: whether it is ours in the vendor's spelling, or
    /// somebody else's, is decided when the vendor answers.
    pub(crate) deferred: Option<Deferred>,
    /// What the vendor holds, in its own form, when that does not fit our field. Ours must not cover it until somebody
    /// changes ours.
    pub(crate) unread: Option<Deferred>,
    /// Both sides moved and a person must decide: the vendor's value, which it holds still, or which our write covered.
    /// Neither side is written until then.
    pub(crate) held: Option<Deferred>,
    /// The last write that carried the field, answered or not.
    pub(crate) asked: Option<WriteId>,
    /// The vendor's field that a write in flight is about, when another one was mapped in the meantime.
    pub(crate) was: Option<String>,
}

/// A value that a write carried: see [`Field::sent`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sent {
    #[serde(rename = "w")]
    pub(crate) write: WriteId,
    #[serde(rename = "v")]
    pub(crate) value: Value,
    /// Whether the vendor refused the write in the end, so that it is not made any more.
    #[serde(rename = "x", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) refused: bool,
}

/// A value of the vendor that waits: see [`Field::deferred`], [`Field::unread`] and [`Field::held`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Deferred {
    pub(crate) value: Value,
    pub(crate) version: i64,
    pub(crate) at: Timestamp,
}

/// A value from the vendor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remote<'a> {
    /// The value in canonical form.
    pub(crate) value: &'a Value,
    /// The vendor's version of the record.
    pub(crate) version: i64,
    /// When the vendor says that it was edited.
    pub(crate) at: Timestamp,
}

impl Remote<'_> {
    fn deferred(self) -> Deferred {
        Deferred { value: self.value.clone(), version: self.version, at: self.at }
    }
}

/// The record's side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Local<'a> {
    /// The value.
    pub(crate) value: &'a Value,
    /// When it was set; none when it never was.
    pub(crate) at: Option<Timestamp>,
}

/// What a value from the vendor means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Older than what was seen.
    Stale,
    /// Seen before.
    Known,
    /// Our own write coming back.
    Echo,
    /// Put aside until the vendor answers our write.
    Deferred,
    /// Both sides hold the same value.
    Agreed,
    /// Only the vendor moved, or there is nothing here to lose: the record takes the value.
    Taken,
    /// Only this side has something, or values do not flow inward: the record keeps its value.
    Kept,
    /// Both moved.
    Conflict {
        /// Whether the vendor's value stands.
        vendor_wins: bool,
        /// Whether the two edits were closer than [`CLOCK_SKEW`] and their times decided.
        within_skew: bool,
    },
    /// Both moved, and a person must decide: see [`Field::held`].
    Held,
}

impl Decision {
    /// Whether the record takes the vendor's value.
    pub(crate) const fn takes(self) -> bool {
        matches!(self, Self::Taken | Self::Conflict { vendor_wins: true, .. })
    }
}

impl Field {
    /// A vendor's field of which nothing is known yet.
    pub(crate) fn of(vendor_field: &str) -> Self {
        Self { of: vendor_field.to_owned(), ..Self::default() }
    }

    /// Starts anew with another field of the vendor.
    pub(crate) fn turn_to(&mut self, vendor_field: &str) {
        let was = if self.pending.is_some() { Some(std::mem::take(&mut self.of)) } else { self.was.take() };
        *self = Self { was, ..Self::of(vendor_field) };
    }

    /// Decides what a value from the vendor means, and remembers that it was seen.
    pub(crate) fn observe(&mut self, remote: Remote<'_>, local: Local<'_>, rules: Rules) -> Decision {
        let decision = self.decide(remote, local, rules);
        let moves = match decision {
            Decision::Taken | Decision::Kept | Decision::Conflict { .. } | Decision::Held => true,
            // The old value under a newer version: nobody touched it, or somebody put it back after our write.
            Decision::Known | Decision::Agreed => remote.version > self.version,
            Decision::Stale | Decision::Echo | Decision::Deferred => false,
        };
        if moves && self.pending.is_some() && !broken!(NeverDeferred) {
            if self.deferred.as_ref().is_none_or(|deferred| deferred.version <= remote.version) {
                self.deferred = Some(remote.deferred());
            }
            return Decision::Deferred;
        }
        if decision == Decision::Stale {
            return decision;
        }
        self.advance(remote.version);
        self.seen = Some(remote.value.clone());
        if decision != Decision::Known {
            self.held = (decision == Decision::Held).then(|| remote.deferred());
        }
        match decision {
            Decision::Echo => {
                self.drop_pending();
                self.base = Some(remote.value.clone());
            }
            Decision::Agreed | Decision::Taken | Decision::Conflict { .. } => {
                if !broken!(BaseStays) {
                    self.base = Some(remote.value.clone());
                }
                // Ours that stands is what was refused.
                if decision.takes() || decision == Decision::Agreed {
                    self.refused = None;
                }
            }
            // Ours that waits for a person is not offered, refused or not.
            Decision::Held => (self.refused, self.retried) = (None, false),
            Decision::Stale | Decision::Known | Decision::Kept | Decision::Deferred => {}
        }
        decision
    }

    fn decide(&self, remote: Remote<'_>, local: Local<'_>, rules: Rules) -> Decision {
        if self.seen.is_some() && remote.version < self.version && !broken!(StaleTaken) {
            return Decision::Stale;
        }
        if self.pending.as_ref() == Some(remote.value) && !broken!(EchoUnknown) {
            return Decision::Echo;
        }
        if self.seen.as_ref() == Some(remote.value) && !broken!(EchoUnknown) {
            return Decision::Known;
        }
        if self.was_sent(remote.value) && !broken!(EchoForgotten) {
            return Decision::Echo;
        }
        if remote.value == local.value {
            return Decision::Agreed;
        }
        if !rules.direction.inward() {
            return Decision::Kept;
        }
        match rules.blank {
            Blank::NeverOverwrites if remote.value.is_blank() => return Decision::Kept,
            Blank::NeverOverwrites | Blank::OnlyFills if local.value.is_blank() => return Decision::Taken,
            Blank::OnlyFills => return Decision::Kept,
            Blank::NeverOverwrites | Blank::Wins => {}
        }
        match &self.base {
            Some(base) if base == local.value => Decision::Taken,
            None if local.value.is_blank() => Decision::Taken,
            None if remote.value.is_blank() => Decision::Kept,
            // What moved there has come back to what both sides agreed on, so that only ours is left of the two edits.
            Some(base) if self.held.is_some() && base == remote.value => Decision::Kept,
            _ => conflict(remote, local, rules.policy),
        }
    }

    fn advance(&mut self, version: i64) {
        if !broken!(VersionStays) {
            self.version = self.version.max(version);
        }
    }

    /// Takes the vendor's answer to this write: it now holds `remote`, which is what we asked for in its own spelling.
    /// [`Decision::Kept`] means that the vendor made a blank of it and blanks do not overwrite this field.
    pub(crate) fn answered(
        &mut self,
        write: WriteId,
        remote: Remote<'_>,
        local: &Value,
        rules: Rules,
    ) -> Decision {
        let waited = self.pending.is_some();
        let asked = self.take_asked(write);
        // Of what came meanwhile, at the same version, nothing was put aside for an answer that nobody waited for.
        let decided = !waited && remote.version == self.version && self.seen.as_ref() != Some(remote.value);
        if self.seen.is_some() && (remote.version < self.version || decided) {
            return Decision::Stale;
        }
        self.advance(remote.version);
        self.seen = Some(remote.value.clone());
        let Some(asked) = asked else {
            self.base = Some(remote.value.clone());
            return Decision::Echo;
        };
        if !rules.direction.inward() && !broken!(SpellingCompared) {
            // The vendor's spelling never comes here, so that ours is what both sides agreed on.
            self.base = Some(asked);
            return Decision::Echo;
        }
        if rules.blank != Blank::Wins && remote.value.is_blank() && !local.is_blank() {
            self.base = Some(local.clone());
            return Decision::Kept;
        }
        self.base = Some(remote.value.clone());
        if asked != *remote.value && asked == *local && rules.direction.inward() {
            Decision::Taken
        } else {
            Decision::Echo
        }
    }

    /// Settles a foreign value that our write covered before it was ever seen. The vendor holds our value now; a
    /// vendor's win brings the covered one back by the next write.
    pub(crate) fn covered(&mut self, foreign: Remote<'_>, local: Local<'_>, policy: Policy) -> Decision {
        let was_there = self.seen.as_ref() == Some(foreign.value);
        let known = self.base.as_ref() == Some(foreign.value) || was_there || self.was_sent(foreign.value);
        let is_asked = self.held.as_ref().is_some_and(|held| held.value == *foreign.value);
        let decision = match foreign.value == local.value {
            true => Decision::Agreed,
            // A person is asked about it still, and does not find it there any more.
            false if is_asked && was_there => Decision::Held,
            false if known => Decision::Known,
            false => conflict(foreign, local, policy),
        };
        // What is asked about already was seen after the write.
        if decision == Decision::Held && self.held.is_none() {
            self.held = Some(foreign.deferred());
        }
        decision
    }

    /// The vendor holds what it was asked to write, in a form that we cannot read and need not.
    pub(crate) fn answered_unread(&mut self, write: WriteId) {
        if let Some(asked) = self.take_asked(write) {
            self.base = Some(asked);
        }
    }

    /// What this write carried; it is made now.
    fn take_asked(&mut self, write: WriteId) -> Option<Value> {
        let sent = self.sent.iter().position(|sent| sent.write == write).map(|at| self.sent.remove(at).value);
        if self.asked != Some(write) && !broken!(AnyAnswer) {
            return sent;
        }
        (self.refused, self.retried) = (None, false);
        let pending = if broken!(PendingStays) { self.pending.clone() } else { self.pending.take() };
        pending.or(sent)
    }

    /// The write that carries what is pending is not waited for any more; it may have been made.
    pub(crate) fn drop_pending(&mut self) {
        if let (Some(value), Some(write)) = (self.pending.take(), self.asked) {
            self.sent.push(Sent { write, value, refused: false });
        }
    }

    /// This write was made, whatever it carried.
    pub(crate) fn forget(&mut self, write: WriteId) {
        self.sent.retain(|sent| sent.write != write);
    }

    /// The vendor refused this write in the end. An earlier try of it may have been made.
    pub(crate) fn refuse_sent(&mut self, write: WriteId) {
        let sent = self.sent.iter_mut().filter(|sent| sent.write == write);
        sent.for_each(|sent| sent.refused = true);
    }

    /// Something newer was seen than refused writes may have left there.
    pub(crate) fn forget_refused_sent(&mut self) {
        self.sent.retain(|sent| !sent.refused);
    }

    /// Whether this write is one that is not waited for any more.
    pub(crate) fn was_sent_by(&self, write: WriteId) -> bool {
        self.sent.iter().any(|sent| sent.write == write)
    }

    fn was_sent(&self, value: &Value) -> bool {
        self.sent.iter().any(|sent| sent.value == *value)
    }

    /// What this version of the vendor's record holds is decided although it was seen, where it never came here: nothing
    /// flowed inward then, or a blank was kept out.
    pub(crate) fn ask_again(&mut self, version: i64) {
        if self.pending.is_none() && self.base.is_some() && version >= self.version {
            self.seen.clone_from(&self.base);
        }
    }

    /// Offers what was refused once more.
    pub(crate) fn offer_again(&mut self) {
        self.retried |= self.refused.take().is_some();
    }

    /// Whether an issue of the field is open, or was until somebody retried it.
    pub(crate) const fn is_held(&self) -> bool {
        self.refused.is_some() || self.retried
    }

    /// Whether an issue of the field is open because of what was refused, or because a person must decide.
    pub(crate) const fn has_issue(&self) -> bool {
        self.is_held() || self.held.is_some()
    }

    /// Whether somebody set ours to what theirs is while both waited for a person: nothing is to be decided any more.
    pub(crate) fn agrees_meanwhile(&mut self, local: &Value) -> bool {
        let agrees = self.held.as_ref().is_some_and(|held| held.value == *local);
        if agrees {
            self.settle_held();
        }
        agrees
    }

    /// A person decided between ours and theirs, which is the answer, with whether a write of ours had covered it: whoever
    /// set either knows of both now. None when nothing waits for that.
    pub(crate) fn settle_held(&mut self) -> Option<(Value, bool)> {
        let theirs = self.held.take()?.value;
        let covered = self.seen.as_ref() != Some(&theirs);
        self.base.clone_from(&self.seen);
        Some((theirs, covered))
    }

    /// What waits for a person is not waited for any more: theirs, if it is there still, counts as never seen, so that it
    /// is asked about again once it shows.
    pub(crate) fn release_held(&mut self) -> Option<Deferred> {
        let theirs = self.held.take()?;
        self.seen.take_if(|seen| *seen == theirs.value);
        Some(theirs)
    }

    /// Decides what waits for a person by the rules as they are now; none when nothing waits.
    pub(crate) fn decide_held(&mut self, local: Local<'_>, rules: Rules) -> Option<(Deferred, Decision)> {
        let theirs = self.release_held()?;
        let remote = Remote { value: &theirs.value, version: self.version, at: theirs.at };
        let decision = match self.seen {
            None => self.observe(remote, local, rules),
            Some(_) => self.covered(remote, local, rules.policy),
        };
        Some((theirs, decision))
    }

    /// When nothing is to be offered: forgets what was refused and is not ours any more. False when nothing was held.
    pub(crate) fn forgets_refused(&mut self, local: &Value) -> bool {
        let forgotten = self.unread.is_none()
            && self.held.is_none()
            && self.pending.is_none()
            && (self.refused.take_if(|refused| refused != local).is_some()
                || (self.refused.is_none() && self.retried));
        self.retried &= !forgotten;
        forgotten
    }

    /// Ours does not fit the vendor's field: it is not offered until it changes.
    pub(crate) fn hold(&mut self, local: &Value) {
        (self.refused, self.retried) = (Some(local.clone()), false);
    }

    /// The vendor's value does not fit our field; false when something newer was seen already.
    pub(crate) fn cannot_read(&mut self, unread: Deferred, local: &Value) -> bool {
        if self.is_behind(unread.version) {
            return false;
        }
        self.hold(local);
        self.unread = Some(unread);
        // What was put aside is not there any more.
        self.deferred = None;
        true
    }

    /// The vendor's value does not fit our field, into which it does not flow: it is only known to be there.
    pub(crate) fn need_not_read(&mut self, unread: Deferred) {
        if !self.is_behind(unread.version) {
            self.unread = Some(unread);
        }
    }

    /// The vendor's value fits our field; false when a newer one that did not is still there.
    pub(crate) fn can_read(&mut self, version: i64) -> bool {
        let Some(unread) = &self.unread else { return true };
        if version < unread.version {
            return false;
        }
        self.unread = None;
        self.refused = None;
        true
    }

    /// Whether something newer than this version was seen, or waits to be decided.
    fn is_behind(&self, version: i64) -> bool {
        let mut waiting = [&self.unread, &self.deferred].into_iter().flatten();
        self.seen.is_some() && version < self.version || waiting.any(|it| version < it.version)
    }

    /// Whether the vendor is to be asked to write this value. What flows outward only is written when it changed
    /// here, not when somebody changed it there; a blank that nobody set never clears the vendor's value; and a value
    /// of a record that exists there is never covered before it was seen.
    pub(crate) fn wants(&self, local: &Value, rules: Rules, exists_there: bool) -> bool {
        let refused = self.refused.as_ref().is_some_and(|refused| refused == local || broken!(RefusedStays));
        if !rules.direction.outward() || refused || (self.held.is_some() && !broken!(HeldWritten)) {
            return false;
        }
        let there = match (&self.pending, &self.base) {
            (Some(pending), _) => return pending != local,
            _ if exists_there && self.seen.is_none() && self.unread.is_none() => return false,
            (None, None) if local.is_blank() => return false,
            (None, Some(base)) if !rules.direction.inward() => base,
            (None, _) => self.seen.as_ref().unwrap_or(&Value::Null),
        };
        there != local && self.may_overwrite(local, rules.blank)
    }

    /// Whether the blank rule lets this value cover what the vendor holds. What somebody emptied there stays empty
    /// until ours changes.
    fn may_overwrite(&self, local: &Value, blank: Blank) -> bool {
        let empty = self.unread.is_none() && self.seen.as_ref().is_none_or(Value::is_blank);
        let emptied = empty && self.base.as_ref() == Some(local);
        match blank {
            Blank::Wins => true,
            Blank::NeverOverwrites => !local.is_blank() && !emptied,
            Blank::OnlyFills => !local.is_blank() && empty && !emptied,
        }
    }
}

fn conflict(remote: Remote<'_>, local: Local<'_>, policy: Policy) -> Decision {
    let (vendor_wins, within_skew) = match policy {
        Policy::Manual => return Decision::Held,
        Policy::Platform => (false, false),
        Policy::Crm => (true, false),
        Policy::Newest => match local.at {
            None => (true, false),
            Some(at) if broken!(OlderWins) => (remote.at < at, false),
            Some(at) if broken!(TieToPlatform) => (remote.at > at, false),
            Some(at) => (remote.at >= at, remote.at.duration_since(at).abs() <= CLOCK_SKEW),
        },
    };
    Decision::Conflict { vendor_wins, within_skew }
}
