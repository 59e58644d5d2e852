//! Regular expressions: those that an operator configures, and those that are
//! written in this crate, where a mistake is a bug that any test run finds.

use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

/// What an operator configures: regular expressions that apply whatever the case
/// of the letters.
#[derive(Debug, Clone, Default)]
pub struct Patterns(Vec<Regex>);

impl Patterns {
    /// Compiles them, one by one: compiling all as one set takes 7 MiB for a moment,
    /// which the process keeps.
    ///
    /// # Errors
    /// If one of them is no regular expression.
    pub fn new(texts: &[impl AsRef<str>]) -> Result<Self, regex::Error> {
        let compile = |text: &str| RegexBuilder::new(text).case_insensitive(true).build();
        let compiled = texts.iter().map(|text| compile(text.as_ref()));
        Ok(Self(compiled.collect::<Result<_, _>>()?))
    }

    /// As [`Patterns::new`], for constants of this crate, which its tests compile.
    #[expect(
        clippy::expect_used,
        reason = "the patterns are constants, and their tests compile them"
    )]
    pub(crate) fn built_in(texts: &[&str]) -> Self {
        Self::new(texts).expect("a built-in pattern is valid")
    }

    /// Whether any of them is found in a text.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.iter().any(|pattern| pattern.is_match(text))
    }

    /// Which of them are found, by their place.
    #[cfg(test)]
    pub(crate) fn matches(&self, text: &str) -> Vec<usize> {
        let found = self.0.iter().enumerate();
        let found = found.filter(|(_, pattern)| pattern.is_match(text));
        found.map(|(index, _)| index).collect()
    }
}

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
