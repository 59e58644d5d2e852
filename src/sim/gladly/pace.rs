//! The organization's rate limit, over all clients and methods together: so many
//! calls in any second, in each second of the server's clock, or from a bucket
//! that fills as fast. Gladly doesn't say which of them it uses.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue};

use super::options::Limiter;

/// What is counted, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) limiter: Limiter,
    /// Calls in a window.
    pub(crate) limit: u32,
    /// A second, but for tests.
    pub(crate) window: Duration,
    /// Calls that another client of the organization makes in a window.
    pub(crate) others: u32,
}

/// The calls so far. Refused calls don't count against the limit.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// The first call: the server's clock and the other client begin with it.
    began: Option<Instant>,
    /// Of the last window.
    admitted: VecDeque<Instant>,
    /// The window of the clock that was last counted, and its calls.
    counted: (u128, u32),
    /// What is in the bucket, and when it was last filled.
    bucket: Option<(f64, Instant)>,
    /// When the other client calls next.
    other_at: Option<Instant>,
}

/// Whether a call is within the limit, and how many more would be.
pub(crate) struct Admission {
    pub(crate) admitted: bool,
    pub(crate) headers: HeaderMap,
}

impl Pace {
    /// Counts a call that arrives `now`, and those of the other client before it.
    pub(crate) fn admit(&mut self, rules: Rules, now: Instant) -> Admission {
        self.let_others_call(rules, now);
        let (admitted, remaining) = self.count(rules, now);
        let mut headers = HeaderMap::new();
        headers.insert("Ratelimit-Limit-Second", HeaderValue::from(rules.limit));
        headers.insert("Ratelimit-Remaining-Second", HeaderValue::from(remaining));
        Admission { admitted, headers }
    }

    /// The other client spreads its calls evenly, and drops those that are refused.
    fn let_others_call(&mut self, rules: Rules, now: Instant) {
        if rules.others == 0 {
            self.other_at = None;
            return;
        }
        let mut next = self.other_at.unwrap_or(now);
        while next <= now {
            self.count(rules, next);
            next += rules.window / rules.others;
        }
        self.other_at = Some(next);
    }

    /// Whether one more is within the limit, and how many are after it.
    fn count(&mut self, rules: Rules, now: Instant) -> (bool, u32) {
        let room = match rules.limiter {
            Limiter::SlidingSecond => self.room_in_last_window(rules, now),
            Limiter::WholeSeconds => self.room_in_this_window(rules, now),
            Limiter::TokenBucket => self.tokens(rules, now),
        };
        if room > 0 {
            self.admitted.push_back(now);
            self.counted.1 += 1;
            if let Some((tokens, _)) = &mut self.bucket {
                *tokens -= 1.0;
            }
        }
        (room > 0, room.saturating_sub(1))
    }

    fn room_in_last_window(&mut self, rules: Rules, now: Instant) -> u32 {
        let old = |at: &Instant| now.saturating_duration_since(*at) >= rules.window;
        while self.admitted.front().is_some_and(old) {
            self.admitted.pop_front();
        }
        let used = u32::try_from(self.admitted.len()).unwrap_or(u32::MAX);
        rules.limit.saturating_sub(used)
    }

    fn room_in_this_window(&mut self, rules: Rules, now: Instant) -> u32 {
        self.admitted.clear();
        let began = *self.began.get_or_insert(now);
        let passed = now.saturating_duration_since(began);
        let window = passed.as_nanos() / rules.window.as_nanos().max(1);
        if self.counted.0 != window {
            self.counted = (window, 0);
        }
        rules.limit.saturating_sub(self.counted.1)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the bucket holds from none to `limit`, and whole tokens count"
    )]
    fn tokens(&mut self, rules: Rules, now: Instant) -> u32 {
        self.admitted.clear();
        let full = f64::from(rules.limit);
        let (left, filled_at) = self.bucket.unwrap_or((full, now));
        let passed = now.saturating_duration_since(filled_at);
        let more = full * passed.as_secs_f64() / rules.window.as_secs_f64();
        let tokens = (left + more).min(full);
        self.bucket = Some((tokens, now));
        // A sum of thirds and tenths falls short of a whole by a hair.
        (tokens + 1e-6) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(limiter: Limiter, limit: u32) -> Rules {
        Rules {
            limiter,
            limit,
            window: Duration::from_secs(1),
            others: 0,
        }
    }

    /// Which of the calls at these milliseconds are admitted.
    fn admitted(rules: Rules, calls: &[u64]) -> Vec<u64> {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let mut admits = |at: &u64| {
            pace.admit(rules, start + Duration::from_millis(*at))
                .admitted
        };
        calls.iter().copied().filter(|at| admits(at)).collect()
    }

    #[test]
    fn a_sliding_second_holds_no_more_than_the_limit_wherever_it_begins() {
        let rules = rules(Limiter::SlidingSecond, 2);
        let calls = [0, 900, 999, 1000, 1899, 1900];
        assert_eq!(admitted(rules, &calls), [0, 900, 1000, 1900]);
    }

    #[test]
    fn whole_seconds_of_the_clock_are_counted_each_for_itself() {
        let rules = rules(Limiter::WholeSeconds, 2);
        let calls = [0, 900, 999, 1000, 1001, 1002, 2000];
        assert_eq!(admitted(rules, &calls), [0, 900, 1000, 1001, 2000]);
    }

    #[test]
    fn a_bucket_fills_evenly_up_to_the_limit() {
        let rules = rules(Limiter::TokenBucket, 2);
        let calls = [0, 1, 2, 499, 501, 502, 9000, 9001, 9002];
        assert_eq!(admitted(rules, &calls), [0, 1, 501, 9000, 9001]);
    }

    #[test]
    fn another_client_uses_its_part_of_every_limiter() {
        for limiter in [
            Limiter::SlidingSecond,
            Limiter::WholeSeconds,
            Limiter::TokenBucket,
        ] {
            let rules = Rules {
                others: 4,
                ..rules(limiter, 10)
            };
            let six: Vec<u64> = (0..20_000).step_by(170).collect();
            assert_eq!(admitted(rules, &six), six, "{limiter:?}");
            let nine: Vec<u64> = (0..20_000).step_by(110).collect();
            assert_ne!(admitted(rules, &nine), nine, "{limiter:?}");
        }
    }
}
