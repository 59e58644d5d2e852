//! One batch of commands: one transaction, of two or three round trips.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio_postgres::error::{DbError, Severity};
use tokio_postgres::{Client, Error};

use super::connect::{Meaning, meaning};
use super::keys::Sealer;
use super::load::{Loaded, load};
use super::save;
use super::statement::Statement;
use crate::id::{AccountName, TurnId};
use crate::store::seal::MasterKey;
use crate::store::{Answer, Command, Progress, StoreError, apply};

/// Plans are made for a batch that finds its rows by their keys. A relay that stops
/// responding in the midst of a transaction loses it, and the locks with it.
const BEGIN: &str = "BEGIN;
    SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off;
    SET LOCAL enable_mergejoin = off; SET LOCAL jit = off;
    SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '20s';
    SET LOCAL idle_in_transaction_session_timeout = '4s'";
/// By it the database tells afterwards what became of the transaction. First of all,
/// so that whoever asks waits until the transaction is over.
const SIGN: &str = "UPDATE writers SET batch = $2, seen_on = current_date WHERE writer = $1
    RETURNING 1";
const TURN_IDS: &str = "SELECT nextval('turn_ids') FROM generate_series(1, $1)";
/// As the sequence counts.
const BLOCK: i64 = 1_000;
/// Empty: who is woken asks what is due. Once a transaction, for it is one lock for
/// all that notify (PostgreSQL documentation, NOTIFY).
const WAKE: &str = "SELECT pg_notify('gladly_relay_due', '')";
/// How long a batch may take, whatever the database does.
const WITHIN: Duration = Duration::from_secs(30);

/// Why a batch was not done.
#[derive(Debug)]
pub(super) enum Undone {
    /// Another relay was first; do it again.
    Collision(StoreError),
    /// One of the commands can't be done.
    ByCommand(StoreError),
    /// The database can't be used; nothing was changed.
    Away(StoreError),
    /// The connection was lost while it was committed: the answers if it was.
    Unknown(Vec<Answer>, StoreError),
}

/// Numbers for turns that begin, given out in blocks.
#[derive(Debug, Default)]
pub(super) struct TurnIds {
    next: i64,
    end: i64,
}

/// What batches need beside a connection.
pub(super) struct Bench<'a> {
    pub(super) master: Option<&'a MasterKey>,
    pub(super) sealer: &'a Sealer,
    pub(super) turn_ids: &'a mut TurnIds,
    /// The writer, and the number of this batch among its own.
    pub(super) signature: (&'a str, i64),
    /// The accounts whose turns run here: nobody else needs to be woken for them.
    pub(super) driven: &'a (dyn Fn(&AccountName) -> bool + Sync),
}

/// Does it, within a bounded time.
pub(super) async fn run(
    client: &Client,
    commands: &[Command],
    bench: &mut Bench<'_>,
) -> Result<Vec<Answer>, Undone> {
    match tokio::time::timeout(WITHIN, transaction(client, commands, bench)).await {
        Ok(done) => done,
        Err(_) => Err(Undone::Away(StoreError::Database(format!(
            "it did not answer for {} s",
            WITHIN.as_secs()
        )))),
    }
}

async fn transaction(
    client: &Client,
    commands: &[Command],
    bench: &mut Bench<'_>,
) -> Result<Vec<Answer>, Undone> {
    if needs_key(commands) {
        bench.sealer.renew(client, commands).await.map_err(sort)?;
    }
    let (writer, number) = bench.signature;
    let sign = Statement::new(SIGN).text(writer).number(number);
    let (begun, signed) = join(client.batch_execute(BEGIN), sign.run(client)).await;
    begun.map_err(sort)?;
    if signed.map_err(sort)?.is_empty() {
        let what = "a writer's row is gone; it is made anew".to_owned();
        return Err(Undone::Away(StoreError::Database(what)));
    }
    let mut loaded = load(client, commands, bench.master).await.map_err(sort)?;
    let ids = bench
        .turn_ids
        .enough_for(client, loaded.begins_at_most())
        .await
        .map_err(sort)?;
    loaded.picture.next_turn_id = ids;
    let applied = catch_unwind(AssertUnwindSafe(|| apply_all(commands, &mut loaded)));
    let Ok(answers) = applied else {
        let what = "a mistake in the program; the log tells which".to_owned();
        return Err(Undone::ByCommand(StoreError::Unavailable(what)));
    };
    bench.turn_ids.next = loaded.picture.next_turn_id;
    let accounts = accounts(commands);
    let seal = |id: TurnId, words: &str| bench.sealer.seal(accounts.get(&id).copied(), id, words);
    let changes = std::mem::take(&mut loaded.picture.changes);
    let wakes = changes
        .conversations
        .iter()
        .any(|(key, (_, due_at))| due_at.is_some() && !(bench.driven)(&key.0));
    let mut statements =
        save::statements(changes, &loaded.rows, &seal).map_err(Undone::ByCommand)?;
    if wakes {
        statements.push(Statement::new(WAKE));
    }
    commit(client, statements, answers).await
}

async fn commit(
    client: &Client,
    mut statements: Vec<Statement>,
    answers: Vec<Answer>,
) -> Result<Vec<Answer>, Undone> {
    statements.push(Statement::new("COMMIT"));
    let running = statements
        .into_iter()
        .map(|statement| statement.run(client));
    let failed = join_all(running).await.into_iter().find_map(Result::err);
    match failed {
        None => Ok(answers),
        // What follows a statement that failed is refused, and COMMIT undoes it all.
        Some(error) if is_refusal(&error) => Err(sort(error)),
        Some(error) => Err(Undone::Unknown(answers, error.into())),
    }
}

/// Whether the database refused a statement and goes on with the session.
fn is_refusal(error: &Error) -> bool {
    let severity = error.as_db_error().and_then(DbError::parsed_severity);
    severity == Some(Severity::Error)
}

fn sort(error: Error) -> Undone {
    match meaning(&error) {
        Meaning::Collision => Undone::Collision(error.into()),
        Meaning::Values => Undone::ByCommand(error.into()),
        Meaning::Away => Undone::Away(error.into()),
    }
}

fn apply_all(commands: &[Command], loaded: &mut Loaded) -> Vec<Answer> {
    let own = std::mem::take(&mut loaded.own);
    let apply_one = |(command, own): (&Command, super::load::Own)| {
        // Whoever lost the organization stores nothing in it any more.
        if command
            .runner()
            .is_some_and(|runner| !loaded.terms.contains(&runner))
        {
            return Answer::Refused(StoreError::NotRunning);
        }
        own.show(&mut loaded.picture);
        apply(command.clone(), &mut loaded.picture)
    };
    commands.iter().zip(own).map(apply_one).collect()
}

fn needs_key(commands: &[Command]) -> bool {
    let holds_words = |command: &Command| match command {
        Command::Save(save) => matches!(
            save.progress,
            Progress::Running { .. } | Progress::PutOff { state: Some(_), .. }
        ),
        _ => false,
    };
    commands.iter().any(holds_words)
}

/// Whose turns these are.
fn accounts(commands: &[Command]) -> HashMap<TurnId, &AccountName> {
    let saves = commands.iter().filter_map(|command| match command {
        Command::Save(save) => Some((save.turn_id, &save.account)),
        _ => None,
    });
    saves.collect()
}

impl TurnIds {
    /// The first of so many that follow each other.
    async fn enough_for(&mut self, client: &Client, most: usize) -> Result<i64, Error> {
        let most = i64::try_from(most).unwrap_or(BLOCK);
        if self.end - self.next < most {
            // One block, unless a claim is larger than the relay ever makes it.
            let blocks = most.div_euclid(BLOCK) + 1;
            let found = Statement::new(TURN_IDS).number(blocks).run(client).await?;
            let starts: HashSet<i64> = found.iter().map(|row| row.get(0)).collect();
            let first = starts.iter().copied().min().unwrap_or_default();
            // Others may have taken blocks between these.
            let follow = (0..blocks)
                .take_while(|n| starts.contains(&(first + n * BLOCK)))
                .count();
            self.next = first;
            self.end = first + BLOCK * i64::try_from(follow).unwrap_or_default();
        }
        Ok(self.next)
    }
}
