//! What the demo ends with: a partner's link brings a customer, the customer's deal is won in HubSpot, and the partner's
//! commission is approved.

use std::time::Duration;

use anyhow::Context;
use axum::http::Method;
use connector::http::Client;
use proto::attribution::{
    self as attribution, attribution_client::AttributionClient, commission_answer::Answer,
    conversion_rule_spec::User, conversion_rules_client::ConversionRulesClient, rule::Reward,
};
use proto::connections::{ConnectionRequest, connections_client::ConnectionsClient};
use secrecy::SecretString;
use serde_json::{Value, json};
use tonic::Code;
use url::Url;

use super::{Authorized, LOOK_EVERY, PATIENCE, refused};
use crate::{sandboxes::Sandboxes, up::say};

const PROGRAM: &str = "Referral programme";
const PARTNER: (&str, &str) = ("grace@harbour.example", "Grace Harbour");
const LINK: &str = "grace";
const WON: &str = "closedwon";
const CALL_WITHIN: Duration = Duration::from_secs(20);
/// How often HubSpot is asked for changes while the commission is waited for.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// The rooms that this is set up in, and the sandbox in which the deal is won.
pub(super) struct Earning<'a> {
    pub(super) attribution: AttributionClient<Authorized>,
    pub(super) rules: ConversionRulesClient<Authorized>,
    pub(super) connections: ConnectionsClient<Authorized>,
    pub(super) sandboxes: &'a Sandboxes,
    /// Of HubSpot.
    pub(super) connection: String,
}

impl Earning<'_> {
    /// Sets up what is missing, as far as an earlier start came: where a commission was decided, nothing is.
    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        let program = self.program().await?;
        let partner = self.partner(&program).await?;
        let earned = self.commissions(&partner).await?;
        if earned.iter().any(|commission| commission.status != "accrued") {
            return Ok(());
        }
        if earned.is_empty() {
            self.win().await?;
        }
        let commission = self.commission(&partner).await?;
        self.approve(commission).await
    }

    /// A contact whom the partner brought buys.
    async fn win(&mut self) -> anyhow::Result<()> {
        self.rule().await?;
        let (deal, name, contact) = self.deal().await?;
        let click = attribution::FollowLinkRequest { link_key: LINK.to_owned(), ..Default::default() };
        let click = self.attribution.follow_link(click).await.map_err(refused)?.into_inner().click_id;
        let identify =
            attribution::IdentifyRequest { click_id: click, user_id: contact, ..Default::default() };
        self.attribution.identify(identify).await.map_err(refused)?;
        say(&format!("Followed {}'s link and signed up as a contact of the deal “{name}”", PARTNER.1));
        let won = json!({ "properties": { "dealstage": WON } });
        self.hubspot(Method::PATCH, &format!("/crm/v3/objects/deals/{deal}"), &won).await?;
        say("Moved the deal to Closed Won in HubSpot; waiting for the commission");
        Ok(())
    }

    async fn approve(&mut self, commission: String) -> anyhow::Result<()> {
        let request = attribution::DecideCommissionsRequest {
            commission_ids: vec![commission],
            note: "The demo's first commission".to_owned(),
        };
        let decided = self.attribution.approve_commissions(request).await.map_err(refused)?.into_inner();
        match decided.answers.into_iter().next().and_then(|answer| answer.answer) {
            Some(Answer::Commission(approved)) => {
                let (amount, currency) = (&approved.amount, &approved.currency);
                say(&format!("{} earned {amount} {currency}, which is approved", PARTNER.1));
                Ok(())
            }
            Some(Answer::Refused(refusal)) => anyhow::bail!("approve the commission: {}", refusal.message),
            None => anyhow::bail!("approve the commission: there was no answer"),
        }
    }

    async fn program(&mut self) -> anyhow::Result<String> {
        let request = attribution::ListProgramsRequest {};
        let known = self.attribution.list_programs(request).await.map_err(refused)?.into_inner().programs;
        if let Some(program) = known.into_iter().find(|program| program.name == PROGRAM) {
            return Ok(program.id);
        }
        let reward = Some(Reward::Percent("15".to_owned()));
        let rules =
            vec![attribution::Rule { trigger: "every".to_owned(), reward, ..attribution::Rule::default() }];
        let program = attribution::Program {
            name: PROGRAM.to_owned(),
            destination_url: "https://northwind.example/".to_owned(),
            terms: Some(attribution::Terms { rules, ..attribution::Terms::default() }),
            ..attribution::Program::default()
        };
        Ok(self.attribution.create_program(program).await.map_err(refused)?.into_inner().id)
    }

    async fn partner(&mut self, program: &str) -> anyhow::Result<String> {
        let request = attribution::ListPartnersRequest { limit: 500, ..Default::default() };
        let known = self.attribution.list_partners(request).await.map_err(refused)?.into_inner().partners;
        let partner = match known.into_iter().find(|partner| partner.email == PARTNER.0) {
            Some(partner) => partner.id,
            None => {
                let partner = attribution::CreatePartnerRequest {
                    email: PARTNER.0.to_owned(),
                    name: PARTNER.1.to_owned(),
                    ..Default::default()
                };
                self.attribution.create_partner(partner).await.map_err(refused)?.into_inner().id
            }
        };
        let link = attribution::CreateLinkRequest {
            key: LINK.to_owned(),
            partner_id: partner.clone(),
            program_id: program.to_owned(),
            ..Default::default()
        };
        match self.attribution.create_link(link).await {
            Ok(_) => Ok(partner),
            Err(status) if status.code() == Code::AlreadyExists => Ok(partner),
            Err(status) => Err(refused(status)),
        }
    }

    /// A won deal of HubSpot pays; waits until the deals were read that are there.
    async fn rule(&mut self) -> anyhow::Result<()> {
        let is_ours = |spec: &attribution::ConversionRuleSpec| spec.connection_id == self.connection;
        let known = self.known_rules().await?;
        if !known.iter().filter_map(|rule| rule.spec.as_ref()).any(is_ours) {
            let becomes = attribution::RecordCondition {
                field: "dealstage".to_owned(),
                operator: "one_of".to_owned(),
                values: vec![WON.to_owned()],
            };
            let spec = attribution::ConversionRuleSpec {
                name: "Won deals".to_owned(),
                connection_id: self.connection.clone(),
                vendor_object: "deals".to_owned(),
                conditions: vec![becomes],
                event_type: "opportunity_won".to_owned(),
                user: Some(User::ContactEmail(true)),
                value_field: "amount".to_owned(),
                currency_field: "deal_currency_code".to_owned(),
                ..Default::default()
            };
            let request = attribution::CreateConversionRuleRequest { spec: Some(spec) };
            self.rules.create_conversion_rule(request).await.map_err(refused)?;
            say("From now on a deal that is won in HubSpot is a conversion of one of its contacts");
        }
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.known_rules().await?.iter().any(|rule| rule.enabled && rule.read_at.is_none()) {
            if tokio::time::Instant::now() > deadline {
                anyhow::bail!("read the deals: it takes longer than {} seconds", PATIENCE.as_secs());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    async fn known_rules(&self) -> anyhow::Result<Vec<attribution::ConversionRule>> {
        let request = attribution::ListConversionRulesRequest {};
        let answer = self.rules.clone().list_conversion_rules(request).await.map_err(refused)?;
        Ok(answer.into_inner().rules)
    }

    /// An open deal with a contact: its id and name, and the contact's address.
    async fn deal(&self) -> anyhow::Result<(String, String, String)> {
        let deals = "/crm/v3/objects/deals?limit=100&properties=dealname,dealstage,amount";
        let deals = self.read(deals).await?;
        let property = |record: &Value, name: &str| {
            record["properties"][name].as_str().filter(|value| !value.is_empty()).map(str::to_owned)
        };
        let is_open = |deal: &&Value| {
            let stage = property(deal, "dealstage");
            stage.is_some_and(|stage| !stage.starts_with("closed")) && property(deal, "amount").is_some()
        };
        let records = deals["results"].as_array().context("list the deals of the HubSpot sandbox")?;
        let deal = records.iter().find(is_open).context("find an open deal in the HubSpot sandbox")?;
        let contacts = self.read("/crm/v3/objects/contacts?limit=100&properties=email").await?;
        let contacts = contacts["results"].as_array().context("list the contacts of the HubSpot sandbox")?;
        let known =
            contacts.iter().find_map(|contact| Some((contact["id"].as_str()?, property(contact, "email")?)));
        let (contact, email) = known.context("find a contact in the HubSpot sandbox")?;
        let id = deal["id"].as_str().context("read a deal of the HubSpot sandbox")?;
        let path = format!("/crm/v4/objects/deals/{id}/associations/default/contacts/{contact}");
        self.hubspot(Method::PUT, &path, &json!({})).await?;
        Ok((id.to_owned(), property(deal, "dealname").unwrap_or_default(), email))
    }

    async fn read(&self, path: &str) -> anyhow::Result<Value> {
        let url: Url = format!("{}{path}", self.sandboxes.hubspot.url()).parse()?;
        let token = SecretString::from(self.sandboxes.hubspot.access_token().to_owned());
        let answer = Client::try_new(CALL_WITHIN)?.get(&url, Some(&token)).await?;
        anyhow::ensure!(answer.is_success(), "the HubSpot sandbox answers {}", answer.status);
        Ok(answer.json()?)
    }

    async fn hubspot(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<()> {
        let url: Url = format!("{}{path}", self.sandboxes.hubspot.url()).parse()?;
        let token = SecretString::from(self.sandboxes.hubspot.access_token().to_owned());
        let answer = Client::try_new(CALL_WITHIN)?.send_json(method, &url, Some(&token), body).await?;
        anyhow::ensure!(answer.is_success(), "the HubSpot sandbox answers {}", answer.status);
        Ok(())
    }

    async fn commissions(&mut self, partner: &str) -> anyhow::Result<Vec<attribution::Commission>> {
        let request =
            attribution::ListCommissionsRequest { partner_id: partner.to_owned(), ..Default::default() };
        Ok(self.attribution.list_commissions(request).await.map_err(refused)?.into_inner().commissions)
    }

    async fn commission(&mut self, partner: &str) -> anyhow::Result<String> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(commission) = self.commissions(partner).await?.into_iter().next() {
                return Ok(commission.id);
            }
            if tokio::time::Instant::now() > deadline {
                anyhow::bail!("earn a commission: it takes longer than {} seconds", PATIENCE.as_secs());
            }
            let now = ConnectionRequest { connection_id: self.connection.clone() };
            self.connections.sync_now(now).await.map_err(refused)?;
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}
