//! `gladly-relay health`: the probe of a container, whose image has no `curl`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::Value;

use super::ConfigFile;
use super::output::say;
use crate::http::from_here;

/// `readyz` itself gives the store 5 s.
const PATIENCE: Duration = Duration::from_secs(8);

/// Whom to ask.
#[derive(Debug, Args)]
pub(super) struct HealthArguments {
    #[command(flatten)]
    file: ConfigFile,
}

/// Asks `/readyz`. The exit code is 1 if the relay is not ready or not there.
pub(super) async fn health(arguments: HealthArguments) -> anyhow::Result<ExitCode> {
    let address = from_here(arguments.file.addresses()?.listen);
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .build()?;
    let asked = client.get(format!("http://{address}/readyz")).send().await;
    let answer = asked.with_context(|| format!("no relay answers at {address}"))?;
    let status = answer.status();
    if !status.is_success() {
        let problem: Value = answer.json().await.unwrap_or_default();
        let detail = problem["detail"].as_str().unwrap_or("no reason was given");
        bail!("not ready ({}): {detail}", status.as_u16());
    }
    say("ready")?;
    Ok(ExitCode::SUCCESS)
}
