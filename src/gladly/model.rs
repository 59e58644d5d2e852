//! Conversations and their items, as far as the relay needs them.
//!
//! Read leniently: a field that is missing or of another type counts as
//! absent, and an unknown word as "something else".

use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use crate::conversation::{Holder, Named, Status};
use crate::id::{AgentId, ConversationId, InboxId, ItemId, NotAnId};
use crate::text::Channel;

/// `GET /conversations/{id}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// Who holds it.
    pub holder: Holder,
    /// Whether it is open.
    pub status: Status,
}

impl Conversation {
    /// Reads an answer; none if it is not a conversation.
    pub fn read(value: &Value) -> Option<Self> {
        // The id is not used, but an object without one is not a conversation.
        let _: ConversationId = ConversationId::parse(text(value, "id")?).ok()?;
        // What can't be read is not taken for open.
        let open = matches!(text(value, "status"), Some("OPEN" | "WAITING" | "NEW"));
        Some(Self {
            holder: read_holder(value),
            status: if open { Status::Open } else { Status::Closed },
        })
    }
}

/// Who holds a conversation, by its `inboxId` and `agentId`. Gladly writes
/// "nobody" as absent, null or empty; whatever else can't be read is somebody.
pub(super) fn read_holder(value: &Value) -> Holder {
    Holder {
        inbox_id: read_named(value.get("inboxId"), InboxId::parse),
        agent_id: read_named(value.get("agentId"), AgentId::parse),
    }
}

fn read_named<T>(value: Option<&Value>, parse: fn(&str) -> Result<T, NotAnId>) -> Named<T> {
    match value {
        None | Some(Value::Null) => Named::Nobody,
        Some(Value::String(id)) if id.is_empty() => Named::Nobody,
        Some(Value::String(id)) => parse(id).map_or(Named::Unreadable, Named::This),
        Some(_) => Named::Unreadable,
    }
}

/// Who wrote an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initiator {
    /// The customer.
    Customer,
    /// An agent, or a bot that writes as one.
    Agent,
    /// One of Gladly's rules, such as an acknowledgement.
    Automation,
    /// Another program, or a word not known here.
    Other,
}

/// One entry of a conversation's timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its id.
    pub id: ItemId,
    /// The conversation it is of, if it says.
    pub conversation_id: Option<ConversationId>,
    /// When it was written, by Gladly's clock.
    pub happened_at: Option<Timestamp>,
    /// Who wrote it.
    pub initiator: Initiator,
    /// What it holds.
    pub content: ItemContent,
}

/// What an item holds. `Debug` shows no words.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ItemContent {
    /// Gladly's `content.type`, which may be one that is not known here.
    pub content_type: String,
    /// The words, as plain text or, in a note, limited HTML; empty if none.
    pub text: String,
    /// An email's sender.
    pub from: String,
    /// An email's subject.
    pub subject: String,
    /// The names of attached files.
    pub attachments: Vec<String>,
}

impl ItemContent {
    /// The channel that a reply must use; none if the API can't reply to it.
    pub fn channel(&self) -> Option<Channel> {
        Channel::from_content_type(&self.content_type)
    }
}

impl fmt::Debug for ItemContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ItemContent")
            .field("content_type", &self.content_type)
            .finish_non_exhaustive()
    }
}

impl Item {
    /// Reads one item; none if it has no usable id.
    pub fn read(value: &Value) -> Option<Self> {
        let initiator = value
            .get("initiator")
            .and_then(|initiator| text(initiator, "type"));
        Some(Self {
            id: ItemId::parse(text(value, "id")?).ok()?,
            conversation_id: text(value, "conversationId")
                .and_then(|id| ConversationId::parse(id).ok()),
            happened_at: text(value, "timestamp").and_then(|text| text.parse().ok()),
            initiator: match initiator {
                Some("CUSTOMER") => Initiator::Customer,
                Some("AGENT") => Initiator::Agent,
                Some("AUTOMATION") => Initiator::Automation,
                _ => Initiator::Other,
            },
            content: value.get("content").map(read_content).unwrap_or_default(),
        })
    }
}

fn read_content(content: &Value) -> ItemContent {
    let own = |name| text(content, name).unwrap_or_default().to_owned();
    let attachments = content
        .get("attachments")
        .and_then(Value::as_array)
        .map(Vec::as_slice);
    ItemContent {
        content_type: own("type"),
        // Notes keep their words in `body`, every message in `content`.
        text: text(content, "content")
            .or_else(|| text(content, "body"))
            .unwrap_or_default()
            .to_owned(),
        from: own("from"),
        subject: own("subject"),
        attachments: attachments
            .unwrap_or_default()
            .iter()
            .map(attachment_name)
            .collect(),
    }
}

fn attachment_name(attachment: &Value) -> String {
    let named = ["filename", "contentType"]
        .iter()
        .find_map(|name| text(attachment, name));
    named.unwrap_or("a file without a name").to_owned()
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value
        .get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}
