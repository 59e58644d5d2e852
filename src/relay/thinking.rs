//! How long the bot thinks, learnt from its answers: a turn that can't have its
//! answer before the deadline is given up early.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The mean of late, in milliseconds; the latest answers count most.
#[derive(Debug, Default)]
pub(super) struct Thinking(AtomicU64);

impl Thinking {
    /// An answer took so long.
    pub(super) fn took(&self, time: Duration) {
        let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let before = self.0.load(Ordering::Relaxed);
        let mean = before.saturating_mul(7).saturating_add(time).div_ceil(8);
        // Two answers at once may count as one: it is an estimate.
        self.0
            .store(if before == 0 { time } else { mean }, Ordering::Relaxed);
    }

    /// Longer than most answers take.
    pub(super) fn longish(&self) -> Duration {
        let mean = Duration::from_millis(self.0.load(Ordering::Relaxed));
        mean + mean / 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_latest_answers_and_stays_a_little_longer() {
        let thinking = Thinking::default();
        assert_eq!(thinking.longish(), Duration::ZERO);
        thinking.took(Duration::from_secs(4));
        assert_eq!(thinking.longish(), Duration::from_secs(5));
        for _ in 0..100 {
            thinking.took(Duration::from_secs(2));
        }
        let now = thinking.longish();
        let expected = Duration::from_millis(2_500)..Duration::from_millis(2_600);
        assert!(expected.contains(&now), "{now:?}");
    }
}
