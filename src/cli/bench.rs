//! `gladly-relay bench`: the load of thousands of messages, and what became of
//! each of them.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::bench::{Plan, run};

/// What to run.
#[derive(Debug, Args)]
pub(super) struct BenchArguments {
    /// Let everything fail: kills, faults of both services, webhooks twice and late
    #[arg(long)]
    chaos: bool,
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
    #[arg(long, default_value_t = 50, requires = "chaos")]
    kills: usize,
    /// Repeats the random choices of an earlier run
    #[arg(long)]
    seed: Option<u64>,
    /// Keep the relay's database and log here; else they are removed
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
}

/// Runs it. The exit code is 1 if a promise was broken.
#[expect(clippy::print_stdout, reason = "the command's output")]
pub(super) async fn bench(arguments: BenchArguments) -> anyhow::Result<ExitCode> {
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let temporary =
        std::env::temp_dir().join(format!("gladly-relay-bench-{}-{seed}", std::process::id()));
    let folder = arguments.keep.clone().unwrap_or_else(|| temporary.clone());
    std::fs::create_dir_all(&folder)?;
    println!(
        "seed {seed}: {} messages in {} conversations …",
        arguments.messages, arguments.conversations
    );
    let result = run(Plan {
        binary: std::env::current_exe()?,
        folder,
        messages: arguments.messages,
        conversations: arguments.conversations,
        messages_per_second: arguments.messages_per_second,
        kills: if arguments.chaos { arguments.kills } else { 0 },
        chaos: arguments.chaos,
        seed,
    })
    .await;
    if arguments.keep.is_none() {
        std::fs::remove_dir_all(&temporary)?;
    }
    let result = result?;
    println!("{result}");
    Ok(if result.holds() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
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
