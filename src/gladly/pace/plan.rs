//! Who can't be served in time, by arithmetic: calls that wait against calls a
//! second. Pure.
//!
//! Each account counts for itself: while several have something to do they take
//! turns, so another account delays it by no more calls than it makes itself.

use std::time::Duration;

/// A turn that has cost no call yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting {
    /// The calls that it takes to answer.
    pub(super) calls: u32,
    /// How long until the last of them must have gone.
    pub(super) left: Duration,
}

/// How long it takes until an account has made so many calls, when others have
/// this many to make.
pub(super) fn takes(calls: u32, others: &[u32], per_second: f64) -> Duration {
    let others: u32 = others.iter().map(|other| calls.min(*other)).sum();
    let seconds = f64::from(calls.saturating_add(others)) / per_second.max(f64::MIN_POSITIVE);
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// Which of those who wait can't be answered in time, when turns that have begun
/// still need `owed` calls. They are served in this order; whoever is given up
/// costs one call, which goes before the others. With nothing ahead of it a turn
/// is never given up: it is not calls that it waits for.
pub(super) fn given_up(
    waiting: &[Waiting],
    owed: u32,
    others: &[u32],
    per_second: f64,
) -> Vec<usize> {
    let mut moves = 0;
    loop {
        let mut ahead = owed.saturating_add(moves);
        let mut late = Vec::new();
        for (index, turn) in waiting.iter().enumerate() {
            let calls = ahead.saturating_add(turn.calls);
            if ahead == 0 || takes(calls, others, per_second) <= turn.left {
                ahead = calls;
            } else {
                late.push(index);
            }
        }
        let count = u32::try_from(late.len()).unwrap_or(u32::MAX);
        if count <= moves {
            return late;
        }
        moves = count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn burst(count: usize, seconds: u64) -> Vec<Waiting> {
        let left = Duration::from_secs(seconds);
        vec![Waiting { calls: 3, left }; count]
    }

    #[test]
    fn as_many_are_answered_as_arithmetic_allows() {
        assert_eq!(given_up(&burst(200, 60), 0, &[], 10.0).len(), 0);
        // 3 × 150 + 150 = 600.
        assert_eq!(given_up(&burst(300, 60), 0, &[], 10.0).len(), 150);
        assert_eq!(given_up(&burst(600, 60), 1, &[], 10.0).len(), 600);
    }

    #[test]
    fn those_who_come_last_are_given_up() {
        let late = given_up(&burst(12, 3), 0, &[], 10.0);
        assert_eq!(late, [9, 10, 11]);
    }

    #[test]
    fn what_has_begun_goes_before() {
        assert_eq!(given_up(&burst(1, 3), 27, &[], 10.0).len(), 0);
        assert_eq!(given_up(&burst(1, 3), 28, &[], 10.0).len(), 1);
    }

    #[test]
    fn another_accounts_backlog_counts_no_more_than_its_own_calls() {
        let turn = Waiting {
            calls: 3,
            left: Duration::from_millis(800),
        };
        assert_eq!(given_up(&[turn], 1, &[500], 10.0).len(), 0);
        assert_eq!(given_up(&[turn], 1, &[500, 500], 10.0).len(), 1);
    }
}
