//! The one writer: many writes, one transaction, one fsync (group commit).
//!
//! Each write runs in a savepoint, so that one that fails undoes only itself.
//! Nobody hears of success before the transaction is on disk.

use futures_util::future::BoxFuture;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{mpsc, oneshot};

use crate::store::StoreError;

/// The most writes in one transaction, so that the first does not wait long.
const LARGEST_BATCH: usize = 256;

/// Told whether the transaction came through.
type Finish = Box<dyn FnOnce(Result<(), String>) + Send>;
type Job = Box<dyn for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Ran> + Send>;

/// What became of one job within the transaction.
struct Ran {
    keep: bool,
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
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            Box::pin(async move {
                let result = write(connection).await;
                let keep = result.is_ok();
                let finish: Finish = Box::new(move |committed| {
                    let result = match committed {
                        Ok(()) => result,
                        Err(what) => Err(StoreError::Unavailable(what)),
                    };
                    // Whoever asked may have gone away meanwhile.
                    let _: Result<(), _> = sender.send(result);
                });
                Ran { keep, finish }
            })
        });
        let stopped = || StoreError::Unavailable("the writer has stopped".to_owned());
        self.0.send(job).await.map_err(|_| stopped())?;
        receiver.await.map_err(|_| stopped())?
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
            let mut finishes = Vec::new();
            let committed = self.commit(batch.drain(..), &mut finishes).await;
            let committed = committed.map_err(|error| {
                self.connection = None;
                error.to_string()
            });
            for finish in finishes {
                finish(committed.clone());
            }
        }
        if let Some(mut connection) = self.connection {
            // Nothing is lost if this fails: the log is replayed at the next start.
            let _: Result<_, _> = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
                .execute(&mut connection)
                .await;
            let _: Result<_, _> = connection.close().await;
        }
    }

    /// Runs the jobs in one transaction. A job that could not be run at all is
    /// dropped, which its caller learns as "the writer has stopped".
    async fn commit(
        &mut self,
        jobs: impl Iterator<Item = Job>,
        finishes: &mut Vec<Finish>,
    ) -> Result<(), sqlx::Error> {
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
        for job in jobs {
            sqlx::query("SAVEPOINT job")
                .execute(&mut *connection)
                .await?;
            let ran = job(connection).await;
            finishes.push(ran.finish);
            if !ran.keep {
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
