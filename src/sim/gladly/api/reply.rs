//! `POST /conversation-items/{id}/reply`: the rules of answering a customer.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::conversations::created;
use super::{body_of, check_html, content_of, parse};
use crate::sim::gladly::Shared;
use crate::sim::gladly::conversation::{Conversation, Item};
use crate::sim::gladly::html::plain_text;
use crate::sim::gladly::message::content_in_return;
use crate::sim::gladly::problem::Problem;
use crate::sim::gladly::world::World;

/// The most UTF-16 code units in a reply, the strictest reading of "characters".
const LONGEST_BODY: usize = 2048;

/// The types that can be replied to.
const SUPPORTED: &[&str] = &[
    "CHAT_MESSAGE",
    "EMAIL",
    "SMS",
    "WHATSAPP",
    "FACEBOOK_MESSAGE",
    "INSTAGRAM_DIRECT",
];

pub(super) async fn reply(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, HeaderMap), Problem> {
    shared.change(|world| {
        let item_id = apply(world, &id, &body)?;
        Ok(created(&item_id))
    })
}

fn apply(world: &mut World, customer_item_id: &str, body: &[u8]) -> Result<String, Problem> {
    let (conversation, item) = world.called_item(customer_item_id)?;
    let body = parse(body)?;
    let content = content_of(&body)?;
    check_target(conversation, item)?;
    check_type(content, &item.content)?;
    let text = checked_text(content)?;
    let shown = content_in_return(&item.content, &text);
    let conversation_id = conversation.id.clone();
    if let Ok(conversation) = world.called_conversation(&conversation_id) {
        conversation.customer_waits = false;
    }
    let api_user = world.api_user();
    let answers = Some((customer_item_id.to_owned(), content.clone()));
    let item_id = world.append(&conversation_id, &api_user, shown, answers);
    world.assign_if_free(&conversation_id, &api_user.id, &api_user);
    Ok(item_id)
}

fn check_target(conversation: &Conversation, item: &Item) -> Result<(), Problem> {
    if conversation.is_closed() {
        let detail = "you cannot reply to items in closed conversations";
        return Err(Problem::bad("conversation", "invalid_state", detail));
    }
    if item.initiator.kind != "CUSTOMER" {
        let detail = "you can only reply to customer messages";
        return Err(Problem::bad("initiator", "invalid", detail));
    }
    Ok(())
}

fn check_type(content: &Value, item: &Value) -> Result<(), Problem> {
    let invalid = |detail: String| Problem::bad("content.type", "invalid", detail);
    let wanted = content["type"].as_str().filter(|kind| !kind.is_empty());
    let wanted = wanted.ok_or_else(|| Problem::blank("content.type"))?;
    let actual = item["type"].as_str().unwrap_or_default();
    if let Some(unsupported) = [actual, wanted]
        .iter()
        .find(|kind| !SUPPORTED.contains(kind))
    {
        return Err(invalid(format!("type [{unsupported}] is not supported")));
    }
    if wanted != actual {
        return Err(invalid(format!(
            "type [{wanted}] does not match the item's type [{actual}]"
        )));
    }
    if wanted == "CHAT_MESSAGE" && content["messageType"] != "TEXT" {
        let detail = "content.messageType must be TEXT";
        return Err(Problem::bad("content.messageType", "invalid", detail));
    }
    Ok(())
}

/// The text that the timeline will show.
fn checked_text(content: &Value) -> Result<String, Problem> {
    let body = body_of(content)?;
    if content["type"] != "EMAIL" {
        if body.encode_utf16().count() > LONGEST_BODY {
            let detail = format!("content.body cannot be larger than {LONGEST_BODY} characters");
            return Err(Problem::bad("content.body", "too_long", detail));
        }
        return Ok(body.to_owned());
    }
    check_html(body)?;
    match &content["bodyPlain"] {
        Value::Null => Ok(plain_text(body)),
        Value::String(plain) => Ok(plain.clone()),
        _ => Err(Problem::bad(
            "content.bodyPlain",
            "invalid",
            "content.bodyPlain must be a string",
        )),
    }
}
