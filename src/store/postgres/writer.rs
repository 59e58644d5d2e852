//! The writers: some connections that take whatever waits, each as one batch.
//!
//! - Nobody hears of success before the transaction is committed.
//! - If one command of a batch can't be done, each is done by itself, so that only
//!   the bad one fails.
//! - Where the connection breaks in the midst of a commit, the database is asked what
//!   became of it, by the signature that stands in every batch.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_postgres::Client;

use super::batch::{self, Bench, TurnIds, Undone};
use super::connect::Connector;
use super::keys::Sealer;
use super::statement::Statement;
use crate::id::AccountName;
use crate::store::seal::MasterKey;
use crate::store::{Answer, ClaimRequest, Command, StoreError};

/// How many batches may be on their way: while one is committed, the next is made.
const WRITERS: usize = 3;
/// The most in one batch.
const LARGEST_BATCH: usize = 256;
/// How much may wait.
const LONGEST_QUEUE: usize = 4_096;
/// How often a batch is done again that met another relay's.
const MOST_COLLISIONS: u32 = 20;
/// How long to leave a database alone that can't be reached: doubled each time, up to
/// the second.
const LEAVE_ALONE: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(2)];
/// How long to ask what became of a batch.
const RESOLVE_WITHIN: Duration = Duration::from_secs(8);

/// Before anything is signed with it.
const ENTER: &str = "INSERT INTO writers (writer, batch) VALUES ($1, 0) ON CONFLICT DO NOTHING";
/// Waits for a transaction that the server has not given up yet.
const SIGNED: &str = "SELECT batch FROM writers WHERE writer = $1 FOR UPDATE";
/// The lanes of an account whose claims may be lost are due again.
const MAKE_DUE: &str = "UPDATE conversations SET due_at = waiting_since
    WHERE account = ANY($1) AND waiting_since IS NOT NULL AND due_at IS NULL";

/// Hands work to the writers.
pub(super) struct Writer(Mutex<Option<Running>>);

struct Running {
    sender: mpsc::Sender<Job>,
    tasks: Vec<JoinHandle<()>>,
}

struct Job {
    command: Command,
    answer: oneshot::Sender<Result<Answer, StoreError>>,
}

/// What all writers share.
pub(super) struct Shared {
    pub(super) connector: Connector,
    pub(super) master: Option<MasterKey>,
    pub(super) sealer: Sealer,
    /// The accounts whose turns run in this process.
    pub(super) driven: Mutex<HashSet<AccountName>>,
    /// Accounts of which turns may have been claimed that nobody has in hand.
    pub(super) doubtful: Mutex<HashSet<AccountName>>,
}

impl Writer {
    /// Starts them.
    pub(super) fn start(shared: &Arc<Shared>) -> Self {
        let (sender, receiver) = mpsc::channel(LONGEST_QUEUE);
        let receiver = Arc::new(AsyncMutex::new(receiver));
        let tasks = (0..WRITERS)
            .map(|_| tokio::spawn(Worker::new(shared).work(receiver.clone())))
            .collect();
        Self(Mutex::new(Some(Running { sender, tasks })))
    }

    /// Has a command done, and waits until it is committed.
    pub(super) async fn run(&self, command: Command) -> Result<Answer, StoreError> {
        let sender = self
            .running()
            .as_ref()
            .map(|running| running.sender.clone());
        let sender = sender.ok_or_else(closed)?;
        let (answer, answered) = oneshot::channel();
        sender
            .send(Job { command, answer })
            .await
            .map_err(|_| closed())?;
        drop(sender);
        answered.await.map_err(|_| closed())?
    }

    /// Lets what was begun be finished, and ends them.
    pub(super) async fn close(&self) {
        let Some(Running { sender, tasks }) = self.running().take() else {
            return;
        };
        drop(sender);
        for task in tasks {
            // It fails only if it has panicked: it is gone all the same.
            let _: Result<(), _> = task.await;
        }
    }

    /// Whether it was closed.
    pub(super) fn is_closed(&self) -> bool {
        self.running().is_none()
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Option<Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a call hears once the store is closed.
pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

struct Worker {
    shared: Arc<Shared>,
    /// What its batches are signed with, and how many there were.
    name: String,
    batches: i64,
    client: Option<Client>,
    turn_ids: TurnIds,
    backoff: Backoff,
}

impl Worker {
    fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: shared.clone(),
            name: format!("{:032x}", fastrand::u128(..)),
            batches: 0,
            client: None,
            turn_ids: TurnIds::default(),
            backoff: Backoff::default(),
        }
    }

    async fn work(mut self, jobs: Arc<AsyncMutex<mpsc::Receiver<Job>>>) {
        let mut batch = Vec::with_capacity(LARGEST_BATCH);
        loop {
            let taken = jobs.lock().await.recv_many(&mut batch, LARGEST_BATCH).await;
            if taken == 0 {
                return;
            }
            let (commands, answers): (Vec<_>, Vec<_>) =
                batch.drain(..).map(|job| (job.command, job.answer)).unzip();
            let done = self.run(&commands).await;
            for (answer, done) in answers.into_iter().zip(done) {
                // Whoever asked may have gone away; it was done all the same.
                let _: Result<(), _> = answer.send(done);
            }
        }
    }

    /// Does it all, and tells of each what came of it.
    async fn run(&mut self, commands: &[Command]) -> Vec<Result<Answer, StoreError>> {
        match self.batch(commands).await {
            Ok(answers) => answers.into_iter().map(Ok).collect(),
            Err(Undone::ByCommand(_)) if commands.len() > 1 => {
                let mut done = Vec::with_capacity(commands.len());
                for command in commands.chunks(1) {
                    done.extend(Box::pin(self.run(command)).await);
                }
                done
            }
            Err(
                Undone::ByCommand(error)
                | Undone::Collision(error)
                | Undone::Away(error)
                | Undone::Unknown(_, error),
            ) => commands.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    async fn batch(&mut self, commands: &[Command]) -> Result<Vec<Answer>, Undone> {
        let mut collisions = 0;
        loop {
            match self.try_batch(commands).await {
                Err(Undone::Collision(error)) if collisions < MOST_COLLISIONS => {
                    collisions += 1;
                    tracing::debug!(%error, "another relay was first; the batch is done again");
                    sleep(Duration::from_millis(fastrand::u64(1..10))).await;
                }
                Err(Undone::Unknown(answers, error)) => match self.was_committed().await {
                    Some(true) => return Ok(answers),
                    Some(false) => {}
                    None => {
                        self.doubt(commands);
                        return Err(Undone::Unknown(answers, error));
                    }
                },
                done => return done,
            }
        }
    }

    async fn try_batch(&mut self, commands: &[Command]) -> Result<Vec<Answer>, Undone> {
        let shared = self.shared.clone();
        let client = match self.client.take() {
            Some(client) if !client.is_closed() => client,
            _ => self.connect().await.map_err(Undone::Away)?,
        };
        let commands = &*self.with_lost(&client, commands).await?;
        self.batches += 1;
        let driven = |account: &AccountName| lock(&shared.driven).contains(account);
        let mut bench = Bench {
            master: shared.master.as_ref(),
            sealer: &shared.sealer,
            turn_ids: &mut self.turn_ids,
            signature: (&self.name, self.batches),
            driven: &driven,
        };
        let done = batch::run(&client, commands, &mut bench).await;
        let usable = match &done {
            Ok(_) => true,
            Err(Undone::ByCommand(_) | Undone::Collision(_)) => {
                client.batch_execute("ROLLBACK").await.is_ok()
            }
            Err(Undone::Away(_) | Undone::Unknown(..)) => false,
        };
        self.client = usable.then_some(client);
        done
    }

    async fn connect(&mut self) -> Result<Client, StoreError> {
        self.backoff.may_try()?;
        match self.enter().await {
            Ok(client) => {
                self.backoff = Backoff::default();
                Ok(client)
            }
            Err(error) => Err(self.backoff.failed(error.into())),
        }
    }

    async fn enter(&self) -> Result<Client, tokio_postgres::Error> {
        let client = self.shared.connector.connect().await?;
        Statement::new(ENTER).text(&self.name).run(&client).await?;
        Ok(client)
    }

    /// Whether the last batch was committed; none if nobody can tell.
    async fn was_committed(&mut self) -> Option<bool> {
        let until = Instant::now() + RESOLVE_WITHIN;
        while Instant::now() < until {
            if let Ok(client) = self.shared.connector.connect().await {
                let asked = Statement::new(SIGNED).text(&self.name).run(&client);
                let signed = timeout_at(until, asked).await;
                if let Ok(Ok(rows)) = signed {
                    let last: Option<i64> = rows.first().map(|row| row.get(0));
                    return Some(last == Some(self.batches));
                }
            }
            sleep(LEAVE_ALONE[0]).await;
        }
        None
    }

    /// Turns may have been claimed of which nobody heard.
    fn doubt(&self, commands: &[Command]) {
        let claims = commands.iter().filter_map(|command| match command {
            Command::Claim(request) => Some(request.account.clone()),
            _ => None,
        });
        lock(&self.shared.doubtful).extend(claims);
    }

    /// Lets the next claim of an account find the turns of which nobody heard.
    async fn with_lost<'a>(
        &self,
        client: &Client,
        commands: &'a [Command],
    ) -> Result<Cow<'a, [Command]>, Undone> {
        let doubtful = lock(&self.shared.doubtful).clone();
        let is_doubtful = |request: &ClaimRequest| doubtful.contains(&request.account);
        let is_claim =
            |command: &Command| matches!(command, Command::Claim(request) if is_doubtful(request));
        if !commands.iter().any(is_claim) {
            return Ok(Cow::Borrowed(commands));
        }
        let (mut commands, mut accounts) = (commands.to_vec(), Vec::new());
        for command in &mut commands {
            if let Command::Claim(request) = command
                && is_doubtful(request)
            {
                request.lost = true;
                accounts.push(request.account.clone());
            }
        }
        let statement = Statement::new(MAKE_DUE).texts(accounts.iter().map(AccountName::as_str));
        statement
            .run(client)
            .await
            .map_err(|error| Undone::Away(error.into()))?;
        lock(&self.shared.doubtful).retain(|account| !accounts.contains(account));
        Ok(Cow::Owned(commands))
    }
}

/// When a database that can't be reached is tried again. Meanwhile whoever asks hears
/// at once why it can't be.
#[derive(Default)]
pub(super) struct Backoff {
    failures: u32,
    last: Option<(Instant, StoreError)>,
}

impl Backoff {
    /// Fails while it is too early.
    pub(super) fn may_try(&self) -> Result<(), StoreError> {
        match &self.last {
            Some((until, error)) if Instant::now() < *until => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Notes a failure.
    pub(super) fn failed(&mut self, error: StoreError) -> StoreError {
        let [first, longest] = LEAVE_ALONE;
        let wait = first.saturating_mul(1 << self.failures.min(8)).min(longest);
        self.failures += 1;
        let jittered = wait.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.last = Some((Instant::now() + jittered, error.clone()));
        error
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
