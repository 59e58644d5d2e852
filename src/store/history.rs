//! What operators read of what was: turns, one conversation, and the totals.

use async_trait::async_trait;
use jiff::Timestamp;

use super::days;
use super::picture::{Conversation, Unreadable};
use super::totals::Total;
use super::types::{DeadLetter, StoreError, StoredTurn};
use crate::id::{AccountName, ConversationId, TurnId};

/// What explains and reports, beside a relay that may be running. Nothing in it
/// holds anybody's words.
#[async_trait]
pub trait History: Send + Sync {
    /// Turns, newest first.
    async fn turns(&self, query: &TurnQuery) -> Result<Vec<TurnRow>, StoreError>;

    /// What is remembered of the conversation with this id: in one account, or in
    /// every one that has one.
    async fn remembered(
        &self,
        id: &ConversationId,
        account: Option<&AccountName>,
    ) -> Result<Vec<Remembered>, StoreError>;

    /// The totals of these hours (see [`hour_of`]), the last left out.
    ///
    /// [`hour_of`]: super::totals::hour_of
    async fn totals(
        &self,
        from_hour: i64,
        until_hour: i64,
        account: Option<&AccountName>,
    ) -> Result<Vec<Total>, StoreError>;

    /// The totals of these days (since 1970, UTC), the last left out, each summed up.
    async fn days(
        &self,
        from_day: i64,
        until_day: i64,
        account: Option<&AccountName>,
    ) -> Result<Vec<Total>, StoreError> {
        let (from, until) = (from_day * days::HOURS, until_day * days::HOURS);
        let hours = self.totals(from, until, account).await?;
        Ok(days::sum_up(&hours).into_values().flatten().collect())
    }
}

/// Which turns. What is none does not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnQuery {
    /// Whose.
    pub account: Option<AccountName>,
    /// [`Outcome::as_str`], or [`RUNNING`].
    ///
    /// [`Outcome::as_str`]: crate::outcome::Outcome::as_str
    pub outcome: Option<String>,
    /// The reason's word.
    pub reason: Option<String>,
    /// Those that began in it.
    pub conversation_id: Option<ConversationId>,
    /// Those whose first message arrived then or later.
    pub since: Option<Timestamp>,
    /// Those that come after this one in the list.
    pub before: Option<Place>,
    /// At most so many.
    pub limit: usize,
}

/// Stands for the outcome of turns that have not ended.
pub const RUNNING: &str = "running";

impl Default for TurnQuery {
    fn default() -> Self {
        Self {
            account: None,
            outcome: None,
            reason: None,
            conversation_id: None,
            since: None,
            before: None,
            limit: 50,
        }
    }
}

/// A turn's place in the list: turns may have arrived at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When its first message arrived.
    pub received_at: Timestamp,
    /// Which.
    pub id: TurnId,
}

/// A turn, as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnRow {
    /// Its id.
    pub id: TurnId,
    /// Whose it is.
    pub account: AccountName,
    /// The conversation in which it began.
    pub conversation_id: ConversationId,
    /// When its first message arrived.
    pub received_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// How, as [`Outcome::as_str`]; none while it runs.
    ///
    /// [`Outcome::as_str`]: crate::outcome::Outcome::as_str
    pub outcome: Option<String>,
    /// The reason's word, or the error of a dead turn.
    pub reason: Option<String>,
    /// How many messages it has.
    pub messages: usize,
}

/// A place as a page's address names it.
impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.received_at.as_millisecond(), self.id)
    }
}

/// No place in the list of turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a place in the list of turns")]
pub struct NotAPlace;

impl std::str::FromStr for Place {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<Self, NotAPlace> {
        let (at, id) = text.split_once('.').ok_or(NotAPlace)?;
        let at = at.parse().map_err(|_| NotAPlace)?;
        Ok(Self {
            received_at: Timestamp::from_millisecond(at).map_err(|_| NotAPlace)?,
            id: TurnId(id.parse().map_err(|_| NotAPlace)?),
        })
    }
}

impl TurnRow {
    /// Its place in the list.
    pub const fn place(&self) -> Place {
        Place {
            received_at: self.received_at,
            id: self.id,
        }
    }
}

/// All that is remembered of one conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Remembered {
    /// Whose it is.
    pub account: AccountName,
    /// Its id.
    pub conversation_id: ConversationId,
    /// What is known of it, its lane, and what happened before.
    pub conversation: Conversation,
    /// The conversations that were merged into it, by id.
    pub merged_from: Vec<ConversationId>,
    /// The turns that began in it, the first first.
    pub turns: Vec<Result<StoredTurn, (TurnId, Unreadable)>>,
    /// The dead letters about it, oldest first.
    pub dead_letters: Vec<DeadLetter>,
}

/// With more accounts than this, turns are looked for one by one.
pub(super) const FEW_ACCOUNTS: usize = 50;

impl TurnQuery {
    /// Whether few of very many turns may pass.
    pub(super) const fn is_narrow(&self) -> bool {
        self.account.is_some() || self.outcome.is_some() || self.reason.is_some()
    }

    /// Whether it asks for turns of this kind: outcome and reason, as an index holds them.
    pub(super) fn asks_for_kind(&self, kind: &str) -> bool {
        let (outcome, reason) = kind.split_once(' ').unwrap_or((kind, ""));
        let same = |wanted: Option<&str>, is: &str| wanted.is_none_or(|it| it == is);
        // No reason is called nothing.
        same(self.outcome.as_deref(), outcome)
            && same(self.reason.as_deref(), reason)
            && self.reason.as_deref() != Some("")
    }

    /// Since when, and before which.
    pub(super) fn span(&self) -> (Timestamp, Place) {
        let last = Place {
            received_at: Timestamp::MAX,
            id: TurnId(i64::MAX),
        };
        (
            self.since.unwrap_or(Timestamp::MIN),
            self.before.unwrap_or(last),
        )
    }

    /// The newest of some that it asks for.
    pub(super) fn newest(&self, mut turns: Vec<TurnRow>) -> Vec<TurnRow> {
        turns.sort_by_key(|turn| std::cmp::Reverse(turn.place()));
        turns.truncate(self.limit);
        turns
    }

    /// Whether it asks for this turn.
    pub(super) fn asks_for(&self, turn: &TurnRow) -> bool {
        let same = |wanted: Option<&str>, is: Option<&str>| wanted.is_none_or(|it| Some(it) == is);
        let outcome = turn.outcome.as_deref().unwrap_or(RUNNING);
        let in_it = |id: &ConversationId| *id == turn.conversation_id;
        self.account.as_ref().is_none_or(|it| *it == turn.account)
            && same(self.outcome.as_deref(), Some(outcome))
            && same(self.reason.as_deref(), turn.reason.as_deref())
            && self.conversation_id.as_ref().is_none_or(in_it)
            && self.since.is_none_or(|since| turn.received_at >= since)
            && self.before.is_none_or(|before| turn.place() < before)
    }
}
