//! How much of the limit is used, for the operator. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// What is counted over: long enough that a burst shows as what it is.
const OVER: Duration = Duration::from_secs(10);

/// The calls of the last seconds.
#[derive(Debug, Default)]
pub(super) struct Used(VecDeque<Instant>);

impl Used {
    /// A call goes now.
    pub(super) fn count(&mut self, now: Instant) {
        self.forget(now);
        self.0.push_back(now);
    }

    /// Calls a second, over the last ten.
    #[expect(clippy::cast_precision_loss, reason = "ten seconds hold no 2^52 calls")]
    pub(super) fn per_second(&mut self, now: Instant) -> f64 {
        self.forget(now);
        self.0.len() as f64 / OVER.as_secs_f64()
    }

    fn forget(&mut self, now: Instant) {
        let old = |at: &Instant| now.saturating_duration_since(*at) >= OVER;
        while self.0.front().is_some_and(old) {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_calls_of_the_last_ten_seconds_count() {
        let (mut used, start) = (Used::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        for second in 0..20 {
            used.count(at(second));
        }
        assert!((used.per_second(at(19)) - 1.0).abs() < 1e-9);
        assert!((used.per_second(at(24)) - 0.5).abs() < 1e-9);
        assert!(used.per_second(at(40)).abs() < 1e-9);
    }
}
