//! `GET /events`: what was raised in a span of the last 24 hours, as JSON lines.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};

use crate::sim::gladly::Shared;
use crate::sim::gladly::event::Event;
use crate::sim::gladly::problem::Problem;
use crate::sim::gladly::world::World;

/// What events can be about, as far as the API's page tells.
const ENTITIES: [&str; 7] = [
    "AGENT_AVAILABILITY",
    "AGENT_STATUS",
    "CONTACT",
    "CONVERSATION",
    "CUSTOMER",
    "PAYMENT_REQUEST",
    "TASK",
];

struct Span {
    start: Timestamp,
    end: Timestamp,
    /// Empty for all.
    entities: Vec<String>,
}

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let now = shared.world.read(World::now);
    let span = parse(&query.unwrap_or_default(), now)?;
    let lines = shared.world.read(|world| select(world, &span, now));
    Ok(([(header::CONTENT_TYPE, "application/x-jsonlines")], lines).into_response())
}

fn select(world: &World, span: &Span, now: Timestamp) -> String {
    let lag = SignedDuration::try_from(world.options.events_lag).unwrap_or_default();
    let visible = now.saturating_sub(lag).unwrap_or(now).min(span.end);
    let mut lines = String::new();
    for event in &world.events {
        let wanted = span.entities.is_empty() || span.entities.iter().any(|e| e == entity(event));
        if wanted && event.at >= span.start && event.at <= visible {
            lines.push_str(&event.payload.to_string());
            lines.push('\n');
        }
    }
    lines
}

/// What an event is about: `CONVERSATION_STATUS/UPDATED` and its like are about
/// conversations.
fn entity(event: &Event) -> &str {
    let first = event.kind.split('/').next().unwrap_or_default();
    if first.starts_with("CONVERSATION_") {
        return "CONVERSATION";
    }
    first
}

fn parse(query: &str, now: Timestamp) -> Result<Span, Problem> {
    // Only to have the query decoded; the rest of the URL means nothing.
    let url = reqwest::Url::parse(&format!("http://localhost/?{query}"))
        .map_err(|_| Problem::malformed("the query is malformed"))?;
    let (mut start, mut end, mut entities) = (None, None, Vec::new());
    for (name, value) in url.query_pairs() {
        match name.as_ref() {
            "startAt" => start = Some(parse_time("startAt", &value)?),
            "endAt" => end = Some(parse_time("endAt", &value)?),
            "entities" => entities.push(checked_entity(value.into_owned())?),
            _ => {}
        }
    }
    let start = start.ok_or_else(|| Problem::blank("startAt"))?;
    let end = end.ok_or_else(|| Problem::blank("endAt"))?;
    if end < start {
        return Err(Problem::bad(
            "endAt",
            "invalid",
            "endAt must not be before startAt",
        ));
    }
    if now.duration_since(start) > SignedDuration::from_hours(24) {
        return Err(Problem::bad(
            "startAt",
            "invalid",
            "startAt must be within the last 24 hours",
        ));
    }
    Ok(Span {
        start,
        end,
        entities,
    })
}

fn checked_entity(entity: String) -> Result<String, Problem> {
    if ENTITIES.contains(&&*entity) {
        return Ok(entity);
    }
    let detail = format!("entity {entity:?} is not known");
    Err(Problem::bad("entities", "invalid", detail))
}

fn parse_time(attr: &str, value: &str) -> Result<Timestamp, Problem> {
    let invalid = |_| Problem::bad(attr, "invalid", format!("{attr} must be an ISO 8601 time"));
    value.parse().map_err(invalid)
}
