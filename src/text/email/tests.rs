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

/// About a megabyte: seconds when a line costs the same wherever it stands, a
/// quarter of an hour when it costs more with every line around it.
const HUGE: usize = 1_000_000;

#[test]
fn a_huge_email_of_any_one_line_is_read_in_one_pass() {
    for line in ["-----\n", "_____\n", "-----\n\n", "> a\n", ">\n\n"] {
        let text = line.repeat(HUGE / line.len());
        assert_eq!(own_words(&text).len(), text.trim().len(), "{line:?}");
    }
    for character in ["-", ">", "a", "\u{a0}a"] {
        let text = character.repeat(HUGE / character.len());
        assert_eq!(own_words(&text).len(), text.trim().len(), "{character:?}");
    }
}

#[test]
fn the_hint_at_answers_below_is_looked_for_once_however_many_attributions_follow() {
    let mut text = "Where is my parcel?\n".repeat(HUGE / 20);
    text.push_str("See my answers below.\n");
    text.push_str(
        &"On Mon, Jan 5, 2026 at 10:00 AM Acme <a@acme.com> wrote:\nSure.\n".repeat(4_000),
    );
    assert_eq!(own_words(&text), text.trim());
}

#[test]
fn dividers_in_a_row_above_headers_all_belong_to_the_history() {
    let headers = "From: Acme <help@acme.com>\nSent: Monday, January 5, 2026 10:00\nTo: Jane\nSubject: Re: Order\n\nSure?";
    for dividers in ["", "-----\n", "_____\n-----\n", "-----\n_____\n-----\n"] {
        assert_eq!(own_words(&format!("Yes.\n\n{dividers}{headers}")), "Yes.");
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
