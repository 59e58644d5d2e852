//! Parses the command line and runs the command.

use std::process::ExitCode;

use clap::Parser;
use gladly_relay::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
