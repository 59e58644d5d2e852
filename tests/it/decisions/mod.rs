//! The rows of the design's table "Decisions", one by one: who gets the bot,
//! who gets a human, and whose words never reach the bot.

mod handed_off;
mod taken_over;
mod told_late;
mod whose;

use std::time::Duration;

use gladly_relay::outcome::HandoffReason::{self, *};
use gladly_relay::outcome::{Outcome, SkipReason};
use gladly_relay::sim::{
    Answer, Channel, GladlyOptions, Message, MessageEvents, Operation, Outage, What,
};
use jiff::SignedDuration;
use serde_json::json;

use crate::support::{Setup, TestRelay, soon};

fn skipped(reason: SkipReason) -> Outcome {
    Outcome::Skipped(reason)
}

/// Asserts that the conversation is with the humans, told why, and the bot silent.
fn assert_handed_off(relay: &TestRelay, conversation: &str, note_says: &str) {
    let view = relay.view(conversation);
    assert_eq!(view.inbox_id, relay.gladly.options().handoff_inbox_id);
    assert_eq!(view.agent_id, None);
    assert_eq!(view.notes().len(), 1);
    assert!(view.notes()[0].contains(note_says), "{}", view.notes()[0]);
    assert_eq!(view.replies().len(), 0);
}

/// Tells by hand who holds a conversation, as of so long from now.
async fn tell_holder(relay: &TestRelay, conversation: &str, inbox_id: &str, at: SignedDuration) {
    let at = jiff::Timestamp::now() + at;
    let body = json!({"id": "by-hand", "type": "CONVERSATION_ASSIGNEE/UPDATED", "timestamp": at.to_string(),
        "content": {"conversationId": conversation, "assignee": {"inboxId": inbox_id}}});
    assert_eq!(relay.post(body.to_string()).await.status(), 200);
}

/// Tells by hand what became of a conversation's status, as of so long from now.
async fn tell_status(relay: &TestRelay, conversation: &str, event: &str, at: SignedDuration) {
    let at = jiff::Timestamp::now() + at;
    let body = json!({"id": event, "type": event, "timestamp": at.to_string(),
        "content": {"conversationId": conversation}});
    assert_eq!(relay.post(body.to_string()).await.status(), 200);
}
