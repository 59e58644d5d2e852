//! Shortening: to a number of characters, never inside what a reader sees as
//! one character, and at the end of a word if one is near.

use unicode_segmentation::UnicodeSegmentation;

/// How far back from the limit a word's end is looked for, in characters.
/// Farther back, the cut would lose more than it tidies.
const NEAR: usize = 40;

/// The beginning of `text`, at most `longest` characters (code points) of it,
/// without trailing white space.
pub(super) fn cut(text: &str, longest: usize) -> &str {
    let Some((limit, _)) = text.char_indices().nth(longest) else {
        return text;
    };
    let end = last_whole_cluster(text, limit);
    text[..last_word_end(text, end)].trim_end()
}

/// The end of the last grapheme cluster that ends by `limit`.
fn last_whole_cluster(text: &str, limit: usize) -> usize {
    text.grapheme_indices(true)
        .map(|(start, cluster)| start + cluster.len())
        .take_while(|end| *end <= limit)
        .last()
        .unwrap_or(0)
}

/// The last place up to `end` where a word has ended, if it is near; else `end`.
fn last_word_end(text: &str, end: usize) -> usize {
    if text[end..].starts_with(char::is_whitespace) {
        return end;
    }
    text[..end]
        .char_indices()
        .rev()
        .take(NEAR)
        .find(|(_, character)| character.is_whitespace())
        .map_or(end, |(start, _)| start)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_within_the_limit_is_left_alone() {
        assert_eq!(cut("where is it?", 12), "where is it?");
        assert_eq!(cut("", 0), "");
    }

    #[test]
    fn the_cut_is_at_a_words_end_if_one_is_near() {
        assert_eq!(cut("where is my order", 15), "where is my");
        assert_eq!(cut("where is my order", 11), "where is my");
        let unbroken = "x".repeat(100);
        assert_eq!(cut(&format!("see {unbroken}"), 60).len(), 60);
    }

    #[test]
    fn a_family_emoji_is_kept_whole_or_left_out() {
        let family = "👨‍👩‍👧‍👦";
        assert_eq!(cut(&format!("{family}{family}"), 10), family);
        assert_eq!(cut(family, 3), "");
    }

    proptest! {
        #[test]
        fn a_cut_is_a_short_enough_beginning(text in any::<String>(), longest in 0_usize..50) {
            let short = cut(&text, longest);
            prop_assert!(text.starts_with(short));
            prop_assert!(short.chars().count() <= longest);
        }
    }
}
