//! The running relay: wires everything, serves until told to stop, stops
//! within its grace. Tests and production share this path.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::account::Accounts;
use crate::clock::Clock;
use crate::config::Config;
use crate::http::{self, Limits, State, admin_router, public_router};
use crate::relay::{Relay, Stopping};
use crate::store::Database;
use crate::telemetry::{Metrics, Traces};

/// An operator, a scraper and a proxy.
const ADMIN_CONNECTIONS: usize = 64;
/// How long letting go may take beyond the grace: one write for each turn.
const LET_GO_WITHIN: Duration = Duration::from_secs(3);
/// How long the last spans may take on their way.
const LAST_SPANS_WITHIN: Duration = Duration::from_secs(1);

/// The sockets to serve on, already bound.
pub struct Listeners {
    /// For webhooks and health.
    pub public: TcpListener,
    /// For metrics, the admin API and the pages.
    pub admin: TcpListener,
    /// Whether somebody else holds the public socket too, so that whoever connects while
    /// no relay runs waits for the next one.
    pub kept: bool,
}

impl Listeners {
    /// Takes the public socket that was handed in, else binds what the configuration
    /// names.
    ///
    /// # Errors
    /// Fails if an address is in use or not this machine's.
    pub async fn bind(
        config: &Config,
        public: Option<std::net::TcpListener>,
    ) -> anyhow::Result<Self> {
        let kept = public.is_some();
        let public = match public {
            Some(socket) => TcpListener::from_std(socket)?,
            None => TcpListener::bind(config.listen).await.with_context(|| {
                format!(
                    "cannot listen on {}; free it or set RELAY_LISTEN",
                    config.listen
                )
            })?,
        };
        let admin = TcpListener::bind(config.admin_listen)
            .await
            .with_context(|| {
                format!(
                    "cannot listen on {}; free it or set RELAY_ADMIN_LISTEN",
                    config.admin_listen
                )
            })?;
        Ok(Self {
            public,
            admin,
            kept,
        })
    }
}

/// Serves until `stop` is cancelled, then lets what runs finish for the grace,
/// and the rest go. Everything unfinished waits in the store.
///
/// # Errors
/// Fails if the accounts can't be wired.
pub async fn serve(
    config: &Config,
    listeners: Listeners,
    store: Arc<dyn Database>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let traces = Traces::begin(config.traces.as_ref())?;
    let state = Arc::new(wire(config, store.clone(), clock, traces.clone())?);
    let stopping = Stopping::default();
    state.relay.start(&stopping, config);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        accounts = config.accounts.len(),
        store = %config.store,
        listen = %listeners.public.local_addr()?,
        admin_listen = %listeners.admin.local_addr()?,
        "serving"
    );
    tell_of_forgotten_accounts(&state).await;
    let mut servers = JoinSet::new();
    let close = &stopping.claim_no_more;
    let most = config.max_connections.min(most_connections());
    let limits = Limits::of(most);
    let limits = if listeners.kept {
        limits.of_kept_socket()
    } else if store.leases().is_some() {
        limits.of_one_of_several()
    } else {
        limits
    };
    servers.spawn(http::serve(
        listeners.public,
        public_router(state.clone()),
        limits,
        close.clone(),
    ));
    servers.spawn(http::serve(
        listeners.admin,
        admin_router(state.clone(), config.admin_token.as_ref()),
        Limits::of(ADMIN_CONNECTIONS),
        close.clone(),
    ));
    // A server ends before it is told to only by a panic.
    let ended_early = tokio::select! {
        () = stop.cancelled() => None,
        ended = servers.join_next() => ended,
    };
    shut_down(&state, &stopping, servers, config.shutdown_grace).await;
    if !finish_within(LAST_SPANS_WITHIN, traces.end()).await {
        tracing::warn!("the last spans were dropped: the collector did not take them in time");
    }
    // Letting go is over by now; a disk that hangs must not hold the process.
    finish_within(LET_GO_WITHIN, store.close()).await;
    tracing::info!("stopped");
    match ended_early {
        Some(Err(error)) => Err(error).context("a listener's task ended"),
        _ => Ok(()),
    }
}

/// Accounts that have something in the store but are not configured, as after a
/// renaming: nobody works on what they left.
async fn tell_of_forgotten_accounts(state: &State) {
    let backlog = state.operations.backlog(state.clock.now().at).await;
    let backlog = backlog.unwrap_or_else(|error| {
        tracing::error!(%error, "whether the store holds work of other accounts could not be read");
        Vec::new()
    });
    for left in backlog {
        let account = &left.account;
        if !state.relay.accounts().any(|name| name == account) {
            tracing::error!(%account, "the store holds work of an account that is not configured; configure it under this name");
        }
    }
}

/// The one place that builds clients, registry and metrics.
fn wire(
    config: &Config,
    store: Arc<dyn Database>,
    clock: Arc<dyn Clock>,
    traces: Traces,
) -> anyhow::Result<State> {
    let metrics = Arc::new(Metrics::default());
    Ok(State {
        accounts: Accounts::new(&config.accounts),
        relay: Relay::new(
            &config.accounts,
            store.clone(),
            clock.clone(),
            metrics.clone(),
            traces,
        )?,
        store: store.clone(),
        operations: store.clone(),
        history: store,
        clock,
        metrics,
        stopping: CancellationToken::new(),
    })
}

/// Accepts no more, claims no more, waits for what runs, then lets it go.
async fn shut_down(state: &State, stopping: &Stopping, mut servers: JoinSet<()>, grace: Duration) {
    tracing::info!(grace_s = grace.as_secs_f64(), "stopping");
    state.stopping.cancel();
    stopping.claim_no_more.cancel();
    let finished = finish_within(grace, async {
        while servers.join_next().await.is_some() {}
        stopping.turns.wait().await;
    });
    if !finished.await {
        let running = state.relay.running();
        tracing::warn!(
            ?running,
            "the grace is over; what still runs waits in the store for the next start"
        );
    }
    stopping.let_go.cancel();
    servers.shutdown().await;
    finish_within(LET_GO_WITHIN, stopping.ended()).await;
}

/// Half of the files that this process may open: the store and the calls to Gladly
/// and Gleen need the others.
fn most_connections() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    limit.map_or(usize::MAX, |limit| limit / 2)
}

async fn finish_within(limit: Duration, work: impl Future<Output = ()>) -> bool {
    tokio::time::timeout(limit, work).await.is_ok()
}
