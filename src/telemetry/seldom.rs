//! A line that strangers can cause is written at most once a second.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const ONCE_IN: Duration = Duration::from_secs(1);

/// Counts what happens, and says when to tell of it.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<(Option<Instant>, u64)>);

impl Seldom {
    /// Nothing has happened yet.
    pub const fn new() -> Self {
        Self(Mutex::new((None, 0)))
    }

    /// It happened again. If it is to be told now: how often since it was told.
    pub fn admit(&self) -> Option<u64> {
        self.admit_at(Instant::now())
    }

    fn admit_at(&self, now: Instant) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.1 += 1;
        let recently = told
            .0
            .is_some_and(|at| now.saturating_duration_since(at) < ONCE_IN);
        (!recently).then(|| {
            told.0 = Some(now);
            std::mem::take(&mut told.1)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_once_a_second_with_the_number_of_times() {
        let (seldom, start) = (Seldom::new(), Instant::now());
        let after = |ms| seldom.admit_at(start + Duration::from_millis(ms));
        assert_eq!(after(0), Some(1));
        assert_eq!((after(1), after(999)), (None, None));
        assert_eq!(after(1_000), Some(3));
        assert_eq!(after(1_001), None);
        assert_eq!(after(9_000), Some(2));
    }
}
