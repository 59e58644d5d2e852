//! Regular expressions that are written in this crate, as opposed to those an
//! operator configures: a mistake in one is a bug that any test run finds.

use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

/// Compiles a table of built-in patterns, case-insensitively.
///
/// Call it from a `LazyLock`, and give every table a test that touches it.
#[expect(
    clippy::expect_used,
    reason = "the patterns are constants, and each table's tests compile them"
)]
pub(super) fn built_in(patterns: &[&str]) -> RegexSet {
    RegexSetBuilder::new(patterns)
        .case_insensitive(true)
        .build()
        .expect("a built-in pattern is valid")
}

/// Compiles a single built-in pattern, under the same terms.
#[expect(
    clippy::expect_used,
    reason = "the pattern is a constant, and its module's tests compile it"
)]
pub(super) fn built_in_one(pattern: &str) -> Regex {
    RegexBuilder::new(pattern)
        .case_insensitive(true)
        .build()
        .expect("a built-in pattern is valid")
}
