//! `GET /api/report`: what `report --json` prints.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Shared;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::Value;

use crate::http::parameters::Parameters;
use crate::http::problem::Problem;
use crate::http::{State, unreadable};
use crate::report::{self, Span};

/// What is reported of unless somebody says otherwise.
const A_WEEK: Duration = Duration::from_hours(7 * 24);

pub(super) fn router() -> Router<Arc<State>> {
    Router::new().route("/api/report", get(show))
}

async fn show(
    Shared(state): Shared<Arc<State>>,
    query: Parameters,
) -> Result<Json<Value>, Problem> {
    let now = state.clock.now().at;
    let span = query.get("since").map(|text| {
        Span::parse(text, now).ok_or(Problem::bad_parameter(
            "since is a length of time, as 24h or 7d, or a time, as 2026-11-21T00:00:00Z",
        ))
    });
    let span = span.transpose()?.unwrap_or(Span::until(now, A_WEEK));
    let report = report::read(&*state.history, span, query.account()).await;
    let report = report.map_err(unreadable)?;
    Ok(Json(report.to_json()))
}
