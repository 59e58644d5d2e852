//! Opening the database file: is it ours, is it whole, is nobody else on it.
//!
//! Whatever can't be used is refused before anything is written. The schema's
//! version and the application id stand in the file's header (sqlite.org,
//! "Database File Format"), so both are read without opening the database.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Read;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::migrate;
use crate::store::StoreError;

/// "GLRL": marks a file as ours.
pub(super) const APPLICATION_ID: u32 = 0x474C_524C;

/// How long a write waits for another process, such as `dead retry`: well
/// under the 15 s that Gladly gives a webhook.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(3);
/// Every statement of this back end, with room for more.
const STATEMENTS: usize = 64;

/// That a file is this process's alone, until this is dropped or the process ends.
pub(super) struct Lock(pub(super) File);

impl Drop for Lock {
    fn drop(&mut self) {
        // A program that is just being started has the handle too, and the lock would
        // last until it runs. It ends at the latest with the last handle.
        let _: std::io::Result<()> = self.0.unlock();
    }
}

/// Takes the file for this process alone.
pub(super) fn lock(path: &Path) -> Result<Lock, StoreError> {
    let cannot_open = |error: std::io::Error| cannot_open(path, error.to_string());
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        std::fs::create_dir_all(folder).map_err(cannot_open)?;
    }
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(beside(&real_path(path), "-lock"))
        .map_err(cannot_open)?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(cannot_open(error)),
    }
}

/// Refuses a file that is not ours, cut short or newer, without touching it; then
/// opens it and brings its schema up to date.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    check_header(path)?;
    create_private(path)?;
    keep_private(path)?;
    let unusable = |error: rusqlite::Error| unusable(path, &error);
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(unusable)?;
    migrate::migrate(&mut connection).map_err(|error| match error {
        migrate::Error::Sqlite(error) => unusable(error),
        migrate::Error::Value(error) => error,
    })?;
    let wal = "PRAGMA journal_mode = WAL";
    connection
        .query_row(wal, [], |_| Ok(()))
        .map_err(unusable)?;
    migrate::wipe(&connection).map_err(unusable)?;
    Ok(connection)
}

/// Opens the file of a relay that may be running, and changes nothing.
pub(super) fn open_beside(path: &Path) -> Result<Connection, StoreError> {
    if !path.exists() {
        return Err(cannot_open(path, "there is no such file".to_owned()));
    }
    check_header(path)?;
    let unusable = |error: rusqlite::Error| unusable(path, &error);
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(unusable)?;
    let version = migrate::version(&connection).map_err(unusable)?;
    if version < migrate::NEWEST {
        let what =
            format!("its schema is {version}; start the relay once, which brings it up to date");
        return Err(cannot_open(path, what));
    }
    Ok(connection)
}

/// Opens a file that is open already, to write into it.
pub(super) fn connect_to_write(path: &Path) -> Result<Connection, StoreError> {
    Ok(connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?)
}

/// Opens a file that is open already, to read from it.
pub(super) fn connect_to_read(path: &Path) -> Result<Connection, StoreError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.execute_batch("PRAGMA cache_size = -1024")?;
    Ok(connection)
}

fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // `synchronous`: a commit that has returned survives a power cut, for Gladly is
    // told 200 on the strength of it; the writer goes without where it may.
    // `wal_autocheckpoint`: it is done beside the work. `foreign_keys`: there are none.
    // `temp_store`: statement journals in files would cost most of the time.
    // `secure_delete`: ids older than the retention are gone from the file.
    // `cache_size`, in KiB: pages of the keys that arrive at random stay at hand.
    connection.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA temp_store = MEMORY;
         PRAGMA foreign_keys = OFF;
         PRAGMA secure_delete = ON;
         PRAGMA cache_size = -12288;
         PRAGMA wal_autocheckpoint = 0;",
    )?;
    Ok(connection)
}

/// Makes the file if there is none, for nobody else to read. `SQLite` gives its
/// other files the same mode.
fn create_private(path: &Path) -> Result<(), StoreError> {
    let mut options = OpenOptions::new();
    let created = options.create(true).append(true).mode(0o600).open(path);
    created
        .map(drop)
        .map_err(|error| cannot_open(path, error.to_string()))
}

/// Takes other users' rights to the files away: a restored copy may have some.
fn keep_private(path: &Path) -> Result<(), StoreError> {
    let path = real_path(path);
    for file in ["", "-wal", "-shm", "-keys"].map(|suffix| beside(&path, suffix)) {
        let Ok(found) = file.metadata() else { continue };
        let mut permissions = found.permissions();
        let of_others = permissions.mode() & 0o077;
        if of_others == 0 {
            continue;
        }
        permissions.set_mode(0o600);
        std::fs::set_permissions(&file, permissions)
            .map_err(|error| cannot_open(&file, error.to_string()))?;
        tracing::warn!(file = %file.display(), "others could read this file; now only the relay's user can");
    }
    Ok(())
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
    if i64::from(version) > migrate::NEWEST {
        return Err(StoreError::Newer {
            path: path.to_owned(),
            found: version.into(),
            known: migrate::NEWEST,
        });
    }
    Ok(())
}

/// Whether a database file is as long as its header says.
pub(super) fn is_whole(database: &File) -> bool {
    let mut header = [0; 100];
    let read = database
        .read_exact_at(&mut header, 0)
        .and_then(|()| database.metadata());
    let pages = number_at(&header, 28).map_or(u64::MAX, u64::from);
    read.is_ok_and(|found| found.len() >= pages.saturating_mul(page_size(&header)))
}

/// In bytes; 1 stands for 65,536, which does not fit.
pub(super) fn page_size(header: &[u8]) -> u64 {
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

/// By its real name: another path to the same file leads to the same lock, log
/// and keys.
pub(super) fn real_path(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// The file that belongs to the database file by this suffix.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Whether the file itself is at fault.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    let damaged = [ErrorCode::DatabaseCorrupt, ErrorCode::NotADatabase];
    error
        .sqlite_error_code()
        .is_some_and(|code| damaged.contains(&code))
}

/// What to tell of an error while opening: a file that `SQLite` calls damaged
/// or no database, or one that can't be reached.
pub(super) fn unusable(path: &Path, error: &rusqlite::Error) -> StoreError {
    let what = error.to_string();
    if is_damage(error) {
        not_ours(path, what)
    } else {
        cannot_open(path, what)
    }
}

/// It can't be opened or made.
pub(super) fn cannot_open(path: &Path, what: String) -> StoreError {
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
