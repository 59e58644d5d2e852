//! Who holds a conversation and whether it is open: what was heard, in the
//! order in which it was heard, and what follows from it.
//!
//! - A look at Gladly can license the bot. A webhook can silence it at once,
//!   and licenses it only while nothing contradicts: never against a look.
//! - Where two tellings contradict each other, nothing is known: look.
//! - The order is that of arrival, counted by `revision`. Gladly's own times
//!   only show that two of its events came out of order.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::clearance::Clearance;
use super::{Bot, Holder, Named, Status};
use crate::clock::{Moment, time_until};
use crate::id::{ConversationId, InboxId};
use crate::outcome::SkipReason;

/// How long a fact is believed without a look. A human's taking over reaches
/// the relay as a webhook, usually within seconds.
pub const FRESH: Duration = Duration::from_secs(15);

/// From when on an event, or a message's, tells of what may have changed since:
/// Gladly delivers within seconds, and again for an hour and a half.
const LATE: Duration = Duration::from_mins(1);

/// How long it is enough for reading messages and asking the bot: while many wait
/// for their turn, a look for each would cost one answer in four.
const FRESH_TO_READ: Duration = Duration::from_mins(2);

/// What the relay has heard of one conversation.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and any may hold together with any other"
)]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Counts what was heard.
    revision: u64,
    /// As of when the last merge into it was heard of: a call that was begun
    /// before may have been about the other conversation.
    #[serde(default)]
    merged: u64,
    holder: Option<Heard<Holder>>,
    /// Revision of the last event that named the bot while a fresh look already did;
    /// the look was kept. Calls begun before it are older.
    #[serde(default)]
    confirmed: u64,
    /// The holder was told in two ways, lastly at this revision: only a look that
    /// is begun from then on can tell.
    doubted: Option<u64>,
    /// The relay itself saw, or made, it somebody else's, and has not seen it the
    /// bot's since: no event says otherwise.
    #[serde(default)]
    denied: bool,
    status: Option<Heard<Status>>,
    /// A closing was heard of, and no sure opening since. A change of which nobody
    /// says to what opens nothing.
    #[serde(default)]
    may_be_closed: bool,
    /// The relay itself saw it closed, and has not seen it open since.
    #[serde(default)]
    seen_closed: bool,
    /// The newest Gladly time of an event about the holder.
    holder_event_at: Option<Timestamp>,
    /// The newest Gladly time of an event that named somebody else.
    #[serde(default)]
    taken_at: Option<Timestamp>,
    /// The newest Gladly time of an event about the status.
    status_event_at: Option<Timestamp>,
    /// The newest Gladly time of a customer's message: who writes opens it.
    #[serde(default)]
    message_at: Option<Timestamp>,
    /// The relay itself gave it to the humans, and it has not been back since.
    handed_off: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Heard<T> {
    value: T,
    revision: u64,
    /// The revision when the call was begun that showed or did it.
    base: u64,
    at: Moment,
    by: Teller,
}

impl<T> Heard<T> {
    /// Whether it holds although a message was heard at revision `since`. A look
    /// and a move count as of their beginning, a message's word as of before the message.
    fn is_told_since(&self, since: u64) -> bool {
        match self.by {
            Teller::Look | Teller::Relay => self.base >= since,
            Teller::Event => self.revision > since,
            Teller::Message => false,
        }
    }
}

fn seen<T>(look: &Look, value: T) -> Heard<T> {
    Heard {
        value,
        revision: look.base,
        base: look.base,
        at: look.at,
        by: Teller::Look,
    }
}

/// Who said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Teller {
    /// The relay saw it in Gladly.
    Look,
    /// An event about this very thing.
    Event,
    /// A message's event: the holder *before* the message.
    Message,
    /// The relay did it.
    Relay,
}

/// What a look at Gladly showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// [`Facts::revision`] when the call was begun: what is heard after that is
    /// newer than the look.
    pub base: u64,
    /// Who held it.
    pub holder: Holder,
    /// Whether it was open.
    pub status: Status,
    /// When the call was begun.
    pub at: Moment,
}

/// Whose a conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The bot's, by fresh facts.
    Bots,
    /// Not the bot's, surely.
    Others(SkipReason),
    /// Look.
    Unclear,
}

impl Facts {
    /// So much was heard, and nothing of it is known any more.
    pub fn lost(revision: u64) -> Self {
        Self {
            revision,
            ..Self::default()
        }
    }

    /// How much was heard so far.
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// The last status that was told.
    pub fn status(&self) -> Option<Status> {
        self.status.as_ref().map(|status| status.value)
    }

    /// When the last status was told.
    pub fn status_told_at(&self) -> Option<Timestamp> {
        self.status.as_ref().map(|status| status.at.at)
    }

    /// When it was last told who holds it.
    pub fn holder_told_at(&self) -> Option<Timestamp> {
        self.holder.as_ref().map(|holder| holder.at.at)
    }

    /// Whether somebody else had it after a message that was written then.
    pub fn was_taken_since(&self, written_at: Timestamp) -> bool {
        self.taken_at.is_some_and(|at| at >= written_at)
    }

    /// Who holds it, as last told.
    pub fn holder(&self) -> Option<&Holder> {
        self.holder.as_ref().map(|holder| &holder.value)
    }

    /// A customer's message was heard of; `context` is who held the
    /// conversation *before* it, so it can license the bot but never silence
    /// it. Returns the revision as of which the message was heard.
    pub fn hear_message(
        &mut self,
        bot: &Bot,
        context: Option<&Holder>,
        happened_at: Option<Timestamp>,
        now: Moment,
    ) -> u64 {
        self.revision += 1;
        let heard = self.revision;
        // Newer things are known than what held before the message.
        let context = context.filter(|_| !is_before(happened_at, self.holder_event_at));
        let context = context.filter(|context| {
            let names_bot = owner(bot, context).is_ok();
            !(names_bot && is_late(happened_at, now))
        });
        if let Some(context) = context {
            self.hear_context(bot, context, now);
        }
        self.message_at = happened_at.max(self.message_at);
        let closed = self.status() == Some(Status::Closed);
        let tied = closed && is_same(happened_at, self.status_event_at);
        if tied || is_before(happened_at, self.status_event_at) {
            // The change is newer than the message, but was heard of first.
            self.revision += 1;
            self.set_status(self.heard(Status::Unclear, now, Teller::Event));
        }
        heard
    }

    /// A message was found whose own event has not come: it opened what was closed
    /// before it.
    pub fn find_message(&mut self, happened_at: Option<Timestamp>, now: Moment) {
        self.message_at = happened_at.max(self.message_at);
        let closed = self
            .status
            .as_ref()
            .is_some_and(|known| known.value == Status::Closed && known.by == Teller::Event);
        if closed && is_not_after(self.status_event_at, happened_at) {
            self.revision += 1;
            self.set_status(self.heard(Status::Unclear, now, Teller::Event));
        }
    }

    fn set_status(&mut self, heard: Heard<Status>) {
        match heard.value {
            Status::Open => self.may_be_closed = false,
            Status::Closed => self.may_be_closed = true,
            Status::Unclear => {}
        }
        self.status = Some(heard);
    }

    fn hear_context(&mut self, bot: &Bot, context: &Holder, now: Moment) {
        let names_bot = owner(bot, context).is_ok();
        match &mut self.holder {
            Some(known) if owner(bot, &known.value).is_ok() == names_bot => {
                // The same again: a message proves it anew, a look stays the better proof.
                let looked = known.by == Teller::Look && known.at.age(now).is_some_and(is_fresh);
                let proves = names_bot && !looked && self.doubted.is_none();
                match known.by {
                    // It stays what an event told, which a look under way can't undo.
                    Teller::Event if proves => known.at = now,
                    _ if proves => {
                        self.holder = Some(self.heard(context.clone(), now, Teller::Message));
                    }
                    _ => {}
                }
            }
            Some(_) => self.doubt(),
            None if names_bot => {
                self.holder = Some(self.heard(context.clone(), now, Teller::Message));
            }
            None => {}
        }
    }

    /// An event said who holds it now; none if it can't be read. True if the
    /// conversation may have come to the bot by it: what waits in it is to be taken up.
    pub fn hear_holder(
        &mut self,
        bot: &Bot,
        holder: Option<&Holder>,
        happened_at: Option<Timestamp>,
        now: Moment,
    ) -> bool {
        self.revision += 1;
        let out_of_order = is_before(happened_at, self.holder_event_at);
        let tied = is_same(happened_at, self.holder_event_at);
        self.holder_event_at = happened_at.max(self.holder_event_at);
        let was_bots = self.is_bots(bot);
        let Some(holder) = holder else {
            self.doubt();
            return !was_bots;
        };
        let names_bot = owner(bot, holder).is_ok();
        if !names_bot {
            self.taken_at = happened_at.max(self.taken_at);
        }
        let against_look = names_bot && self.denied;
        // Two events of one millisecond may arrive in either order.
        let against_tie = tied
            && self
                .holder
                .as_ref()
                .is_some_and(|known| owner(bot, &known.value).is_ok() != names_bot);
        // How old an event is nobody knows: a fresh look stays the better proof.
        let is_proved = names_bot && was_bots && self.looked_since(0, now);
        let late = names_bot && is_late(happened_at, now);
        if out_of_order || against_look || against_tie || late {
            self.doubt();
        } else if is_proved {
            self.confirmed = self.revision;
        } else {
            self.holder = Some(self.heard(holder.clone(), now, Teller::Event));
            // That it is the bot's is believed once a look has shown it.
            self.doubted = self.doubted.filter(|_| names_bot);
            self.handed_off &= !names_bot;
        }
        names_bot && !was_bots
    }

    /// An event told of the status.
    pub fn hear_status(&mut self, status: Status, happened_at: Option<Timestamp>, now: Moment) {
        self.revision += 1;
        let written_since = status == Status::Closed && is_not_after(happened_at, self.message_at);
        // Two events of one millisecond may arrive in either order.
        let against_tie =
            self.status() != Some(status) && is_same(happened_at, self.status_event_at);
        let out_of_order =
            written_since || against_tie || is_before(happened_at, self.status_event_at);
        self.status_event_at = happened_at.max(self.status_event_at);
        let against_look = status == Status::Open && self.seen_closed;
        let told = if out_of_order || against_look {
            Status::Unclear
        } else {
            status
        };
        self.may_be_closed |= status == Status::Closed;
        self.set_status(self.heard(told, now, Teller::Event));
    }

    /// The relay has looked. What was heard since the look was begun is newer.
    pub fn see(&mut self, bot: &Bot, look: &Look) {
        self.revision += 1;
        if look.base < self.merged {
            return self.doubt();
        }
        let looked_bots = owner(bot, &look.holder).is_ok();
        let newer = self
            .holder
            .as_ref()
            .filter(|known| self.is_newer(known, look.base) && known.by != Teller::Message);
        match newer {
            // Told meanwhile that it is somebody else's: believed at once.
            Some(known) if looked_bots && owner(bot, &known.value).is_err() => {}
            Some(known) if !looked_bots && owner(bot, &known.value).is_ok() => {
                self.denied = true;
                self.doubt();
            }
            // It is a human's either way; who it is now was told.
            Some(_) if !looked_bots => self.denied = true,
            _ => {
                self.holder = Some(seen(look, look.holder.clone()));
                self.settle_doubt(look.base);
                self.denied = !looked_bots;
                self.handed_off &= !looked_bots;
            }
        }
        self.seen_closed = look.status == Status::Closed;
        self.may_be_closed |= self.seen_closed;
        if !self.is_status_newer(look.base) {
            self.set_status(seen(look, look.status));
        } else if self.seen_closed && self.status() == Some(Status::Open) {
            // Told meanwhile that it is open: before what the look showed, or after.
            self.set_status(self.heard(Status::Unclear, look.at, Teller::Event));
        }
    }

    /// The relay has moved it to the humans, by a call that was begun at revision
    /// `base`. Whoever else was told of since may hold it by now: look.
    pub fn moved(&mut self, inbox_id: InboxId, base: u64, now: Moment) {
        self.revision += 1;
        if base < self.merged {
            return self.doubt();
        }
        self.handed_off = true;
        self.denied = true;
        self.seen_closed = false;
        let holder = Holder::inbox(inbox_id);
        let elsewhere = self.holder.as_ref().is_some_and(|known| {
            self.is_newer(known, base) && known.value.inbox_id != holder.inbox_id
        });
        if elsewhere {
            self.doubt();
        } else {
            self.holder = Some(self.done(holder, base, now));
            self.settle_doubt(base);
        }
        if !self.is_status_newer(base) {
            self.set_status(self.done(Status::Open, base, now));
        }
    }

    /// Whether the holder was told since a call was begun at revision `base`.
    fn is_newer(&self, known: &Heard<Holder>, base: u64) -> bool {
        known.revision.max(self.confirmed) > base
    }

    fn is_status_newer(&self, base: u64) -> bool {
        let newer = |known: &Heard<Status>| known.revision > base;
        self.status.as_ref().is_some_and(newer)
    }

    /// What was known of a conversation that was merged into this one counts as
    /// heard before anything that is heard from now on.
    pub fn merge(&mut self, gone: &Self) {
        self.revision = self.revision.max(gone.revision) + 1;
        self.merged = self.revision;
        self.doubt();
    }

    /// Whose it is, for a turn whose newest message was heard at revision
    /// `since`. What was told before a message can't silence it: the message
    /// itself may have brought the conversation to the bot.
    pub fn whose(&self, bot: &Bot, since: u64, now: Moment) -> Whose {
        self.whose_within(FRESH, bot, since, now)
    }

    /// As [`Facts::whose`], for reading the messages and asking the bot. Nothing is
    /// written by it: the look before the reply is still to come.
    pub fn whose_to_read(&self, bot: &Bot, since: u64, now: Moment) -> Whose {
        self.whose_within(FRESH_TO_READ, bot, since, now)
    }

    fn whose_within(&self, fresh: Duration, bot: &Bot, since: u64, now: Moment) -> Whose {
        let Some(holder) = self.holder.as_ref().filter(|_| self.doubted.is_none()) else {
            return Whose::Unclear;
        };
        let told = self.status.as_ref();
        let told = told.filter(|status| status.is_told_since(since));
        let open = match told.map(|status| status.value) {
            Some(Status::Closed) => return Whose::Others(SkipReason::Closed),
            Some(status) => status == Status::Open,
            // Nothing told since the message: a customer who writes may have
            // opened it again.
            None => !self.may_be_closed,
        };
        match owner(bot, &holder.value) {
            Err(reason) if holder.is_told_since(since) => {
                Whose::Others(if self.handed_off && reason == SkipReason::NotAiInbox {
                    SkipReason::HandedOff
                } else {
                    reason
                })
            }
            Ok(()) if open && holder.at.age(now).is_some_and(|age| age <= fresh) => Whose::Bots,
            _ => Whose::Unclear,
        }
    }

    /// Whether the relay's own look at or after revision `since` is what is
    /// known of the holder, and fresh.
    pub fn looked_since(&self, since: u64, now: Moment) -> bool {
        self.holder.as_ref().is_some_and(|holder| {
            holder.by == Teller::Look
                && holder.is_told_since(since)
                && holder.at.age(now).is_some_and(is_fresh)
        })
    }

    /// Clears one write, if the conversation is the bot's.
    ///
    /// # Errors
    /// Whose it is otherwise.
    pub fn clear(
        &self,
        conversation_id: &ConversationId,
        bot: &Bot,
        since: u64,
        now: Moment,
    ) -> Result<Clearance, Whose> {
        match (self.whose(bot, since, now), &self.holder) {
            (Whose::Bots, Some(holder)) => Ok(Clearance::new(conversation_id.clone(), holder.at)),
            (whose, _) => Err(whose),
        }
    }

    /// Clears the move to the humans where looks fail again and again: if the
    /// last that was told, however long ago, names the bot, and nothing speaks
    /// against it. A human gets what the bot may hold; nobody is talked over.
    pub fn clear_move_unseen(
        &self,
        conversation_id: &ConversationId,
        bot: &Bot,
        now: Moment,
    ) -> Option<Clearance> {
        let holder = self.holder.as_ref().filter(|_| self.doubted.is_none())?;
        (!self.may_be_closed && owner(bot, &holder.value).is_ok())
            .then(|| Clearance::new(conversation_id.clone(), now))
    }

    /// Clears a note into a conversation that the relay itself has just moved.
    pub fn clear_note_after_move(
        &self,
        conversation_id: &ConversationId,
        now: Moment,
    ) -> Option<Clearance> {
        (self.handed_off && self.doubted.is_none())
            .then(|| Clearance::new(conversation_id.clone(), now))
    }

    /// Clears a note about a move some time ago, if this look shows the conversation
    /// open and still where the move brought it.
    pub fn clear_note_later(
        conversation_id: &ConversationId,
        inbox_id: &InboxId,
        look: &Look,
    ) -> Option<Clearance> {
        let is_there = look.holder.inbox_id == Named::This(inbox_id.clone());
        (is_there && look.status == Status::Open)
            .then(|| Clearance::new(conversation_id.clone(), look.at))
    }

    /// Whether the last holder that was told is the bot, or what was told of the
    /// holder contradicts itself; not if none was ever told.
    pub fn may_be_bots(&self, bot: &Bot) -> bool {
        self.doubted.is_some() || self.is_bots(bot)
    }

    fn is_bots(&self, bot: &Bot) -> bool {
        self.doubted.is_none()
            && self
                .holder
                .as_ref()
                .is_some_and(|known| owner(bot, &known.value).is_ok())
    }

    /// What the relay did, by a call that was begun at revision `base`.
    fn done<T>(&self, value: T, base: u64, at: Moment) -> Heard<T> {
        Heard {
            value,
            revision: self.revision,
            base: base.min(self.revision),
            at,
            by: Teller::Relay,
        }
    }

    fn doubt(&mut self) {
        self.doubted = Some(self.revision);
    }

    /// What was seen or done at this revision ends a doubt that is not newer.
    fn settle_doubt(&mut self, base: u64) {
        self.doubted = self.doubted.filter(|doubted| *doubted > base);
    }

    fn heard<T>(&self, value: T, at: Moment, by: Teller) -> Heard<T> {
        Heard {
            value,
            revision: self.revision,
            base: self.revision,
            at,
            by,
        }
    }
}

/// Whether a holder is the bot: in the AI inbox, unassigned or assigned to it.
pub(super) fn owner(bot: &Bot, holder: &Holder) -> Result<(), SkipReason> {
    if holder.inbox_id.id() != Some(&bot.ai_inbox_id) {
        return Err(SkipReason::NotAiInbox);
    }
    match &holder.agent_id {
        Named::Nobody => Ok(()),
        Named::This(agent_id) if *agent_id == bot.agent_id => Ok(()),
        Named::This(_) | Named::Unreadable => Err(SkipReason::HumanAssigned),
    }
}

pub(super) fn is_fresh(age: Duration) -> bool {
    age <= FRESH
}

/// Whether an event tells of what was so long ago that somebody may have taken the
/// conversation over since.
fn is_late(happened_at: Option<Timestamp>, now: Moment) -> bool {
    happened_at.is_some_and(|at| is_late_by(at, now.at))
}

/// Whether what happened then was heard of so late that it may have changed since.
pub fn is_late_by(happened_at: Timestamp, received_at: Timestamp) -> bool {
    time_until(received_at, happened_at) > LATE
}

/// Whether both times are known, and the same.
fn is_same(happened_at: Option<Timestamp>, other: Option<Timestamp>) -> bool {
    happened_at.is_some() && happened_at == other
}

fn is_not_after(happened_at: Option<Timestamp>, other: Option<Timestamp>) -> bool {
    is_same(happened_at, other) || is_before(happened_at, other)
}

/// Whether an event was raised before the newest that was heard of; not if a time
/// is missing.
fn is_before(happened_at: Option<Timestamp>, newest: Option<Timestamp>) -> bool {
    happened_at
        .zip(newest)
        .is_some_and(|(this, newest)| this < newest)
}
