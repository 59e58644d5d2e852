//! The store in one `SQLite` file: WAL, every commit synced, one writer with
//! group commit. One process at a time runs turns on it.

mod checkpoint;
mod claim;
mod journal;
mod open;
mod upkeep;
mod writer;

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqlitePool, SqlitePoolOptions};
use sqlx::{ConnectOptions, Connection, Row};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::{
    Checkpoint, Claim, DeadLetter, DeadLetterId, Delivery, Lease, Recorded, Store, StoreError,
};
use crate::conversation::{Holder, Known, Status};
use crate::id::{AccountName, ConversationId, TurnId};
use crate::telemetry::Backlog;
use writer::Writer;

/// How often and how far apart the log is tried to be wiped.
const WIPING_TRIES: u32 = 20;
const WIPING_WAIT: Duration = Duration::from_millis(50);

/// A database file, open.
pub struct Sqlite {
    /// None once it is closed.
    writer: Mutex<Option<(Writer, JoinHandle<()>)>>,
    readers: SqlitePool,
    options: SqliteConnectOptions,
    /// Held so that no second process works on the file.
    _lock: Option<File>,
}

impl Sqlite {
    /// Opens the file for the process that runs turns, making it and its folder
    /// if they don't exist. Frees the turns that a crash left leased.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::NotOurs`], [`StoreError::Newer`],
    /// [`StoreError::CannotOpen`]: nothing was changed.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let lock = open::lock(path)?;
        let connection = open::open(path).await?;
        let store = Self::connect(path, connection, Some(lock));
        store
            .writer()
            .await?
            .write(|connection| Box::pin(claim::free_all(connection)))
            .await?;
        Ok(store)
    }

    /// Opens an existing file beside the process that runs turns.
    ///
    /// # Errors
    /// As [`Sqlite::open`], but for `InUse`.
    pub async fn open_beside(path: &Path) -> Result<Self, StoreError> {
        if !path.exists() {
            let what = "there is no such file".to_owned();
            return Err(StoreError::CannotOpen {
                path: path.to_owned(),
                what,
            });
        }
        let connection = open::open_current(path).await?;
        Ok(Self::connect(path, connection, None))
    }

    fn connect(path: &Path, connection: SqliteConnection, lock: Option<File>) -> Self {
        let options = open::options(path);
        let readers = SqlitePoolOptions::new()
            .max_connections(2)
            .connect_lazy_with(options.clone().read_only(true));
        let writer = Mutex::new(Some(Writer::start(connection, options.clone())));
        Self {
            writer,
            readers,
            options,
            _lock: lock,
        }
    }

    /// Empties the write-ahead log, where erased words still stand. Outside the
    /// writer's transaction, as SQLite demands, and again while somebody reads
    /// or writes in the way (sqlite.org, "`PRAGMA wal_checkpoint`").
    async fn wipe_log(&self) -> Result<(), StoreError> {
        let mut connection = self.options.connect().await?;
        for _ in 0..WIPING_TRIES {
            let truncate = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)");
            let busy: i64 = truncate.fetch_one(&mut connection).await?.try_get(0)?;
            if busy == 0 {
                return Ok(connection.close().await?);
            }
            tokio::time::sleep(WIPING_WAIT).await;
        }
        let what = "its log is in use and could not be wiped".to_owned();
        Err(StoreError::Unavailable(what))
    }

    async fn writer(&self) -> Result<Writer, StoreError> {
        let writer = self.writer.lock().await;
        let closed = || StoreError::Unavailable("the store is closed".to_owned());
        writer
            .as_ref()
            .map(|(writer, _)| writer.clone())
            .ok_or_else(closed)
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn record(&self, delivery: Delivery) -> Result<Recorded, StoreError> {
        let writer = self.writer().await?;
        writer
            .write(move |connection| Box::pin(journal::record(connection, delivery)))
            .await
    }

    async fn claim(
        &self,
        account: &AccountName,
        lease: Lease,
        now: Timestamp,
    ) -> Result<Claim, StoreError> {
        let account = account.clone();
        let writer = self.writer().await?;
        writer
            .write(move |connection| Box::pin(claim::claim(connection, account, lease, now)))
            .await
    }

    async fn checkpoint(
        &self,
        turn: TurnId,
        owner: &str,
        checkpoint: Checkpoint,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let owner = owner.to_owned();
        let writer = self.writer().await?;
        writer
            .write(move |connection| {
                Box::pin(checkpoint::apply(connection, turn, owner, checkpoint, now))
            })
            .await
    }

    async fn renew(
        &self,
        leases: Vec<(TurnId, String)>,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let writer = self.writer().await?;
        writer
            .write(move |connection| Box::pin(claim::renew(connection, leases, until)))
            .await
    }

    async fn known(
        &self,
        account: &AccountName,
        conversation: &ConversationId,
    ) -> Result<Known, StoreError> {
        let mut connection = self.readers.acquire().await?;
        claim::load_known(&mut connection, account, conversation).await
    }

    async fn looked(
        &self,
        account: &AccountName,
        conversation: &ConversationId,
        holder: Holder,
        status: Status,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let (account, conversation) = (account.clone(), conversation.clone());
        let writer = self.writer().await?;
        writer
            .write(move |connection| {
                Box::pin(journal::looked(
                    connection,
                    account,
                    conversation,
                    holder,
                    status,
                    at,
                ))
            })
            .await
    }

    async fn backlog(&self, now: Timestamp) -> Result<Vec<Backlog>, StoreError> {
        let mut connection = self.readers.acquire().await?;
        upkeep::backlog(&mut connection, now).await
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, StoreError> {
        let mut connection = self.readers.acquire().await?;
        upkeep::dead_letters(&mut connection).await
    }

    async fn retry_dead_letter(
        &self,
        id: DeadLetterId,
        now: Timestamp,
        deadline_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let writer = self.writer().await?;
        writer
            .write(move |connection| {
                Box::pin(upkeep::retry_dead_letter(connection, id, now, deadline_at))
            })
            .await
    }

    async fn drop_dead_letter(&self, id: DeadLetterId) -> Result<bool, StoreError> {
        let writer = self.writer().await?;
        writer
            .write(move |connection| Box::pin(upkeep::drop_dead_letter(connection, id)))
            .await
    }

    async fn probe(&self, now: Timestamp) -> Result<(), StoreError> {
        let writer = self.writer().await?;
        writer
            .write(move |connection| Box::pin(upkeep::probe(connection, now)))
            .await
    }

    async fn purge(&self, before: Timestamp) -> Result<(), StoreError> {
        let writer = self.writer().await?;
        writer
            .write(move |connection| Box::pin(upkeep::purge(connection, before)))
            .await?;
        self.wipe_log().await
    }

    async fn close(&self) {
        self.readers.close().await;
        let writer = self.writer.lock().await.take();
        if let Some((writer, task)) = writer {
            drop(writer);
            // It fails only if the task panicked, which loses nothing stored.
            let _: Result<(), _> = task.await;
        }
    }
}
