//! `GET /turns`: what became of the messages, newest first. The filter stands in the
//! address, so that it can be shared.

use std::sync::Arc;

use askama::Template;
use axum::extract::State as Shared;
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use jiff::Timestamp;

use super::words::{length, moment, plain};
use super::{Shell, show};
use crate::clock::time_until;
use crate::http::gate::Entered;
use crate::http::parameters::Parameters;
use crate::http::problem::Problem;
use crate::http::{State, unreadable};
use crate::id::AccountName;
use crate::outcome::{HandoffReason, SkipReason};
use crate::report::parse_since;
use crate::store::{Place, TurnQuery, TurnRow};

/// Turns on one page.
const ON_A_PAGE: usize = 50;

/// How each outcome is called.
pub(super) const OUTCOMES: [(&str, &str); 5] = [
    ("running", "Not ended"),
    ("replied", "Answered"),
    ("handed_off", "To humans"),
    ("skipped", "Left alone"),
    ("dead", "Dead letter"),
];

/// From when on.
const SINCE: [(&str, &str); 4] = [
    ("1h", "Last hour"),
    ("24h", "Last 24 hours"),
    ("3d", "Last 3 days"),
    ("7d", "Last 7 days"),
];

pub(super) fn router() -> Router<Arc<State>> {
    Router::new().route("/turns", get(list))
}

#[derive(Template)]
#[template(path = "turns.html", config = "src/http/pages/askama.toml")]
struct TurnsPage {
    shell: Shell,
    filter: Filter,
    accounts: Vec<String>,
    /// Word and name, as the other two.
    reasons: Vec<(&'static str, String)>,
    turns: Vec<Row>,
    /// Where older ones are.
    older: Option<String>,
    /// The page of the newest ones, if this is another.
    newest: Option<String>,
}

/// What is asked for, as it stands in the address.
#[derive(Debug, Default)]
struct Filter {
    account: Option<String>,
    outcome: Option<String>,
    reason: Option<String>,
    since: Option<String>,
}

impl Filter {
    fn of(parameters: &Parameters) -> Self {
        let get = |name| parameters.get(name).map(str::to_owned);
        Self {
            account: get("account"),
            outcome: get("outcome"),
            reason: get("reason"),
            since: get("since"),
        }
    }

    const fn is_set(&self) -> bool {
        self.account.is_some()
            || self.outcome.is_some()
            || self.reason.is_some()
            || self.since.is_some()
    }

    fn path(&self, before: Option<&str>) -> String {
        let pairs = [
            ("account", self.account.as_deref()),
            ("outcome", self.outcome.as_deref()),
            ("reason", self.reason.as_deref()),
            ("since", self.since.as_deref()),
            ("before", before),
        ];
        Parameters::path("/turns", &pairs)
    }

    fn query(&self, now: Timestamp, before: Option<Place>) -> Result<TurnQuery, Problem> {
        let wrong = Problem::bad_parameter("`since` is a length of time, as 24h or 7d, or a time");
        let since = self.since.as_deref();
        let since = since.map(|text| parse_since(text, now).ok_or(wrong));
        Ok(TurnQuery {
            account: self.account.as_deref().map(AccountName::new),
            outcome: self.outcome.clone(),
            reason: self.reason.clone(),
            since: since.transpose()?,
            before,
            limit: ON_A_PAGE + 1,
            ..TurnQuery::default()
        })
    }

    #[expect(clippy::unused_self, reason = "templates reach it through the filter")]
    const fn outcomes(&self) -> [(&'static str, &'static str); 5] {
        OUTCOMES
    }

    #[expect(clippy::unused_self, reason = "templates reach it through the filter")]
    const fn spans(&self) -> [(&'static str, &'static str); 4] {
        SINCE
    }
}

/// One turn as it is shown.
struct Row {
    id: String,
    at: String,
    at_text: String,
    account: String,
    conversation_id: String,
    path: String,
    outcome: &'static str,
    class: &'static str,
    reason: Option<String>,
    messages: usize,
    took: Option<String>,
}

impl Row {
    fn new(turn: &TurnRow) -> Self {
        let took = turn.finished_at.map(|at| time_until(at, turn.received_at));
        let (outcome, class) = outcome(turn.outcome.as_deref());
        Self {
            id: turn.id.to_string(),
            at: turn.received_at.to_string(),
            at_text: moment(turn.received_at),
            account: turn.account.to_string(),
            path: super::conversation::path(&turn.account, &turn.conversation_id),
            conversation_id: turn.conversation_id.to_string(),
            outcome,
            class,
            reason: turn.reason.as_deref().map(plain),
            messages: turn.messages,
            took: took.map(length),
        }
    }
}

/// The name of an outcome, and its style.
pub(super) fn outcome(word: Option<&str>) -> (&'static str, &'static str) {
    let word = word.unwrap_or("running");
    let found = OUTCOMES.iter().find(|(found, _)| *found == word);
    let class = match word {
        "replied" => "good",
        "handed_off" => "warn",
        "dead" => "bad",
        _ => "plain",
    };
    (found.map_or("Ended", |(_, name)| name), class)
}

async fn list(
    entered: Extension<Entered>,
    Shared(state): Shared<Arc<State>>,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let filter = Filter::of(&parameters);
    let before = parameters.get("before").map(|text| {
        let place = text.parse::<Place>();
        place.map_err(|_| Problem::bad_parameter("`before` is a place of another page"))
    });
    let before = before.transpose()?;
    let query = filter.query(state.clock.now().at, before)?;
    let turns = state.history.turns(&query).await.map_err(unreadable)?;
    let has_older = turns.len() > ON_A_PAGE;
    let shown = &turns[..turns.len().min(ON_A_PAGE)];
    let last = shown.last().filter(|_| has_older);
    let older = last.map(|turn| filter.path(Some(&turn.place().to_string())));
    let reasons = HandoffReason::ALL.iter().map(|reason| reason.as_str());
    let reasons = reasons.chain(SkipReason::ALL.iter().map(|reason| reason.as_str()));
    let page = TurnsPage {
        shell: Shell::new("/turns", entered, &state),
        accounts: state.relay.accounts().map(ToString::to_string).collect(),
        reasons: reasons.map(|word| (word, plain(word))).collect(),
        turns: shown.iter().map(Row::new).collect(),
        older,
        newest: before.is_some().then(|| filter.path(None)),
        filter,
    };
    Ok(show(&page))
}
