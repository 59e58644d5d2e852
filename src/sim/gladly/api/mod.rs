//! The simulated REST API: routes, authentication, roles, and reading of bodies. The
//! rules of each call are in the files below.

mod assign;
mod conversations;
mod directory;
mod events;
mod reply;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::Shared;
use super::problem::Problem;
use super::roles::allows;
use crate::sim::front;
use crate::sim::operation::Operation;

/// The API, behind the front and authentication.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let calls = Router::new()
        .route("/organization", get(directory::show_organization))
        .route("/inboxes", get(directory::list_inboxes))
        .route("/inboxes/{id}", get(directory::show_inbox))
        .route("/agents", get(directory::list_agents))
        .route("/agents/{id}", get(directory::show_agent))
        .route(
            "/conversations/{id}",
            get(conversations::show).merge(patch(assign::patch)),
        )
        .route("/conversations/{id}/items", get(conversations::list_items))
        .route("/conversations/{id}/notes", post(conversations::add_note))
        .route(
            "/conversations/{id}/topics",
            post(conversations::add_topics),
        )
        .route("/conversation-items/{id}", get(conversations::show_item))
        .route("/conversation-items/{id}/reply", post(reply::reply))
        .route("/webhooks", get(webhooks::list).post(webhooks::create))
        .route(
            "/webhooks/{id}",
            get(webhooks::show)
                .patch(webhooks::change)
                .delete(webhooks::remove),
        )
        .route("/events", get(events::list));
    let world = shared.world.clone();
    Router::new()
        .nest("/api/v1", calls)
        .fallback(async || Problem::not_found("path"))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&shared),
            authenticate,
        ))
        .layer(middleware::from_fn_with_state(world, front::pass))
        .with_state(shared)
}

async fn authenticate(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let expected = shared.world.read(|world| {
        STANDARD.encode(format!(
            "{}:{}",
            world.options.username, world.options.api_token
        ))
    });
    if basic_credentials(request.headers()) != Some(&expected) {
        return Problem::unauthorized().into_response();
    }
    let operation = Operation::of(request.method(), request.uri().path());
    if !shared
        .world
        .read(|world| allows(&world.options.roles, operation))
    {
        return Problem::forbidden().into_response();
    }
    next.run(request).await
}

fn basic_credentials(headers: &HeaderMap) -> Option<&str> {
    let (scheme, credentials) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    scheme.eq_ignore_ascii_case("basic").then_some(credentials)
}

/// Reads a body that must be a JSON object.
fn parse(body: &[u8]) -> Result<Value, Problem> {
    match serde_json::from_slice(body) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(Problem::malformed("the body must be a JSON object")),
        Err(_) => Err(Problem::malformed("the body is not JSON")),
    }
}

/// The `content` of a reply or a note.
fn content_of(body: &Value) -> Result<&Value, Problem> {
    body.get("content")
        .filter(|content| content.is_object())
        .ok_or_else(|| Problem::blank("content"))
}

/// `content.body`, which must be text and not blank.
fn body_of(content: &Value) -> Result<&str, Problem> {
    match &content["body"] {
        Value::String(body) if !body.trim().is_empty() => Ok(body),
        Value::String(_) | Value::Null => Err(Problem::blank("content.body")),
        _ => Err(Problem::bad(
            "content.body",
            "invalid",
            "content.body must be a string",
        )),
    }
}

/// Refuses HTML outside the limited list.
fn check_html(html: &str) -> Result<(), Problem> {
    match super::html::find_forbidden(html) {
        Some(found) => Err(Problem::bad("content.body", "invalid", found)),
        None => Ok(()),
    }
}
