//! What customers, human agents and Gladly's administrators do, from Rust.
//!
//! All of it panics if a conversation or item does not exist: the caller made
//! it, so that is a mistake in the caller.

use serde_json::Value;

use super::Gladly;
use super::act::UnknownId;
use super::conversation::{ConversationStatus, Holder, Initiator};
use super::message::Message;
use super::webhook::{Webhook, WebhookSpec};
use super::world::World;

impl Gladly {
    /// A customer opens a conversation: in the AI inbox, `OPEN`, without a
    /// message yet, unassigned unless `assign_to_bot`.
    pub fn add_conversation(&self, customer_name: &str) -> String {
        self.shared
            .change(|world| world.add_conversation(customer_name))
    }

    /// The customer writes, and the webhooks tell of it. Returns the item's id.
    pub fn customer_says(&self, conversation: &str, message: &Message) -> String {
        self.act(|world| world.customer_says(conversation, message, true))
    }

    /// The customer writes into this inbox, and a rule at once moves the conversation
    /// back to where it was: the message's event names the inbox that it was in
    /// before. Returns the item's id.
    pub fn customer_says_before_a_rule(
        &self,
        conversation: &str,
        message: &Message,
        inbox_id: &str,
    ) -> String {
        self.act(|world| {
            let inbox_id = inbox_id.to_owned();
            let agent_id = None;
            let first = Holder { inbox_id, agent_id };
            let ruled = std::mem::replace(&mut world.known(conversation)?.holder, first);
            let item = world.customer_says(conversation, message, true)?;
            world.assign(
                conversation,
                ruled,
                &Initiator::new("SYSTEM", "rule"),
                "RULE",
            );
            Ok(item)
        })
    }

    /// The customer writes, but no webhook tells of it. `GET /events` does.
    pub fn customer_message_without_webhook(
        &self,
        conversation: &str,
        message: &Message,
    ) -> String {
        self.act(|world| world.customer_says(conversation, message, false))
    }

    /// Raises any event and sends it to the webhooks that want it. Returns its id.
    pub fn raise(&self, event_type: &str, content: &Value) -> String {
        self.shared
            .change(|world| world.raise(event_type, None, content))
    }

    /// The webhook body that tells of a customer's item, the same every time:
    /// the first, if two events do.
    pub fn payload_for(&self, item: &str) -> Value {
        self.act(|world| {
            let mut events = world.events.iter();
            let found = events.find(|event| event.item_id.as_deref() == Some(item));
            found
                .map(|event| event.payload.clone())
                .ok_or_else(|| UnknownId(item.to_owned()))
        })
    }

    /// A human takes the conversation, wherever it is.
    pub fn take_over(&self, conversation: &str) {
        self.act(|world| world.take_over(conversation));
    }

    /// A human writes to the customer, and gets the conversation if it is
    /// unassigned. Returns the item's id.
    pub fn agent_replies(&self, conversation: &str, text: &str) -> String {
        self.act(|world| world.agent_replies(conversation, text))
    }

    /// A human closes the conversation.
    pub fn close(&self, conversation: &str) {
        self.act(|world| world.human_sets_status(conversation, ConversationStatus::Closed));
    }

    /// A human opens the conversation again.
    pub fn reopen(&self, conversation: &str) {
        self.act(|world| world.human_sets_status(conversation, ConversationStatus::Open));
    }

    /// A human sets the conversation to `WAITING`.
    pub fn park(&self, conversation: &str) {
        self.act(|world| world.human_sets_status(conversation, ConversationStatus::Waiting));
    }

    /// A human moves the conversation.
    pub fn move_to(&self, conversation: &str, inbox_id: &str, agent_id: Option<&str>) {
        self.act(|world| {
            world.known(conversation)?;
            let agent_id = agent_id.map(ToOwned::to_owned);
            let holder = Holder {
                inbox_id: inbox_id.to_owned(),
                agent_id,
            };
            world.assign(conversation, holder, &world.human(), "MANUAL");
            Ok(())
        });
    }

    /// A human finds that two customers are one.
    pub fn merge(&self, source: &str, destination: &str) {
        self.act(|world| world.merge(source, destination));
    }

    /// Makes an item one that the API refuses to show.
    pub fn hide_item(&self, item: &str) {
        self.act(|world| {
            let unknown = || UnknownId(item.to_owned());
            let home = world.item_homes.get(item).cloned().ok_or_else(unknown)?;
            let mut items = world.known(&home)?.items.iter_mut();
            items
                .find(|other| other.id == item)
                .ok_or_else(unknown)?
                .readable = false;
            Ok(())
        });
    }

    /// An administrator registers a webhook, enabled. No `PING` is sent.
    pub fn register_webhook(&self, spec: WebhookSpec) -> String {
        self.shared.change(|world| {
            let mut webhook = Webhook::new(world.new_id());
            webhook.name = spec.name;
            webhook.url = spec.url;
            webhook.events = spec.events;
            webhook.headers = spec.headers;
            webhook.credentials = spec.credentials;
            webhook.enabled = true;
            let id = webhook.id.clone();
            world.webhooks.push(webhook);
            id
        })
    }

    /// An administrator switches a webhook on or off. No `PING` is sent.
    pub fn enable_webhook(&self, webhook: &str, enabled: bool) {
        self.act(|world| {
            let mut webhooks = world.webhooks.iter_mut();
            let found = webhooks.find(|other| other.id == webhook);
            let found = found.ok_or_else(|| UnknownId(webhook.to_owned()))?;
            found.enabled = enabled;
            found.disabled_at = None;
            Ok(())
        });
    }

    /// A webhook as `GET /webhooks/{id}` shows it.
    pub fn webhook(&self, webhook: &str) -> Option<Value> {
        self.shared.world.read(|world| world.webhook(webhook))
    }

    fn act<T>(&self, change: impl FnOnce(&mut World) -> Result<T, UnknownId>) -> T {
        // Not inside the closure: a panic there would leave the lock poisoned.
        self.shared
            .change(change)
            .unwrap_or_else(|unknown| panic!("{unknown}"))
    }
}

impl World {
    /// The human takes the conversation, in the inbox where it is.
    pub(crate) fn take_over(&mut self, id: &str) -> Result<(), UnknownId> {
        let human = self.human();
        let inbox_id = self.known(id)?.holder.inbox_id.clone();
        self.assign(
            id,
            Holder {
                inbox_id,
                agent_id: Some(human.id.clone()),
            },
            &human,
            "MANUAL",
        );
        Ok(())
    }

    /// Humans may close without topics and while the customer waits.
    pub(crate) fn human_sets_status(
        &mut self,
        id: &str,
        status: ConversationStatus,
    ) -> Result<(), UnknownId> {
        self.known(id)?;
        self.set_status(id, status, &self.human());
        Ok(())
    }
}
