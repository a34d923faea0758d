//! Where the demo's people talk: Slack, in which they decide on a partner's deal, and Google Calendar and Microsoft 365, whose
//! meetings and mails are on the timelines of the CRMs' people.

use anyhow::Context;
use proto::{
    attribution::{CreatePartnerRequest, ListPartnersRequest, attribution_client::AttributionClient},
    crm::{
        ConfirmVendorUserRequest, ListDealRegistrationsRequest, NewNotificationRule,
        SetNotificationRulesRequest, SubmitDealRegistrationRequest, crm_client::CrmClient,
    },
    identity::{ListUsersRequest, identity_client::IdentityClient},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

use super::{Authorized, LOOK_EVERY, PATIENCE, Rooms, Vendor, refused};
use crate::{
    cli::Up,
    sandboxes::{CHANNEL, Sandboxes},
    up::say,
};

/// Who of the demo's people are in its Slack too, as they are called there and before the @ of their address.
const PEOPLE: [&str; 3] = ["olivia", "adam", "mia"];
const TOLD: [&str; 4] = ["registration_submitted", "deal_won", "commission_accrued", "sync_trouble"];
const PARTNER: (&str, &str) = ("bea@bluefin.example", "Bluefin Resellers");

pub(super) struct Talking<'a> {
    pub(super) up: &'a Up,
    pub(super) sandboxes: &'a Sandboxes,
    pub(super) rooms: Rooms,
    pub(super) crm: CrmClient<Authorized>,
    pub(super) identity: IdentityClient<Authorized>,
    pub(super) attribution: AttributionClient<Authorized>,
}

impl Talking<'_> {
    /// Connects what never was connected; a vendor whose own app the operator gave is left to people.
    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        if self.up.google.google_client_id.is_empty() {
            self.rooms.connected(&self.google()).await?;
        }
        if self.up.m365.client_id.is_empty() {
            self.rooms.connected(&self.microsoft()?).await?;
        }
        if self.up.slack.client_id.is_empty() {
            let workspace = self.sandboxes.slack.control("GET", "/_sandbox/workspace", Value::Null).await;
            let workspace = workspace.context("look into the Slack sandbox")?;
            let is_registered = self.is_registered().await?;
            let connection = self.rooms.connected(&slack(&workspace)?).await?;
            if let (false, Some(connection)) = (is_registered, connection) {
                self.set_up(&connection, &workspace).await?;
                let partner = self.partner().await?;
                self.register(partner).await?;
            }
        }
        Ok(())
    }

    fn google(&self) -> Vendor {
        let consent =
            vec![("account", self.sandboxes.google.email().to_owned()), ("decision", "allow".to_owned())];
        Vendor { name: "google-calendar", label: "Google Calendar", button: "Continue", consent }
    }

    fn microsoft(&self) -> anyhow::Result<Vendor> {
        let mailbox =
            self.sandboxes.microsoft.users().into_iter().next().context("find a mailbox in the sandbox")?;
        let consent = vec![("user", mailbox), ("decision", "accept".to_owned())];
        Ok(Vendor { name: "m365", label: "Microsoft 365", button: "Accept", consent })
    }

    /// The channel is told what happens, and it is known who its people are.
    async fn set_up(&mut self, connection: &str, workspace: &Value) -> anyhow::Result<()> {
        let invited = self.sandboxes.slack.control("POST", "/_sandbox/invite", json!({ "channel": CHANNEL }));
        invited.await.context("invite Accord to the channel")?;
        let rule = NewNotificationRule {
            channel_id: id_of(&workspace["channels"], CHANNEL)?,
            channel_name: CHANNEL.to_owned(),
            events: TOLD.map(str::to_owned).to_vec(),
        };
        let rules = SetNotificationRulesRequest { connection_id: connection.to_owned(), rules: vec![rule] };
        once_known(async || self.crm.set_notification_rules(rules.clone()).await).await?;
        let users = self.identity.list_users(ListUsersRequest {}).await.map_err(refused)?.into_inner().users;
        for name in PEOPLE {
            let ours = users.iter().find(|user| user.email.split('@').next() == Some(name));
            let who = ConfirmVendorUserRequest {
                connection_id: connection.to_owned(),
                vendor_user_id: id_of(&workspace["users"], name)?,
                user_id: ours.with_context(|| format!("find {name} among the users"))?.id.clone(),
            };
            self.crm.confirm_vendor_user(who).await.map_err(refused)?;
        }
        say(&format!("#{CHANNEL} in Slack is told of deals and commissions from now on"));
        Ok(())
    }

    /// Whether an earlier start came to the end of this.
    async fn is_registered(&mut self) -> anyhow::Result<bool> {
        let any = ListDealRegistrationsRequest { limit: 1, ..Default::default() };
        let known = self.crm.list_deal_registrations(any).await.map_err(refused)?.into_inner();
        Ok(!known.registrations.is_empty())
    }

    /// A partner registers a deal, which then waits for somebody's decision.
    async fn register(&mut self, partner_id: String) -> anyhow::Result<()> {
        let registration = SubmitDealRegistrationRequest {
            partner_id,
            company_name: "Halcyon Robotics".to_owned(),
            company_domain: "halcyon-robotics.example".to_owned(),
            contact_name: "Ines Halder".to_owned(),
            contact_email: "ines@halcyon-robotics.example".to_owned(),
            deal_name: "Thirty picking arms".to_owned(),
            amount: "48000.00".to_owned(),
            currency: "EUR".to_owned(),
            note: "They decide this quarter, and know our price.".to_owned(),
            ..Default::default()
        };
        let made = once_known(async || self.crm.submit_deal_registration(registration.clone()).await)
            .await?
            .into_inner();
        let partner = PARTNER.1;
        say(&format!(
            "{partner} registered the deal “{}”, which waits in #{CHANNEL} and in the review queue",
            made.deal_name
        ));
        Ok(())
    }

    async fn partner(&mut self) -> anyhow::Result<String> {
        let request = ListPartnersRequest { limit: 500, ..Default::default() };
        let known = self.attribution.list_partners(request).await.map_err(refused)?.into_inner().partners;
        if let Some(partner) = known.into_iter().find(|partner| partner.email == PARTNER.0) {
            return Ok(partner.id);
        }
        let (email, name) = (PARTNER.0.to_owned(), PARTNER.1.to_owned());
        let partner = CreatePartnerRequest { email, name, ..Default::default() };
        Ok(self.attribution.create_partner(partner).await.map_err(refused)?.into_inner().id)
    }
}

/// Asks until what is named arrived over the bus, which takes a while after it was made.
async fn once_known<T>(mut ask: impl AsyncFnMut() -> Result<T, Status>) -> anyhow::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask().await {
            Err(status) if status.code() == Code::NotFound && Instant::now() < deadline => {
                sleep(LOOK_EVERY).await;
            }
            answer => return answer.map_err(refused),
        }
    }
}

/// Its owner connects it.
fn slack(workspace: &Value) -> anyhow::Result<Vendor> {
    let team = workspace["id"].as_str().context("find the workspace in the Slack sandbox")?;
    let by = format!("{team} {}", id_of(&workspace["users"], PEOPLE[0])?);
    let consent = vec![("by", by), ("decision", "allow".to_owned())];
    Ok(Vendor { name: "slack", label: "Slack", button: "Allow", consent })
}

fn id_of(list: &Value, name: &str) -> anyhow::Result<String> {
    let found = list.as_array().into_iter().flatten().find(|one| one["name"] == name);
    let id = found.and_then(|one| one["id"].as_str());
    Ok(id.with_context(|| format!("find {name} in the Slack sandbox"))?.to_owned())
}
