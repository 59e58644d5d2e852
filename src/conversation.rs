//! What is known of a conversation: who holds it and whether it is open.
//!
//! The facts come from webhooks, which may arrive late and out of order, and
//! from looking at Gladly. Each therefore carries the moment as of which it
//! was true, and an older fact never replaces a newer one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{AgentId, ConversationId, InboxId, ThreadId};

/// Who holds a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The inbox it sits in; none if it sits in no inbox.
    pub inbox_id: Option<InboxId>,
    /// The agent it is assigned to; none if it waits for anybody.
    pub agent_id: Option<AgentId>,
}

/// Whether a conversation may be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Gladly's `OPEN` and `WAITING`, and any status not known here.
    Open,
    /// Gladly's `CLOSED`.
    Closed,
    /// It changed, but nobody said to what (`CONVERSATION_STATUS/UPDATED`).
    Unclear,
}

impl Status {
    /// The word for the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Unclear => "unclear",
        }
    }

    /// The status with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Open, Self::Closed, Self::Unclear]
            .into_iter()
            .find(|status| status.as_str() == word)
    }
}

/// A fact, and the moment as of which it held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsOf<T> {
    /// What held.
    pub value: T,
    /// When it held, by the clock of whoever said so.
    pub at: Timestamp,
}

/// What the relay remembers of a conversation between turns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// Who holds it.
    pub holder: Option<AsOf<Holder>>,
    /// Whether it is open. None while nobody has said.
    pub status: Option<AsOf<Status>>,
    /// When this relay last moved it to the human inbox.
    pub handed_off_at: Option<Timestamp>,
    /// Gleen's memory of it, until it closes.
    pub thread_id: Option<ThreadId>,
    /// The conversation that survived a merge of customers.
    pub merged_into: Option<ConversationId>,
    /// The language its customer last surely wrote in (ISO 639-1).
    pub locale: Option<String>,
}
