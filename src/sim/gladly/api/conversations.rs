//! Reading conversations and items; adding notes and topics.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::{body_of, check_html, content_of, parse};
use crate::sim::gladly::Shared;
use crate::sim::gladly::problem::Problem;
use crate::sim::gladly::world::World;

/// The most items that are listed.
const MOST_ITEMS: usize = 1000;

type Gladly = State<Arc<Shared>>;

pub(super) async fn show(
    State(shared): Gladly,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    shared.change(|world| Ok(Json(world.called_conversation(&id)?.to_json())))
}

pub(super) async fn list_items(
    State(shared): Gladly,
    Path(id): Path<String>,
) -> Result<(HeaderMap, Json<Vec<Value>>), Problem> {
    shared.change(|world| {
        let conversation = world.called_conversation(&id)?;
        let readable = conversation.items.iter().filter(|item| item.readable);
        let shown = readable
            .take(MOST_ITEMS)
            .map(|item| conversation.item_to_json(item));
        let mut headers = HeaderMap::new();
        if conversation.items.len() > MOST_ITEMS {
            headers.insert("Gladly-Limited-Data", HeaderValue::from_static("true"));
        }
        Ok((headers, Json(shown.collect())))
    })
}

pub(super) async fn show_item(
    State(shared): Gladly,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    shared.world.read(|world| {
        let (conversation, item) = world.called_item(&id)?;
        if !item.readable {
            let detail = "this conversation item cannot be read through the API";
            return Err(Problem::malformed(detail));
        }
        Ok(Json(conversation.item_to_json(item)))
    })
}

pub(super) async fn add_note(
    State(shared): Gladly,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, HeaderMap), Problem> {
    shared.change(|world| {
        world.called_conversation(&id)?;
        let body = parse(&body)?;
        let text = body_of(content_of(&body)?)?;
        check_html(text)?;
        let note = json!({ "type": "CONVERSATION_NOTE", "body": text });
        let item_id = world.append(&id, &world.api_user(), note, None);
        Ok(created(&item_id))
    })
}

pub(super) async fn add_topics(
    State(shared): Gladly,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    shared.change(|world| {
        world.called_conversation(&id)?;
        let topic_ids = checked_topics(world, &parse(&body)?)?;
        let conversation = world.called_conversation(&id)?;
        for topic_id in topic_ids {
            if !conversation.topic_ids.contains(&topic_id) {
                conversation.topic_ids.push(topic_id);
            }
        }
        let change = json!({ "type": "TOPIC_CHANGE", "topicIds": conversation.topic_ids });
        world.append(&id, &world.api_user(), change, None);
        Ok(StatusCode::NO_CONTENT)
    })
}

fn checked_topics(world: &World, body: &Value) -> Result<Vec<String>, Problem> {
    let topic_ids = body["topicIds"].as_array().filter(|ids| !ids.is_empty());
    let topic_ids = topic_ids.ok_or_else(|| Problem::blank("topicIds"))?;
    topic_ids
        .iter()
        .map(|topic_id| match topic_id.as_str().map(ToOwned::to_owned) {
            Some(id) if world.options.topic_ids.contains(&id) => Ok(id),
            _ => Err(Problem::bad(
                "topicIds",
                "not_exist",
                format!("topic {topic_id} does not exist"),
            )),
        })
        .collect()
}

/// 201 with the new item's location.
pub(super) fn created(item_id: &str) -> (StatusCode, HeaderMap) {
    let mut headers = HeaderMap::new();
    if let Ok(location) = HeaderValue::try_from(format!("/api/v1/conversation-items/{item_id}")) {
        headers.insert(header::LOCATION, location);
    }
    (StatusCode::CREATED, headers)
}
