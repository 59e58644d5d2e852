//! `GET /report`: what the bot does for the business, with the span before beside it, and
//! `GET /report.csv`.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::State as Shared;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};

use super::chart::Chart;
use super::history::{Buckets, charts};
use super::words::{length, moment, percent, plain};
use super::{Shell, show};
use crate::http::gate::Entered;
use crate::http::parameters::Parameters;
use crate::http::problem::Problem;
use crate::http::{State, unreadable};
use crate::id::AccountName;
use crate::report::{self, Figures, Histogram, Report, Share, Span};
use crate::store::totals::hour_begins;

/// What is reported of unless somebody says otherwise.
const A_WEEK: Duration = Duration::from_hours(7 * 24);
const SPANS: [(&str, &str); 4] = [
    ("24h", "Last 24 hours"),
    ("7d", "Last 7 days"),
    ("30d", "Last 30 days"),
    ("90d", "Last 90 days"),
];
/// The most days that a chart shows.
const MOST_DAYS: i64 = 92;

pub(super) fn router() -> Router<Arc<State>> {
    Router::new()
        .route("/report", get(page))
        .route("/report.csv", get(csv))
}

#[derive(Template)]
#[template(path = "report.html", config = "src/http/pages/askama.toml")]
struct ReportPage {
    shell: Shell,
    since: String,
    account: Option<String>,
    accounts: Vec<String>,
    from: String,
    until: String,
    csv: String,
    rates: Vec<Rate>,
    tables: Vec<Table>,
    by_account: Vec<AccountLine>,
    charts: Vec<Chart>,
}

/// A share, and what it is a share of.
struct Rate {
    name: &'static str,
    meaning: &'static str,
    now: String,
    of: String,
    before: String,
}

struct Table {
    id: &'static str,
    title: &'static str,
    lines: Vec<Line>,
}

/// A figure of the span and of the one before.
struct Line {
    name: String,
    now: String,
    before: String,
    /// It is part of the line above.
    is_part: bool,
}

struct AccountLine {
    name: String,
    cells: [String; 7],
}

impl ReportPage {
    #[expect(clippy::unused_self, reason = "templates reach it through the page")]
    const fn spans(&self) -> [(&'static str, &'static str); 4] {
        SPANS
    }
}

/// Of which hours and whose, as the address says.
fn asked(state: &State, parameters: &Parameters) -> Result<(Span, Option<AccountName>), Problem> {
    let now = state.clock.now().at;
    let wrong = Problem::bad_parameter("`since` is a length of time, as 24h or 7d, or a time");
    let span = parameters
        .get("since")
        .map(|text| Span::parse(text, now).ok_or(wrong));
    let span = span.transpose()?.unwrap_or(Span::until(now, A_WEEK));
    Ok((span, parameters.account()))
}

async fn page(
    entered: Extension<Entered>,
    Shared(state): Shared<Arc<State>>,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let (span, account) = asked(&state, &parameters)?;
    let totals = report::totals(&*state.history, span, account.as_ref());
    let totals = totals.await.map_err(unreadable)?;
    let told = report::report(&totals, span, account.clone());
    let (now, before) = (&told.all, &told.before);
    let account = account.map(|account| account.to_string());
    let since = parameters.get("since").unwrap_or("7d");
    let days = Buckets::days(span.until_hour, (span.hours() / 24).clamp(1, MOST_DAYS));
    let hours = Buckets::hours(span.until_hour, 24);
    let buckets = if span.hours() <= 24 { hours } else { days };
    let pairs = [("since", Some(since)), ("account", account.as_deref())];
    Ok(show(&ReportPage {
        shell: Shell::new("/report", entered, &state),
        accounts: state.relay.accounts().map(ToString::to_string).collect(),
        from: moment(span.begins()),
        until: moment(hour_begins(span.until_hour).min(state.clock.now().at)),
        csv: Parameters::path("/report.csv", &pairs),
        rates: rates(now, before),
        tables: tables(now, before),
        by_account: by_account(&told),
        charts: charts(&totals, &buckets, ["report-outcomes", "report-times"]).into(),
        since: since.to_owned(),
        account,
    }))
}

async fn csv(
    Shared(state): Shared<Arc<State>>,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let (span, account) = asked(&state, &parameters)?;
    let told = report::read(&*state.history, span, account)
        .await
        .map_err(unreadable)?;
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8"),
        (
            CONTENT_DISPOSITION,
            "attachment; filename=\"gladly-relay.csv\"",
        ),
    ];
    Ok((headers, told.to_csv()).into_response())
}

fn rates(now: &Figures, before: &Figures) -> Vec<Rate> {
    type Of = fn(&Figures) -> Share;
    let all: [(&str, Of, &str); 5] = [
        (
            "Involvement",
            Figures::involvement,
            "the bot was asked, of conversations with a message that it could answer",
        ),
        (
            "Answered",
            Figures::answer_rate,
            "the bot answered, of those in which it was asked",
        ),
        (
            "Containment",
            Figures::containment,
            "closed after its answer, before anybody else than the bot held it, of those in which it was asked",
        ),
        (
            "Durable containment",
            Figures::durable_containment,
            "and did not go on within 7 days",
        ),
        (
            "Automation",
            Figures::automation,
            "closed so, of those with a message that the bot could answer",
        ),
    ];
    let told = |share: Share| {
        share
            .rate()
            .map_or_else(|| "too few to tell".to_owned(), percent)
    };
    let rate = |(name, of, meaning): (&'static str, Of, &'static str)| Rate {
        name,
        meaning,
        now: told(of(now)),
        of: format!("{} of {}", of(now).numerator, of(now).denominator),
        before: told(of(before)),
    };
    all.into_iter().map(rate).collect()
}

fn tables(now: &Figures, before: &Figures) -> Vec<Table> {
    let table = |id, title, lines| Table { id, title, lines };
    let handed_off = by_reason(&now.handed_off, &before.handed_off);
    let left_alone = by_reason(&now.skipped, &before.skipped);
    vec![
        table("counts", "Turns", counts(now, before)),
        table("times", "Times", times(now, before)),
        table("humans", "To humans, because of", handed_off),
        table("alone", "Left alone, because of", left_alone),
    ]
}

impl Line {
    fn new(name: &str, now: String, before: String) -> Self {
        Self {
            name: name.to_owned(),
            now,
            before,
            is_part: false,
        }
    }

    fn of_counts(name: &str, now: i64, before: i64) -> Self {
        Self::new(name, now.to_string(), before.to_string())
    }

    fn part(self) -> Self {
        Self {
            is_part: true,
            ..self
        }
    }
}

fn counts(now: &Figures, before: &Figures) -> Vec<Line> {
    let line = |name: &str, of: fn(&Figures) -> i64| Line::of_counts(name, of(now), of(before));
    vec![
        line("Messages", |figures| figures.messages),
        line("Turns", Figures::turns),
        line("answered", |figures| figures.replied).part(),
        line("to humans", Figures::handovers).part(),
        line("left alone", Figures::left_alone).part(),
        line("dead letters that nobody has retried", |figures| {
            figures.dead
        })
        .part(),
        line("Messages that only the sweep found", |figures| {
            figures.recovered
        }),
    ]
}

fn by_reason(
    now: &std::collections::BTreeMap<String, i64>,
    before: &std::collections::BTreeMap<String, i64>,
) -> Vec<Line> {
    let of = |counts: &std::collections::BTreeMap<String, i64>, word: &str| {
        counts.get(word).copied().unwrap_or_default()
    };
    let words: std::collections::BTreeSet<&String> = now.keys().chain(before.keys()).collect();
    let mut lines: Vec<_> = words
        .into_iter()
        .map(|word| (word, of(now, word), of(before, word)))
        .collect();
    lines.sort_by_key(|(_, now, before)| std::cmp::Reverse((*now, *before)));
    let line =
        |(word, now, before): (&String, i64, i64)| Line::of_counts(&plain(word), now, before);
    lines.into_iter().map(line).collect()
}

fn times(now: &Figures, before: &Figures) -> Vec<Line> {
    let told = |found: Option<Duration>| found.map_or_else(|| "too few to tell".to_owned(), length);
    let line =
        |name: &str, of: fn(&Figures) -> &Histogram, part: fn(&Histogram) -> Option<Duration>| {
            Line::new(name, told(part(of(now))), told(part(of(before))))
        };
    let mut lines = vec![
        line(
            "To the bot's answer, half within",
            |figures| &figures.to_answer,
            Histogram::median,
        ),
        line(
            "95 of 100 within",
            |figures| &figures.to_answer,
            Histogram::p95,
        )
        .part(),
        line(
            "To a human, half within",
            |figures| &figures.to_human,
            Histogram::median,
        ),
        line(
            "95 of 100 within",
            |figures| &figures.to_human,
            Histogram::p95,
        )
        .part(),
    ];
    let share = |found: Option<f64>| found.map_or_else(|| "not known".to_owned(), percent);
    lines.push(Line::new(
        "Gladly's limit used by turns, on average",
        share(now.limit_used()),
        share(before.limit_used()),
    ));
    let most = Figures::limit_used_at_most;
    lines.push(Line::new("in the busiest hour", share(most(now)), share(most(before))).part());
    lines
}

fn by_account(told: &Report) -> Vec<AccountLine> {
    let line = |(name, figures): (&AccountName, &Figures)| AccountLine {
        name: name.to_string(),
        cells: [
            figures.messages.to_string(),
            figures.replied.to_string(),
            figures.handovers().to_string(),
            figures.left_alone().to_string(),
            figures.dead.to_string(),
            figures
                .containment()
                .rate()
                .map_or_else(|| "too few".to_owned(), percent),
            figures
                .to_answer
                .median()
                .map_or_else(|| "too few".to_owned(), length),
        ],
    };
    told.accounts.iter().map(line).collect()
}
