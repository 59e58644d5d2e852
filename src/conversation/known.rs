//! What the relay remembers of a conversation between turns.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Facts;
use crate::id::{ItemId, ThreadId};

/// The window of `max_replies_per_hour`, in minutes.
const HOUR_MINUTES: i64 = 60;
/// How many items of each kind are remembered. Only the latest turns' items can
/// stand after a running turn's messages.
const REMEMBERED_ITEMS: usize = 20;

/// The facts, and what happened in the conversation before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Who holds it, whether it is open.
    pub facts: Facts,
    /// The language its customer last surely wrote in (ISO 639-1).
    pub locale: Option<String>,
    /// The customer's last text and how often it came in a row.
    #[serde(default)]
    pub repetition: Repetition,
    thread: Option<Thread>,
    closing: Option<Closing>,
    /// The bot's answers since the last closing.
    replies: u32,
    /// Of the last hour: the minute since 1970, and how many.
    recent_replies: Vec<(i64, u32)>,
    /// What earlier turns put into the conversation: never taken for a part of
    /// a later one.
    own_items: Vec<ItemId>,
    /// Customers' items that the bot answered or handed off.
    settled_items: Vec<ItemId>,
}

/// Gleen's memory of the conversation, and the message it last heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Thread {
    id: ThreadId,
    last: Written,
}

/// When a message was written: as heard by the relay, and by Gladly's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// The revision of the facts as of which it was heard of.
    pub heard: u64,
    /// When its event was raised, by Gladly's clock, if it said.
    pub happened_at: Option<Timestamp>,
}

/// A closing of the conversation, as heard by the relay and by Gladly's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// The revision of the facts as of which it was heard of.
    pub heard: u64,
    /// When it was raised; none if a look showed it.
    pub happened_at: Option<Timestamp>,
}

/// How often the same text came in a row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repetition {
    /// A digest of the text.
    pub digest: Option<String>,
    /// How often.
    pub count: u32,
    /// The last item that was counted: one that is read again counts once.
    #[serde(default)]
    pub item_id: Option<ItemId>,
}

impl Closing {
    /// Whether the message was written before it. Gladly's clock tells, for both
    /// come from there; else the order in which they were heard of.
    fn ends(&self, written: &Written) -> bool {
        match (self.happened_at, written.happened_at) {
            (Some(closed_at), Some(written_at)) => closed_at >= written_at,
            _ => self.heard > written.heard,
        }
    }

    /// Whether it is no older than another: by Gladly's clock, if that tells of
    /// both.
    fn is_after(&self, other: &Self) -> bool {
        match (self.happened_at, other.happened_at) {
            (Some(this), Some(other)) => this >= other,
            _ => self.heard >= other.heard,
        }
    }
}

impl Known {
    /// The thread to go on with.
    pub fn thread_id(&self) -> Option<&ThreadId> {
        self.thread.as_ref().map(|thread| &thread.id)
    }

    /// A closing ends the thread: Gleen's memory is the conversation's. It does
    /// so whatever is heard of first.
    pub fn close(&mut self, closing: Closing) {
        let ended = |thread: &Thread| closing.ends(&thread.last);
        if self.thread.as_ref().is_some_and(ended) {
            self.thread = None;
        }
        self.replies = 0;
        if self.closing.is_none_or(|known| closing.is_after(&known)) {
            self.closing = Some(closing);
        }
    }

    /// Gleen answered on this thread; `last` is the latest message it heard. Kept
    /// unless the conversation was closed after that message.
    pub fn keep_thread(&mut self, id: ThreadId, last: Written) {
        if !self.closing.is_some_and(|closing| closing.ends(&last)) {
            self.thread = Some(Thread { id, last });
        }
    }

    /// The bot answered.
    pub fn count_reply(&mut self, now: Timestamp) {
        let minute = minute_of(now);
        self.replies = self.replies.saturating_add(1);
        self.recent_replies
            .retain(|(then, _)| is_recent(*then, minute));
        self.count_replies(minute, 1);
    }

    fn count_replies(&mut self, minute: i64, more: u32) {
        let known = self.recent_replies.iter_mut();
        match known.rev().find(|(then, _)| *then == minute) {
            Some((_, count)) => *count = count.saturating_add(more),
            None => self.recent_replies.push((minute, more)),
        }
    }

    /// The bot's answers since the last closing.
    pub const fn replies(&self) -> u32 {
        self.replies
    }

    /// The bot's answers within the last hour.
    pub fn replies_last_hour(&self, now: Timestamp) -> u32 {
        let minute = minute_of(now);
        let recent = self.recent_replies.iter();
        recent
            .filter(|(then, _)| is_recent(*then, minute))
            .fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Remembers what a turn put into the conversation.
    pub fn add_own_items(&mut self, items: impl IntoIterator<Item = ItemId>) {
        remember(&mut self.own_items, items);
    }

    /// What earlier turns put into the conversation.
    pub fn own_items(&self) -> &[ItemId] {
        &self.own_items
    }

    /// Remembers customers' items that the bot answered or handed off.
    pub fn settle(&mut self, items: impl IntoIterator<Item = ItemId>) {
        remember(&mut self.settled_items, items);
    }

    /// Whether the bot answered this item or handed it off.
    pub fn is_settled(&self, item: &ItemId) -> bool {
        self.settled_items.contains(item)
    }

    /// Takes over what was known of a conversation that was merged into this
    /// one: its thread, unless this one has its own, and what was done there.
    pub fn merge(&mut self, gone: Self) {
        self.facts.merge(&gone.facts);
        self.thread = self.thread.take().or(gone.thread);
        self.replies = self.replies.max(gone.replies);
        self.locale = self.locale.take().or(gone.locale);
        if gone.repetition.count > self.repetition.count {
            self.repetition = gone.repetition;
        }
        for (minute, count) in gone.recent_replies {
            self.count_replies(minute, count);
        }
        remember(&mut self.own_items, gone.own_items);
        remember(&mut self.settled_items, gone.settled_items);
    }
}

fn remember(items: &mut Vec<ItemId>, more: impl IntoIterator<Item = ItemId>) {
    items.extend(more);
    let forgotten = items.len().saturating_sub(REMEMBERED_ITEMS);
    items.drain(..forgotten);
}

fn minute_of(time: Timestamp) -> i64 {
    time.as_second().div_euclid(60)
}

/// A minute that lies ahead was stored by a clock that was ahead: it counts, so
/// that a brake on loops errs on the side of braking.
const fn is_recent(then: i64, now: i64) -> bool {
    now - then < HOUR_MINUTES && then - now < HOUR_MINUTES
}
