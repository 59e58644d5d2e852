//! A turn: what it does next, whatever happened. Pure, and the only place where
//! a turn changes: [`Turn::next`] takes what came of the last [`Action`] and
//! answers with the next one; `relay::run` does it, the store keeps the turn.
//!
//! Which function makes each decision (the rows of the design's "Decisions", and
//! two of "The turn"):
//!
//! | decision | where |
//! | --- | --- |
//! | whose it is: closed, not in the AI inbox, a human's | [`Facts::whose`], asked before every step and every write (`obstacle`) |
//! | not by a customer, no text, automated or bounced, asks for a human, loop | [`policy::decide`], at [`Step::Ask`] |
//! | Gleen fails, is late, may have taken the question | `ask::gleen_failed`; after a crash `resume` |
//! | Gleen says nothing or "transfer" | [`policy::judge`] |
//! | the breaker is open | `absorb`; it opens and closes in `relay::breaker` |
//! | more waits than can be answered | `handoff::give_up` |
//! | heard of after its deadline, by a sweep | listed first, `gather::listed`; then `ask` |
//! | the deadline passes | `choose` and `deadline_counts` before anything is sent; `deliver::deliver` after |
//! | a human takes over, or closes it, while the bot thinks | `obstacle`, by a look before each reply |
//! | Gladly refuses the reply for good | `deliver::reply_failed` |
//! | Gladly is away, 24 h of it | `failures::fail` |
//! | Gladly refuses the user (401, 403) | `failures::wait_out` |
//! | a reply may have landed | `deliver::search`, [`policy::find_sent`] |
//! | a stored turn or conversation can't be read | `store::apply::claim`; lost words `stored` |
//! | note, topic, move | `handoff` |
//! | an item of another conversation | `gather::belongs` |
//!
//! What a turn tells of itself, for whoever asks later, stands in `told`.
//!
//! [`Facts::whose`]: crate::conversation::Facts::whose
//! [`policy::decide`]: super::policy::decide
//! [`policy::judge`]: super::policy::judge
//! [`policy::find_sent`]: super::policy::find_sent

mod ask;
mod calls;
mod deliver;
mod failures;
mod gather;
mod handoff;
#[cfg(test)]
mod histories;
mod parts;
mod stored;
#[cfg(test)]
mod tests;
mod told;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use parts::Progress;
pub use parts::{Part, PartKind, PartState};

use super::policy::Content;
use crate::clock::{Moment, earlier, time_until};
use crate::config::Policy;
use crate::conversation::{Bot, FRESH, Facts, Known, Look, Whose, Written};
use crate::gladly::{GladlyError, Item, Listed};
use crate::gleen::{Answer, GleenError};
use crate::id::{AccountName, ConversationId, InboxId, ItemId, ThreadId, TurnId};
use crate::outcome::{HandoffReason, Outcome, SkipReason};
use crate::store::{Learnt, Message, Standing};
use crate::trace::Trace;

/// The most looks one after the other, with nothing else between.
const MOST_LOOKS: u32 = 4;

/// What a turn does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Look who holds the conversation.
    Look,
    /// Look at another conversation, by its id: was it merged into the turn's?
    LookElsewhere(ConversationId),
    /// Fetch the item of the message with this index.
    Fetch(usize),
    /// List the conversation's items.
    List(Purpose),
    /// Put the question to the bot.
    Ask(Question),
    /// Write the part with this index into Gladly.
    Write(usize),
    /// Remember that the turn's conversation was merged into the one with this id.
    Merge(ConversationId),
    /// Let the lane go until then.
    Wait {
        /// When to go on.
        until: Timestamp,
        /// What for.
        why: String,
    },
    /// It has ended.
    End(Outcome),
}

/// What a listing is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The messages of a burst.
    Fetch,
    /// What waits in a conversation that came to the bot.
    Arrival,
    /// The part with this index, whose fate is unknown.
    Search(usize),
}

/// What to ask the bot. `Debug` shows no words.
#[derive(Clone, PartialEq, Eq)]
pub struct Question {
    /// The customer's words.
    pub text: String,
    /// The thread to go on with.
    pub thread_id: Option<ThreadId>,
    /// The language of the answer.
    pub locale: Option<String>,
}

impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Question")
            .field("thread_id", &self.thread_id)
            .finish_non_exhaustive()
    }
}

/// What came of the last action.
#[derive(Debug)]
pub enum Happened {
    /// The turn was claimed: at its beginning, after a wait, or after a crash.
    Claimed,
    /// The look is part of what is known now.
    Looked,
    /// Of [`Action::LookElsewhere`]: the other conversation is one of its own.
    LookedElsewhere,
    /// Of [`Action::Fetch`].
    Fetched(Box<Item>),
    /// Of [`Action::List`].
    Listed(Listed),
    /// The bot answered.
    Answered(Answer),
    /// The bot did not answer.
    GleenFailed(GleenError),
    /// The bot was not asked, because it failed too often of late.
    BreakerOpen,
    /// What was to be written stands in Gladly; with the item that it became.
    Written(Option<ItemId>),
    /// A call to Gladly failed.
    Failed(GladlyError),
    /// The call was not made, for the conversation was not clear: what is known
    /// says why.
    NotMade,
    /// Of [`Action::Merge`].
    Merged,
    /// The deadline passed first. The call was not made, or does not matter.
    DeadlinePassed,
    /// So many calls go first that it can't be answered in time: the call was not
    /// made.
    TooLate,
}

/// All that decisions depend on, beside the turn.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The account's policy.
    pub policy: &'a Policy,
    /// The account's bot.
    pub bot: &'a Bot,
    /// Where humans take over.
    pub handoff_inbox_id: &'a InboxId,
    /// What is known of the conversation, by the store's last word and the
    /// looks since.
    pub standing: &'a Standing,
    /// How much of it the store has counted.
    pub revision: u64,
    /// The present moment.
    pub now: Moment,
    /// What the machine's clock shows people.
    pub wall: Timestamp,
    /// How long it takes until Gladly has taken all calls that wait.
    pub backlog: Duration,
    /// From 0 to 1, anew each time.
    pub random: f64,
}

impl<'a> Context<'a> {
    fn known(&self) -> &'a Known {
        &self.standing.known
    }
}

/// The work of answering the messages that waited when a lane became free.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and any may hold together with any other"
)]
#[derive(Clone)]
pub struct Turn {
    id: TurnId,
    account: AccountName,
    conversation_id: ConversationId,
    received_at: Timestamp,
    deadline_at: Timestamp,
    messages: Vec<Message>,
    began: u64,
    /// It began with something that was heard of too late.
    overdue: bool,
    state: State,
    words: Words,
    /// Learnt since it was last stored.
    learnt: Vec<Learnt>,
    /// When its messages' calls were begun, by this process.
    reading_since: Option<Moment>,
    /// What is being done, and since when.
    doing: Option<Action>,
    doing_since: Option<Timestamp>,
    wait: Option<(Timestamp, String)>,
    /// The conversation into which the turn's was merged, by what Gladly said.
    merged_into: Option<ConversationId>,
    /// An item that may be of another conversation: its message, and what Gladly
    /// said it is of.
    stranger: Option<(usize, Box<Item>)>,
    /// The relay has looked since the stranger was found.
    looked_for_stranger: bool,
    looks_in_a_row: u32,
    deadline_passed: bool,
    /// What is known does not allow the move without a look.
    unseen_move_refused: bool,
    /// The move is made by what webhooks told, because looks fail again and again.
    moving_unseen: bool,
    end: Option<Outcome>,
    /// What happened in it.
    trace: Trace,
    /// When the call that is being made was begun.
    call_begun: Option<Timestamp>,
}

/// What a turn has come to, without anybody's words.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and any may hold together with any other"
)]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct State {
    step: Step,
    /// The deadline, as the clock of whoever took the turn up last tells it.
    deadline: Option<Moment>,
    /// A look begun at or after this revision is wanted before the next write.
    look_wanted: Option<u64>,
    /// Items of other conversations, which are no messages of this turn.
    strangers: Vec<ItemId>,
    /// The messages were listed once; what was missing is fetched one by one.
    listed: bool,
    /// What was heard of too late was answered by then.
    caught_up: bool,
    /// How often the question was put in a way that may have reached the bot.
    uncertain_questions: u32,
    /// How often the bot surely did not take it.
    refused_questions: u32,
    /// The bot has forgotten the thread.
    thread_forgotten: bool,
    parts: Vec<PartState>,
    /// What was begun to be written before the turn became a dead letter, whose words
    /// are gone: it is not written again.
    #[serde(default)]
    written_before: Vec<PartKind>,
    reason: Option<HandoffReason>,
    /// Others wait for the calls that a handoff can do without.
    hurried: bool,
    /// Failures in a row, of looks or of other calls, and when the first was.
    failures: u32,
    failing_since: Option<Timestamp>,
    failing_looks: bool,
    /// Failed looks in a row, the refused ones among them, and refused moves.
    failed_looks: u32,
    /// How often Gladly said that the conversation was merged into another.
    merges: u32,
    refused_looks: u32,
    refused_moves: u32,
    /// Gladly wants the move without naming "nobody".
    leave_agent_out: bool,
    /// The bot was asked.
    asked: bool,
    /// Calls to Gladly.
    calls: u32,
}

/// The words in a turn: sealed at rest, erased when it ends.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Words {
    /// What was found in each message.
    contents: Vec<Option<Content>>,
    /// The bot's answer as it gave it.
    answer: Option<String>,
    /// What each part says.
    parts: Vec<Part>,
}

/// Where a turn is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Find out whose it is, and read the messages.
    #[default]
    Gather,
    /// Decide, and ask the bot.
    Ask,
    /// Send the answer's parts.
    Deliver,
    /// Move the conversation to the humans.
    HandOff,
}

impl Step {
    /// The word for the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gather => "gather",
            Self::Ask => "ask",
            Self::Deliver => "deliver",
            Self::HandOff => "hand_off",
        }
    }
}

impl Turn {
    /// What to do next, given what came of the last action.
    pub fn next(&mut self, happened: Happened, context: &Context<'_>) -> Action {
        let doing = self.doing.take();
        self.tell_happened(doing.as_ref(), &happened, context);
        self.absorb(doing, happened, context);
        let mut action = self.choose(context);
        if self.looks_in_vain(&action) {
            self.look_told_nothing(context);
            action = self.choose(context);
        }
        self.tell_chosen(&action, context.now.at);
        self.doing = Some(action.clone());
        self.doing_since = Some(context.now.at);
        action
    }

    /// Whether one look follows another again and again: what is known stays
    /// unclear, whatever they show.
    fn looks_in_vain(&mut self, next: &Action) -> bool {
        match next {
            Action::Look => self.looks_in_a_row += 1,
            Action::Merge(_) => {}
            _ => self.looks_in_a_row = 0,
        }
        self.looks_in_a_row > MOST_LOOKS
    }

    /// Notes what a look showed, for the store; what the turn does next depends on
    /// it only through what is known.
    pub fn saw(&mut self, look: Look) {
        self.learnt.push(Learnt::Looked(look));
    }

    /// Whether the deadline ends what is being done: nothing of an answer has
    /// been, or may have been, sent.
    fn deadline_counts(&self) -> bool {
        match self.state.step {
            Step::Gather => !self.is_to_be_caught_up(),
            Step::Ask => true,
            Step::Deliver => !self.may_have_answered(),
            Step::HandOff => false,
        }
    }

    /// Whether the deadline ends what is being waited for: whatever follows it is
    /// a human's, and nothing has to be found out first.
    pub fn is_cut_by_deadline(&self) -> bool {
        let unsure = |index| matches!(self.part_state(index).progress, Progress::Unsure(_));
        match self.state.step {
            Step::Gather => !self.is_to_be_caught_up(),
            Step::Ask => true,
            Step::Deliver => !self.unsettled(PartKind::Reply).is_some_and(unsure),
            Step::HandOff => false,
        }
    }

    /// How long until a handoff can't wait any more, because its deadline is near
    /// or past; none for any other step.
    pub fn calm_for(&self, now: Timestamp) -> Option<Duration> {
        let urgent_at = earlier(self.deadline_at, failures::NEAR);
        (self.state.step == Step::HandOff).then(|| time_until(urgent_at, now))
    }

    /// Whether a part of an answer has been, or may have been, sent.
    pub fn may_have_answered(&self) -> bool {
        let mut replies = self
            .parts()
            .filter(|(_, part)| part.kind == PartKind::Reply);
        replies.any(|(state, _)| state.is_begun())
    }

    /// Whether anything has been, or may have been, written: then nobody else may
    /// answer its messages or tell the humans of them.
    pub fn may_have_written(&self) -> bool {
        self.parts().any(|(state, _)| state.is_begun())
    }

    /// The revision as of which its newest message was heard: whatever was told
    /// later is news.
    pub fn since(&self) -> u64 {
        let heard = self.messages.iter().map(|message| message.written.heard);
        heard.max().unwrap_or(self.began)
    }

    /// The conversation to read and write: the one that is left, if it was merged.
    pub fn target<'a>(&'a self, standing: &'a Standing) -> &'a ConversationId {
        let survivor = standing.merged_into.as_ref();
        survivor.unwrap_or(&self.conversation_id)
    }

    fn absorb(&mut self, doing: Option<Action>, happened: Happened, context: &Context<'_>) {
        match (doing, happened) {
            (_, Happened::DeadlinePassed) => self.deadline_passed = true,
            (_, Happened::TooLate) => self.give_up(context),
            (_, Happened::Claimed) => self.resume(context),
            (_, Happened::Looked) => self.looked(),
            (Some(Action::LookElsewhere(_)), Happened::LookedElsewhere) => {
                self.looked_elsewhere(None, context);
            }
            (Some(Action::LookElsewhere(_)), Happened::Failed(error)) => {
                self.look_elsewhere_failed(error, context);
            }
            (Some(Action::Fetch(index)), Happened::Fetched(item)) => {
                self.fetched(index, &item, context);
            }
            (Some(Action::Fetch(index)), Happened::Failed(error)) => {
                self.fetch_failed(index, &error, context);
            }
            (Some(Action::List(purpose)), Happened::Listed(listed)) => {
                self.listed(purpose, &listed, context);
            }
            (Some(Action::List(purpose)), Happened::Failed(error)) => {
                self.list_failed(purpose, &error, context);
            }
            (_, Happened::Answered(answer)) => self.answered(answer, context),
            (_, Happened::GleenFailed(error)) => self.gleen_failed(&error, context),
            (_, Happened::BreakerOpen) => {
                self.hand_off(HandoffReason::BreakerOpen, None, context);
            }
            (Some(Action::Write(index)), Happened::Written(item_id)) => {
                self.written(index, item_id, context);
            }
            (Some(Action::Write(index)), Happened::Failed(error)) => {
                self.write_failed(index, &error, context);
            }
            (Some(Action::Write(index)), Happened::NotMade) => self.not_made(index),
            (Some(Action::Ask(_)), Happened::NotMade) => self.took_no_question(),
            (_, Happened::Failed(error)) => self.look_failed(&error, context),
            // A merge is in what is known by now; nothing else can come of an action.
            (_, _) => {}
        }
    }

    /// What is next, by the state alone.
    fn choose(&mut self, context: &Context<'_>) -> Action {
        let late = self.deadline_passed || context.now.at >= self.deadline_at;
        if self.end.is_none() && late && self.deadline_counts() {
            self.hand_off(HandoffReason::Deadline, None, context);
        }
        if let Some(outcome) = &self.end {
            return Action::End(outcome.clone());
        }
        if let Some(into) = self.merged_into.take() {
            return Action::Merge(into);
        }
        if let Some((until, why)) = self.wait.take() {
            let until = self.bounded(until, context);
            return Action::Wait { until, why };
        }
        match self.state.step {
            Step::Gather => self.gather(context),
            Step::Ask => self.ask(context),
            Step::Deliver => self.deliver(context),
            Step::HandOff => self.go_on_handing_off(context),
        }
    }

    /// Whose the conversation is, by what is known.
    fn whose(&self, context: &Context<'_>) -> Whose {
        context
            .known()
            .facts
            .whose(context.bot, self.since(), context.now)
    }

    /// As far as reading and asking is concerned.
    fn whose_to_read(&self, context: &Context<'_>) -> Whose {
        let facts = &context.known().facts;
        facts.whose_to_read(context.bot, self.since(), context.now)
    }

    /// As far as asking is concerned: time in the queue may have passed since it was
    /// told whose it is, but no more than that.
    pub fn whose_to_ask(&self, facts: &Facts, bot: &Bot, now: Moment) -> Whose {
        let age = self.reading_since.and_then(|since| since.age(now));
        if age.is_some_and(|age| age <= FRESH) {
            facts.whose_to_read(bot, self.since(), now)
        } else {
            facts.whose(bot, self.since(), now)
        }
    }

    /// Notes that a call that reads messages begins now.
    pub const fn begin_read(&mut self, now: Moment) {
        self.reading_since = Some(now);
    }

    /// Nothing if the conversation is clear to be written into; else what to do.
    fn obstacle(&mut self, context: &Context<'_>) -> Option<Action> {
        match self.whose(context) {
            Whose::Others(reason) => Some(self.leave(reason)),
            Whose::Unclear => Some(Action::Look),
            Whose::Bots => {
                let has_look = self.has_look(&context.known().facts, context.now);
                (!has_look).then_some(Action::Look)
            }
        }
    }

    /// Whether the look that is wanted before the next write was made, and is
    /// fresh: to be asked once more when everything is ready for the write.
    pub fn has_look(&self, facts: &Facts, now: Moment) -> bool {
        let wanted = self.state.look_wanted;
        wanted.is_none_or(|since| facts.looked_since(since, now))
    }

    /// It is not the bot's: the turn ends.
    fn leave(&mut self, reason: SkipReason) -> Action {
        self.finish(Outcome::Skipped(reason))
    }

    fn finish(&mut self, outcome: Outcome) -> Action {
        let settles = matches!(outcome, Outcome::Replied | Outcome::HandedOff(_));
        // A part of unknown fate is in the conversation, where whoever comes to it next
        // sees it, or is not.
        let has_answered = self
            .parts()
            .any(|(state, part)| part.kind == PartKind::Reply && state.progress == Progress::Sent);
        if settles || has_answered {
            let items = self.messages.iter().map(|message| message.item_id.clone());
            self.learnt.push(Learnt::Settled(items.collect()));
        }
        self.end = Some(outcome.clone());
        Action::End(outcome)
    }

    fn looked(&mut self) {
        self.looked_for_stranger = self.stranger.is_some();
        // A look that succeeds says nothing about other calls that fail.
        if self.state.failing_looks {
            self.succeed();
        }
        self.state.refused_looks = 0;
        self.state.failed_looks = 0;
        self.moving_unseen = false;
    }

    /// When its latest message was written.
    fn last_written(&self) -> Written {
        let last = self.messages.iter().map(|message| message.written);
        last.max_by_key(|written| written.heard).unwrap_or(Written {
            heard: self.began,
            happened_at: None,
        })
    }
}
