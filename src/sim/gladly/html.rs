//! The limited HTML that emails and notes may hold: finding what is outside
//! it, and reading it as plain text.
//!
//! Real Gladly may drop a tag it doesn't know; the simulator refuses it, so
//! that the mistake shows.

/// Tags outside this list are refused.
const ALLOWED_TAGS: &[&str] = &[
    "a", "img", "h1", "h2", "h3", "hr", "br", "div", "span", "p", "font", "strong", "em", "b", "i",
    "u", "ul", "ol", "li", "dl", "dt", "dd", "table", "caption", "colgroup", "col", "thead",
    "tbody", "tfoot", "tr", "th", "td",
];

/// After these a plain reading starts a new line.
const LINE_ENDS: &[&str] = &[
    "br", "hr", "p", "div", "li", "h1", "h2", "h3", "tr", "dt", "dd",
];

/// Says what in `html` is outside the limited list, if anything is.
pub(crate) fn find_forbidden(html: &str) -> Option<String> {
    pieces(html).find_map(|piece| match piece {
        Piece::Text(_) => None,
        Piece::Tag(tag) => {
            let name = tag_name(tag);
            if !ALLOWED_TAGS.contains(&name.as_str()) {
                return Some(format!("tag <{name}> is not allowed"));
            }
            let stray = if name == "a" && !tag.starts_with('/') {
                attributes(tag)
                    .into_iter()
                    .find(|name| name != "href" && name != "target")
            } else {
                attributes(tag)
                    .into_iter()
                    .find(|name| name.starts_with("on"))
            };
            stray.map(|attribute| format!("attribute {attribute} of <{name}> is not allowed"))
        }
    })
}

/// The text of `html`, without tags and with the usual entities resolved.
pub(crate) fn plain_text(html: &str) -> String {
    let mut text = String::new();
    for piece in pieces(html) {
        match piece {
            Piece::Text(words) => text.push_str(words),
            Piece::Tag(tag) => {
                let name = tag_name(tag);
                let ends_line = tag.starts_with('/') || name == "br" || name == "hr";
                if ends_line && LINE_ENDS.contains(&name.as_str()) {
                    text.push('\n');
                }
            }
        }
    }
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&nbsp;", " "),
    ];
    for (entity, character) in entities {
        text = text.replace(entity, character);
    }
    text.replace("&amp;", "&").trim().to_owned()
}

enum Piece<'a> {
    Text(&'a str),
    /// What stands between `<` and `>`.
    Tag(&'a str),
}

fn pieces(html: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = html;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if starts_tag(rest) {
            let end = tag_end(rest);
            let tag = rest.get(1..end).unwrap_or_default();
            rest = rest.get(end + 1..).unwrap_or_default();
            return Some(Piece::Tag(tag));
        }
        let next_tag = rest
            .char_indices()
            .skip(1)
            .find(|(at, _)| starts_tag(&rest[*at..]));
        let (text, after) = rest.split_at(next_tag.map_or(rest.len(), |(at, _)| at));
        rest = after;
        Some(Piece::Text(text))
    })
}

/// As in browsers: a `<` before anything else is only a character.
fn starts_tag(html: &str) -> bool {
    let mut characters = html.chars();
    characters.next() == Some('<')
        && characters
            .next()
            .is_some_and(|c| c.is_ascii_alphabetic() || c == '/' || c == '!')
}

/// Where the `>` is that ends the tag, minding quotes.
fn tag_end(html: &str) -> usize {
    let mut quote = None;
    for (at, character) in html.char_indices() {
        match (quote, character) {
            (None, '>') => return at,
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), close) if open == close => quote = None,
            _ => {}
        }
    }
    html.len()
}

fn tag_name(tag: &str) -> String {
    let name = tag.trim_start_matches('/');
    let end = name
        .find(|c: char| c.is_whitespace() || c == '/')
        .unwrap_or(name.len());
    name[..end].to_ascii_lowercase()
}

fn attributes(tag: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = tag
        .trim_end_matches('/')
        .split_once(char::is_whitespace)
        .map_or("", |(_, r)| r);
    loop {
        rest = rest.trim_start();
        let end = rest
            .find(|c: char| c.is_whitespace() || c == '=')
            .unwrap_or(rest.len());
        if end == 0 {
            return names;
        }
        names.push(rest[..end].to_ascii_lowercase());
        rest = rest[end..].trim_start();
        if let Some(value) = rest.strip_prefix('=') {
            rest = after_value(value.trim_start());
        }
    }
}

fn after_value(value: &str) -> &str {
    let quote = value.chars().next().filter(|c| *c == '"' || *c == '\'');
    let inside = value.get(1..).unwrap_or_default();
    match quote {
        Some(quote) => inside.split_once(quote).map_or("", |(_, rest)| rest),
        None => value
            .split_once(char::is_whitespace)
            .map_or("", |(_, rest)| rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_outside_the_list_is_found() {
        for (html, found) in [
            (
                "<p>2 < 3 <b>bold</b> & <a href=\"/x>y\" target='_blank'>link</a><br/></p>",
                None,
            ),
            ("<pre>x</pre>", Some("tag <pre> is not allowed")),
            (
                "<a href='x' title='t'>",
                Some("attribute title of <a> is not allowed"),
            ),
            (
                "<img src=x onerror=alert(1)>",
                Some("attribute onerror of <img> is not allowed"),
            ),
            ("<!-- x -->", Some("tag <!--> is not allowed")),
        ] {
            assert_eq!(find_forbidden(html).as_deref(), found, "{html}");
        }
    }

    #[test]
    fn html_reads_as_text() {
        let html = "<p>Tom &amp; Ann<br>say &lt;hi&gt;</p><ul><li>one</li><li>two</li></ul>";
        assert_eq!(plain_text(html), "Tom & Ann\nsay <hi>\none\ntwo");
    }
}
