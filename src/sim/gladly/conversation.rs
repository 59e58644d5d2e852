//! Conversations and their items, as kept, as the API shows them, and as a
//! test sees them.

use jiff::Timestamp;
use serde_json::{Value, json};

/// Who holds a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) inbox_id: String,
    pub(crate) agent_id: Option<String>,
}

impl Holder {
    pub(crate) fn to_json(&self) -> Value {
        match &self.agent_id {
            Some(agent_id) => json!({ "inboxId": self.inbox_id, "agentId": agent_id }),
            None => json!({ "inboxId": self.inbox_id }),
        }
    }
}

/// A conversation's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConversationStatus {
    /// `OPEN`
    Open,
    /// `WAITING`
    Waiting,
    /// `CLOSED`
    Closed,
}

impl ConversationStatus {
    /// As Gladly writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Waiting => "WAITING",
            Self::Closed => "CLOSED",
        }
    }
}

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Initiator {
    pub(crate) id: String,
    pub(crate) kind: String,
}

impl Initiator {
    pub(crate) fn new(kind: &str, id: &str) -> Self {
        Self {
            id: id.to_owned(),
            kind: kind.to_owned(),
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({ "id": self.id, "type": self.kind })
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Conversation {
    pub(crate) id: String,
    pub(crate) customer_id: String,
    pub(crate) customer_name: String,
    pub(crate) session_id: String,
    pub(crate) created_at: Timestamp,
    pub(crate) closed_at: Option<Timestamp>,
    pub(crate) holder: Holder,
    pub(crate) status: ConversationStatus,
    pub(crate) topic_ids: Vec<String>,
    /// Whether the last message is the customer's.
    pub(crate) customer_waits: bool,
    pub(crate) items: Vec<Item>,
}

#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) id: String,
    pub(crate) sequence: u64,
    pub(crate) timestamp: Timestamp,
    pub(crate) initiator: Initiator,
    pub(crate) content: Value,
    /// For a reply through the API: which item it answers, and what was sent.
    pub(crate) answers: Option<(String, Value)>,
    /// Whether the API can read it.
    pub(crate) readable: bool,
}

impl Conversation {
    pub(crate) fn is_closed(&self) -> bool {
        self.status == ConversationStatus::Closed
    }

    pub(crate) fn item(&self, id: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.id == id)
    }

    /// As `GET /conversations/{id}` shows it.
    pub(crate) fn to_json(&self) -> Value {
        let mut shown = json!({
            "id": self.id, "customerId": self.customer_id, "createdAt": self.created_at.to_string(),
            "inboxId": self.holder.inbox_id, "status": self.status.as_str(),
        });
        if let Some(agent_id) = &self.holder.agent_id {
            shown["agentId"] = json!(agent_id);
        }
        if let Some(closed_at) = self.closed_at {
            shown["closedAt"] = json!(closed_at.to_string());
        }
        if !self.topic_ids.is_empty() {
            shown["topicIds"] = json!(self.topic_ids);
        }
        shown
    }

    /// One of its items, as the API shows it.
    pub(crate) fn item_to_json(&self, item: &Item) -> Value {
        let mut shown = json!({
            "id": item.id, "customerId": self.customer_id, "conversationId": self.id,
            "timestamp": item.timestamp.to_string(), "initiator": item.initiator.to_json(),
            "content": item.content,
        });
        if item.answers.is_some() {
            shown["responder"] = item.initiator.to_json();
        }
        shown
    }

    pub(crate) fn view(&self) -> ConversationView {
        ConversationView {
            id: self.id.clone(),
            customer_name: self.customer_name.clone(),
            inbox_id: self.holder.inbox_id.clone(),
            agent_id: self.holder.agent_id.clone(),
            status: self.status,
            topic_ids: self.topic_ids.clone(),
            items: self.items.iter().map(Item::view).collect(),
        }
    }
}

impl Item {
    fn view(&self) -> ItemView {
        let (customer_item_id, sent) = self.answers.clone().unzip();
        ItemView {
            id: self.id.clone(),
            sequence: self.sequence,
            timestamp: self.timestamp,
            initiator_type: self.initiator.kind.clone(),
            initiator_id: self.initiator.id.clone(),
            content: self.content.clone(),
            customer_item_id,
            sent,
        }
    }
}

/// A conversation as it was when looked at.
#[derive(Debug, Clone)]
pub struct ConversationView {
    /// Its id.
    pub id: String,
    /// The customer's name.
    pub customer_name: String,
    /// The inbox it is in.
    pub inbox_id: String,
    /// The agent it is assigned to.
    pub agent_id: Option<String>,
    /// Its status.
    pub status: ConversationStatus,
    /// Its topics.
    pub topic_ids: Vec<String>,
    /// Its timeline, oldest first.
    pub items: Vec<ItemView>,
}

impl ConversationView {
    /// The replies sent through the API, oldest first.
    pub fn replies(&self) -> Vec<&ItemView> {
        self.items
            .iter()
            .filter(|item| item.customer_item_id.is_some())
            .collect()
    }

    /// The bodies of the notes, oldest first.
    pub fn notes(&self) -> Vec<&str> {
        let notes = self
            .items
            .iter()
            .filter(|item| item.content["type"] == "CONVERSATION_NOTE");
        notes
            .filter_map(|item| item.content["body"].as_str())
            .collect()
    }
}

/// An item as it was when looked at.
#[derive(Debug, Clone)]
pub struct ItemView {
    /// Its id.
    pub id: String,
    /// Its place among all that happened in this process's simulators.
    pub sequence: u64,
    /// When it was made.
    pub timestamp: Timestamp,
    /// `CUSTOMER`, `AGENT`, `API`, `SYSTEM`, …
    pub initiator_type: String,
    /// The customer's or the agent's id.
    pub initiator_id: String,
    /// What the API shows.
    pub content: Value,
    /// The customer's item that it answers, if it is a reply through the API.
    pub customer_item_id: Option<String>,
    /// The reply's `content` as it was sent, so with the HTML of an email.
    pub sent: Option<Value>,
}

impl ItemView {
    /// The words, of whatever kind of message or note.
    pub fn text(&self) -> Option<&str> {
        self.content["content"]
            .as_str()
            .or_else(|| self.content["body"].as_str())
    }
}
