//! The calls that look at how an organization is set up, and see to its webhooks.
//! They take every answer as it is: what it means is for the caller to say.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Answer, Client};
use crate::gladly::{Admission, Ask, GladlyError, Precedence};
use crate::id::{AgentId, InboxId};
use crate::upstream::Seen;

/// One word for all of them in metrics.
const OPERATION: &str = "setup";

/// For a call that Gladly answers once the webhook has answered its `PING`, for
/// which it waits 15 s.
const PING_TIMEOUT: Duration = Duration::from_secs(25);

/// Whoever asks about the set-up waits no longer for a call that others need more.
const OF_USE_FOR: Duration = Duration::from_mins(1);

/// An id that no conversation or item has: what is asked about it has no effect,
/// and shows by its refusal whether the user may ask.
const NOBODYS: &str = "gladly-relay-check";

/// What the relay does with conversations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Reads a conversation.
    ReadConversation,
    /// Lists a conversation's items.
    ListItems,
    /// Reads an item.
    ReadItem,
    /// Replies to a customer.
    Reply,
    /// Writes a note.
    Note,
    /// Moves a conversation.
    Move,
}

impl Deed {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::ReadConversation,
        Self::ListItems,
        Self::ReadItem,
        Self::Reply,
        Self::Note,
        Self::Move,
    ];

    /// It, as what the user may or may not do.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadConversation => "read conversations",
            Self::ListItems => "list a conversation's items",
            Self::ReadItem => "read conversation items",
            Self::Reply => "reply to customers",
            Self::Note => "write notes",
            Self::Move => "move conversations",
        }
    }
}

/// A call without an answer: what happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoAnswer(pub String);

impl Client {
    /// `GET /organization`.
    pub async fn see_organization(&self) -> Result<Seen, NoAnswer> {
        self.see(self.request(Method::GET, &["organization"])).await
    }

    /// `GET /inboxes/{id}`.
    pub async fn see_inbox(&self, id: &InboxId) -> Result<Seen, NoAnswer> {
        self.see(self.request(Method::GET, &["inboxes", id.as_str()]))
            .await
    }

    /// `GET /agents/{id}`.
    pub async fn see_agent(&self, id: &AgentId) -> Result<Seen, NoAnswer> {
        self.see(self.request(Method::GET, &["agents", id.as_str()]))
            .await
    }

    /// `GET /webhooks`.
    pub async fn see_webhooks(&self, precedence: Precedence) -> Result<Seen, NoAnswer> {
        let request = self.request(Method::GET, &["webhooks"]);
        self.see_at(precedence, request).await
    }

    /// `POST /webhooks`.
    pub async fn create_webhook(&self, body: &Value) -> Result<Seen, NoAnswer> {
        let request = self.request(Method::POST, &["webhooks"]);
        self.see(request.json(body).timeout(PING_TIMEOUT)).await
    }

    /// `PATCH /webhooks/{id}`.
    pub async fn change_webhook(&self, id: &str, body: &Value) -> Result<Seen, NoAnswer> {
        let request = self.request(Method::PATCH, &["webhooks", id]);
        self.see(request.json(body).timeout(PING_TIMEOUT)).await
    }

    /// `PATCH /webhooks/{id}`: switches it on, and changes nothing else. Waits until
    /// nobody else needs a call.
    pub async fn switch_webhook_on(&self, id: &str) -> Result<Seen, NoAnswer> {
        let request = self.request(Method::PATCH, &["webhooks", id]);
        let request = request
            .json(&json!({ "enabled": true }))
            .timeout(PING_TIMEOUT);
        self.see_at(Precedence::Later, request).await
    }

    /// Asks for something to be done to a conversation or an item that does not
    /// exist, so that nothing is.
    pub async fn try_deed(&self, deed: Deed) -> Result<Seen, NoAnswer> {
        let conversation = ["conversations", NOBODYS];
        let item = ["conversation-items", NOBODYS];
        let request = match deed {
            Deed::ReadConversation => self.request(Method::GET, &conversation),
            Deed::ListItems => self.request(Method::GET, &[conversation[0], NOBODYS, "items"]),
            Deed::ReadItem => self.request(Method::GET, &item),
            Deed::Reply => self
                .request(Method::POST, &[item[0], NOBODYS, "reply"])
                .json(&json!({ "content": { "type": "CHAT_MESSAGE", "messageType": "TEXT", "body": "-" } })),
            Deed::Note => self
                .request(Method::POST, &[conversation[0], NOBODYS, "notes"])
                .json(&json!({ "content": { "body": "-" } })),
            Deed::Move => self
                .request(Method::PATCH, &conversation)
                .json(&json!({ "status": { "value": "OPEN" } })),
        };
        self.see(request).await
    }

    async fn see(&self, request: RequestBuilder) -> Result<Seen, NoAnswer> {
        self.see_at(Precedence::Fetch, request).await
    }

    async fn see_at(
        &self,
        precedence: Precedence,
        request: RequestBuilder,
    ) -> Result<Seen, NoAnswer> {
        let answered = async {
            let ask = Ask::one(precedence, Instant::now() + OF_USE_FOR);
            let permit = match self.permits(ask).await? {
                Admission::Granted(mut permits) => permits.take(),
                Admission::TooLate => None,
            };
            let stale = GladlyError::Stale {
                operation: OPERATION,
            };
            self.send(permit.ok_or(stale)?, OPERATION, request).await
        };
        match answered.await {
            Ok(Answer {
                status,
                headers,
                body,
            }) => Ok(Seen {
                status: status.as_u16(),
                headers,
                body: serde_json::from_slice(&body).unwrap_or(Value::Null),
                at: self.clock.wall(),
            }),
            Err(GladlyError::RetryLater { what, .. }) => Err(NoAnswer(what)),
            Err(error) => Err(NoAnswer(error.to_string())),
        }
    }
}
