//! Opening the database file: is it ours, is it whole, is nobody else on it.
//!
//! Whatever can't be used is refused before anything is written. The schema's
//! version and the application id stand in the file's header (sqlite.org,
//! "Database File Format"), so both are read without opening the database.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
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
    // By its real name: another path to the same file is no way around the lock.
    let real_path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let lock_path = beside(&real_path, "-lock");
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
    create_private(path)?;
    let unusable = |error: sqlx::Error| unusable(path, &error);
    let mut connection = options(path).connect().await.map_err(unusable)?;
    let check = sqlx::query("PRAGMA quick_check(1)")
        .fetch_one(&mut connection)
        .await
        .map_err(unusable)?;
    let verdict: String = check.try_get(0).map_err(unusable)?;
    if verdict != "ok" {
        return Err(not_ours(path, format!("damaged: {verdict}")));
    }
    migrate(&mut connection).await.map_err(unusable)?;
    let wal = sqlx::query("PRAGMA journal_mode = WAL");
    wal.execute(&mut connection).await.map_err(unusable)?;
    Ok(connection)
}

/// Opens the file of a relay that may be running, and changes nothing.
pub(super) async fn open_current(path: &Path) -> Result<SqliteConnection, StoreError> {
    check_header(path)?;
    let unusable = |error: sqlx::Error| unusable(path, &error);
    options(path).connect().await.map_err(unusable)
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

/// Makes the file if there is none, for nobody else to read: it holds
/// customers' words while turns run. SQLite gives its other files the same mode.
fn create_private(path: &Path) -> Result<(), StoreError> {
    let mut options = OpenOptions::new();
    let created = options.create(true).append(true).mode(0o600).open(path);
    created
        .map(drop)
        .map_err(|error| cannot_open(path, error.to_string()))
}

fn check_header(path: &Path) -> Result<(), StoreError> {
    let io_error = |error: std::io::Error| cannot_open(path, error.to_string());
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        opened => opened.map_err(io_error)?,
    };
    let length = file.metadata().map_err(io_error)?.len();
    let mut header = Vec::new();
    file.take(100).read_to_end(&mut header).map_err(io_error)?;
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
    if application != APPLICATION_ID {
        return Err(not_ours(path, "it belongs to another program".to_owned()));
    }
    // With a write-ahead log, SQLite itself mends the end of the file.
    let logged = beside(path, "-wal")
        .metadata()
        .is_ok_and(|wal| wal.len() > 0);
    if !logged && length % page_size(&header) != 0 {
        return Err(not_ours(path, "it is cut short".to_owned()));
    }
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if i64::from(version) > known {
        return Err(StoreError::Newer {
            path: path.to_owned(),
            found: version.into(),
            known,
        });
    }
    Ok(())
}

/// In bytes; 1 stands for 65,536, which does not fit.
fn page_size(header: &[u8]) -> u64 {
    match header.get(16..18) {
        Some(&[0, 1]) => 65_536,
        Some(&[high, low]) if [high, low] != [0, 0] => u16::from_be_bytes([high, low]).into(),
        _ => 512,
    }
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

/// What to tell of an error while opening: a file that SQLite calls damaged or
/// no database, or one that can't be reached.
fn unusable(path: &Path, error: &sqlx::Error) -> StoreError {
    let what = error.to_string();
    // SQLITE_CORRUPT and SQLITE_NOTADB (sqlite.org, "Result Codes").
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    if code.is_some_and(|code| code == "11" || code == "26") {
        not_ours(path, what)
    } else {
        cannot_open(path, what)
    }
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
