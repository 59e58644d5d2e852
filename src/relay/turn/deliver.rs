//! Deliver: the answer's parts, in order, each exactly once.
//!
//! A part is stored as *unsure* before its POST. Whoever finds it so looks in
//! the conversation first: Gladly's reply call has no idempotency key.

use std::time::Duration;

use super::parts::Progress;
use super::{Action, Context, PartKind, Purpose, Turn};
use crate::clock::{Moment, later, time_until};
use crate::gladly::{GladlyError, Initiator, Item, Listed};
use crate::id::ItemId;
use crate::outcome::{HandoffReason, Outcome, SkipReason};
use crate::relay::policy::{Search, Seen, find_sent};
use crate::store::Learnt;
use crate::text::{self, Channel};
use crate::trace::Found;
use crate::upstream::Effect;

/// How long after its deadline a turn tries to find out what became of a reply.
const UNCLEAR_FOR: Duration = Duration::from_mins(1);
/// What the agent is told if that can't be found out.
const UNCLEAR: &str = "It could not be checked whether the answer arrived.";
/// What the agent is told if some parts are there and others surely are not.
pub(super) const HALF: &str = "Only the beginning of the answer reached the customer.";

impl Turn {
    pub(super) fn deliver(&mut self, context: &Context<'_>) -> Action {
        let Some(index) = self.unsettled(PartKind::Reply) else {
            return self.finish(Outcome::Replied);
        };
        if let Progress::Unsure(since) = self.part_state(index).progress {
            return self.search(index, since, context);
        }
        // Surely absent: from the deadline on it is a human's.
        if self.deadline_passed || context.now.at >= self.deadline_at {
            self.hand_off(HandoffReason::Deadline, Some(HALF), context);
            return self.choose(context);
        }
        match self.obstacle(context) {
            Some(action) => action,
            None => Action::Write(index),
        }
    }

    /// Looks for a part that may have been sent, unless that has become useless.
    fn search(&mut self, index: usize, since: Moment, context: &Context<'_>) -> Action {
        let now = context.now.at;
        let given_up_at = later(self.deadline_at, UNCLEAR_FOR);
        let part = self.part_state(index);
        if part.searches > 0 && (now >= given_up_at || Self::holds_the_next(context)) {
            let reason = self.reason_of_unclear(context);
            self.hand_off(reason, Some(UNCLEAR), context);
            return self.choose(context);
        }
        let settled_at = later(since.at, context.policy.settle_time);
        if part.absences > 0 && now < settled_at {
            let until = self.bounded(settled_at, context);
            let why = "a part of unknown fate may still show".to_owned();
            return Action::Wait { until, why };
        }
        Action::List(Purpose::Search(index))
    }

    fn reason_of_unclear(&self, context: &Context<'_>) -> HandoffReason {
        if context.now.at >= self.deadline_at {
            HandoffReason::Deadline
        } else {
            HandoffReason::ReplyRejected
        }
    }

    pub(super) fn searched(&mut self, index: usize, listed: &Listed, context: &Context<'_>) {
        self.succeed();
        // What landed while the list was on its way is not in it.
        let listed_at = self.doing_since.unwrap_or(context.now.at);
        let found = self.find(index, listed, context);
        self.tell_found(match found {
            Search::Found(_) => Found::There,
            Search::NotThere if listed.complete => Found::NotThere,
            Search::NotThere | Search::Unclear => Found::Unclear,
        });
        if let Some(part) = self.state.parts.get_mut(index) {
            part.searches += 1;
        }
        let Progress::Unsure(since) = self.part_state(index).progress else {
            return;
        };
        match found {
            Search::Found(item_id) => self.sent(index, Some(item_id)),
            Search::NotThere if listed.complete => {
                if let Some(part) = self.state.parts.get_mut(index) {
                    part.absences += 1;
                }
                // It may still be on its way, until the settle time has passed.
                if time_until(listed_at, since.at) >= context.policy.settle_time {
                    self.set_progress(index, Progress::Pending);
                }
            }
            Search::NotThere | Search::Unclear if self.is_optional(index) => {
                // A second note would be worse than none.
                self.set_progress(index, Progress::Abandoned);
            }
            Search::NotThere | Search::Unclear => {
                let reason = self.reason_of_unclear(context);
                self.hand_off(reason, Some(UNCLEAR), context);
            }
        }
    }

    pub(super) fn search_failed(
        &mut self,
        index: usize,
        error: &GladlyError,
        context: &Context<'_>,
    ) {
        if self.is_optional(index) {
            return self.set_progress(index, Progress::Abandoned);
        }
        if let Some(part) = self.state.parts.get_mut(index) {
            part.searches += 1;
        }
        if self.wait_out(error, context) {
            return;
        }
        // Refused: until the deadline it is tried again, then a human decides.
        if context.now.at >= self.deadline_at {
            self.hand_off(HandoffReason::Deadline, Some(UNCLEAR), context);
        } else {
            self.fail(None, &error.to_string(), context);
        }
    }

    /// What was written stands in Gladly.
    pub(super) fn written(&mut self, index: usize, item_id: Option<ItemId>, context: &Context<'_>) {
        self.succeed();
        self.sent(index, item_id);
        if self
            .part(index)
            .is_some_and(|part| part.kind == PartKind::Move)
        {
            let inbox_id = context.handoff_inbox_id.clone();
            self.learnt.push(Learnt::Moved(inbox_id, context.revision));
        }
    }

    fn sent(&mut self, index: usize, item_id: Option<ItemId>) {
        self.learnt.extend(item_id.clone().map(Learnt::Wrote));
        if let Some(part) = self.state.parts.get_mut(index) {
            part.item_id = item_id;
        }
        self.set_progress(index, Progress::Sent);
    }

    /// The call was not made: what is known of the conversation says why.
    pub(super) fn not_made(&mut self, index: usize) {
        self.unseen_move_refused |= std::mem::take(&mut self.moving_unseen);
        let progress = if self.has_moved() {
            Progress::Abandoned
        } else {
            Progress::Pending
        };
        self.set_progress(index, progress);
        if let Some(part) = self.state.parts.get_mut(index) {
            part.tries = part.tries.saturating_sub(1);
        }
    }

    pub(super) fn write_failed(
        &mut self,
        index: usize,
        error: &GladlyError,
        context: &Context<'_>,
    ) {
        let kind = self.part(index).map(|part| part.kind);
        self.state.failing_looks = false;
        match error {
            // Perhaps it is there.
            GladlyError::RetryLater {
                effect: Effect::Unknown,
                ..
            } => {}
            GladlyError::Stale { .. } => self.not_made(index),
            _ => self.set_progress(index, Progress::Pending),
        }
        match kind {
            Some(PartKind::Reply) => self.reply_failed(index, error, context),
            Some(PartKind::Move) => self.move_failed(index, error, context),
            _ => self.optional_failed(index, error, context),
        }
    }

    fn reply_failed(&mut self, index: usize, error: &GladlyError, context: &Context<'_>) {
        if Self::is_closed(error) {
            self.set_progress(index, Progress::Abandoned);
            self.leave(SkipReason::Closed);
        } else if !self.wait_out(error, context) {
            self.set_progress(index, Progress::Abandoned);
            let detail = Some("Gladly did not accept the answer.");
            self.hand_off(HandoffReason::ReplyRejected, detail, context);
        }
    }

    fn find(&self, index: usize, listed: &Listed, context: &Context<'_>) -> Search {
        let (Some(part), Some(last)) = (self.part(index), self.messages.last()) else {
            return Search::Unclear;
        };
        let words = part.words();
        let same_words = |item: &Item| {
            let is_note = item.content.content_type == "CONVERSATION_NOTE";
            match part.kind {
                PartKind::Note => is_note && text::same_note(&part.body, &item.content.text),
                _ => !is_note && text::same_words(&words, &item.content.text),
            }
        };
        let seen: Vec<Seen<'_>> = listed
            .items
            .iter()
            .map(|item| Seen {
                id: &item.id,
                by_customer: item.initiator == Initiator::Customer,
                same_words: same_words(item),
            })
            .collect();
        let own = self
            .state
            .parts
            .iter()
            .filter_map(|part| part.item_id.clone());
        let taken: Vec<ItemId> = context
            .known()
            .own_items()
            .iter()
            .cloned()
            .chain(own)
            .collect();
        find_sent(&seen, &last.item_id, &taken)
    }

    /// The latest message that can be replied to, and how.
    pub fn reply_to(&self) -> Option<(ItemId, Channel)> {
        let messages = self.messages.iter().zip(&self.words.contents).rev();
        let mut repliable = messages.filter_map(|(message, content)| {
            let content = content.as_ref().filter(|content| content.by_customer)?;
            Some((message.item_id.clone(), content.channel()?))
        });
        repliable.next()
    }
}
