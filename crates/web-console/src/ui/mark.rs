use super::Markup;

/// A vendor's mark: our own simple drawing on a tinted tile, to find a card by. The name stands beside it.
pub(crate) fn mark(vendor: &str) -> Markup {
    let drawing = match vendor {
        "hubspot" => {
            r#"<circle cx="25" cy="24" r="6"/><circle cx="12" cy="12" r="3"/><circle cx="27" cy="9" r="2.5"/><circle cx="12" cy="30" r="2.5"/><path d="M14.3 14.3l6 5.2M26.6 11.5l-.9 6.5M14.3 29l5.2-2.7"/>"#
        }
        "salesforce" => {
            r#"<path d="M11.5 28.5a6.3 6.3 0 0 1-1-12.5 7.5 7.5 0 0 1 13-4 6.8 6.8 0 0 1 9.3 8.8 5.3 5.3 0 0 1-3.3 7.7z"/>"#
        }
        "slack" => r#"<path d="M16 9v22M24 9v22M9 16h22M9 24h22"/>"#,
        "google-calendar" => {
            r#"<rect x="9" y="10" width="22" height="21" rx="3"/><path d="M9 16.5h22M15 7v5M25 7v5M15 22h2M23 22h2M15 26.5h2"/>"#
        }
        "m365" => r#"<path d="M20 8l10.5 6v12L20 32 9.5 26V14zM20 20l10.5-6M20 20v12M20 20L9.5 14"/>"#,
        _ => r#"<circle cx="20" cy="20" r="9"/>"#,
    };
    let known = matches!(vendor, "hubspot" | "salesforce" | "slack" | "google-calendar" | "m365");
    let class = if known { vendor } else { "other" };
    Markup(format!(
        r#"<svg class="mark mark-{class}" viewBox="0 0 40 40" width="40" height="40" aria-hidden="true" focusable="false"><rect class="tile" width="40" height="40" rx="10"/>{drawing}</svg>"#
    ))
}
