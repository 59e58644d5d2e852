//! Opening the database file: is it ours, is it whole, is nobody else on it.
//!
//! Whatever can't be used is refused before anything is written. The schema's
//! version and the application id stand in the file's header (sqlite.org,
//! "Database File Format"), so both are read without opening the database.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row};

use crate::store::StoreError;

/// "GLRL": marks a file as ours.
const APPLICATION_ID: u32 = 0x474C_524C;

/// The schema, one script per version. Never edited once released.
const MIGRATIONS: [&str; 1] = [include_str!("../migrations/0001_journal.sql")];

/// How long a write waits for another process, such as `dead retry`: well
/// under the 15 s that Gladly gives a webhook.
const BUSY_TIMEOUT: Duration = Duration::from_secs(3);

/// How to connect, whoever does.
pub(super) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        // A commit that has returned must survive a power cut: Gladly is told
        // 200 on the strength of it.
        .synchronous(SqliteSynchronous::Full)
        // Erased words are overwritten, not only unlinked.
        .pragma("secure_delete", "ON")
        .disable_statement_logging()
}

/// Takes the file for this process alone. The lock ends with the returned
/// handle, or with the process, however it ends.
pub(super) fn lock(path: &Path) -> Result<File, StoreError> {
    let cannot_open = |error: std::io::Error| cannot_open(path, error.to_string());
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        std::fs::create_dir_all(folder).map_err(cannot_open)?;
    }
    let lock_path = beside(path, "-lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(lock_path)
        .map_err(cannot_open)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(cannot_open(error)),
    }
}

/// Refuses a file that is not ours, damaged or newer, without touching it;
/// then opens it and brings its schema up to date.
pub(super) async fn open(path: &Path) -> Result<SqliteConnection, StoreError> {
    check_header(path)?;
    let unusable = |error: sqlx::Error| not_ours(path, error.to_string());
    let options = options(path).create_if_missing(true);
    let mut connection = options
        .connect()
        .await
        .map_err(|error| cannot_open(path, error.to_string()))?;
    let check = sqlx::query("PRAGMA quick_check(1)")
        .fetch_one(&mut connection)
        .await
        .map_err(unusable)?;
    let verdict: String = check.try_get(0).map_err(unusable)?;
    if verdict != "ok" {
        return Err(not_ours(path, format!("damaged: {verdict}")));
    }
    migrate(&mut connection)
        .await
        .map_err(|error| cannot_open(path, error.to_string()))?;
    sqlx::query("PRAGMA journal_mode = WAL")
        .execute(&mut connection)
        .await?;
    Ok(connection)
}

async fn migrate(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let row = sqlx::query("PRAGMA user_version")
        .fetch_one(&mut *connection)
        .await?;
    let version = usize::try_from(row.try_get::<i64, _>(0)?).unwrap_or(usize::MAX);
    if version >= MIGRATIONS.len() {
        return Ok(());
    }
    // One transaction: a crash leaves the old version or the new one.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for script in &MIGRATIONS[version..] {
        sqlx::raw_sql(*script).execute(&mut *transaction).await?;
    }
    let marks = format!(
        "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {}",
        MIGRATIONS.len()
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(marks))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

fn check_header(path: &Path) -> Result<(), StoreError> {
    let mut header = Vec::new();
    match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(cannot_open(path, error.to_string())),
        Ok(file) => file
            .take(100)
            .read_to_end(&mut header)
            .map_err(|error| cannot_open(path, error.to_string()))?,
    };
    // A rollback journal means that a crash interrupted the first migration;
    // SQLite undoes it, and until then the header may be half of each.
    if header.is_empty() || beside(path, "-journal").exists() {
        return Ok(());
    }
    let (Some(b"SQLite format 3\0"), Some(version), Some(application)) = (
        header.get(..16),
        number_at(&header, 60),
        number_at(&header, 68),
    ) else {
        return Err(not_ours(path, "it is not an SQLite file".to_owned()));
    };
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if application != APPLICATION_ID {
        return Err(not_ours(path, "it belongs to another program".to_owned()));
    }
    if i64::from(version) > known {
        return Err(StoreError::Newer {
            path: path.to_owned(),
            found: version.into(),
            known,
        });
    }
    Ok(())
}

fn number_at(header: &[u8], offset: usize) -> Option<u32> {
    let bytes = header.get(offset..offset + 4)?.try_into().ok()?;
    Some(u32::from_be_bytes(bytes))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn cannot_open(path: &Path, what: String) -> StoreError {
    StoreError::CannotOpen {
        path: path.to_owned(),
        what,
    }
}

fn not_ours(path: &Path, what: String) -> StoreError {
    StoreError::NotOurs {
        path: path.to_owned(),
        what,
    }
}
