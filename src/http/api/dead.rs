//! The dead letters: `GET /api/dead`, oldest first, and `POST /api/dead/{id}/retry` and
//! `…/drop`, which do what `gladly-relay dead` does.

use std::sync::Arc;

use axum::extract::{Path, State as Shared};
use axum::http::header::LINK;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::http::parameters::Parameters;
use crate::http::problem::Problem;
use crate::http::{State, unreadable};
use crate::id::AccountName;
use crate::store::{DeadLetter, DeadLetterId, LetterQuery, RetryRequest, StoreError};

/// The most on one page, and as many as there are if nobody asks for fewer.
const MOST: usize = 1_000;

pub(super) fn router() -> Router<Arc<State>> {
    Router::new()
        .route("/api/dead", get(list))
        .route("/api/dead/{id}/retry", post(retry))
        .route("/api/dead/{id}/drop", post(drop))
}

/// `?account&after&limit`; `Link` leads to the next page.
async fn list(
    Shared(state): Shared<Arc<State>>,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let wrong = |_| Problem::bad_parameter("`after` is a dead letter's id, `limit` 1 to 1000");
    let after: i64 = parameters
        .get("after")
        .map_or(Ok(0), str::parse)
        .map_err(wrong)?;
    let limit: usize = parameters
        .get("limit")
        .map_or(Ok(MOST), str::parse)
        .map_err(wrong)?;
    let limit = limit.clamp(1, MOST);
    let account = parameters.get("account");
    let query = LetterQuery {
        account: account.map(AccountName::new),
        after: Some(DeadLetterId(after)),
        limit: Some(limit + 1),
        ..LetterQuery::default()
    };
    let letters = state.operations.letters(&query).await.map_err(unreadable)?;
    let page = &letters[..letters.len().min(limit)];
    let next = page.last().filter(|_| letters.len() > limit);
    let shown: Vec<Value> = page.iter().map(DeadLetter::to_json).collect();
    let mut response = Json(shown).into_response();
    if let Some(last) = next {
        let (after, limit) = (last.id.0.to_string(), limit.to_string());
        let pairs = [
            ("account", account),
            ("after", Some(&*after)),
            ("limit", Some(&*limit)),
        ];
        let link = format!("<{}>; rel=\"next\"", Parameters::path("/api/dead", &pairs));
        if let Ok(link) = link.parse() {
            response.headers_mut().insert(LINK, link);
        }
    }
    Ok(response)
}

async fn retry(
    Shared(state): Shared<Arc<State>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let letter = named(&state, &id).await?;
    let settled = retry_letter(&state, &letter).await;
    settled.map_err(unreadable)?.answer(letter.id, "waiting")
}

async fn drop(
    Shared(state): Shared<Arc<State>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let letter = named(&state, &id).await?;
    let settled = drop_letter(&state, &letter).await;
    settled.map_err(unreadable)?.answer(letter.id, "dropped")
}

/// The one that the path names.
async fn named(state: &State, id: &str) -> Result<DeadLetter, Problem> {
    let id = id.parse().map_err(|_| Problem::no_such_letter())?;
    let found = find(state, DeadLetterId(id)).await.map_err(unreadable)?;
    found.ok_or(Problem::no_such_letter())
}

/// What came of retrying or dropping a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Settled {
    /// It was done.
    Done,
    /// There is none, any more.
    Gone,
    /// A webhook that could not be used: there is nothing to retry.
    NoTurn,
    /// Its conversation has an unfinished turn.
    LaneTaken,
}

impl Settled {
    fn answer(self, id: DeadLetterId, status: &str) -> Result<Json<Value>, Problem> {
        match self {
            Self::Done => Ok(Json(json!({ "id": id.0, "status": status }))),
            Self::Gone => Err(Problem::no_such_letter()),
            Self::NoTurn => Err(Problem::conflict(
                "this is a webhook that could not be used: it can only be dropped",
            )),
            Self::LaneTaken => Err(Problem::conflict(
                "its conversation has an unfinished turn; try again once that has ended",
            )),
        }
    }
}

/// Lets a dead letter's messages wait again, and the driver see it.
pub(in crate::http) async fn retry_letter(
    state: &State,
    letter: &DeadLetter,
) -> Result<Settled, StoreError> {
    let (id, now) = (letter.id, state.clock.now());
    let request = RetryRequest { id, now };
    if state.operations.retry_dead_letter(request).await? {
        tracing::info!(account = %letter.account, dead_letter = id.0, "an operator has retried a dead letter");
        state.relay.changed(&letter.account);
        return Ok(Settled::Done);
    }
    Ok(match find(state, id).await? {
        None => Settled::Gone,
        Some(letter) if letter.can_be_retried() => Settled::LaneTaken,
        Some(_) => Settled::NoTurn,
    })
}

/// Forgets a dead letter.
pub(in crate::http) async fn drop_letter(
    state: &State,
    letter: &DeadLetter,
) -> Result<Settled, StoreError> {
    let id = letter.id;
    if !state.operations.drop_dead_letter(id).await? {
        return Ok(Settled::Gone);
    }
    tracing::info!(account = %letter.account, dead_letter = id.0, "an operator has dropped a dead letter");
    state.relay.changed(&letter.account);
    Ok(Settled::Done)
}

async fn find(state: &State, id: DeadLetterId) -> Result<Option<DeadLetter>, StoreError> {
    let mut letters = state.operations.named_letters(&[id]).await?;
    Ok(letters.pop())
}
