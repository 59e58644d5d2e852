//! What happens, for those who watch: ids and outcomes, no words. Nobody waits for a
//! watcher: one who reads too slowly loses the oldest news, and is told that he did.

use std::fmt::Display;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use tokio::sync::broadcast;

use crate::id::{AccountName, ConversationId, TurnId};
use crate::outcome::Outcome;
use crate::store::StoredTurn;

/// How many news are kept for a watcher who has not read them.
const KEPT: usize = 256;

/// Something that happened.
#[derive(Debug, Clone)]
pub enum News {
    /// A turn began or ended.
    Turn(TurnNews),
    /// The state of an account changed.
    Account(AccountName),
}

/// A turn as it was when it began or ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TurnNews {
    /// Its id.
    #[serde(serialize_with = "as_text")]
    pub id: TurnId,
    /// Whose it is.
    #[serde(serialize_with = "as_text")]
    pub account: AccountName,
    /// The conversation in which it began.
    pub conversation_id: ConversationId,
    /// When its first message arrived.
    pub received_at: Timestamp,
    /// When it ended; none while it runs.
    pub finished_at: Option<Timestamp>,
    /// How it ended; none while it runs.
    pub outcome: Option<&'static str>,
    /// Why it ended so, where there is a why.
    pub reason: Option<String>,
    /// How many messages it takes up.
    pub messages: usize,
    /// From the arrival to the end, in milliseconds.
    pub took_ms: Option<i64>,
}

fn as_text<T: Display, S: Serializer>(name: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(name)
}

impl TurnNews {
    /// A turn that is claimed now.
    pub(super) fn of(turn: &StoredTurn) -> Self {
        Self {
            id: turn.id,
            account: turn.account.clone(),
            conversation_id: turn.conversation_id.clone(),
            received_at: turn.received_at,
            finished_at: None,
            outcome: None,
            reason: None,
            messages: turn.messages.len(),
            took_ms: None,
        }
    }

    /// The same turn, which has ended.
    pub(super) fn ended(self, outcome: &Outcome, at: Timestamp) -> Self {
        Self {
            finished_at: Some(at),
            outcome: Some(outcome.as_str()),
            reason: outcome.reason().map(str::to_owned),
            took_ms: Some(at.as_millisecond() - self.received_at.as_millisecond()),
            ..self
        }
    }
}

/// Where news are told and heard.
pub(super) struct Newsroom(broadcast::Sender<News>);

impl Default for Newsroom {
    fn default() -> Self {
        Self(broadcast::channel(KEPT).0)
    }
}

impl Newsroom {
    /// Tells whoever watches.
    pub(super) fn tell(&self, news: News) {
        // An error says that nobody does.
        let _: Result<_, _> = self.0.send(news);
    }

    /// Hears of everything from now on.
    pub(super) fn subscribe(&self) -> broadcast::Receiver<News> {
        self.0.subscribe()
    }
}
