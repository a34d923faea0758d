//! The operator's commands.

use std::{io::BufReader, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use bus::{
    Bus, ConnectOptions,
    dead::{self, Filter, Selection},
};
use identity::{FirstUser, Operator};
use model::{OrganizationId, Role, SystemClock};
use secrecy::ExposeSecret;
use vault::{KeyId, Keyring};

use crate::{
    cli::{Audit, Dead, DeadAction, Keys, Ledger, Organization, Target},
    up::servers_of,
};

pub(crate) async fn audit(command: Audit) -> anyhow::Result<ExitCode> {
    let Audit::Verify { export, organization, target } = command;
    let organization: Option<OrganizationId> =
        organization.map(|id| id.parse()).transpose().context("read the organization's id")?;
    if let Some(path) = export {
        return verify_export(&path, organization);
    }
    let pool = audit::open(&audit::Config::new(database(&target)?)).await?;
    let organizations: Vec<OrganizationId> = match organization {
        Some(id) => vec![id],
        None => audit::organizations(&pool).await?,
    };
    let mut whole = true;
    for organization in organizations {
        let verification = audit::verify(&pool, organization).await?;
        whole &= verification.is_whole();
        let (entries, head) = (verification.entries, verification.head);
        print(&match verification.broken {
            None => format!("{organization}: whole, {entries} entries, head {} {}", head.sequence, head.hash),
            Some(broken) => format!("{organization}: BROKEN at entry {}: {broken}", broken.at),
        });
    }
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(crate) async fn ledger(command: Ledger) -> anyhow::Result<ExitCode> {
    let Ledger::Verify { organization, target } = command;
    let organization: Option<OrganizationId> =
        organization.map(|id| id.parse()).transpose().context("read the organization's id")?;
    let pool = attribution::open(&attribution::Config::new(database(&target)?)).await?;
    let organizations = match organization {
        Some(id) => vec![id],
        None => attribution::organizations(&pool).await?,
    };
    let mut whole = true;
    for organization in organizations {
        let found = attribution::verify(&pool, organization).await?;
        whole &= found.is_whole();
        let (events, commissions, entries) = (found.events, found.commissions, found.entries);
        let verdict = if found.is_whole() { "whole" } else { "DIFFERENT" };
        print(&format!(
            "{organization}: {verdict}, {events} events, {commissions} commissions, {entries} ledger entries"
        ));
        for difference in &found.differences {
            print(&format!("    {difference}"));
        }
    }
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn verify_export(path: &PathBuf, organization: Option<OrganizationId>) -> anyhow::Result<ExitCode> {
    let file = std::fs::File::open(path).with_context(|| format!("open {}", path.display()))?;
    let verification = audit::verify_export(BufReader::new(file), organization)?;
    let entries = verification.entries;
    print(&match (&verification.broken, verification.gaps) {
        (Some(broken), _) => format!("BROKEN at entry {}: {broken}", broken.at),
        (None, 0) => format!("whole, {entries} entries"),
        (None, gaps) => format!("{entries} entries fit, with {gaps} gaps: the export is filtered or cut"),
    });
    Ok(if verification.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(crate) async fn dead(command: Dead) -> anyhow::Result<ExitCode> {
    let bus = Bus::connect(&nats(&command.target)?, ConnectOptions::named("accord-operator")).await?;
    let filter = Filter { reason: command.reason, ..Filter::default() };
    if command.action == DeadAction::List {
        for letter in dead::list(&bus, &filter, 1_000).await? {
            let kind = letter.kind.unwrap_or_default();
            print(&format!(
                "{:>8}  {}  {:<24} {:<20} {}  {}",
                letter.id, letter.at, letter.reason, kind, letter.subject, letter.detail
            ));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let selection = match (command.all, command.ids.as_slice()) {
        (true, []) => Selection::All,
        (false, ids) if !ids.is_empty() => Selection::Ids(ids.to_vec()),
        _ => bail!("choose dead letters: give their numbers, or --all"),
    };
    let counts = match command.action {
        DeadAction::Discard => dead::discard(&bus, &filter, &selection).await?,
        DeadAction::Replay | DeadAction::List => dead::replay(&bus, &filter, &selection).await?,
    };
    print(&format!("{} done, {} not found", counts.done, counts.missing));
    if counts.refused > 0 {
        print(&format!(
            "{} not replayed: they have no envelope that anybody can read, or are letters about other dead letters, which \
             can be replayed themselves; each would only be buried again",
            counts.refused
        ));
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn organization(command: Organization) -> anyhow::Result<ExitCode> {
    let Organization::Create { name, owner, console_url, target } = command;
    let console = match console_url {
        Some(url) => url.to_string(),
        None => servers_of(target.data_dir.clone()).map(|servers| servers.console_url)?,
    };
    let config = identity::Config::new(database(&target)?);
    let operator = Operator::connect(config, None, Arc::new(SystemClock)).await?;
    let user = FirstUser { name: owner.clone(), email: owner, role: Role::Owner };
    let made = operator.bootstrap(&name, &[user], Duration::from_secs(24 * 3600)).await?;
    let link = made.users.first().context("make the owner")?.link.token.expose_secret().to_owned();
    print(&format!("{}\n{}/sign-in/link/{link}", made.organization_id, console.trim_end_matches('/')));
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn keys(command: &Keys) -> anyhow::Result<ExitCode> {
    let Keys::Generate { id } = command;
    let keys = Keyring::generate(id.parse::<KeyId>()?);
    print(keys.to_text().expose_secret().trim());
    Ok(ExitCode::SUCCESS)
}

fn database(target: &Target) -> anyhow::Result<String> {
    match &target.database_url {
        Some(url) => Ok(url.clone()),
        None => Ok(servers_of(target.data_dir.clone())?.database_url),
    }
}

fn nats(target: &Target) -> anyhow::Result<String> {
    match &target.nats_url {
        Some(url) => Ok(url.clone()),
        None => Ok(servers_of(target.data_dir.clone())?.nats_url),
    }
}

#[expect(clippy::print_stdout, reason = "the command's answer")]
fn print(text: &str) {
    println!("{text}");
}
