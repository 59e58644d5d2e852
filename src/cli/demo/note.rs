//! A note's HTML as an agent reads it. Deliberately not the relay's own code,
//! which wrote it.

/// The words, a paragraph or line break on a line each.
pub(super) fn plain(html: &str) -> String {
    let mut text = String::new();
    for piece in html.split('<') {
        let (tag, words) = piece.split_once('>').unwrap_or(("", piece));
        if matches!(tag, "br" | "/p" | "/li" | "/div") {
            text.push('\n');
        }
        text.push_str(words);
    }
    // The ampersand last, so that `&amp;lt;` stays what was written.
    let text = text
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&");
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_become_lines_and_entities_become_characters() {
        let html = "<p><strong>Why:</strong> a &lt;b&gt;</p><p>said:<br>R&amp;D</p>";
        assert_eq!(plain(html), "Why: a <b>\nsaid:\nR&D");
    }
}
