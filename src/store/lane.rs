//! A conversation's lane: the messages that wait in it and the turns that run.
//!
//! Turns of one conversation run one after another. Only a merge of two
//! conversations can leave two turns in one lane; no third begins before both
//! have ended.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::types::{ClaimRequest, Message, Runner};
use crate::clock::{clamped, later};
use crate::id::TurnId;

/// The most messages that wait apart. Of more than that, the newest stand for
/// all: whatever answers or hands off one of a burst does so for the others.
const MOST_WAITING: usize = 100;
/// Later than any deadline; the end of time could not be read back.
const FAR_AHEAD: Duration = Duration::from_hours(24 * 365);

/// What is to be done in a conversation, and what is being done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// Messages that wait for a turn, in the order of their arrival.
    pub waiting: Vec<Message>,
    /// The conversation came to the bot, so what waits in it unanswered is to
    /// be looked for.
    pub arrival: Option<Arrival>,
    /// Turns that have not ended.
    pub turns: Vec<LaneTurn>,
}

/// A conversation's coming to the bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// The revision of the facts as of which it was heard of; 0 if it stands for
    /// messages that waited and can't be read any more.
    pub heard: u64,
    /// When it was heard of.
    #[serde(with = "jiff::fmt::serde::timestamp::millisecond::required")]
    pub received_at: Timestamp,
    /// When what waits there must have an answer or a human.
    #[serde(with = "jiff::fmt::serde::timestamp::millisecond::required")]
    pub deadline_at: Timestamp,
    /// As of a message: see [`Message::overdue`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overdue: bool,
}

impl Arrival {
    /// One whose deadline nobody told: whoever claims it gives it the usual time.
    pub fn without_deadline(heard: u64, received_at: Timestamp) -> Self {
        Self {
            heard,
            received_at,
            deadline_at: untold_deadline(received_at),
            overdue: false,
        }
    }

    /// Whether it stands for messages that can't be read any more.
    pub const fn stands_for_messages(self) -> bool {
        self.heard == 0
    }
}

/// A deadline that nobody told: whoever claims it gives it the usual time.
pub(super) fn untold_deadline(received_at: Timestamp) -> Timestamp {
    later(received_at, FAR_AHEAD)
}

/// A turn that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneTurn {
    /// Which.
    pub id: TurnId,
    /// When its first message arrived.
    #[serde(with = "jiff::fmt::serde::timestamp::millisecond::required")]
    pub received_at: Timestamp,
    /// Who runs it, or until when nobody does.
    pub run: Run,
}

/// Who runs a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Run {
    /// This start of a relay.
    By(Runner),
    /// Nobody, until then.
    Until(#[serde(with = "jiff::fmt::serde::timestamp::millisecond::required")] Timestamp),
}

impl Lane {
    /// Lets a message wait.
    pub fn wait(&mut self, message: Message) {
        if self.waiting.len() >= MOST_WAITING {
            self.waiting.pop();
        }
        self.waiting.push(message);
    }

    /// Brings what another clock told down to what this one can believe: nothing
    /// came later than now, and no deadline is further away than the usual one.
    pub fn believe(&mut self, now: Timestamp, answer_deadline: Duration) {
        for message in &mut self.waiting {
            message.received_at = message.received_at.min(now);
            message.deadline_at = clamped(message.deadline_at, now, answer_deadline);
        }
        if let Some(arrival) = &mut self.arrival {
            arrival.received_at = arrival.received_at.min(now);
            arrival.deadline_at = clamped(arrival.deadline_at, now, answer_deadline);
        }
        for turn in &mut self.turns {
            turn.received_at = turn.received_at.min(now);
        }
    }

    /// When the lane's next turn is to be claimed; none while there is nothing
    /// to do, or all that there is runs. A turn that was put off goes on at the
    /// deadline of the next message at the latest. `before` is when it was due
    /// until now: that stands until a claim has seen to it.
    pub fn due_at(&self, before: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        if self.turns.is_empty() {
            // Another clock may have told since when.
            let since = self.waiting_since()?.min(now);
            return before.into_iter().chain([since]).min();
        }
        let put_off = self.turns.iter().filter_map(|turn| match turn.run {
            Run::Until(until) => Some(until),
            Run::By(_) => None,
        });
        let until = put_off.chain(before).min()?;
        let next = self.next_deadline_at().filter(|deadline| *deadline > now);
        Some(next.map_or(until, |deadline| until.min(deadline)))
    }

    /// Since when the oldest of it has waited; none if there is nothing to do.
    pub fn waiting_since(&self) -> Option<Timestamp> {
        let waiting = self.waiting.iter().map(|message| message.received_at);
        let arrival = self.arrival.iter().map(|arrival| arrival.received_at);
        let turns = self.turns.iter().map(|turn| turn.received_at);
        waiting.chain(arrival).chain(turns).min()
    }

    /// Turns that have not ended, and one more if messages wait for one.
    pub fn backlog(&self) -> usize {
        self.turns.len() + usize::from(!self.waiting.is_empty())
    }

    /// The earliest deadline of the messages that wait.
    pub fn next_deadline_at(&self) -> Option<Timestamp> {
        self.waiting.iter().map(|message| message.deadline_at).min()
    }

    /// The turns that may be taken up now: those that were put off, and those
    /// that an earlier start left running. But a turn whose progress was stored
    /// while its runner heard of a failure is in that runner's hands still.
    pub fn claimable(&self, request: &ClaimRequest) -> Vec<TurnId> {
        let free = |turn: &&LaneTurn| {
            let runs = match turn.run {
                Run::Until(_) => false,
                Run::By(runner) if runner == request.runner => !request.lost,
                Run::By(runner) => request.letting_go == Some(runner),
            };
            !runs && !request.running.contains(&turn.id)
        };
        self.turns.iter().filter(free).map(|turn| turn.id).collect()
    }

    /// Whether `runner` runs this turn.
    pub fn is_run_by(&self, turn: TurnId, runner: Runner) -> bool {
        self.turns
            .iter()
            .any(|other| other.id == turn && other.run == Run::By(runner))
    }

    /// Notes who runs a turn, or until when nobody does.
    pub fn set_run(&mut self, turn: TurnId, run: Run) {
        let found = self.turns.iter_mut().find(|other| other.id == turn);
        if let Some(found) = found {
            found.run = run;
        }
    }

    /// When a turn's first message arrived.
    pub fn received_at(&self, turn: TurnId) -> Option<Timestamp> {
        let found = self.turns.iter().find(|other| other.id == turn);
        found.map(|turn| turn.received_at)
    }

    /// The turn has ended.
    pub fn leave(&mut self, turn: TurnId) {
        self.turns.retain(|other| other.id != turn);
    }

    /// What was in the lane of a conversation that is gone goes on in this one.
    pub fn join(&mut self, gone: Self) {
        self.waiting.extend(gone.waiting);
        self.turns.extend(gone.turns);
        self.arrival = self.arrival.or(gone.arrival);
    }
}
