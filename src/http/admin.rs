//! `GET /metrics`, for Prometheus.

use std::sync::Arc;

use axum::Router;
use axum::extract::State as Shared;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::State;
use super::problem::Problem;
use crate::id::AccountName;
use crate::store::{Backlog, StoreError};

/// What `prometheus-client` writes.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) fn router() -> Router<Arc<State>> {
    Router::new().route("/metrics", get(metrics))
}

async fn metrics(Shared(state): Shared<Arc<State>>) -> Result<Response, Problem> {
    match backlog(&state).await {
        Ok(backlog) => backlog
            .iter()
            .for_each(|backlog| state.metrics.backlog(backlog)),
        // The other metrics are still true, and now more wanted than ever.
        Err(error) => tracing::warn!(%error, "the gauges of the store could not be read"),
    }
    for (account, ratio) in state.relay.limits_used() {
        state.metrics.limit_used(account, ratio);
    }
    if let Some(free) = state.operations.free_bytes().await {
        state.metrics.disk(free);
    }
    let text = state.metrics.render().map_err(|error| {
        tracing::error!(%error, "the metrics could not be written");
        Problem::internal()
    })?;
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}

/// What waits in the store, with a zero for every account that has nothing.
async fn backlog(state: &State) -> Result<Vec<Backlog>, StoreError> {
    let found = state.operations.backlog(state.clock.now().at).await?;
    let of_account = |name: &AccountName| {
        let mut found = found.iter();
        let found = found.find(|backlog| backlog.account == *name).cloned();
        found.unwrap_or_else(|| Backlog::nothing(name))
    };
    Ok(state.relay.accounts().map(of_account).collect())
}
