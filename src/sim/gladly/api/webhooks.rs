//! The webhook calls. A webhook that is to be enabled, or whose URL changes
//! while it is, must answer a `PING` with 200, or nothing is saved.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::Value;

use super::parse;
use crate::sim::gladly::Shared;
use crate::sim::gladly::delivery::ping;
use crate::sim::gladly::problem::Problem;
use crate::sim::gladly::webhook::Webhook;
use crate::sim::gladly::world::World;

/// The most webhooks of an organization.
const MOST_WEBHOOKS: usize = 20;

type Gladly = State<Arc<Shared>>;

pub(super) async fn list(State(shared): Gladly) -> Json<Vec<Value>> {
    Json(
        shared
            .world
            .read(|world| world.webhooks.iter().map(Webhook::to_json).collect()),
    )
}

pub(super) async fn show(
    State(shared): Gladly,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    shared
        .world
        .read(|world| find(world, &id).map(|webhook| Json(webhook.to_json())))
}

pub(super) async fn create(
    State(shared): Gladly,
    body: Bytes,
) -> Result<(StatusCode, HeaderMap), Problem> {
    let body = parse(&body)?;
    Webhook::require_all(&body)?;
    let webhook = shared.change(|world| {
        if world.webhooks.len() >= MOST_WEBHOOKS {
            return Err(Problem::malformed(
                "an organization has at most 20 webhooks",
            ));
        }
        let mut webhook = Webhook::new(world.new_id());
        webhook.merge(&body, &world.options)?;
        check_unique(world, &webhook)?;
        Ok(webhook)
    })?;
    if webhook.enabled {
        check_answers(&shared, &webhook).await?;
    }
    let mut headers = HeaderMap::new();
    if let Ok(location) = HeaderValue::try_from(format!("/api/v1/webhooks/{}", webhook.id)) {
        headers.insert(header::LOCATION, location);
    }
    shared.change(|world| {
        check_unique(world, &webhook)?;
        world.webhooks.push(webhook);
        Ok((StatusCode::CREATED, headers))
    })
}

pub(super) async fn change(
    State(shared): Gladly,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let before = shared.world.read(|world| find(world, &id).cloned())?;
    let body = parse(&body)?;
    let mut webhook = before.clone();
    shared.world.read(|world| {
        webhook.merge(&body, &world.options)?;
        check_unique(world, &webhook)
    })?;
    if webhook.enabled && (!before.enabled || webhook.url != before.url) {
        check_answers(&shared, &webhook).await?;
    }
    if webhook.enabled {
        webhook.disabled_at = None;
    }
    shared.change(|world| {
        check_unique(world, &webhook)?;
        let place = world.webhooks.iter_mut().find(|place| place.id == id);
        *place.ok_or_else(|| Problem::not_found("webhook"))? = webhook;
        Ok(StatusCode::NO_CONTENT)
    })
}

pub(super) async fn remove(
    State(shared): Gladly,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    shared.change(|world| {
        if find(world, &id)?.enabled {
            let detail = "only a disabled webhook can be deleted";
            return Err(Problem::bad("enabled", "invalid_state", detail));
        }
        world.webhooks.retain(|webhook| webhook.id != id);
        Ok(StatusCode::NO_CONTENT)
    })
}

fn find<'a>(world: &'a World, id: &str) -> Result<&'a Webhook, Problem> {
    let found = world.webhooks.iter().find(|webhook| webhook.id == id);
    found.ok_or_else(|| Problem::not_found("webhook"))
}

fn check_unique(world: &World, webhook: &Webhook) -> Result<(), Problem> {
    let taken = |other: &Webhook| other.id != webhook.id && other.url == webhook.url;
    if world.webhooks.iter().any(taken) {
        return Err(Problem::bad("url", "taken", "url has already been taken"));
    }
    Ok(())
}

async fn check_answers(shared: &Shared, webhook: &Webhook) -> Result<(), Problem> {
    if ping(shared, webhook).await {
        return Ok(());
    }
    Err(Problem::bad(
        "url",
        "invalid",
        "url did not answer the PING event with 200",
    ))
}
