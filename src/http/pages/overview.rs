//! `GET /`: what needs a person first, then how each account is.

use std::sync::Arc;

use askama::Template;
use axum::extract::State as Shared;
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use jiff::Timestamp;

use super::chart::Chart;
use super::concerns::{Concern, Severity, concerns};
use super::history::{Buckets, charts};
use super::words::{ago, length, percent};
use super::{Shell, show};
use crate::http::accounts::{AccountView, accounts};
use crate::http::gate::Entered;
use crate::http::problem::Problem;
use crate::http::{State, unreadable};
use crate::relay::WebhookState;
use crate::store::totals::hour_of;
use crate::store::{StoreError, days};

pub(super) fn router() -> Router<Arc<State>> {
    Router::new().route("/", get(overview))
}

#[derive(Template)]
#[template(path = "overview.html", config = "src/http/pages/askama.toml")]
struct Overview {
    shell: Shell,
    concerns: Vec<Concern>,
    accounts: Vec<Card>,
    charts: Vec<Chart>,
}

struct Card {
    name: String,
    facts: Vec<Fact>,
}

/// A line of a card.
#[derive(Debug, PartialEq, Eq)]
struct Fact {
    name: &'static str,
    value: String,
    note: Option<String>,
    severity: Option<Severity>,
}

async fn overview(
    entered: Extension<Entered>,
    Shared(state): Shared<Arc<State>>,
) -> Result<Response, Problem> {
    let view = accounts(&state).await.map_err(unreadable)?;
    let now = state.clock.now().at;
    let page = Overview {
        shell: Shell::new("/", entered, &state),
        concerns: concerns(&view),
        accounts: view.accounts.iter().map(|view| card(view, now)).collect(),
        charts: day_and_week(&state, now).await.map_err(unreadable)?,
    };
    Ok(show(&page))
}

/// Of all accounts together.
async fn day_and_week(state: &State, now: Timestamp) -> Result<Vec<Chart>, StoreError> {
    let until_hour = hour_of(now) + 1;
    let (day, week) = (Buckets::hours(until_hour, 24), Buckets::days(until_hour, 7));
    let history = &*state.history;
    let hours = history.totals(day.first_hour(), until_hour, None).await?;
    let days = days::read(history, week.first_hour(), until_hour, None).await?;
    let day = charts(&hours, &day, ["hours-outcomes", "hours-times"]);
    let week = charts(&days, &week, ["days-outcomes", "days-times"]);
    Ok(day.into_iter().chain(week).collect())
}

fn card(view: &AccountView, now: Timestamp) -> Card {
    Card {
        name: view.state.name.to_string(),
        facts: vec![
            webhook(view.state.webhook),
            last_event(view, now),
            Fact::new(
                "Driven by",
                view.state
                    .driven_by
                    .clone()
                    .unwrap_or_else(|| "nobody".to_owned()),
            ),
            waiting(view),
            breaker(view),
            Fact::new(
                "Rate limit",
                format!("{} used", percent(view.state.limit_used)),
            ),
            dead_letters(view),
        ],
    }
}

impl Fact {
    const fn new(name: &'static str, value: String) -> Self {
        Self {
            name,
            value,
            note: None,
            severity: None,
        }
    }
}

fn webhook(state: WebhookState) -> Fact {
    let (value, severity, note) = match state {
        WebhookState::Enabled => ("on", None, None),
        WebhookState::Disabled => ("off", Some(Severity::Bad), None),
        WebhookState::Missing => ("missing", Some(Severity::Bad), None),
        WebhookState::Unknown => ("not known", None, Some("needs a public URL")),
    };
    Fact {
        note: note.map(str::to_owned),
        severity,
        ..Fact::new("Webhook", value.to_owned())
    }
}

fn last_event(view: &AccountView, now: Timestamp) -> Fact {
    let told = view.state.last_event_at.map(|at| ago(at, now));
    Fact::new(
        "Last event",
        told.unwrap_or_else(|| "none since the start".to_owned()),
    )
}

fn waiting(view: &AccountView) -> Fact {
    let (backlog, deadline) = (&view.backlog, view.state.answer_deadline);
    if backlog.turns == 0 {
        return Fact::new("Waiting", "nobody".to_owned());
    }
    let late = backlog.oldest_waiting > deadline;
    Fact {
        note: Some(format!(
            "the longest for {} of {}",
            length(backlog.oldest_waiting),
            length(deadline)
        )),
        severity: late.then_some(Severity::Bad),
        ..Fact::new("Waiting", backlog.turns.to_string())
    }
}

fn breaker(view: &AccountView) -> Fact {
    let open = view.state.breaker_open;
    let value = if open {
        "open: Gleen is not asked"
    } else {
        "closed"
    };
    Fact {
        severity: open.then_some(Severity::Warn),
        ..Fact::new("Breaker", value.to_owned())
    }
}

fn dead_letters(view: &AccountView) -> Fact {
    let number = view.backlog.dead_letters;
    Fact {
        severity: (number > 0).then_some(Severity::Bad),
        ..Fact::new("Dead letters", number.to_string())
    }
}
