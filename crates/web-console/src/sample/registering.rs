//! Deals that partners registered.

use proto::crm::{DealRegistration, RegistrationConflict, Settings};

use super::{before, id};

/// Registrations: one that stands in conflicts, one that somebody looks into, one that is approved, one that is
/// rejected, and one that nobody decided in time.
#[must_use]
pub fn registrations() -> Vec<DealRegistration> {
    let decided = |by, of: DealRegistration| DealRegistration {
        decided_by: format!("user:{}", id("user", by)),
        decided_at: before(7200),
        ..of
    };
    vec![
        DealRegistration {
            conflicts: vec![
                conflict("channel", 2, 2, "under_review"),
                conflict("channel", 9, 3, "approved"),
                conflict("duplicate", 3, 1, "approved"),
            ],
            note: "They asked us for <b>ten presses</b>.\nWe know their head of works.".to_owned(),
            ..deal(1, 1, "submitted")
        },
        DealRegistration {
            partner_id: id("ptnr", 2),
            reviewer: format!("user:{}", id("user", 2)),
            amount: String::new(),
            currency: String::new(),
            expected_close: String::new(),
            partner_record_id: String::new(),
            ..deal(2, 2, "under_review")
        },
        DealRegistration {
            reviewer: format!("user:{}", id("user", 1)),
            deal_id: id("rec", 0),
            ..decided(1, deal(3, 1, "approved"))
        },
        DealRegistration {
            reason: "We have talked to them since January.".to_owned(),
            ..decided(2, deal(4, 1, "rejected"))
        },
        DealRegistration { expires_at: before(86_400 * 3), ..deal(5, 1, "expired") },
    ]
}

fn deal(n: u32, partner: u32, status: &str) -> DealRegistration {
    DealRegistration {
        id: id("dreg", n),
        partner_id: id("ptnr", partner),
        partner_record_id: id("rec", 8),
        company_name: "Acme <Presses>".to_owned(),
        company_domain: "acme.example".to_owned(),
        contact_name: "Carol Wild".to_owned(),
        contact_email: "carol@acme.example".to_owned(),
        deal_name: format!("Ten presses, lot {n}"),
        amount: "45000.00".to_owned(),
        currency: "EUR".to_owned(),
        expected_close: "2026-09-30".to_owned(),
        status: status.to_owned(),
        submitted_at: before(i64::from(n) * 40_000),
        submitted_by: format!("api_key:{}", id("key", 1)),
        expires_at: before(-86_400 * 24),
        ..DealRegistration::default()
    }
}

fn conflict(kind: &str, n: u32, partner: u32, status: &str) -> RegistrationConflict {
    RegistrationConflict {
        kind: kind.to_owned(),
        registration_id: id("dreg", n),
        partner_id: id("ptnr", partner),
        status: status.to_owned(),
    }
}

/// What an organization set about registrations.
#[must_use]
pub fn crm_settings() -> Settings {
    let free_domains = vec!["mail.example".to_owned(), "post.example".to_owned()];
    Settings { protected_days: 90, review_days: 30, free_domains }
}
