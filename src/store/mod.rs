//! The store: the journal of webhooks, the turns and their checkpoints, what is
//! known of conversations, and the dead letters.
//!
//! The journal is the queue: recording an event and queueing its turn are one
//! write. [`Store`] is what the relay needs of a database; [`Sqlite`] is one.
//! When a method that writes has returned, its effect survives a power cut.

mod sqlite;
mod types;

use async_trait::async_trait;
use jiff::Timestamp;

pub use sqlite::Sqlite;
pub use types::{
    Change, Checkpoint, Claim, ClaimedTurn, DeadLetter, DeadLetterId, Delivery, History, Lease,
    Message, NewPart, PartKind, PartState, Recorded, Repetition, Step, StoreError, StoredPart,
    Turn,
};

use crate::conversation::{Holder, Known, Status};
use crate::id::{AccountName, ConversationId, TurnId};
use crate::telemetry::Backlog;

/// What the relay needs of a database.
#[async_trait]
pub trait Store: Send + Sync {
    /// Journals one delivery and applies what it says, in one write.
    async fn record(&self, delivery: Delivery) -> Result<Recorded, StoreError>;

    /// Leases the account's next turn that is due, beginning one if messages
    /// wait in a free lane.
    async fn claim(
        &self,
        account: &AccountName,
        lease: Lease,
        now: Timestamp,
    ) -> Result<Claim, StoreError>;

    /// Stores a turn's progress.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if `owner` does not hold the turn any more.
    async fn checkpoint(
        &self,
        turn: TurnId,
        owner: &str,
        checkpoint: Checkpoint,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Prolongs leases, each named by its turn and owner, that have not been lost.
    async fn renew(
        &self,
        leases: Vec<(TurnId, String)>,
        until: Timestamp,
    ) -> Result<(), StoreError>;

    /// What is known of a conversation, or of the one it was merged into.
    async fn known(
        &self,
        account: &AccountName,
        conversation: &ConversationId,
    ) -> Result<Known, StoreError>;

    /// Stores what a look at Gladly showed at `at`.
    async fn looked(
        &self,
        account: &AccountName,
        conversation: &ConversationId,
        holder: Holder,
        status: Status,
        at: Timestamp,
    ) -> Result<(), StoreError>;

    /// What waits, for every account that has anything waiting or dead.
    async fn backlog(&self, now: Timestamp) -> Result<Vec<Backlog>, StoreError>;

    /// The dead letters, oldest first.
    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, StoreError>;

    /// Makes a dead turn's messages wait again, with a new deadline; one that may
    /// have answered is handed off instead. False if there is no such dead
    /// letter, it is a webhook that could not be used, or its lane is taken.
    async fn retry_dead_letter(
        &self,
        id: DeadLetterId,
        now: Timestamp,
        deadline_at: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Forgets a dead letter. False if there is none with this id.
    async fn drop_dead_letter(&self, id: DeadLetterId) -> Result<bool, StoreError>;

    /// Writes something, to see whether it can.
    async fn probe(&self, now: Timestamp) -> Result<(), StoreError>;

    /// Deletes what ended before `before` and wipes what is left of erased text.
    async fn purge(&self, before: Timestamp) -> Result<(), StoreError>;

    /// Finishes what was begun and lets go of the database.
    async fn close(&self);
}
