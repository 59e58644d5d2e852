//! Gather: find out whose the conversation is, then read the messages. What a
//! human holds is not even read.

use std::time::Duration;

use jiff::Timestamp;

use super::{Action, Context, Purpose, Step, Turn};
use crate::clock::{later, time_until};
use crate::conversation::{Whose, Written, is_late_by};
use crate::gladly::{GladlyError, Item, Listed};
use crate::id::ConversationId;
use crate::outcome::{HandoffReason, Outcome, SkipReason};
use crate::relay::policy::{
    Content, Reader, Unanswered, agent_answered, answered_since, last_unanswered, repetition,
};
use crate::store::{Learnt, Message};

/// How long an item is looked for that Gladly says is not there: a webhook may
/// be faster than Gladly's own database.
const MAY_APPEAR_FOR: Duration = Duration::from_secs(10);

impl Turn {
    pub(super) fn gather(&mut self, context: &Context<'_>) -> Action {
        match self.whose_to_read(context) {
            Whose::Others(reason) => return self.leave(reason),
            Whose::Unclear => return Action::Look,
            Whose::Bots => {}
        }
        if let Some((_, item)) = &self.stranger {
            return self.place_stranger(item.conversation_id.clone(), context);
        }
        if self.messages.is_empty() {
            return Action::List(Purpose::Arrival);
        }
        let mut missing = self.words.contents.iter().enumerate();
        let mut missing = missing.by_ref().filter(|(_, content)| content.is_none());
        match (missing.next(), missing.next()) {
            (Some(_), Some(_)) if !self.state.listed => Action::List(Purpose::Fetch),
            (Some((index, _)), None) if !self.state.listed && self.is_belated(index, context) => {
                Action::List(Purpose::Fetch)
            }
            (Some((index, _)), _) => Action::Fetch(index),
            (None, _) => self.all_read(context),
        }
    }

    /// Whether an agent may have answered this message before the relay heard of it:
    /// then what follows it is listed.
    fn is_belated(&self, index: usize, context: &Context<'_>) -> bool {
        self.messages.get(index).is_some_and(|message| {
            message.overdue
                || message.written.happened_at.is_some_and(|at| {
                    is_late_by(at, message.received_at) || context.known().facts.was_taken_since(at)
                })
        })
    }

    /// Whether it has to be found out first whether somebody has answered since what was
    /// heard of too late. Nobody hurries for that, until something fails.
    pub(super) fn is_to_be_caught_up(&self) -> bool {
        let fails = self.state.failures > 0 || self.state.failed_looks > 0;
        self.overdue && !self.messages.is_empty() && !self.state.listed && !fails
    }

    /// Whether a customer waits for an answer since before the relay heard of it.
    pub const fn waits_overdue(&self) -> bool {
        self.overdue && !self.state.caught_up
    }

    /// Everything is read: what the customer said last counts for what follows.
    fn all_read(&mut self, context: &Context<'_>) -> Action {
        let ids = self.messages.iter().map(|message| message.item_id.clone());
        let read: Vec<_> = ids.zip(self.contents()).collect();
        let locale = read
            .iter()
            .rev()
            .find_map(|(_, content)| content.locale.clone());
        let repetition = repetition(&context.known().repetition, &read);
        self.learnt.push(Learnt::Read { repetition, locale });
        self.state.step = Step::Ask;
        self.ask(context)
    }

    pub(super) fn contents(&self) -> Vec<Content> {
        self.words.contents.iter().flatten().cloned().collect()
    }

    pub(super) fn fetched(&mut self, index: usize, item: &Item, context: &Context<'_>) {
        self.succeed();
        if self.belongs(item, context) {
            self.read(&[(index, item)], context);
        } else {
            self.stranger = Some((index, Box::new(item.clone())));
            // Its own conversation may have been merged: a look from now on tells.
            self.looked_for_stranger = false;
        }
    }

    pub(super) fn fetch_failed(
        &mut self,
        index: usize,
        error: &GladlyError,
        context: &Context<'_>,
    ) {
        match error {
            // Gladly knows the item but won't show it.
            GladlyError::Refused { .. } => self.set_content(index, Content::unreadable()),
            GladlyError::NotFound { .. } | GladlyError::Moved { .. } => {
                let since = self.state.failing_since.unwrap_or(context.now.at);
                if time_until(context.now.at, since) >= MAY_APPEAR_FOR {
                    self.succeed();
                    self.set_content(index, Content::unreadable());
                } else {
                    self.fail(None, &error.to_string(), context);
                }
            }
            error => {
                self.wait_out(error, context);
            }
        }
    }

    /// Whether Gladly says that the item is of the turn's conversation.
    fn belongs(&self, item: &Item, context: &Context<'_>) -> bool {
        let of = item.conversation_id.as_ref();
        of == Some(&self.conversation_id) || of == Some(self.target(context.standing))
    }

    /// An item that seems to be of another conversation: a merge may explain it.
    fn place_stranger(&mut self, of: Option<ConversationId>, context: &Context<'_>) -> Action {
        if !self.looked_for_stranger {
            return Action::Look;
        }
        match (self.stranger.take(), of) {
            (Some((index, item)), _) if self.belongs(&item, context) => {
                self.read(&[(index, &item)], context);
                self.gather(context)
            }
            (Some((index, item)), Some(of)) => {
                self.stranger = Some((index, item));
                Action::LookElsewhere(of)
            }
            (Some((index, _)), None) => {
                self.drop_stranger(index, None);
                self.choose(context)
            }
            (None, _) => self.gather(context),
        }
    }

    /// The other conversation is one of its own, or was merged into `into`.
    pub(super) fn looked_elsewhere(
        &mut self,
        into: Option<&ConversationId>,
        context: &Context<'_>,
    ) {
        let Some((index, item)) = self.stranger.take() else {
            return;
        };
        if into == Some(self.target(context.standing)) {
            self.read(&[(index, &item)], context);
        } else {
            self.drop_stranger(index, into.cloned().or(item.conversation_id));
        }
    }

    pub(super) fn look_elsewhere_failed(&mut self, error: GladlyError, context: &Context<'_>) {
        match error {
            GladlyError::Moved { to, .. } => self.looked_elsewhere(Some(&to), context),
            GladlyError::NotFound { .. } | GladlyError::Refused { .. } => {
                self.looked_elsewhere(None, context);
            }
            error => {
                self.wait_out(&error, context);
            }
        }
    }

    /// It is not read on, not asked, not answered here; a person must look. Where it
    /// belongs it waits for a turn, as if its own event had come.
    fn drop_stranger(&mut self, index: usize, of: Option<ConversationId>) {
        const ERROR: &str =
            "an event named an item that is of another conversation; it was not read";
        let stranger = self.messages.remove(index);
        self.state.strangers.push(stranger.item_id.clone());
        self.learnt
            .extend(of.map(|of| Learnt::Belongs(of, stranger)));
        self.words.contents.remove(index);
        if self.messages.is_empty() {
            self.finish(Outcome::Dead(ERROR.to_owned()));
        } else {
            self.learnt.push(Learnt::Unusable(ERROR.to_owned()));
        }
    }

    /// Whether an agent has written after the last message, of which the relay heard
    /// late: then they have their answer.
    fn is_answered(&self, listed: &Listed, context: &Context<'_>) -> bool {
        let last = self.messages.len().checked_sub(1);
        last.is_some_and(|last| {
            let message = &self.messages[last];
            let known = context.known();
            self.is_belated(last, context) && agent_answered(&listed.items, &message.item_id, known)
                || message.overdue && answered_since(&listed.items, &message.item_id, known)
        })
    }

    /// What was heard of too late and has been answered since is not asked again.
    fn catch_up(&mut self, listed: &Listed, context: &Context<'_>) {
        let overdue = self.messages.iter().zip(&mut self.words.contents);
        let overdue = overdue.filter(|(message, _)| message.overdue);
        self.state.caught_up = true;
        for (message, content) in overdue {
            if answered_since(&listed.items, &message.item_id, context.known()) {
                *content = Some(Content::dealt_with());
            } else {
                self.state.caught_up = false;
            }
        }
    }

    pub(super) fn listed(&mut self, purpose: Purpose, listed: &Listed, context: &Context<'_>) {
        match purpose {
            Purpose::Search(index) => return self.searched(index, listed, context),
            Purpose::Fetch => {
                let found = |message: &Message| {
                    let mut items = listed.items.iter();
                    items.find(|item| item.id == message.item_id)
                };
                let items: Vec<(usize, &Item)> = self
                    .messages
                    .iter()
                    .enumerate()
                    .filter(|(index, _)| self.words.contents[*index].is_none())
                    .filter_map(|(index, message)| Some((index, found(message)?)))
                    .collect();
                self.state.listed = true;
                if self.is_answered(listed, context) {
                    if context.standing.merged_into.is_some() {
                        // What is listed with it may be another turn's.
                        self.leave(SkipReason::AlreadyAnswered);
                        return;
                    }
                    self.words.contents.fill(Some(Content::dealt_with()));
                    // A later one may wait, which was left to that agent.
                    self.take_up(listed, context);
                } else {
                    self.read(&items, context);
                    self.catch_up(listed, context);
                }
            }
            Purpose::Arrival => self.take_up(listed, context),
        }
        self.succeed();
    }

    /// The conversation came to the bot: its last unanswered item is taken up.
    fn take_up(&mut self, listed: &Listed, context: &Context<'_>) {
        let items = &listed.items;
        if !listed.complete {
            const WHY: &str = "the conversation is too long to find what waits in it";
            self.hand_off(HandoffReason::UnsupportedContent, Some(WHY), context);
            return;
        }
        match last_unanswered(items, context.known()) {
            Unanswered::Item(index) => {
                let item = &items[index];
                let message = self.message_of(item, context.now.at);
                self.messages.push(message);
                self.learnt.push(Learnt::TookUp(self.messages.clone()));
                self.words.contents.push(None);
                self.read(&[(self.messages.len() - 1, item)], context);
            }
            Unanswered::Nothing => {
                self.finish(Outcome::Skipped(SkipReason::NotCustomer));
            }
            Unanswered::Answered => {
                self.finish(Outcome::Skipped(SkipReason::AlreadyAnswered));
            }
        }
    }

    fn message_of(&self, item: &Item, now: Timestamp) -> Message {
        Message {
            item_id: item.id.clone(),
            written: Written {
                heard: self.began,
                happened_at: item.happened_at,
            },
            received_at: now,
            deadline_at: later(now, time_until(self.deadline_at, now)),
            overdue: self.overdue,
        }
    }

    fn read(&mut self, items: &[(usize, &Item)], context: &Context<'_>) {
        let salt = format!("{}/{}", self.account, self.conversation_id);
        let mut reader = Reader::default();
        for (index, item) in items {
            let found = reader.read(context.policy, item, &salt);
            self.set_content(*index, found);
        }
    }

    fn set_content(&mut self, index: usize, content: Content) {
        if let Some(place) = self.words.contents.get_mut(index) {
            *place = Some(content);
        }
    }
}
