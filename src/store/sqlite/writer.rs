//! The one writer: a thread with its own connection. Whatever waits is done in
//! one transaction with one fsync, or none if nothing in it must outlast a power
//! cut by itself. A sync takes all transactions before along.
//!
//! - Nobody hears of success before the transaction is written, on disk where it
//!   must last, and the file was seen to be there still; but whoever has claimed
//!   turns hears of them.
//! - If one command of a batch fails, the batch is undone and each command is
//!   done by itself, so that only the bad one fails.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use tokio::sync::{mpsc, oneshot};

use super::checkpoint::{Checkpointer, Step};
use super::days;
use super::load::Loader;
use super::open::{self, BUSY_TIMEOUT, Lock};
use super::purge::{self, Kind};
use super::save::Saver;
use super::watch::Watch;
use crate::id::AccountName;
use crate::store::picture::Needs;
use crate::store::seal::Keys;
use crate::store::{Answer, Command, StoreError, apply};

/// The most in one transaction, so that the first does not wait long.
const LARGEST_BATCH: usize = 256;
/// How much may wait for the writer.
const LONGEST_QUEUE: usize = 1_024;
const PROBE: &str = "INSERT INTO probe (id, count) VALUES (1, 1)
    ON CONFLICT DO UPDATE SET count = count + 1";

/// Hands work to the writer.
pub(super) struct Writer(Mutex<Option<(mpsc::Sender<Job>, JoinHandle<()>)>>);

/// Something for the writer to do.
pub(super) enum Task {
    /// A command of the relay or of an operator.
    Command(Box<Command>),
    /// Write something.
    Probe,
    /// Delete some of what is old.
    Purge(Kind, Timestamp),
    /// Sum up some of the days before this one.
    SumUp(i64),
    /// Destroy the keys that nothing needs.
    DestroyKeys,
    /// Fail as a mistake in the code would.
    #[cfg(test)]
    Panic,
}

impl Task {
    const fn is_lasting(&self) -> bool {
        match self {
            Self::Command(command) => command.is_lasting(),
            Self::Probe | Self::DestroyKeys => true,
            Self::Purge(..) | Self::SumUp(_) => false,
            #[cfg(test)]
            Self::Panic => false,
        }
    }
}

/// What came of a [`Task`].
#[expect(clippy::large_enum_variant, reason = "it lives for one call")]
pub(super) enum Done {
    /// Of a command.
    Answer(Answer),
    /// Of what goes by steps: whether there may be more to do.
    Stepped(bool),
    /// Of the others.
    Nothing,
}

struct Job {
    task: Task,
    answer: oneshot::Sender<Result<Done, StoreError>>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(tables: Tables) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel(LONGEST_QUEUE);
        let thread = std::thread::Builder::new().name("store".to_owned());
        let thread = thread.spawn(move || run(tables, receiver))?;
        Ok(Self(Mutex::new(Some((sender, thread)))))
    }

    /// Has something done, and waits until it is on disk.
    pub(super) async fn run(&self, task: Task) -> Result<Done, StoreError> {
        let sender = self.handle().as_ref().map(|(sender, _)| sender.clone());
        let sender = sender.ok_or_else(closed)?;
        let (answer, answered) = oneshot::channel();
        sender
            .send(Job { task, answer })
            .await
            .map_err(|_| closed())?;
        drop(sender);
        answered.await.map_err(|_| closed())?
    }

    /// Lets what was begun be finished, and ends the thread.
    pub(super) async fn close(&self) {
        let handle = self.handle().take();
        if let Some((sender, thread)) = handle {
            drop(sender);
            // It fails only if the thread has panicked: it is gone all the same.
            let _: Result<_, _> = tokio::task::spawn_blocking(|| thread.join()).await;
        }
    }

    /// Whether it was closed.
    pub(super) fn is_closed(&self) -> bool {
        self.handle().is_none()
    }

    fn handle(&self) -> std::sync::MutexGuard<'_, Option<(mpsc::Sender<Job>, JoinHandle<()>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a call hears once the store is closed.
pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

fn run(mut tables: Tables, mut jobs: mpsc::Receiver<Job>) {
    let mut batch = Vec::with_capacity(LARGEST_BATCH);
    while jobs.blocking_recv_many(&mut batch, LARGEST_BATCH) > 0 {
        let (tasks, answers): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|job| (job.task, job.answer)).unzip();
        let done = tables.run(&tasks);
        for (answer, done) in answers.into_iter().zip(done) {
            // Whoever asked may have gone away; it was done all the same.
            let _: Result<(), _> = answer.send(done);
        }
        tables.checkpoint();
    }
    tables.close();
}

/// What the thread owns. The connections go first: what is watched is closed only
/// after them.
pub(super) struct Tables {
    pub(super) checkpointer: Checkpointer,
    pub(super) connection: Connection,
    /// Rows that were changed so far, for whoever makes way for the work.
    pub(super) changed: Arc<AtomicU64>,
    /// None beside a relay that runs.
    pub(super) keys: Option<Keys>,
    pub(super) watch: Watch,
    pub(super) forgotten_until: HashMap<AccountName, Timestamp>,
    pub(super) next_turn_id: i64,
    /// Whether a commit syncs.
    pub(super) syncs: bool,
    /// Held so that no second process runs turns on the file.
    pub(super) lock: Option<Lock>,
}

/// Why a transaction was undone.
enum Undone {
    /// One of its tasks failed.
    ByTask(StoreError),
    /// It could not be begun or committed.
    Itself(StoreError),
}

impl Tables {
    /// Does it all, and tells of each what came of it.
    pub(super) fn run(&mut self, tasks: &[Task]) -> Vec<Result<Done, StoreError>> {
        if let Err(gone) = self.look() {
            return all(tasks, &gone);
        }
        let done = match self.transaction(tasks) {
            Ok(done) => done.into_iter().map(Ok).collect(),
            Err(Undone::Itself(error)) => all(tasks, &error),
            Err(Undone::ByTask(error)) if tasks.len() == 1 => all(tasks, &error),
            Err(Undone::ByTask(_)) => self.one_by_one(tasks),
        };
        if let Err(gone) = self.look() {
            return done
                .into_iter()
                .map(|done| unless_claimed(done, &gone))
                .collect();
        }
        // After the commit: a key that is needed if it fails must not be gone.
        if tasks.iter().any(|task| matches!(task, Task::DestroyKeys)) {
            self.destroy_keys();
            self.empty_log();
        }
        done
    }

    fn look(&mut self) -> Result<(), StoreError> {
        self.watch.look(self.keys.as_ref())
    }

    fn one_by_one(&mut self, tasks: &[Task]) -> Vec<Result<Done, StoreError>> {
        let mut done = Vec::with_capacity(tasks.len());
        for task in tasks.chunks(1) {
            match self.transaction(task) {
                Ok(one) => done.extend(one.into_iter().map(Ok)),
                Err(Undone::ByTask(error)) => done.push(Err(error)),
                // The next would wait as long for the same.
                Err(Undone::Itself(error)) => {
                    done.extend(all(&tasks[done.len()..], &error));
                    break;
                }
            }
        }
        done
    }

    fn transaction(&mut self, tasks: &[Task]) -> Result<Vec<Done>, Undone> {
        let next_turn_id = self.next_turn_id;
        let done = self.try_transaction(tasks);
        if done.is_err() {
            self.next_turn_id = next_turn_id;
            if !self.connection.is_autocommit()
                && let Err(error) = self.connection.execute_batch("ROLLBACK")
            {
                tracing::error!(%error, "a transaction could not be undone");
            }
            if let Ok(forgotten) = purge::load_forgotten(&self.connection) {
                self.forgotten_until = forgotten;
            }
        }
        done
    }

    fn try_transaction(&mut self, tasks: &[Task]) -> Result<Vec<Done>, Undone> {
        let itself = |error: rusqlite::Error| Undone::Itself(error.into());
        // Immediate: a deferred transaction that writes later fails at once if
        // somebody else writes, whatever the busy timeout.
        self.sync(tasks.iter().any(Task::is_lasting))
            .map_err(itself)?;
        self.execute("BEGIN IMMEDIATE").map_err(itself)?;
        let mut done = Vec::with_capacity(tasks.len());
        for task in tasks {
            let one = catch_unwind(AssertUnwindSafe(|| self.task(task)));
            let one = one.unwrap_or_else(|_| {
                let what = "a mistake in the program; the log tells which".to_owned();
                Err(StoreError::Unavailable(what))
            });
            done.push(one.map_err(Undone::ByTask)?);
        }
        self.execute("COMMIT").map_err(itself)?;
        Ok(done)
    }

    /// Whether the next commit syncs. Only outside of a transaction can it be set.
    fn sync(&mut self, syncs: bool) -> rusqlite::Result<()> {
        if self.syncs != syncs {
            let mode = if syncs { "FULL" } else { "NORMAL" };
            self.connection.pragma_update(None, "synchronous", mode)?;
            self.syncs = syncs;
        }
        Ok(())
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }

    fn task(&mut self, task: &Task) -> Result<Done, StoreError> {
        match task {
            Task::Command(command) => self.command(command).map(Done::Answer),
            // No key is destroyed of which a power cut could bring back the need:
            // that something is written makes the commit sync.
            Task::Probe | Task::DestroyKeys => {
                self.execute(PROBE)?;
                Ok(Done::Nothing)
            }
            Task::Purge(kind, before) => {
                let forgotten_until = &mut self.forgotten_until;
                purge::step(&self.connection, *kind, *before, forgotten_until).map(Done::Stepped)
            }
            Task::SumUp(until) => days::step(&self.connection, *until).map(Done::Stepped),
            #[cfg(test)]
            Task::Panic => panic!("as asked"),
        }
    }

    fn command(&mut self, command: &Command) -> Result<Answer, StoreError> {
        if let (Some(keys), Some(now)) = (&mut self.keys, command.now()) {
            keys.tick(now);
        }
        let loader = Loader {
            connection: &self.connection,
            keys: self.keys.as_ref(),
            forgotten_until: &self.forgotten_until,
        };
        let mut picture = loader.picture(&Needs::of(command), self.next_turn_id)?;
        let answer = apply(command.clone(), &mut picture);
        self.next_turn_id = picture.next_turn_id;
        let mut saver = Saver {
            connection: &self.connection,
            keys: self.keys.as_mut(),
            account: command.account().cloned(),
        };
        saver.changes(picture.changes)?;
        Ok(answer)
    }

    fn destroy_keys(&mut self) {
        let Some(keys) = &mut self.keys else { return };
        let needed = purge::needed_keys(&self.connection).map_err(|error| error.to_string());
        let destroyed = needed.and_then(|needed| {
            let destroyed = keys.destroy_unused(&needed);
            destroyed.map_err(|error| error.to_string())
        });
        if let Err(error) = destroyed {
            tracing::error!(
                error,
                "old keys could not be destroyed; the next purge tries again"
            );
        }
    }

    /// Empties the log, in which what was deleted still stands. Where somebody
    /// reads at the moment, nobody waits for that: the next purge tries again.
    fn empty_log(&mut self) {
        let impatient = self.connection.busy_timeout(Duration::ZERO);
        let emptied = impatient.and_then(|()| self.bring_into_database("TRUNCATE"));
        let patient = self.connection.busy_timeout(BUSY_TIMEOUT);
        if let Err(error) = emptied.and(patient) {
            tracing::warn!(%error, "the log could not be emptied; the next purge tries again");
        }
    }

    /// Has the log brought into the database, while nobody waits for an answer.
    fn checkpoint(&mut self) {
        let changed = self.connection.total_changes();
        self.changed.store(changed, Ordering::Relaxed);
        let step = self.checkpointer.step(changed);
        if step == Step::Nothing || self.look().is_err() {
            return;
        }
        let done = match step {
            Step::Finish => self.bring_into_database("PASSIVE"),
            _ => self
                .execute(PROBE)
                .map(|()| self.checkpointer.pass(changed)),
        };
        if let Err(error) = done {
            tracing::warn!(%error, "the log could not be brought into the database; it is tried again");
        }
    }

    /// Each time with another page of the probe's, by which the watch knows an
    /// older copy. The watch must see what this has made of the file.
    fn bring_into_database(&mut self, mode: &str) -> rusqlite::Result<()> {
        self.checkpointer.finish(self.connection.total_changes());
        self.execute(PROBE)?;
        let checkpoint = format!("PRAGMA wal_checkpoint({mode})");
        self.connection.query_row(&checkpoint, [], |_| Ok(()))?;
        // Whoever asks next is told if anything is wrong.
        let _: Result<(), StoreError> = self.look();
        Ok(())
    }

    /// Lets go of the file, its log emptied. Of files that were replaced nothing
    /// is touched: what stands there now is somebody else's.
    fn close(mut self) {
        // A relay that runs on the file sees to its log itself.
        let is_there = self.look().is_ok();
        if is_there && self.lock.is_some() {
            if let Err(error) = self.bring_into_database("TRUNCATE") {
                tracing::warn!(%error, "the log could not be emptied; the next start does it");
            }
        } else {
            let option = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
            // It can only fail for an option that SQLite does not know.
            let _: rusqlite::Result<bool> = self.connection.set_db_config(option, true);
            self.set_orphaned_log_aside();
        }
    }

    /// What was copied over the database is opened by itself at the next start.
    fn set_orphaned_log_aside(&self) {
        let Some(log) = self.watch.orphaned_log().filter(|_| self.lock.is_some()) else {
            return;
        };
        let aside = open::beside(log, ".orphaned");
        let moved = std::fs::rename(log, &aside);
        let (log, aside) = (log.display(), aside.display());
        if let Err(error) = moved {
            tracing::error!(%log, %error, "the log of a database that was written over could not be moved aside; delete it before the next start");
        } else {
            tracing::warn!(%log, %aside, "the log of a database that was written over was moved aside; delete it");
        }
    }
}

/// What was claimed is told all the same: nobody else would run those turns, and
/// a turn does nothing that matters before its progress is on disk.
fn unless_claimed(done: Result<Done, StoreError>, gone: &StoreError) -> Result<Done, StoreError> {
    match done {
        Ok(Done::Answer(Answer::Claimed(_))) => done,
        _ => Err(gone.clone()),
    }
}

fn all(tasks: &[Task], error: &StoreError) -> Vec<Result<Done, StoreError>> {
    tasks.iter().map(|_| Err(error.clone())).collect()
}
