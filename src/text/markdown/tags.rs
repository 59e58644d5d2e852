//! Raw HTML in a Markdown text, as words.
//!
//! Bots write `<br>` and `<b>` where they mean a line break and stress. Those
//! few simple tags are understood here, and none is passed on; every other tag
//! is text, and the customer sees it as it was written.

use std::sync::LazyLock;

use regex::Regex;

use super::Inline;
use super::parse::push_text;
use crate::text::escape::unescape_html;
use crate::text::pattern::built_in_one;

/// What a simple tag stands for in running text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// A line break.
    Break,
    /// The end of a line, unless it has ended already.
    LineEnd,
    /// Nothing to read: it only dresses the words inside.
    Dress,
}

/// The words of a block of raw HTML. Its line ends are the author's.
pub(super) fn block_words(raw: &str) -> Vec<Inline> {
    let mut inlines = Vec::new();
    for line in raw.lines() {
        push_raw_html(&mut inlines, line.trim());
        end_line(&mut inlines);
    }
    while matches!(inlines.last(), Some(Inline::Break)) {
        inlines.pop();
    }
    inlines
}

/// Appends the words of a stretch of raw HTML to `inlines`, its character
/// references decoded: Markdown leaves them alone there.
pub(super) fn push_raw_html(inlines: &mut Vec<Inline>, raw: &str) {
    let mut rest = raw;
    while let Some(start) = rest.find('<') {
        push_text(inlines, &unescape_html(&rest[..start]));
        rest = &rest[start..];
        let Some((length, meaning)) = simple_tag(rest) else {
            push_text(inlines, "<");
            rest = &rest[1..];
            continue;
        };
        match meaning {
            Meaning::Break => inlines.push(Inline::Break),
            Meaning::LineEnd => end_line(inlines),
            Meaning::Dress => {}
        }
        rest = &rest[length..];
    }
    push_text(inlines, &unescape_html(rest));
}

fn end_line(inlines: &mut Vec<Inline>) {
    if !matches!(inlines.last(), None | Some(Inline::Break)) {
        inlines.push(Inline::Break);
    }
}

/// The length and the meaning of the simple tag that `text` starts with.
fn simple_tag(text: &str) -> Option<(usize, Meaning)> {
    let tag = TAG.captures(text)?;
    let closes = tag.name("close").is_some();
    let meaning = match tag.name("name")?.as_str().to_ascii_lowercase().as_str() {
        "br" => Meaning::Break,
        "p" | "div" | "ul" | "ol" | "li" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" if closes => {
            Meaning::LineEnd
        }
        _ => Meaning::Dress,
    };
    Some((tag.get_match().len(), meaning))
}

/// A simple tag with nothing but well-formed attributes: `if a <b and c> d`
/// holds none.
static TAG: LazyLock<Regex> = LazyLock::new(|| {
    built_in_one(
        r#"^<(?<close>/)?(?<name>br|b|strong|i|em|u|s|del|ins|mark|small|sub|sup|span|font|center|p|div|ul|ol|li|h[1-6])(?:\s+[a-z-]+=(?:"[^"<>]*"|'[^'<>]*'))*\s*/?>"#,
    )
});
