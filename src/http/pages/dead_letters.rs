//! `GET /dead-letters`: what the relay could not finish, grouped by cause.

use std::collections::BTreeSet;
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
use crate::id::AccountName;
use crate::relay::AccountState;
use crate::store::{Cause, DeadLetter, DeadLetterId, LetterQuery, StoreError};

/// How many of a cause are shown beside other causes, and alone.
const FEW: usize = 10;
const MANY: usize = 100;
/// How many causes are shown at once.
const MOST_CAUSES: usize = 50;

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

    /// Asks for those that are meant.
    pub(super) fn query(&self) -> LetterQuery {
        LetterQuery {
            account: self.account.as_deref().map(AccountName::new),
            error: self.cause.clone(),
            ..LetterQuery::default()
        }
    }

    fn matches(&self, cause: &Cause) -> bool {
        let is =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|w| w == found);
        is(&self.account, cause.account.as_str()) && is(&self.cause, &cause.error)
    }
}

#[derive(Template)]
#[template(path = "dead_letters.html", config = "src/http/pages/askama.toml")]
struct DeadLetters {
    shell: Shell,
    accounts: BTreeSet<String>,
    filter: Filter,
    groups: Vec<Group>,
    /// How many causes are not shown.
    more_causes: usize,
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
    count: u64,
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
    let mut causes = state.operations.causes().await.map_err(unreadable)?;
    let accounts = causes.iter().map(|(cause, _)| cause.account.to_string());
    let accounts = accounts.collect();
    let before = parameters
        .get("before")
        .and_then(|before| before.parse().ok().map(DeadLetterId));
    causes.retain(|(cause, _)| filter.matches(cause));
    causes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let more_causes = causes.len().saturating_sub(MOST_CAUSES);
    causes.truncate(MOST_CAUSES);
    let groups = groups(&causes, &filter, before, &state).await;
    let page = DeadLetters {
        shell: Shell::new("/dead-letters", entered, &state),
        accounts,
        groups: groups.map_err(unreadable)?,
        more_causes,
        done: Done::of(&parameters),
        wrong: parameters
            .get("none")
            .map(|_| "Nothing was chosen. Tick one or more dead letters first."),
        filter,
    };
    Ok(show(&page))
}

/// In each the newest first, before a certain one.
async fn groups(
    causes: &[(Cause, u64)],
    filter: &Filter,
    before: Option<DeadLetterId>,
    state: &State,
) -> Result<Vec<Group>, StoreError> {
    let (accounts, now) = (state.relay.states(), state.clock.now().at);
    let limit = if filter.cause.is_some() { MANY } else { FEW };
    let mut groups = Vec::new();
    for (cause, count) in causes {
        let letters = state.operations.letters_of(cause, before, limit + 1);
        let letters = letters.await?;
        let shown = &letters[..letters.len().min(limit)];
        let Some(last) = shown.last() else { continue };
        let is_more = letters.len() > shown.len();
        let last = filter.cause.is_some().then(|| last.id.0.to_string());
        let more = is_more.then(|| path_of(&shown[0], last.as_deref()));
        let rows = shown.iter().map(|one| Row::new(one, &accounts, now));
        groups.push(Group::new(&shown[0], *count, rows.collect(), more));
    }
    Ok(groups)
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
    fn new(one: &DeadLetter, count: u64, letters: Vec<Row>, more: Option<String>) -> Self {
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
