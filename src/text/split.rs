//! Splitting a text into messages that Gladly accepts, where a person would.
//!
//! A part ends, in order of preference, after a paragraph, a line (so that a
//! list breaks between its items), a sentence, a word; only a word longer than
//! a part is cut, and even then between grapheme clusters. No word is lost,
//! repeated or moved; white space at a cut is.

use unicode_segmentation::UnicodeSegmentation;

use super::escape::is_visible;
use super::part::{LONGEST_PART, MAX_PARTS, TooLong};

/// The parts of `text`, in order; none of them blank.
pub(super) fn split(text: &str) -> Result<Vec<&str>, TooLong> {
    // Fine places to break cost room. Only a text that would not fit
    // otherwise is packed tight.
    split_with(text, Care::Fine).or_else(|TooLong| split_with(text, Care::Tight))
}

/// How much of a part's room may be given up for a better place to break.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Care {
    /// Up to two thirds of it.
    Fine,
    /// No more than the last word takes.
    Tight,
}

fn split_with(text: &str, care: Care) -> Result<Vec<&str>, TooLong> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (part, after) = rest.split_at(end_of_part(rest, care));
        let part = part.trim_end();
        if is_visible(part) {
            if parts.len() == MAX_PARTS {
                return Err(TooLong);
            }
            parts.push(part);
        }
        rest = after.trim_start();
    }
    Ok(parts)
}

/// Where the first part of `text` ends; never 0.
fn end_of_part(text: &str, care: Care) -> usize {
    let full = fitting_prefix(text);
    if full.len() == text.len() {
        return text.len();
    }
    let mut places = Places::default();
    places.find(full, &text[full.len()..]);
    let least = match care {
        Care::Fine => full.len() / 3,
        Care::Tight => full.len(),
    };
    [places.paragraph, places.item, places.line, places.sentence]
        .into_iter()
        .find(|place| *place > 0 && *place >= least)
        .or((places.word > 0).then_some(places.word))
        .unwrap_or(full.len())
}

/// The longest beginning of `text` that fits into a part, in whole grapheme
/// clusters; if not even the first one fits, in whole characters.
fn fitting_prefix(text: &str) -> &str {
    // One character more than can fit shows whether the last cluster ends; its
    // own end may be the whole text away.
    let text = first_characters(text, LONGEST_PART + 1);
    let clusters = text.graphemes(true);
    match fitting_length(clusters) {
        0 => &text[..fitting_length(text.split("").filter(|piece| !piece.is_empty()))],
        length => &text[..length],
    }
}

/// The bytes of the first pieces that together fit into a part.
fn fitting_length<'a>(pieces: impl Iterator<Item = &'a str>) -> usize {
    let mut units = 0;
    pieces
        .take_while(|piece| {
            units += piece.encode_utf16().count();
            units <= LONGEST_PART
        })
        .map(str::len)
        .sum()
}

/// The last place of each kind where a part may end; 0 where there is none.
#[derive(Default)]
struct Places {
    /// Before a blank line that is followed by a line at the margin.
    paragraph: usize,
    /// Before a line at the margin, such as a list's next item.
    item: usize,
    /// Before any other line.
    line: usize,
    sentence: usize,
    word: usize,
}

impl Places {
    /// Looks through `full`, the text that fits, before `next`, what follows.
    fn find(&mut self, full: &str, next: &str) {
        let mut clusters = full.grapheme_indices(true).peekable();
        while let Some((start, cluster)) = clusters.next() {
            if !is_white(cluster) {
                continue;
            }
            let after = start + cluster.len();
            let following = if clusters.peek().is_some() {
                &full[after..]
            } else {
                next
            };
            self.word = start;
            if cluster.contains('\n') {
                self.note_line_end(&full[..start], following, start);
            }
        }
        // A cluster of white space is one character, or the two of a line end.
        let next_few = first_characters(next, 3);
        if next_few.graphemes(true).next().is_some_and(is_white) {
            self.word = full.len();
            if let Some(following) = next.strip_prefix('\n') {
                self.note_line_end(full, following, full.len());
            }
        }
        self.sentence = last_sentence_end(full);
    }

    fn note_line_end(&mut self, before: &str, following: &str, place: usize) {
        self.line = place;
        if following.starts_with(char::is_whitespace) {
            return;
        }
        self.item = place;
        if before.ends_with('\n') {
            self.paragraph = place;
        }
    }
}

/// The end of the last sentence that is over before the end of `full`. The
/// stops inside an address end none, so white space has to follow, unless the
/// script uses none.
fn last_sentence_end(full: &str) -> usize {
    full.split_sentence_bound_indices()
        .map(|(start, _)| start)
        .filter(|start| {
            full[..*start]
                .ends_with(|last: char| last.is_whitespace() || "。！？．｡".contains(last))
        })
        .last()
        .unwrap_or(0)
}

fn first_characters(text: &str, count: usize) -> &str {
    let end = text
        .char_indices()
        .nth(count)
        .map_or(text.len(), |(end, _)| end);
    &text[..end]
}

fn is_white(cluster: &str) -> bool {
    cluster.chars().all(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn units(text: &str) -> usize {
        text.encode_utf16().count()
    }

    #[test]
    fn a_text_of_exactly_the_limit_is_one_part_and_one_more_is_two() {
        for (text, last) in [("x", "x"), ("é", "é"), ("語", "語")] {
            let full = text.repeat(2_048);
            assert_eq!(split(&full), Ok(vec![full.as_str()]));
            let more = format!("{full}{last}");
            assert_eq!(split(&more), Ok(vec![full.as_str(), last]));
        }
    }

    #[test]
    fn what_takes_two_utf16_units_counts_twice() {
        let full = "👍".repeat(LONGEST_PART / 2);
        assert_eq!(split(&full), Ok(vec![full.as_str()]));
        let more = format!("{full}👍");
        assert_eq!(split(&more), Ok(vec![full.as_str(), "👍"]));
        let odd = format!("x{full}");
        let parts = split(&odd).unwrap_or_default();
        assert_eq!(
            parts.iter().map(|part| units(part)).collect::<Vec<_>>(),
            [2_047, 2]
        );
    }

    #[test]
    fn a_cluster_is_moved_whole_to_the_next_part() {
        for cluster in ["👨‍👩‍👧‍👦", "e\u{301}\u{302}", "🇫🇷", "👍🏽", "क्षि"]
        {
            let text = format!("{}{cluster}", "x".repeat(LONGEST_PART - 1));
            let parts = split(&text).unwrap_or_default();
            assert_eq!(parts.last(), Some(&cluster), "{cluster}");
        }
    }

    #[test]
    fn a_word_that_ends_where_a_part_does_stays_in_it() {
        let full = format!("{} {}", "x".repeat(1_000), "y".repeat(LONGEST_PART - 1_001));
        for gap in [" ", "\u{3000}", "\r\n", "\n"] {
            let text = format!("{full}{gap}z");
            assert_eq!(split(&text), Ok(vec![full.as_str(), "z"]), "{gap:?}");
        }
    }

    #[test]
    fn a_cluster_longer_than_a_part_is_cut_between_characters() {
        let text = format!("a{}", "\u{301}".repeat(LONGEST_PART + 10));
        let parts = split(&text).unwrap_or_default();
        assert_eq!(parts.concat(), text);
        assert_eq!(parts.len(), 2);
    }

    #[test]
    fn a_paragraph_ends_a_part_before_a_sentence_does() {
        let first = "A first one. And a second.\n".repeat(40).trim().to_owned();
        let second = "A third one. And a fourth.\n".repeat(60).trim().to_owned();
        let text = format!("{first}\n\n{second}");
        assert_eq!(split(&text), Ok(vec![first.as_str(), second.as_str()]));
    }

    #[test]
    fn a_list_breaks_between_its_items_with_what_belongs_to_them() {
        let item = "- Choose the address.\n  Then confirm it.\n  - Or change it. Twice.\n";
        let text = item.repeat(60);
        let parts = split(&text).unwrap_or_default();
        assert!(parts.len() > 1);
        for part in parts {
            assert!(part.starts_with("- Choose"), "{part}");
            assert!(part.ends_with("Twice."), "{part}");
        }
    }

    #[test]
    fn a_long_paragraph_breaks_between_sentences() {
        let text = "It ships from Ohio on weekdays, e.g. on Monday. ".repeat(80);
        let parts = split(&text).unwrap_or_default();
        assert_eq!(parts.len(), 2);
        assert!(
            parts
                .iter()
                .all(|part| part.starts_with("It") && part.ends_with("Monday."))
        );
    }

    #[test]
    fn a_long_sentence_breaks_between_words_and_no_address_is_torn() {
        let address = "https://acme.com/a-b/c.d?e=f&g=h";
        let text = format!("see {address} and ").repeat(100);
        for part in split(&text).unwrap_or_default() {
            let torn = part
                .split_whitespace()
                .any(|word| word.starts_with("http") && word != address);
            assert!(!torn, "{part}");
        }
    }

    #[test]
    fn five_full_parts_fit_and_one_character_more_does_not() {
        let full = "x".repeat(LONGEST_PART * MAX_PARTS);
        assert_eq!(split(&full).map(|parts| parts.len()), Ok(MAX_PARTS));
        assert_eq!(split(&format!("{full}x")), Err(TooLong));
    }

    #[test]
    fn a_text_that_just_fits_is_packed_tight_before_it_is_given_up() {
        // Broken at its paragraphs, each part would be little over half full.
        let paragraph = format!("{}.", "word ".repeat(250).trim());
        let text = vec![paragraph; 8].join("\n\n");
        assert!(units(&text) < LONGEST_PART * MAX_PARTS);
        assert_eq!(split(&text).map(|parts| parts.len()), Ok(MAX_PARTS));
    }

    #[test]
    fn what_nobody_sees_makes_no_part() {
        assert_eq!(split(" \n\u{200b}\u{feff}\n"), Ok(Vec::new()));
        let gap = "\u{200b}\n".repeat(LONGEST_PART);
        let text = format!("{}{gap}{}", "x".repeat(LONGEST_PART), "y");
        let parts = split(&text).unwrap_or_default();
        assert!(parts.iter().all(|part| is_visible(part)));
    }

    #[test]
    fn a_cluster_without_end_is_not_read_again_for_every_part() {
        // Two megabytes: a second in one pass, minutes when every part reads on
        // to the cluster's end.
        let text = "\u{fe0f}".repeat(700_000);
        assert_eq!(split(&text), Ok(Vec::new()));
        let text = format!("a{text}");
        assert_eq!(split(&text).map(|parts| parts.len()), Ok(1));
    }

    /// Words, marks and gaps of many sizes, some longer than a part.
    fn long_text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            6 => "[a-zé語]{1,12}",
            4 => prop::sample::select(vec![" ", "\n", "\n\n", ". ", "。", "\n- ", "  ", "\r\n", "\t"])
                .prop_map(str::to_owned),
            2 => prop::sample::select(vec!["👨‍👩‍👧‍👦", "🇫🇷🇩🇪", "e\u{301}", "👍🏽", "\u{200b}", "क्षि"])
                .prop_map(str::to_owned),
        ];
        prop::collection::vec((piece, 1_usize..60), 0..60).prop_map(|pieces| {
            pieces
                .into_iter()
                .map(|(piece, times)| piece.repeat(times))
                .collect()
        })
    }

    fn letters(text: &str) -> String {
        text.chars()
            .filter(|letter| !letter.is_whitespace() && *letter != '\u{200b}')
            .collect()
    }

    proptest! {
        #[test]
        fn parts_fit_are_visible_and_hold_every_letter_in_order(text in long_text()) {
            match split(&text) {
                Ok(parts) => {
                    prop_assert!(parts.len() <= MAX_PARTS);
                    for part in &parts {
                        prop_assert!(units(part) <= LONGEST_PART);
                        prop_assert!(is_visible(part));
                        prop_assert_eq!(part.trim(), *part);
                    }
                    prop_assert_eq!(letters(&parts.concat()), letters(&text));
                }
                Err(TooLong) => prop_assert!(units(&text) > LONGEST_PART * 2),
            }
        }

        #[test]
        fn no_part_begins_or_ends_inside_a_cluster(text in long_text()) {
            let clusters: Vec<usize> = text.grapheme_indices(true).map(|(start, _)| start).collect();
            for part in split(&text).unwrap_or_default() {
                let start = part.as_ptr() as usize - text.as_ptr() as usize;
                let end = start + part.len();
                prop_assert!(clusters.contains(&start));
                prop_assert!(end == text.len() || clusters.contains(&end));
            }
        }
    }
}
