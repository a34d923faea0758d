//! What is pasted into a CRM so that its won deals arrive as conversion events.

use askama::Template;
/// A recipe, filled in.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    /// Its name in addresses of the page.
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    /// Where it goes.
    pub(super) hint: &'static str,
    pub(super) text: String,
    /// How many lines it has.
    pub(super) lines: usize,
}

macro_rules! recipe {
    ($name:ident, $path:literal, $escape:literal) => {
        #[derive(Template)]
        #[template(path = $path, escape = $escape)]
        struct $name<'a> {
            url: &'a str,
            key: &'a str,
        }
    };
}

recipe!(HubSpot, "recipes/hubspot.js", "none");
recipe!(Zapier, "recipes/zapier.txt", "none");
recipe!(Curl, "recipes/curl.sh", "none");

#[derive(Template)]
#[template(path = "recipes/apex.apex", escape = "none")]
struct Apex<'a> {
    url: &'a str,
    key: &'a str,
    host: &'a str,
    corrections: &'a str,
}

/// What stands where the key belongs, until one was just made.
pub(super) const NO_KEY: &str = "YOUR_KEY";

/// The recipes for events sent to this public API with this key.
///
/// # Errors
/// A template does not draw.
pub(super) fn recipes(gateway: &str, key: Option<&str>) -> Result<Vec<Recipe>, askama::Error> {
    let url = events_url(gateway);
    let host = gateway.trim_end_matches('/');
    let (url, key) = (url.as_str(), key.unwrap_or(NO_KEY));
    let recipe = |name, label, hint, text: String| {
        let text = text.trim_end().to_owned();
        Recipe { name, label, hint, lines: text.lines().count(), text }
    };
    Ok(vec![
        recipe(
            "hubspot",
            "HubSpot workflow",
            "A custom code action of a deal workflow. Operations Hub Professional runs it.",
            HubSpot { url, key }.render()?,
        ),
        recipe(
            "zapier",
            "Zapier or Make",
            "For every CRM that Zapier or Make knows as a trigger.",
            Zapier { url, key }.render()?,
        ),
        recipe(
            "apex",
            "Salesforce Apex",
            "Without anything in between, for more than a hundred deals a day.",
            Apex { url, key, host, corrections: &format!("{host}/api/attribution/corrections") }.render()?,
        ),
        recipe(
            "curl",
            "curl",
            "To try it, and for everything else that speaks HTTP.",
            Curl { url, key }.render()?,
        ),
    ])
}

/// Where events are posted to.
pub(super) fn events_url(gateway: &str) -> String {
    format!("{}/api/attribution/events", gateway.trim_end_matches('/'))
}
