//! Handoff: tell the customer (if configured), tell the agent, move.
//!
//! Everything but the move may fail: one try, then the move. A note that is
//! surely missing afterwards is tried once more. In a hurry, when others wait for
//! every call, note and topic are left out, and whoever can't be answered in time
//! is moved without a look, by what webhooks told. A human who has the
//! conversation already is left alone.

use std::time::Duration;

use super::parts::Progress;
use super::{Action, Context, Part, PartKind, Purpose, Step, Turn};
use crate::clock::{later, time_until};
use crate::conversation::{Named, Status, Whose};
use crate::gladly::{GladlyError, Refusal};
use crate::outcome::{HandoffReason, Outcome, SkipReason};
use crate::relay::policy::question;
use crate::store::Learnt;
use crate::text::{self, NoteFacts};

/// How often a note is tried: before the move, and after it.
const NOTE_TRIES: u32 = 2;
/// Failed looks in a row, past the deadline, before a conversation is moved by
/// what webhooks told of it.
const BLIND_AFTER: u32 = 3;

/// A backlog of calls is long from here on.
const LONG_BACKLOG: Duration = Duration::from_secs(5);
/// What the agent is told of a turn that was given up.
const TOO_MANY: &str = "More customers wrote than could be answered in time.";
/// What the agent is told of a message that a sweep found too late.
const UNSEEN: &str =
    "Gladly's notice of this message did not arrive, so the bot did not see it in time.";

impl Turn {
    /// It can't be answered in time, and has cost nothing yet.
    pub(super) fn give_up(&mut self, context: &Context<'_>) {
        if self.state.step == Step::Gather && self.end.is_none() {
            self.hand_off(HandoffReason::Deadline, Some(TOO_MANY), context);
            self.state.hurried = true;
        }
    }

    /// Whether others are kept from an answer by calls that a handoff can do
    /// without.
    fn is_crowded(&self, context: &Context<'_>) -> bool {
        let left = time_until(self.deadline_at, context.now.at);
        context.backlog > (left / 2).max(LONG_BACKLOG)
    }

    /// A human is needed: from now on the turn tells the agent why and moves.
    pub(super) fn hand_off(
        &mut self,
        reason: HandoffReason,
        detail: Option<&str>,
        context: &Context<'_>,
    ) {
        if self.state.step == Step::HandOff {
            return;
        }
        let begun = self.may_have_answered();
        let detail = detail.filter(|detail| begun || *detail != super::deliver::HALF);
        let detail = detail.or_else(|| self.waits_overdue().then_some(UNSEEN));
        self.tell_decision(reason, detail, context);
        for part in &mut self.state.parts {
            if !part.is_begun() {
                part.progress = Progress::Abandoned;
            }
        }
        let parts = self.handoff_parts(reason, detail, context);
        self.add_parts(parts);
        self.wait = None;
        // Tried at once; but what has failed in a row goes on failing.
        self.state.failures = 0;
        self.state.refused_looks = 0;
        self.state.reason = Some(reason);
        self.state.hurried = self.is_crowded(context);
        self.state.step = Step::HandOff;
        let seen = context
            .known()
            .facts
            .looked_since(self.since(), context.now);
        self.state.look_wanted = Some(if seen { self.since() } else { context.revision });
    }

    fn handoff_parts(
        &self,
        reason: HandoffReason,
        detail: Option<&str>,
        context: &Context<'_>,
    ) -> Vec<Part> {
        let (policy, contents) = (context.policy, self.contents());
        let asked = Some(question(policy, &contents)).filter(|asked| !asked.is_empty());
        let attachments = contents.iter().flat_map(|content| &content.attachments);
        let attachments: Vec<String> = attachments.cloned().collect();
        let at = context.wall.strftime("%Y-%m-%d %H:%M UTC").to_string();
        let note = text::note(&NoteFacts {
            reason,
            customer_asked: asked.as_deref(),
            bot_answer: self.words.answer.as_deref(),
            attachments: &attachments,
            detail,
            at: &at,
        });
        let mut parts = Vec::new();
        // A customer who has read half an answer is told nothing more.
        let told = policy
            .handoff_message
            .as_ref()
            .filter(|_| !self.may_have_answered());
        if let (Some(message), Some((_, channel))) = (told, self.reply_to()) {
            // One too long for the channel is left out: the move matters more.
            let written = text::write_plain(channel, message).unwrap_or_default();
            let of_text = |part| Part::of_text(PartKind::Message, part);
            parts.extend(written.into_iter().map(of_text));
        }
        parts.push(Part::new(PartKind::Note, note));
        let topic = policy.handoff_topic_id.iter();
        parts.extend(topic.map(|topic| Part::new(PartKind::Topic, topic.to_string())));
        parts.push(Part::new(
            PartKind::Move,
            context.handoff_inbox_id.to_string(),
        ));
        parts
    }

    pub(super) fn go_on_handing_off(&mut self, context: &Context<'_>) -> Action {
        if self.unsettled(PartKind::Move).is_none() {
            let moved = self.parts().any(|(_, part)| part.kind == PartKind::Move);
            if moved {
                return self.after_move(context);
            }
            // A dead letter that an operator retries: its words are gone.
            let reason = self.reason();
            let mut parts = self.handoff_parts(reason, None, context);
            let before = &self.state.written_before;
            let answered = before.contains(&PartKind::Reply);
            parts.retain(|part| match part.kind {
                PartKind::Move => true,
                PartKind::Message if answered => false,
                kind => !before.contains(&kind),
            });
            self.add_parts(parts);
            self.state.look_wanted = Some(context.revision);
        }
        match self.whose(context) {
            Whose::Others(reason) if Self::is_with_humans(context) => {
                let tried = self.unsettled(PartKind::Move);
                let tried = tried.is_some_and(|index| self.part_state(index).tries > 0);
                // A late event may tell of a human who has given it back since.
                let seen = context.known().facts.looked_since(0, context.now);
                // An earlier turn brought it there, and its note says why.
                let by_earlier = reason == SkipReason::HandedOff && !tried;
                return if by_earlier {
                    self.leave(reason)
                } else if seen || self.moving_unseen {
                    self.found_moved(seen, context)
                } else if tried {
                    Action::Look
                } else {
                    self.leave(reason)
                };
            }
            Whose::Others(reason) => return self.leave(reason),
            _ if self.moving_unseen => return self.write_move(),
            _ => {}
        }
        if self.may_move_at_once(context) {
            self.moving_unseen = true;
            return self.write_move();
        }
        if let Some(action) = self.obstacle(context) {
            return action;
        }
        for kind in [PartKind::Message, PartKind::Note, PartKind::Topic] {
            let untried = |index: &usize| self.is_to_be_tried(*index);
            if let Some(index) = self.unsettled(kind).filter(untried) {
                return Action::Write(index);
            }
        }
        self.write_move()
    }

    /// In a hurry, who is late is moved by what webhooks told of late. What was tried
    /// before is looked after first.
    fn may_move_at_once(&self, context: &Context<'_>) -> bool {
        let late = self.state.hurried && self.reason() == HandoffReason::Deadline;
        let untouched = self.state.parts.iter().all(|part| part.tries == 0);
        let told = self.whose_to_read(context) == Whose::Bots;
        if !late || !untouched || !told || self.unseen_move_refused {
            return false;
        }
        let target = self.target(context.standing);
        let facts = &context.known().facts;
        let clear = facts.clear_move_unseen(target, context.bot, context.now);
        clear.is_some()
    }

    /// Whether a part is to be written before the move.
    pub(super) fn is_to_be_tried(&self, index: usize) -> bool {
        let can_wait = |part: &Part| matches!(part.kind, PartKind::Note | PartKind::Topic);
        let left_out = self.state.hurried && self.part(index).is_some_and(can_wait);
        self.part_state(index).tries == 0 && !left_out
    }

    /// The note that was left out in a hurry, once the turn has ended.
    pub fn note_left_out(&self) -> Option<&str> {
        let handed_off = matches!(self.end, Some(Outcome::HandedOff(_)));
        let index = self.unsettled(PartKind::Note)?;
        let left_out = handed_off && self.state.hurried && self.part_state(index).tries == 0;
        left_out.then(|| self.part(index).map(|part| part.body.as_str()))?
    }

    /// The conversation is where it was to be moved: by the relay's own call whose
    /// answer got lost, or by a human.
    fn found_moved(&mut self, seen: bool, context: &Context<'_>) -> Action {
        if let Some(index) = self.unsettled(PartKind::Move) {
            if self.part_state(index).tries > 0 {
                let inbox_id = context.handoff_inbox_id.clone();
                // Unseen, it says nothing about any message that was heard of.
                let base = if seen { context.revision } else { 0 };
                self.learnt.push(Learnt::Moved(inbox_id, base));
            }
            self.set_progress(index, Progress::Sent);
        }
        self.after_move(context)
    }

    fn write_move(&mut self) -> Action {
        match self.unsettled(PartKind::Move) {
            Some(index) => Action::Write(index),
            None => self.finish(Outcome::HandedOff(self.reason())),
        }
    }

    /// The conversation is with the humans: a note that is missing is tried once
    /// more, then the turn ends.
    fn after_move(&mut self, context: &Context<'_>) -> Action {
        let done = Outcome::HandedOff(self.reason());
        let Some(index) = self.unsettled(PartKind::Note) else {
            return self.finish(done);
        };
        let note = self.part_state(index);
        match note.progress {
            Progress::Unsure(since) => {
                let settled_at = later(since.at, context.policy.settle_time);
                if context.now.at < settled_at {
                    let why = "the note may still show".to_owned();
                    let until = settled_at;
                    return Action::Wait { until, why };
                }
                Action::List(Purpose::Search(index))
            }
            Progress::Pending if note.tries == 0 && self.state.hurried => self.finish(done),
            Progress::Pending if note.tries < NOTE_TRIES => Action::Write(index),
            _ => self.finish(done),
        }
    }

    pub(super) fn reason(&self) -> HandoffReason {
        self.state.reason.unwrap_or(HandoffReason::BotError)
    }

    /// Whether the conversation sits in the human inbox already.
    fn is_with_humans(context: &Context<'_>) -> bool {
        let facts = &context.known().facts;
        let open = facts.status() != Some(Status::Closed);
        let there = facts
            .holder()
            .is_some_and(|holder| holder.inbox_id == Named::This(context.handoff_inbox_id.clone()));
        open && there
    }

    /// Whether the move is made by what webhooks told.
    pub const fn is_moving_unseen(&self) -> bool {
        self.moving_unseen
    }

    /// A look has just failed again. Past the deadline the conversation moves by
    /// what webhooks told, and at once where the next message's has passed too.
    pub(super) fn move_unseen_if_due(&mut self, context: &Context<'_>) {
        let late = self.deadline_passed || context.now.at >= self.deadline_at;
        let often = self.state.failed_looks >= BLIND_AFTER || Self::holds_the_next(context);
        let handing_off = self.state.step == Step::HandOff && self.end.is_none();
        if handing_off && late && often && !self.unseen_move_refused {
            self.moving_unseen = true;
            self.wait = None;
        }
    }

    /// Whether the part may be left out.
    pub(super) fn is_optional(&self, index: usize) -> bool {
        self.part(index)
            .is_some_and(|part| !matches!(part.kind, PartKind::Reply | PartKind::Move))
    }

    /// Whether the move's call is to leave `agentId` out instead of naming nobody.
    pub const fn leaves_agent_out(&self) -> bool {
        self.state.leave_agent_out
    }

    /// Whether the relay has moved the conversation, or found it moved.
    pub fn has_moved(&self) -> bool {
        self.state.step == Step::HandOff && self.unsettled(PartKind::Move).is_none()
    }

    /// A message, note or topic: one try. A note that is surely missing, also one
    /// that was refused, is tried again after the move.
    pub(super) fn optional_failed(
        &mut self,
        index: usize,
        error: &GladlyError,
        context: &Context<'_>,
    ) {
        let no_call_may_be_made = matches!(error, GladlyError::Unauthorised { .. });
        // The move could not be made either.
        if no_call_may_be_made && !self.has_moved() {
            self.wait_out(error, context);
            return;
        }
        let last = no_call_may_be_made || self.part_state(index).tries >= NOTE_TRIES;
        let is_note = self
            .part(index)
            .is_some_and(|part| part.kind == PartKind::Note);
        if last || !is_note {
            self.set_progress(index, Progress::Abandoned);
        }
    }

    pub(super) fn move_failed(&mut self, index: usize, error: &GladlyError, context: &Context<'_>) {
        // Whatever it may have done, the next look shows.
        self.set_progress(index, Progress::Pending);
        self.moving_unseen = false;
        let refused_agent = matches!(
            error,
            GladlyError::Refused {
                refusal: Refusal::Agent,
                ..
            }
        );
        if Self::is_closed(error) {
            self.leave(SkipReason::Closed);
        } else if refused_agent && !self.state.leave_agent_out {
            self.state.leave_agent_out = true;
        } else {
            self.state.look_wanted = Some(context.revision);
            if !self.wait_out(error, context) {
                self.state.refused_moves += 1;
                self.refuse(error, self.state.refused_moves, context);
            }
        }
    }
}
