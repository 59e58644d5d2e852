//! Whether a customer asks for a human.
//!
//! A missed request leaves a customer arguing with a machine; a false one
//! costs an agent a minute. The default [`patterns`] lean that way, but leave
//! alone the travel agents and operator manuals that shops hear about daily.
//! `fixtures/` holds what they must and must not match.

mod patterns;

use super::Patterns;
pub use patterns::default_human_patterns;

/// Whether `text` matches one of an account's `ask_for_human` patterns.
///
/// Patterns see single blanks and straight apostrophes only, so that none has
/// to know what telephones make of them.
pub fn asks_for_human(patterns: &Patterns, text: &str) -> bool {
    patterns.is_match(&as_typed(text))
}

/// Undoes typographic quotes and collapses white space.
fn as_typed(text: &str) -> String {
    text.replace(['\u{2019}', '\u{2018}', '\u{b4}', '`'], "'")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn default_patterns() -> Patterns {
        let compiled = Patterns::new(default_human_patterns());
        compiled.unwrap_or_else(|error| panic!("a default pattern is invalid: {error}"))
    }

    fn phrases(table: &str) -> Vec<&str> {
        table
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect()
    }

    const ASKING: &str = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fixtures/asks_for_human.txt"
    ));
    const NOT_ASKING: &str = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fixtures/does_not_ask_for_human.txt"
    ));

    #[test]
    fn what_customers_write_to_get_a_human_is_recognised() {
        let patterns = default_patterns();
        let phrases = phrases(ASKING);
        let missed: Vec<_> = phrases
            .iter()
            .filter(|phrase| !asks_for_human(&patterns, phrase))
            .collect();
        assert!(missed.is_empty(), "missed: {missed:#?}");
        assert!(phrases.len() >= 80, "{} phrases", phrases.len());
    }

    #[test]
    fn the_same_words_meaning_something_else_are_left_alone() {
        let patterns = default_patterns();
        let phrases = phrases(NOT_ASKING);
        let wrong: Vec<_> = phrases
            .iter()
            .filter(|phrase| asks_for_human(&patterns, phrase))
            .map(|phrase| (phrase, patterns.matches(phrase)))
            .collect();
        assert!(wrong.is_empty(), "taken for a request: {wrong:#?}");
        assert!(phrases.len() >= 80, "{} phrases", phrases.len());
    }

    #[test]
    fn every_default_pattern_is_needed_by_a_phrase_of_the_table() {
        let patterns = default_patterns();
        let needed: Vec<usize> = phrases(ASKING)
            .iter()
            .map(|phrase| patterns.matches(&as_typed(phrase)))
            .filter(|matches| matches.len() == 1)
            .flatten()
            .collect();
        for (index, pattern) in default_human_patterns().iter().enumerate() {
            assert!(needed.contains(&index), "not needed: {pattern}");
        }
    }

    #[test]
    fn an_operators_own_patterns_are_matched_instead() {
        let patterns = Patterns::new(&[r"\bmitarbeiter\b"]);
        let patterns = patterns.unwrap_or_else(|error| panic!("{error}"));
        assert!(asks_for_human(
            &patterns,
            "Ich möchte einen Mitarbeiter sprechen"
        ));
        assert!(!asks_for_human(&patterns, "agent"));
    }

    proptest! {
        #[test]
        fn any_text_can_be_asked_about(text in any::<String>()) {
            let _ = asks_for_human(&Patterns::default(), &text);
        }
    }
}
