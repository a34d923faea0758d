use std::collections::HashMap;

use reqwest::{Client, StatusCode, Url, header};

/// The browser of a person who connects a CRM: it keeps cookies and goes where it is sent.
#[derive(Debug)]
pub struct Browser(Client);

/// Where the browser ended.
#[derive(Debug)]
pub struct Landed {
    /// The console's page that it was sent to, or the page that refused it.
    pub url: Url,
    /// Its status; none when the page was not opened.
    pub status: Option<StatusCode>,
}

impl Landed {
    /// A parameter of the address.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<String> {
        self.url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

impl Browser {
    /// One without cookies.
    ///
    /// # Panics
    /// When there is no TLS provider, which the harness installs.
    #[must_use]
    pub fn open() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let none = reqwest::redirect::Policy::none();
        Self(Client::builder().cookie_store(true).redirect(none).build().expect("a client needs nothing"))
    }

    /// Opens the address that connecting begins with and ends at the vendor's consent page; gives its address.
    pub async fn go_to_consent(&self, start_url: &str) -> Url {
        let begun = self.get(start_url.parse().expect("an address")).await;
        let consent = location(&begun).expect("the start leads to the consent page");
        assert!(consent.path().ends_with("/authorize"), "{consent}");
        consent
    }

    /// Chooses an account on the consent page and presses a button: `connect` or `cancel`. Gives the address that
    /// HubSpot sends the browser back to.
    pub async fn decide(&self, consent: &Url, portal_id: u64, decision: &str) -> Url {
        let portal_id = portal_id.to_string();
        self.answer(consent, &[("portal_id", &portal_id), ("decision", decision)]).await
    }

    /// Sends the form of any vendor's consent page, with these fields. Gives the address that the vendor sends the browser
    /// back to, which it may do without asking anything.
    pub async fn answer(&self, consent: &Url, fields: &[(&str, &str)]) -> Url {
        let page = self.get(consent.clone()).await;
        if let Some(back) = location(&page) {
            return back;
        }
        let mut form = hidden_fields(&page.text().await.expect("the page has an end"));
        form.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let mut action = consent.clone();
        action.set_query(None);
        let answer = self.0.post(action).form(&form).send().await.expect("the sandbox answers");
        location(&answer).expect("the consent page sends the browser back")
    }

    /// Opens the address that HubSpot sent the browser back to.
    pub async fn come_back(&self, callback: Url) -> Landed {
        let answer = self.get(callback).await;
        match location(&answer) {
            Some(url) => Landed { url, status: None },
            None => Landed { url: answer.url().clone(), status: Some(answer.status()) },
        }
    }

    /// All of it: consent is given for this account. It is not confirmed yet.
    pub async fn connect(&self, start_url: &str, portal_id: u64) -> Landed {
        let consent = self.go_to_consent(start_url).await;
        let callback = self.decide(&consent, portal_id, "connect").await;
        self.come_back(callback).await
    }

    /// The same of a Salesforce, where the first user of the organization allows it.
    pub async fn allow(&self, start_url: &str) -> Landed {
        let consent = self.go_to_consent(start_url).await;
        let callback = self.answer(&consent, &[("decision", "allow")]).await;
        self.come_back(callback).await
    }

    /// Agrees at the consent page of any vendor, whose form takes what the address of the page says and these answers.
    pub async fn agree(&self, start_url: &str, answers: &[(&str, &str)]) -> Landed {
        let begun = self.get(start_url.parse().expect("an address")).await;
        let consent = location(&begun).expect("the start leads to the consent page");
        let mut form: HashMap<String, String> = consent.query_pairs().into_owned().collect();
        form.extend(answers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let mut action = consent;
        action.set_query(None);
        let answer = self.0.post(action).form(&form).send().await.expect("the sandbox answers");
        self.come_back(location(&answer).expect("the consent page sends the browser back")).await
    }

    async fn get(&self, url: Url) -> reqwest::Response {
        let page = self.0.get(url).header(header::ACCEPT, "text/html");
        page.send().await.expect("the page answers")
    }
}

fn location(answer: &reqwest::Response) -> Option<Url> {
    let location = answer.headers().get(header::LOCATION)?.to_str().ok()?;
    answer.url().join(location).ok()
}

/// The hidden inputs of a page, by name.
fn hidden_fields(page: &str) -> HashMap<String, String> {
    let attribute = |tag: &str, name: &str| {
        let (_, rest) = tag.split_once(&format!("{name}=\""))?;
        let (value, _) = rest.split_once('"')?;
        Some(value.replace("&quot;", "\"").replace("&#39;", "'").replace("&lt;", "<").replace("&amp;", "&"))
    };
    let tags = page.split("<input ").skip(1).filter_map(|rest| rest.split('>').next());
    tags.filter(|tag| tag.contains("type=\"hidden\""))
        .filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value")?)))
        .collect()
}
