//! The database file. With a log beside it, nothing but a checkpoint writes into
//! it, and a checkpoint shows in the log's index. So what was written while none
//! shows was not written by `SQLite`: somebody has copied a file over it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::index::{Index, Progress};
use super::{Change, Seen, Watched};
use crate::store::sqlite::open;

/// By this one state of the file is told from another: its length, its header
/// (sqlite.org, "Database File Format"), and a page that each of the relay's
/// checkpoints changes.
#[derive(PartialEq, Eq)]
struct Print {
    length: u64,
    header: [u8; 100],
    stamp: Vec<u8>,
}

pub(super) struct Database {
    pub(super) watched: Watched,
    /// It must stay open for as long as the connection, as [`Index`] must.
    file: Option<File>,
    /// The number of the page.
    stamp: u32,
    print: Option<Print>,
    /// As of just before the last look.
    progress: Option<Progress>,
    /// A checkpoint on top of what was copied over it does not make it right.
    is_spoiled: bool,
}

impl Database {
    pub(super) fn new(path: PathBuf, stamp: u32) -> Self {
        Self {
            file: File::open(&path).ok(),
            watched: Watched::new(path),
            stamp,
            print: None,
            progress: None,
            is_spoiled: false,
        }
    }

    pub(super) fn look(&mut self, index: Option<&Index>) -> Result<(), Change> {
        // Before the file is looked at: a checkpoint that begins after this will
        // show at the next look. After it: one that has begun shows now.
        let before = index.and_then(Index::progress);
        let Some(found) = self.watched.find()? else {
            return Ok(());
        };
        if self.watched.seen != Some(found) {
            let print = self.take_print();
            let is_same = print.is_some() && self.print == print;
            if let Some(seen) = self.watched.seen.filter(|_| !is_same) {
                let after = index.and_then(Index::progress);
                self.judge(seen, found, after)?;
            }
            self.print = print;
            self.is_spoiled = false;
        }
        self.watched.seen = Some(found);
        self.progress = before;
        Ok(())
    }

    /// Whether the database that stands there now can be opened, but is not the
    /// one that the log belongs to.
    pub(super) fn is_another(&self) -> bool {
        let stays = self.watched.find().is_ok();
        self.is_spoiled && stays && self.file.as_ref().is_some_and(open::is_whole)
    }

    fn judge(&mut self, seen: Seen, found: Seen, after: Option<Progress>) -> Result<(), Change> {
        let was_unfinished = self.progress.is_some_and(|before| before.is_unfinished());
        let by_checkpoint = was_unfinished || self.progress != after;
        let is_shorter = found.length < seen.length;
        // Somebody's `VACUUM` makes it shorter, and says so in its header.
        let is_whole = || self.file.as_ref().is_some_and(open::is_whole);
        if !self.is_spoiled && by_checkpoint && (!is_shorter || is_whole()) {
            return Ok(());
        }
        self.is_spoiled = true;
        Err(Change::of_content(is_shorter))
    }

    fn take_print(&self) -> Option<Print> {
        let file = self.file.as_ref()?;
        let mut header = [0; 100];
        file.read_exact_at(&mut header, 0).ok()?;
        let size = open::page_size(&header);
        let mut stamp = vec![0; usize::try_from(size).ok()?];
        let at = size * u64::from(self.stamp.checked_sub(1)?);
        file.read_exact_at(&mut stamp, at).ok()?;
        Some(Print {
            length: file.metadata().ok()?.len(),
            header,
            stamp,
        })
    }
}
