//! The README names everything that an operator can set or may meet.

use std::collections::BTreeSet;

use gladly_relay::outcome::{HandoffReason, SkipReason};
use regex::Regex;

const README: &str = include_str!("../../README.md");
/// Where settings are declared.
const SOURCES: [&str; 3] = [
    include_str!("../../src/config/mod.rs"),
    include_str!("../../src/config/account.rs"),
    include_str!("../../src/config/policy.rs"),
];

/// Where metrics are registered.
const METRICS: [&str; 2] = [
    include_str!("../../src/telemetry/metrics.rs"),
    include_str!("../../src/telemetry/metrics/watched.rs"),
];

/// What the first group of `pattern` matches in `texts`.
#[expect(clippy::expect_used, reason = "the patterns are the tests' own")]
fn found<'a>(pattern: &str, texts: &[&'a str]) -> BTreeSet<&'a str> {
    let pattern = Regex::new(pattern).expect("a pattern");
    let all = texts.iter().flat_map(|text| pattern.captures_iter(text));
    all.filter_map(|found| found.get(1))
        .map(|found| found.as_str())
        .collect()
}

#[test]
fn the_readme_names_every_variable_and_every_key() {
    let named = found(r"`([A-Za-z_]+)`", &[README]);
    let variables = found(r#"variable: Some\("(\w+)"\)"#, &SOURCES);
    let keys = found(r#"\bkey: "(\w+)""#, &SOURCES);
    assert!(variables.len() > 25 && keys.len() > 30);
    for name in variables.union(&keys) {
        assert!(named.contains(name), "the README does not name `{name}`");
    }
}

#[test]
fn the_readme_names_every_reason() {
    let handoffs = HandoffReason::ALL.iter().map(|reason| reason.as_str());
    let skips = SkipReason::ALL.iter().map(|reason| reason.as_str());
    for reason in handoffs.chain(skips) {
        let row = format!("\n| `{reason}` | ");
        assert!(README.contains(&row), "the README has no row for {reason}");
    }
}

#[test]
fn the_readme_names_every_metric() {
    let names = found(r#"register\(\s*"(\w+)""#, &METRICS);
    assert!(names.len() >= 13, "{names:?}");
    for name in names {
        let row = format!("\n| `{name}");
        assert!(README.contains(&row), "the README has no row for {name}");
    }
}
