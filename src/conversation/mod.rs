//! What is known of a conversation, and how each thing heard changes it.
//!
//! - [`Facts`]: who holds it and whether it is open, as told by webhooks and
//!   seen by the relay's own looks; [`Facts::whose`] says whose it is.
//! - [`Clearance`]: permission for one write into Gladly, which does nothing
//!   without. [`Facts`] alone makes one: from fresh facts that it is the bot's
//!   ([`Facts::clear`]), and in three cases otherwise: the move to the humans
//!   where looks fail again and again ([`Facts::clear_move_unseen`]), the note after
//!   the relay's own move ([`Facts::clear_note_after_move`]), and one that is late
//!   ([`Facts::clear_note_later`]).
//! - [`Known`]: the facts, and what the relay remembers between turns.
//!
//! Pure: no I/O, no clock, no randomness.

mod clearance;
mod facts;
mod known;
#[cfg(test)]
mod tests;

pub use clearance::{Clearance, Stale};
pub use facts::{FRESH, Facts, Look, Whose, is_late_by};
pub use known::{Closing, Known, Repetition, Written};

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{AgentId, InboxId};

/// The bot's place in Gladly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bot {
    /// The inbox it answers.
    pub ai_inbox_id: InboxId,
    /// Its agent.
    pub agent_id: AgentId,
}

impl Bot {
    /// Whether a holder is the bot: in the AI inbox, unassigned or assigned to it.
    pub fn is_holder(&self, holder: &Holder) -> bool {
        facts::owner(self, holder).is_ok()
    }
}

/// An id that may be absent, or there but of a form not known here: then it
/// means *somebody else*, never *nobody*.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Named<T> {
    /// Absent: nobody, nowhere.
    Nobody,
    /// This one.
    This(T),
    /// There, but it can't be read.
    Unreadable,
}

impl<T> Named<T> {
    /// The id, if it can be read.
    pub const fn id(&self) -> Option<&T> {
        match self {
            Self::This(id) => Some(id),
            Self::Nobody | Self::Unreadable => None,
        }
    }
}

/// For people: an id, or what stands in its place.
impl<T: fmt::Display> fmt::Display for Named<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("none"),
            Self::This(id) => id.fmt(f),
            Self::Unreadable => f.write_str("unreadable"),
        }
    }
}

/// Who holds a conversation (Gladly's *assignee*).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The inbox it sits in.
    pub inbox_id: Named<InboxId>,
    /// The agent it is assigned to.
    pub agent_id: Named<AgentId>,
}

impl Holder {
    /// In this inbox, assigned to nobody.
    pub const fn inbox(inbox_id: InboxId) -> Self {
        Self {
            inbox_id: Named::This(inbox_id),
            agent_id: Named::Nobody,
        }
    }
}

/// Whether a conversation is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Gladly's `OPEN` and `WAITING`.
    Open,
    /// Gladly's `CLOSED`, and whatever can't be read.
    Closed,
    /// It changed, but nobody said to what (`CONVERSATION_STATUS/UPDATED`), or what
    /// was told contradicts itself.
    Unclear,
}
