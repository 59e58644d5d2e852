//! `gladly-relay webhooks`: shows every account's webhooks; makes or repairs
//! the one that leads to this relay.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use futures_util::future::join_all;
use reqwest::Url;
use serde_json::{Value, json};

use super::ConfigFile;
use super::output::say;
use crate::check::{GladlyClients, Verdict, conflicting, find_ours, judge_public_url, reach};
use crate::config::{AccountConfig, Config, parse_url};
use crate::gladly::{Client, Precedence, Registration};
use crate::webhooks::{Plan, look_up, plan, sync};

/// What to do with webhooks.
#[derive(Debug, Subcommand)]
pub(super) enum WebhooksCommand {
    /// Show the webhooks that each account's Gladly has
    List {
        #[command(flatten)]
        file: ConfigFile,
        /// Tell it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Make or repair the webhook that leads to this relay, and no other
    Sync {
        #[command(flatten)]
        file: ConfigFile,
        /// The relay's address as Gladly sees it [default: `RELAY_PUBLIC_URL`]
        #[arg(long, value_parser = public_url)]
        url: Option<Url>,
        /// Show what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
        /// Tell it as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs one. The exit code is 1 if it failed for an account.
pub(super) async fn run(command: WebhooksCommand) -> anyhow::Result<ExitCode> {
    let (told, json) = match command {
        WebhooksCommand::List { file, json } => (list(&file.load()?).await?, json),
        WebhooksCommand::Sync {
            file,
            url,
            dry_run,
            json,
        } => {
            let config = file.load()?;
            let url = url.or_else(|| config.public_url.clone()).context(
                "whose webhook is not known: set RELAY_PUBLIC_URL to this relay's address as Gladly sees it, or give --url",
            )?;
            (sync_all(&config, &url, dry_run).await?, json)
        }
    };
    tell(&told, json)?;
    let failed = told.iter().any(|told| told.failed);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// What is told of an account, or of all.
struct Told {
    lines: Vec<String>,
    json: Value,
    failed: bool,
}

impl Told {
    fn failure(account: &AccountConfig, error: &str) -> Self {
        let name = account.name.as_str();
        Self {
            lines: vec![format!("{name}: failed: {error}")],
            json: json!({ "account": name, "result": "failed", "error": error }),
            failed: true,
        }
    }
}

fn tell(told: &[Told], json: bool) -> std::io::Result<()> {
    if json {
        let all: Vec<&Value> = told.iter().map(|told| &told.json).collect();
        return say(format_args!("{:#}", json!(all)));
    }
    told.iter().flat_map(|told| &told.lines).try_for_each(say)
}

async fn list(config: &Config) -> anyhow::Result<Vec<Told>> {
    let mut clients = GladlyClients::default();
    let mut told = Vec::new();
    for account in &config.accounts {
        let found = look_up(&clients.client(account)?, Precedence::Fetch).await;
        told.push(match found {
            Ok(webhooks) => show(account, &webhooks, config.public_url.as_ref()),
            Err(error) => Told::failure(account, &error),
        });
    }
    Ok(told)
}

fn show(account: &AccountConfig, webhooks: &[Registration], url: Option<&Url>) -> Told {
    let name = account.name.as_str();
    let ours = url.and_then(|url| find_ours(webhooks, url));
    let mut lines: Vec<String> = webhooks
        .iter()
        .map(|webhook| {
            let whose = if ours == Some(webhook) {
                "this relay's"
            } else {
                "-"
            };
            format!(
                "{name}\t{}\t{}\t{whose}\t{}\t{}\t{}",
                webhook.id,
                state(webhook),
                printable(&webhook.name),
                printable(&webhook.url),
                printable(&webhook.events.join(",")),
            )
        })
        .collect();
    if lines.is_empty() {
        lines.push(format!("{name}: no webhooks"));
    }
    let shown = |webhook: &Registration| {
        json!({ "id": webhook.id, "name": webhook.name, "url": webhook.url,
            "events": webhook.events, "header_keys": webhook.header_keys,
            "has_credentials": webhook.has_credentials, "enabled": webhook.enabled,
            "switched_off_at": webhook.switched_off_at, "ours": ours == Some(webhook) })
    };
    let shown: Vec<Value> = webhooks.iter().map(shown).collect();
    Told {
        lines,
        json: json!({ "account": name, "webhooks": shown }),
        failed: false,
    }
}

fn state(webhook: &Registration) -> String {
    match &webhook.switched_off_at {
        _ if webhook.enabled => "on".to_owned(),
        Some(at) => format!("switched off by Gladly at {}", printable(at)),
        None => "off".to_owned(),
    }
}

/// What came from outside, as it may stand on a terminal.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

async fn sync_all(config: &Config, url: &Url, dry_run: bool) -> anyhow::Result<Vec<Told>> {
    let mut told = Vec::new();
    let warning = look_from_here(url).await;
    let conflicts = conflicting(&config.accounts);
    let mut clients = GladlyClients::default();
    let mut syncs = Vec::new();
    for account in &config.accounts {
        let conflict = conflicts.iter().find(|(name, _)| *name == &account.name);
        if let Some((_, first)) = conflict {
            let error = format!(
                "it is of the same organization as {first}, and Gladly allows an address once in an organization; make its webhook by hand, with another host name that leads to this relay"
            );
            told.push(Told::failure(account, &error));
            continue;
        }
        let client = clients.client(account)?;
        syncs.push(async move { sync_one(&client, account, url, dry_run).await });
    }
    told.extend(join_all(syncs).await);
    if let Some(warning) = warning {
        warn(&mut told, &warning);
    }
    Ok(told)
}

/// A line before all, and in the JSON, which holds accounts alone, with each.
fn warn(told: &mut [Told], warning: &str) {
    for one in &mut *told {
        one.json["warning"] = json!(warning);
    }
    if let Some(first) = told.first_mut() {
        first.lines.insert(0, format!("warning: {warning}"));
    }
}

/// A warning if the address does not answer as the relay does; it may to Gladly.
async fn look_from_here(url: &Url) -> Option<String> {
    let finding = judge_public_url(url, &reach(url).await);
    let mend = finding.mend.as_deref().unwrap_or_default();
    (finding.verdict != Verdict::Ok).then(|| format!("{}; {mend}", finding.what))
}

async fn sync_one(client: &Client, account: &AccountConfig, url: &Url, dry_run: bool) -> Told {
    let plan = match look_up(client, Precedence::Fetch).await {
        Ok(existing) => plan(&existing, url, account),
        Err(error) => return Told::failure(account, &error),
    };
    let name = account.name.as_str();
    let mut lines = planned(name, &plan);
    let mut json = json!({ "account": name, "url": url.as_str(), "step": plan.step.as_str(),
        "changes": plan.changes, "result": "planned" });
    if dry_run {
        lines.push(format!("{name}: nothing was done (--dry-run)"));
        return Told {
            lines,
            json,
            failed: false,
        };
    }
    let synced = sync(client, &plan, url).await;
    let synced = synced.and_then(|events| plan.by_hand.map_or(Ok(events), Err));
    let failed = match synced {
        Ok(events) => {
            json["result"] = json!("done");
            json["events"] = json!(events);
            let events = events.map(|events| format!("; events {}", events.join(", ")));
            lines.push(format!("{name}: done{}", events.unwrap_or_default()));
            false
        }
        Err(error) => {
            json["result"] = json!("failed");
            json["error"] = json!(error);
            lines.push(format!("{name}: failed: {error}"));
            true
        }
    };
    Told {
        lines,
        json,
        failed,
    }
}

fn planned(name: &str, plan: &Plan) -> Vec<String> {
    let step = plan.step.as_str();
    let changes = plan.changes.iter();
    changes
        .map(|change| format!("{name}: {step}: {change}"))
        .collect()
}

fn public_url(text: &str) -> Result<Url, String> {
    parse_url(text).ok_or_else(|| {
        "write an address such as https://relay.example.com/webhooks/gladly".to_owned()
    })
}
