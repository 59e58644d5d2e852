//! The organization's rate limit: so many calls in any second, all clients and
//! methods together.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue};

/// The calls of the last window. Refused calls don't count against the limit.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    admitted: VecDeque<Instant>,
}

/// Whether a call is within the limit, and how many more would be.
pub(crate) struct Admission {
    pub(crate) admitted: bool,
    pub(crate) headers: HeaderMap,
}

impl Pace {
    /// Counts a call that arrives `now`.
    pub(crate) fn admit(&mut self, limit: u32, window: Duration, now: Instant) -> Admission {
        while self
            .admitted
            .front()
            .is_some_and(|at| now.duration_since(*at) >= window)
        {
            self.admitted.pop_front();
        }
        let used = u32::try_from(self.admitted.len()).unwrap_or(u32::MAX);
        let admitted = used < limit;
        if admitted {
            self.admitted.push_back(now);
        }
        let remaining = limit.saturating_sub(used).saturating_sub(1);
        let mut headers = HeaderMap::new();
        headers.insert("Ratelimit-Limit-Second", HeaderValue::from(limit));
        headers.insert("Ratelimit-Remaining-Second", HeaderValue::from(remaining));
        Admission { admitted, headers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_slides() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let second = Duration::from_secs(1);
        let mut pace = Pace::default();
        assert!(pace.admit(2, second, at(0)).admitted);
        assert!(pace.admit(2, second, at(900)).admitted);
        assert!(!pace.admit(2, second, at(999)).admitted);
        assert!(pace.admit(2, second, at(1000)).admitted);
        assert!(
            !pace.admit(2, second, at(1899)).admitted,
            "900 and 1000 are within a second of it"
        );
    }
}
