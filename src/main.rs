//! Parses the command line, runs the command, reports its failure.

use std::process::ExitCode;

use clap::Parser;
use gladly_relay::cli::{Cli, report};

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse().run().await {
        Ok(code) => code,
        Err(error) => report(&error),
    }
}
