/// A vendor's name as people write it, such as `HubSpot` for `hubspot`.
#[must_use]
pub fn vendor_name(vendor: &str) -> &str {
    match vendor {
        "hubspot" => "HubSpot",
        "salesforce" => "Salesforce",
        "slack" => "Slack",
        "google-calendar" => "Google Calendar",
        "m365" => "Microsoft 365",
        other => other,
    }
}
