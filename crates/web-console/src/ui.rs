//! Small pieces of markup that many pages use. Each returns finished HTML, its texts escaped.

mod chart;
mod icon;
mod mark;
mod moment;
mod value;

use std::fmt;

use askama::filters::HtmlSafe;

pub(crate) use chart::{Bar, Chart, Part, Unit};
pub(crate) use icon::icon;
pub(crate) use mark::mark;
pub(crate) use moment::{ago, duration_ms, seconds, time, to_time};
pub(crate) use value::{amount, input_type, plain, show, show_labelled};

/// Finished HTML.
#[derive(Debug, Clone, Default)]
pub(crate) struct Markup(pub String);

impl fmt::Display for Markup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for Markup {}

/// The text with the characters replaced that mean something in HTML.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A number with thin groups of three digits: `1,234,567`.
pub(crate) fn number(number: &u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number and its noun: `1 record`, `2,000 records`.
pub(crate) fn count(n: &u64, one: &str, many: &str) -> String {
    format!("{} {}", number(n), if *n == 1 { one } else { many })
}

/// How good or bad something is; drawn as a colour and a sign, never as a colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Busy,
    Warn,
    Bad,
    Quiet,
}

impl Tone {
    const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Busy => "busy",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Quiet => "quiet",
        }
    }

    const fn sign(self) -> &'static str {
        match self {
            Self::Good => "check",
            Self::Busy => "sync",
            Self::Warn => "alert",
            Self::Bad => "cross",
            Self::Quiet => "dot",
        }
    }
}

/// A state as a small pill: sign, colour, word.
pub(crate) fn pill(tone: Tone, text: &str) -> Markup {
    signed(tone, tone.sign(), text)
}

fn signed(tone: Tone, sign: &str, text: &str) -> Markup {
    Markup(format!(r#"<span class="pill {}">{}{}</span>"#, tone.class(), icon(sign), escape(text)))
}

/// The pill of a state's internal name, anywhere in the console.
pub(crate) fn state(name: &str) -> Markup {
    use Tone::{Bad, Busy, Good, Quiet, Warn};
    let (tone, text) = match name {
        "active" => (Good, "Active"),
        "paused" => (Warn, "Paused"),
        "error" => (Bad, "Failing"),
        "reauth_required" => (Bad, "Reconnect required"),
        "disconnected" => (Quiet, "Disconnected"),
        "draft" => (Quiet, "Draft"),
        "auto_mapped" => (Good, "Auto-mapped"),
        "confirmed" => (Good, "Confirmed"),
        "unmapped" => (Quiet, "Unmapped"),
        "ignored" => (Quiet, "Ignored"),
        "in_sync" => (Good, "In sync"),
        "writing" => (Busy, "Writing"),
        "blocked" => (Bad, "Blocked"),
        "filtered" => (Quiet, "Left out"),
        "ambiguous" => (Warn, "To be decided"),
        "verifying" => (Busy, "Checking"),
        "detached" => (Quiet, "Detached"),
        "backfill" => (Busy, "Reading history"),
        "live" => (Good, "Live"),
        "following" => (Good, "Live"),
        "catching_up" => (Busy, "Catching up"),
        "interrupted" => (Warn, "Interrupted"),
        "lost" => (Warn, "Reading again"),
        "polled" => (Quiet, "Not live"),
        "stopped" => (Quiet, "Stopped"),
        "waiting" => (Quiet, "Waiting"),
        "reading" => (Busy, "Reading"),
        "computing" => (Busy, "Working it out"),
        "comparing" => (Busy, "Comparing"),
        "equal" => (Good, "Equal"),
        "held" => (Warn, "Held by issues"),
        "ready" => (Good, "Ready"),
        "applying" => (Busy, "Applying"),
        "applied" => (Good, "Applied"),
        "stale" => (Warn, "Out of date"),
        "open" => (Warn, "Open"),
        "retrying" => (Busy, "Retrying"),
        "dismissed" => (Quiet, "Dismissed"),
        "resolved" => (Good, "Resolved"),
        "ok" => (Good, "OK"),
        "failed" => (Bad, "Failed"),
        "refused" => (Warn, "Refused"),
        "accrued" => (Busy, "Accrued"),
        "approved" => (Good, "Approved"),
        "paid" => (Good, "Paid"),
        "reversed" => (Quiet, "Reversed"),
        "pending" => (Busy, "Pending"),
        "revoked" => (Bad, "Revoked"),
        "attributed" => (Good, "Attributed"),
        "delivered" => (Good, "Delivered"),
        "recorded" => (Good, "Recorded"),
        "corrected" => (Good, "Corrected"),
        "invited" => (Busy, "Invited"),
        "no_identity" => (Warn, "No identity"),
        "no_click" => (Warn, "No click counts"),
        "outside_window" => (Warn, "Outside the window"),
        "suggested" => return signed(Warn, "spark", "Suggested"),
        other => return pill(Quiet, &spaced(other)),
    };
    pill(tone, text)
}

/// An internal name as words: `rate_limit` becomes `Rate limit`.
pub(crate) fn spaced(name: &str) -> String {
    let mut words = name.replace('_', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

/// The text with a capital at its beginning.
pub(crate) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

/// The text as a sentence: with a capital letter and a full stop.
pub(crate) fn sentence(text: &str) -> String {
    let mut sentence = capital(text.trim());
    if !sentence.ends_with(['.', '!', '?']) {
        sentence.push('.');
    }
    sentence
}

/// A direction in words, with the vendor's name.
pub(crate) fn direction(name: &str, vendor: &str) -> String {
    match name {
        "bidirectional" => "Bidirectional".to_owned(),
        "to_vendor" => format!("Accord to {vendor}"),
        "from_vendor" => format!("{vendor} to Accord"),
        _ => "As the pair".to_owned(),
    }
}

/// A conflict policy in words.
pub(crate) fn policy(name: &str) -> &'static str {
    match name {
        "platform_wins" => "Platform wins",
        "crm_wins" => "CRM wins",
        "newest_wins" => "Newest wins",
        "manual" => "Ask a person",
        _ => "Not set",
    }
}

/// A vendor's name as people write it.
pub(crate) fn vendor(name: &str) -> String {
    let written = model::vendor_name(name);
    if written == name { spaced(name) } else { written.to_owned() }
}

/// What a vendor calls an account of a customer, to name its id by.
pub(crate) fn account(vendor: &str) -> &'static str {
    match vendor {
        "hubspot" => "Portal",
        "salesforce" => "Org",
        "slack" => "Workspace",
        "m365" => "Mailbox",
        _ => "Account",
    }
}

/// A share as a percentage with at most one decimal, and never 100 % when something is missing.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "—".to_owned();
    }
    let tenths = u128::from(part.min(whole)) * 1000 / u128::from(whole);
    if tenths.is_multiple_of(10) {
        format!("{}%", tenths / 10)
    } else {
        format!("{}.{}%", tenths / 10, tenths % 10)
    }
}

/// The end of a long id, enough to tell two apart.
pub(crate) fn short(id: &str) -> &str {
    let start = id.len().saturating_sub(6);
    id.get(start..).unwrap_or(id)
}
