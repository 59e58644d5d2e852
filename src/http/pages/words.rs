//! Numbers and times as people read them. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::time_until;

/// `3 dead letters`.
pub(super) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// How long, in its largest unit, or the two largest.
pub(super) fn length(length: Duration) -> String {
    let seconds = length.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let two = |large: u64, unit: &str, small: u64, of: &str| match small {
        0 => format!("{large} {unit}"),
        small => format!("{large} {unit} {small} {of}"),
    };
    match seconds {
        0 if length.as_millis() < 1 => "0 s".to_owned(),
        0 => format!("{} ms", length.as_millis()),
        1..10 => format!("{:.1} s", length.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3_600 => two(minutes, "min", seconds % 60, "s"),
        3_600..86_400 => two(hours, "h", minutes % 60, "min"),
        _ => two(days, "d", hours % 24, "h"),
    }
}

/// How long ago, roughly.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = time_until(now, at).as_secs();
    match seconds {
        0..5 => "just now".to_owned(),
        5..60 => format!("{seconds} s ago"),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..86_400 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// `2026-11-21 19:33:08`, in UTC.
pub(super) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A word of the store's as people write it.
pub(super) fn plain(word: &str) -> String {
    word.replace('_', " ")
}

/// A share, in per cent.
pub(super) fn percent(ratio: f64) -> String {
    format!("{:.0} %", ratio * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_ages_are_told_in_units_that_fit() {
        for (ms, told) in [
            (0, "0 s"),
            (40, "40 ms"),
            (1_240, "1.2 s"),
            (59_000, "59 s"),
            (60_000, "1 min"),
            (95_000, "1 min 35 s"),
            (7_260_000, "2 h 1 min"),
            (90_000_000, "1 d 1 h"),
        ] {
            assert_eq!(length(Duration::from_millis(ms)), told);
        }
        let at = |second| Timestamp::from_second(second).unwrap();
        for (second, told) in [(999, "just now"), (950, "50 s ago"), (880, "2 min ago")] {
            assert_eq!(ago(at(second), at(1_000)), told);
        }
        assert_eq!(ago(at(2_000), at(1_000)), "just now", "clocks differ");
        assert_eq!(count(1, "turn", "turns"), "1 turn");
        assert_eq!(percent(0.456), "46 %");
    }
}
