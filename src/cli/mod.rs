//! The commands.

mod bench;
mod check;
mod dead;
mod demo;
mod explain;
mod health;
mod output;
mod report;
mod serve;
mod simulate;
mod store;
mod webhooks;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use tokio::runtime::Runtime;

use crate::config::{Addresses, Config, ConfigError, Environment, load_key};
use crate::store::MasterKey;

/// Relays customer messages from Gladly to the Gleen bot and its answers back.
#[derive(Debug, Parser)]
#[command(version, about, long_about = None, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the relay until SIGTERM or SIGINT
    Serve(serve::ServeArguments),
    /// Try the configuration against the real services
    Check(check::CheckArguments),
    /// Show the webhooks in Gladly, make or repair this relay's
    #[command(subcommand)]
    Webhooks(webhooks::WebhooksCommand),
    /// Tell all that is remembered of a conversation, and why each turn ended as it did
    Explain(explain::ExplainArguments),
    /// Report what became of the messages over some days
    Report(report::ReportArguments),
    /// Show and settle what the relay could not finish
    #[command(subcommand)]
    Dead(dead::DeadCommand),
    /// Back the database up, or copy it into another
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Ask the relay of this machine whether it can take webhooks, as a container's health check
    Health(health::HealthArguments),
    /// Try it: everything simulated on this machine, type as a customer
    Demo,
    /// Serve the simulated Gladly and Gleen alone
    Simulate(simulate::SimulateArguments),
    /// Measure this machine, against the simulators only
    Bench(bench::BenchArguments),
}

#[derive(Debug, Args)]
struct ConfigFile {
    /// A TOML file; the environment wins over it [env: `RELAY_CONFIG`]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    fn load(&self) -> Result<Config, ConfigError> {
        Config::load(self.config.as_deref(), &Environment::of_process())
    }

    fn key(&self) -> Result<Option<MasterKey>, ConfigError> {
        load_key(self.config.as_deref(), &Environment::of_process())
    }

    fn addresses(&self) -> Result<Addresses, ConfigError> {
        Addresses::load(self.config.as_deref(), &Environment::of_process())
    }
}

impl Cli {
    /// Runs the command, and tells the user if it failed.
    // The runtime is started here, not in `main.rs`: what is awaited is compiled
    // with whoever waits for it, and the library is compiled anyway.
    pub fn run(self) -> ExitCode {
        let runtime = Runtime::new().context("no threads can be started");
        let done = runtime.and_then(|runtime| runtime.block_on(self.command.run()));
        done.unwrap_or_else(|error| report(&error))
    }
}

impl Command {
    async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Serve(arguments) => arguments.run().await,
            Self::Check(arguments) => check::check(arguments).await,
            Self::Webhooks(command) => webhooks::run(command).await,
            Self::Explain(arguments) => arguments.run().await,
            Self::Report(arguments) => arguments.run().await,
            Self::Dead(command) => dead::run(command).await,
            Self::Store(command) => store::run(command).await,
            Self::Health(arguments) => health::health(arguments).await,
            Self::Bench(arguments) => bench::bench(arguments).await,
            Self::Demo => demo::demo().await,
            Self::Simulate(arguments) => simulate::simulate(arguments).await,
        }
    }
}

/// Tells the user what went wrong: exit code 2 for a configuration that can't
/// be used, as for a wrong command line, else 1.
fn report(error: &anyhow::Error) -> ExitCode {
    // Nobody may be there to read it; the exit code tells as well.
    let _: std::io::Result<()> = writeln!(std::io::stderr(), "gladly-relay: {error:#}");
    let wrong_config = error.downcast_ref::<ConfigError>().is_some();
    ExitCode::from(if wrong_config { 2 } else { 1 })
}
