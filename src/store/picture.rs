//! What a command needs of the store, once loaded, and what it changes in it.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;

use super::lane::Lane;
use super::past::Past;
use super::totals::Total;
use super::types::{
    Change, ClaimRequest, Command, DeadLetter, DeadLetterId, Learnt, Message, StoredTurn, Swept,
    TurnEnd,
};
use crate::conversation::Known;
use crate::id::{AccountName, ConversationId, EventId, ItemId, TurnId};

/// Which conversation of which account.
pub type Key = (AccountName, ConversationId);

/// What a back end has to load for a command.
#[derive(Debug, Clone, Default)]
pub struct Needs {
    /// Whether these events are known.
    pub events: Vec<(AccountName, EventId)>,
    /// Whether these items are known.
    pub items: Vec<(AccountName, ItemId)>,
    /// These conversations, and those that they were merged into.
    pub conversations: Vec<Key>,
    /// The conversations that are due, and their turns.
    pub due: Option<ClaimRequest>,
    /// This dead letter, its conversation and its turn.
    pub dead_letter: Option<DeadLetterId>,
    /// How many dead letters of unusable events this account has.
    pub unusable_of: Option<AccountName>,
}

/// What is remembered of a conversation, and its lane.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conversation {
    /// Facts and memory.
    pub known: Known,
    /// What is to be done in it.
    pub lane: Lane,
    /// What happened in it before.
    pub past: Past,
    /// The conversation that a merge has left in its place.
    pub merged_into: Option<ConversationId>,
    /// When the lane was due, by what was last saved: a turn in it may run for
    /// nobody any more, which only a claim can tell.
    pub due_at: Option<Timestamp>,
}

/// A turn's row that could not be read. It becomes a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable(pub String);

/// The loaded part of the store. Changes are made here first.
#[derive(Debug, Default)]
pub struct Picture {
    /// Of the events asked for, those that are known.
    pub events: HashSet<(AccountName, EventId)>,
    /// Of the items asked for, those that are known.
    pub items: HashSet<(AccountName, ItemId)>,
    /// For each account of an event: events raised until then are forgotten.
    pub forgotten_until: HashMap<AccountName, Timestamp>,
    /// The conversations asked for, and those that they were merged into.
    pub conversations: HashMap<Key, Conversation>,
    /// The due conversations, the first to be claimed first.
    pub due: Vec<Key>,
    /// When the account's next conversation is due after those.
    pub next_due_at: Option<Timestamp>,
    /// The turns of due conversations and of the dead letter.
    pub turns: HashMap<TurnId, Result<StoredTurn, Unreadable>>,
    /// The dead letter asked for.
    pub dead_letter: Option<DeadLetter>,
    /// The number of dead letters of unusable events that was asked for.
    pub unusable: usize,
    /// The id of the next turn that begins.
    pub next_turn_id: i64,
    /// What has changed.
    pub changes: Changes,
}

/// What a back end has to save.
#[derive(Debug, Default)]
pub struct Changes {
    /// Events that came: account, id, from when on their age counts, when they
    /// were raised.
    pub events: Vec<(AccountName, EventId, Timestamp, Option<Timestamp>)>,
    /// Items that came, and from when on their age counts.
    pub items: Vec<(AccountName, ItemId, Timestamp)>,
    /// Conversations that changed, as they are now, and when the lane of each is
    /// due. The time is when this was.
    pub conversations: BTreeMap<Key, (Conversation, Option<Timestamp>)>,
    /// The present moment, for whatever is stored with a time.
    pub now: Option<Timestamp>,
    /// What became of turns, in order.
    pub turns: Vec<TurnChange>,
    /// New dead letters.
    pub dead_letters: Vec<DeadLetter>,
    /// Dead letters that are settled.
    pub settled: Vec<DeadLetterId>,
    /// How far accounts' events were swept.
    pub swept: Vec<Swept>,
    /// What is to be added to the totals.
    pub totals: Vec<Total>,
}

/// What became of a turn.
#[derive(Debug, Clone)]
pub enum TurnChange {
    /// It began.
    Began(StoredTurn),
    /// It has come to this state, with these words.
    Went {
        /// Which.
        id: TurnId,
        /// What it has come to.
        state: String,
        /// The words in it, to be sealed.
        words: String,
        /// What happened in it; none = as it was.
        trace: Option<String>,
    },
    /// These are its messages now.
    TookUp {
        /// Which.
        id: TurnId,
        /// Its messages.
        messages: Vec<Message>,
    },
    /// It ended: its words are erased.
    Ended {
        /// Which.
        id: TurnId,
        /// How.
        end: TurnEnd,
        /// What is kept of its state: only of a dead turn.
        state: Option<String>,
        /// What happened in it; none = as it was.
        trace: Option<String>,
    },
    /// Nothing is kept of it.
    Forgotten {
        /// Which.
        id: TurnId,
    },
    /// A dead turn goes on, to hand off.
    Reopened {
        /// Which.
        id: TurnId,
    },
}

impl Needs {
    /// What has to be loaded for `command`.
    pub fn of(command: &Command) -> Self {
        let mut needs = Self::default();
        match command {
            Command::Record(delivery) => {
                let account = &delivery.account;
                needs
                    .events
                    .push((account.clone(), delivery.event_id.clone()));
                let mut conversation =
                    |id: &ConversationId| needs.conversations.push((account.clone(), id.clone()));
                match &delivery.change {
                    Change::Message {
                        conversation_id,
                        item_id,
                        ..
                    } => {
                        conversation(conversation_id);
                        needs.items.push((account.clone(), item_id.clone()));
                    }
                    Change::Status(id, _) | Change::Holder(id, _) => conversation(id),
                    Change::Merge {
                        source,
                        destination,
                    } => {
                        conversation(source);
                        conversation(destination);
                    }
                    Change::Unusable(_) => {
                        needs.unusable_of = Some(delivery.account.clone());
                    }
                }
            }
            Command::Claim(request) => needs.due = Some(request.clone()),
            Command::Save(save) => {
                let key = |id: &ConversationId| (save.account.clone(), id.clone());
                needs.conversations.push(key(&save.conversation_id));
                for learnt in &save.learnt {
                    match learnt {
                        Learnt::Merged(other) | Learnt::Belongs(other, _) => {
                            needs.conversations.push(key(other));
                        }
                        Learnt::TookUp(messages) => {
                            let ids = messages.iter().map(|message| &message.item_id);
                            let account = &save.account;
                            needs
                                .items
                                .extend(ids.map(|id| (account.clone(), id.clone())));
                        }
                        _ => {}
                    }
                }
            }
            Command::RetryDeadLetter(request) => needs.dead_letter = Some(request.id),
            Command::DropDeadLetter(id) => needs.dead_letter = Some(*id),
            Command::Swept(_) => {}
        }
        needs
    }
}

impl Picture {
    /// The conversation that a merge has left in the place of this one.
    pub fn survivor(&self, key: &Key) -> Key {
        let mut at = key.clone();
        // Bounded, in case the rows contradict each other.
        for _ in 0..self.conversations.len() {
            let Some(into) = self
                .conversations
                .get(&at)
                .and_then(|conversation| conversation.merged_into.clone())
            else {
                break;
            };
            at.1 = into;
        }
        at
    }

    /// A conversation as it is now; a new one if it is not known.
    pub fn conversation(&self, key: &Key) -> Conversation {
        self.conversations.get(key).cloned().unwrap_or_default()
    }

    /// Puts a conversation back; it is saved if it has changed.
    pub fn put(&mut self, key: &Key, mut conversation: Conversation, now: Timestamp) {
        if self.conversations.get(key) == Some(&conversation) {
            return;
        }
        self.changes.now = Some(now);
        let due_at = conversation.lane.due_at(conversation.due_at, now);
        conversation.due_at = due_at;
        self.conversations.insert(key.clone(), conversation.clone());
        self.changes
            .conversations
            .insert(key.clone(), (conversation, due_at));
    }
}
