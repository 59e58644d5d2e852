//! The log filter. The library takes any word for the name of a part of some
//! program, so that `RELAY_LOG=inof` would silence everything.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// The root of all names under which this program logs.
const OURS: &str = "gladly_relay";

/// Takes a filter in which each part is a level or names a part of a program
/// and its level, and at least one speaks of this program.
pub(super) fn parse_log_filter(text: &str) -> Option<String> {
    let parts = || text.split(',');
    let sane = parts().all(|part| is_level(part) || part.starts_with(OURS) || part.contains('='));
    let ours = parts().any(|part| is_level(part) || part.starts_with(OURS));
    (sane && ours && EnvFilter::try_new(text).is_ok()).then(|| text.to_owned())
}

fn is_level(text: &str) -> bool {
    !text.is_empty() && text.parse::<LevelFilter>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_silence_everything_is_no_filter() {
        for filter in [
            "info",
            "WARN",
            "off",
            "gladly_relay=debug",
            "gladly_relay",
            "info,gladly_relay::relay=trace",
            "warn,hyper=info",
        ] {
            assert!(parse_log_filter(filter).is_some(), "{filter}");
        }
        for filter in [
            "",
            "inof",
            "verbose",
            "gladly-relay=debug",
            "info,hyper",
            "hyper=info",
            "gladly_relay=loud",
            "info;debug",
            "info, debug",
        ] {
            assert!(parse_log_filter(filter).is_none(), "{filter}");
        }
    }
}
