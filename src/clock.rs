//! Time, in one page.
//!
//! - **Inside a process** everything goes by one steady clock, [`Clock::now`]:
//!   the machine's time when the process began, plus what has passed since by
//!   a counter that nobody sets. Deadlines, waits, settle times and ages
//!   can't jump, whatever is done to the machine's clock meanwhile. Time while
//!   the machine sleeps counts.
//! - **Across processes** stored times are compared with another steady clock,
//!   begun from another reading of the machine's time, which may have been an
//!   hour off. So a [`Moment`] names its clock: an age is only told between
//!   moments of one clock, and [`clamped`] bounds what was stored as a plain
//!   time when it is read back.
//!   Relays that share a database begin theirs by its clock, and tell when it runs apart.
//! - **Gladly's timestamps** are compared with nothing but Gladly's. What the
//!   relay heard or looked at later counts as newer, by the order of arrival;
//!   Gladly's time only shows that two of its own events came out of order. An
//!   event that claims to be from the far future is believed only so far.
//! - **People** read [`Clock::wall`], the machine's own time.
//!
//! Decisions never read a clock: they take `now` as a plain value. Waiting is
//! `tokio::time`'s business, not this module's.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Tells what time it is.
pub trait Clock: Send + Sync {
    /// The present moment of this process's steady clock.
    fn now(&self) -> Moment;

    /// What the machine's clock shows people. It may jump.
    fn wall(&self) -> Timestamp;

    /// It was found to run apart from the clock that it was begun by: its moments are
    /// its own from now on.
    fn run_apart(&self) {}
}

/// A moment of one steady clock. Two clocks can't be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Which clock: drawn anew by each process.
    pub clock: u32,
    /// What it showed.
    #[serde(with = "jiff::fmt::serde::timestamp::millisecond::required")]
    pub at: Timestamp,
}

impl Moment {
    /// How long ago this was; none if that can't be told, because another clock
    /// told the time or it lies ahead.
    pub fn age(self, now: Self) -> Option<Duration> {
        let passed = Duration::try_from(now.at.duration_since(self.at)).ok()?;
        (self.clock == now.clock).then_some(passed)
    }
}

/// The machine's steady clock, begun when this value was made.
#[derive(Debug)]
pub struct SystemClock {
    clock: AtomicU32,
    begun_at: Timestamp,
    begun: Duration,
}

impl SystemClock {
    /// Begins a clock from the machine's present time.
    pub fn begin() -> Self {
        Self::begin_by(Moment {
            clock: fastrand::u32(..),
            at: Timestamp::now(),
        })
    }

    /// Begins a clock from the present moment of one that other processes began theirs
    /// by: theirs and its moments can be compared.
    pub fn begin_by(present: Moment) -> Self {
        Self {
            clock: AtomicU32::new(present.clock),
            begun_at: present.at,
            begun: uptime(),
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        let passed = uptime().saturating_sub(self.begun);
        Moment {
            clock: self.clock.load(Ordering::Relaxed),
            at: later(self.begun_at, passed),
        }
    }

    fn wall(&self) -> Timestamp {
        Timestamp::now()
    }

    fn run_apart(&self) {
        self.clock.store(fastrand::u32(..), Ordering::Relaxed);
    }
}

/// Time since the machine was started, sleep included (Linux manual,
/// `clock_gettime(2)`, `CLOCK_BOOTTIME`).
#[cfg(target_os = "linux")]
fn uptime() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanoseconds)
}

/// Time since the first call; other systems stop this count while they sleep.
#[cfg(not(target_os = "linux"))]
fn uptime() -> Duration {
    static BEGUN: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    BEGUN.get_or_init(std::time::Instant::now).elapsed()
}

/// How long it is from `now` until `then`; zero once it has passed.
pub fn time_until(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(then.duration_since(now)).unwrap_or(Duration::ZERO)
}

/// `start` moved forward by `length`; the end of time if that overflows.
pub fn later(start: Timestamp, length: Duration) -> Timestamp {
    SignedDuration::try_from(length)
        .ok()
        .and_then(|length| start.checked_add(length).ok())
        .unwrap_or(Timestamp::MAX)
}

/// `end` moved back by `length`; the beginning of time if that overflows.
pub fn earlier(end: Timestamp, length: Duration) -> Timestamp {
    SignedDuration::try_from(length)
        .ok()
        .and_then(|length| end.checked_sub(length).ok())
        .unwrap_or(Timestamp::MIN)
}

/// A time that another process stored, as this one may believe it: at most
/// `ahead` from `now`.
pub fn clamped(stored: Timestamp, now: Timestamp, ahead: Duration) -> Timestamp {
    stored.min(later(now, ahead))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_that_has_passed_is_no_time_away() {
        let now = Timestamp::UNIX_EPOCH;
        let soon = later(now, Duration::from_secs(3));
        assert_eq!(time_until(soon, now), Duration::from_secs(3));
        assert_eq!(time_until(now, soon), Duration::ZERO);
        assert_eq!(later(now, Duration::MAX), Timestamp::MAX);
        assert_eq!(earlier(soon, Duration::from_secs(3)), now);
    }

    #[test]
    fn no_age_is_told_between_two_clocks_or_from_the_future() {
        let moment = |clock, seconds| Moment {
            clock,
            at: later(Timestamp::UNIX_EPOCH, Duration::from_secs(seconds)),
        };
        assert_eq!(moment(1, 5).age(moment(1, 7)), Some(Duration::from_secs(2)));
        assert_eq!(moment(1, 5).age(moment(2, 7)), None, "another process");
        assert_eq!(moment(1, 7).age(moment(1, 5)), None, "the future");
    }

    #[test]
    fn clocks_that_were_begun_by_one_are_compared_until_one_runs_apart() {
        let at = Timestamp::UNIX_EPOCH;
        let [one, other] = [0; 2].map(|_| SystemClock::begin_by(Moment { clock: 7, at }));
        let earlier = Moment { clock: 7, at };
        assert!(earlier.age(one.now()).is_some() && earlier.age(other.now()).is_some());
        other.run_apart();
        assert!(earlier.age(one.now()).is_some());
        assert_eq!(earlier.age(other.now()), None);
    }

    #[test]
    fn a_stored_time_is_believed_only_so_far_ahead() {
        let now = Timestamp::UNIX_EPOCH;
        let hour = later(now, Duration::from_hours(1));
        let minute = Duration::from_mins(1);
        assert_eq!(clamped(hour, now, minute), later(now, minute));
        assert_eq!(clamped(now, hour, minute), now);
    }
}
