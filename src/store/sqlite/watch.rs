//! Seeing that the files are still the ones that were opened.
//!
//! A process that holds a deleted file writes on without an error, and what it
//! writes is gone with it. So nobody hears of success before the files were
//! looked at: device, inode, and that they are no shorter than what `SQLite` has
//! put into them.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::open;
use crate::store::StoreError;

/// The files, as last seen.
pub(super) struct Watch {
    database: Watched,
    /// The database's header is read through this. It must stay open for as long
    /// as the connection: closing any handle of a file ends all locks that the
    /// process holds on it, those of `SQLite` as well.
    header: Option<File>,
    log: Watched,
    /// The log's index, and the keys.
    others: Vec<Watched>,
    /// It was told already.
    told: bool,
}

struct Watched {
    path: PathBuf,
    /// None until it was there once.
    seen: Option<Seen>,
}

#[derive(Clone, Copy)]
struct Seen {
    device: u64,
    inode: u64,
    length: u64,
}

impl Watch {
    /// Watches the files as they are found at the first look. Whoever opens the
    /// database while the log's index is missing makes another one, and the two
    /// would write over each other. The keys are the relay's alone.
    pub(super) fn new(database: &Path, with_keys: bool) -> Self {
        let watched = |suffix| Watched {
            path: open::beside(database, suffix),
            seen: None,
        };
        let others = ["-shm"].into_iter().chain(with_keys.then_some("-keys"));
        Self {
            database: watched(""),
            header: File::open(database).ok(),
            log: watched("-wal"),
            others: others.map(watched).collect(),
            told: false,
        }
    }

    /// # Errors
    /// [`StoreError::Gone`] for as long as a file is not what it was.
    pub(super) fn look(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let Err((path, change)) = self.look_at_all(connection) else {
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

    fn look_at_all(&mut self, connection: &Connection) -> Result<(), (PathBuf, Change)> {
        // Somebody's `VACUUM` makes it shorter, and says so in its header.
        let is_whole = |_: &Path| self.header.as_ref().is_some_and(open::is_whole);
        self.database.look_unless(is_whole)?;
        self.log
            .look_unless(|log| holds_its_frames(log, connection))?;
        let mut others = self.others.iter_mut();
        others.try_for_each(|other| other.look_unless(|_| false))
    }

    /// Whether it was gone at the last look.
    pub(super) const fn is_gone(&self) -> bool {
        self.told
    }
}

impl Watched {
    fn look(&mut self) -> Result<(), Change> {
        let found = match std::fs::metadata(&self.path) {
            Ok(found) => Seen {
                device: found.dev(),
                inode: found.ino(),
                length: found.len(),
            },
            Err(_) if self.seen.is_none() => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Change::Missing),
            Err(_) => return Err(Change::OutOfReach),
        };
        if let Some(seen) = self.seen {
            if (seen.device, seen.inode) != (found.device, found.inode) {
                return Err(Change::Replaced);
            }
            if found.length < seen.length {
                return Err(Change::Shorter);
            }
        }
        self.seen = Some(found);
        Ok(())
    }

    /// Looks; a file that became shorter is all the same what it was if it is
    /// `whole`.
    fn look_unless(&mut self, whole: impl Fn(&Path) -> bool) -> Result<(), (PathBuf, Change)> {
        let looked = match self.look() {
            Err(Change::Shorter) if whole(&self.path) => {
                self.seen = None;
                self.look()
            }
            looked => looked,
        };
        looked.map_err(|change| (self.path.clone(), change))
    }
}

/// What became of a file.
enum Change {
    Missing,
    OutOfReach,
    Replaced,
    Shorter,
}

impl Change {
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Missing => "it is missing",
            Self::OutOfReach => "it is out of reach",
            Self::Replaced => "another file is in its place",
            Self::Shorter => "it is shorter than it was",
        }
    }
}

/// Whether a log that became shorter holds all that `SQLite` knows to be in it:
/// then somebody's checkpoint has emptied it, whatever was written since.
fn holds_its_frames(log: &Path, connection: &Connection) -> bool {
    // Somebody may empty it between the two questions.
    (0..3).any(|_| {
        let needed = length_of_frames(connection).ok();
        let length = std::fs::metadata(log).map(|found| found.len()).ok();
        length
            .zip(needed)
            .is_some_and(|(length, needed)| length >= needed)
    })
}

/// A header, and frames of a header and a page each (sqlite.org, "The WAL File
/// Format").
fn length_of_frames(connection: &Connection) -> rusqlite::Result<u64> {
    let number = |pragma, column| {
        connection.query_row(pragma, [], |row| row.get::<_, u32>(column).map(u64::from))
    };
    let page_size = number("PRAGMA page_size", 0)?;
    let frames = number("PRAGMA wal_checkpoint(NOOP)", 1)?;
    Ok(if frames == 0 {
        0
    } else {
        32 + frames * (24 + page_size)
    })
}
