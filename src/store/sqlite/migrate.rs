//! Bringing a file's schema up to date, in one transaction: a crash leaves the
//! old version or the new one.

use rusqlite::{Connection, TransactionBehavior};

use super::{carry, open::APPLICATION_ID};
use crate::store::StoreError;

/// The newest schema.
pub(super) const NEWEST: i64 = 4;
/// Never edited once released.
const LANES: &str = include_str!("../migrations/0002_lanes.sql");
const SWEEPS: &str = include_str!("../migrations/0003_sweeps.sql");
const HISTORY: &str = include_str!("../migrations/0004_history.sql");

/// Why it could not be brought up to date.
pub(super) enum Error {
    /// The database failed.
    Sqlite(rusqlite::Error),
    /// A value in it can't be carried over.
    Value(StoreError),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Value(error)
    }
}

/// The schema of a file; zero if it is empty.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Brings the schema up to date.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Error> {
    let version = version(connection)?;
    if version >= NEWEST {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if version == 1 {
        carry::set_aside(&transaction)?;
    }
    if version < 2 {
        transaction.execute_batch(LANES)?;
    }
    if version < 3 {
        transaction.execute_batch(SWEEPS)?;
    }
    transaction.execute_batch(HISTORY)?;
    if version == 1 {
        carry::carry_over(&transaction)?;
    }
    transaction.execute_batch(&format!(
        "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {NEWEST}"
    ))?;
    transaction.commit()?;
    Ok(())
}

/// Wipes what a dropped table held from the file and its log, if one was dropped
/// that held words. Done again at the next start if it is interrupted.
pub(super) fn wipe(connection: &Connection) -> rusqlite::Result<()> {
    if !connection.table_exists(None::<&str>, carry::UNWIPED)? {
        return Ok(());
    }
    connection.execute_batch("VACUUM")?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    connection.execute_batch(&format!("DROP TABLE {}", carry::UNWIPED))
}
