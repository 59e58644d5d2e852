//! How values stand in rows, in every database: JSON, words for outcomes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::picture::{Conversation, Unreadable};
use super::{Lane, Past, StoreError};
use crate::conversation::Known;
use crate::id::ConversationId;
use crate::outcome::{HandoffReason, Outcome, SkipReason};

/// What `conversations.value` holds.
#[derive(Serialize)]
struct ValueOut<'a> {
    known: &'a Known,
    lane: &'a Lane,
    past: &'a Past,
}

#[derive(Deserialize)]
struct ValueIn {
    known: Known,
    lane: Lane,
    #[serde(default)]
    past: Past,
}

/// JSON of a value of this program, which can always be written.
pub(super) fn json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Unavailable(error.to_string()))
}

/// What `conversations.value` is to hold.
pub(super) fn of_conversation(conversation: &Conversation) -> Result<String, StoreError> {
    json(&ValueOut {
        known: &conversation.known,
        lane: &conversation.lane,
        past: &conversation.past,
    })
}

/// A conversation of what its row holds.
pub(super) fn conversation(
    value: &[u8],
    merged_into: Option<ConversationId>,
    due_at: Option<Timestamp>,
) -> Result<Conversation, Unreadable> {
    let value: ValueIn =
        serde_json::from_slice(value).map_err(|error| Unreadable(error.to_string()))?;
    Ok(Conversation {
        known: value.known,
        lane: value.lane,
        past: value.past,
        merged_into,
        due_at,
    })
}

/// The outcome of its word and its reason.
pub(super) fn outcome(word: &str, reason: Option<String>) -> Result<Outcome, Unreadable> {
    let reason = reason.unwrap_or_default();
    let outcome = match word {
        "replied" => Some(Outcome::Replied),
        "handed_off" => HandoffReason::from_word(&reason).map(Outcome::HandedOff),
        "skipped" => SkipReason::from_word(&reason).map(Outcome::Skipped),
        "dead" => Some(Outcome::Dead(reason)),
        _ => None,
    };
    outcome.ok_or_else(|| Unreadable("its outcome is not known here".to_owned()))
}
