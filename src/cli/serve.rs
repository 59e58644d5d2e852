//! `gladly-relay serve`.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::ConfigFile;
use crate::app::{self, Listeners};
use crate::bench;
use crate::check::{self, Extent, Report};
use crate::clock::SystemClock;
use crate::config::{Config, Environment};
use crate::store::{self, Database};
use crate::systemd::{Notifier, inherited_socket};
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
        serve(&config, !self.for_bench).await
    }
}

async fn serve(config: &Config, checks: bool) -> anyhow::Result<ExitCode> {
    let logging = start_logging(&config.log, config.log_format);
    tokio::spawn(logging.tell_of_lost());
    forbid_core_dumps();
    let stop = stop_on_signal()?;
    let store = store::open(&config.store, config.key.clone()).await?;
    let listeners = Listeners::bind(config, inherited_socket()?).await?;
    if let Some(notifier) = Notifier::of(&Environment::of_process())? {
        let asked_at = listeners.public.local_addr()?;
        tokio::spawn(notifier.accompany(store.clone(), asked_at, stop.clone()));
    }
    if checks {
        let checking = check_beside(config.clone(), store.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(checking));
    }
    let clock = match store.leases() {
        Some(leases) => SystemClock::begin_by(leases.now().await?),
        None => SystemClock::begin(),
    };
    app::serve(config, listeners, store, Arc::new(clock), stop).await?;
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

/// Looks at the set-up, as far as that changes nothing and asks Gleen nothing, and
/// logs what is wrong. Nothing waits for it: whatever
/// is wrong with Gladly or Gleen, the relay must take what arrives.
async fn check_beside(config: Config, store: Arc<dyn Database>) {
    check::log(&Report(check::judge_configuration(&config)));
    let of_store = check::look_within(&config.store, &*store).await;
    check::log(&Report(check::judge_store(&of_store)));
    match check::look_outside(&config, Extent::ReadOnly).await {
        Ok(report) => check::log(&report),
        Err(error) => tracing::error!(%error, "the set-up could not be checked"),
    }
    tracing::info!("the set-up was checked");
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
