use std::{net::SocketAddr, path::PathBuf};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use secrecy::SecretString;
use url::Url;

pub(crate) use self::vendors::{Google, HubSpot, HubSpotApiVersion, M365, Salesforce, Slack};

mod vendors;

/// Accord connects a partner workspace to the tools around it and keeps records in sync both ways.
#[derive(Debug, Parser)]
#[command(name = "accord", version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything on this machine, with a private PostgreSQL and a private NATS.
    Up(Box<Up>),
    /// Run one service.
    Serve(Box<Serve>),
    /// Check the audit log.
    #[command(subcommand)]
    Audit(Audit),
    /// Check the commission ledger.
    #[command(subcommand)]
    Ledger(Ledger),
    /// Look at, replay or discard dead letters.
    Dead(Dead),
    /// Create an organization with its first owner.
    #[command(subcommand)]
    Organization(Organization),
    /// Make encryption keys.
    #[command(subcommand)]
    Keys(Keys),
    /// Try the rules of synchronization in simulated worlds with faults and crashes.
    Simulate(Simulate),
    /// Say which field of one schema is which of another, as JSON lines.
    Suggest(Suggest),
}

#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// How many seeds to run.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    pub(crate) first: u64,
    /// Show the run of this seed step by step.
    #[arg(long, conflicts_with_all = ["seeds", "first"])]
    pub(crate) replay: Option<u64>,
    /// All vendors are of this kind; without it, each seed mixes them.
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(sync_engine::simulate::profiles()))]
    pub(crate) vendor_profile: Option<String>,
    /// On how many threads; without it, on all.
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    /// Walk small worlds whole instead of trying seeds: one record, and every order of a few edits on both sides, readings,
    /// deliveries, writes, answers and faults, for each direction and policy. It ends after a few minutes and needs a
    /// gigabyte.
    #[arg(long, conflicts_with_all = ["seeds", "first", "replay"])]
    pub(crate) walk: bool,
    #[command(flatten)]
    pub(crate) bounds: WalkBounds,
}

/// The bounds of one small world instead of those that are walked by themselves; each one more of anything takes many
/// times as long.
#[derive(Debug, Args)]
#[group(multiple = true, requires = "walk")]
pub(crate) struct WalkBounds {
    /// With --walk: at most so many edits on each side, and as many faults as said below.
    #[arg(long)]
    pub(crate) edits: Option<usize>,
    /// With --edits: so many edits at a vendor in the same moment as one here.
    #[arg(long, default_value_t = 0, requires = "edits")]
    pub(crate) ties: usize,
    /// With --edits: so many deliveries that come once more, past the inbox.
    #[arg(long, default_value_t = 0, requires = "edits")]
    pub(crate) repeated: usize,
    /// With --edits: so many answers that are lost, so that the write is made once more.
    #[arg(long, default_value_t = 0, requires = "edits")]
    pub(crate) lost_answers: usize,
    /// With --edits: so many crashes after a commit and before its acknowledgement.
    #[arg(long, default_value_t = 0, requires = "edits")]
    pub(crate) crashes: usize,
    /// With --edits: so many mapped fields.
    #[arg(long, default_value_t = 1, requires = "edits", value_parser = clap::value_parser!(u8).range(1..=2))]
    pub(crate) fields: u8,
    /// With --edits: so many vendors at which the record is linked.
    #[arg(long, default_value_t = 1, requires = "edits", value_parser = clap::value_parser!(u8).range(1..=3))]
    pub(crate) vendors: u8,
    /// With --edits: one of the values is one that vendors refuse.
    #[arg(long, requires = "edits")]
    pub(crate) refused: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Suggest {
    /// A schema: `[{"name", "label", "type", "description"?, "picklist"?, "samples"?}]`, types in the vendor's words.
    #[arg(long)]
    pub(crate) source: PathBuf,
    /// The other schema.
    #[arg(long)]
    pub(crate) target: PathBuf,
    /// What the pair is called, `hubspot.deals__salesforce.opportunity`; without it, by the files' names.
    #[arg(long)]
    pub(crate) pair: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Add an organization, four users and living sandboxes of HubSpot and Salesforce that are connected, mapped and synced;
    /// beside them sandboxes of Slack, Google Calendar and Microsoft 365 that are connected.
    #[arg(long)]
    pub(crate) demo: bool,
    /// Where everything is kept.
    #[arg(long, env = "ACCORD_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Write addresses, links and keys to this file once everything answers.
    #[arg(long)]
    pub(crate) ready_file: Option<PathBuf>,
    /// Use this PostgreSQL instead of a private one.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: Option<String>,
    /// Use this NATS instead of a private one.
    #[arg(long, env = "NATS_URL", hide_env_values = true)]
    pub(crate) nats_url: Option<String>,
    #[command(flatten)]
    pub(crate) hubspot: HubSpot,
    #[command(flatten)]
    pub(crate) salesforce: Salesforce,
    #[command(flatten)]
    pub(crate) slack: Slack,
    #[command(flatten)]
    pub(crate) m365: M365,
    #[command(flatten)]
    pub(crate) google: Google,
    #[command(flatten)]
    pub(crate) reranker: Reranker,
    #[command(flatten)]
    pub(crate) public_api: PublicApi,
    /// How many edits a minute the users of each of the demo's sandboxes make.
    #[arg(long, default_value_t = 6)]
    pub(crate) edits_per_minute: u32,
    /// How many companies the demo's HubSpot has.
    #[arg(long, default_value_t = 500)]
    pub(crate) demo_companies: usize,
    /// How many deals the demo's HubSpot has.
    #[arg(long, default_value_t = 800)]
    pub(crate) demo_deals: usize,
    /// How many contacts the demo's HubSpot has; with none, contacts are not mapped.
    #[arg(long, default_value_t = 600)]
    pub(crate) demo_contacts: usize,
    /// How many accounts, contacts, opportunities and leads the demo's Salesforce has; with none, there is no Salesforce.
    #[arg(long, default_value_t = 250)]
    pub(crate) demo_accounts: usize,
    /// Whether the demo connects Slack, Google Calendar and Microsoft 365 as well, and a partner registers a deal.
    #[arg(long, action = ArgAction::Set, default_value_t = true)]
    pub(crate) demo_conversations: bool,
    /// Seconds between two polls of an object at rest.
    #[arg(long, env = "ACCORD_POLL_SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) poll_seconds: u64,
    /// Seconds between two looks at what changes without moving a date, such as associations.
    #[arg(long, env = "ACCORD_ASSOCIATION_SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) association_seconds: u64,
    /// For how many days conflicts, settled issues, runs and activity are kept.
    #[arg(long, env = "ACCORD_KEEP_DAYS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep_days: u32,
    /// Do not open the console in a browser.
    #[arg(long)]
    pub(crate) no_browser: bool,
    #[command(flatten)]
    pub(crate) telemetry: Telemetry,
}

/// What callers of the attribution API may do, and where their visitors' clicks are kept.
#[derive(Debug, Clone, Args)]
pub(crate) struct PublicApi {
    /// How many requests a key may make of the attribution API within a window.
    #[arg(long, env = "ACCORD_KEY_REQUESTS", default_value_t = gateway::Budget::OF_A_KEY.requests, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) key_requests: u32,
    /// How long such a window is, in seconds.
    #[arg(long, env = "ACCORD_KEY_WINDOW_SECONDS", default_value_t = gateway::Budget::OF_A_KEY.window.as_secs(), value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) key_window_seconds: u64,
    /// How many identifies one address may send in a minute.
    #[arg(long, env = "ACCORD_IDENTIFY_REQUESTS", default_value_t = gateway::Budget::OF_AN_ADDRESS.requests, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) identify_requests: u32,
    /// The domain of the cookie that keeps a click, where the pages of the product are on others than that of the gateway.
    #[arg(long, env = "ACCORD_COOKIE_DOMAIN", value_parser = cookie_domain)]
    pub(crate) cookie_domain: Option<String>,
    /// Webhooks may lead into private networks and go without TLS: for tests and networks of your own.
    #[arg(long, env = "ACCORD_PRIVATE_WEBHOOKS")]
    pub(crate) private_webhooks: bool,
}

fn cookie_domain(text: &str) -> Result<String, String> {
    let sound =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    if sound { Ok(text.to_owned()) } else { Err("it is no domain".to_owned()) }
}

/// A language model that ranks the candidates of mapping suggestions which the embedded matcher is unsure of. It is told
/// names, labels, types, descriptions and options of fields, never a value of a record.
#[derive(Debug, Clone, Args)]
pub(crate) struct Reranker {
    /// The address of an OpenAI-compatible API, up to and with `/v1`; without it nobody is asked.
    #[arg(long, env = "ACCORD_RERANK_URL", requires = "rerank_model")]
    pub(crate) rerank_url: Option<Url>,
    /// Its key, where it wants one.
    #[arg(long, env = "ACCORD_RERANK_KEY", hide_env_values = true)]
    pub(crate) rerank_key: Option<SecretString>,
    /// Which of its models.
    #[arg(long, env = "ACCORD_RERANK_MODEL")]
    pub(crate) rerank_model: Option<String>,
    /// How many seconds an answer may take.
    #[arg(long, env = "ACCORD_RERANK_SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=120))]
    pub(crate) rerank_seconds: u64,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Telemetry {
    /// Send traces and metrics to this OpenTelemetry collector.
    #[arg(long, env = "ACCORD_OTLP_ENDPOINT")]
    pub(crate) otlp_endpoint: Option<String>,
    /// Log as JSON lines.
    #[arg(long, env = "ACCORD_LOG_JSON")]
    pub(crate) log_json: bool,
    /// Which logs are written.
    #[arg(long, env = "ACCORD_LOG", default_value = "warn")]
    pub(crate) log: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum ServiceName {
    /// Organizations, users, sessions and keys.
    Identity,
    /// Records, mappings and the merge.
    SyncEngine,
    /// The audit log.
    Audit,
    /// From clicks to payouts.
    Attribution,
    /// Deal registrations and activities.
    Crm,
    /// Connections to vendors.
    Connectors,
    /// The public HTTP API.
    Gateway,
    /// The pages.
    WebConsole,
    /// A HubSpot simulator for trying things out.
    SandboxHubspot,
    /// A Salesforce simulator for trying things out; its change events are on the port after that of the rest.
    SandboxSalesforce,
    /// A Slack simulator for trying things out; its origin is a page of channels for people.
    SandboxSlack,
    /// A Google simulator, of Calendar and Meet, for trying things out.
    SandboxGoogle,
    /// A Microsoft 365 simulator for trying things out; its mailboxes are pages under /mail.
    SandboxMicrosoft,
}

impl ServiceName {
    /// The service's name, as on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::SyncEngine => "sync-engine",
            Self::Audit => "audit",
            Self::Attribution => "attribution",
            Self::Crm => "crm",
            Self::Connectors => "connectors",
            Self::Gateway => "gateway",
            Self::WebConsole => "web-console",
            Self::SandboxHubspot => "sandbox-hubspot",
            Self::SandboxSalesforce => "sandbox-salesforce",
            Self::SandboxSlack => "sandbox-slack",
            Self::SandboxGoogle => "sandbox-google",
            Self::SandboxMicrosoft => "sandbox-microsoft",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Which service.
    #[arg(value_enum)]
    pub(crate) service: ServiceName,
    /// Where the service listens.
    #[arg(long, env = "ACCORD_LISTEN", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// Where health and metrics are served.
    #[arg(long, env = "ACCORD_HEALTH_LISTEN", default_value = "127.0.0.1:9090")]
    pub(crate) health_listen: SocketAddr,
    /// PostgreSQL.
    #[arg(long, env = "DATABASE_URL", default_value = "", hide_env_values = true)]
    pub(crate) database_url: String,
    /// NATS.
    #[arg(long, env = "NATS_URL", default_value = "", hide_env_values = true)]
    pub(crate) nats_url: String,
    /// Where identity answers gRPC.
    #[arg(long, env = "ACCORD_IDENTITY_URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) identity_url: String,
    /// Where the sync-engine answers gRPC.
    #[arg(long, env = "ACCORD_SYNC_URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) sync_url: String,
    /// Where audit answers gRPC.
    #[arg(long, env = "ACCORD_AUDIT_URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) audit_url: String,
    /// Where attribution answers gRPC.
    #[arg(long, env = "ACCORD_ATTRIBUTION_URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) attribution_url: String,
    /// Where the crm room answers gRPC.
    #[arg(long, env = "ACCORD_CRM_URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) crm_url: String,
    /// Where the connector answers gRPC.
    #[arg(long, env = "ACCORD_CONNECTOR_URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) connector_url: String,
    /// The address by which browsers and programs know the gateway.
    #[arg(long, env = "ACCORD_PUBLIC_API_URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) public_api_url: Url,
    /// The address by which browsers know the console.
    #[arg(long, env = "ACCORD_PUBLIC_CONSOLE_URL", default_value = "http://127.0.0.1:8081")]
    pub(crate) public_console_url: Url,
    /// Encryption keys, `id:base64`, several separated by commas; the first one writes.
    #[arg(long, env = "ACCORD_VAULT_KEYS", default_value = "", hide_env_values = true)]
    pub(crate) vault_keys: SecretString,
    /// The key of the digests that the addresses of links' visitors are kept as; without it, nothing is kept of them.
    #[arg(long, env = "ACCORD_VISITOR_SECRET", default_value = "", hide_env_values = true)]
    pub(crate) visitor_secret: SecretString,
    /// A proxy of yours stands before the gateway and the console and ends `X-Forwarded-For` with the address of the client.
    #[arg(long, env = "ACCORD_TRUSTED_PROXY")]
    pub(crate) trusted_proxy: bool,
    /// The key of the tokens in the console's forms.
    #[arg(long, env = "ACCORD_CSRF_SECRET", default_value = "", hide_env_values = true)]
    pub(crate) csrf_secret: SecretString,
    /// Seconds between two polls of an object at rest.
    #[arg(long, env = "ACCORD_POLL_SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) poll_seconds: u64,
    /// Seconds between two looks at what changes without moving a date, such as associations.
    #[arg(long, env = "ACCORD_ASSOCIATION_SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) association_seconds: u64,
    /// For how many days conflicts, settled issues, runs and activity are kept.
    #[arg(long, env = "ACCORD_KEEP_DAYS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep_days: u32,
    #[command(flatten)]
    pub(crate) hubspot: HubSpot,
    #[command(flatten)]
    pub(crate) salesforce: Salesforce,
    #[command(flatten)]
    pub(crate) slack: Slack,
    #[command(flatten)]
    pub(crate) m365: M365,
    #[command(flatten)]
    pub(crate) google: Google,
    #[command(flatten)]
    pub(crate) reranker: Reranker,
    #[command(flatten)]
    pub(crate) public_api: PublicApi,
    #[command(flatten)]
    pub(crate) telemetry: Telemetry,
}

/// Which database and bus an operator's command works on: those of a running `accord up`, or others.
#[derive(Debug, Clone, Args)]
pub(crate) struct Target {
    /// Where `accord up` keeps its data.
    #[arg(long, env = "ACCORD_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// PostgreSQL; without it, the one of the running `accord up`.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: Option<String>,
    /// NATS; without it, the one of the running `accord up`.
    #[arg(long, env = "NATS_URL", hide_env_values = true)]
    pub(crate) nats_url: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Walk the hash chains and say whether they are whole.
    Verify {
        /// Check this export (JSON lines) instead of the database.
        #[arg(long)]
        export: Option<PathBuf>,
        /// Only this organization.
        #[arg(long)]
        organization: Option<String>,
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Ledger {
    /// Derive every attribution, commission and balance from the facts again, and say what differs.
    Verify {
        /// Only this organization.
        #[arg(long)]
        organization: Option<String>,
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Dead {
    /// What to do.
    #[arg(value_enum, default_value_t = DeadAction::List)]
    pub(crate) action: DeadAction,
    /// Which ones, by their number.
    pub(crate) ids: Vec<u64>,
    /// All of them.
    #[arg(long)]
    pub(crate) all: bool,
    /// Only those with this reason.
    #[arg(long)]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DeadAction {
    /// Show them.
    List,
    /// Publish them again where they came from.
    Replay,
    /// Forget them.
    Discard,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Organization {
    /// Create it, or find it, and print a one-time link for its owner.
    Create {
        /// Its name.
        name: String,
        /// The owner's e-mail address.
        #[arg(long)]
        owner: String,
        /// The console's address, for the link.
        #[arg(long, env = "ACCORD_PUBLIC_CONSOLE_URL")]
        console_url: Option<Url>,
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Print a new key for ACCORD_VAULT_KEYS.
    Generate {
        /// The key's name.
        #[arg(default_value = "k1")]
        id: String,
    },
}
