//! Text into HTML and back.
//!
//! [`escape_html`] is the only way any text enters HTML in this crate, so that
//! "no active markup survives" rests on five replacements.

/// `text` as HTML that shows exactly it, in content and in quoted attributes.
///
/// Line ends stay as they are: the caller decides whether they are `<br>`.
pub fn escape_html(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + text.len() / 8);
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            _ => html.push(character),
        }
    }
    html
}

/// [`escape_html`], with every line end as `<br>`.
pub(super) fn escape_lines(text: &str) -> String {
    escape_html(text)
        .replace("\r\n", "\n")
        .replace('\n', "<br>")
}

/// The longest entity name that is looked for after an `&`, in characters.
const LONGEST_ENTITY: usize = 10;

/// `html` with its character references decoded: the numeric ones and the
/// handful of names that show up in messages. What is not one stays.
pub(super) fn unescape_html(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(start) = rest.find('&') {
        text.push_str(&rest[..start]);
        rest = &rest[start..];
        let reference = rest
            .char_indices()
            .take(LONGEST_ENTITY + 2)
            .find(|(_, character)| *character == ';')
            .and_then(|(end, _)| Some((decode(&rest[1..end])?, end + 1)));
        let (character, length) = reference.unwrap_or(('&', 1));
        text.push(character);
        rest = &rest[length..];
    }
    text.push_str(rest);
    text
}

/// The character of a reference, given what stands between `&` and `;`.
fn decode(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => number.parse(),
        };
        return code.ok().and_then(char::from_u32);
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "rsquo" => '\u{2019}',
        "lsquo" => '\u{2018}',
        "ldquo" => '\u{201c}',
        "rdquo" => '\u{201d}',
        "nbsp" => '\u{a0}',
        "ndash" => '\u{2013}',
        "mdash" => '\u{2014}',
        "hellip" => '\u{2026}',
        "bull" => '\u{2022}',
        "euro" => '\u{20ac}',
        "pound" => '\u{a3}',
        "copy" => '\u{a9}',
        "reg" => '\u{ae}',
        "trade" => '\u{2122}',
        _ => return None,
    })
}

/// Whether a reader would see anything of `text`: it holds more than white
/// space, control characters and characters of no width.
pub(super) fn is_visible(text: &str) -> bool {
    text.chars().any(|character| !is_blank(character))
}

fn is_blank(character: char) -> bool {
    character.is_whitespace()
        || character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e01ef}')
}

/// `text` with `\n` as its only line end and of nothing but
/// [writable](is_writable) characters.
pub(super) fn tidy(text: &str) -> String {
    text.replace("\r\n", "\n")
        .chars()
        .map(|character| if character == '\r' { '\n' } else { character })
        .filter(|character| is_writable(*character))
        .collect()
}

/// Whether a character may be shown to a customer or an agent. Control
/// characters other than the line end and the tab are not: JSON carries them,
/// but no channel shows them. Nor are those that turn the direction of text: no
/// language needs them to be read, and they show an address or a file's name
/// as what it is not.
pub(super) fn is_writable(character: char) -> bool {
    match character {
        '\n' | '\t' => true,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            false
        }
        character => !character.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_five_characters_that_mean_something_in_html_are_escaped() {
        assert_eq!(
            escape_html(r#"<a href="x" title='y'>Tom & Jerry</a>"#),
            "&lt;a href=&quot;x&quot; title=&#39;y&#39;&gt;Tom &amp; Jerry&lt;/a&gt;"
        );
    }

    #[test]
    fn what_is_no_character_reference_stays() {
        for text in [
            "AT&T",
            "a & b; c",
            "&;",
            "&bogus;",
            "&#xD800;",
            "&#99999999;",
            "&",
            "&&amp",
        ] {
            assert_eq!(unescape_html(text), text);
        }
    }

    #[test]
    fn references_are_decoded_once() {
        assert_eq!(
            unescape_html("&amp;lt; &#38; &#x26; &nbsp;"),
            "&lt; & & \u{a0}"
        );
    }

    #[test]
    fn a_lone_joiner_or_selector_is_not_visible() {
        assert!(!is_visible(" \n\t\u{200b}\u{fe0f}\u{feff}"));
        assert!(is_visible("\u{200b}."));
    }

    #[test]
    fn what_turns_the_direction_of_text_is_not_kept() {
        let turning = "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{200e}\u{200f}\u{61c}";
        assert_eq!(tidy(&format!("a{turning}b")), "ab");
        assert_eq!(tidy("שלום, مرحبا 👨\u{200d}👩"), "שלום, مرحبا 👨\u{200d}👩");
    }

    proptest! {
        #[test]
        fn escaping_and_back_is_the_same_text(text in "\\PC{0,60}") {
            prop_assert_eq!(unescape_html(&escape_html(&text)), text);
        }

        #[test]
        fn escaped_text_opens_no_tag(text in any::<String>()) {
            let html = escape_html(&text);
            prop_assert!(!html.contains(['<', '>', '"', '\'']));
        }

        #[test]
        fn unescaping_never_panics(text in "[&#x;a-z0-9é]{0,40}") {
            let _ = unescape_html(&text);
        }
    }
}
