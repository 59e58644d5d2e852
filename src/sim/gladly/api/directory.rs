//! `GET` of the organization, its inboxes and its agents.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde_json::Value;

use crate::sim::gladly::Shared;
use crate::sim::gladly::problem::Problem;

type Gladly = State<Arc<Shared>>;

pub(super) async fn show_organization(State(shared): Gladly) -> Json<Value> {
    Json(
        shared
            .world
            .read(|world| world.options.organization(&world.url)),
    )
}

pub(super) async fn list_inboxes(State(shared): Gladly) -> Json<Vec<Value>> {
    Json(shared.world.read(|world| world.options.inboxes()))
}

pub(super) async fn show_inbox(
    State(shared): Gladly,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    find(
        shared.world.read(|world| world.options.inboxes()),
        &id,
        "inbox",
    )
}

pub(super) async fn list_agents(State(shared): Gladly) -> Json<Vec<Value>> {
    Json(shared.world.read(|world| world.options.agents()))
}

pub(super) async fn show_agent(
    State(shared): Gladly,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    find(
        shared.world.read(|world| world.options.agents()),
        &id,
        "agent",
    )
}

fn find(all: Vec<Value>, id: &str, what: &str) -> Result<Json<Value>, Problem> {
    let found = all.into_iter().find(|one| one["id"] == id);
    found.map(Json).ok_or_else(|| Problem::not_found(what))
}
