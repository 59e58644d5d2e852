//! `gladly-relay bench`: measures the relay on this machine, each figure beside
//! its baseline, and lets everything fail.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::output::say;
use super::serve::stop_on_signal;
use crate::bench::options::at_least_one;
use crate::bench::{
    Databases, Folder, Section, Setup, ack, chaos, end_with_the_bench, growth, limit, reach, relay,
    serve_bare,
};

/// What to measure; everything if nothing is named.
#[derive(Debug, Args)]
pub(super) struct BenchArguments {
    #[command(subcommand)]
    bench: Option<Bench>,
    /// Print one JSON document instead of tables
    #[arg(long, global = true)]
    json: bool,
    /// How often each figure is measured; the long ones less often
    #[arg(long, global = true, default_value_t = 5, value_parser = at_least_one)]
    rounds: usize,
    /// What the relay stores in: sqlite, postgres (a server of the bench's own), or the
    /// postgres:// address of a server on this machine; for all but limit
    #[arg(long, global = true, default_value = "sqlite")]
    store: String,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Webhooks acknowledged once they are on disk
    Ack(ack::Options),
    /// Whole messages against services that answer at once, and many waiting
    Relay(relay::Options),
    /// How much of Gladly's ten calls a second is put to use
    Limit(limit::Options),
    /// Whether a database with many finished turns is slower than an empty one
    Growth(growth::Options),
    /// How acks and messages grow with relays and accounts, and what limits them
    Reach(reach::Options),
    /// What becomes of every message while services fail and the relay is killed
    #[command(long_flag_alias = "chaos")]
    Chaos(ChaosArguments),
    /// Serve the baseline of `ack`
    #[command(hide = true)]
    Bare { listen: SocketAddr },
}

#[derive(Debug, Args)]
struct ChaosArguments {
    /// Messages in all
    #[arg(long, default_value_t = 10_000, value_parser = at_least_one)]
    messages: usize,
    /// Conversations that are written in at the same time
    #[arg(long, default_value_t = 300, value_parser = at_least_one)]
    conversations: usize,
    /// Messages written each second
    #[arg(long, default_value_t = 80.0, value_parser = rate)]
    messages_per_second: f64,
    /// How often the relay is killed
    #[arg(long, default_value_t = 50)]
    kills: usize,
    /// Relays that share the database, behind a load balancer; with more than one,
    /// --store postgres
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    relays: usize,
    /// How often the database is crashed; with --store postgres
    #[arg(long, default_value_t = 0)]
    database_crashes: usize,
    /// The share of the calls to each service that fails or is slow, and of the
    /// webhooks that come twice or late: 0 to 1
    #[arg(long, value_name = "RATE", default_value_t = 0.1, value_parser = share)]
    faults: f64,
    /// Repeats the random choices of an earlier run
    #[arg(long)]
    seed: Option<u64>,
    /// Keep the relay's database and log here; else they are removed
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
}

/// What was found.
#[derive(Default)]
struct Found {
    sections: Vec<Section>,
    chaos: Option<chaos::Result>,
}

/// Runs it. The exit code is 1 if a promise was broken, 130 after a signal, which
/// leaves nothing behind: whatever runs is dropped, and with it what it made.
pub(super) async fn bench(arguments: BenchArguments) -> anyhow::Result<ExitCode> {
    let stop = stop_on_signal()?;
    let setup = Setup {
        binary: std::env::current_exe()?,
        rounds: arguments.rounds,
        databases: Arc::new(Databases::parse(&arguments.store)?),
    };
    let Some(found) = stop
        .run_until_cancelled(Box::pin(run(arguments.bench, &setup)))
        .await
    else {
        return Ok(ExitCode::from(130));
    };
    let found = found?;
    if arguments.json {
        say(format_args!("{:#}", found.to_json()))?;
    } else {
        found.say()?;
    }
    let holds = found.chaos.is_none_or(|result| result.holds());
    Ok(ExitCode::from(u8::from(!holds)))
}

async fn run(bench: Option<Bench>, setup: &Setup) -> anyhow::Result<Found> {
    let Some(bench) = bench else {
        return all(setup).await;
    };
    let section = match bench {
        Bench::Ack(options) => ack::measure(setup, options).await?,
        Bench::Relay(options) => relay::measure(setup, options).await?,
        Bench::Limit(options) => {
            let is_file = matches!(*setup.databases, Databases::Files);
            anyhow::ensure!(
                is_file,
                "--store: Gladly's limit is measured with a file; leave it out"
            );
            limit::measure(setup, options).await?
        }
        Bench::Growth(options) => growth::measure(setup, options).await?,
        Bench::Reach(options) => reach::measure(setup, options).await?,
        Bench::Chaos(arguments) => return Ok(arguments.run(setup).await?.into()),
        Bench::Bare { listen } => {
            end_with_the_bench();
            serve_bare(listen).await?;
            return Ok(Found::default());
        }
    };
    Ok(Found {
        sections: vec![section],
        chaos: None,
    })
}

/// Everything, as it is when each is named without options.
async fn all(setup: &Setup) -> anyhow::Result<Found> {
    let mut found = Found::default();
    let sections = &mut found.sections;
    sections.push(ack::measure(setup, defaults()?).await?);
    sections.push(relay::measure(setup, defaults()?).await?);
    sections.push(limit::measure(setup, defaults()?).await?);
    sections.push(growth::measure(setup, defaults()?).await?);
    sections.push(reach::measure(setup, defaults()?).await?);
    found.chaos = Some(defaults::<ChaosArguments>()?.run(setup).await?);
    Ok(found)
}

/// A bench's options as they are if none is given.
fn defaults<T: Args>() -> Result<T, clap::Error> {
    let command = T::augment_args(clap::Command::new("bench"));
    T::from_arg_matches(&command.try_get_matches_from(["bench"])?)
}

impl From<chaos::Result> for Found {
    fn from(result: chaos::Result) -> Self {
        Self {
            sections: Vec::new(),
            chaos: Some(result),
        }
    }
}

impl ChaosArguments {
    async fn run(self, setup: &Setup) -> anyhow::Result<chaos::Result> {
        let is_file = matches!(*setup.databases, Databases::Files);
        if is_file && self.relays > 1 {
            anyhow::bail!("--relays: several relays share PostgreSQL; add --store postgres");
        }
        if self.database_crashes > 0 && !matches!(*setup.databases, Databases::Own(_)) {
            anyhow::bail!(
                "--database-crashes: only a server of the bench's own is crashed; add --store postgres"
            );
        }
        let folder = match self.keep {
            Some(path) => Folder::kept(path)?,
            None => Folder::temporary()?,
        };
        let plan = chaos::Plan {
            binary: std::env::current_exe()?,
            folder: folder.path().to_owned(),
            messages: self.messages,
            conversations: self.conversations,
            messages_per_second: self.messages_per_second,
            kills: self.kills,
            relays: self.relays,
            database_crashes: self.database_crashes,
            databases: setup.databases.clone(),
            faults: self.faults,
            seed: self.seed.unwrap_or_else(|| fastrand::u64(..1_000_000)),
        };
        chaos::run(plan).await
    }
}

impl Found {
    fn to_json(&self) -> Value {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let mut document = json!({ "version": env!("CARGO_PKG_VERSION"), "cores": cores });
        for section in &self.sections {
            document[section.name] = section.to_json();
        }
        if let Some(result) = &self.chaos {
            document["chaos"] = result.section().to_json();
            document["seed"] = json!(result.plan.seed);
            document["held"] = json!(result.holds());
        }
        document
    }

    fn say(&self) -> std::io::Result<()> {
        for section in &self.sections {
            say(format_args!("{section}\n"))?;
        }
        self.chaos.as_ref().map_or(Ok(()), say)
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: Option<f64> = text.parse().ok();
    rate.filter(|rate| (0.1..=10_000.0).contains(rate))
        .ok_or_else(|| "write a number from 0.1 to 10000".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    let share: Option<f64> = text.parse().ok();
    share
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "write a number from 0 to 1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bench_runs_without_options() {
        assert!(defaults::<ack::Options>().is_ok());
        assert_eq!(defaults::<relay::Options>().unwrap().waiting, 100_000);
        assert_eq!(defaults::<limit::Options>().unwrap().messages, 200);
        assert_eq!(defaults::<growth::Options>().unwrap().turns, 1_000_000);
        assert_eq!(defaults::<reach::Options>().unwrap().accounts, [1, 10, 100]);
        assert_eq!(defaults::<ChaosArguments>().unwrap().kills, 50);
    }
}
