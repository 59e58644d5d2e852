//! Everything from one database into another, empty one, while no relay runs on either:
//! from SQLite to PostgreSQL and back.
//!
//! - Rows go by the page, so that memory doesn't grow with the database.
//! - At the target it is one transaction: a copy that is cut short leaves it empty.
//! - Ids stay what they are, and the target goes on counting after the highest.
//! - Words of unfinished turns are sealed anew with the target's keys.

mod table;
#[cfg(test)]
pub(super) mod tests;
pub(super) mod turn_words;

use super::lane::Run;
use super::postgres::{PostgresSource, PostgresTarget};
use super::seal::MasterKey;
use super::sqlite::{SqliteSource, SqliteTarget};
use super::value;
use super::{StoreAddress, StoreError};

pub(super) use table::{CONVERSATIONS, Kind, Row, TABLES, TURNS, Table, Value};

/// How many rows are on their way at once.
const PAGE: usize = 500;

/// What becomes of the words of unfinished turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopiedWords {
    /// They go along; if some can't be opened, nothing is copied.
    Kept,
    /// They stay behind: such turns fetch their messages again, and those that may have
    /// answered go to a human.
    LeftOut,
}

/// How many rows of a table were copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// The table.
    pub table: &'static str,
    /// How many rows it has, here and there.
    pub rows: i64,
}

/// The highest numbers that were ever given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Highest {
    pub(super) turn: i64,
    pub(super) dead_letter: i64,
}

/// Copies everything.
///
/// # Errors
/// [`StoreError::NotCopied`] and [`StoreError::InUse`] say why it may not be done; any
/// other, what failed. Nothing was copied then.
pub async fn copy(
    from: &StoreAddress,
    to: &StoreAddress,
    master: Option<MasterKey>,
    words: CopiedWords,
) -> Result<Vec<Copied>, StoreError> {
    let mut source = Source::open(from, master.as_ref()).await?;
    let mut target = Target::open(to, master).await?;
    let mut copied = Vec::new();
    let mut closed = 0;
    for table in &TABLES {
        closed += copy_table(table, &mut source, &mut target, words).await?;
        let (there, here) = (source.count(table).await?, target.count(table).await?);
        if there != here {
            let name = table.name;
            return Err(not_copied(format!(
                "{name} has {there} rows and its copy {here}"
            )));
        }
        copied.push(Copied {
            table: table.name,
            rows: here,
        });
    }
    if closed > 0 {
        return Err(not_copied(format!(
            "the words of {closed} unfinished turns can't be opened; give the RELAY_KEY that they were sealed with, or leave all words out with --without-words"
        )));
    }
    let highest = source.highest().await?;
    target.finish(highest).await?;
    source.close().await;
    Ok(copied)
}

/// Tells how many turns have words that can't be opened.
async fn copy_table(
    table: &Table,
    source: &mut Source,
    target: &mut Target,
    words: CopiedWords,
) -> Result<usize, StoreError> {
    let (mut closed, mut after) = (0, None);
    loop {
        let mut rows = source.page(table, after.as_deref()).await?;
        let Some(last) = rows.last() else {
            return Ok(closed);
        };
        after = Some(last[..table.key].to_vec());
        if *table == CONVERSATIONS {
            rows.iter_mut().try_for_each(let_go)?;
        }
        if *table == TURNS && words == CopiedWords::LeftOut {
            turn_words::leave_out(&mut rows);
        } else if *table == TURNS {
            closed += source.open_words(&mut rows);
        }
        target.add(table, rows).await?;
    }
}

/// Nobody runs what is unfinished: runners are numbered in each database by itself. A
/// value that can't be read stays as it is; whoever loads it rebuilds it.
fn let_go(row: &mut Row) -> Result<(), StoreError> {
    let since = CONVERSATIONS.value(row, "waiting_since").clone();
    if since == Value::Null {
        return Ok(());
    }
    if *CONVERSATIONS.value(row, "due_at") == Value::Null {
        CONVERSATIONS.set(row, "due_at", since);
    }
    let stored = CONVERSATIONS.value(row, "value").text().unwrap_or_default();
    if let Ok(mut conversation) = value::conversation(stored.as_bytes(), None, None) {
        for turn in &mut conversation.lane.turns {
            if let Run::By(_) = turn.run {
                turn.run = Run::Until(turn.received_at);
            }
        }
        let stored = value::of_conversation(&conversation)?;
        CONVERSATIONS.set(row, "value", Value::Text(stored));
    }
    Ok(())
}

/// Why nothing was copied.
pub(super) fn not_copied(what: impl Into<String>) -> StoreError {
    StoreError::NotCopied(what.into())
}

/// Where it comes from.
enum Source {
    Sqlite(Box<SqliteSource>),
    Postgres(Box<PostgresSource>),
}

impl Source {
    async fn open(from: &StoreAddress, master: Option<&MasterKey>) -> Result<Self, StoreError> {
        Ok(match from {
            StoreAddress::Sqlite(path) => Self::Sqlite(Box::new(SqliteSource::open(path, master)?)),
            StoreAddress::Postgres(address) => {
                Self::Postgres(Box::new(PostgresSource::open(address, master).await?))
            }
        })
    }

    async fn page(
        &mut self,
        table: &Table,
        after: Option<&[Value]>,
    ) -> Result<Vec<Row>, StoreError> {
        match self {
            Self::Sqlite(source) => source.page(table, after, PAGE),
            Self::Postgres(source) => source.page(table, after, PAGE).await,
        }
    }

    fn open_words(&self, turns: &mut [Row]) -> usize {
        match self {
            Self::Sqlite(source) => source.open_words(turns),
            Self::Postgres(source) => source.open_words(turns),
        }
    }

    async fn count(&mut self, table: &Table) -> Result<i64, StoreError> {
        match self {
            Self::Sqlite(source) => source.count(table),
            Self::Postgres(source) => source.count(table).await,
        }
    }

    async fn highest(&mut self) -> Result<Highest, StoreError> {
        match self {
            Self::Sqlite(source) => source.highest(),
            Self::Postgres(source) => source.highest().await,
        }
    }

    async fn close(self) {
        match self {
            Self::Sqlite(source) => drop(source),
            Self::Postgres(source) => source.close().await,
        }
    }
}

/// Where it goes.
enum Target {
    Sqlite(Box<SqliteTarget>),
    Postgres(Box<PostgresTarget>),
}

impl Target {
    async fn open(to: &StoreAddress, master: Option<MasterKey>) -> Result<Self, StoreError> {
        Ok(match to {
            StoreAddress::Sqlite(path) => Self::Sqlite(Box::new(SqliteTarget::open(path, master)?)),
            StoreAddress::Postgres(address) => {
                Self::Postgres(Box::new(PostgresTarget::open(address, master).await?))
            }
        })
    }

    async fn add(&mut self, table: &Table, rows: Vec<Row>) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(target) => target.add(table, rows),
            Self::Postgres(target) => target.add(table, rows).await,
        }
    }

    async fn count(&mut self, table: &Table) -> Result<i64, StoreError> {
        match self {
            Self::Sqlite(target) => target.count(table),
            Self::Postgres(target) => target.count(table).await,
        }
    }

    async fn finish(self, highest: Highest) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(target) => target.finish(highest),
            Self::Postgres(target) => target.finish(highest).await,
        }
    }
}
