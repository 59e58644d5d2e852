//! An explanation as JSON: what `explain --json` prints and the admin API answers.

use serde_json::{Value, json};

use super::{Entry, Explanation, ToldFacts, ToldTurn};
use crate::clock::time_until;

impl Explanation {
    /// All of it.
    pub fn to_json(&self) -> Value {
        let turns: Vec<Value> = self.turns.iter().map(ToldTurn::to_json).collect();
        let timeline: Vec<Value> = self.timeline.iter().map(Entry::to_json).collect();
        json!({
            "account": self.account.as_str(),
            "conversation_id": self.conversation_id,
            "facts": self.facts.to_json(),
            "turns": turns,
            "timeline": timeline,
            "summary": self.summary,
        })
    }
}

impl ToldFacts {
    fn to_json(&self) -> Value {
        json!({
            "status": self.status,
            "status_at": self.status_at,
            "inbox_id": self.inbox_id,
            "agent_id": self.agent_id,
            "holder_at": self.holder_at,
            "replies": self.replies,
            "waiting_messages": self.waiting,
            "merged_into": self.merged_into,
            "merged_from": self.merged_from,
        })
    }
}

impl ToldTurn {
    fn to_json(&self) -> Value {
        let times = self.received_at.zip(self.finished_at);
        let took = times.map(|(received_at, at)| time_until(at, received_at).as_millis());
        json!({
            "id": self.id.to_string(),
            "received_at": self.received_at,
            "deadline_at": self.deadline_at,
            "finished_at": self.finished_at,
            "outcome": self.outcome,
            "reason": self.reason,
            "messages": self.messages,
            "took_ms": took.and_then(|took| u64::try_from(took).ok()),
            "dead_letter": self.dead_letter,
            "summary": self.summary,
        })
    }
}

impl Entry {
    fn to_json(&self) -> Value {
        let mut fields = self.fields.clone();
        let turn_id = self.turn.map(|id| id.to_string());
        let own = [
            ("at", json!(self.at)),
            ("what", json!(self.what)),
            ("turn_id", json!(turn_id)),
            ("text", json!(self.text)),
        ];
        fields.extend(own.map(|(name, value)| (name.to_owned(), value)));
        Value::Object(fields)
    }
}
