//! Retrying and dropping dead letters: `GET /dead-letters/confirm` says what would be done
//! with how many, `POST /dead-letters/settle` does it with exactly those.

use std::collections::HashSet;
use std::sync::Arc;

use askama::Template;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State as Shared};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};

use super::dead_letters::{Filter, Row};
use super::words::count;
use super::{Shell, show};
use crate::http::api::{Settled, drop_letter, retry_letter};
use crate::http::gate::Entered;
use crate::http::parameters::Parameters;
use crate::http::problem::Problem;
use crate::http::{State, unreadable};
use crate::store::{DeadLetter, DeadLetterId};

/// In bytes: the ids of a hundred thousand.
const LARGEST: usize = 1024 * 1024;
/// How many are shown of those that it is about.
const SHOWN: usize = 50;

pub(super) fn router() -> Router<Arc<State>> {
    Router::new()
        .route("/dead-letters/confirm", get(confirm))
        .route("/dead-letters/settle", post(settle))
        .layer(DefaultBodyLimit::max(LARGEST))
}

/// What to do with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Retry,
    Drop,
}

impl Action {
    fn of(parameters: &Parameters) -> Result<Self, Problem> {
        match parameters.get("action") {
            Some("retry") => Ok(Self::Retry),
            Some("drop") => Ok(Self::Drop),
            _ => Err(Problem::bad_parameter("`action` is retry or drop")),
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Drop => "drop",
        }
    }

    const fn verb(self) -> &'static str {
        match self {
            Self::Retry => "Retry",
            Self::Drop => "Drop",
        }
    }

    const fn is_drop(self) -> bool {
        matches!(self, Self::Drop)
    }

    const fn warning(self) -> &'static str {
        match self {
            Self::Retry => {
                "The relay takes these conversations up at once; what the bot or the relay writes then stays written."
            }
            Self::Drop => {
                "The relay forgets these for good, and their customers get nothing from it. Answer them in Gladly first."
            }
        }
    }

    /// What will happen, with how many.
    fn effects(self, letters: &[DeadLetter]) -> Vec<String> {
        let number = |fits: fn(&DeadLetter) -> bool| {
            let fitting = letters.iter().filter(|letter| fits(letter));
            u64::try_from(fitting.count()).unwrap_or(u64::MAX)
        };
        let unasked = number(|letter| letter.can_be_retried() && !letter.may_have_written);
        let unsure = number(|letter| letter.can_be_retried() && letter.may_have_written);
        let events = number(|letter| !letter.can_be_retried());
        let turns = |number| count(number, "turn", "turns");
        let told = match self {
            Self::Retry => [
                (
                    unasked,
                    format!(
                        "{}: the messages wait for the bot again, with a new deadline; the bot answers or a human gets the conversation.",
                        turns(unasked)
                    ),
                ),
                (
                    unsure,
                    format!(
                        "{}: something may have been written already, so the bot is not asked again; a human gets the conversation, and nothing is written twice.",
                        turns(unsure)
                    ),
                ),
                (
                    events,
                    format!(
                        "{} that could not be used: left as it is, for there is nothing to retry.",
                        count(events, "event", "events")
                    ),
                ),
            ],
            Self::Drop => [
                (
                    unasked,
                    format!(
                        "{} in which the customer has no answer from the relay yet.",
                        turns(unasked)
                    ),
                ),
                (
                    unsure,
                    format!(
                        "{} in which an answer or a note may be in Gladly, and no human was given the conversation.",
                        turns(unsure)
                    ),
                ),
                (
                    events,
                    format!(
                        "{} that could not be used: the message behind it is in Gladly alone.",
                        count(events, "event", "events")
                    ),
                ),
            ],
        };
        let told = told.into_iter().filter(|(number, _)| *number > 0);
        told.map(|(_, effect)| effect).collect()
    }
}

#[derive(Template)]
#[template(path = "confirm.html", config = "src/http/pages/askama.toml")]
struct Confirm {
    shell: Shell,
    action: Action,
    ids: Vec<i64>,
    ids_text: String,
    effects: Vec<String>,
    shown: Vec<Row>,
}

/// `?action&id…`, or all that match `?action&account&cause`.
async fn confirm(
    entered: Extension<Entered>,
    Shared(state): Shared<Arc<State>>,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let action = Action::of(&parameters)?;
    let ids: Vec<&str> = parameters.all("id").collect();
    let filter = Filter::of(&parameters);
    let letters = if filter.is_set() {
        state.operations.letters(&filter.query()).await
    } else {
        let ids = ids.iter().filter_map(|id| id.parse().ok());
        let ids: Vec<DeadLetterId> = ids.map(DeadLetterId).collect();
        state.operations.named_letters(&ids).await
    };
    let letters = letters.map_err(unreadable)?;
    if letters.is_empty() {
        let query = if ids.is_empty() { "?none=1" } else { "" };
        return Ok(go_to(format!("/dead-letters{query}")));
    }
    let ids: Vec<i64> = letters.iter().map(|letter| letter.id.0).collect();
    let text: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let (accounts, now) = (state.relay.states(), state.clock.now().at);
    let shown = letters.iter().take(SHOWN);
    Ok(show(&Confirm {
        shell: Shell::new("/dead-letters", entered, &state),
        action,
        ids_text: text.join(","),
        ids,
        effects: action.effects(&letters),
        shown: shown
            .map(|letter| Row::new(letter, &accounts, now))
            .collect(),
    }))
}

async fn settle(Shared(state): Shared<Arc<State>>, form: Bytes) -> Result<Response, Problem> {
    let form = Parameters::parse(&form);
    let action = Action::of(&form)?;
    let ids: HashSet<DeadLetterId> = form
        .get("ids")
        .unwrap_or_default()
        .split(',')
        .filter_map(|id| id.parse().ok().map(DeadLetterId))
        .collect();
    let named: Vec<DeadLetterId> = ids.iter().copied().collect();
    let letters = state.operations.named_letters(&named).await;
    let mut settled = 0;
    for letter in &letters.map_err(unreadable)? {
        let came = match action {
            Action::Retry => retry_letter(&state, letter).await,
            Action::Drop => drop_letter(&state, letter).await,
        };
        match came.map_err(unreadable)? {
            Settled::Done => settled += 1,
            Settled::Gone | Settled::NoTurn | Settled::LaneTaken => {}
        }
    }
    let left = ids.len() - settled;
    let word = action.word();
    Ok(go_to(format!(
        "/dead-letters?done={word}&settled={settled}&left={left}"
    )))
}

fn go_to(path: String) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, path)]).into_response()
}
