//! Looking for damage beside the work.
//!
//! Checking a large file takes seconds, and the first turn must not wait for
//! that. So one thread reads the file once after each start, a table at a time,
//! so that no long read holds the log back from the database. What it finds
//! makes the relay unready: an operator hears of it before a customer does.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, InterruptHandle};
use tokio::sync::watch;
use tokio::time::timeout;

use super::open;
use crate::store::StoreError;

/// The lowest priority there is (`nice(2)`).
const LEAST_URGENT: i32 = 19;
const INTERRUPTED_WITHIN: Duration = Duration::from_millis(50);

/// The check of one start.
pub(super) struct Check {
    state: watch::Receiver<State>,
    stopping: Arc<AtomicBool>,
    interrupt: InterruptHandle,
}

#[derive(Clone)]
enum State {
    Running,
    Whole,
    Damaged(StoreError),
}

impl Check {
    /// Begins to read the file.
    ///
    /// # Errors
    /// The file can't be opened once more, or no thread can be made.
    pub(super) fn start(path: &Path) -> Result<Self, StoreError> {
        let connection = open::connect_to_read(path)?;
        let interrupt = connection.get_interrupt_handle();
        let stopping = Arc::new(AtomicBool::new(false));
        let (sender, state) = watch::channel(State::Running);
        let (stop, checked) = (stopping.clone(), path.to_owned());
        std::thread::Builder::new()
            .name("store-check".to_owned())
            .spawn(move || {
                step_back();
                let found = look(&connection, &checked, &stop);
                drop(connection);
                sender.send_replace(found);
            })
            .map_err(|error| open::cannot_open(path, error.to_string()))?;
        Ok(Self {
            state,
            stopping,
            interrupt,
        })
    }

    /// # Errors
    /// [`StoreError::Damaged`] once damage was found.
    pub(super) fn found(&self) -> Result<(), StoreError> {
        match &*self.state.borrow() {
            State::Running | State::Whole => Ok(()),
            State::Damaged(error) => Err(error.clone()),
        }
    }

    /// Waits until it has let go of the file.
    pub(super) async fn ended(&self) {
        let ended = |state: &State| !matches!(state, State::Running);
        drop(self.state.clone().wait_for(ended).await);
    }

    /// Reads no further, and lets go of the file.
    pub(super) async fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        // An interrupt does not reach a statement that begins just after it.
        loop {
            self.interrupt.interrupt();
            if timeout(INTERRUPTED_WITHIN, self.ended()).await.is_ok() {
                return;
            }
        }
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.interrupt.interrupt();
    }
}

/// On Linux the calling thread alone: whatever else wants a core goes first.
/// Where it is refused, the check is only more in the way.
fn step_back() {
    if let Err(error) = rustix::process::nice(LEAST_URGENT) {
        tracing::debug!(%error, "the check of the store runs as urgently as the work");
    }
}

fn look(connection: &Connection, path: &Path, stopping: &AtomicBool) -> State {
    let begun = Instant::now();
    let found = first_damage(connection, stopping);
    let what = match found {
        Ok(None) => {
            let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::debug!(ms, "the store was checked");
            return State::Whole;
        }
        Ok(Some(damage)) => damage,
        Err(error) if open::is_damage(&error) => error.to_string(),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
            return State::Whole;
        }
        Err(error) => {
            tracing::warn!(%error, "the store could not be checked; the next start tries again");
            return State::Whole;
        }
    };
    let error = StoreError::Damaged {
        path: path.to_owned(),
        what,
    };
    tracing::error!(%error, "the store is damaged");
    State::Damaged(error)
}

/// What is wrong with the first table that has anything wrong.
fn first_damage(
    connection: &Connection,
    stopping: &AtomicBool,
) -> rusqlite::Result<Option<String>> {
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table'";
    let tables: Vec<String> = connection
        .prepare(tables)?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for table in tables {
        if stopping.load(Ordering::Relaxed) {
            break;
        }
        let mut verdict = None;
        connection.pragma(None, "quick_check", table, |row| {
            verdict.get_or_insert(row.get::<_, String>(0)?);
            Ok(())
        })?;
        if let Some(damage) = verdict.filter(|verdict| verdict != "ok") {
            return Ok(Some(damage));
        }
    }
    Ok(None)
}
