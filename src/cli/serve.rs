//! `gladly-relay serve`.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::ConfigFile;
use crate::app::{self, Listeners};
use crate::bench;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::store::Sqlite;
use crate::telemetry::start_logging;

/// What to serve.
#[derive(Debug, Args)]
pub(super) struct ServeArguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Refuse every address but loopback, and end with the bench that started it
    #[arg(long, hide = true)]
    for_bench: bool,
}

impl ServeArguments {
    /// Runs the relay until SIGTERM or SIGINT.
    pub(super) async fn run(&self) -> anyhow::Result<ExitCode> {
        let config = self.file.load()?;
        if self.for_bench {
            bench::require_loopback(&config)?;
            bench::end_with_the_bench();
        }
        serve(&config).await
    }
}

async fn serve(config: &Config) -> anyhow::Result<ExitCode> {
    let logging = start_logging(&config.log, config.log_format);
    tokio::spawn(logging.tell_of_lost());
    forbid_core_dumps();
    let stop = stop_on_signal()?;
    let store = Arc::new(Sqlite::open(&config.store).await?);
    let listeners = Listeners::bind(config).await?;
    app::serve(
        config,
        listeners,
        store,
        Arc::new(SystemClock::begin()),
        stop,
    )
    .await?;
    Ok(ExitCode::SUCCESS)
}

/// A core file would hold every secret and every customer's words.
fn forbid_core_dumps() {
    let none = rustix::process::Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = rustix::process::setrlimit(rustix::process::Resource::Core, none) {
        tracing::warn!(%error, "core dumps could not be switched off; set the limit to 0 outside");
    }
}

/// Cancelled by SIGTERM or SIGINT. The handlers are set before this returns.
pub(super) fn stop_on_signal() -> std::io::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let stop = CancellationToken::new();
    let cancelled = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancelled.cancel();
    });
    Ok(stop)
}
