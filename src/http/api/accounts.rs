//! `GET /api/accounts`.

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::Value;

use crate::http::accounts::{AccountView, accounts};
use crate::http::problem::Problem;
use crate::http::{State, unreadable};

pub(super) fn router() -> Router<Arc<State>> {
    Router::new().route("/api/accounts", get(list))
}

async fn list(Shared(state): Shared<Arc<State>>) -> Result<Json<Value>, Problem> {
    let view = accounts(&state).await.map_err(unreadable)?;
    let shown = view.accounts.iter().map(AccountView::to_json);
    Ok(Json(Value::Array(shown.collect())))
}
