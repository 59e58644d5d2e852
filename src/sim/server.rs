//! Serves a router on a listener until told to stop.
//!
//! Connections are served by hand with hyper, because a fault may close one
//! without an answer: a response that carries [`Cut`] is never sent.

use std::fmt;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// Marks a response in whose place the connection closes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut;

impl Cut {
    /// A response that is never sent.
    pub(crate) fn response() -> Response {
        let mut response = ().into_response();
        response.extensions_mut().insert(Self);
        response
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cut by a fault")
    }
}

impl std::error::Error for Cut {}

/// Accepts connections until `stop`; their tasks end with it too.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                tasks.spawn(serve_connection(stream, router.clone(), stop.clone()));
            }
            Err(error) => {
                // Out of file descriptors, most likely: give some back first.
                tracing::warn!(%error, "the simulator could not accept a connection");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, router: Router, stop: CancellationToken) {
    // Only latency suffers without it.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| answer(router.clone(), request));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Some(Err(error)) = stop.run_until_cancelled(connection).await {
        tracing::trace!(%error, "a simulated connection ended");
    }
}

async fn answer(router: Router, request: Request<Incoming>) -> Result<Response, Cut> {
    let response = match router.oneshot(request.map(Body::new)).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    match response.extensions().get::<Cut>() {
        Some(cut) => Err(*cut),
        None => Ok(response),
    }
}
