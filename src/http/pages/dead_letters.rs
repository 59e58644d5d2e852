//! `GET /dead-letters`: what the relay could not finish, grouped by cause.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use askama::Template;
use axum::extract::State as Shared;
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use jiff::Timestamp;

use super::words::{ago, count, moment};
use super::{Shell, show};
use crate::http::gate::Entered;
use crate::http::parameters::Parameters;
use crate::http::problem::Problem;
use crate::http::{State, unreadable};
use crate::relay::AccountState;
use crate::store::DeadLetter;

/// How many of a cause are shown beside other causes, and alone.
const FEW: usize = 10;
const MANY: usize = 100;

pub(super) fn router() -> Router<Arc<State>> {
    Router::new().route("/dead-letters", get(list))
}

/// Which of them are meant.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) account: Option<String>,
    pub(super) cause: Option<String>,
}

impl Filter {
    pub(super) fn of(parameters: &Parameters) -> Self {
        let get = |name| parameters.get(name).map(str::to_owned);
        Self {
            account: get("account"),
            cause: get("cause"),
        }
    }

    pub(super) const fn is_set(&self) -> bool {
        self.account.is_some() || self.cause.is_some()
    }

    pub(super) fn matches(&self, letter: &DeadLetter) -> bool {
        let is =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|w| w == found);
        is(&self.account, letter.account.as_str()) && is(&self.cause, &letter.error)
    }
}

#[derive(Template)]
#[template(path = "dead_letters.html", config = "src/http/pages/askama.toml")]
struct DeadLetters {
    shell: Shell,
    accounts: BTreeSet<String>,
    filter: Filter,
    groups: Vec<Group>,
    done: Option<Done>,
    wrong: Option<&'static str>,
}

/// Those of one account that died of the same.
struct Group {
    cause: String,
    account: String,
    kind: String,
    what_to_do: &'static str,
    can_be_retried: bool,
    count: usize,
    letters: Vec<Row>,
    /// Where the others are.
    more: Option<String>,
}

/// One dead letter as it is shown.
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) account: String,
    pub(super) at: String,
    pub(super) at_text: String,
    pub(super) ago: String,
    pub(super) conversation_id: Option<String>,
    /// Where it is told of.
    pub(super) path: Option<String>,
    /// The conversation where people work on it.
    pub(super) in_gladly: Option<String>,
    pub(super) error: String,
}

impl Row {
    pub(super) fn new(letter: &DeadLetter, accounts: &[AccountState], now: Timestamp) -> Self {
        let conversation_id = letter.conversation_id.as_ref();
        let mut accounts = accounts.iter();
        let account = accounts.find(|account| account.name == letter.account);
        Self {
            id: letter.id.0,
            account: letter.account.to_string(),
            at: letter.time(),
            at_text: moment(letter.created_at),
            ago: ago(letter.created_at, now),
            in_gladly: account
                .zip(conversation_id)
                .map(|(account, id)| account.page_of(id)),
            path: conversation_id.map(|id| super::conversation::path(&letter.account, id)),
            conversation_id: conversation_id.map(ToString::to_string),
            error: letter.error.clone(),
        }
    }
}

/// What was just done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Done {
    is_retry: bool,
    settled: u64,
    left: u64,
}

impl Done {
    fn of(parameters: &Parameters) -> Option<Self> {
        let number = |name| parameters.get(name)?.parse().ok();
        Some(Self {
            is_retry: parameters.get("done")? == "retry",
            settled: number("settled")?,
            left: number("left")?,
        })
    }

    fn sentence(&self) -> String {
        let settled = count(self.settled, "dead letter", "dead letters");
        let done = if self.is_retry { "retried" } else { "dropped" };
        let left = match (self.left, self.is_retry) {
            (0, _) => String::new(),
            (left, true) => format!(
                " {left} could not be: settled by somebody else, an event that can only be dropped, or a conversation with an unfinished turn."
            ),
            (left, false) => format!(" {left} had been settled by somebody else."),
        };
        format!("{settled} {done}.{left}")
    }
}

async fn list(
    entered: Extension<Entered>,
    Shared(state): Shared<Arc<State>>,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let filter = Filter::of(&parameters);
    let letters = state.operations.dead_letters().await.map_err(unreadable)?;
    let accounts = letters.iter().map(|letter| letter.account.to_string());
    let before = parameters
        .get("before")
        .and_then(|before| before.parse().ok());
    let page = DeadLetters {
        shell: Shell::new("/dead-letters", entered, &state),
        accounts: accounts.collect(),
        groups: groups(&letters, &filter, before, &state),
        done: Done::of(&parameters),
        wrong: parameters
            .get("none")
            .map(|_| "Nothing was chosen. Tick one or more dead letters first."),
        filter,
    };
    Ok(show(&page))
}

/// The largest first; in each the newest first, before a certain one.
fn groups(
    letters: &[DeadLetter],
    filter: &Filter,
    before: Option<i64>,
    state: &State,
) -> Vec<Group> {
    let (accounts, now) = (state.relay.states(), state.clock.now().at);
    let mut alike: BTreeMap<_, Vec<&DeadLetter>> = BTreeMap::new();
    for letter in letters.iter().filter(|letter| filter.matches(letter)) {
        let key = (
            letter.account.as_str(),
            letter.error.as_str(),
            letter.kind(),
            letter.what_to_do(),
        );
        alike.entry(key).or_default().push(letter);
    }
    let limit = if filter.cause.is_some() { MANY } else { FEW };
    let mut groups: Vec<Group> = alike
        .into_values()
        .map(|alike| {
            let newest = alike.iter().rev();
            let shown = newest.filter(|letter| before.is_none_or(|before| letter.id.0 < before));
            let letters: Vec<Row> = shown
                .clone()
                .take(limit)
                .map(|letter| Row::new(letter, &accounts, now))
                .collect();
            let is_more = shown.count() > letters.len();
            let last = letters.last().map(|row| row.id.to_string());
            let last = last.filter(|_| filter.cause.is_some());
            let more = is_more.then(|| path_of(alike[0], last.as_deref()));
            Group::new(alike[0], alike.len(), letters, more)
        })
        .collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    groups
}

fn path_of(letter: &DeadLetter, before: Option<&str>) -> String {
    let pairs = [
        ("account", Some(letter.account.as_str())),
        ("cause", Some(letter.error.as_str())),
        ("before", before),
    ];
    Parameters::path("/dead-letters", &pairs)
}

impl Group {
    fn new(one: &DeadLetter, count: usize, letters: Vec<Row>, more: Option<String>) -> Self {
        Self {
            cause: one.error.clone(),
            account: one.account.to_string(),
            kind: match (one.can_be_retried(), count) {
                (true, 1) => "Turn".to_owned(),
                (true, _) => "Turns".to_owned(),
                (false, _) => one.kind().to_owned(),
            },
            what_to_do: one.what_to_do(),
            can_be_retried: one.can_be_retried(),
            count,
            letters,
            more,
        }
    }

    fn confirm_path(&self, action: &str) -> String {
        let pairs = [
            ("action", Some(action)),
            ("account", Some(&*self.account)),
            ("cause", Some(&*self.cause)),
        ];
        Parameters::path("/dead-letters/confirm", &pairs)
    }

    fn more_text(&self) -> String {
        let shown = self.letters.len();
        format!("Older ones ({shown} of {} are shown)", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_said_and_what_could_not_be() {
        let of = |query: &str| Done::of(&Parameters::parse(query.as_bytes()));
        let sentence = |query| of(query).unwrap().sentence();
        assert_eq!(
            sentence("done=retry&settled=1&left=0"),
            "1 dead letter retried."
        );
        assert!(
            sentence("done=drop&settled=2&left=1").starts_with("2 dead letters dropped. 1 had")
        );
        assert!(sentence("done=retry&settled=0&left=3").contains(" 3 could not be"));
        assert_eq!(of("done=retry&settled=<b>&left=0"), None);
        assert_eq!(of(""), None);
    }
}
