//! A turn out of the store and into it.

use super::parts::{PartKind, PartState, Progress};
use super::{Context, State, Step, Turn, Words};
use crate::clock::Moment;
use crate::id::{AccountName, ConversationId, ItemId, TurnId};
use crate::outcome::{HandoffReason, Outcome};
use crate::store::{self, Learnt, Message, StoredTurn};
use crate::trace::Trace;
use jiff::Timestamp;

impl Turn {
    /// Takes up a turn where it was stored. One whose words can't be opened any
    /// more begins anew if nothing of an answer was sent, else it goes to a human.
    ///
    /// # Errors
    /// Says what can't be read.
    pub fn restore(stored: StoredTurn) -> Result<Self, String> {
        let read =
            |text: &str| serde_json::from_str::<State>(text).map_err(|_| "its state".to_owned());
        let state = stored.state.as_deref().map(read).transpose()?;
        let state = state.unwrap_or_default();
        let words = stored.words.as_deref().map(serde_json::from_str);
        let words: Option<Words> = words.transpose().map_err(|_| "its words".to_owned())?;
        let mut messages = stored.messages;
        messages.retain(|message| !state.strangers.contains(&message.item_id));
        let mut turn = Self {
            id: stored.id,
            account: stored.account,
            conversation_id: stored.conversation_id,
            received_at: stored.received_at,
            deadline_at: stored.deadline_at,
            messages,
            began: stored.began,
            overdue: stored.overdue,
            state,
            words: words.clone().unwrap_or_default(),
            learnt: Vec::new(),
            reading_since: None,
            doing: None,
            doing_since: None,
            wait: None,
            merged_into: None,
            stranger: None,
            looked_for_stranger: false,
            looks_in_a_row: 0,
            deadline_passed: false,
            unseen_move_refused: false,
            moving_unseen: false,
            end: None,
            trace: stored.trace.as_deref().map(Trace::read).unwrap_or_default(),
            call_begun: None,
        };
        if words.is_none() {
            turn.go_on_without_words(stored.retried);
        }
        Ok(turn)
    }

    /// What it has come to and the words in it, for the store.
    pub fn to_store(&self) -> (String, String) {
        (self.state_to_store(), to_json(&self.words))
    }

    /// What it has come to.
    pub fn state_to_store(&self) -> String {
        to_json(&self.state)
    }

    /// What it has learnt since the last call.
    pub fn take_learnt(&mut self) -> Vec<Learnt> {
        std::mem::take(&mut self.learnt)
    }

    /// How it is stored when it ends so. A turn without a message that leaves the
    /// conversation alone was none. `per_second` is how many calls Gladly allows.
    pub fn ended(&self, outcome: Outcome, per_second: u32) -> store::Progress {
        if self.messages.is_empty() && matches!(outcome, Outcome::Skipped(_)) {
            return store::Progress::Forgotten;
        }
        let mut state = self.state.clone();
        let begun = self.parts().filter(|(state, _)| state.is_begun());
        state
            .written_before
            .extend(begun.map(|(_, part)| part.kind));
        store::Progress::Ended {
            tally: self.tally(&outcome, per_second),
            outcome,
            may_have_written: self.may_have_written(),
            state: to_json(&state),
        }
    }

    /// Its id.
    pub const fn id(&self) -> TurnId {
        self.id
    }

    /// Whose it is.
    pub const fn account(&self) -> &AccountName {
        &self.account
    }

    /// The conversation in which it began.
    pub const fn conversation_id(&self) -> &ConversationId {
        &self.conversation_id
    }

    /// When its first message arrived.
    pub const fn received_at(&self) -> Timestamp {
        self.received_at
    }

    /// When its conversation must have an answer or a human.
    pub const fn deadline_at(&self) -> Timestamp {
        self.deadline_at
    }

    /// Where it is, for the log.
    pub const fn step(&self) -> Step {
        self.state.step
    }

    /// How many failures in a row it has seen, for the log.
    pub const fn failures(&self) -> u32 {
        self.state.failures
    }

    /// Its messages.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The item of the message with this index.
    pub fn item_id(&self, index: usize) -> Option<&ItemId> {
        self.messages.get(index).map(|message| &message.item_id)
    }

    /// Notes a call that writes the part with this index: from now on nobody can
    /// tell whether it is in Gladly. To be stored before the call.
    pub fn begin_write(&mut self, index: usize, now: Moment) {
        if let Some(part) = self.state.parts.get_mut(index) {
            part.progress = Progress::Unsure(now);
            part.tries += 1;
        }
        self.tell_write(index, now.at);
    }

    /// Notes that the call begins only now: storing that it would may have taken long,
    /// and what it writes shows so much later.
    pub fn begin_sending(&mut self, index: usize, now: Moment) {
        self.begin_call(now);
        if let Some(part) = self.state.parts.get_mut(index) {
            part.progress = Progress::Unsure(now);
        }
    }

    /// Notes that the bot is about to be asked: a crash leaves it uncertain
    /// whether it was. To be stored before the call.
    pub fn begin_question(&mut self, now: Moment) {
        self.state.uncertain_questions += 1;
        self.state.asked = true;
        self.tell_question(now.at);
    }

    /// After a wait, a crash, or in another process.
    pub(super) fn resume(&mut self, context: &Context<'_>) {
        // Told by another clock, it may lie ahead, and was cut short for this claim:
        // that once, or it would move on with each.
        let told = self
            .state
            .deadline
            .filter(|told| told.clock == context.now.clock);
        self.deadline_at = told.map_or(self.deadline_at, |told| told.at);
        self.state.deadline = Some(Moment {
            clock: context.now.clock,
            at: self.deadline_at,
        });
        let now = context.now.at;
        self.state.failing_since = self.state.failing_since.map(|since| since.min(now));
        // What is known may have been lost since, and then it counts anew.
        let wanted = self.state.look_wanted;
        self.state.look_wanted = wanted.map(|since| since.min(context.revision));
        let unsure = |index| matches!(self.part_state(index).progress, Progress::Unsure(_));
        if self.unsettled(PartKind::Move).is_some_and(unsure) {
            // It may be with a human by now, who must not lose it again.
            self.state.look_wanted = Some(context.revision);
        }
        for part in &mut self.state.parts {
            // If another clock told when, it may still be on its way by this one.
            if let Progress::Unsure(since) = &mut part.progress
                && since.age(context.now).is_none()
            {
                *since = context.now;
            }
        }
        if self.words.contents.len() != self.messages.len() {
            self.words.contents = vec![None; self.messages.len()];
            if self.state.step == Step::Ask {
                self.state.step = Step::Gather;
            }
        }
    }

    fn go_on_without_words(&mut self, retried: bool) {
        let begun = self.state.parts.iter().any(PartState::is_begun);
        let handing_off = self.state.step == Step::HandOff;
        if !(retried || begun || handing_off) {
            self.state = State {
                strangers: std::mem::take(&mut self.state.strangers),
                ..State::default()
            };
            return;
        }
        self.state.step = Step::HandOff;
        let reason = self.state.reason.unwrap_or(HandoffReason::ReplyRejected);
        self.state.reason = Some(reason);
        self.state.failures = 0;
        self.state.failing_since = None;
        self.state.refused_looks = 0;
        self.state.failed_looks = 0;
        self.state.refused_moves = 0;
        // Their words are gone, and with them what could be looked for: what may be in
        // Gladly is not written again.
        let begun = self.state.parts.iter().filter(|part| part.is_begun());
        let begun = begun.filter_map(|part| part.kind);
        self.state.written_before.extend(begun);
        self.state.parts.clear();
        self.words.parts.clear();
    }
}

fn to_json(value: &impl serde::Serialize) -> String {
    // Strings and numbers in structs: nothing in them can fail to be written.
    serde_json::to_string(value).unwrap_or_default()
}
