//! Events: what Gladly tells of a change, by webhook and by `GET /events`.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::conversation::{Conversation, Holder, Initiator};
use super::message::event_channel;
use super::options::MessageEvents;
use super::world::World;

/// Today's event for a customer's message.
pub(crate) const CONTACT_MESSAGE_RECEIVED: &str = "CONTACT/MESSAGE_RECEIVED";
/// The older event for a customer's message.
pub(crate) const MESSAGE_RECEIVED: &str = "MESSAGE/RECEIVED";

/// The events a webhook can subscribe to, but for the two above.
pub(crate) const OTHER_EVENTS: &[&str] = &[
    "CONVERSATION/CREATED",
    "CONVERSATION/CLOSED",
    "CONVERSATION/REOPENED",
    "CONVERSATION_STATUS/UPDATED",
    "CONVERSATION_ASSIGNEE/UPDATED",
    "CUSTOMER/MERGED",
];

#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) kind: String,
    pub(crate) at: Timestamp,
    pub(crate) payload: Value,
    /// The customer's item it tells of.
    pub(crate) item_id: Option<String>,
}

/// One event on its way to one webhook.
#[derive(Debug, Clone)]
pub(crate) struct Dispatch {
    pub(crate) webhook_id: String,
    pub(crate) event_id: String,
    pub(crate) event_type: String,
    pub(crate) body: Value,
    pub(crate) delay: Duration,
}

impl MessageEvents {
    pub(crate) fn kinds(self) -> &'static [&'static str] {
        match self {
            Self::Contact => &[CONTACT_MESSAGE_RECEIVED],
            Self::Legacy => &[MESSAGE_RECEIVED],
            Self::Both => &[CONTACT_MESSAGE_RECEIVED, MESSAGE_RECEIVED],
        }
    }
}

impl World {
    /// Raises an event and sends it to the webhooks that want it. Returns its id.
    pub(crate) fn raise(&mut self, kind: &str, by: Option<&Initiator>, content: &Value) -> String {
        let event = self.record_event(kind, by, content);
        self.dispatch(&event);
        event_id(&event)
    }

    /// Raises the events that tell of a customer's item; `delivered` or lost.
    pub(crate) fn raise_message(&mut self, conversation_id: &str, item_id: &str, delivered: bool) {
        for kind in self.options.message_events.kinds() {
            let contact_id = self.new_id();
            let Some(conversation) = self.conversations.get(conversation_id) else {
                return;
            };
            let Some(item) = conversation.item(item_id) else {
                return;
            };
            let content = match *kind {
                CONTACT_MESSAGE_RECEIVED => json!({
                    "channel": event_channel(&item.content), "contactId": contact_id,
                    "conversationId": conversation_id, "customerId": conversation.customer_id,
                    "messageId": item_id, "context": context(&conversation.holder),
                }),
                _ => json!({ "customerId": conversation.customer_id,
                    "conversationId": conversation_id, "conversationItemId": item_id }),
            };
            let initiator = item.initiator.clone();
            let mut event = self.record_event(kind, Some(&initiator), &content);
            event.item_id = Some(item_id.to_owned());
            if let Some(recorded) = self.events.last_mut() {
                recorded.item_id.clone_from(&event.item_id);
            }
            if delivered {
                self.dispatch(&event);
            }
        }
    }

    fn record_event(&mut self, kind: &str, by: Option<&Initiator>, content: &Value) -> Event {
        let at = self.now();
        let mut payload = json!({ "id": self.new_id(), "type": kind,
            "timestamp": at.to_string(), "content": content });
        if let Some(by) = by {
            payload["initiator"] = by.to_json();
        }
        let event = Event {
            kind: kind.to_owned(),
            at,
            payload,
            item_id: None,
        };
        self.events.push(event.clone());
        event
    }

    fn dispatch(&mut self, event: &Event) {
        let chaos = self.options.delivery.chaos;
        let wanted = |webhook: &&super::webhook::Webhook| {
            webhook.enabled && webhook.events.contains(&event.kind)
        };
        let webhook_ids: Vec<String> = self
            .webhooks
            .iter()
            .filter(wanted)
            .map(|webhook| webhook.id.clone())
            .collect();
        for webhook_id in webhook_ids {
            let copies = if self.rng.f64() < chaos.duplicate {
                2
            } else {
                1
            };
            for _ in 0..copies {
                let late = self.rng.f64() < chaos.delay;
                let lateness = if late { self.rng.f64() } else { 0.0 };
                self.undelivered += 1;
                self.dispatches.push(Dispatch {
                    webhook_id: webhook_id.clone(),
                    event_id: event_id(event),
                    event_type: event.kind.clone(),
                    body: event.payload.clone(),
                    delay: chaos.longest_delay.mul_f64(lateness),
                });
            }
        }
    }
}

/// The content that most events of a conversation have.
pub(crate) fn conversation_content(conversation: &Conversation, before: &Holder) -> Value {
    json!({ "customerId": conversation.customer_id, "conversationId": conversation.id,
        "context": context(before) })
}

/// Who held the conversation before the event.
pub(crate) fn context(before: &Holder) -> Value {
    json!({ "assignee": before.to_json() })
}

fn event_id(event: &Event) -> String {
    event.payload["id"].as_str().unwrap_or_default().to_owned()
}
