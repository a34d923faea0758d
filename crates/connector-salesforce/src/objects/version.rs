//! Versions that make readings and events comparable.
//!
//! A version is a second of Salesforce's clock, shifted by 31 bits, and a number within it:
//!
//! - an **event** has the second of its commit and the low bits of its commit number, from 1 to the maximum less 1, because
//!   commit numbers grow;
//! - a **reading** by REST has the second of the record's `SystemModstamp`. When that second was surely over when the record
//!   was read, it has the maximum: it includes every event of that second. When it was not, it has 0: more may
//!   follow in that second, so it is older than any event of it.
//!
//! A stamp is set when a statement runs and an event is dated when its transaction commits, which is the same second or a
//! later one. So an event may seem newer than a reading that shows what it says; taking it again changes nothing, because the
//! record's lock kept others from changing it between the two. A reading never seems newer than an event
//! that it does not show.

/// Bits of a second's number.
const BITS: u32 = 31;
/// The number of a reading that includes its whole second.
const WHOLE: i64 = (1 << BITS) - 1;
/// The last second that fits.
const LAST_SECOND: i64 = (1 << 32) - 1;

/// The version of a change event.
pub(crate) fn of_event(commit_ms: i64, commit_number: i64) -> i64 {
    at(commit_ms.div_euclid(1_000), (commit_number & WHOLE).clamp(1, WHOLE - 1))
}

/// The version of a record that was read, not before this second began.
pub(crate) fn of_reading(stamp_s: i64, not_before_s: i64) -> i64 {
    at(stamp_s, if stamp_s < not_before_s { WHOLE } else { 0 })
}

fn at(second: i64, number: i64) -> i64 {
    (second.clamp(0, LAST_SECOND) << BITS) | number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_includes_a_finished_second_and_none_of_an_unfinished_one() {
        let event = of_event(1_700_000_000_999, 42);
        assert!(of_reading(1_700_000_000, 1_700_000_001) > event);
        assert!(of_reading(1_700_000_000, 1_700_000_000) < event);
        assert!(of_reading(1_699_999_999, i64::MAX) < event);
        assert!(of_event(1_700_000_000_000, 43) > event);
        assert!(of_reading(1_700_000_001, 0) > event);
    }

    proptest::proptest! {
        #[test]
        fn an_event_is_strictly_between_the_two_readings_of_its_second(ms: i64, number: i64) {
            let (second, event) = (ms.div_euclid(1_000), of_event(ms, number));
            proptest::prop_assert!(of_reading(second, i64::MIN) < event && event < of_reading(second, i64::MAX) || second == i64::MAX);
            proptest::prop_assert!(event > 0);
        }
    }
}
