//! What systemd is told and what it hands in: readiness, signs of life, the stop,
//! and a socket that outlives a restart. Without systemd there is nothing of it.
//!
//! The protocol: `sd_notify(3)`, `sd_watchdog_enabled(3)`, `sd_listen_fds(3)`.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use listenfd::ListenFd;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::Environment;
use crate::http::from_here;
use crate::store::Store;

/// Tells systemd how the relay is.
#[derive(Debug)]
pub struct Notifier {
    socket: UnixDatagram,
    /// How long it may be silent; none if nobody listens for signs of life.
    watchdog: Option<Duration>,
}

impl Notifier {
    /// Connects to the one who started this process, if they want to be told.
    ///
    /// # Errors
    /// Fails if `NOTIFY_SOCKET` names no socket.
    pub fn of(environment: &Environment) -> anyhow::Result<Option<Self>> {
        let Some(name) = environment.get("NOTIFY_SOCKET") else {
            return Ok(None);
        };
        let connect = |address: UnixAddress| {
            let socket = UnixDatagram::unbound()?;
            socket.connect_addr(&address)?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        let connected: io::Result<UnixDatagram> = address_of(name).and_then(connect);
        let socket = connected.with_context(|| {
            format!("{name} in NOTIFY_SOCKET is not a socket that can be written to; unset it")
        })?;
        Ok(Some(Self {
            socket,
            watchdog: watchdog(environment),
        }))
    }

    /// Says that the relay is ready once its store has answered, gives signs of life
    /// for as long as the relay lives, and says that it stops.
    ///
    /// It lives if the store has answered and the public listener, which `asked_at` is,
    /// has taken a connection. *What* they answer does not matter: a full disk or too many
    /// connections don't become better by a restart.
    pub async fn accompany(
        self,
        store: Arc<dyn Store>,
        asked_at: SocketAddr,
        stop: CancellationToken,
    ) {
        // A start that brings an old file up to date is done before this.
        let ready = async {
            drop(store.probe().await);
            self.tell("READY=1");
        };
        if stop.run_until_cancelled(ready).await.is_some() {
            stop.run_until_cancelled(self.give_signs_of_life(&*store, asked_at))
                .await;
        }
        self.tell("STOPPING=1");
    }

    async fn give_signs_of_life(&self, store: &dyn Store, asked_at: SocketAddr) {
        let Some(silence) = self.watchdog else {
            return std::future::pending().await;
        };
        // A look may take as long again, and there is some time to spare.
        let every = silence / 3;
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let look = async { tokio::join!(store.probe(), ask(asked_at)) };
            if timeout(every, look).await.is_ok() {
                self.tell("WATCHDOG=1");
            } else {
                tracing::error!(
                    "the relay is stuck; unless it answers soon, systemd starts it anew"
                );
            }
        }
    }

    fn tell(&self, state: &str) {
        if let Err(error) = self.socket.send(state.as_bytes()) {
            tracing::warn!(%error, state, "systemd could not be told");
        }
    }
}

fn address_of(name: &str) -> io::Result<UnixAddress> {
    #[cfg(target_os = "linux")]
    if let Some(name) = name.strip_prefix('@') {
        use std::os::linux::net::SocketAddrExt as _;
        return UnixAddress::from_abstract_name(name);
    }
    UnixAddress::from_pathname(name)
}

/// How long systemd bears silence from this very process.
fn watchdog(environment: &Environment) -> Option<Duration> {
    let of_another = environment
        .get("WATCHDOG_PID")
        .is_some_and(|id| id != std::process::id().to_string());
    let micros = environment.get("WATCHDOG_USEC")?.parse().ok()?;
    (!of_another && micros > 0).then(|| Duration::from_micros(micros))
}

/// Asks the relay's own listener, and waits until it says anything or hangs up.
async fn ask(listener: SocketAddr) {
    let asked = async {
        let mut stream = TcpStream::connect(from_here(listener)).await?;
        let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await?;
        stream.read_u8().await
    };
    let _: io::Result<u8> = asked.await;
}

/// The socket for webhooks that systemd holds open across restarts, if it does.
///
/// # Errors
/// Fails if what was handed in is no TCP socket that listens.
pub fn inherited_socket() -> anyhow::Result<Option<TcpListener>> {
    let socket = ListenFd::from_env().take_tcp_listener(0);
    let socket = socket.context("the socket that was handed in (LISTEN_FDS) is no TCP listener")?;
    if let Some(socket) = &socket {
        socket.set_nonblocking(true)?;
    }
    Ok(socket)
}
