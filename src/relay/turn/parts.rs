//! What a turn writes into Gladly, in order, and how far each of it is.

use serde::{Deserialize, Serialize};

use super::Turn;
use crate::clock::Moment;
use crate::id::ItemId;
use crate::text;

/// What a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PartKind {
    /// A part of the bot's answer.
    Reply,
    /// A part of the operator's message before a handoff.
    Message,
    /// The note that tells the agent why.
    Note,
    /// The topic that marks a handoff.
    Topic,
    /// The move to the human inbox.
    Move,
}

/// What a part says. `Debug` shows no words.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What it is.
    pub kind: PartKind,
    /// Its words, or the id that it is about.
    pub body: String,
    /// The same words without markup, where the channel wants both.
    pub body_plain: Option<String>,
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Part")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl Part {
    /// A part that says one thing in one form.
    pub fn new(kind: PartKind, body: String) -> Self {
        Self {
            kind,
            body,
            body_plain: None,
        }
    }

    /// A part of a message to the customer.
    pub fn of_text(kind: PartKind, part: text::Part) -> Self {
        Self {
            kind,
            body: part.body,
            body_plain: part.body_plain,
        }
    }

    /// Its words, for a reply.
    pub fn words(&self) -> text::Part {
        text::Part {
            body: self.body.clone(),
            body_plain: self.body_plain.clone(),
        }
    }
}

/// How far a part is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartState {
    /// What it is, should its words be lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<PartKind>,
    /// How far.
    pub progress: Progress,
    /// How often its writing was begun.
    pub tries: u32,
    /// How often it was looked for, whatever came of it.
    pub searches: u32,
    /// How often it was not there.
    pub absences: u32,
    /// The item it became.
    pub item_id: Option<ItemId>,
}

/// How far a part is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// Surely not in Gladly.
    #[default]
    Pending,
    /// Perhaps in Gladly, since then: look before writing it again.
    Unsure(Moment),
    /// Surely in Gladly.
    Sent,
    /// Given up, because the turn can end without it.
    Abandoned,
}

impl PartState {
    /// Whether it is, or may be, in Gladly.
    pub const fn is_begun(&self) -> bool {
        matches!(self.progress, Progress::Unsure(_) | Progress::Sent)
    }
}

impl Turn {
    /// The parts, and how far each is.
    pub(super) fn parts(&self) -> impl Iterator<Item = (&PartState, &Part)> {
        self.state.parts.iter().zip(&self.words.parts)
    }

    /// What the part with this index says.
    pub fn part(&self, index: usize) -> Option<&Part> {
        self.words.parts.get(index)
    }

    pub(super) fn add_parts(&mut self, parts: impl IntoIterator<Item = Part>) {
        for part in parts {
            self.state.parts.push(PartState {
                kind: Some(part.kind),
                ..PartState::default()
            });
            self.words.parts.push(part);
        }
    }

    pub(super) fn set_progress(&mut self, index: usize, progress: Progress) {
        if let Some(part) = self.state.parts.get_mut(index) {
            part.progress = progress;
        }
    }

    pub(super) fn part_state(&self, index: usize) -> PartState {
        self.state.parts.get(index).cloned().unwrap_or_default()
    }

    /// The first part of this kind that is not settled.
    pub(super) fn unsettled(&self, kind: PartKind) -> Option<usize> {
        self.parts().position(|(state, part)| {
            part.kind == kind && !matches!(state.progress, Progress::Sent | Progress::Abandoned)
        })
    }
}
