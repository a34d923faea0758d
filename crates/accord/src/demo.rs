//! The demo: an organization whose CRMs are the sandboxes, connected as a person would connect them, mapped, planned,
//! activated, backfilled, and then living; a deal that is won in one of them earns a partner a commission, and people talk in
//! the sandboxes of Slack, Google and Microsoft 365, where they decide and whence timelines come.

mod consent;
mod earning;
mod talking;

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use identity::{FirstUser, Operator};
use indicatif::{ProgressBar, ProgressStyle};
use model::{Role, SystemClock};
use proto::{
    attribution::{attribution_client::AttributionClient, conversion_rules_client::ConversionRulesClient},
    connections::{self as conn, connections_client::ConnectionsClient},
    crm::crm_client::CrmClient,
    identity::identity_client::IdentityClient,
    sync::{self as sync, sync_client::SyncClient},
    v1,
};
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

use self::{earning::Earning, talking::Talking};
use crate::{cli::Up, sandboxes::Sandboxes, up::say};

/// How long a step of the demo may take before something is wrong.
const PATIENCE: Duration = Duration::from_secs(180);

const LOOK_EVERY: Duration = Duration::from_millis(150);

pub(crate) struct Demo<'a> {
    pub(crate) up: &'a Up,
    pub(crate) sandboxes: &'a Sandboxes,
    pub(crate) grpc_url: &'a str,
    pub(crate) api_key: &'a str,
}

/// A vendor of the demo.
struct Vendor {
    name: &'static str,
    label: &'static str,
    /// What the button of its consent page says, and what pressing it sends.
    button: &'static str,
    consent: Vec<(&'static str, String)>,
}

struct Crm {
    vendor: Vendor,
    /// What is mapped, ours and theirs.
    pairs: Vec<(&'static str, &'static str)>,
}

/// The demo's organization.
const ORGANIZATION: &str = "Northwind Partners";

/// Refuses to mix the demo with anybody's data: its people get sign-in links and keys at every start, and its sandbox stands
/// in for the vendor of every connection.
pub(crate) async fn keep_apart(demo: bool, database_url: &str) -> anyhow::Result<()> {
    let operator =
        Operator::connect(identity::Config::new(database_url), None, Arc::new(SystemClock)).await?;
    match (demo, operator.knows(ORGANIZATION).await?) {
        (true, (false, true)) => {
            bail!(
                "start the demo in a database with somebody's data; give it one of its own, or leave --demo out"
            )
        }
        (false, (true, _)) => bail!(
            "start without --demo on the demo's data, where its users and their keys still are; add --demo, or take \
             another data directory or database"
        ),
        _ => Ok(()),
    }
}

/// The demo's organization and its users.
pub(crate) fn people() -> (&'static str, Vec<FirstUser>) {
    let people = [
        ("olivia@northwind.example", "Olivia Owner", Role::Owner),
        ("adam@northwind.example", "Adam Admin", Role::Admin),
        ("mia@northwind.example", "Mia Member", Role::Member),
        ("victor@northwind.example", "Victor Viewer", Role::Viewer),
    ];
    let users = people
        .into_iter()
        .map(|(email, name, role)| FirstUser { email: email.to_owned(), name: name.to_owned(), role })
        .collect();
    (ORGANIZATION, users)
}

/// Puts the API key on every call.
#[derive(Clone)]
struct Key(MetadataValue<Ascii>);

impl Interceptor for Key {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, tonic::Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

type Authorized = InterceptedService<Channel, Key>;

struct Rooms {
    sync: SyncClient<Authorized>,
    connections: ConnectionsClient<Authorized>,
}

impl Demo<'_> {
    /// Sets up what is missing; a demo that was set up before only goes on living.
    pub(crate) async fn run(&self) -> anyhow::Result<()> {
        let channel =
            Channel::from_shared(self.grpc_url.to_owned())?.connect().await.context("reach the rooms")?;
        let key = Key(format!("Bearer {}", self.api_key).parse()?);
        let attribution = AttributionClient::with_interceptor(channel.clone(), key.clone());
        let crm = CrmClient::with_interceptor(channel.clone(), key.clone());
        let identity = IdentityClient::with_interceptor(channel.clone(), key.clone());
        let rules = ConversionRulesClient::with_interceptor(channel.clone(), key.clone());
        let mut rooms = Rooms {
            sync: SyncClient::with_interceptor(channel.clone(), key.clone())
                .max_decoding_message_size(proto::LARGEST_ANSWER),
            connections: ConnectionsClient::with_interceptor(channel, key)
                .max_decoding_message_size(proto::LARGEST_ANSWER),
        };
        let planted = [self.sandboxes.seed(self.up)?, self.sandboxes.seed_conversations().await?];
        for planted in planted.concat() {
            say(&format!("Filled the sandbox of {planted}"));
        }
        for crm in self.crms() {
            if let Some(connection) = rooms.connected(&crm.vendor).await? {
                self.map_all(&mut rooms, &connection, &crm).await?;
            }
        }
        let hubspot = rooms.connection("hubspot").await?.filter(|found| found.state != "disconnected");
        if let Some(connection) = hubspot.filter(|_| self.up.demo_contacts > 0 && self.up.demo_deals > 0) {
            let (sandboxes, connection) = (self.sandboxes, connection.id);
            let connections = rooms.connections.clone();
            let attribution = attribution.clone();
            let earning = Earning { attribution, rules, connections, sandboxes, connection };
            earning.run().await.context("earn a commission")?;
        }
        if self.up.demo_conversations {
            let (up, sandboxes) = (self.up, self.sandboxes);
            let talking = Talking { up, sandboxes, rooms, crm, identity, attribution };
            talking.run().await.context("connect Slack, Google Calendar and Microsoft 365")?;
        }
        self.sandboxes.live(self.up.edits_per_minute)?;
        say(&format!("The sandboxes' users now make about {} edits a minute each", self.up.edits_per_minute));
        Ok(())
    }

    fn crms(&self) -> Vec<Crm> {
        let contacts = (self.up.demo_contacts > 0).then_some(("contact", "contacts"));
        let hubspot = Crm {
            vendor: Vendor {
                name: "hubspot",
                label: "HubSpot",
                button: "Connect app",
                consent: vec![
                    ("portal_id", self.sandboxes.hubspot.portal_id().to_string()),
                    ("decision", "connect".to_owned()),
                ],
            },
            pairs: [("company", "companies"), ("deal", "deals")].into_iter().chain(contacts).collect(),
        };
        let salesforce = self.sandboxes.salesforce.as_ref().map(|_| Crm {
            vendor: Vendor {
                name: "salesforce",
                label: "Salesforce",
                button: "Allow",
                consent: vec![("decision", "allow".to_owned())],
            },
            pairs: vec![
                ("company", "Account"),
                ("contact", "Contact"),
                ("deal", "Opportunity"),
                ("lead", "Lead"),
            ],
        });
        std::iter::once(hubspot).chain(salesforce).collect()
    }

    async fn map_all(&self, rooms: &mut Rooms, connection: &str, crm: &Crm) -> anyhow::Result<()> {
        for pair in &crm.pairs {
            self.map(rooms, connection, crm.vendor.label, *pair).await?;
        }
        Ok(())
    }

    /// Maps a pair of objects, shows the plan and applies it; goes on where an earlier start ended.
    async fn map(
        &self,
        rooms: &mut Rooms,
        connection: &str,
        label: &str,
        (object, vendor): (&str, &str),
    ) -> anyhow::Result<()> {
        let id = match rooms.mapping(connection, object, vendor).await? {
            Some(mapping) if mapping.state != "draft" => return Ok(()),
            Some(mapping) => mapping.id,
            None => {
                if object == "company" {
                    self.own_companies(rooms).await?;
                }
                rooms.create_mapping(connection, object, vendor).await?
            }
        };
        let request = sync::MappingRequest { mapping_id: id.clone() };
        rooms.sync.suggest_mappings(request.clone()).await.map_err(refused)?;
        let confirm = sync::SetMappingRequest {
            mapping_id: id.clone(),
            direction: Some("bidirectional".to_owned()),
            default_policy: Some("newest_wins".to_owned()),
            confirm_all: true,
            ..sync::SetMappingRequest::default()
        };
        let mapping = rooms.sync.set_mapping(confirm).await.map_err(refused)?.into_inner();
        for wish in reviewed(&id, vendor) {
            rooms.sync.set_field(wish).await.map_err(refused)?;
        }
        let mapped = mapping.fields.iter().filter(|field| field.state == "confirmed").count();
        say(&format!("Mapped {mapped} fields of {} to {label} {vendor}", mapping.object_label));
        loop {
            rooms.sync.request_plan(request.clone()).await.map_err(refused)?;
            let plan = rooms.wait_for_plan(connection, &request, vendor).await?;
            show(&plan, label);
            let activate = sync::ActivateRequest { mapping_id: id.clone(), plan_hash: plan.hash.clone() };
            match rooms.sync.activate(activate).await {
                Ok(_) => break,
                Err(status) if status.code() == tonic::Code::FailedPrecondition => {
                    say("The plan is no longer true; making a new one");
                }
                Err(status) => return Err(refused(status)),
            }
        }
        rooms.wait_until_applied(&request).await
    }

    /// A few companies that exist only here, so that the plan has something for the vendor too. Every start has a key of
    /// its own, so no idempotency key holds from one to the next: what is there already is looked for.
    async fn own_companies(&self, rooms: &mut Rooms) -> anyhow::Result<()> {
        let companies = [
            ("Fjordlight Analytics", "fjordlight.example", "Bergen"),
            ("Cedar & Loom Textiles", "cedarloom.example", "Porto"),
            ("Halcyon Robotics", "halcyon-robotics.example", "Graz"),
        ];
        for (name, domain, city) in companies {
            let named = sync::ListRecordsRequest {
                object: "company".to_owned(),
                query: name.to_owned(),
                ..sync::ListRecordsRequest::default()
            };
            if rooms.sync.list_records(named).await.map_err(refused)?.into_inner().total > 0 {
                continue;
            }
            let text = |text: &str| v1::Value { kind: Some(v1::value::Kind::Text(text.to_owned())) };
            let request = sync::CreateRecordRequest {
                object: "company".to_owned(),
                fields: HashMap::from([
                    ("name".to_owned(), text(name)),
                    ("domain".to_owned(), text(domain)),
                    ("address_city".to_owned(), text(city)),
                ]),
                idempotency_key: String::new(),
            };
            rooms.sync.create_record(request).await.map_err(refused)?;
        }
        Ok(())
    }
}

impl Rooms {
    /// A vendor's connection, one that works first; none when there never was one.
    async fn connection(&mut self, vendor: &str) -> anyhow::Result<Option<conn::Connection>> {
        let request = conn::ListConnectionsRequest {};
        let answer = self.connections.list_connections(request).await.map_err(refused)?.into_inner();
        let of_vendor = answer.connections.into_iter().filter(|connection| connection.vendor == vendor);
        Ok(of_vendor.min_by_key(|connection| connection.state == "disconnected"))
    }

    /// Its connection, made where there never was one; none where somebody disconnected it.
    async fn connected(&mut self, vendor: &Vendor) -> anyhow::Result<Option<String>> {
        match self.connection(vendor.name).await? {
            Some(connection) if connection.state == "disconnected" => {
                let label = vendor.label;
                say(&format!(
                    "{label} stays disconnected, as somebody left it; the console connects it again"
                ));
                Ok(None)
            }
            Some(connection) => Ok(Some(connection.id)),
            None => consent::give(&mut self.connections, vendor).await.map(Some),
        }
    }

    async fn mapping(
        &mut self,
        connection: &str,
        object: &str,
        vendor: &str,
    ) -> anyhow::Result<Option<sync::Mapping>> {
        let request = sync::ListMappingsRequest { connection_id: connection.to_owned() };
        match self.sync.list_mappings(request).await {
            Ok(answer) => Ok(answer
                .into_inner()
                .mappings
                .into_iter()
                .find(|mapping| mapping.object == object && mapping.vendor_object == vendor)),
            Err(status) if status.code() == tonic::Code::NotFound => Ok(None),
            Err(status) => Err(refused(status)),
        }
    }

    /// The schema arrives over the bus a moment after the connection.
    async fn create_mapping(
        &mut self,
        connection: &str,
        object: &str,
        vendor: &str,
    ) -> anyhow::Result<String> {
        let request = sync::CreateMappingRequest {
            connection_id: connection.to_owned(),
            object: object.to_owned(),
            vendor_object: vendor.to_owned(),
        };
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            match self.sync.create_mapping(request.clone()).await {
                Ok(mapping) => return Ok(mapping.into_inner().id),
                Err(status) if tokio::time::Instant::now() > deadline => return Err(refused(status)),
                Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    async fn wait_for_plan(
        &mut self,
        connection: &str,
        request: &sync::MappingRequest,
        vendor: &str,
    ) -> anyhow::Result<sync::Plan> {
        let bar = bar(&format!("Reading {vendor}"));
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let plan = self.sync.get_plan(request.clone()).await.map_err(refused)?.into_inner();
            if plan.state == "ready" {
                bar.finish_and_clear();
                return Ok(plan);
            }
            let progress = conn::ConnectionRequest { connection_id: connection.to_owned() };
            let progress = self.connections.get_progress(progress).await.map_err(refused)?.into_inner();
            if let Some(object) = progress.objects.iter().find(|object| object.vendor_object == vendor) {
                bar.set_length(object.total.max(object.read));
                bar.set_position(object.read);
            }
            if tokio::time::Instant::now() > deadline {
                bail!("read {vendor}: it takes longer than {} seconds", PATIENCE.as_secs());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn wait_until_applied(&mut self, request: &sync::MappingRequest) -> anyhow::Result<()> {
        let bar = bar("Applying");
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let plan = self.sync.get_plan(request.clone()).await.map_err(refused)?.into_inner();
            bar.set_length(plan.to_apply);
            bar.set_position(plan.applied);
            if plan.state == "applied" {
                bar.finish_and_clear();
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                bail!("apply the plan: it takes longer than {} seconds", PATIENCE.as_secs());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Stages of a sale as HubSpot names them, which came first, and as Salesforce does.
const STAGES: [(&str, &str); 10] = [
    ("appointmentscheduled", "Prospecting"),
    ("qualifiedtobuy", "Qualification"),
    ("presentationscheduled", "Needs Analysis"),
    ("presentationscheduled", "Value Proposition"),
    ("decisionmakerboughtin", "Id. Decision Makers"),
    ("decisionmakerboughtin", "Perception Analysis"),
    ("contractsent", "Proposal/Price Quote"),
    ("contractsent", "Negotiation/Review"),
    ("closedwon", "Closed Won"),
    ("closedlost", "Closed Lost"),
];

/// What somebody changes of the suggestions who reviews them.
fn reviewed(mapping: &str, vendor_object: &str) -> Vec<sync::SetFieldRequest> {
    let of = |field: &str, action: &str| sync::SetFieldRequest {
        mapping_id: mapping.to_owned(),
        field: field.to_owned(),
        action: action.to_owned(),
        ..sync::SetFieldRequest::default()
    };
    match vendor_object {
        // What is suggested for it is a persona, with options of its own.
        "contacts" => vec![of("full_name", "ignore")],
        // The two CRMs have no source in common.
        "Account" | "Contact" | "Lead" => vec![of("source", "ignore")],
        "Opportunity" => {
            let pair = |(ours, theirs): &(&str, &str)| sync::ValuePair {
                ours: (*ours).to_owned(),
                theirs: (*theirs).to_owned(),
            };
            let values = sync::ValueMap { pairs: STAGES.iter().map(pair).collect() };
            let vendor_field = "StageName".to_owned();
            let stage = sync::SetFieldRequest { vendor_field, values: Some(values), ..of("stage", "choose") };
            vec![stage, of("source", "ignore")]
        }
        _ => Vec::new(),
    }
}

fn show(plan: &sync::Plan, label: &str) {
    let parts: Vec<String> = plan
        .categories
        .iter()
        .map(|category| format!("{} {}", category.count, category.label.to_lowercase()))
        .collect();
    say(&format!(
        "Plan: {}; {} calls to {label}, about {:.0} s",
        if parts.is_empty() { "nothing to do".to_owned() } else { parts.join(", ") },
        plan.vendor_calls,
        plan.seconds
    ));
}

fn bar(message: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("    {msg:24} {wide_bar} {pos}/{len}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style).with_message(message.to_owned())
}

fn refused(status: tonic::Status) -> anyhow::Error {
    anyhow::anyhow!("{} ({})", status.message(), chassis::guard::stable_code(&status).unwrap_or("unknown"))
}
