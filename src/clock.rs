//! The wall clock, handed in from outside so that a test can move it.
//!
//! Decisions never read it: they take `now` as a plain value. Waiting is
//! `tokio::time`'s business, not this module's.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Tells what time it is.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
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
    }
}
