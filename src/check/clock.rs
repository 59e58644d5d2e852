//! This machine's clock against those of the servers it calls.

use jiff::{SignedDuration, Timestamp};

use super::finding::{Category, Finding};
use crate::upstream::Seen;

/// More than a slow answer and a `Date` in whole seconds explain.
const TOO_FAR_OFF: SignedDuration = SignedDuration::from_secs(30);

/// Compares an answer's `Date` with when it came; nothing if it has none.
pub(super) fn judge_clock(server: &str, seen: &Seen) -> Option<Finding> {
    seen.date().map(|date| judge(server, date, seen.at))
}

fn judge(server: &str, date: Timestamp, here: Timestamp) -> Finding {
    let about = Category::Clock;
    let off = here.duration_since(date);
    if off.abs() <= TOO_FAR_OFF {
        return Finding::ok(
            about,
            format!("this machine's clock agrees with {server}'s"),
        );
    }
    let direction = if off.is_positive() {
        "ahead of"
    } else {
        "behind"
    };
    Finding::warning(
        about,
        format!(
            "this machine's clock is {} s {direction} {server}'s",
            off.abs().as_secs()
        ),
        "set it (NTP), then start the relay anew: notes and logs show its time, and certificates are judged by it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;

    #[test]
    fn a_clock_that_is_off_is_warned_of_with_its_direction() {
        let date = Timestamp::UNIX_EPOCH;
        let after = |seconds| date + SignedDuration::from_secs(seconds);
        assert_eq!(judge("Gladly", date, after(29)).verdict, Verdict::Ok);
        for (seconds, words) in [(3600, "3600 s ahead of"), (-45, "45 s behind")] {
            let finding = judge("Gladly", date, after(seconds));
            assert_eq!(finding.verdict, Verdict::Warning);
            assert!(finding.what.contains(words), "{}", finding.what);
        }
    }
}
