//! `gladly-relay report`: what became of the messages, over a span of days.
//!
//! Works on the store beside a running relay, and needs nothing but its address.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::ConfigFile;
use super::output::say;
use crate::clock::{Clock, SystemClock};
use crate::id::AccountName;
use crate::report::{Span, read};
use crate::store;

/// What to report.
#[derive(Debug, Args)]
pub(super) struct ReportArguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Since when: a length of time until now, as 24h or 7d, or a time, as 2026-11-21T00:00:00Z
    #[arg(long, value_name = "WHEN", default_value = "7d")]
    since: String,
    /// Of this account alone
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Print one JSON object
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print a line for each day and account
    #[arg(long)]
    csv: bool,
}

impl ReportArguments {
    /// Prints it.
    pub(super) async fn run(&self) -> anyhow::Result<ExitCode> {
        let now = SystemClock::begin().now().at;
        let span = Span::parse(&self.since, now).context(
            "--since is a length of time, as 24h or 7d, or a time, as 2026-11-21T00:00:00Z",
        )?;
        let account = self.account.as_deref().map(AccountName::new);
        let store = store::open_beside(&self.file.addresses()?.store).await?;
        let report = read(&*store, span, account).await?;
        if self.json {
            say(format_args!("{:#}", report.to_json()))?;
        } else if self.csv {
            say(report.to_csv().trim_end())?;
        } else {
            say(report.to_string().trim_end())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
