//! The one writer: many writes, one transaction, one fsync (group commit).
//!
//! Each write runs in a savepoint, so that one that fails undoes only itself.
//! Nobody hears of success before the transaction is on disk.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{mpsc, oneshot};

use crate::store::StoreError;

/// The most writes in one transaction, so that the first does not wait long.
const LARGEST_BATCH: usize = 256;

/// Told whether the transaction came through.
type Finish = Box<dyn FnOnce(Result<(), String>) + Send>;
type Run = Box<dyn for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, bool> + Send>;

/// One write: what to do, and how to tell its caller what came of it.
struct Job {
    /// True if its effect is to be kept.
    run: Run,
    finish: Finish,
}

/// Hands writes to the writer task.
#[derive(Clone)]
pub(super) struct Writer(mpsc::Sender<Job>);

impl Writer {
    /// Starts the task. It ends, and closes the connection, once every handle
    /// is dropped.
    pub(super) fn start(
        connection: SqliteConnection,
        options: SqliteConnectOptions,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (sender, receiver) = mpsc::channel(4 * LARGEST_BATCH);
        let task = Task {
            connection: Some(connection),
            options,
            jobs: receiver,
        };
        (Self(sender), tokio::spawn(task.run()))
    }

    /// Runs `write` and returns what it returned once it is on disk.
    pub(super) async fn write<T, F>(&self, write: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StoreError>>
            + Send
            + 'static,
    {
        let (result_sender, result) = oneshot::channel();
        let (committed_sender, committed) = oneshot::channel();
        let run: Run = Box::new(move |connection| {
            Box::pin(async move {
                let result = write(connection).await;
                let keep = result.is_ok();
                // Whoever asked may have gone away; the write is made all the same.
                let _: Result<(), _> = result_sender.send(result);
                keep
            })
        });
        let finish: Finish = Box::new(move |outcome| {
            let _: Result<(), _> = committed_sender.send(outcome);
        });
        let stopped = || StoreError::Unavailable("the writer has stopped".to_owned());
        self.0
            .send(Job { run, finish })
            .await
            .map_err(|_| stopped())?;
        committed
            .await
            .map_err(|_| stopped())?
            .map_err(StoreError::Unavailable)?;
        result.await.map_err(|_| stopped())?
    }
}

struct Task {
    /// None after a failure: the next batch connects anew.
    connection: Option<SqliteConnection>,
    options: SqliteConnectOptions,
    jobs: mpsc::Receiver<Job>,
}

impl Task {
    async fn run(mut self) {
        let mut batch = Vec::new();
        while self.jobs.recv_many(&mut batch, LARGEST_BATCH).await > 0 {
            let (runs, finishes): (Vec<Run>, Vec<Finish>) = batch
                .drain(..)
                .map(|job: Job| (job.run, job.finish))
                .unzip();
            let committed = AssertUnwindSafe(self.commit(runs)).catch_unwind().await;
            let committed = committed.unwrap_or_else(|_panic| Err("a write panicked".to_owned()));
            if committed.is_err() {
                self.connection = None;
            }
            for finish in finishes {
                finish(committed.clone());
            }
        }
        if let Some(mut connection) = self.connection {
            // Nothing is lost if this fails: the log is replayed at the next start.
            let truncate = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)");
            let _: Result<_, _> = truncate.execute(&mut connection).await;
            let _: Result<_, _> = connection.close().await;
        }
    }

    async fn commit(&mut self, runs: Vec<Run>) -> Result<(), String> {
        self.commit_all(runs)
            .await
            .map_err(|error| error.to_string())
    }

    /// Runs all writes in one transaction.
    async fn commit_all(&mut self, runs: Vec<Run>) -> Result<(), sqlx::Error> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        let connection = self.connection.insert(connection);
        // Immediate: a deferred transaction that writes later fails at once if
        // somebody else writes, whatever the busy timeout.
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut *connection)
            .await?;
        for run in runs {
            sqlx::query("SAVEPOINT job")
                .execute(&mut *connection)
                .await?;
            if !run(connection).await {
                sqlx::query("ROLLBACK TO job")
                    .execute(&mut *connection)
                    .await?;
            }
            sqlx::query("RELEASE job").execute(&mut *connection).await?;
        }
        sqlx::query("COMMIT").execute(&mut *connection).await?;
        Ok(())
    }
}
