//! The ids that pass through the relay, each a type of its own so that one
//! can't be given for another.
//!
//! Ids are opaque. Those that end up in a URL path arrive from outside, so
//! they are checked on entry: 1 to 128 characters of `A-Z a-z 0-9 - _`
//! (Gladly's are about 22 of them).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

/// The longest id that is believed, in bytes.
const LONGEST_ID: usize = 128;

/// A string that is not an id. It is not shown, for it came from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected 1 to {LONGEST_ID} characters of A-Z, a-z, 0-9, - and _")]
pub struct NotAnId;

macro_rules! id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Checks and wraps an id.
            ///
            /// # Errors
            /// [`NotAnId`] if it could not safely stand in a URL path.
            pub fn parse(value: &str) -> Result<Self, NotAnId> {
                let sane = !value.is_empty()
                    && value.len() <= LONGEST_ID
                    && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
                if sane { Ok(Self(value.to_owned())) } else { Err(NotAnId) }
            }

            /// The id as Gladly writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = String::deserialize(deserializer)?;
                Self::parse(&value).map_err(serde::de::Error::custom)
            }
        }
    };
}

id! {
    /// One conversation of a customer (Gladly, `/conversations/{id}`).
    ConversationId
}
id! {
    /// One entry of a conversation's timeline (Gladly, `/conversation-items/{id}`).
    ItemId
}
id! {
    /// An inbox (Gladly, `/inboxes/{id}`).
    InboxId
}
id! {
    /// An agent, human or bot (Gladly, `/agents/{id}`).
    AgentId
}
id! {
    /// A topic that marks what a conversation is about.
    TopicId
}

/// The name of an account in logs, metrics and the store: never its
/// identifier, which is a secret. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountName(Arc<str>);

impl AccountName {
    /// Wraps a name that the configuration has checked.
    pub fn new(name: &str) -> Self {
        Self(Arc::from(name))
    }

    /// The name as it stands in logs and metrics.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One webhook delivery's id. It never reaches a URL, so any text will do.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(pub String);

/// Gleen's id for its memory of a conversation. Never part of a URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadId(pub String);

impl ThreadId {
    /// The longest that is believed, in bytes: it is kept, and sent back with each
    /// question.
    const LONGEST: usize = 1024;

    /// What somebody else calls a thread's id; none if it is blank or too long.
    pub fn believed(text: &str) -> Option<Self> {
        let plausible = text.len() <= Self::LONGEST && !text.trim().is_empty();
        plausible.then(|| Self(text.to_owned()))
    }
}

/// A turn in the store, in the order in which turns began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TurnId(pub i64);

impl fmt::Display for TurnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_could_change_a_path_is_refused() {
        for bad in [
            "",
            "a/b",
            "..",
            "a?b",
            "a%2f",
            "ä",
            "a b",
            "a\nb",
            &"x".repeat(129),
        ] {
            assert_eq!(ConversationId::parse(bad), Err(NotAnId), "{bad:?}");
        }
        assert!(ConversationId::parse("zGaHXjD4SR-moMR9LbULDa").is_ok());
    }
}
