//! A copy of the database as it is at one moment, beside a relay that runs.
//!
//! `VACUUM INTO` reads in one transaction (sqlite.org, "VACUUM"), so writers go
//! on and the copy is of one moment. It appears under its name only once it is
//! whole and on disk, and never in place of another file.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::{open, purge};
use crate::store::StoreError;
use crate::store::seal::{Slots, copy_keys, read_slots};

/// Whether the keys of unfinished turns' words go with the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupKeys {
    /// Those that the copy needs, into a file of their own beside it.
    Needed,
    /// None: what is sealed in the copy can't be opened by anybody.
    LeftOut,
}

/// A link that somebody has put there is not followed.
const NOT_THROUGH_LINKS: i32 = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();

/// Copies; tells which files there are now.
pub(super) fn backup(
    database: &Path,
    target: &Path,
    keys: BackupKeys,
) -> Result<Vec<PathBuf>, StoreError> {
    let key_target = open::beside(target, "-keys");
    for taken in [target, &key_target] {
        if taken.symlink_metadata().is_ok() {
            return Err(in_the_way(taken));
        }
    }
    let unfinished = Unfinished::begin(target)?;
    let key_source = open::beside(&open::real_path(database), "-keys");
    let slots = || match keys {
        BackupKeys::Needed => read_slots(&key_source).map_err(|error| failed(&key_source, &error)),
        BackupKeys::LeftOut => Ok(Slots::new()),
    };
    // Before and after: a key may be made or destroyed while the database is read.
    let mut found = slots()?;
    copy_database(database, &unfinished)?;
    found.extend(slots()?);
    let mut made = Vec::new();
    if keys == BackupKeys::Needed {
        let needed = needed(&unfinished.path, found)?;
        copy_keys(&key_target, &needed).map_err(|error| failed(&key_target, &error))?;
        made.push(key_target.clone());
    }
    // A link, not a renaming: that would replace a file that is there by now.
    let linked = std::fs::hard_link(&unfinished.path, target)
        .and_then(|()| std::fs::remove_file(&unfinished.path))
        .and_then(|()| sync_folder_of(target));
    if let Err(error) = linked {
        for keys in &made {
            drop(std::fs::remove_file(keys));
        }
        return Err(failed(target, &error));
    }
    made.insert(0, target.to_owned());
    Ok(made)
}

/// A file that goes if it is not finished. Locked, so that a second backup neither
/// writes into it nor takes it for one that was killed.
struct Unfinished {
    path: PathBuf,
    file: File,
}

impl Unfinished {
    /// Makes it, or begins anew what a backup that was killed has left.
    fn begin(target: &Path) -> Result<Self, StoreError> {
        let path = open::beside(target, ".unfinished");
        let failed = |error: io::Error| failed(&path, &error);
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false);
        let options = options.mode(0o600).custom_flags(NOT_THROUGH_LINKS);
        let file = options.open(&path).map_err(failed)?;
        let locked = match file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        };
        // Who held it a moment ago has finished it: it is their copy by now.
        let made = file.metadata().map_err(failed)?;
        let there = path.symlink_metadata();
        let is_ours =
            there.is_ok_and(|there| (there.dev(), there.ino()) == (made.dev(), made.ino()));
        if !locked || !is_ours {
            return Err(no_copy(&path, "another backup writes it; wait for that"));
        }
        let for_its_owner = Permissions::from_mode(0o600);
        file.set_permissions(for_its_owner).map_err(failed)?;
        file.set_len(0).map_err(failed)?;
        Ok(Self { path, file })
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.path));
    }
}

fn copy_database(database: &Path, copy: &Unfinished) -> Result<(), StoreError> {
    let Unfinished { path, file } = copy;
    let source = open::open_beside(database)?;
    // A relay that runs on the file sees to its log itself.
    source.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let name = path
        .to_str()
        .ok_or_else(|| no_copy(path, "its name is not UTF-8"))?;
    let copied = source.execute("VACUUM INTO ?", [name]);
    copied.map_err(|error| no_copy(path, &error.to_string()))?;
    file.sync_all().map_err(|error| failed(path, &error))
}

/// The keys without which some words in the copy can't be opened.
fn needed(copy: &Path, mut found: Slots) -> Result<Slots, StoreError> {
    let copy = Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let needed = purge::needed_keys(&copy)?;
    found.retain(|id, _| needed.contains(id));
    Ok(found)
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn in_the_way(path: &Path) -> StoreError {
    no_copy(path, "it exists already and is left alone; name another")
}

fn failed(path: &Path, error: &io::Error) -> StoreError {
    if error.kind() == io::ErrorKind::AlreadyExists {
        return in_the_way(path);
    }
    no_copy(path, &error.to_string())
}

fn no_copy(path: &Path, what: &str) -> StoreError {
    StoreError::NoCopy {
        path: path.to_owned(),
        what: what.to_owned(),
    }
}
