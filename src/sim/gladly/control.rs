//! The control API under `/sim/`, with which `curl` or a load test plays the
//! customers and the humans. Neither authenticated nor rate limited: a tool for
//! loopback.
//!
//! | call | does |
//! | --- | --- |
//! | `POST /sim/conversations` `{"customer"?}` | opens a conversation: `{"conversationId"}` |
//! | `GET /sim/conversations/{id}` | shows all of it |
//! | `POST /sim/conversations/{id}/messages` `{"channel"?,"text"}` | the customer writes: `{"itemId"}` |
//! | `POST /sim/conversations/{id}/takeover`, `/close`, `/reopen` | a human acts: 204 |
//! | `POST /sim/faults` | adds a fault, see `control_faults`: 204 |
//! | `DELETE /sim/faults` | forgets the faults of both simulators: 204 |
//! | `GET /sim/requests` | the calls so far: `{"gladly":[…],"gleen":[…]}` |
//!
//! Channels: `CHAT` (default), `QUICK_REPLY_RESPONSE`, `EMAIL`, `SMS`, `WHATSAPP`,
//! `FB_MESSENGER`, `INSTAGRAM_DIRECT`, `VOICEMAIL`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::Shared;
use super::act::UnknownId;
use super::control_faults::{add_fault, clear_faults};
use super::conversation::ConversationStatus;
use super::message::{Channel, Message};
use super::problem::Problem;
use super::world::World;
use crate::sim::front::RecordedRequest;

type Gladly = State<Arc<Shared>>;

/// The control API.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/sim/conversations", post(open))
        .route("/sim/conversations/{id}", get(show))
        .route("/sim/conversations/{id}/messages", post(say))
        .route("/sim/conversations/{id}/{act}", post(act))
        .route("/sim/faults", post(add_fault).delete(clear_faults))
        .route("/sim/requests", get(list_requests))
        .with_state(shared)
}

async fn open(State(shared): Gladly, body: Bytes) -> Result<(StatusCode, Json<Value>), Problem> {
    let body = parse(&body)?;
    let customer = body["customer"].as_str().unwrap_or("Customer");
    let id = shared.change(|world| world.add_conversation(customer));
    Ok((StatusCode::CREATED, Json(json!({ "conversationId": id }))))
}

async fn show(State(shared): Gladly, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    shared.change(|world| {
        let conversation = world.called_conversation(&id)?;
        let items = conversation
            .items
            .iter()
            .map(|item| conversation.item_to_json(item));
        let mut shown = conversation.to_json();
        shown["items"] = items.collect();
        shown["customerName"] = json!(conversation.customer_name);
        Ok(Json(shown))
    })
}

async fn say(
    State(shared): Gladly,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let body = parse(&body)?;
    let channel = Channel::from_word(body["channel"].as_str().unwrap_or("CHAT"));
    let channel =
        channel.ok_or_else(|| Problem::bad("channel", "invalid", "channel is not known"))?;
    let text = body["text"].as_str().unwrap_or_default();
    let message = Message::new(channel, text);
    let item_id = shared.change(|world| world.customer_says(&id, &message, true))?;
    Ok((StatusCode::CREATED, Json(json!({ "itemId": item_id }))))
}

async fn act(
    State(shared): Gladly,
    Path((id, act)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    shared.change(|world: &mut World| match act.as_str() {
        "takeover" => Ok(world.take_over(&id)?),
        "close" => Ok(world.human_sets_status(&id, ConversationStatus::Closed)?),
        "reopen" => Ok(world.human_sets_status(&id, ConversationStatus::Open)?),
        _ => Err(Problem::not_found("path")),
    })?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_requests(State(shared): Gladly) -> Json<Value> {
    let gladly: Vec<Value> = shared
        .world
        .read(|world| world.requests().iter().map(request_to_json).collect());
    let gleen = shared
        .gleen
        .get()
        .map(super::Gleen::requests)
        .unwrap_or_default();
    let gleen: Vec<Value> = gleen.iter().map(request_to_json).collect();
    Json(json!({ "gladly": gladly, "gleen": gleen }))
}

fn request_to_json(request: &RecordedRequest) -> Value {
    json!({ "sequence": request.sequence, "operation": request.operation.as_str(),
        "method": request.method, "path": request.path, "status": request.status })
}

/// An empty body stands for `{}`.
fn parse(body: &[u8]) -> Result<Value, Problem> {
    if body.is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_slice(body).map_err(|_| Problem::malformed("the body is not JSON"))
}

impl From<UnknownId> for Problem {
    fn from(_: UnknownId) -> Self {
        Self::not_found("conversation")
    }
}
