//! What goes into the store and comes out of it.

use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::conversation::{Holder, Known, Status};
use crate::id::{AccountName, ConversationId, EventId, ItemId, ThreadId, TurnId};
use crate::outcome::{HandoffReason, Outcome};
use crate::text::Part;

/// One webhook delivery, ready for the journal.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Whose it is.
    pub account: AccountName,
    /// Its id: a second delivery with the same one is a duplicate.
    pub event_id: EventId,
    /// Its type, for dead letters.
    pub event_type: &'static str,
    /// When it was raised, by Gladly's clock.
    pub occurred_at: Timestamp,
    /// When it arrived.
    pub received_at: Timestamp,
    /// What it says.
    pub change: Change,
}

/// What a delivery changes.
#[derive(Debug, Clone)]
pub enum Change {
    /// A message that wants an outcome before `deadline_at`.
    Message {
        /// Where it was written.
        conversation_id: ConversationId,
        /// What was written.
        item_id: ItemId,
        /// Who held the conversation then, if the event said.
        holder: Option<Holder>,
        /// When a human must have it.
        deadline_at: Timestamp,
    },
    /// A conversation's status.
    Status(ConversationId, Status),
    /// A conversation's holder.
    Holder {
        /// The conversation.
        conversation_id: ConversationId,
        /// Who holds it.
        holder: Holder,
        /// Whether that makes it the bot's: then messages that were left alone
        /// moments ago wait again. Gladly may tell of a message first and of
        /// the rule that moved it to the AI inbox second.
        is_bots: bool,
    },
    /// `source` is gone, `destination` is left.
    Merge {
        /// The conversation that is gone.
        source: ConversationId,
        /// The conversation that is left.
        destination: ConversationId,
    },
    /// A known event that can't be used: a dead letter.
    Unusable {
        /// What is wrong with it.
        error: String,
        /// Its body.
        payload: String,
    },
}

/// Whether a delivery was new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It was, and is on disk.
    Accepted,
    /// The same event, or another event for the same message, came before.
    Duplicate,
}

/// Who works on a turn, and until when nobody else may.
#[derive(Debug, Clone)]
pub struct Lease {
    /// Whoever claimed: a name that no other claim has.
    pub owner: String,
    /// When the lease ends unless it is renewed.
    pub until: Timestamp,
}

/// What there was to claim.
#[derive(Debug)]
pub enum Claim {
    /// A turn, leased.
    Turn(Box<ClaimedTurn>),
    /// Nothing is due; the earliest unfinished turn that nobody holds is due then.
    Nothing {
        /// When to ask again, if a time is known.
        next_due_at: Option<Timestamp>,
    },
}

/// A leased turn with all that decisions about it need.
#[derive(Debug)]
pub struct ClaimedTurn {
    /// The turn.
    pub turn: Turn,
    /// What is known of its conversation.
    pub known: Known,
    /// What happened in the conversation before.
    pub history: History,
}

/// What a turn does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Fetch the messages.
    Gather,
    /// Decide, and ask the bot.
    Ask,
    /// Send the answer's parts.
    Deliver,
    /// Move the conversation to the human inbox.
    HandOff,
}

impl Step {
    /// The word for the column and the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gather => "gather",
            Self::Ask => "ask",
            Self::Deliver => "deliver",
            Self::HandOff => "hand_off",
        }
    }
}

/// The work of answering the messages that waited when a lane became free.
#[derive(Clone)]
pub struct Turn {
    /// Its id.
    pub id: TurnId,
    /// Whose it is.
    pub account: AccountName,
    /// Its lane.
    pub conversation_id: ConversationId,
    /// What to do next.
    pub step: Step,
    /// When its first message arrived.
    pub received_at: Timestamp,
    /// When its conversation must have an answer or a human.
    pub deadline_at: Timestamp,
    /// Failures in a row.
    pub attempts: u32,
    /// When the first of them was.
    pub failing_since: Option<Timestamp>,
    /// The bot's words, once it has answered.
    pub answer: Option<String>,
    /// Why it is being handed off, once that is decided.
    pub handoff_reason: Option<HandoffReason>,
    /// Its messages, in the order in which they arrived.
    pub messages: Vec<Message>,
    /// What it writes into Gladly, in order.
    pub parts: Vec<StoredPart>,
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn")
            .field("id", &self.id)
            .field("step", &self.step)
            .finish_non_exhaustive()
    }
}

/// A customer's item. `Debug` shows no words.
#[derive(Clone)]
pub struct Message {
    /// Its id in Gladly.
    pub item_id: ItemId,
    /// When it was written, as far as its event told.
    pub occurred_at: Timestamp,
    /// What the relay found in it, in a form that only the relay reads.
    pub content: Option<String>,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("item_id", &self.item_id)
            .finish_non_exhaustive()
    }
}

/// What happened in a conversation before a turn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Turns that ended with the bot's answer since it was last closed.
    pub replies: u32,
    /// Of these, within the last hour.
    pub replies_last_hour: u32,
    /// The customer's last text and how often it came in a row.
    pub repetition: Repetition,
    /// Items that earlier turns put into the conversation: they are never
    /// taken for a part of this one.
    pub own_items: Vec<ItemId>,
}

/// How often the same text came in a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repetition {
    /// A digest of the text.
    pub digest: Option<String>,
    /// How often.
    pub count: u32,
}

/// What a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// How far a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartState {
    /// Surely not in Gladly.
    Pending,
    /// Perhaps in Gladly: look before sending.
    Sending,
    /// Surely in Gladly.
    Sent,
    /// Given up, because the turn can end without it.
    Abandoned,
}

macro_rules! words {
    ($name:ident { $($variant:ident => $word:literal),+ }) => {
        impl $name {
            /// The word for the column and the log.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The variant with this word.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

words!(PartKind { Reply => "reply", Message => "message", Note => "note", Topic => "topic", Move => "move" });
words!(PartState { Pending => "pending", Sending => "sending", Sent => "sent", Abandoned => "abandoned" });

/// A part to be stored. `Debug` shows no words.
#[derive(Clone, PartialEq, Eq)]
pub struct NewPart {
    /// What it is.
    pub kind: PartKind,
    /// Its words, or the id that it is about.
    pub body: String,
    /// The same words without markup, where the channel wants both.
    pub body_plain: Option<String>,
}

impl fmt::Debug for NewPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewPart")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// A part as it is stored.
#[derive(Debug, Clone)]
pub struct StoredPart {
    /// Its place in the turn.
    pub position: u32,
    /// What it is and says.
    pub part: NewPart,
    /// How far it is.
    pub state: PartState,
    /// How often it was sent without an answer that settles it.
    pub attempts: u32,
    /// When it was last sent without an answer that settles it.
    pub sending_at: Option<Timestamp>,
    /// The item it became.
    pub item_id: Option<ItemId>,
}

impl NewPart {
    /// Its words, for a reply.
    pub fn words(&self) -> Part {
        Part {
            body: self.body.clone(),
            body_plain: self.body_plain.clone(),
        }
    }
}

/// A turn's progress. It holds words, so it has no `Debug`.
#[derive(Clone)]
pub enum Checkpoint {
    /// Its messages were fetched; next is [`Step::Ask`].
    Gathered {
        /// What was found in each.
        contents: Vec<(ItemId, String)>,
        /// The customer's last text and how often it came in a row.
        repetition: Repetition,
        /// The language the customer surely writes in.
        locale: Option<String>,
    },
    /// The bot answered; next is [`Step::Deliver`].
    Answered {
        /// The bot's words, for the note should they not get through.
        answer: String,
        /// The answer in the channel's form.
        parts: Vec<NewPart>,
    },
    /// The thread to go on with, unless the conversation closed meanwhile.
    Thread(ThreadId),
    /// A human is needed; next is [`Step::HandOff`].
    HandingOff {
        /// Why.
        reason: HandoffReason,
        /// What the handoff writes.
        parts: Vec<NewPart>,
    },
    /// A part's state.
    Part {
        /// Which.
        position: u32,
        /// How far it is now.
        state: PartState,
        /// The item it became.
        item_id: Option<ItemId>,
    },
    /// It could not go on: let it go until `at`.
    Retry {
        /// When to go on.
        at: Timestamp,
        /// Whether this counts as a failure, or only as an interruption.
        failed: bool,
    },
    /// It ended. Its words are erased; a handoff is remembered with its holder.
    Done {
        /// How.
        outcome: Outcome,
        /// Who holds the conversation now, if the turn changed that.
        holder: Option<Holder>,
    },
}

/// A dead letter's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeadLetterId(pub i64);

/// What a person must look at.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Its id.
    pub id: DeadLetterId,
    /// Whose it is.
    pub account: String,
    /// The turn that died; none if it is a webhook that could not be used.
    pub turn_id: Option<TurnId>,
    /// The conversation, if it is known.
    pub conversation_id: Option<String>,
    /// The webhook's type.
    pub event_type: Option<String>,
    /// What happened.
    pub error: String,
    /// When.
    pub created_at: Timestamp,
}

/// The store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The turn belongs to somebody else now.
    #[error("the turn's lease was lost: another process works on it")]
    LeaseLost,
    /// The database can't be read or written at present.
    #[error("the store failed: {0}; see that its disk has room and is writable")]
    Unavailable(String),
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
    /// The file or its folder can't be opened or made.
    #[error("{path} cannot be opened: {what}; see that the folder exists and is writable")]
    CannotOpen {
        /// The file.
        path: PathBuf,
        /// What happened.
        what: String,
    },
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}
