//! Durations as an operator writes them: `500ms`, `20s`, `5m`, `1h`, `7d`.

use std::time::Duration;

/// Parses a whole number and its unit. None for anything else, and for more
/// than a hundred years, which no setting means.
pub fn parse_duration(text: &str) -> Option<Duration> {
    const HUNDRED_YEARS: Duration = Duration::from_hours(100 * 366 * 24);
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().ok()?;
    let duration = match unit.trim() {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.checked_mul(60)?),
        "h" => Duration::from_secs(number.checked_mul(3600)?),
        "d" => Duration::from_secs(number.checked_mul(24 * 3600)?),
        _ => return None,
    };
    (duration <= HUNDRED_YEARS).then_some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_with_a_unit_is_a_duration_and_nothing_else_is() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("20s", 20_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("7d", 604_800_000),
            ("0s", 0),
        ] {
            assert_eq!(
                parse_duration(text),
                Some(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        for text in [
            "",
            "5",
            "s",
            "-5s",
            "5 parsecs",
            "1.5s",
            "99999999999999999999s",
            "18446744073709551615d",
            "9999999d",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
