//! `GET /api/turns`: newest first, a page at a time.

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::clock::time_until;
use crate::http::parameters::Parameters;
use crate::http::problem::Problem;
use crate::http::{State, unreadable};
use crate::id::ConversationId;
use crate::report::parse_since;
use crate::store::{Place, TurnQuery, TurnRow};

/// The most on one page.
const MOST: usize = 500;

pub(super) fn router() -> Router<Arc<State>> {
    Router::new().route("/api/turns", get(list))
}

async fn list(
    Shared(state): Shared<Arc<State>>,
    query: Parameters,
) -> Result<Json<Value>, Problem> {
    let asked = read(&query, &state)?;
    let more = TurnQuery {
        limit: asked.limit + 1,
        ..asked.clone()
    };
    let mut turns = state.history.turns(&more).await.map_err(unreadable)?;
    let has_more = turns.len() > asked.limit;
    turns.truncate(asked.limit);
    let last = turns.last().filter(|_| has_more);
    let next = last.map(|turn| turn.place().to_string());
    let turns: Vec<Value> = turns.iter().map(to_json).collect();
    Ok(Json(json!({ "turns": turns, "next": next })))
}

/// What is asked for. A word that no turn can have is asked for all the same: no
/// turn has it.
fn read(query: &Parameters, state: &State) -> Result<TurnQuery, Problem> {
    let wrong = |_| Problem::bad_parameter("conversation_id is not an id");
    let conversation_id = query.get("conversation_id").map(ConversationId::parse);
    let since = query.get("since").map(|text| {
        let since = parse_since(text, state.clock.now().at);
        since.ok_or(Problem::bad_parameter(
            "since is a length of time, as 24h or 7d, or a time, as 2026-11-21T00:00:00Z",
        ))
    });
    let before = query.get("before").map(|text| {
        let place = text.parse::<Place>();
        place.map_err(|_| Problem::bad_parameter("before is the `next` of another page"))
    });
    let limit = query.get("limit").map(|text| {
        let limit = text.parse::<usize>().ok();
        let limit = limit.filter(|limit| (1..=MOST).contains(limit));
        limit.ok_or(Problem::bad_parameter("limit is a number from 1 to 500"))
    });
    let usual = TurnQuery::default();
    Ok(TurnQuery {
        account: query.account(),
        outcome: query.get("outcome").map(str::to_owned),
        reason: query.get("reason").map(str::to_owned),
        conversation_id: conversation_id.transpose().map_err(wrong)?,
        since: since.transpose()?,
        before: before.transpose()?,
        limit: limit.transpose()?.unwrap_or(usual.limit),
    })
}

fn to_json(turn: &TurnRow) -> Value {
    let took = turn.finished_at.map(|at| time_until(at, turn.received_at));
    let took = took.and_then(|took| u64::try_from(took.as_millis()).ok());
    json!({
        "id": turn.id.to_string(),
        "account": turn.account.as_str(),
        "conversation_id": turn.conversation_id,
        "received_at": turn.received_at,
        "finished_at": turn.finished_at,
        "outcome": turn.outcome,
        "reason": turn.reason,
        "messages": turn.messages,
        "took_ms": took,
    })
}
