//! What goes into the store and comes out of it.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::totals::Tally;
use crate::clock::{Moment, earlier};
use crate::conversation::{Bot, Holder, Known, Look, Repetition, Status, Written};
use crate::id::{AccountName, ConversationId, EventId, InboxId, ItemId, ThreadId, TurnId};
use crate::outcome::Outcome;

/// Something to be done to the store: a batch of them is one transaction.
#[derive(Debug, Clone)]
pub enum Command {
    /// Journal a webhook.
    Record(Delivery),
    /// Take turns that are due.
    Claim(ClaimRequest),
    /// Store a turn's progress.
    Save(Save),
    /// Let a dead turn's messages wait again.
    RetryDeadLetter(RetryRequest),
    /// Forget a dead letter.
    DropDeadLetter(DeadLetterId),
    /// Remember how far an account's events were swept.
    Swept(Swept),
}

impl Command {
    /// Whose it is; none of a dead letter, which is found by its id.
    pub(super) const fn account(&self) -> Option<&AccountName> {
        match self {
            Self::Record(delivery) => Some(&delivery.account),
            Self::Claim(request) => Some(&request.account),
            Self::Save(save) => Some(&save.account),
            Self::Swept(swept) => Some(&swept.account),
            Self::RetryDeadLetter(_) | Self::DropDeadLetter(_) => None,
        }
    }

    /// Whether what it does must be on disk before anybody hears of it. What else
    /// is lost by a power cut is done again, and what comes later is lost with it.
    pub(crate) const fn is_lasting(&self) -> bool {
        match self {
            Self::Record(_) | Self::RetryDeadLetter(_) | Self::DropDeadLetter(_) => true,
            // What it stands for was recorded before, and is read again if it is lost.
            Self::Claim(_) | Self::Swept(_) => false,
            Self::Save(save) => save.lasting,
        }
    }

    /// Who runs the turns that it is about.
    pub(super) const fn runner(&self) -> Option<Runner> {
        match self {
            Self::Claim(request) => Some(request.runner),
            Self::Save(save) => Some(save.runner),
            Self::Record(_)
            | Self::RetryDeadLetter(_)
            | Self::DropDeadLetter(_)
            | Self::Swept(_) => None,
        }
    }

    /// When it was given.
    pub(super) const fn now(&self) -> Option<Timestamp> {
        match self {
            Self::Record(delivery) => Some(delivery.received.at),
            Self::Claim(request) => Some(request.now.at),
            Self::Save(save) => Some(save.now.at),
            Self::RetryDeadLetter(request) => Some(request.now.at),
            Self::DropDeadLetter(_) | Self::Swept(_) => None,
        }
    }
}

/// What came of a [`Command`].
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it lives for one call")]
pub enum Answer {
    /// Of [`Command::Record`].
    Recorded(Recorded),
    /// Of [`Command::Claim`].
    Claimed(Claimed),
    /// Of [`Command::Save`].
    Saved(Standing),
    /// Of [`Command::RetryDeadLetter`], [`Command::DropDeadLetter`] and
    /// [`Command::Swept`]: whether it could be done.
    Settled(bool),
    /// It could not be made.
    Refused(StoreError),
}

impl Delivery {
    /// From when on its age counts. The relay's clock may have been days behind
    /// when it came: then it must not be forgotten as soon as that is set right.
    pub(super) fn kept_from(&self) -> Timestamp {
        let received_at = self.received.at;
        self.raised_at.unwrap_or(received_at).max(received_at)
    }
}

impl Answer {
    /// The answer to [`Command::Record`].
    pub(super) fn recorded(self) -> Result<Recorded, StoreError> {
        match self {
            Self::Recorded(recorded) => Ok(recorded),
            other => Err(other.refusal()),
        }
    }

    /// The answer to [`Command::Claim`].
    pub(super) fn claimed(self) -> Result<Claimed, StoreError> {
        match self {
            Self::Claimed(claimed) => Ok(claimed),
            other => Err(other.refusal()),
        }
    }

    /// The answer to [`Command::Save`].
    pub(super) fn saved(self) -> Result<Standing, StoreError> {
        match self {
            Self::Saved(standing) => Ok(standing),
            other => Err(other.refusal()),
        }
    }

    /// The answer to [`Command::RetryDeadLetter`], [`Command::DropDeadLetter`] and
    /// [`Command::Swept`].
    pub(super) fn settled(self) -> Result<bool, StoreError> {
        match self {
            Self::Settled(done) => Ok(done),
            other => Err(other.refusal()),
        }
    }

    fn refusal(self) -> StoreError {
        match self {
            Self::Refused(error) => error,
            _ => StoreError::Unavailable("it answered something else".to_owned()),
        }
    }
}

/// One webhook delivery, ready for the journal.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Whose it is.
    pub account: AccountName,
    /// The account's bot: what it is told decides what is taken up.
    pub bot: Bot,
    /// Its id: a second delivery with the same one is a duplicate.
    pub event_id: EventId,
    /// Its type, for dead letters.
    pub event_type: &'static str,
    /// When it was raised, by Gladly's clock; never far later than `received`.
    pub happened_at: Option<Timestamp>,
    /// The same as Gladly tells it, however far that is from `received`: for how
    /// long it is remembered goes by it.
    pub raised_at: Option<Timestamp>,
    /// When it arrived.
    pub received: Moment,
    /// How long after that a message must have an answer or a human.
    pub answer_deadline: Duration,
    /// How the relay came to hear of it.
    pub source: Source,
    /// What it says.
    pub change: Change,
}

/// How the relay came to hear of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A webhook brought it.
    Webhook,
    /// A sweep found it, perhaps hours later: what it tells is history, and licenses
    /// nothing.
    Sweep {
        /// Whether its message should have had an answer or a human by then.
        overdue: bool,
    },
}

impl Source {
    /// The word for traces.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Sweep { .. } => "sweep",
        }
    }

    /// Whether it was heard of when its message's deadline had passed.
    pub(super) const fn is_overdue(self) -> bool {
        matches!(self, Self::Sweep { overdue: true })
    }
}

/// How far an account's events were swept, by Gladly's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swept {
    /// Whose.
    pub account: AccountName,
    /// What was raised before is in the journal, or was missed for good.
    pub until: Timestamp,
}

/// What a delivery says.
#[derive(Debug, Clone)]
pub enum Change {
    /// A customer wrote.
    Message {
        /// Where.
        conversation_id: ConversationId,
        /// What.
        item_id: ItemId,
        /// Who held the conversation before, if the event said.
        context: Option<Holder>,
    },
    /// A conversation's status changed.
    Status(ConversationId, Status),
    /// A conversation's holder changed; none if the event can't be read.
    Holder(ConversationId, Option<Holder>),
    /// `source` is gone, `destination` is left.
    Merge {
        /// The conversation that is gone.
        source: ConversationId,
        /// The conversation that is left.
        destination: ConversationId,
    },
    /// A known event that can't be used: a dead letter. Says what is wrong.
    Unusable(String),
}

/// Whether a delivery was new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It was, and is on disk.
    Accepted,
    /// The same event, or another event for the same message, came before.
    Duplicate,
    /// It is older than what is still remembered, so nobody can tell whether it
    /// came before.
    TooOld,
}

/// Names one start of a relay. What an earlier start left running is taken up
/// by the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Runner(pub u32);

/// Asks for turns that are due.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// Whose.
    pub account: AccountName,
    /// Who will run them.
    pub runner: Runner,
    /// The turns that whoever asks still has in hand: none of them is claimed,
    /// whatever is stored of them.
    pub running: HashSet<TurnId>,
    /// Whoever gave the account back and lets the turns end that it still runs: they
    /// are not claimed.
    pub letting_go: Option<Runner>,
    /// Turns may have been claimed for `runner` of which it never heard: what runs for
    /// it and is not in its hands is claimed again.
    pub lost: bool,
    /// At most so many.
    pub limit: usize,
    /// The present moment.
    pub now: Moment,
    /// An account's deadline: what another clock stored is believed no further.
    pub answer_deadline: Duration,
}

impl ClaimRequest {
    /// What was due before this goes after all that was due later: its deadline has
    /// passed, or nearly so, and whoever came since would be late with it. It matters only
    /// where more waits than may run at once.
    pub fn late_before(&self) -> Timestamp {
        earlier(self.now.at, self.answer_deadline / 8 * 7)
    }
}

/// Turns that are due, now run by whoever asked.
#[derive(Debug, Default)]
pub struct Claimed {
    /// Each with what is known of its conversation.
    pub turns: Vec<(StoredTurn, Standing)>,
    /// When the account's next turn is due, if one waits.
    pub next_due_at: Option<Timestamp>,
}

/// A customer's item that waits for, or belongs to, a turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its id in Gladly.
    pub item_id: ItemId,
    /// When it was written.
    pub written: Written,
    /// When it arrived.
    #[serde(with = "jiff::fmt::serde::timestamp::millisecond::required")]
    pub received_at: Timestamp,
    /// When it must have an answer or a human.
    #[serde(with = "jiff::fmt::serde::timestamp::millisecond::required")]
    pub deadline_at: Timestamp,
    /// It was heard of when the customer should have had an answer or a human: unless
    /// somebody has answered since, it goes to a human.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overdue: bool,
}

/// The work of answering the messages that waited when a lane became free, as
/// the store keeps it. What a turn has come to is its own affair: `state` and
/// `words` are opaque here.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredTurn {
    /// Its id.
    pub id: TurnId,
    /// Whose it is.
    pub account: AccountName,
    /// The conversation in which it began.
    pub conversation_id: ConversationId,
    /// When its first message arrived.
    pub received_at: Timestamp,
    /// When its conversation must have an answer or a human.
    pub deadline_at: Timestamp,
    /// Its messages, in the order in which they were written.
    pub messages: Vec<Message>,
    /// The revision of the facts by which it began: what was told later is news.
    pub began: u64,
    /// What it has come to, without words; none at its beginning.
    pub state: Option<String>,
    /// The words in it; sealed at rest. None once they are erased.
    pub words: Option<String>,
    /// A person has retried it: it may have answered, so it goes to a human.
    pub retried: bool,
    /// It began with something that was heard of too late, see [`Message::overdue`].
    pub overdue: bool,
    /// What happened in it, see [`crate::trace::Trace`]; opaque here.
    pub trace: Option<String>,
    /// How it ended.
    pub end: Option<TurnEnd>,
}

/// How and when a turn ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnEnd {
    /// How.
    pub outcome: Outcome,
    /// When.
    pub at: Timestamp,
}

impl fmt::Debug for StoredTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredTurn")
            .field("id", &self.id)
            .field("messages", &self.messages.len())
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

/// What is known of a turn's conversation, as of the store's last word.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Standing {
    /// Facts and memory of the conversation, or of the one that survived it.
    pub known: Known,
    /// The conversation that survived a merge.
    pub merged_into: Option<ConversationId>,
    /// The earliest deadline of a message that waits behind the turn.
    pub next_deadline_at: Option<Timestamp>,
}

/// A turn's progress.
#[derive(Debug, Clone)]
pub struct Save {
    /// Which turn.
    pub turn_id: TurnId,
    /// Whose it is.
    pub account: AccountName,
    /// The conversation in which it began.
    pub conversation_id: ConversationId,
    /// The account's bot.
    pub bot: Bot,
    /// Who runs it: nobody else may save it.
    pub runner: Runner,
    /// The present moment.
    pub now: Moment,
    /// What the turn learnt of the conversation, in order.
    pub learnt: Vec<Learnt>,
    /// Where the turn is now.
    pub progress: Progress,
    /// What happened in it so far; none = as it was.
    pub trace: Option<String>,
    /// Whether it must outlast a power cut: a call that writes into Gladly follows.
    /// Of anything else a turn can find out again where it was.
    pub lasting: bool,
}

/// What a turn learnt of its conversation.
#[derive(Clone, PartialEq)]
pub enum Learnt {
    /// It looked.
    Looked(Look),
    /// Gladly said that the conversation was merged into this one.
    Merged(ConversationId),
    /// It moved the conversation to this inbox. [`Facts::revision`] when the call
    /// was begun: what was heard after that may be newer than the move.
    ///
    /// [`Facts::revision`]: crate::conversation::Facts::revision
    Moved(InboxId, u64),
    /// Gleen answered on this thread, after the message that was written then.
    Thread(ThreadId, Written),
    /// The customer's last text and language.
    Read {
        /// How often the last text came in a row.
        repetition: Repetition,
        /// The language, if it could be told.
        locale: Option<String>,
    },
    /// It put this item into the conversation.
    Wrote(ItemId),
    /// It takes up an item that no message of its own told of: its messages from now
    /// on.
    TookUp(Vec<Message>),
    /// The bot has answered these items of the customer, or handed them off.
    Settled(Vec<ItemId>),
    /// This message is of another conversation.
    Belongs(ConversationId, Message),
    /// One of its items can't be used: a person must look. Says why.
    Unusable(String),
}

impl fmt::Debug for Learnt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Looked(_) => "Looked",
            Self::Merged(_) => "Merged",
            Self::Moved(..) => "Moved",
            Self::Thread(..) => "Thread",
            Self::Read { .. } => "Read",
            Self::Wrote(_) => "Wrote",
            Self::TookUp(_) => "TookUp",
            Self::Settled(_) => "Settled",
            Self::Belongs(..) => "Belongs",
            Self::Unusable(_) => "Unusable",
        })
    }
}

/// Where a turn is. It holds words, so its `Debug` shows none.
#[derive(Clone, PartialEq)]
pub enum Progress {
    /// It goes on.
    Running {
        /// What it has come to.
        state: String,
        /// The words in it.
        words: String,
    },
    /// It waits until then, or until the next message's deadline.
    PutOff {
        /// What it has come to and its words; none = as they were.
        state: Option<(String, String)>,
        /// When it goes on.
        until: Timestamp,
    },
    /// It ended; its words are erased.
    Ended {
        /// How.
        outcome: Outcome,
        /// Whether the bot may have answered: then it is never asked again.
        may_have_written: bool,
        /// What it had come to, without words: kept with a dead letter.
        state: String,
        /// What is counted of it.
        tally: Tally,
    },
    /// There was nothing to do: it had no message. Nothing is kept of it.
    Forgotten,
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running { .. } => f.write_str("Running"),
            Self::PutOff { until, .. } => write!(f, "PutOff({until})"),
            Self::Ended { outcome, .. } => write!(f, "Ended({outcome:?})"),
            Self::Forgotten => f.write_str("Forgotten"),
        }
    }
}

/// A dead letter's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeadLetterId(pub i64);

/// The most dead letters of unusable events that are kept for one account.
pub(super) const MOST_UNUSABLE: usize = 1_000;

/// What a person must look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its id; zero until the store has given it one.
    pub id: DeadLetterId,
    /// Whose it is.
    pub account: AccountName,
    /// The turn that died; none if it is a webhook that could not be used.
    pub turn_id: Option<TurnId>,
    /// The conversation, if it is known.
    pub conversation_id: Option<ConversationId>,
    /// The webhook's type, if it is one.
    pub event_type: Option<String>,
    /// Whether the bot may have answered already, or written a note: then it goes on
    /// itself when it is retried, with the handoff.
    pub may_have_written: bool,
    /// What happened.
    pub error: String,
    /// When.
    pub created_at: Timestamp,
}

/// What waits in the store, for the gauges.
#[derive(Debug, Clone, PartialEq)]
pub struct Backlog {
    /// Whose it is.
    pub account: AccountName,
    /// Unfinished turns, and conversations whose messages wait for one.
    pub turns: u64,
    /// Since when the oldest of them has waited.
    pub oldest_waiting: Duration,
    /// Dead letters that nobody has retried or dropped.
    pub dead_letters: u64,
}

impl Backlog {
    /// Of an account that has nothing waiting and nothing dead.
    pub fn nothing(account: &AccountName) -> Self {
        Self {
            account: account.clone(),
            turns: 0,
            oldest_waiting: Duration::ZERO,
            dead_letters: 0,
        }
    }
}

/// Asks for a dead letter's messages to wait again.
#[derive(Debug, Clone, Copy)]
pub struct RetryRequest {
    /// Which.
    pub id: DeadLetterId,
    /// The present moment.
    pub now: Moment,
}

/// The store could not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The turn is not run by whoever saves it.
    #[error("the turn is not run here any more; whoever has it goes on")]
    NotRunning,
    /// The database can't be read or written at present.
    #[error("the store failed: {0}; see that its disk has room and is writable")]
    Unavailable(String),
    /// The database can't be used at present.
    #[error(
        "the database can't be used: {0}; see that PostgreSQL runs, takes writes, has room, and is the one that RELAY_STORE names"
    )]
    Database(String),
    /// What was asked for stands in a part of the file that can't be read any more.
    #[error(
        "the store failed: {0}; its file is damaged: stop the relay, restore it from a backup, or let `sqlite3 FILE .recover` save what it can, and start it again"
    )]
    Malformed(String),
    /// The file is not where it was, or not what it was.
    #[error(
        "{path} was deleted, replaced, cut short or written over while the relay runs ({what}); nothing more is accepted; stop the relay, put the file back or make room for a new one, and start it again"
    )]
    Gone {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: &'static str,
    },
    /// Some of the file can't be read any more.
    #[error(
        "{path} is damaged ({what}); stop the relay, restore the file from a backup, or let `sqlite3 {path} .recover` save what it can, and start it again"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// Another process uses the file.
    #[error(
        "{path} is in use by another gladly-relay; stop that one, or give this one another RELAY_STORE"
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file is no database of this program.
    #[error(
        "{path} is not a database of gladly-relay: {what}; nothing was changed; name another file in RELAY_STORE or restore it from a backup"
    )]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// A newer version has written it.
    #[error(
        "{path} was written by a newer gladly-relay (schema {found}, this one knows {known}); nothing was changed; run the newer version"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema known here.
        known: i64,
    },
    /// A newer version has migrated the database so that this one can't write to it.
    #[error(
        "the database was migrated by a newer gladly-relay (schema {found}, this one knows {known}); nothing was changed; run the newer version"
    )]
    NewerDatabase {
        /// Its schema.
        found: i64,
        /// The newest schema known here.
        known: i64,
    },
    /// One database can't be copied into another.
    #[error("nothing was copied: {0}")]
    NotCopied(String),
    /// A copy can't be made there.
    #[error("{path} cannot be made: {what}")]
    NoCopy {
        /// The copy.
        path: PathBuf,
        /// What happened.
        what: String,
    },
    /// The file or its folder can't be opened or made.
    #[error("{path} cannot be opened: {what}; see that the folder exists and is writable")]
    CannotOpen {
        /// The file.
        path: PathBuf,
        /// What happened.
        what: String,
    },
}
