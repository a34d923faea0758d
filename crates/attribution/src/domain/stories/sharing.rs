//! Which clicks bring an event, and what each gets.

use super::*;
use crate::domain::{
    facts::user_key,
    money::{InvalidMoney, MAX_MINOR, split},
    outcome::{Attribution, Outcome, Reason, Status},
    terms::{Condition, ModelChange, Operator, Standing},
    weights::MOST_TOUCHES,
};

fn outcome(story: &Story) -> Outcome {
    derive(&story.book, &story.customer, &story.facts).outcomes.remove(0)
}

fn clicks_of(outcome: &Outcome) -> Vec<ClickId> {
    outcome.attribution.touches().iter().map(|touch| touch.click.clone()).collect()
}

#[test]
fn three_clicks_share_ten_dollars_and_no_cent_is_lost() {
    let mut story = Story::new(terms(Model::Linear, vec![every(percent("10"))]));
    (0..3).for_each(|number| story.click(number, number, day(i64::from(number))));
    story.sale(1, "100.00", "USD", day(5));
    assert_eq!(story.due(), [(key(1, 0, 0), 334), (key(1, 1, 0), 333), (key(1, 2, 0), 333)]);
}

#[test]
fn a_currency_has_the_decimals_that_iso_gives_it() {
    let mut story = Story::new(terms(Model::Linear, vec![every(percent("10"))]));
    (0..2).for_each(|number| story.click(number, number, day(0)));
    story.sale(1, "1005", "JPY", day(1));
    story.sale(2, "1.005", "KWD", day(1));
    // 10 % are 100.5 yen, rounded to 101; and 0.1005 dinar, rounded to 0.101
    let dues = [(key(1, 0, 0), 51), (key(1, 1, 0), 50), (key(2, 0, 0), 51), (key(2, 1, 0), 50)];
    assert_eq!(story.due(), dues);
    assert_eq!(money("1.5", "JPY").minor(), 2);
    assert_eq!(crate::domain::money::major(101, currency("KWD")).to_string(), "0.101");
}

#[test]
fn what_is_no_iso_code_is_no_currency() {
    for code in ["zzz", "ZZZ", "usd", "US", "USDX", "", "XAU", "XXX", "🤑"] {
        assert_eq!(code.parse::<Currency>(), Err(InvalidMoney::Currency), "{code}");
    }
}

#[test]
fn amounts_that_are_too_large_are_refused_and_the_largest_one_pays() {
    let usd = Currency::USD;
    assert_eq!(Money::try_new(rust_decimal::Decimal::MAX, usd), Err(InvalidMoney::TooLarge));
    assert_eq!(Money::try_new("10000000000000.01".parse().unwrap(), usd), Err(InvalidMoney::TooLarge));
    assert_eq!(Money::try_new("-0.01".parse().unwrap(), usd), Err(InvalidMoney::Negative));
    assert_eq!(Money::try_new("-0".parse().unwrap(), usd).map(Money::minor), Ok(0));
    assert!(Percent::try_new("100.000001".parse().unwrap()).is_err());
    assert!(Percent::try_new("0.0000001".parse().unwrap()).is_err());
    assert!(Percent::try_new(rust_decimal::Decimal::MAX).is_err());
    let mut story = Story::new(terms(Model::TimeDecay, vec![every(percent("100"))]));
    (0..3).for_each(|number| story.click(number, number, day(i64::from(number))));
    story.sale(1, "10000000000000", "USD", day(5));
    assert_eq!(story.due().iter().map(|(_, due)| due).sum::<i64>(), MAX_MINOR);
}

#[test]
fn a_touch_that_is_stitched_after_the_sale_replaces_and_pays_nobody_twice() {
    let mut story = Story::new(terms(Model::LastClick, vec![every(percent("10"))]));
    story.click(1, 1, day(0));
    story.sale(1, "100.00", "USD", day(5));
    assert_eq!(story.due(), [(key(1, 1, 0), 1000)]);
    story.click(2, 2, day(4));
    story.facts.clicks[1].identified_at = day(9);
    assert_eq!(story.due(), [(key(1, 2, 0), 1000)]);
}

#[test]
fn the_window_is_that_of_the_clicks_own_program_to_the_nanosecond() {
    let mut long = terms(Model::Linear, vec![every(percent("10"))]);
    long.window_days = 20;
    let mut story = Story::new(Terms { window_days: 10, ..long.clone() });
    story.book.programs.insert(program(1), Program::new(vec![version(1, Timestamp::MIN, long)], None));
    story.click(1, 1, day(0));
    story.click(2, 2, day(0));
    story.facts.clicks[1].program = program(1);
    story.sale(1, "100.00", "USD", day(10));
    assert_eq!(clicks_of(&outcome(&story)), [click(1), click(2)]);
    story.facts.conversions[0].at += SignedDuration::from_nanos(1);
    assert_eq!(clicks_of(&outcome(&story)), [click(2)]);
    story.facts.conversions[0].at = day(20) + SignedDuration::from_nanos(1);
    assert_eq!(outcome(&story).attribution.status(), Status::OutsideWindow);
}

#[test]
fn a_click_up_to_five_minutes_after_the_event_counts() {
    let mut story = Story::new(terms(Model::LastClick, vec![every(percent("10"))]));
    story.click(1, 1, minute(5));
    story.sale(1, "100.00", "USD", minute(0));
    assert_eq!(outcome(&story).attribution.status(), Status::Attributed);
    story.facts.clicks[0].at += SignedDuration::from_nanos(1);
    assert_eq!(outcome(&story).attribution, Attribution::Nobody(Reason::ClickLater));
}

#[test]
fn whoever_looks_into_it_is_told_why_a_click_does_not_count_and_of_several_what_came_nearest() {
    let mut story = Story::new(terms(Model::LastClick, vec![every(percent("10"))]));
    story.sale(1, "100.00", "USD", day(100));
    assert_eq!(outcome(&story).attribution.status(), Status::NoIdentity);
    story.click(0, 0, day(99));
    story.click(1, 1, day(99));
    story.click(2, 2, day(0));
    story.click(3, 2, day(101));
    story.click(4, 2, day(99));
    story.facts.clicks[4].program = program(9);
    story.decide(day(100), Verdict::FlagClick(click(0)));
    let revoked = Standing { at: day(99), sequence: 0, active: false };
    story.book.partners.insert(partner(1), Partner::new("", vec![revoked]));
    let why = |place: usize| {
        let mut alone = story.clone();
        alone.facts.clicks = vec![story.facts.clicks[place].clone()];
        outcome(&alone).attribution
    };
    let reasons = [
        Reason::ClickFlagged,
        Reason::PartnerRevoked,
        Reason::ClickTooOld,
        Reason::ClickLater,
        Reason::NoTerms,
    ];
    for (place, reason) in reasons.into_iter().enumerate() {
        assert_eq!(why(place), Attribution::Nobody(reason));
    }
    assert_eq!(outcome(&story).attribution.status(), Status::OutsideWindow);
    story.facts.clicks.truncate(2);
    assert_eq!(outcome(&story).attribution.status(), Status::NoClick);
}

#[test]
fn a_flag_takes_an_event_away_and_clearing_it_gives_it_back() {
    let mut story = Story::new(terms(Model::LastClick, vec![every(percent("10"))]));
    story.click(1, 1, day(0));
    story.click(2, 2, day(1));
    story.sale(1, "100.00", "USD", day(5));
    story.decide(day(6), Verdict::FlagClick(click(2)));
    assert_eq!(story.due(), [(key(1, 1, 0), 1000)]);
    story.decide(day(7), Verdict::ClearClick(click(2)));
    assert_eq!(story.due(), [(key(1, 2, 0), 1000)]);
}

#[test]
fn a_revoked_partner_keeps_what_was_earned_before_and_earns_again_once_reinstated() {
    let mut story = Story::new(terms(Model::LastClick, vec![every(percent("10"))]));
    let standing = |days, sequence, active| Standing { at: day(days), sequence, active };
    let standings = vec![standing(20, 2, true), standing(10, 1, false)];
    story.book.partners.insert(partner(1), Partner::new("a@b.test", standings));
    story.click(1, 1, day(0));
    for (number, days) in [(1, 9), (2, 10), (3, 19), (4, 20)] {
        story.sale(number, "100.00", "USD", day(days));
    }
    assert_eq!(story.due(), [(key(1, 1, 0), 1000), (key(4, 1, 0), 1000)]);
}

#[test]
fn another_model_changes_the_past_and_terms_do_not() {
    let first = terms(Model::LastClick, vec![every(percent("10"))]);
    let second = terms(Model::Linear, vec![every(percent("20"))]);
    let versions = vec![version(1, Timestamp::MIN, first), version(2, day(10), second)];
    let mut story = Story::new(versions[0].terms.clone().unwrap());
    let sells = |story: &mut Story| {
        story.click(1, 1, day(0));
        story.click(2, 2, day(1));
        story.sale(1, "100.00", "USD", day(9));
        story.sale(2, "100.00", "USD", day(10));
    };
    sells(&mut story);
    story.book.programs.insert(program(0), Program::new(versions.clone(), None));
    assert_eq!(story.due(), [(key(1, 2, 0), 1000), (key(2, 1, 0), 1000), (key(2, 2, 0), 1000)]);
    let change = ModelChange { model: Model::FirstClick, up_to_version: 1 };
    story.book.programs.insert(program(0), Program::new(versions, Some(change)));
    assert_eq!(story.due(), [(key(1, 1, 0), 1000), (key(2, 1, 0), 1000), (key(2, 2, 0), 1000)]);
}

#[test]
fn more_clicks_than_may_share_leave_the_first_and_the_latest() {
    let mut story = Story::new(terms(Model::Linear, vec![every(percent("100"))]));
    for number in 0..300_u32 {
        let at = minute(i64::from(number));
        story.facts.clicks.push(Click {
            id: format!("click-{number:03}").into(),
            partner: partner(0),
            program: program(0),
            at,
            identified_at: at,
            flagged: false,
            suspicion: None,
            guarded: false,
            instead_of: None,
        });
    }
    story.sale(1, "100.00", "USD", day(1));
    let clicks = clicks_of(&outcome(&story));
    assert_eq!(clicks.len(), MOST_TOUCHES);
    assert_eq!((&*clicks[0], &*clicks[1], &*clicks[255]), ("click-000", "click-045", "click-299"));
    assert_eq!(story.due().iter().map(|(_, due)| due).sum::<i64>(), 10_000);
}

#[test]
fn user_ids_that_are_addresses_are_compared_without_case_and_others_exactly() {
    assert_eq!(user_key("Jo@Shop.Test"), "jo@shop.test");
    assert_eq!(user_key("ΑΣ@shop.test"), user_key("ασ@shop.test"));
    for exact in ["User-1", "Jo@Shop", "A @b.c", "A@b@c.d", "@B.c", "A@.c", "A@b."] {
        assert_eq!(user_key(exact), exact);
    }
}

#[test]
fn conditions_read_the_metadata() {
    let metadata = serde_json::json!({"deal": {"size": "4500.50", "won": true}, "a.b": 1e3, "none": null});
    let holds = |field: &str, operator, value: &str| {
        Condition { field: field.into(), operator, value: value.into() }.holds(&metadata)
    };
    assert!(holds("deal.size", Operator::AtLeast, "4500.5"));
    assert!(!holds("deal.size", Operator::AtLeast, "4500.51"));
    assert!(holds("a.b", Operator::Equals, "1000.00"));
    assert!(holds("a.b", Operator::AtMost, "1000"));
    assert!(holds("deal.won", Operator::Equals, "true"));
    assert!(holds("missing", Operator::NotEquals, "x"));
    assert!(!holds("none", Operator::Exists, ""));
    assert!(!holds("missing.deep", Operator::AtMost, "1"));
    assert!(!holds("deal", Operator::Equals, "1"));
}

proptest::proptest! {
    #[test]
    fn a_split_sums_to_its_total_and_gives_nobody_a_unit_more_or_less_than_is_due(
        total in 0..=MAX_MINOR,
        weights in proptest::collection::vec(0_i64..=1 << 54, 1..20)
    ) {
        let denominator: i64 = weights.iter().sum::<i64>();
        proptest::prop_assume!(denominator > 0);
        let parts = split(total, weights.iter().copied(), denominator);
        assert_eq!(parts.iter().sum::<i64>(), total);
        for (part, weight) in parts.iter().zip(&weights) {
            let off = i128::from(*part) * i128::from(denominator) - i128::from(total) * i128::from(*weight);
            assert!(off.abs() < i128::from(denominator));
        }
    }

    #[test]
    fn no_amount_panics_and_what_is_taken_is_within_half_a_unit(
        mantissa in proptest::num::i64::ANY,
        scale in 0_u32..28,
        code in proptest::sample::select(vec!["USD", "JPY", "KWD", "CLF"])
    ) {
        let decimal = rust_decimal::Decimal::new(mantissa, scale);
        if let Ok(taken) = Money::try_new(decimal, currency(code)) {
            let major = crate::domain::money::major(taken.minor(), taken.currency());
            let unit = rust_decimal::Decimal::new(1, taken.currency().digits());
            assert!((major - decimal).abs() * rust_decimal::Decimal::TWO <= unit);
        }
        let _ = Percent::try_new(decimal);
    }
}
