//! `gladly-relay serve`.

use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::app::{self, Listeners};
use crate::check::{self, Ask, Report};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::store::Sqlite;
use crate::telemetry::start_logging;

/// Runs the relay until SIGTERM or SIGINT.
pub(super) async fn serve(config: &Config) -> anyhow::Result<ExitCode> {
    start_logging(&config.log, config.log_format);
    let stop = stop_on_signal()?;
    let store = Arc::new(Sqlite::open(&config.store).await?);
    let listeners = Listeners::bind(config).await?;
    let checking = tokio::spawn(check_beside(config.clone(), store.clone()));
    let served = app::serve(
        config,
        listeners,
        store,
        Arc::new(SystemClock::begin()),
        stop,
    )
    .await;
    checking.abort();
    served?;
    Ok(ExitCode::SUCCESS)
}

/// Looks at the set-up and logs what is wrong. Nothing waits for it: whatever
/// is wrong with Gladly or Gleen, the relay must take what arrives.
async fn check_beside(config: Config, store: Arc<Sqlite>) {
    check::log(&Report(check::judge_configuration(&config)));
    let of_store = check::look_within(&config.store, &*store).await;
    check::log(&Report(check::judge_store(&of_store)));
    match check::look_outside(&config, Ask::Question).await {
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
