//! The admin API: what the store remembers, as JSON. Ids and outcomes, nobody's words.

mod conversation;
mod query;
mod report;
mod turns;

use std::sync::Arc;

use axum::Router;

use super::State;

pub(super) fn router() -> Router<Arc<State>> {
    Router::new()
        .merge(turns::router())
        .merge(conversation::router())
        .merge(report::router())
}
