//! A small Gladly: conversations, their items, who holds them, and the events
//! that tell of every change. All of it is the truth; what the relay knows of it
//! it learns from calls and webhooks alone.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::later;
use crate::conversation::{Holder, Named, Status};
use crate::gladly::{Conversation as Seen, GladlyError, Initiator, Item, ItemContent, Refusal};
use crate::id::{AgentId, ConversationId, InboxId, ItemId, TurnId};
use crate::relay::turn::{Part, PartKind};
use crate::store::Change;

/// Gladly's clock at the beginning of a history, but for its offset.
const START_SECOND: i64 = 1_767_225_600;

/// Who is named as the assigned agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Agent {
    Nobody,
    Bot,
    Human,
}

/// Who holds a conversation, and whether it is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub(super) ai_inbox: bool,
    pub(super) agent: Agent,
    pub(super) closed: bool,
}

impl State {
    pub(super) fn is_bots(self) -> bool {
        self.is_held_by_bot() && !self.closed
    }

    pub(super) fn is_held_by_bot(self) -> bool {
        self.ai_inbox && self.agent != Agent::Human
    }

    pub(super) fn holder(self) -> Holder {
        let inbox = if self.ai_inbox { "ai" } else { "people" };
        let agent = |id| Named::This(AgentId::parse(id).unwrap());
        Holder {
            inbox_id: Named::This(InboxId::parse(inbox).unwrap()),
            agent_id: match self.agent {
                Agent::Nobody => Named::Nobody,
                Agent::Bot => agent("bot"),
                Agent::Human => agent("human"),
            },
        }
    }
}

/// Who wrote an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Author {
    Customer,
    Human,
    /// This part of this turn.
    Relay(TurnId, usize, PartKind),
}

/// An entry of a timeline.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) author: Author,
    pub(super) text: String,
    pub(super) content_type: &'static str,
    /// Where it is now.
    pub(super) home: usize,
    /// Where it was written.
    pub(super) born: usize,
    pub(super) seq: u64,
    pub(super) at: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Conversation {
    pub(super) state: State,
    pub(super) merged_into: Option<usize>,
    /// Its states so far, and since when each; of a merged one, the survivor's.
    pub(super) states: Vec<(u64, State)>,
}

/// What a webhook tells.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) seq: u64,
    pub(super) at: u64,
    pub(super) conversation: usize,
    pub(super) tells: Tells,
}

#[derive(Debug, Clone)]
pub(super) enum Tells {
    Message(usize, Option<State>),
    Holder(State),
    Status(Status),
    Merge(usize),
}

/// A write that is on its way to Gladly.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub(super) turn: TurnId,
    pub(super) index: usize,
    pub(super) part: Part,
    pub(super) target: usize,
    pub(super) reply_to: Option<usize>,
}

#[derive(Debug, Default)]
pub(super) struct World {
    /// Milliseconds since the beginning, truly.
    pub(super) now: u64,
    pub(super) gladly_ahead_ms: i64,
    /// Counts every change.
    pub(super) seq: u64,
    pub(super) conversations: Vec<Conversation>,
    pub(super) entries: Vec<Entry>,
    pub(super) events: Vec<Event>,
    /// Moves that changed something: the turn that made each.
    pub(super) moves: Vec<TurnId>,
    /// How often humans put a conversation back into the AI inbox, or merged it.
    pub(super) given_back: usize,
}

pub(super) fn conversation_id(index: usize) -> ConversationId {
    ConversationId::parse(&format!("c{index}")).unwrap()
}

pub(super) fn item_id(index: usize) -> ItemId {
    ItemId::parse(&format!("i{index}")).unwrap()
}

pub(super) fn index_of(id: &str) -> usize {
    id[1..].parse().unwrap()
}

/// A time that is so far off from the true time `at`.
pub(super) fn shown(at: u64, ahead_ms: i64) -> Timestamp {
    let shifted = START_SECOND * 1000 + ahead_ms;
    let start = Timestamp::from_millisecond(shifted).unwrap();
    later(start, Duration::from_millis(at))
}

impl World {
    pub(super) fn add_conversation(&mut self, state: State) {
        self.conversations.push(Conversation {
            state,
            merged_into: None,
            states: vec![(self.seq, state)],
        });
    }

    /// Gladly's clock.
    pub(super) fn gladly_time(&self, at: u64) -> Timestamp {
        shown(at, self.gladly_ahead_ms)
    }

    /// The conversation that is left of this one.
    pub(super) fn home(&self, mut index: usize) -> usize {
        while let Some(into) = self.conversations[index].merged_into {
            index = into;
        }
        index
    }

    pub(super) fn state(&self, index: usize) -> State {
        self.conversations[self.home(index)].state
    }

    /// Since when it has not been so; none if it is.
    pub(super) fn not_since(&self, index: usize, test: impl Fn(State) -> bool) -> Option<u64> {
        let states = &self.conversations[index].states;
        let others = states.iter().rev().take_while(|(_, state)| !test(*state));
        others.last().map(|(seq, _)| *seq)
    }

    /// Whether it was so at any time since `seq`.
    pub(super) fn was(&self, index: usize, since: u64, test: impl Fn(State) -> bool) -> bool {
        let states = &self.conversations[index].states;
        let before = states
            .iter()
            .rposition(|(seq, _)| *seq <= since)
            .unwrap_or(0);
        states[before..].iter().any(|(_, state)| test(*state))
    }

    pub(super) fn customer_says(
        &mut self,
        index: usize,
        text: &str,
        content_type: &'static str,
    ) -> usize {
        let index = self.home(index);
        let before = self.state(index);
        if before.closed {
            self.set_status(index, false);
        }
        let entry = self.append(index, Author::Customer, text, content_type);
        self.raise(index, Tells::Message(entry, Some(before)));
        entry
    }

    pub(super) fn human_says(&mut self, index: usize) {
        let index = self.home(index);
        self.append(index, Author::Human, "A human here.", "CHAT_MESSAGE");
        let state = self.state(index);
        if state.agent == Agent::Nobody {
            self.assign(index, state.ai_inbox, Agent::Human);
        }
    }

    pub(super) fn assign(&mut self, index: usize, ai_inbox: bool, agent: Agent) {
        let index = self.home(index);
        let before = self.state(index);
        let state = State {
            ai_inbox,
            agent,
            ..before
        };
        if state == before {
            return;
        }
        let comes = state.ai_inbox && !before.ai_inbox;
        let is_bots = state.is_held_by_bot() && !before.is_held_by_bot();
        self.given_back += usize::from(comes || is_bots);
        self.set(index, state);
        self.raise(index, Tells::Holder(state));
    }

    pub(super) fn set_status(&mut self, index: usize, closed: bool) {
        let index = self.home(index);
        let before = self.state(index);
        if before.closed == closed {
            return;
        }
        self.set(index, State { closed, ..before });
        let status = if closed { Status::Closed } else { Status::Open };
        self.raise(index, Tells::Status(status));
        self.raise(index, Tells::Status(Status::Unclear));
    }

    pub(super) fn merge(&mut self, source: usize, destination: usize) {
        let (source, destination) = (self.home(source), self.home(destination));
        if source == destination {
            return;
        }
        self.seq += 1;
        for entry in &mut self.entries {
            if entry.home == source {
                entry.home = destination;
            }
        }
        self.conversations[source].merged_into = Some(destination);
        // What was moved may be in the AI inbox again.
        self.given_back += 1;
        let state = self.state(destination);
        self.note(destination, state);
        self.raise(source, Tells::Merge(destination));
    }

    fn set(&mut self, index: usize, state: State) {
        self.seq += 1;
        self.conversations[index].state = state;
        self.note(index, state);
    }

    /// Notes a state in its own history and in those of what was merged into it.
    fn note(&mut self, index: usize, state: State) {
        for other in 0..self.conversations.len() {
            if self.home(other) == index {
                self.conversations[other].states.push((self.seq, state));
            }
        }
    }

    fn append(
        &mut self,
        home: usize,
        author: Author,
        text: &str,
        content_type: &'static str,
    ) -> usize {
        self.seq += 1;
        self.entries.push(Entry {
            author,
            text: text.to_owned(),
            content_type,
            home,
            born: home,
            seq: self.seq,
            at: self.now,
        });
        self.entries.len() - 1
    }

    fn raise(&mut self, conversation: usize, tells: Tells) {
        self.events.push(Event {
            seq: self.seq,
            at: self.now,
            conversation,
            tells,
        });
    }

    /// What an event says on the wire.
    pub(super) fn change(event: &Event) -> Change {
        let id = conversation_id(event.conversation);
        match &event.tells {
            Tells::Message(entry, context) => Change::Message {
                conversation_id: id,
                item_id: item_id(*entry),
                context: context.map(State::holder),
            },
            Tells::Holder(state) => Change::Holder(id, Some(state.holder())),
            Tells::Status(status) => Change::Status(id, *status),
            Tells::Merge(into) => Change::Merge {
                source: id,
                destination: conversation_id(*into),
            },
        }
    }

    /// `GET /conversations/{id}`.
    pub(super) fn look(&self, index: usize) -> Result<Seen, GladlyError> {
        self.unmerged(index, "get_conversation")?;
        let state = self.state(index);
        Ok(Seen {
            holder: state.holder(),
            status: if state.closed {
                Status::Closed
            } else {
                Status::Open
            },
        })
    }

    /// `GET /conversation-items/{id}`.
    pub(super) fn item(&self, index: usize) -> Item {
        let entry = &self.entries[index];
        Item {
            id: item_id(index),
            conversation_id: Some(conversation_id(entry.home)),
            happened_at: Some(self.gladly_time(entry.at)),
            initiator: match entry.author {
                Author::Customer => Initiator::Customer,
                Author::Human => Initiator::Agent,
                Author::Relay(..) => Initiator::Other,
            },
            content: ItemContent {
                content_type: entry.content_type.to_owned(),
                text: entry.text.clone(),
                ..ItemContent::default()
            },
        }
    }

    /// `GET /conversations/{id}/items`.
    pub(super) fn items(&self, index: usize) -> Result<Vec<Item>, GladlyError> {
        self.unmerged(index, "list_items")?;
        let there = |entry: &usize| self.entries[*entry].home == index;
        let entries = (0..self.entries.len()).filter(there);
        Ok(entries.map(|entry| self.item(entry)).collect())
    }

    fn unmerged(&self, index: usize, operation: &'static str) -> Result<(), GladlyError> {
        match self.conversations[index].merged_into {
            None => Ok(()),
            Some(into) => Err(GladlyError::Moved {
                operation,
                to: conversation_id(into),
            }),
        }
    }

    /// Does what a write asks for, by Gladly's rules.
    pub(super) fn write(&mut self, write: &Write) -> Result<Option<ItemId>, GladlyError> {
        let (kind, body) = (write.part.kind, write.part.body.clone());
        let author = Author::Relay(write.turn, write.index, kind);
        match kind {
            PartKind::Reply | PartKind::Message => {
                let home = self.entries[write.reply_to.unwrap()].home;
                if self.state(home).closed {
                    return Err(refused("reply", Refusal::Closed));
                }
                let entry = self.append(home, author, &body, "CHAT_MESSAGE");
                let state = self.state(home);
                if state.agent == Agent::Nobody {
                    self.assign(home, state.ai_inbox, Agent::Bot);
                }
                Ok(Some(item_id(entry)))
            }
            PartKind::Note => {
                self.unmerged(write.target, "note")?;
                let entry = self.append(write.target, author, &body, "CONVERSATION_NOTE");
                Ok(Some(item_id(entry)))
            }
            PartKind::Topic => self.unmerged(write.target, "add_topic").map(|()| None),
            PartKind::Move => {
                self.unmerged(write.target, "assign")?;
                self.set_status(write.target, false);
                if self.state(write.target).ai_inbox {
                    self.moves.push(write.turn);
                }
                self.assign(write.target, false, Agent::Nobody);
                Ok(None)
            }
        }
    }
}

pub(super) fn refused(operation: &'static str, refusal: Refusal) -> GladlyError {
    GladlyError::Refused {
        operation,
        refusal,
        codes: "status 400".to_owned(),
    }
}
