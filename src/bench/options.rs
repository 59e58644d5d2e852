//! How the numbers of a bench's options are read.

use std::time::Duration;

use crate::config::parse_duration;

/// A count: nothing can be measured on nothing.
pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    let count: Option<usize> = text.parse().ok();
    count
        .filter(|count| *count > 0)
        .ok_or_else(|| "write a whole number of at least 1".to_owned())
}

/// A duration.
pub(crate) fn some_time(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .filter(|length| !length.is_zero())
        .ok_or_else(|| "write a duration such as 500ms or 4s".to_owned())
}
