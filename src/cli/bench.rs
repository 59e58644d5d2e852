//! `gladly-relay bench`: measures the relay on this machine, each figure beside
//! its baseline, and lets everything fail.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::serve::stop_on_signal;
use crate::bench::{Folder, Section, Setup, ack, chaos, end_with_the_bench, relay, serve_bare};
use crate::config::parse_duration;

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
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Webhooks acknowledged once they are on disk
    Ack(AckArguments),
    /// Whole messages against services that answer at once, and many waiting
    Relay(RelayArguments),
    /// What becomes of every message while services fail and the relay is killed
    #[command(long_flag_alias = "chaos")]
    Chaos(ChaosArguments),
    /// Serve the baseline of `ack`
    #[command(hide = true)]
    Bare { listen: SocketAddr },
}

#[derive(Debug, Args)]
struct AckArguments {
    /// How long each load goes on, such as 4s
    #[arg(long, default_value = "4s", value_parser = some_time)]
    length: Duration,
}

#[derive(Debug, Args)]
struct RelayArguments {
    /// Messages, each in a conversation of its own
    #[arg(long, default_value_t = relay::Options::default().messages, value_parser = at_least_one)]
    messages: usize,
    /// Messages while nothing else goes on
    #[arg(long, default_value_t = relay::Options::default().alone, value_parser = at_least_one)]
    alone: usize,
    /// Messages that wait while Gladly does not answer
    #[arg(long, default_value_t = relay::Options::default().waiting, value_parser = clap::value_parser!(u64).range(1..))]
    waiting: u64,
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
#[expect(clippy::print_stdout, reason = "the command's output")]
pub(super) async fn bench(arguments: BenchArguments) -> anyhow::Result<ExitCode> {
    let stop = stop_on_signal()?;
    let Some(found) = stop
        .run_until_cancelled(run(arguments.bench, arguments.rounds))
        .await
    else {
        return Ok(ExitCode::from(130));
    };
    let found = found?;
    if arguments.json {
        println!("{:#}", found.to_json());
    } else {
        found.print();
    }
    let holds = found.chaos.is_none_or(|result| result.holds());
    Ok(ExitCode::from(u8::from(!holds)))
}

async fn run(bench: Option<Bench>, rounds: usize) -> anyhow::Result<Found> {
    let setup = Setup {
        binary: std::env::current_exe()?,
        rounds,
    };
    let mut found = Found::default();
    let sections = &mut found.sections;
    match bench {
        Some(Bench::Ack(arguments)) => {
            let length = arguments.length;
            sections.push(ack::measure(&setup, ack::Options { length }).await?);
        }
        Some(Bench::Relay(arguments)) => {
            let options = relay::Options {
                messages: arguments.messages,
                alone: arguments.alone,
                waiting: arguments.waiting,
            };
            sections.push(relay::measure(&setup, options).await?);
        }
        Some(Bench::Chaos(arguments)) => found.chaos = Some(arguments.run().await?),
        Some(Bench::Bare { listen }) => {
            end_with_the_bench();
            serve_bare(listen).await?;
        }
        None => {
            sections.push(ack::measure(&setup, ack::Options::default()).await?);
            sections.push(relay::measure(&setup, relay::Options::default()).await?);
        }
    }
    Ok(found)
}

impl ChaosArguments {
    async fn run(self) -> anyhow::Result<chaos::Result> {
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

    #[expect(clippy::print_stdout, reason = "the command's output")]
    fn print(&self) {
        for section in &self.sections {
            println!("{section}\n");
        }
        if let Some(result) = &self.chaos {
            println!("{result}");
        }
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    let count: Option<usize> = text.parse().ok();
    count
        .filter(|count| *count > 0)
        .ok_or_else(|| "write a whole number of at least 1".to_owned())
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

fn some_time(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .filter(|length| !length.is_zero())
        .ok_or_else(|| "write a duration such as 500ms or 4s".to_owned())
}
