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

use clap::{Args, Parser, Subcommand};

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
    /// Runs the command.
    ///
    /// # Errors
    /// Whatever stopped it; [`report()`] tells the user.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Serve(arguments) => arguments.run().await,
            Command::Check(arguments) => check::check(arguments).await,
            Command::Webhooks(command) => webhooks::run(command).await,
            Command::Explain(arguments) => arguments.run().await,
            Command::Report(arguments) => arguments.run().await,
            Command::Dead(command) => dead::run(command).await,
            Command::Store(command) => store::run(command).await,
            Command::Health(arguments) => health::health(arguments).await,
            Command::Bench(arguments) => bench::bench(arguments).await,
            Command::Demo => demo::demo().await,
            Command::Simulate(arguments) => simulate::simulate(arguments).await,
        }
    }
}

/// Tells the user what went wrong: exit code 2 for a configuration that can't
/// be used, as for a wrong command line, else 1.
pub fn report(error: &anyhow::Error) -> ExitCode {
    // Nobody may be there to read it; the exit code tells as well.
    let _: std::io::Result<()> = writeln!(std::io::stderr(), "gladly-relay: {error:#}");
    let wrong_config = error.downcast_ref::<ConfigError>().is_some();
    ExitCode::from(if wrong_config { 2 } else { 1 })
}
