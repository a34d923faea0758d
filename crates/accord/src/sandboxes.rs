//! The vendors of the demo: simulators of HubSpot, Salesforce, Slack, Google and Microsoft 365 that remember what they had.

mod planting;

use anyhow::Context;
pub(crate) use planting::CHANNEL;
use sandbox::{google, hubspot, microsoft, salesforce, slack};
use serde_json::{Value, json};

use crate::{
    cli,
    files::{Files, Ports, listen},
    ready,
};

/// The simulators that run.
pub(crate) struct Sandboxes {
    pub(crate) hubspot: hubspot::Handle,
    pub(crate) salesforce: Option<Salesforce>,
    pub(crate) slack: slack::Handle,
    pub(crate) google: google::Handle,
    pub(crate) microsoft: microsoft::Handle,
}

/// This installation's apps at the vendors, as the simulators know them.
pub(crate) struct Apps {
    pub(crate) hubspot: cli::HubSpot,
    pub(crate) salesforce: cli::Salesforce,
    pub(crate) slack: cli::Slack,
    pub(crate) google: cli::Google,
    pub(crate) m365: cli::M365,
}

impl Apps {
    /// Those that the operator gave.
    pub(crate) fn of(up: &cli::Up) -> Self {
        Self {
            hubspot: up.hubspot.clone(),
            salesforce: up.salesforce.clone(),
            slack: up.slack.clone(),
            google: up.google.clone(),
            m365: up.m365.clone(),
        }
    }
}

/// A Salesforce with its change events.
pub(crate) struct Salesforce {
    pub(crate) handle: salesforce::Handle,
    events: salesforce::EventService,
}

impl Sandboxes {
    /// Starts them where they were, and points this installation's apps at them. Apps of Slack, Google and Microsoft 365 that
    /// the operator gave stay where they are.
    pub(crate) async fn start(
        files: &Files,
        ports: &mut Ports,
        with_salesforce: bool,
        apps: &mut Apps,
    ) -> anyhow::Result<Self> {
        let hubspot = start_hubspot(files, ports, &mut apps.hubspot).await;
        let hubspot = hubspot.context("start the HubSpot sandbox")?;
        let salesforce = match with_salesforce {
            true => {
                let started = start_salesforce(files, ports, &mut apps.salesforce).await;
                Some(started.context("start the Salesforce sandbox")?)
            }
            false => None,
        };
        let slack = start_slack(files, ports, &mut apps.slack).await.context("start the Slack sandbox")?;
        let google =
            start_google(files, ports, &mut apps.google).await.context("start the Google sandbox")?;
        let microsoft = start_microsoft(files, ports, &mut apps.m365).await;
        let microsoft = microsoft.context("start the Microsoft 365 sandbox")?;
        Ok(Self { hubspot, salesforce, slack, google, microsoft })
    }

    pub(crate) async fn shutdown(self) {
        if let Some(salesforce) = self.salesforce {
            salesforce.handle.shutdown().await;
        }
        self.slack.shutdown().await;
        self.google.shutdown().await;
        self.microsoft.shutdown().await;
        self.hubspot.shutdown().await;
    }

    /// What outside tools need to know of them, by vendor.
    pub(crate) fn ready(&self) -> impl Iterator<Item = (String, ready::Sandbox)> {
        let hubspot = ready::Sandbox {
            url: self.hubspot.url().to_owned(),
            access_token: self.hubspot.access_token().to_owned(),
            portal_id: Some(self.hubspot.portal_id()),
            organization_id: None,
            events_url: None,
        };
        let salesforce = self.salesforce.as_ref().map(|salesforce| ready::Sandbox {
            url: salesforce.handle.url().to_owned(),
            access_token: salesforce.handle.access_token().to_owned(),
            portal_id: None,
            organization_id: Some(salesforce.handle.organization_id().to_owned()),
            events_url: Some(salesforce.events.url.clone()),
        });
        let salesforce = salesforce.map(|salesforce| ("salesforce".to_owned(), salesforce));
        let others = [
            ("slack", self.slack.url(), self.slack.access_token()),
            ("google", self.google.url(), self.google.access_token()),
            ("microsoft", self.microsoft.url(), self.microsoft.access_token()),
        ];
        let others = others.map(|(vendor, url, access_token)| {
            let sandbox = ready::Sandbox {
                url: url.to_owned(),
                access_token: access_token.to_owned(),
                portal_id: None,
                organization_id: None,
                events_url: None,
            };
            (vendor.to_owned(), sandbox)
        });
        std::iter::once(("hubspot".to_owned(), hubspot)).chain(salesforce).chain(others)
    }

    /// Plants records in those CRMs that have none yet.
    pub(crate) fn seed(&self, up: &cli::Up) -> anyhow::Result<Vec<String>> {
        let mut planted = Vec::new();
        let is_empty = |state: Value| {
            let records = state["results"].as_array().or(state["records"].as_array()).or(state.as_array());
            records.is_none_or(Vec::is_empty)
        };
        let wish = |object: &str, count: usize| json!({"object": object, "count": count, "spread_days": 90});
        if is_empty(self.hubspot.state("companies").context("look into the HubSpot sandbox")?) {
            let counts =
                [("companies", up.demo_companies), ("deals", up.demo_deals), ("contacts", up.demo_contacts)];
            for (object, count) in counts {
                let planted = self.hubspot.control("POST", "/_sandbox/seed", wish(object, count));
                planted.context("fill the HubSpot sandbox")?;
            }
            planted.push(format!(
                "HubSpot with {} companies, {} deals and {} contacts",
                up.demo_companies, up.demo_deals, up.demo_contacts
            ));
        }
        if let Some(Salesforce { handle, .. }) = &self.salesforce
            && is_empty(handle.state("Account").context("look into the Salesforce sandbox")?)
        {
            for object in ["Account", "Contact", "Opportunity", "Lead"] {
                let planted = handle.control("POST", "/_sandbox/seed", wish(object, up.demo_accounts));
                planted.context("fill the Salesforce sandbox")?;
            }
            let count = up.demo_accounts;
            planted.push(format!("Salesforce with {count} accounts, contacts, opportunities and leads each"));
        }
        Ok(planted)
    }

    /// Has their users edit so many records a minute.
    pub(crate) fn live(&self, edits_per_minute: u32) -> anyhow::Result<()> {
        let settings = json!({ "living_edits_per_minute": edits_per_minute });
        self.hubspot.change_settings(settings.clone()).context("set the HubSpot sandbox up")?;
        if let Some(Salesforce { handle, .. }) = &self.salesforce {
            handle.change_settings(settings).context("set the Salesforce sandbox up")?;
        }
        Ok(())
    }
}

async fn start_hubspot(
    files: &Files,
    ports: &mut Ports,
    app: &mut cli::HubSpot,
) -> anyhow::Result<hubspot::Handle> {
    let settings = hubspot::Settings {
        tier: hubspot::Tier::Professional,
        index_delay_ms: 300,
        seed: 7,
        state_file: Some(files.path("hubspot-sandbox.json")),
        ..hubspot::Settings::default()
    };
    app.client_id.clone_from(&settings.client_id);
    app.client_secret = settings.client_secret.clone().into();
    let listener = listen(ports.sandbox).await?;
    ports.sandbox = listener.local_addr()?.port();
    let handle = hubspot::start(settings, listener).await?;
    app.api_url = handle.url().parse().context("read its address")?;
    app.app_url = None;
    Ok(handle)
}

async fn start_salesforce(
    files: &Files,
    ports: &mut Ports,
    app: &mut cli::Salesforce,
) -> anyhow::Result<Salesforce> {
    let settings = salesforce::Settings {
        seed: 7,
        state_file: Some(files.path("salesforce-sandbox.json")),
        ..salesforce::Settings::default()
    };
    app.consumer_key.clone_from(&settings.client_id);
    app.consumer_secret = settings.client_secret.clone().into();
    let (listener, events) = (listen(ports.salesforce).await?, listen(ports.salesforce_events).await?);
    ports.salesforce = listener.local_addr()?.port();
    ports.salesforce_events = events.local_addr()?.port();
    let handle = salesforce::start(settings, listener).await?;
    let events = handle.serve_events(events)?;
    app.login_url = Some(handle.url().parse().context("read its address")?);
    app.pubsub_url = events.url.parse().context("read the address of its change events")?;
    Ok(Salesforce { handle, events })
}

/// What people press there goes to the gateway, as the app's settings at Slack would say.
async fn start_slack(
    files: &Files,
    ports: &mut Ports,
    app: &mut cli::Slack,
) -> anyhow::Result<slack::Handle> {
    let inward = |path: &str| Some(format!("http://127.0.0.1:{}/slack/{path}", ports.gateway));
    let settings = slack::Settings {
        seed: 7,
        state_file: Some(files.path("slack-sandbox.json")),
        interactivity_url: inward("interactions"),
        events_url: inward("events"),
        ..slack::Settings::default()
    };
    let known = (settings.client_id.clone(), settings.client_secret.clone(), settings.signing_secret.clone());
    let listener = listen(ports.slack).await?;
    ports.slack = listener.local_addr()?.port();
    let handle = slack::start(settings, listener).await?;
    if app.client_id.is_empty() {
        let (client_id, client_secret, signing_secret) = known;
        let url = handle.url().parse().context("read its address")?;
        let (client_secret, signing_secret) = (client_secret.into(), signing_secret.into());
        *app = cli::Slack { client_id, client_secret, signing_secret, url };
    }
    Ok(handle)
}

async fn start_google(
    files: &Files,
    ports: &mut Ports,
    app: &mut cli::Google,
) -> anyhow::Result<google::Handle> {
    let settings = google::Settings {
        seed: 7,
        state_file: Some(files.path("google-sandbox.json")),
        // Who tries it out does not wait ten minutes for what was said.
        transcript_delay_ms: 10_000,
        ..google::Settings::default()
    };
    let (client_id, client_secret) = (settings.client_id.clone(), settings.client_secret.clone());
    let listener = listen(ports.google).await?;
    ports.google = listener.local_addr()?.port();
    let handle = google::start(settings, listener).await?;
    if app.google_client_id.is_empty() {
        let google_url = Some(handle.url().parse().context("read its address")?);
        let google_client_secret = client_secret.into();
        *app = cli::Google { google_client_id: client_id, google_client_secret, google_url };
    }
    Ok(handle)
}

async fn start_microsoft(
    files: &Files,
    ports: &mut Ports,
    app: &mut cli::M365,
) -> anyhow::Result<microsoft::Handle> {
    let state_file = Some(files.path("microsoft-sandbox.json"));
    let settings = microsoft::Settings { seed: 7, state_file, ..microsoft::Settings::default() };
    let (client_id, client_secret) = (settings.client_id.clone(), settings.client_secret.clone());
    let listener = listen(ports.microsoft).await?;
    ports.microsoft = listener.local_addr()?.port();
    let handle = microsoft::start(settings, listener).await?;
    if app.client_id.is_empty() {
        let url: url::Url = handle.url().parse().context("read its address")?;
        let client_secret = client_secret.into();
        *app = cli::M365 { client_id, client_secret, login_url: url.clone(), graph_url: url };
    }
    Ok(handle)
}
