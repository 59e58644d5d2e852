//! The store in one `SQLite` file: one writer thread, group commit, every
//! commit synced. One process at a time runs turns on it.

mod backup;
mod carry;
mod check;
mod checkpoint;
mod copy;
mod days;
mod history;
mod letters;
mod load;
mod migrate;
mod open;
mod purge;
mod read;
mod rows;
mod save;
#[cfg(test)]
mod tests;
mod watch;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::seal::{Keys, MasterKey};
use super::{
    Answer, Backlog, Cause, ClaimRequest, Claimed, Command, DeadLetter, DeadLetterId, Delivery,
    History, LetterQuery, Operations, Recorded, Remembered, RetryRequest, Save, Standing, Store,
    StoreError, Swept, Total, TurnQuery, TurnRow,
};
use crate::id::{AccountName, ConversationId};
pub use backup::BackupKeys;
use check::Check;
use checkpoint::Checkpointer;
pub(super) use copy::{SqliteSource, SqliteTarget};
use read::Reader;
use watch::Watch;
use writer::{Done, Tables, Task, Writer};

/// A database file, open.
pub struct Sqlite {
    writer: Writer,
    reader: Reader,
    /// None beside a relay that runs.
    check: Option<Check>,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let what = error.to_string();
        if open::is_damage(&error) {
            Self::Malformed(what)
        } else {
            Self::Unavailable(what)
        }
    }
}

impl Sqlite {
    /// Opens the file for the process that runs turns, making it and its folder
    /// if they don't exist. Every lane that has work is due at once, for an
    /// earlier process may have left turns running.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::NotOurs`], [`StoreError::Newer`],
    /// [`StoreError::CannotOpen`]: nothing was changed.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_sealed(path, None).await
    }

    /// As [`Sqlite::open`]; words are sealed so that nobody can read them without
    /// the master key, if there is one.
    ///
    /// # Errors
    /// As [`Sqlite::open`].
    pub async fn open_sealed(path: &Path, master: Option<MasterKey>) -> Result<Self, StoreError> {
        let path = path.to_owned();
        blocking(move || open_alone(&path, master)).await
    }

    /// Opens an existing file beside the process that runs turns, to see to its
    /// dead letters.
    ///
    /// # Errors
    /// As [`Sqlite::open`], but for `InUse`.
    pub async fn open_beside(path: &Path) -> Result<Self, StoreError> {
        let path = path.to_owned();
        blocking(move || {
            let connection = open::open_beside(&path)?;
            start(&path, connection, None, None)
        })
        .await
    }

    /// Copies the file at `path` as it is at one moment, whether a relay runs on
    /// it or not, with what opens the words in it or without. Tells which files
    /// were made.
    ///
    /// # Errors
    /// As [`Sqlite::open_beside`], or the copy can't be made; an existing file is
    /// never replaced.
    pub async fn backup(
        path: &Path,
        target: &Path,
        keys: BackupKeys,
    ) -> Result<Vec<PathBuf>, StoreError> {
        let (path, target) = (path.to_owned(), target.to_owned());
        blocking(move || backup::backup(&path, &target, keys)).await
    }

    async fn command(&self, command: Command) -> Result<Answer, StoreError> {
        match self.writer.run(Task::Command(Box::new(command))).await? {
            Done::Answer(answer) => Ok(answer),
            Done::Stepped(_) | Done::Nothing => Err(writer::closed()),
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let stopped = |_| StoreError::Unavailable("opening has failed".to_owned());
    tokio::task::spawn_blocking(work).await.map_err(stopped)?
}

fn open_alone(path: &Path, master: Option<MasterKey>) -> Result<Sqlite, StoreError> {
    let lock = open::lock(path)?;
    let connection = open::open(path)?;
    // On disk before keys are destroyed: what a power cut brings back may need them.
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    let key_path = open::beside(&open::real_path(path), "-keys");
    let needed = purge::needed_keys(&connection)?;
    let keys = Keys::open(&key_path, master)
        .and_then(|mut keys| {
            keys.destroy_unused(&needed)?;
            Ok(keys)
        })
        .map_err(|error| open::cannot_open(&key_path, error.to_string()))?;
    read::tell_of_times(&connection)?;
    make_due(&connection)?;
    start(path, connection, Some(keys), Some(lock))
}

/// What waits is due at once. Times that a clock stored which was ahead lie no
/// further than the present.
fn make_due(connection: &Connection) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE conversations SET due_at = min(waiting_since, ?) WHERE waiting_since IS NOT NULL",
        params![Timestamp::now().as_millisecond()],
    )?;
    Ok(())
}

fn start(
    path: &Path,
    connection: Connection,
    keys: Option<Keys>,
    lock: Option<open::Lock>,
) -> Result<Sqlite, StoreError> {
    let real_path: PathBuf = open::real_path(path);
    let is_alone = lock.is_some();
    let tables = tables(&real_path, connection, keys, lock)?;
    let changed = tables.changed.clone();
    let writer =
        Writer::start(tables).map_err(|error| open::cannot_open(path, error.to_string()))?;
    Ok(Sqlite {
        writer,
        check: is_alone
            .then(|| Check::start(&real_path, changed))
            .transpose()?,
        reader: Reader::new(real_path),
    })
}

fn tables(
    real_path: &Path,
    connection: Connection,
    keys: Option<Keys>,
    lock: Option<open::Lock>,
) -> Result<Tables, StoreError> {
    let mut watch = Watch::new(real_path, probe_page(&connection)?, lock.is_some());
    watch.look(keys.as_ref())?;
    Ok(Tables {
        forgotten_until: purge::load_forgotten(&connection)?,
        next_turn_id: next_turn_id(&connection)?,
        checkpointer: checkpointer(real_path, &connection)?,
        changed: Arc::default(),
        syncs: true,
        connection,
        keys,
        watch,
        lock,
    })
}

fn checkpointer(path: &Path, writers: &Connection) -> Result<Checkpointer, StoreError> {
    let connection = open::connect_to_write(path)?;
    Checkpointer::start(connection, writers.total_changes())
        .map_err(|error| open::cannot_open(path, error.to_string()))
}

/// The number of the page that every probe changes.
fn probe_page(connection: &Connection) -> Result<u32, StoreError> {
    let page = "SELECT rootpage FROM sqlite_schema WHERE name = 'probe'";
    Ok(connection.query_row(page, [], |row| row.get(0))?)
}

/// One that no turn ever had, also of those that are purged.
fn next_turn_id(connection: &Connection) -> Result<i64, StoreError> {
    let last: i64 = connection.query_row(
        "SELECT max(coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'turns'), 0),
                    coalesce((SELECT max(id) FROM turns), 0),
                    coalesce((SELECT max(turn_id) FROM dead_letters), 0))",
        [],
        |row| row.get(0),
    )?;
    Ok(last + 1)
}

#[async_trait]
impl Store for Sqlite {
    async fn record(&self, delivery: Delivery) -> Result<Recorded, StoreError> {
        self.command(Command::Record(delivery)).await?.recorded()
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Claimed, StoreError> {
        self.command(Command::Claim(request)).await?.claimed()
    }

    async fn save(&self, save: Save) -> Result<Standing, StoreError> {
        self.command(Command::Save(save)).await?.saved()
    }

    async fn swept_until(&self, account: &AccountName) -> Result<Option<Timestamp>, StoreError> {
        let account = account.clone();
        self.read(move |connection| read::swept_until(connection, &account))
            .await
    }

    async fn swept(&self, swept: Swept) -> Result<(), StoreError> {
        self.command(Command::Swept(swept))
            .await?
            .settled()
            .map(drop)
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.check.iter().try_for_each(Check::found)?;
        self.writer.run(Task::Probe).await.map(drop)
    }

    async fn purge(&self, before: Timestamp) -> Result<(), StoreError> {
        for kind in purge::Kind::ALL {
            while matches!(
                self.writer.run(Task::Purge(kind, before)).await?,
                Done::Stepped(true)
            ) {}
        }
        self.writer.run(Task::DestroyKeys).await.map(drop)
    }

    async fn sum_up(&self, now: Timestamp) -> Result<(), StoreError> {
        let until = crate::store::days::unsettled(now);
        while matches!(
            self.writer.run(Task::SumUp(until)).await?,
            Done::Stepped(true)
        ) {}
        Ok(())
    }

    async fn close(&self) {
        if let Some(check) = &self.check {
            check.stop().await;
        }
        self.reader.close();
        self.writer.close().await;
    }
}

#[async_trait]
impl Operations for Sqlite {
    async fn backlog(&self, now: Timestamp) -> Result<Vec<Backlog>, StoreError> {
        self.read(move |connection| read::backlog(connection, now))
            .await
    }

    async fn free_bytes(&self) -> Option<u64> {
        self.reader.free_bytes().await
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, StoreError> {
        self.read(read::dead_letters).await
    }

    async fn causes(&self) -> Result<Vec<(Cause, u64)>, StoreError> {
        self.read(letters::causes).await
    }

    async fn letters_of(
        &self,
        cause: &Cause,
        before: Option<DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let cause = cause.clone();
        self.read(move |connection| letters::of_cause(connection, &cause, before, limit))
            .await
    }

    async fn letters(&self, query: &LetterQuery) -> Result<Vec<DeadLetter>, StoreError> {
        let query = query.clone();
        self.read(move |connection| letters::some(connection, &query))
            .await
    }

    async fn named_letters(&self, ids: &[DeadLetterId]) -> Result<Vec<DeadLetter>, StoreError> {
        let ids = ids.to_vec();
        self.read(move |connection| letters::named(connection, &ids))
            .await
    }

    async fn retry_dead_letter(&self, request: RetryRequest) -> Result<bool, StoreError> {
        let command = Command::RetryDeadLetter(request);
        self.command(command).await?.settled()
    }

    async fn drop_dead_letter(&self, id: DeadLetterId) -> Result<bool, StoreError> {
        self.command(Command::DropDeadLetter(id)).await?.settled()
    }
}

#[async_trait]
impl History for Sqlite {
    async fn turns(&self, query: &TurnQuery) -> Result<Vec<TurnRow>, StoreError> {
        let query = query.clone();
        self.read(move |connection| history::turns(connection, &query))
            .await
    }

    async fn remembered(
        &self,
        id: &ConversationId,
        account: Option<&AccountName>,
    ) -> Result<Vec<Remembered>, StoreError> {
        let (id, account) = (id.clone(), account.cloned());
        self.read(move |connection| history::remembered(connection, &id, account.as_ref()))
            .await
    }

    async fn totals(
        &self,
        from_hour: i64,
        until_hour: i64,
        account: Option<&AccountName>,
    ) -> Result<Vec<Total>, StoreError> {
        let account = account.cloned();
        self.read(move |connection| {
            history::totals(connection, from_hour, until_hour, account.as_ref())
        })
        .await
    }

    async fn days(
        &self,
        from_day: i64,
        until_day: i64,
        account: Option<&AccountName>,
    ) -> Result<Vec<Total>, StoreError> {
        let account = account.cloned();
        self.read(move |connection| days::read(connection, from_day, until_day, account.as_ref()))
            .await
    }
}

impl Sqlite {
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        if self.writer.is_closed() {
            return Err(writer::closed());
        }
        self.reader.read(read).await
    }
}
