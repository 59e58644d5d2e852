//! Seeing that the files are still the ones that were opened.
//!
//! A process that holds a deleted file writes on without an error, and what it
//! writes is gone with it. So nobody hears of success before the files were
//! looked at: device, inode, and that they are no shorter than what `SQLite` has
//! put into them.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::open;
use crate::store::StoreError;

/// The database file and its log, as last seen.
pub(super) struct Watch {
    database: Watched,
    log: Watched,
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
    /// Watches the files as they are found at the first look.
    pub(super) fn new(database: &Path, log: PathBuf) -> Self {
        let watched = |path| Watched { path, seen: None };
        Self {
            database: watched(database.to_owned()),
            log: watched(log),
            told: false,
        }
    }

    /// # Errors
    /// [`StoreError::Gone`] for as long as a file is not what it was.
    pub(super) fn look(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let database = match self.database.look() {
            // Somebody's `VACUUM` makes it shorter, and says so in its header.
            Err(Change::Shorter) if open::is_whole(&self.database.path) => {
                self.database.look_anew()
            }
            looked => looked,
        };
        let found = database.and_then(|()| match self.log.look() {
            Err(Change::Shorter) if holds_its_frames(&self.log.path, connection) => {
                self.log.look_anew()
            }
            looked => looked,
        });
        let Err(change) = found else {
            self.told = false;
            return Ok(());
        };
        let error = StoreError::Gone {
            path: self.database.path.clone(),
            what: change.as_str(),
        };
        if !self.told {
            tracing::error!(%error, "the store is gone");
            self.told = true;
        }
        Err(error)
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

    /// As at the first look.
    fn look_anew(&mut self) -> Result<(), Change> {
        self.seen = None;
        self.look()
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
