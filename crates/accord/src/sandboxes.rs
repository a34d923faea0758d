//! The vendors of the demo: simulators of HubSpot and Salesforce that remember what they had.

use anyhow::Context;
use sandbox::{hubspot, salesforce};
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
}

/// A Salesforce with its change events.
pub(crate) struct Salesforce {
    pub(crate) handle: salesforce::Handle,
    events: salesforce::EventService,
}

impl Sandboxes {
    /// Starts them where they were, and points this installation's apps at them.
    pub(crate) async fn start(
        files: &Files,
        ports: &mut Ports,
        with_salesforce: bool,
        apps: (&mut cli::HubSpot, &mut cli::Salesforce),
    ) -> anyhow::Result<Self> {
        let hubspot = start_hubspot(files, ports, apps.0).await.context("start the HubSpot sandbox")?;
        let salesforce = match with_salesforce {
            true => {
                Some(start_salesforce(files, ports, apps.1).await.context("start the Salesforce sandbox")?)
            }
            false => None,
        };
        Ok(Self { hubspot, salesforce })
    }

    pub(crate) async fn shutdown(self) {
        if let Some(salesforce) = self.salesforce {
            salesforce.handle.shutdown().await;
        }
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
        std::iter::once(("hubspot".to_owned(), hubspot)).chain(salesforce)
    }

    /// Plants records in those that have none yet.
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
            for object in ["Account", "Contact", "Opportunity"] {
                let planted = handle.control("POST", "/_sandbox/seed", wish(object, up.demo_accounts));
                planted.context("fill the Salesforce sandbox")?;
            }
            let count = up.demo_accounts;
            planted.push(format!("Salesforce with {count} accounts, contacts and opportunities each"));
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
