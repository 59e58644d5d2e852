//! `GET /healthz`: the process serves. `GET /readyz`: it can take webhooks.
//! What is wrong with Gladly or Gleen does not make it unready: it keeps what
//! arrives until they are back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Shared;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::State;
use super::problem::Problem;
use crate::store::StoreError;

/// Orchestrators give a probe a second or a few.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn router() -> Router<Arc<State>> {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
}

async fn healthz() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

async fn readyz(Shared(state): Shared<Arc<State>>) -> Result<Json<Value>, Problem> {
    if state.is_stopping() {
        return Err(Problem::unavailable("the relay is stopping"));
    }
    match tokio::time::timeout(PROBE_TIMEOUT, state.store.probe()).await {
        Ok(Ok(())) => Ok(Json(json!({ "status": "ready" }))),
        Ok(Err(error @ (StoreError::Damaged { .. } | StoreError::Malformed(_)))) => {
            tracing::error!(%error, "not ready");
            Err(Problem::unavailable("the store is damaged"))
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "not ready");
            Err(Problem::unavailable("the store cannot be written"))
        }
        Err(_) => {
            tracing::error!("not ready: the store does not answer");
            Err(Problem::unavailable("the store does not answer"))
        }
    }
}

/// Where a listener is reached on its own machine.
pub fn from_here(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_asked_on_loopback() {
        for (listen, asked) in [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("10.0.0.7:80", "10.0.0.7:80"),
        ] {
            let listen = listen.parse().unwrap();
            assert_eq!(from_here(listen), asked.parse().unwrap(), "{listen}");
        }
    }
}
