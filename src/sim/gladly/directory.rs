//! The organization's inboxes, agents and topics. They follow from the options.

use serde_json::{Value, json};

use super::options::GladlyOptions;

impl GladlyOptions {
    pub(crate) fn organization(&self, url: &str) -> Value {
        json!({ "id": "simulated-organization", "name": self.organization_name,
            "gladlyUrl": url, "timezone": "Europe/London" })
    }

    pub(crate) fn inboxes(&self) -> Vec<Value> {
        [
            (&self.ai_inbox_id, "AI"),
            (&self.handoff_inbox_id, "Humans"),
            (&self.other_inbox_id, "Other"),
        ]
        .map(|(id, name)| {
            let disabled = self.disabled_inbox_ids.contains(id);
            json!({ "id": id, "name": name, "disabled": disabled })
        })
        .to_vec()
    }

    pub(crate) fn agents(&self) -> Vec<Value> {
        [
            (&self.bot_agent_id, "Gleen Bot", self.username.as_str()),
            (
                &self.human_agent_id,
                &self.human_agent_name,
                "human@example.com",
            ),
        ]
        .map(|(id, name, email)| self.agent(id, name, email))
        .to_vec()
    }

    fn agent(&self, id: &str, name: &str, email: &str) -> Value {
        let mut agent = json!({ "id": id, "name": name, "emailAddress": email });
        if self.agents_show_inboxes {
            let inboxes = self.inboxes();
            let ids = inboxes.iter().filter_map(|inbox| inbox["id"].as_str());
            agent["inboxIds"] = ids.filter(|inbox| self.belongs(id, inbox)).collect();
        }
        agent
    }

    pub(crate) fn has_inbox(&self, id: &str) -> bool {
        [
            &self.ai_inbox_id,
            &self.handoff_inbox_id,
            &self.other_inbox_id,
        ]
        .iter()
        .any(|i| *i == id)
    }

    pub(crate) fn has_agent(&self, id: &str) -> bool {
        id == self.bot_agent_id || id == self.human_agent_id
    }

    /// The bot belongs to its own inbox only, the human to all.
    pub(crate) fn belongs(&self, agent_id: &str, inbox_id: &str) -> bool {
        agent_id == self.human_agent_id
            || (agent_id == self.bot_agent_id && inbox_id == self.ai_inbox_id)
    }
}
