//! `gladly-relay simulate`: the two simulators as servers, until a signal.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::output::say;
use super::serve::stop_on_signal;
use crate::config::parse_duration;
use crate::sim::{
    GladlyOptions, GleenOptions, Latency, Limiter, Standalone, StandaloneOptions, WebhookSpec,
    serve_standalone,
};

/// Where and how to serve them.
#[derive(Debug, Args)]
pub(super) struct SimulateArguments {
    /// Where Gladly listens; loopback only, for its control API has no password
    #[arg(long, default_value = "127.0.0.1:8181", value_parser = loopback)]
    gladly_listen: SocketAddr,
    /// Where Gleen listens
    #[arg(long, default_value = "127.0.0.1:8182", value_parser = loopback)]
    gleen_listen: SocketAddr,
    /// Where Gladly sends its webhooks: the relay
    #[arg(long, default_value = "http://127.0.0.1:8080/webhooks/gladly")]
    webhook_url: String,
    /// What Gladly sends as X-Account-Identifier
    #[arg(long, default_value = "the-identifier-of-the-simulated-shop")]
    identifier: String,
    /// How long Gleen takes for an answer, such as 2s
    #[arg(long, default_value = "0s", value_parser = duration)]
    think_time: Duration,
    /// The organization's calls per second; 0 for no limit
    #[arg(long, default_value_t = 10)]
    requests_per_second: u32,
    /// How that is counted
    #[arg(long, value_enum, default_value_t = LimiterName::SlidingSecond)]
    limiter: LimiterName,
    /// Calls per second that another client of the organization makes
    #[arg(long, default_value_t = 0)]
    others_per_second: u32,
    /// How long a call to Gladly and its answer are on the way, such as 50ms
    #[arg(long, default_value = "0s", value_parser = duration)]
    latency: Duration,
    /// The most that is added to that by chance
    #[arg(long, default_value = "0s", value_parser = duration)]
    jitter: Duration,
}

/// How calls are counted.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum LimiterName {
    /// So many in any second
    SlidingSecond,
    /// So many in each second of the server's clock
    WholeSeconds,
    /// A bucket that holds a second's worth and fills as fast
    TokenBucket,
}

impl From<LimiterName> for Limiter {
    fn from(name: LimiterName) -> Self {
        match name {
            LimiterName::SlidingSecond => Self::SlidingSecond,
            LimiterName::WholeSeconds => Self::WholeSeconds,
            LimiterName::TokenBucket => Self::TokenBucket,
        }
    }
}

/// Serves both until SIGTERM or SIGINT.
pub(super) async fn simulate(arguments: SimulateArguments) -> anyhow::Result<ExitCode> {
    let stop = stop_on_signal()?;
    let limit = arguments.requests_per_second;
    let options = StandaloneOptions {
        gladly: GladlyOptions {
            listen: arguments.gladly_listen,
            requests_per_second: (limit > 0).then_some(limit),
            limiter: arguments.limiter.into(),
            others_per_second: arguments.others_per_second,
            latency: Latency {
                least: arguments.latency,
                jitter: arguments.jitter,
            },
            ..GladlyOptions::default()
        },
        gleen: GleenOptions {
            listen: arguments.gleen_listen,
            think_time: arguments.think_time,
            ..GleenOptions::default()
        },
        webhook: Some(WebhookSpec::relay(
            &arguments.webhook_url,
            &arguments.identifier,
        )),
    };
    let simulators = serve_standalone(options).await?;
    tell(&simulators, &arguments)?;
    stop.cancelled().await;
    simulators.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

/// Prints what a relay needs to be told, ready for a shell.
fn tell(simulators: &Standalone, arguments: &SimulateArguments) -> std::io::Result<()> {
    let options = simulators.gladly.options();
    say(format_args!(
        "# Gladly at {}, Gleen at {}",
        simulators.gladly.url(),
        simulators.gleen.url()
    ))?;
    say(format_args!("# webhooks go to {}", arguments.webhook_url))?;
    for (name, value) in [
        ("RELAY_PUBLIC_URL", arguments.webhook_url.as_str()),
        ("ACCOUNT_IDENTIFIER", arguments.identifier.as_str()),
        ("GLADLY_URL", &simulators.gladly.url()),
        ("GLADLY_USERNAME", &options.username),
        ("GLADLY_API_TOKEN", &options.api_token),
        ("GLADLY_AI_INBOX_ID", &options.ai_inbox_id),
        ("GLADLY_HANDOFF_INBOX_ID", &options.handoff_inbox_id),
        ("GLADLY_AGENT_ID", &options.bot_agent_id),
        ("GLEEN_URL", &simulators.gleen.url()),
        ("GLEEN_API_KEY", &simulators.gleen.options().api_key),
        ("GLEEN_HANDOFF_POINTER", "/handoff"),
    ] {
        say(format_args!("export {name}={value}"))?;
    }
    Ok(())
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "write an address and a port, such as 127.0.0.1:8181")?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("write a loopback address, such as 127.0.0.1".to_owned())
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "write a duration such as 500ms or 2s".to_owned())
}
