//! `GET /conversations/{account}/{id}`: what is remembered of a conversation, as `explain`
//! tells it, and `GET /conversations?id=` which finds one.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};

use super::turns::outcome;
use super::words::{length, plain};
use super::{Shell, show};
use crate::clock::time_until;
use crate::explain::{self, Entry, Explanation, ToldTurn, explain};
use crate::http::gate::Entered;
use crate::http::parameters::Parameters;
use crate::http::problem::Problem;
use crate::http::{State, unreadable};
use crate::id::{AccountName, ConversationId};
use crate::store::Remembered;

pub(super) fn router() -> Router<Arc<State>> {
    Router::new()
        .route("/conversations", get(find))
        .route("/conversations/{account}/{conversation_id}", get(tell))
}

/// Where a conversation is told of.
pub(super) fn path(account: &AccountName, id: &ConversationId) -> String {
    let account: String = form_urlencoded::byte_serialize(account.as_str().as_bytes()).collect();
    // In a path a plus is a plus.
    format!("/conversations/{}/{id}", account.replace('+', "%20"))
}

#[derive(Template)]
#[template(path = "conversation.html", config = "src/http/pages/askama.toml")]
struct Conversation {
    shell: Shell,
    account: String,
    id: String,
    summary: String,
    facts: String,
    in_gladly: Option<String>,
    turns: Vec<Turn>,
    steps: Vec<Step>,
}

/// One of its turns.
struct Turn {
    id: String,
    outcome: &'static str,
    class: &'static str,
    reason: Option<String>,
    took: Option<String>,
    summary: String,
    dead_letter: Option<i64>,
}

/// Something that happened.
struct Step {
    /// Where it is the first of its day.
    day: Option<String>,
    at: String,
    time: String,
    turn: Option<String>,
    text: String,
    is_bad: bool,
    is_end: bool,
}

#[derive(Template)]
#[template(path = "not_remembered.html", config = "src/http/pages/askama.toml")]
struct NotRemembered {
    shell: Shell,
    given: String,
    /// Why it may be so; none if what was given is no id.
    causes: Vec<String>,
    /// It is remembered of several accounts.
    found: Vec<(String, String)>,
}

async fn tell(
    entered: Extension<Entered>,
    Shared(state): Shared<Arc<State>>,
    Path((account, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let shell = Shell::new("/turns", entered, &state);
    let account = AccountName::new(&account);
    let Ok(id) = ConversationId::parse(&id) else {
        return Ok(nothing(shell, &id, None));
    };
    let found = state.history.remembered(&id, Some(&account)).await;
    let found = found.map_err(unreadable)?;
    let Some(one) = found.first() else {
        return Ok(nothing(shell, id.as_str(), Some((&id, Some(&account)))));
    };
    let told = explain(one, state.clock.now().at);
    let account = state.relay.state(&account);
    Ok(show(&Conversation {
        shell,
        account: told.account.to_string(),
        id: id.to_string(),
        facts: told.facts.to_string(),
        in_gladly: account.map(|account| account.page_of(&id)),
        turns: told.turns.iter().map(Turn::new).collect(),
        steps: steps(&told),
        summary: told.summary,
    }))
}

impl Turn {
    fn new(turn: &ToldTurn) -> Self {
        let times = turn.received_at.zip(turn.finished_at);
        let (outcome, class) = outcome(turn.outcome);
        Self {
            id: turn.id.to_string(),
            outcome,
            class,
            reason: turn.reason.as_deref().map(plain),
            took: times.map(|(received_at, at)| length(time_until(at, received_at))),
            summary: turn.summary.clone(),
            dead_letter: turn.dead_letter,
        }
    }
}

fn steps(told: &Explanation) -> Vec<Step> {
    let mut last = String::new();
    let step = |entry: &Entry| {
        let day = entry.at.strftime("%Y-%m-%d").to_string();
        let is_new = day != last;
        last.clone_from(&day);
        Step {
            day: is_new.then_some(day),
            at: entry.at.to_string(),
            time: entry.at.strftime("%H:%M:%S%.3f").to_string(),
            turn: entry.turn.map(|id| id.to_string()),
            text: entry.text.clone(),
            is_bad: entry.is_bad,
            is_end: entry.what == "ended",
        }
    };
    told.timeline.iter().map(step).collect()
}

/// An id, or the address of a conversation in Gladly, whose last part it is.
async fn find(
    entered: Extension<Entered>,
    Shared(state): Shared<Arc<State>>,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let shell = Shell::new("/turns", entered, &state);
    let given = parameters.get("id").unwrap_or_default().trim();
    let address = given.split(['?', '#']).next().unwrap_or_default();
    let last = address.trim_end_matches('/').rsplit('/').next();
    let Some(id) = last.and_then(|last| ConversationId::parse(last).ok()) else {
        return Ok(nothing(shell, given, None));
    };
    let found = state
        .history
        .remembered(&id, None)
        .await
        .map_err(unreadable)?;
    let pages: Vec<(String, String)> = found.iter().map(named).collect();
    Ok(match &pages[..] {
        [] => nothing(shell, id.as_str(), Some((&id, None))),
        [(_, path)] => (StatusCode::SEE_OTHER, [(LOCATION, path.clone())]).into_response(),
        _ => show(&NotRemembered {
            shell,
            given: id.to_string(),
            causes: Vec::new(),
            found: pages,
        }),
    })
}

fn named(one: &Remembered) -> (String, String) {
    let path = path(&one.account, &one.conversation_id);
    (one.account.to_string(), path)
}

fn nothing(
    shell: Shell,
    given: &str,
    sought: Option<(&ConversationId, Option<&AccountName>)>,
) -> Response {
    let told = sought.map(|(id, account)| explain::nothing(id, account));
    let causes = told.iter().flat_map(|told| told.lines());
    let causes = causes.filter_map(|line| line.strip_prefix("- "));
    let page = NotRemembered {
        shell,
        given: given.to_owned(),
        // It is written for a terminal.
        causes: causes.map(|cause| cause.replace('`', "")).collect(),
        found: Vec::new(),
    };
    (StatusCode::NOT_FOUND, show(&page)).into_response()
}
