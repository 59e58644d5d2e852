//! Bringing the log into the database, beside the work.
//!
//! A pass copies what the log holds while the writer adds to it: a connection of its
//! own does that, on a thread of its own. But the log begins anew only once all of it
//! is copied, and a busy writer is always ahead of a pass. So once the log is long,
//! passes follow one another, each with less to copy than the one before, until so
//! little is left that the writer does it itself, while nobody else writes
//! (sqlite.org, "Write-Ahead Logging", "Avoiding Excessively Large WAL Files").

use std::sync::mpsc::{self, Receiver, RecvError, Sender, TryRecvError};
use std::thread::JoinHandle;

use rusqlite::Connection;

/// How many changed rows make a pass worth while: the more, the seldomer the same
/// page is copied again.
const ENOUGH_ROWS: u64 = 4_000;
/// So few are brought in by the writer: whoever comes meanwhile waits for it.
const FEW_ROWS: u64 = 800;
/// A log of so many frames, of a page each, is long.
const LONG: u64 = 8_000;

/// What is to be done about the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing yet.
    Nothing,
    /// Have a pass made.
    Pass,
    /// Bring in what is left, while nobody writes.
    Finish,
}

/// What to do when so many rows were changed since the last pass began, which found
/// so many frames in the log.
const fn step(rows: u64, frames: u64) -> Step {
    let is_long = frames > LONG;
    // On a slow disk, passes may never come near.
    if is_long && (rows <= FEW_ROWS || frames > 2 * LONG) {
        Step::Finish
    } else if is_long || rows >= ENOUGH_ROWS {
        Step::Pass
    } else {
        Step::Nothing
    }
}

/// Makes passes. Dropped, it waits for the one that is on its way.
pub(super) struct Checkpointer {
    /// None once it ends.
    ask: Option<Sender<()>>,
    /// How many frames each pass found.
    passed: Receiver<u64>,
    thread: Option<JoinHandle<()>>,
    is_passing: bool,
    /// Rows that were changed when the last pass began.
    changed: u64,
    /// What it found.
    frames: u64,
}

impl Checkpointer {
    /// Starts the thread, which owns this connection. `changed` is how many rows were
    /// changed so far.
    pub(super) fn start(connection: Connection, changed: u64) -> std::io::Result<Self> {
        let (ask, asked) = mpsc::channel();
        let (tell, passed) = mpsc::channel();
        let thread = std::thread::Builder::new().name("checkpoint".to_owned());
        let thread = thread.spawn(move || {
            while asked.recv().is_ok() {
                let frames = pass(&connection).unwrap_or_else(|error| {
                    tracing::warn!(%error, "the log could not be brought into the database; it is tried again");
                    0
                });
                if tell.send(frames).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self {
            ask: Some(ask),
            passed,
            thread: Some(thread),
            is_passing: false,
            changed,
            frames: 0,
        })
    }

    /// What to do once so many rows were changed.
    pub(super) fn step(&mut self, changed: u64) -> Step {
        if self.is_passing {
            self.frames = match self.passed.try_recv() {
                Ok(frames) => frames,
                Err(TryRecvError::Empty) => return Step::Nothing,
                // The thread has panicked: the writer is on its own.
                Err(TryRecvError::Disconnected) => u64::MAX,
            };
            self.is_passing = false;
        }
        step(changed - self.changed, self.frames)
    }

    /// Has a pass made.
    pub(super) fn pass(&mut self, changed: u64) {
        self.begin(changed);
        // It fails only if the thread has panicked, as the next step will tell.
        let _: Option<Result<(), _>> = self.ask.as_ref().map(|ask| ask.send(()));
        self.is_passing = true;
    }

    /// The writer begins to bring in what is left: waits for the pass that is on its
    /// way.
    pub(super) fn finish(&mut self, changed: u64) {
        if std::mem::take(&mut self.is_passing) {
            // As above.
            let _: Result<u64, RecvError> = self.passed.recv();
        }
        self.begin(changed);
    }

    const fn begin(&mut self, changed: u64) {
        self.changed = changed;
        self.frames = 0;
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.ask = None;
        if let Some(thread) = self.thread.take() {
            // It fails only if the thread has panicked: it is gone all the same.
            let _: Result<(), _> = thread.join();
        }
    }
}

/// Copies what the log holds by now; tells how many frames that is.
fn pass(connection: &Connection) -> rusqlite::Result<u64> {
    let pass = "PRAGMA wal_checkpoint(PASSIVE)";
    // -1 where there is no log.
    connection.query_row(pass, [], |row| {
        Ok(row.get::<_, i64>("log")?.try_into().unwrap_or(0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_made_once_there_is_enough_to_copy_and_a_long_log_is_finished_when_little_is_left()
    {
        let table = [
            (0, 0, Step::Nothing),
            (ENOUGH_ROWS - 1, 0, Step::Nothing),
            (ENOUGH_ROWS, 0, Step::Pass),
            (ENOUGH_ROWS - 1, LONG, Step::Nothing),
            (ENOUGH_ROWS, LONG, Step::Pass),
            (0, LONG + 1, Step::Finish),
            (FEW_ROWS, LONG + 1, Step::Finish),
            (FEW_ROWS + 1, LONG + 1, Step::Pass),
            (u64::MAX, 2 * LONG, Step::Pass),
            (u64::MAX, 2 * LONG + 1, Step::Finish),
        ];
        for (rows, frames, expected) in table {
            assert_eq!(step(rows, frames), expected, "{rows} rows, {frames} frames");
        }
    }
}
