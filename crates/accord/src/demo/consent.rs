//! A vendor is connected through its consent page, as by a person's browser.

use std::time::Duration;

use anyhow::{Context, bail};
use connector::http::Client;
use proto::connections::{self as conn, connections_client::ConnectionsClient};
use url::Url;

use super::{Authorized, Vendor, refused};
use crate::up::say;

const CALL_WITHIN: Duration = Duration::from_secs(20);

/// Presses the button of the vendor's consent page, and confirms in the console's place; gives the connection's id.
pub(super) async fn give(
    connections: &mut ConnectionsClient<Authorized>,
    vendor: &Vendor,
) -> anyhow::Result<String> {
    let Vendor { name, label, button, consent: choice } = vendor;
    say(&format!("Connecting {label}: opening its consent page and pressing “{button}”"));
    let browser = Client::try_with_cookies(CALL_WITHIN)?;
    let begin = conn::BeginAuthorizationRequest {
        vendor: (*name).to_owned(),
        return_path: "/settings/integrations".to_owned(),
        connection_id: String::new(),
        site: String::new(),
    };
    let begin = connections.begin_authorization(begin).await.map_err(refused)?.into_inner();
    let start: Url = begin.start_url.parse().context("read the address to start at")?;
    let consent = follow(&browser, &start).await.context("open the consent page")?;
    let page = browser.get(&consent, None).await.context("open the consent page")?;
    let page = String::from_utf8_lossy(&page.body);
    let mut fields = sent_as_it_stands(&page);
    fields.retain(|(name, _)| choice.iter().all(|(chosen, _)| chosen != name));
    let mut form: Vec<(&str, &str)> =
        fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    form.extend(choice.iter().map(|(name, value)| (*name, value.as_str())));
    let mut action = consent.clone();
    action.set_query(None);
    let answer = browser.post_form(&action, &form).await.with_context(|| format!("press “{button}”"))?;
    let back: Url = consent.join(answer.header("location").context("be sent back by the consent page")?)?;
    let landed = follow(&browser, &back).await.context("come back from the consent page")?;
    let Some(token) = confirmation(&landed) else {
        bail!("connect: the browser ended at {} without a consent to confirm", landed.path());
    };
    let confirmed = connections.confirm_authorization(conn::ConfirmAuthorizationRequest { token });
    let confirmed = confirmed.await.map_err(refused)?.into_inner();
    Ok(confirmed.connection.context("find the connection in the answer")?.id)
}

/// What the console's page would confirm in the name of its visitor.
fn confirmation(landed: &Url) -> Option<String> {
    landed.query_pairs().find(|(name, _)| name == "confirm").map(|(_, token)| token.into_owned())
}

/// Follows redirects until a page answers, or one that must be looked at: the vendor's consent page, or the console's
/// that confirms.
async fn follow(browser: &Client, from: &Url) -> anyhow::Result<Url> {
    let mut at = from.clone();
    for _ in 0..6 {
        if at.path().ends_with("/authorize") || confirmation(&at).is_some() {
            return Ok(at);
        }
        let answer = browser.get(&at, None).await?;
        match answer.header("location") {
            Some(next) => at = at.join(next).context("follow a redirect")?,
            None => return Ok(at),
        }
    }
    bail!("follow redirects: there are too many")
}

/// What the page's form sends of itself: its hidden inputs, and the boxes that are ticked.
fn sent_as_it_stands(page: &str) -> Vec<(String, String)> {
    let attribute = |tag: &str, name: &str| {
        let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
        let value = &tag[start..];
        let value = &value[..value.find('"')?];
        Some(value.replace("&amp;", "&").replace("&quot;", "\"").replace("&#39;", "'").replace("&#x2F;", "/"))
    };
    page.split("<input")
        .skip(1)
        .filter_map(|rest| rest.split('>').next())
        .filter(|tag| tag.contains("type=\"hidden\"") || tag.ends_with(" checked"))
        .filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default())))
        .collect()
}
