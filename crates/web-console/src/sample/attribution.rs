//! A partner program: its terms, partners, events, and what they earned.

use proto::attribution::{
    Balance, Cap, Commission, Condition, ConversionEvent, Dashboard, Day, LedgerEntry, Link, ModelDifference,
    Money, Partner, PartnerDifference, PartnerTerms, Payout, Posting, Program, Rule, StatusTotal, Terms,
    Tier, Touch, Weight, rule::Reward,
};

use super::{before, id};

/// An amount of dollars.
fn usd(amount: &str) -> Money {
    Money { amount: amount.to_owned(), currency: "USD".to_owned() }
}

/// A program; the first one with all that a rule can have.
#[must_use]
pub fn program(n: u32) -> Program {
    let won = Rule {
        trigger: "every".to_owned(),
        event_type: "opportunity_won".to_owned(),
        reward: Some(Reward::Percent("20".to_owned())),
        currency: "USD".to_owned(),
        months: 12,
        conditions: vec![Condition {
            field: "plan".to_owned(),
            operator: "not_equals".to_owned(),
            value: "free".to_owned(),
        }],
        tiers: vec![Tier { volume: "10000".to_owned(), currency: "USD".to_owned(), reward: "25".to_owned() }],
        partner_cap: None,
        customer_cap: Some(Cap { amount: "5000".to_owned(), currency: "USD".to_owned(), count: 0 }),
    };
    let trial = Rule {
        trigger: "first".to_owned(),
        event_type: "trial_converted".to_owned(),
        reward: Some(Reward::Fixed("50".to_owned())),
        currency: "USD".to_owned(),
        ..Rule::default()
    };
    Program {
        id: id("prog", n),
        name: if n == 1 { "Referrals" } else { "Resellers" }.to_owned(),
        destination_url: "https://shop.northwind.example/?plan=pro".to_owned(),
        allowed_domains: if n == 1 { vec!["northwind.example".to_owned()] } else { Vec::new() },
        terms: Some(Terms {
            version: 3,
            window_days: 60,
            model: "last_click".to_owned(),
            hold_days: if n == 1 { 30 } else { 0 },
            rules: if n == 1 { vec![won, trial] } else { vec![trial] },
            effective_from: before(86_400 * 3),
        }),
        starts_at: None,
        ends_at: None,
        extra_json: String::new(),
        created_at: before(86_400 * 40),
        updated_at: before(86_400 * 3),
    }
}

/// Two programs.
#[must_use]
pub fn programs() -> Vec<Program> {
    vec![program(1), program(2)]
}

/// A partner; the second one is revoked.
#[must_use]
pub fn partner(n: u32) -> Partner {
    let (name, email) =
        if n == 1 { ("Ada Writes", "ada@blog.example") } else { ("Bo & Søn", "bo@partners.example") };
    Partner {
        id: id("ptnr", n),
        email: email.to_owned(),
        name: name.to_owned(),
        metadata_json: String::new(),
        status: if n == 1 { "active" } else { "revoked" }.to_owned(),
        created_at: before(86_400 * 30),
        revoked_at: if n == 1 { None } else { before(86_400) },
        invited_at: None,
        activated_at: before(86_400 * 30),
    }
}

/// What a partner's links brought.
#[must_use]
pub fn dashboard() -> Dashboard {
    let total = |status: &str, count, amount: &str| StatusTotal {
        status: status.to_owned(),
        count,
        total: Some(usd(amount)),
    };
    Dashboard {
        partner_id: id("ptnr", 1),
        since: before(86_400 * 29),
        clicks: 1_284,
        attributed_events: 17,
        attributed_revenue: vec![
            usd("61250.00"),
            Money { amount: "480000".to_owned(), currency: "JPY".to_owned() },
        ],
        commission_by_status: vec![
            total("accrued", 3, "2700.00"),
            total("approved", 4, "3150.50"),
            total("paid", 9, "5500.00"),
            total("reversed", 1, "900.00"),
        ],
        links: vec![Link {
            key: "ada-2026".to_owned(),
            partner_id: id("ptnr", 1),
            program_id: id("prog", 1),
            destination_url: "https://shop.northwind.example/?plan=pro".to_owned(),
            created_at: before(86_400 * 28),
            clicks: 1_284,
        }],
    }
}

/// A month of a partner's days.
#[must_use]
pub fn days() -> Vec<Day> {
    let day = |n: u32| Day {
        date: if n < 17 { format!("2026-02-{:02}", n + 12) } else { format!("2026-03-{:02}", n - 16) },
        clicks: u64::from(20 + (n * 37) % 61),
        events: u64::from(n % 3),
        revenue: Vec::new(),
        commission: if n.is_multiple_of(3) {
            Vec::new()
        } else {
            let yen = Money { amount: format!("{}", 9_000 * (n % 4)), currency: "JPY".to_owned() };
            vec![usd(&format!("{}.50", 120 + (n * 53) % 400)), yen]
        },
    };
    (0..28).map(day).collect()
}

/// Conversion events: an attributed one, one shared by two partners, and those that pay nobody.
#[must_use]
pub fn conversions() -> Vec<ConversionEvent> {
    let touch = |n, part, whole| Touch {
        click_id: format!("01JCLICK{n:018}"),
        partner_id: id("ptnr", n),
        weight: Some(Weight { numerator: part, denominator: whole }),
        attribution_id: id("attr", n),
        commission_id: id("comm", n),
    };
    let event = |n: u32, user: &str, status: &str, reason: &str| ConversionEvent {
        id: id("evt", n),
        user_id: user.to_owned(),
        r#type: "opportunity_won".to_owned(),
        value: "4500.00".to_owned(),
        current_value: "4500.00".to_owned(),
        currency: "USD".to_owned(),
        metadata_json: r#"{"deal_id":"0061k00000ABC","stage":"Closed Won","seats":12}"#.to_owned(),
        ts: before(i64::from(n) * 4000),
        received_at: before(i64::from(n) * 3900),
        status: status.to_owned(),
        reason: reason.to_owned(),
        ..ConversionEvent::default()
    };
    let attributed = |model: &str, touches| ConversionEvent {
        model: model.to_owned(),
        touches,
        ..event(1, "ada.customer@example.com", "attributed", "")
    };
    let voided = ConversionEvent {
        id: id("evt", 2),
        is_void: true,
        flags: vec!["early_event".to_owned()],
        ..attributed("linear", vec![touch(1, 1, 2), touch(2, 1, 2)])
    };
    vec![
        attributed("last_click", vec![touch(1, 1, 1)]),
        voided,
        event(3, "somebody@example.com", "no_identity", "no_identity"),
        event(4, "late@example.com", "outside_window", "click_too_old"),
        event(5, "gone@example.com", "no_click", "partner_revoked"),
    ]
}

/// Commissions in all statuses.
#[must_use]
pub fn commissions() -> Vec<Commission> {
    let commission = |n: u32, status: &str, reason: &str, amount: &str| Commission {
        id: id("comm", n),
        attribution_id: id("attr", n),
        event_id: id("evt", n.min(5)),
        partner_id: id("ptnr", 1),
        program_id: id("prog", 1),
        program_name: "Referrals".to_owned(),
        amount: amount.to_owned(),
        currency: "USD".to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        accrued_at: before(i64::from(n) * 9000),
        mature_at: before(86_400 * -12),
        hold_days: 30,
        ..Commission::default()
    };
    vec![
        commission(1, "accrued", "attributed", "900.00"),
        Commission { held: true, ..commission(2, "accrued", "attributed", "1250.00") },
        commission(3, "approved", "approved_at_maturity", "80.50"),
        commission(4, "paid", "paid_out", "310.00"),
        commission(5, "reversed", "event_void", "0.00"),
    ]
}

/// Balances of the organization's accounts and of a partner's.
#[must_use]
pub fn balances() -> Vec<Balance> {
    let balance = |account: &str, partner: u32, amount: &str| Balance {
        account: account.to_owned(),
        partner_id: if partner == 0 { String::new() } else { id("ptnr", partner) },
        balance: Some(usd(amount)),
    };
    vec![
        balance("commission_expense", 0, "11350.50"),
        balance("cash", 0, "-5500.00"),
        balance("accrued", 1, "2700.00"),
        balance("payable", 1, "-900.00"),
    ]
}

/// Entries of the ledger: earned, then approved.
#[must_use]
pub fn ledger() -> Vec<LedgerEntry> {
    let posting = |account: &str, amount: &str| Posting {
        account: account.to_owned(),
        partner_id: id("ptnr", 1),
        amount: Some(usd(amount)),
    };
    let entry = |n: u32, kind: &str, reason: &str, postings| LedgerEntry {
        id: id("entry", n),
        kind: kind.to_owned(),
        commission_id: id("comm", 1),
        payout_id: String::new(),
        partner_id: id("ptnr", 1),
        reason: reason.to_owned(),
        at: before(i64::from(n) * 600),
        postings,
    };
    vec![
        entry(
            1,
            "approval",
            "approved_by_hand",
            vec![posting("accrued", "-900.00"), posting("payable", "900.00")],
        ),
        entry(
            2,
            "accrual",
            "attributed",
            vec![posting("commission_expense", "-900.00"), posting("accrued", "900.00")],
        ),
    ]
}

/// What a partner got in a program, and that the program's terms hold again.
#[must_use]
pub fn partner_terms() -> Vec<PartnerTerms> {
    let version = |version, days: i64, terms| PartnerTerms {
        partner_id: id("ptnr", 1),
        program_id: id("prog", 1),
        program_name: program(1).name,
        version,
        effective_from: before(days * 86_400),
        terms,
        created_at: before(days * 86_400),
        created_by: "user:ada".to_owned(),
    };
    vec![version(3, 10, None), version(2, 40, program(1).terms)]
}

/// A payout of each status.
#[must_use]
pub fn payouts() -> Vec<Payout> {
    let payout = |n: u32, status: &str, reference: &str| Payout {
        id: id("pay", n),
        run_id: "019ce11a".to_owned(),
        partner_id: id("ptnr", 1),
        amount: Some(usd("3150.50")),
        status: status.to_owned(),
        key: format!("payout-{n}"),
        created_at: before(i64::from(n) * 86_400),
        settled_at: if status == "pending" { None } else { before(i64::from(n) * 80_000) },
        commission_ids: vec![id("comm", 3), id("comm", 4)],
        reference: reference.to_owned(),
        rail: "manual".to_owned(),
        trouble: String::new(),
    };
    vec![payout(1, "pending", ""), payout(2, "paid", "SEPA 2026-03-10/17"), payout(3, "failed", "")]
}

/// Who gains and who loses by another model.
#[must_use]
pub fn model_difference() -> ModelDifference {
    let partner = |n, before: &str, after: &str| PartnerDifference {
        partner_id: id("ptnr", n),
        currency: "USD".to_owned(),
        before: before.to_owned(),
        after: after.to_owned(),
    };
    ModelDifference {
        events: 1_204,
        changed_events: 87,
        partners: vec![partner(1, "11350.50", "9800.25"), partner(2, "400.00", "1950.25")],
    }
}
