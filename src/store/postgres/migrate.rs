//! Bringing the database's schema up to date. One relay does it; the others wait.
//! Migrations only ever add, so that a relay of the version before goes on beside it.

use std::cmp::Ordering;

use tokio_postgres::{Client, Error};

use crate::store::StoreError;

/// Never edited once released; each says the oldest schema whose relays may go on
/// writing beside it.
const MIGRATIONS: &[(i64, &str)] = &[(1, include_str!("../migrations/postgres/0001_journal.sql"))];
/// Of this program in this database: an arbitrary number that nothing else uses.
const LOCK: &str = "SELECT pg_advisory_xact_lock(4703919738795935661)";
const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS gladly_relay_schema (
        version     bigint PRIMARY KEY,
        -- The oldest version whose relays may write beside this one.
        writable_by bigint NOT NULL,
        migrated_at timestamptz NOT NULL DEFAULT now()
    )";
/// The oldest PostgreSQL that has what is used here (`pg_current_xact_id`).
const OLDEST: i32 = 130_000;

/// The newest schema that this program knows.
fn newest() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// Brings it up to date, in one transaction.
///
/// # Errors
/// The database is not PostgreSQL 13 or later, holds something else, or was migrated
/// by a newer version beside which this one can't write.
pub(super) async fn migrate(client: &mut Client) -> Result<(), StoreError> {
    let row = client
        .query_typed_one("SELECT current_setting('server_version_num')::int", &[])
        .await?;
    if row.get::<_, i32>(0) < OLDEST {
        return Err(StoreError::Database(
            "it is older than PostgreSQL 13".to_owned(),
        ));
    }
    let transaction = client.transaction().await?;
    let inner = transaction.client();
    inner.batch_execute(LOCK).await?;
    inner.batch_execute(VERSIONS).await?;
    let found = inner
        .query_typed_one(
            "SELECT coalesce(max(version), 0), coalesce(max(writable_by), 0) FROM gladly_relay_schema",
            &[],
        )
        .await?;
    let (version, writable_by): (i64, i64) = (found.get(0), found.get(1));
    if writable_by > newest() {
        return Err(StoreError::NewerDatabase {
            found: version,
            known: newest(),
        });
    }
    for (number, (writable_by, sql)) in (1_i64..).zip(MIGRATIONS) {
        if number > version {
            inner.batch_execute(sql).await.map_err(foreign)?;
            let record = format!(
                "INSERT INTO gladly_relay_schema (version, writable_by) VALUES ({number}, {writable_by})"
            );
            inner.batch_execute(&record).await?;
        }
    }
    transaction.commit().await?;
    Ok(())
}

/// Whether a relay has been here: whoever looks from beside makes nothing.
pub(super) async fn look(client: &Client) -> Result<(), StoreError> {
    let found = client
        .query_typed_one("SELECT to_regclass('gladly_relay_schema') IS NOT NULL", &[])
        .await?;
    if found.get(0) {
        Ok(())
    } else {
        let what = "no relay has used it yet; name the relay's database";
        Err(StoreError::Database(what.to_owned()))
    }
}

/// Refuses a schema that is not this program's, older or newer.
pub(super) async fn is_newest(client: &Client) -> Result<(), StoreError> {
    look(client).await?;
    let found = client
        .query_typed_one(
            "SELECT coalesce(max(version), 0) FROM gladly_relay_schema",
            &[],
        )
        .await?;
    let (found, known): (i64, i64) = (found.get(0), newest());
    match found.cmp(&known) {
        Ordering::Equal => Ok(()),
        Ordering::Greater => Err(StoreError::NewerDatabase { found, known }),
        Ordering::Less => {
            let what =
                format!("its schema is {found}; start the relay once, which brings it up to date");
            Err(StoreError::Database(what))
        }
    }
}

/// Tables of the same names mean that somebody else lives here.
fn foreign(error: Error) -> StoreError {
    let taken = error
        .code()
        .is_some_and(|code| *code == tokio_postgres::error::SqlState::DUPLICATE_TABLE);
    match StoreError::from(error) {
        StoreError::Database(what) if taken => StoreError::Database(format!(
            "{what}; it holds tables of something else: give the relay a database of its own"
        )),
        error => error,
    }
}
