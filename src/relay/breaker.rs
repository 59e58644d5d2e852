//! The breaker before Gleen: after several failures in a row nobody is asked
//! for a while, so that customers get a human at once instead of a timeout;
//! then one question finds out whether it has healed.
//!
//! Pure: time comes from outside. A 429 is no failure and is not recorded.

use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row that open it.
const OPENS_AT: u32 = 5;
/// How long it stays open before a question probes.
const OPEN_FOR: Duration = Duration::from_secs(30);

/// One account's breaker.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    /// While open: when the next probe may go.
    probe_at: Option<Instant>,
}

impl Breaker {
    /// Whether Gleen may be asked now. While open, one question may probe and
    /// the others wait for what comes of it.
    pub(super) fn admit(&mut self, now: Instant) -> bool {
        match self.probe_at {
            None => true,
            Some(probe_at) if now < probe_at => false,
            Some(_) => {
                self.probe_at = Some(now + OPEN_FOR);
                true
            }
        }
    }

    /// Records an answer. True if that closed it.
    pub(super) fn succeed(&mut self) -> bool {
        self.failures = 0;
        self.probe_at.take().is_some()
    }

    /// Records a failure or a timeout. True if that opened it.
    pub(super) fn fail(&mut self, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        if self.failures < OPENS_AT {
            return false;
        }
        self.probe_at.replace(now + OPEN_FOR).is_none()
    }

    /// Whether questions are being kept back.
    pub(super) fn is_open(&self) -> bool {
        self.probe_at.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_on_failures_in_a_row_and_one_probe_closes_it() {
        let (mut breaker, start) = (Breaker::default(), Instant::now());
        for _ in 1..OPENS_AT {
            assert!(!breaker.fail(start));
        }
        assert!(
            !breaker.succeed(),
            "a success in between starts the count anew"
        );
        for _ in 1..OPENS_AT {
            assert!(!breaker.fail(start));
        }
        assert!(breaker.admit(start));
        assert!(breaker.fail(start), "the last failure opens it");
        assert!(breaker.is_open() && !breaker.admit(start));
        let probe = start + OPEN_FOR;
        assert!(breaker.admit(probe), "one question probes");
        assert!(!breaker.admit(probe), "the others don't");
        assert!(!breaker.fail(probe), "it stays open");
        assert!(!breaker.admit(probe));
        assert!(breaker.admit(probe + OPEN_FOR));
        assert!(breaker.succeed() && !breaker.is_open() && breaker.admit(probe));
    }
}
