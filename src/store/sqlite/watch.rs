//! Seeing that the files are still the ones that were opened, and hold what was
//! put into them.
//!
//! A process that holds a deleted file writes on without an error, and what it
//! writes is gone with it; one whose file was copied over mixes the two. So
//! nobody hears of success before the files were looked at. A look costs a few
//! system calls; a file is read only if it changed.

mod database;
mod index;

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::open;
use crate::store::StoreError;
use crate::store::seal::Keys;
use database::Database;
use index::Index;

/// The files, as last seen.
pub(super) struct Watch {
    database: Database,
    log: Watched,
    /// The log, open.
    frames: Option<File>,
    log_index: Watched,
    index: Option<Index>,
    keys: Option<Watched>,
    lock: Option<Watched>,
    /// It was told already.
    told: bool,
}

/// A file at its path.
struct Watched {
    path: PathBuf,
    /// None until it was there once.
    seen: Option<Seen>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    device: u64,
    inode: u64,
    length: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
}

impl Watch {
    /// Watches the files as they are found at the first look. Whoever opens the
    /// database while the log's index is missing makes another one, and the two
    /// would write over each other. The keys and the lock are the relay's alone:
    /// once the lock is gone, another process may take the database. The page with
    /// the number `stamp` changes with each of the relay's checkpoints.
    pub(super) fn new(database: &Path, stamp: u32, is_alone: bool) -> Self {
        let path = |suffix| open::beside(database, suffix);
        let own = |suffix| is_alone.then(|| Watched::new(path(suffix)));
        Self {
            database: Database::new(database.to_owned(), stamp),
            log: Watched::new(path("-wal")),
            frames: File::open(path("-wal")).ok(),
            log_index: Watched::new(path("-shm")),
            index: Index::open(&path("-shm")).ok(),
            keys: own("-keys"),
            lock: own("-lock"),
            told: false,
        }
    }

    /// # Errors
    /// [`StoreError::Gone`] for as long as a file is not what it was.
    pub(super) fn look(&mut self, keys: Option<&Keys>) -> Result<(), StoreError> {
        let Err((path, change)) = self.look_at_all(keys) else {
            self.told = false;
            return Ok(());
        };
        let error = StoreError::Gone {
            path,
            what: change.as_str(),
        };
        if !self.told {
            tracing::error!(%error, "the store is gone");
            self.told = true;
        }
        Err(error)
    }

    fn look_at_all(&mut self, keys: Option<&Keys>) -> Result<(), (PathBuf, Change)> {
        let index = self.index.as_ref();
        let database = self.database.look(index);
        database.map_err(|change| (self.database.watched.path.clone(), change))?;
        let frames = self.frames.as_ref();
        // A checkpoint may have emptied it, whatever was written since.
        let fits = |_| index.zip(frames).is_none_or(|(index, log)| index.fits(log));
        self.log.look(fits)?;
        self.log_index.look(|is_shorter| !is_shorter)?;
        if let Some(watched) = &mut self.keys {
            watched.look(|_| keys.is_none_or(Keys::are_in_the_file))?;
        }
        self.lock
            .as_mut()
            .map_or(Ok(()), |lock| lock.look(|_| true))
    }

    /// The log, if another database was copied over the one it belongs to: at the
    /// next start the two would be mixed.
    pub(super) fn orphaned_log(&self) -> Option<&Path> {
        let stays = self.log.find().is_ok();
        (stays && self.database.is_another()).then_some(&self.log.path)
    }
}

impl Watched {
    const fn new(path: PathBuf) -> Self {
        Self { path, seen: None }
    }

    /// The file, if it is the one that was there before; none if there never was
    /// any.
    fn find(&self) -> Result<Option<Seen>, Change> {
        let found = match std::fs::metadata(&self.path) {
            Ok(found) => Seen {
                device: found.dev(),
                inode: found.ino(),
                length: found.len(),
                modified: (found.mtime(), found.mtime_nsec()),
            },
            Err(_) if self.seen.is_none() => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Change::Missing),
            Err(_) => return Err(Change::OutOfReach),
        };
        let is_other = |seen: &Seen| (seen.device, seen.inode) != (found.device, found.inode);
        if self.seen.as_ref().is_some_and(is_other) {
            return Err(Change::Replaced);
        }
        Ok(Some(found))
    }

    /// Looks whether it is the file that was there before and, if it was written
    /// to, whether it `holds` what it must; that is asked with whether it became
    /// shorter.
    fn look(&mut self, holds: impl FnOnce(bool) -> bool) -> Result<(), (PathBuf, Change)> {
        let at_path = |change| (self.path.clone(), change);
        let found = self.find().map_err(at_path)?;
        if let (Some(found), Some(seen)) = (found, self.seen)
            && found != seen
        {
            let is_shorter = found.length < seen.length;
            if !holds(is_shorter) {
                return Err(at_path(Change::of_content(is_shorter)));
            }
        }
        self.seen = found;
        Ok(())
    }
}

/// What became of a file.
enum Change {
    Missing,
    OutOfReach,
    Replaced,
    Shorter,
    Overwritten,
}

impl Change {
    const fn of_content(is_shorter: bool) -> Self {
        if is_shorter {
            Self::Shorter
        } else {
            Self::Overwritten
        }
    }

    const fn as_str(&self) -> &'static str {
        match self {
            Self::Missing => "it is missing",
            Self::OutOfReach => "it is out of reach",
            Self::Replaced => "another file is in its place",
            Self::Shorter => "it is shorter than it was",
            Self::Overwritten => "something was written over it",
        }
    }
}
