//! A dead letter as people and scripts read it, whoever shows it.

use serde_json::{Value, json};

use crate::store::DeadLetter;

impl DeadLetter {
    /// The webhook's type, or that it is a turn.
    pub fn kind(&self) -> &str {
        self.event_type.as_deref().unwrap_or("turn")
    }

    /// Whether it can be retried: a webhook that could not be used can only be dropped.
    pub const fn can_be_retried(&self) -> bool {
        self.turn_id.is_some()
    }

    /// When, to the second.
    pub fn time(&self) -> String {
        self.created_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// What a person does about it.
    pub const fn what_to_do(&self) -> &'static str {
        if self.turn_id.is_none() {
            "look for the message in Gladly, answer it there, then drop this"
        } else if self.may_have_written {
            "look at the conversation in Gladly; then drop this, or retry it: it goes to a human, and nothing is written twice"
        } else {
            "mend the cause, then retry this: the bot answers or a human gets it; or answer in Gladly, then drop it"
        }
    }

    /// What `dead list --json` and `GET /api/dead` show.
    pub fn to_json(&self) -> Value {
        json!({
            "id": self.id.0,
            "at": self.time(),
            "account": self.account.to_string(),
            "kind": self.kind(),
            "turn_id": self.turn_id.as_ref().map(ToString::to_string),
            "conversation_id": self.conversation_id.as_ref().map(ToString::to_string),
            "may_have_written": self.may_have_written,
            "error": self.error,
            "what_to_do": self.what_to_do(),
        })
    }
}
