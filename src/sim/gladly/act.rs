//! What can happen to a conversation, whoever does it. Each act adds its item
//! and raises its events; whether it is allowed was settled before.

use serde_json::{Value, json};

use super::conversation::{Conversation, ConversationStatus, Holder, Initiator, Item};
use super::event::conversation_content;
use super::message::{Message, content_in_return};
use super::options::ApiInitiator;
use super::world::World;
use crate::sim::sequence;

/// No conversation or item has this id.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the simulated Gladly has no conversation or item {0:?}")]
pub(crate) struct UnknownId(pub(crate) String);

impl World {
    /// As whom writes through the API show.
    pub(crate) fn api_user(&self) -> Initiator {
        let kind = match self.options.api_initiator {
            ApiInitiator::Api => "API",
            ApiInitiator::Agent => "AGENT",
        };
        Initiator::new(kind, &self.options.bot_agent_id)
    }

    pub(crate) fn human(&self) -> Initiator {
        Initiator::new("AGENT", &self.options.human_agent_id)
    }

    pub(crate) fn add_conversation(&mut self, customer_name: &str) -> String {
        let (id, customer_id, session_id) = (self.new_id(), self.new_id(), self.new_id());
        let bot = self
            .options
            .assign_to_bot
            .then(|| self.options.bot_agent_id.clone());
        let holder = Holder {
            inbox_id: self.options.ai_inbox_id.clone(),
            agent_id: bot,
        };
        let conversation = Conversation {
            id: id.clone(),
            customer_id: customer_id.clone(),
            customer_name: customer_name.to_owned(),
            session_id,
            created_at: self.now(),
            closed_at: None,
            holder,
            status: ConversationStatus::Open,
            topic_ids: Vec::new(),
            customer_waits: false,
            items: Vec::new(),
        };
        let content = conversation_content(&conversation, &conversation.holder);
        self.conversations.insert(id.clone(), conversation);
        self.raise(
            "CONVERSATION/CREATED",
            Some(&Initiator::new("CUSTOMER", &customer_id)),
            &content,
        );
        id
    }

    /// A customer writes; a closed or waiting conversation opens again.
    pub(crate) fn customer_says(
        &mut self,
        conversation_id: &str,
        message: &Message,
        delivered: bool,
    ) -> Result<String, UnknownId> {
        let conversation = self.known(conversation_id)?;
        conversation.customer_waits = true;
        let content = message.content(&conversation.session_id);
        let customer = Initiator::new("CUSTOMER", &conversation.customer_id);
        self.set_status(conversation_id, ConversationStatus::Open, &customer);
        let item_id = self.append(conversation_id, &customer, content, None);
        self.raise_message(conversation_id, &item_id, delivered);
        Ok(item_id)
    }

    /// A human writes on the channel of the customer's last message.
    pub(crate) fn agent_replies(&mut self, id: &str, text: &str) -> Result<String, UnknownId> {
        let human = self.human();
        let conversation = self.known(id)?;
        let last = conversation
            .items
            .iter()
            .rfind(|item| item.initiator.kind == "CUSTOMER");
        let content = content_in_return(last.map_or(&Value::Null, |item| &item.content), text);
        conversation.customer_waits = false;
        let item_id = self.append(id, &human, content, None);
        self.assign_if_free(id, &human.id, &human);
        Ok(item_id)
    }

    /// Whoever answers an unassigned conversation gets it.
    pub(crate) fn assign_if_free(&mut self, id: &str, agent_id: &str, by: &Initiator) {
        let Some(conversation) = self.conversations.get(id) else {
            return;
        };
        if conversation.holder.agent_id.is_none() {
            let inbox_id = conversation.holder.inbox_id.clone();
            self.assign(
                id,
                Holder {
                    inbox_id,
                    agent_id: Some(agent_id.to_owned()),
                },
                by,
                "REPLY",
            );
        }
    }

    /// Moves a conversation; nothing happens if it is there already.
    pub(crate) fn assign(&mut self, id: &str, holder: Holder, by: &Initiator, reason: &str) {
        let Some(conversation) = self.conversations.get_mut(id) else {
            return;
        };
        if conversation.holder == holder {
            return;
        }
        let before = std::mem::replace(&mut conversation.holder, holder);
        let after = conversation.holder.to_json();
        let mut content = conversation_content(conversation, &before);
        content["reason"] = json!(reason);
        content["assignee"] = after.clone();
        let change = json!({ "type": "CONVERSATION_STATUS_CHANGE",
            "status": conversation.status.as_str(),
            "assignees": { "currentAssignee": after, "previousAssignee": before.to_json() } });
        self.append(id, by, change, None);
        self.raise("CONVERSATION_ASSIGNEE/UPDATED", Some(by), &content);
    }

    /// Opens, closes or parks a conversation; nothing happens if it is so already.
    pub(crate) fn set_status(&mut self, id: &str, status: ConversationStatus, by: &Initiator) {
        let now = self.now();
        let Some(conversation) = self.conversations.get_mut(id) else {
            return;
        };
        if conversation.status == status {
            return;
        }
        let was_closed = conversation.is_closed();
        conversation.status = status;
        conversation.closed_at = conversation.is_closed().then_some(now);
        let content = conversation_content(conversation, &conversation.holder);
        let is_closed = conversation.is_closed();
        let change = json!({ "type": "CONVERSATION_STATUS_CHANGE", "status": status.as_str() });
        let updated = json!({ "customerId": conversation.customer_id, "conversationId": id });
        self.append(id, by, change, None);
        if is_closed {
            self.raise("CONVERSATION/CLOSED", Some(by), &content);
        } else if was_closed {
            self.raise("CONVERSATION/REOPENED", Some(by), &content);
        }
        self.raise("CONVERSATION_STATUS/UPDATED", None, &updated);
    }

    /// Two customers turn out to be one: the source's items join the destination's.
    pub(crate) fn merge(&mut self, source: &str, destination: &str) -> Result<(), UnknownId> {
        self.known(destination)?;
        let source = self
            .conversations
            .remove(source)
            .ok_or(UnknownId(source.to_owned()))?;
        let into = self.known(destination)?;
        let content = json!({
            "destinationCustomerId": into.customer_id, "destinationConversationId": destination,
            "sourceCustomerId": source.customer_id, "sourceConversationId": source.id,
        });
        let moved: Vec<String> = source.items.iter().map(|item| item.id.clone()).collect();
        into.items.extend(source.items);
        into.items.sort_by_key(|item| item.sequence);
        for item_id in moved {
            self.item_homes.insert(item_id, destination.to_owned());
        }
        self.merged.insert(source.id, destination.to_owned());
        let human = self.human();
        self.raise("CUSTOMER/MERGED", Some(&human), &content);
        Ok(())
    }

    /// Adds an item to a conversation's timeline and returns its id.
    pub(crate) fn append(
        &mut self,
        conversation_id: &str,
        by: &Initiator,
        content: Value,
        answers: Option<(String, Value)>,
    ) -> String {
        let (id, timestamp) = (self.new_id(), self.now());
        if let Some(conversation) = self.conversations.get_mut(conversation_id) {
            conversation.items.push(Item {
                id: id.clone(),
                sequence: sequence::next(),
                timestamp,
                initiator: by.clone(),
                content,
                answers,
                readable: true,
            });
            self.item_homes
                .insert(id.clone(), conversation_id.to_owned());
        }
        id
    }

    pub(crate) fn known(&mut self, id: &str) -> Result<&mut Conversation, UnknownId> {
        self.conversations
            .get_mut(id)
            .ok_or_else(|| UnknownId(id.to_owned()))
    }
}
