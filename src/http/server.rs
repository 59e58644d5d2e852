//! The connections of a listener: how many there may be, and how long each may
//! take its time.
//!
//! Strangers may open as many connections as they like and send nothing. So a
//! request's head must arrive in time, an idle connection is kept for as long as
//! a proxy keeps its own, and where there is no room the one that has waited
//! longest for its request makes room.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::gate::Source;
use crate::telemetry::Seldom;

/// How long to wait before accepting again when the machine has no room: closing
/// connections make some.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// In bytes, of a request; there is room for what proxies add. Longer ones are
/// answered 431. Strangers' unfinished heads are kept in memory.
const LARGEST_HEAD: usize = 32 * 1024;
/// In bytes, after the last answer of a connection.
const MOST_TAKEN: u64 = 1024 * 1024;
const TAKEN_WITHIN: Duration = Duration::from_secs(2);

/// What connections may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Open at a time.
    pub connections: usize,
    /// From the connection, or the first byte of a request, to the end of its head.
    pub head: Duration,
    /// Without a request: longer than the 60 to 75 s for which proxies keep a
    /// connection, so that they close it and not the relay, under a request.
    pub idle: Duration,
    /// From the stop, for the next requests on connections that are open.
    pub drain: Duration,
    /// From the stop, for new connections of those who have not heard of it yet.
    pub linger: Duration,
}

/// Longer than a proxy of ours keeps an idle connection (`deploy/`), so that every
/// connection ends by an answer that says so, or from the proxy's side. Well under the
/// 15 s that Gladly waits.
const DRAIN: Duration = Duration::from_secs(5);
/// Longer than a load balancer of ours takes to see that a relay is not ready (`deploy/`
/// asks each second), and less than [`DRAIN`].
const LINGER: Duration = Duration::from_secs(3);

impl Limits {
    /// With so many connections.
    pub const fn of(connections: usize) -> Self {
        Self {
            connections,
            head: Duration::from_secs(10),
            idle: Duration::from_mins(2),
            drain: Duration::ZERO,
            linger: Duration::ZERO,
        }
    }

    /// Of a socket that stays open when the relay stops, where whoever connects
    /// waits for the next one: nobody's request may meet a connection that is just
    /// being closed.
    #[must_use]
    pub const fn of_kept_socket(self) -> Self {
        Self {
            drain: DRAIN,
            ..self
        }
    }

    /// Of one of several relays behind a load balancer: it takes what still comes to it
    /// until the balancer has seen that it stops.
    #[must_use]
    pub const fn of_one_of_several(self) -> Self {
        Self {
            drain: DRAIN,
            linger: LINGER,
            ..self
        }
    }
}

/// Serves until `stop` and for as long as the limits say after it, then until every
/// request that was begun has its answer.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let open = Arc::new(Open::new(limits.connections));
    let mut tasks = JoinSet::new();
    let mut closing = pin!(passed_since(&stop, limits.linger));
    loop {
        tokio::select! {
            () = &mut closing => break,
            (stream, _) = accept(&listener) => {
                if let Some(place) = open.admit() {
                    tasks.spawn(converse(stream, router.clone(), place, limits, stop.clone()));
                }
            }
            Some(_) = tasks.join_next() => {}
        }
    }
    drop(listener);
    while tasks.join_next().await.is_some() {}
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    static SELDOM: Seldom = Seldom::new();
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_the_callers(&error) => {}
            Err(error) => {
                SELDOM.happened(move |times| {
                    tracing::error!(%error, times, "no connection can be accepted; see the process's file limit");
                });
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

/// The connection was gone before it was accepted.
fn is_the_callers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

/// What a connection is doing, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A request's head is to come.
    Head(Instant),
    /// A request is being answered.
    Busy,
    /// Nothing.
    Idle(Instant),
}

impl Phase {
    /// When its connection is closed.
    fn ends_at(self, limits: &Limits) -> Option<Instant> {
        match self {
            Self::Head(since) => Some(since + limits.head),
            Self::Idle(since) => Some(since + limits.idle),
            Self::Busy => None,
        }
    }

    /// Since when nobody would miss its connection much.
    const fn waits_since(self) -> Option<Instant> {
        match self {
            Self::Head(since) | Self::Idle(since) => Some(since),
            Self::Busy => None,
        }
    }
}

/// The open connections.
struct Open {
    most: usize,
    places: Mutex<Places>,
}

#[derive(Default)]
struct Places {
    next: u64,
    taken: HashMap<u64, (watch::Receiver<Phase>, CancellationToken)>,
}

/// One connection's place among the open ones; free again when it is dropped.
struct Place {
    id: u64,
    open: Arc<Open>,
    phase: Arc<watch::Sender<Phase>>,
    /// Somebody else needs the place.
    given_up: CancellationToken,
}

impl Open {
    fn new(most: usize) -> Self {
        Self {
            most,
            places: Mutex::default(),
        }
    }

    /// A place, if need be that of the connection that has waited longest; none if
    /// all are being answered.
    fn admit(self: &Arc<Self>) -> Option<Place> {
        static SELDOM: Seldom = Seldom::new();
        let mut places = self.places();
        if places.taken.len() >= self.most {
            let waiting = places.taken.iter();
            let longest = waiting
                .filter_map(|(id, (phase, _))| Some((phase.borrow().waits_since()?, *id)))
                .min();
            let given_up = longest.and_then(|(_, id)| places.taken.remove(&id));
            let most = self.most;
            SELDOM.happened(move |times| {
                tracing::warn!(
                    most,
                    times,
                    "all connections are taken; see who opens them, or raise RELAY_MAX_CONNECTIONS"
                );
            });
            given_up?.1.cancel();
        }
        let id = places.next;
        places.next += 1;
        let (phase, watched) = watch::channel(Phase::Head(Instant::now()));
        let given_up = CancellationToken::new();
        places.taken.insert(id, (watched, given_up.clone()));
        Some(Place {
            id,
            open: self.clone(),
            phase: Arc::new(phase),
            given_up,
        })
    }

    fn places(&self) -> std::sync::MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.places().taken.remove(&self.id);
    }
}

/// One connection, request after request.
async fn converse(
    stream: TcpStream,
    router: Router,
    place: Place,
    limits: Limits,
    stop: CancellationToken,
) {
    // Answers are small and must not wait for more to send.
    let _: io::Result<()> = stream.set_nodelay(true);
    // None once it is gone: then nobody hears an answer.
    let source = stream.peer_addr().map(Source::from).unwrap_or_default();
    let phase = &place.phase;
    let service = service_fn(|mut request: Request<Incoming>| {
        phase.send_replace(Phase::Busy);
        request.extensions_mut().insert(source);
        let answering = router.clone().oneshot(request.map(Body::new));
        let stop = &stop;
        Box::pin(async move {
            let mut answered = answering.await;
            if let Ok(answer) = &mut answered
                && stop.is_cancelled()
            {
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(CONNECTION, close);
            }
            phase.send_replace(Phase::Idle(Instant::now()));
            answered
        })
    });
    let io = TokioIo::new(Noticed {
        stream,
        phase: phase.clone(),
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .max_buf_size(LARGEST_HEAD)
        // Phases say how long a head may take.
        .header_read_timeout(None)
        .serve_connection(io, service);
    let mut stopping = false;
    loop {
        tokio::select! {
            // An error is the caller's: it has gone, or speaks no HTTP.
            _ = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break,
            () = overdue(phase.subscribe(), &limits) => return,
            () = place.given_up.cancelled() => return,
            () = passed_since(&stop, limits.drain), if !stopping => {
                if matches!(*phase.borrow(), Phase::Head(_)) {
                    return;
                }
                stopping = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    }
    phase.send_replace(Phase::Idle(Instant::now()));
    let stream = connection.into_parts().io.into_inner().stream;
    tokio::select! {
        () = hang_up(stream) => {}
        () = place.given_up.cancelled() => {}
        () = stop.cancelled() => {}
    }
}

/// Closes a connection so that its last answer is read: whoever still sends would
/// lose it if what is sent were not taken.
async fn hang_up(mut stream: TcpStream) {
    let taking = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(MOST_TAKEN), &mut tokio::io::sink()).await
    };
    // It is over either way.
    let _: Result<_, _> = tokio::time::timeout(TAKEN_WITHIN, taking).await;
}

/// Until the stop, and so much longer.
async fn passed_since(stop: &CancellationToken, length: Duration) {
    stop.cancelled().await;
    if !length.is_zero() {
        tokio::time::sleep(length).await;
    }
}

/// Until the phase has lasted too long.
async fn overdue(mut phase: watch::Receiver<Phase>, limits: &Limits) {
    loop {
        let ends_at = phase.borrow_and_update().ends_at(limits);
        let over = async {
            match ends_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = over => return,
            changed = phase.changed() => {
                if changed.is_err() {
                    return std::future::pending().await;
                }
            }
        }
    }
}

/// A stream that notices the first byte of a request.
struct Noticed {
    stream: TcpStream,
    phase: Arc<watch::Sender<Phase>>,
}

impl AsyncRead for Noticed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_ready() && buf.filled().len() > before {
            self.phase.send_if_modified(|phase| {
                let begins = matches!(phase, Phase::Idle(_));
                if begins {
                    *phase = Phase::Head(Instant::now());
                }
                begins
            });
        }
        read
    }
}

impl AsyncWrite for Noticed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
