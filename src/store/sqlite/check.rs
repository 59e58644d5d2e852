//! Looking for damage beside the work.
//!
//! Checking a large file takes seconds, and the first turn must not wait for
//! that. So one thread reads the file once after each start, a table at a time. What
//! it finds makes the relay unready: an operator hears of it before a customer does.
//!
//! A read holds the log back from the database, and a long log makes all work slow.
//! So where much is written meanwhile, a read is broken off, and begun again once
//! less is written.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, InterruptHandle};
use tokio::sync::watch;
use tokio::time::timeout;

use super::open;
use crate::store::StoreError;

/// The lowest priority there is (`nice(2)`).
const LEAST_URGENT: i32 = 19;
const INTERRUPTED_WITHIN: Duration = Duration::from_millis(50);
/// A read is broken off once so many rows were changed since it began.
const MOST_ROWS: u64 = 16_000;
/// It is quiet when fewer rows than these are changed in such a time.
const QUIET_ROWS: u64 = 1_000;
const QUIET_FOR: Duration = Duration::from_secs(1);
/// After this long, the file is read however much is written.
const PATIENCE: Duration = Duration::from_mins(10);
/// How many pages are read, or steps of a statement done, between two looks at how
/// much was written.
const STEPS: i32 = 500;

/// The check of one start.
pub(super) struct Check {
    state: watch::Receiver<State>,
    stopping: Arc<AtomicBool>,
    thread: Thread,
    interrupt: InterruptHandle,
}

#[derive(Clone)]
enum State {
    Running,
    Whole,
    Damaged(StoreError),
}

impl Check {
    /// Begins to read the file. `changed` counts the rows that are changed meanwhile.
    ///
    /// # Errors
    /// The file can't be opened once more, or no thread can be made.
    pub(super) fn start(path: &Path, changed: Arc<AtomicU64>) -> Result<Self, StoreError> {
        let connection = open::connect_to_read(path)?;
        let interrupt = connection.get_interrupt_handle();
        let stopping = Arc::new(AtomicBool::new(false));
        let (sender, state) = watch::channel(State::Running);
        let way = Way::new(changed, stopping.clone(), QUIET_FOR);
        let checked = path.to_owned();
        let thread = std::thread::Builder::new()
            .name("store-check".to_owned())
            .spawn(move || {
                step_back();
                let found = look(connection, &checked, &way);
                sender.send_replace(found);
            })
            .map_err(|error| open::cannot_open(path, error.to_string()))?;
        Ok(Self {
            state,
            stopping,
            thread: thread.thread().clone(),
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
        self.thread.unpark();
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
        self.thread.unpark();
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

fn look(mut connection: Connection, path: &Path, way: &Way) -> State {
    let begun = Instant::now();
    let makes_way = connection.progress_handler(STEPS, Some(way.reading()));
    let found = makes_way.and_then(|()| first_damage(&connection, way));
    let what = match found {
        Ok(None) => {
            let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::debug!(ms, "the store was checked");
            return State::Whole;
        }
        Ok(Some(damage)) => damage,
        Err(error) if open::is_damage(&error) => error.to_string(),
        Err(error) if is_interrupt(&error) => return State::Whole,
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

fn is_interrupt(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted)
}

/// What is wrong with the first table that has anything wrong.
fn first_damage(connection: &Connection, way: &Way) -> rusqlite::Result<Option<String>> {
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table'";
    let tables: Vec<String> = connection
        .prepare(tables)?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for table in tables {
        way.begin();
        let damage = loop {
            match damage_of(connection, &table) {
                Err(error) if is_interrupt(&error) && way.wait() => way.begin(),
                found => break found?,
            }
        };
        if damage.is_some() || way.is_stopped() {
            return Ok(damage);
        }
    }
    Ok(None)
}

fn damage_of(connection: &Connection, table: &str) -> rusqlite::Result<Option<String>> {
    let mut verdict = None;
    connection.pragma(None, "quick_check", table, |row| {
        verdict.get_or_insert(row.get::<_, String>(0)?);
        Ok(())
    })?;
    Ok(verdict.filter(|verdict| verdict != "ok"))
}

/// By what the check makes way for the work.
struct Way {
    /// Rows that were changed so far.
    changed: Arc<AtomicU64>,
    /// The read is broken off once so many were.
    until: Arc<AtomicU64>,
    stopping: Arc<AtomicBool>,
    quiet_for: Duration,
    begun: Instant,
}

impl Way {
    fn new(changed: Arc<AtomicU64>, stopping: Arc<AtomicBool>, quiet_for: Duration) -> Self {
        Self {
            changed,
            until: Arc::new(AtomicU64::new(u64::MAX)),
            stopping,
            quiet_for,
            begun: Instant::now(),
        }
    }

    fn is_stopped(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    fn changed(&self) -> u64 {
        self.changed.load(Ordering::Relaxed)
    }

    /// A read begins.
    fn begin(&self) {
        let is_patient = self.begun.elapsed() < PATIENCE;
        let until = if is_patient {
            self.changed().saturating_add(MOST_ROWS)
        } else {
            u64::MAX
        };
        self.until.store(until, Ordering::Relaxed);
    }

    /// Asked again and again by what reads: whether to break off.
    fn reading(&self) -> impl FnMut() -> bool + Send + 'static {
        let (changed, until) = (self.changed.clone(), self.until.clone());
        move || changed.load(Ordering::Relaxed) >= until.load(Ordering::Relaxed)
    }

    /// Waits until it is quiet; false if the check is to end instead.
    fn wait(&self) -> bool {
        while !self.is_stopped() {
            let before = self.changed();
            std::thread::park_timeout(self.quiet_for);
            let is_quiet = self.changed() < before + QUIET_ROWS;
            if is_quiet || self.begun.elapsed() >= PATIENCE {
                return !self.is_stopped();
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way() -> (Way, Arc<AtomicU64>, Arc<AtomicBool>) {
        let (changed, stopping) = (Arc::default(), Arc::default());
        let way = Way::new(Arc::clone(&changed), Arc::clone(&stopping), Duration::ZERO);
        (way, changed, stopping)
    }

    #[test]
    fn a_read_is_broken_off_once_much_was_written_since_it_began() {
        let (way, changed, _) = way();
        let mut is_to_break_off = way.reading();
        changed.store(MOST_ROWS, Ordering::Relaxed);
        way.begin();
        changed.store(2 * MOST_ROWS - 1, Ordering::Relaxed);
        assert!(!is_to_break_off());
        changed.store(2 * MOST_ROWS, Ordering::Relaxed);
        assert!(is_to_break_off());
        way.begin();
        assert!(!is_to_break_off());
    }

    #[test]
    fn what_was_broken_off_is_begun_again_and_finds_the_damage() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE odd (value NOT NULL);
                 WITH RECURSIVE number (n) AS
                     (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 5000)
                     INSERT INTO odd SELECT n FROM number;
                 PRAGMA writable_schema = ON;
                 UPDATE sqlite_schema SET sql = replace(sql, 'value', 'value CHECK (1), other');
                 PRAGMA writable_schema = RESET;",
            )
            .unwrap();
        let (way, changed, _) = way();
        let begun = way.until.clone();
        // As if much were written during the first read alone.
        let mut read = 0;
        let mut break_off = way.reading();
        let handler = move || {
            read += 1;
            if read == 1 {
                changed.store(MOST_ROWS, Ordering::Relaxed);
            }
            break_off()
        };
        connection.progress_handler(STEPS, Some(handler)).unwrap();
        let found = first_damage(&connection, &way).unwrap();
        assert!(found.is_some());
        assert_eq!(begun.load(Ordering::Relaxed), 2 * MOST_ROWS, "begun twice");
    }

    #[test]
    fn a_check_that_waits_ends_when_it_is_stopped() {
        let (way, _, stopping) = way();
        stopping.store(true, Ordering::Relaxed);
        assert!(!way.wait());
    }
}
