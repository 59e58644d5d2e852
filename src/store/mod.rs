//! The store: the journal of webhooks, the turns and their progress, what is
//! known of conversations, and the dead letters: turns and webhooks that the relay
//! gave up, for an operator to retry or drop.
//!
//! The journal is the queue: recording an event and queueing its turn are one
//! write. When a method that writes has returned, its effect survives the end of
//! the process; a webhook's, and progress before a write into Gladly, a power cut
//! too. Of the rest a power cut loses the last moments only, which a turn does again.
//!
//! A back end does three plain things for a batch of [`Command`]s: it loads
//! what they need ([`Needs`]) into a [`Picture`], lets [`apply()`] change that, and
//! saves what changed ([`Changes`]) in one transaction. Every rule stands in
//! [`apply()`], pure and shared; SQL holds keys and order alone.
//!
//! - [`Store`] is what the relay needs, [`Operations`] what operators need, [`History`]
//!   what explains and reports.
//! - [`Sqlite`] keeps everything in one file, [`Postgres`] in a database that several
//!   relays share (who runs whose turns: [`Leases`]), [`Memory`] in memory until the
//!   process ends: it is for tests in which no file matters.
//! - Words are sealed at rest, with keys that are destroyed.

mod address;
mod types;

mod apply;
mod lane;
mod past;
mod picture;
mod value;

pub mod days;
pub mod totals;

mod copy;
mod history;
mod leases;
mod letters;
mod memory;
mod postgres;
mod seal;
mod sqlite;

#[cfg(test)]
mod conformance;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::id::AccountName;

pub use address::{PostgresAddress, StoreAddress};
pub use apply::apply;
pub use copy::{Copied, CopiedWords, copy};
pub use history::{History, NotAPlace, Place, RUNNING, Remembered, TurnQuery, TurnRow};
pub use lane::{Arrival, Lane, LaneTurn, Run};
pub use leases::{LEASE, Lease, Leases, Organization, Peer, Roll, Woken};
pub use letters::{Cause, LetterQuery};
pub use memory::Memory;
pub use past::{By, Past, Told};
pub use picture::{Changes, Conversation, Key, Needs, Picture, TurnChange, Unreadable};
pub use postgres::Postgres;
pub use seal::MasterKey;
pub use sqlite::{BackupKeys, Sqlite};
pub use totals::{Tally, Total, TotalKey};
pub use types::{
    Answer, Backlog, Change, ClaimRequest, Claimed, Command, DeadLetter, DeadLetterId, Delivery,
    Learnt, Message, Progress, Recorded, RetryRequest, Runner, Save, Source, Standing, StoreError,
    StoredTurn, Swept, TurnEnd,
};

/// What the relay needs of a database.
#[async_trait]
pub trait Store: Send + Sync {
    /// Journals one delivery and applies what it says, in one write.
    async fn record(&self, delivery: Delivery) -> Result<Recorded, StoreError>;

    /// Takes the account's turns that are due, beginning one in each free lane
    /// in which messages wait.
    async fn claim(&self, request: ClaimRequest) -> Result<Claimed, StoreError>;

    /// Stores a turn's progress and tells what is known of its conversation then.
    ///
    /// # Errors
    /// [`StoreError::NotRunning`] if somebody else runs the turn by now.
    async fn save(&self, save: Save) -> Result<Standing, StoreError>;

    /// How far the account's events were swept, by Gladly's clock; none if they never
    /// were.
    async fn swept_until(&self, account: &AccountName) -> Result<Option<Timestamp>, StoreError>;

    /// Remembers how far an account's events were swept.
    async fn swept(&self, swept: Swept) -> Result<(), StoreError>;

    /// Writes something, to see whether it can.
    async fn probe(&self) -> Result<(), StoreError>;

    /// Deletes what ended before `before`. Events that are forgotten by it are
    /// refused from then on.
    async fn purge(&self, before: Timestamp) -> Result<(), StoreError>;

    /// Sums up the days that are over, for reports: see [`days`].
    async fn sum_up(&self, _now: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }

    /// Whose turns a relay runs, where several share the database; none where the
    /// process that has it open runs them all.
    fn leases(&self) -> Option<&dyn Leases> {
        None
    }

    /// Finishes what was begun and lets go of the database.
    async fn close(&self);
}

/// All that is needed of a database.
pub trait Database: Store + Operations + History {}

impl<T: Store + Operations + History> Database for T {}

/// Opens the database for a relay.
///
/// # Errors
/// As [`Sqlite::open`] and [`Postgres::open`].
pub async fn open(
    address: &StoreAddress,
    master: Option<MasterKey>,
) -> Result<Arc<dyn Database>, StoreError> {
    Ok(match address {
        StoreAddress::Sqlite(path) => Arc::new(Sqlite::open_sealed(path, master).await?),
        StoreAddress::Postgres(address) => Arc::new(Postgres::open(address, master).await?),
    })
}

/// Opens the database beside relays that may be running.
///
/// # Errors
/// As [`Sqlite::open_beside`] and [`Postgres::open_beside`].
pub async fn open_beside(address: &StoreAddress) -> Result<Arc<dyn Database>, StoreError> {
    Ok(match address {
        StoreAddress::Sqlite(path) => Arc::new(Sqlite::open_beside(path).await?),
        StoreAddress::Postgres(address) => Arc::new(Postgres::open_beside(address).await?),
    })
}

/// What operators need of a database, beside a relay that may be running.
#[async_trait]
pub trait Operations: Send + Sync {
    /// What waits, for every account that has anything waiting or dead.
    async fn backlog(&self, now: Timestamp) -> Result<Vec<Backlog>, StoreError>;

    /// How much room its disk has; none if it is not on this machine, or the system
    /// doesn't say.
    async fn free_bytes(&self) -> Option<u64>;

    /// The dead letters, oldest first.
    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, StoreError>;

    /// What the dead letters died of, and how many of each.
    async fn causes(&self) -> Result<Vec<(Cause, u64)>, StoreError> {
        Ok(Cause::count(&self.dead_letters().await?))
    }

    /// Those of one cause, newest first, before a certain one.
    async fn letters_of(
        &self,
        cause: &Cause,
        before: Option<DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let mut letters = self.dead_letters().await?;
        let is_before = |id| before.is_none_or(|before| id < before);
        letters.retain(|letter| is_before(letter.id) && Cause::of(letter) == *cause);
        letters.reverse();
        letters.truncate(limit);
        Ok(letters)
    }

    /// Some of them, oldest first.
    async fn letters(&self, query: &LetterQuery) -> Result<Vec<DeadLetter>, StoreError> {
        let mut letters = self.dead_letters().await?;
        letters.retain(|letter| query.asks_for(letter));
        letters.truncate(query.limit.unwrap_or(usize::MAX));
        Ok(letters)
    }

    /// Those with these ids, oldest first.
    async fn named_letters(&self, ids: &[DeadLetterId]) -> Result<Vec<DeadLetter>, StoreError> {
        let mut letters = self.dead_letters().await?;
        letters.retain(|letter| ids.contains(&letter.id));
        Ok(letters)
    }

    /// Makes a dead turn's messages wait again, with a new deadline; one that may
    /// have answered is handed off instead. False if there is no such dead
    /// letter, it is a webhook that could not be used, or its lane is taken.
    async fn retry_dead_letter(&self, request: RetryRequest) -> Result<bool, StoreError>;

    /// Forgets a dead letter. False if there is none with this id.
    async fn drop_dead_letter(&self, id: DeadLetterId) -> Result<bool, StoreError>;
}
