//! The admin API: what the pages show and do, for scripts. JSON, ids and outcomes, nobody's
//! words.

mod accounts;
mod conversation;
mod dead;
mod report;
mod stream;
mod turns;

use std::sync::Arc;

use axum::Router;

use super::State;
pub(super) use dead::{Settled, drop_letter, retry_letter};

pub(super) fn router() -> Router<Arc<State>> {
    Router::new()
        .merge(accounts::router())
        .merge(turns::router())
        .merge(conversation::router())
        .merge(report::router())
        .merge(dead::router())
        .merge(stream::router())
}
