//! `GET /api/conversations/{account}/{conversation_id}`: what `explain --json` prints.

use std::sync::Arc;

use axum::extract::{Path, State as Shared};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::Value;

use crate::explain::explain;
use crate::http::problem::Problem;
use crate::http::{State, unreadable};
use crate::id::{AccountName, ConversationId};

pub(super) fn router() -> Router<Arc<State>> {
    let path = "/api/conversations/{account}/{conversation_id}";
    Router::new().route(path, get(show))
}

async fn show(
    Shared(state): Shared<Arc<State>>,
    Path((account, id)): Path<(String, String)>,
) -> Result<Json<Value>, Problem> {
    // What is no id is remembered nowhere.
    let id = ConversationId::parse(&id).map_err(|_| Problem::not_found())?;
    let account = AccountName::new(&account);
    let found = state.history.remembered(&id, Some(&account)).await;
    let found = found.map_err(unreadable)?;
    let one = found.first().ok_or(Problem::not_found())?;
    Ok(Json(explain(one, state.clock.now().at).to_json()))
}
