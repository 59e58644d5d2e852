//! Holds the table of real layouts in `fixtures/email`: what arrives is in
//! `NAME.in.txt`, what the bot is asked in `NAME.out.txt`.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

/// Every example as its name, what arrives and what the bot should read.
fn examples() -> Vec<(String, String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/email");
    let read = |name: &str| {
        fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{error}"));
    let mut examples: Vec<_> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|file| file.strip_suffix(".in.txt").map(str::to_owned))
        .map(|name| {
            let arrives = read(&format!("{name}.in.txt"));
            let expected = read(&format!("{name}.out.txt"));
            (name, arrives, expected.trim_end_matches('\n').to_owned())
        })
        .collect();
    examples.sort();
    examples
}

#[test]
fn of_every_real_layout_the_customers_words_remain() {
    let wrong: Vec<_> = examples()
        .into_iter()
        .filter(|(_, arrives, expected)| own_words(arrives) != expected)
        .map(|(name, arrives, _)| (name, own_words(&arrives).to_owned()))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(examples().len() >= 25);
}

#[test]
fn of_the_customers_own_words_nothing_more_is_taken_away() {
    for (name, _, words) in examples() {
        let again = own_words(&words);
        assert_eq!(again, words, "{name}");
    }
}

proptest! {
    /// Joins lines of real emails at random, which finds more than noise does.
    #[test]
    fn whatever_is_pasted_together_some_text_remains(
        picks in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..12),
    ) {
        let examples = examples();
        let text: String = picks
            .iter()
            .map(|(email, line)| {
                let lines: Vec<&str> = email.get(&examples).1.split_inclusive('\n').collect();
                *line.get(&lines)
            })
            .collect();
        let words = own_words(&text);
        prop_assert!(text.contains(words));
        prop_assert_eq!(words.is_empty(), text.trim().is_empty());
    }
}
