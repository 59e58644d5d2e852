//! The end of an email that its writer did not write this time: a signature
//! below the mark that mail programs agree on, or a telephone's boast.

use std::sync::LazyLock;

use regex::RegexSet;

use super::lines;
use crate::text::pattern::built_in;

/// A signature has at most this many lines; below the mark, more is text.
const LONGEST_SIGNATURE: usize = 12;

/// A mark that lost its trailing blank on the way is trusted less.
const LONGEST_UNSURE_SIGNATURE: usize = 6;

/// `text` without its signature, trimmed.
pub(super) fn without(text: &str) -> &str {
    without_mobile_line(without_marked(without_mobile_line(text)))
}

/// Cuts at the last line that is exactly `-- `, if a signature's worth follows.
fn without_marked(text: &str) -> &str {
    let lines = lines(text);
    let Some(mark) = lines.iter().rposition(|(_, line)| *line == "--") else {
        return text;
    };
    let below: Vec<&str> = lines[mark + 1..]
        .iter()
        .map(|(_, line)| *line)
        .filter(|line| !line.is_empty())
        .collect();
    let sure = text[lines[mark].0..].starts_with("-- ");
    let longest = if sure {
        LONGEST_SIGNATURE
    } else {
        LONGEST_UNSURE_SIGNATURE
    };
    let reads_like_one = below.len() <= longest
        && below
            .iter()
            .all(|line| !line.contains('?') && line.chars().count() <= 120);
    if reads_like_one {
        text[..lines[mark].0].trim_end()
    } else {
        text
    }
}

/// Cuts "Sent from my iPhone" and its kind off the end, again and again.
fn without_mobile_line(text: &str) -> &str {
    let mut text = text.trim_end();
    loop {
        let start = text.rfind('\n').map_or(0, |end| end + 1);
        let last = text[start..].trim();
        let above = text[..start].trim_end();
        if above.is_empty() || !MOBILE_LINES.is_match(last) {
            return text;
        }
        text = without_divider(above);
    }
}

/// Drops the line of dashes or underscores above a mobile line.
fn without_divider(text: &str) -> &str {
    let start = text.rfind('\n').map_or(0, |end| end + 1);
    let last = text[start..].trim();
    let divider = last.len() >= 2 && last.chars().all(|character| matches!(character, '-' | '_'));
    if divider && start > 0 {
        text[..start].trim_end()
    } else {
        text
    }
}

static MOBILE_LINES: LazyLock<RegexSet> = LazyLock::new(|| {
    built_in(&[
        // iOS in many languages.
        r"^sent from (?:my|an?) .{2,40}$",
        r"^von mein(?:em|er) .{2,30} gesendet\.?$",
        r"^envoyé (?:de|depuis) mon .{2,30}$",
        r"^enviado desde mi .{2,30}$",
        r"^inviato da(?:l mio)? .{2,30}$",
        r"^verstuurd vanaf mijn .{2,30}$",
        r"^verzonden vanaf mijn .{2,30}$",
        r"^enviado d[oe] meu .{2,30}$",
        r"^skickat från min .{2,30}$",
        r"^(?:wysłane|wysłano) z .{2,30}$",
        r"^(?:私の)?.{2,20}から送信$",
        // Outlook, Yahoo, Gmail, Windows Mail and Android.
        r"^get outlook for (?:ios|android|mac)\b.{0,60}$",
        r"^(?:outlook für (?:ios|android)|télécharger outlook pour|obtener outlook para|scarica outlook per|obter o outlook para).{0,60}$",
        r"^sent (?:from|via|with) (?:the )?(?:yahoo mail|outlook|mail|gmail|proton ?mail|samsung|aol|att yahoo).{0,60}$",
        r"^gesendet mit der .{2,40}$",
        r"^(?:gesendet von|envoyé à partir de|enviado desde|enviado do|inviato da) (?:mail|outlook|yahoo|samsung).{0,60}$",
    ])
});
