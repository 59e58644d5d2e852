//! A span, and how its ids are made.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::id::{AccountName, ConversationId, EventId, ItemId, TurnId};

/// Names a span in all the world (OpenTelemetry specification, "`SpanContext`").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanContext {
    /// The trace that it is part of.
    pub trace_id: u128,
    /// Itself.
    pub span_id: u64,
}

impl SpanContext {
    /// Of the webhook that told of a customer's item first.
    pub fn of_item(account: &AccountName, item: &ItemId) -> Self {
        Self::of(&["item", account.as_str(), item.as_str()])
    }

    /// Of any other webhook.
    pub fn of_event(account: &AccountName, event: &EventId) -> Self {
        Self::of(&["event", account.as_str(), &event.0])
    }

    /// Of a turn. Its number is one database's own, so when it began belongs to it.
    pub fn of_turn(
        account: &AccountName,
        conversation: &ConversationId,
        turn: TurnId,
        received_at: Timestamp,
    ) -> Self {
        let [turn, received_at] = [turn.0, received_at.as_millisecond()].map(|n| n.to_string());
        Self::of(&[
            "turn",
            account.as_str(),
            conversation.as_str(),
            &turn,
            &received_at,
        ])
    }

    /// Of a new span in the same trace.
    #[must_use]
    pub fn child(self) -> Self {
        Self {
            span_id: fastrand::u64(1..),
            ..self
        }
    }

    fn of(names: &[&str]) -> Self {
        let mut digest = Sha256::new();
        for name in names {
            // No two lists of names run together into the same bytes.
            digest.update(u64::try_from(name.len()).unwrap_or(u64::MAX).to_be_bytes());
            digest.update(name);
        }
        let number = |bytes: &[u8]| {
            let bytes = bytes.iter();
            bytes.fold(0_u128, |number, byte| (number << 8) | u128::from(*byte))
        };
        let digest = digest.finalize();
        let span_id = u64::try_from(number(&digest[16..24])).unwrap_or(u64::MAX);
        Self {
            // 0 stands for none.
            trace_id: number(&digest[..16]).max(1),
            span_id: span_id.max(1),
        }
    }
}

/// Which side of a call a span is (OpenTelemetry specification, "`SpanKind`").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Work of its own.
    Internal,
    /// It answers somebody's call.
    Server,
    /// It calls somebody.
    Client,
}

/// What was done from one moment to another. Without anybody's words: names are from
/// fixed lists, values are ids, words from fixed lists and numbers.
#[derive(Debug, Clone)]
pub struct Span {
    /// Itself.
    pub context: SpanContext,
    /// The span that it is part of, in the same trace.
    pub parent: Option<SpanContext>,
    /// What was done.
    pub name: &'static str,
    /// Which side of a call.
    pub kind: Kind,
    /// From when.
    pub start: Timestamp,
    /// Until when.
    pub end: Timestamp,
    /// More about it.
    pub attributes: Vec<(&'static str, String)>,
    /// What caused it.
    pub links: Vec<SpanContext>,
    /// It did not do what it was to do.
    pub failed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_same_in_every_process_and_differ_by_every_name() {
        let [one, other] = ["acme", "bcme"].map(AccountName::new);
        let item = |id: &str| ItemId::parse(id).unwrap();
        let context = SpanContext::of_item(&one, &item("i1"));
        assert_eq!(context, SpanContext::of_item(&one, &item("i1")));
        // Fixed, for a process of another version must find the same.
        assert_eq!(
            format!("{:032x}", context.trace_id),
            "ca4bb18444680b8c18eada821e98626c"
        );
        let others = [
            SpanContext::of_item(&one, &item("i2")),
            SpanContext::of_item(&other, &item("i1")),
            SpanContext::of_event(&one, &EventId("i1".to_owned())),
            SpanContext::of(&["item", "acmei1"]),
        ];
        for other in others {
            assert_ne!(context.trace_id, other.trace_id);
            assert_ne!(context.span_id, other.span_id);
        }
        let child = context.child();
        assert_eq!(child.trace_id, context.trace_id);
        assert_ne!(child.span_id, context.span_id);
    }
}
