//! How a turn ends, in the words that the store's columns, the log fields and
//! the metric labels share. Exactly one [`Outcome`] is recorded per turn.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Declares an enum whose variants have one fixed word each, so that the word
/// in the database, in a log line and in a metric label can't drift apart.
macro_rules! worded_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident => $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_meta])* $variant),+ }

        impl $name {
            /// Every variant, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word for logs, metrics and the store.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The variant with this word, if there is one.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|variant| variant.as_str() == word)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::from_word(&word).ok_or_else(|| serde::de::Error::custom("an unknown word"))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

worded_enum! {
    /// Why a conversation was moved to the human inbox.
    HandoffReason {
        /// Gleen answered with an error or could not be reached.
        BotError => "bot_error",
        /// Gleen did not answer within its timeout.
        BotTimeout => "bot_timeout",
        /// Gleen answered with nothing that can be shown to a customer.
        BotNoAnswer => "bot_no_answer",
        /// Gleen itself asked for a human.
        BotRequested => "bot_requested",
        /// Gleen failed too often of late, so it was not asked.
        BreakerOpen => "breaker_open",
        /// The customer asked for a human.
        CustomerRequested => "customer_requested",
        /// The message holds nothing the bot can read.
        UnsupportedContent => "unsupported_content",
        /// An auto-responder or a mail system wrote, not a person.
        AutomatedEmail => "automated_email",
        /// Gladly refused the bot's answer for good.
        ReplyRejected => "reply_rejected",
        /// The bot has answered as often in this conversation as it may.
        TurnLimit => "turn_limit",
        /// The conversation looks like two machines talking to each other.
        LoopSuspected => "loop_suspected",
        /// The answer deadline passed first.
        Deadline => "deadline",
    }
}

worded_enum! {
    /// Why a turn ended without an answer and without a handoff.
    SkipReason {
        /// No message of the turn was written by a customer.
        NotCustomer => "not_customer",
        /// The conversation sits in an inbox that is not the bot's.
        NotAiInbox => "not_ai_inbox",
        /// A human agent holds the conversation.
        HumanAssigned => "human_assigned",
        /// The conversation is closed.
        Closed => "closed",
        /// The relay has handed the conversation to a human already.
        HandedOff => "handed_off",
        /// The message has an answer that this relay did not give.
        AlreadyAnswered => "already_answered",
    }
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The bot's answer is in the conversation.
    Replied,
    /// The conversation is in the human inbox.
    HandedOff(HandoffReason),
    /// Nothing was to be done.
    Skipped(SkipReason),
    /// The relay could not finish; a person must look. Holds what happened,
    /// without secrets and without anybody's words.
    Dead(String),
}

impl Outcome {
    /// The word for the `outcome` label and column.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Replied => "replied",
            Self::HandedOff(_) => "handed_off",
            Self::Skipped(_) => "skipped",
            Self::Dead(_) => "dead",
        }
    }

    /// The reason's word, or the error of a dead letter.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Replied => None,
            Self::HandedOff(reason) => Some(reason.as_str()),
            Self::Skipped(reason) => Some(reason.as_str()),
            Self::Dead(error) => Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_found_again_by_its_word() {
        for reason in HandoffReason::ALL {
            assert_eq!(HandoffReason::from_word(reason.as_str()), Some(*reason));
        }
        for reason in SkipReason::ALL {
            assert_eq!(SkipReason::from_word(reason.as_str()), Some(*reason));
        }
        assert_eq!(HandoffReason::from_word("no_such_reason"), None);
    }
}
