//! Webhooks in: bytes → what happened.
//!
//! Gladly adds types, fields and values without notice, so whatever is not
//! needed here is skipped. A known type whose ids can't be used is
//! [`WebhookContent::Unusable`], not an error: refusing it would make Gladly
//! switch the webhook off (shared facts: Gladly help, "Webhooks").

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::model::read_holder;
use crate::conversation::{Holder, Named};
use crate::id::{ConversationId, EventId, ItemId};

/// One delivery.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// Its id, where it has one.
    pub id: Option<EventId>,
    /// Its type if known here, else `other`: a metric label.
    pub kind: &'static str,
    /// When it was raised, by Gladly's clock.
    pub happened_at: Option<Timestamp>,
    /// What it says.
    pub content: WebhookContent,
}

/// What a delivery says.
#[derive(Debug, Clone, PartialEq)]
pub enum WebhookContent {
    /// Gladly tries the URL.
    Ping,
    /// A type that does not concern the relay.
    Other,
    /// A customer wrote (`CONTACT/MESSAGE_RECEIVED`, `MESSAGE/RECEIVED`).
    Message {
        /// Where.
        conversation_id: ConversationId,
        /// What: the item to fetch for the text.
        item_id: ItemId,
        /// Who held it before the event, if the event says.
        context: Option<Holder>,
    },
    /// It is open: created or reopened.
    Opened(ConversationId),
    /// It was closed.
    Closed(ConversationId),
    /// Its status changed; the event does not say to what.
    StatusChanged(ConversationId),
    /// Somebody else holds it now; none if the event does not say who.
    HolderChanged(ConversationId, Option<Holder>),
    /// Two customers became one, and with them their conversations.
    Merged {
        /// The conversation that is gone.
        source: ConversationId,
        /// The conversation that is left.
        destination: ConversationId,
    },
    /// A known type without the ids it should have; says which.
    Unusable(String),
}

/// Bytes that are not a webhook: not a JSON object with a `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body is not a JSON object with a \"type\"")]
pub struct Malformed;

/// Reads one delivery.
///
/// # Errors
/// [`Malformed`] if it is not a JSON object with a string `type`.
pub fn parse_webhook(body: &[u8]) -> Result<Webhook, Malformed> {
    let value: Value = serde_json::from_slice(body).map_err(|_| Malformed)?;
    let event_type = value.get("type").and_then(Value::as_str).ok_or(Malformed)?;
    let id = value
        .get("id")
        .and_then(Value::as_str)
        .map(str::trim)
        .filter(|id| !id.is_empty());
    let nothing = Map::new();
    let content = value
        .get("content")
        .and_then(Value::as_object)
        .unwrap_or(&nothing);
    let (kind, content) = read_content(event_type, content);
    Ok(Webhook {
        id: id.map(|id| EventId(id.chars().take(200).collect())),
        kind,
        happened_at: value
            .get("timestamp")
            .and_then(Value::as_str)
            .and_then(|text| text.parse().ok()),
        content: content.unwrap_or_else(WebhookContent::Unusable),
    })
}

/// What an answer to `GET /events` holds.
#[derive(Debug, Default, PartialEq)]
pub struct Events {
    /// What may concern the relay, oldest first: each with the line that it was read
    /// from, which is what a webhook would have brought.
    pub told: Vec<(Webhook, Vec<u8>)>,
    /// Lines that are no events.
    pub malformed: usize,
}

/// Reads an answer to `GET /events`: JSON lines, each shaped as a webhook's body. None
/// if no line of it is.
pub fn parse_events(body: &[u8]) -> Option<Events> {
    let mut events = Events::default();
    let mut lines = 0;
    for line in body.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        lines += 1;
        match parse_webhook(line) {
            Ok(webhook) => match webhook.content {
                WebhookContent::Ping | WebhookContent::Other => {}
                _ => events.told.push((webhook, line.to_vec())),
            },
            Err(Malformed) => events.malformed += 1,
        }
    }
    events.told.sort_by_key(|(webhook, _)| webhook.happened_at);
    (lines == 0 || events.malformed < lines).then_some(events)
}

type Fields = Map<String, Value>;

fn read_content(
    event_type: &str,
    fields: &Fields,
) -> (&'static str, Result<WebhookContent, String>) {
    let conversation = || conversation_id(fields, "conversationId");
    match event_type {
        "PING" => ("PING", Ok(WebhookContent::Ping)),
        "CONTACT/MESSAGE_RECEIVED" => ("CONTACT/MESSAGE_RECEIVED", read_message(fields)),
        "MESSAGE/RECEIVED" => ("MESSAGE/RECEIVED", read_message(fields)),
        "CONVERSATION/CREATED" => (
            "CONVERSATION/CREATED",
            conversation().map(WebhookContent::Opened),
        ),
        "CONVERSATION/REOPENED" => (
            "CONVERSATION/REOPENED",
            conversation().map(WebhookContent::Opened),
        ),
        "CONVERSATION/CLOSED" => (
            "CONVERSATION/CLOSED",
            conversation().map(WebhookContent::Closed),
        ),
        "CONVERSATION_STATUS/UPDATED" => (
            "CONVERSATION_STATUS/UPDATED",
            conversation().map(WebhookContent::StatusChanged),
        ),
        "CONVERSATION_ASSIGNEE/UPDATED" => ("CONVERSATION_ASSIGNEE/UPDATED", read_assignee(fields)),
        "CUSTOMER/MERGED" => ("CUSTOMER/MERGED", read_merge(fields)),
        _ => ("other", Ok(WebhookContent::Other)),
    }
}

fn read_message(fields: &Fields) -> Result<WebhookContent, String> {
    // The older event calls the item `conversationItemId`; others were seen.
    let names = ["messageId", "conversationItemId", "itemId"];
    let item_id = names
        .iter()
        .find_map(|name| text(fields, name))
        .ok_or("content.messageId is missing")?;
    Ok(WebhookContent::Message {
        conversation_id: conversation_id(fields, "conversationId")?,
        item_id: ItemId::parse(item_id).map_err(|error| format!("content.messageId: {error}"))?,
        context: fields
            .get("context")
            .and_then(|context| context.get("assignee"))
            .and_then(read_assignee_holder),
    })
}

fn read_assignee(fields: &Fields) -> Result<WebhookContent, String> {
    let conversation_id = conversation_id(fields, "conversationId")?;
    let holder = fields.get("assignee").and_then(read_assignee_holder);
    Ok(WebhookContent::HolderChanged(conversation_id, holder))
}

/// A merge without conversations concerns only the customers.
fn read_merge(fields: &Fields) -> Result<WebhookContent, String> {
    let given = |name| text(fields, name).is_some();
    if !given("sourceConversationId") || !given("destinationConversationId") {
        return Ok(WebhookContent::Other);
    }
    Ok(WebhookContent::Merged {
        source: conversation_id(fields, "sourceConversationId")?,
        destination: conversation_id(fields, "destinationConversationId")?,
    })
}

/// None where the event does not say which inbox holds it, or not in a way that
/// can be read: then the relay looks for itself.
fn read_assignee_holder(assignee: &Value) -> Option<Holder> {
    Some(read_holder(assignee)).filter(|holder| matches!(holder.inbox_id, Named::This(_)))
}

fn conversation_id(fields: &Fields, name: &str) -> Result<ConversationId, String> {
    let id = text(fields, name).ok_or_else(|| format!("content.{name} is missing"))?;
    ConversationId::parse(id).map_err(|error| format!("content.{name}: {error}"))
}

/// A non-empty string; Gladly writes "nobody" as absent, null or empty.
fn text<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields
        .get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}
