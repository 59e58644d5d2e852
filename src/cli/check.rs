//! `gladly-relay check`: tries the configuration against the real services.

use std::process::ExitCode;

use clap::Args;

use super::ConfigFile;
use super::output::say;
use crate::check::{
    Category, Extent, Finding, Report, Verdict, judge_configuration, judge_store, look_beside,
    look_outside,
};
use crate::config::{Config, ConfigError};

/// What to leave out, and how to tell.
#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Put no question to Gleen, so its key is not tried
    #[arg(long)]
    no_ask: bool,
    /// Only read the configuration; call nobody, touch nothing
    #[arg(long)]
    offline: bool,
    /// Tell it as JSON
    #[arg(long)]
    json: bool,
}

/// Checks. The exit code is 1 if anything is wrong, 2 for a configuration that
/// can't be read.
pub(super) async fn check(arguments: CheckArguments) -> anyhow::Result<ExitCode> {
    let config = match arguments.file.load() {
        Ok(config) => config,
        Err(error) if arguments.json => {
            tell(&mistakes(&error), true)?;
            return Ok(ExitCode::from(2));
        }
        Err(error) => return Err(error.into()),
    };
    let report = look(&config, &arguments).await?;
    tell(&report, arguments.json)?;
    let failed = report.count(Verdict::Failure) > 0;
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

async fn look(config: &Config, arguments: &CheckArguments) -> anyhow::Result<Report> {
    let mut findings = judge_configuration(config);
    if !arguments.offline {
        let ask = if arguments.no_ask {
            Extent::NoQuestion
        } else {
            Extent::Everything
        };
        findings.extend(judge_store(&look_beside(&config.store).await));
        findings.extend(look_outside(config, ask).await?.0);
    }
    Ok(Report::sorted(findings))
}

/// The mistakes of a configuration, as findings. Each says itself what to do.
fn mistakes(error: &ConfigError) -> Report {
    let finding = |mistake: &String| Finding {
        account: None,
        category: Category::Configuration,
        verdict: Verdict::Failure,
        what: mistake.clone(),
        mend: None,
    };
    Report(error.mistakes.iter().map(finding).collect())
}

fn tell(report: &Report, json: bool) -> std::io::Result<()> {
    if json {
        say(format_args!("{:#}", report.to_json()))
    } else {
        say(report)
    }
}
