//! The lines with which mail programs introduce what they quote: "On … Acme
//! wrote:", and Outlook's block of "From: … Sent: … To: … Subject: …".

use std::sync::LazyLock;

use regex::RegexSet;

use crate::text::pattern::built_in;

/// How surely a line was written by a mail program and not by the customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Evidence {
    /// It reads like an attribution and names a time or an address: enough if
    /// quoted lines follow.
    Some,
    /// It names both, which no customer types.
    Strong,
}

/// An attribution is wrapped over at most this many lines.
const LONGEST_ATTRIBUTION: usize = 4;

/// A header block's lines lie this close together.
const LONGEST_HEADER_BLOCK: usize = 9;

/// The number of lines of the attribution that `lines` begin with, and how
/// sure it is.
///
/// Apple's mail programs quote the attribution itself; then all its lines
/// carry the mark.
pub(super) fn find(lines: &[&str]) -> Option<(usize, Evidence)> {
    let quoted = lines.first()?.starts_with('>');
    let mut joined = String::new();
    for (index, line) in lines.iter().take(LONGEST_ATTRIBUTION).enumerate() {
        let words = line.trim_start_matches(['>', ' ']);
        if words.is_empty() || line.starts_with('>') != quoted {
            return None;
        }
        if index > 0 {
            joined.push(' ');
        }
        joined.push_str(words);
        // Every pattern ends with a colon; hardly a line of text does.
        if joined.ends_with([':', '：']) && ATTRIBUTIONS.is_match(&joined) {
            return evidence(&joined).map(|evidence| (index + 1, evidence));
        }
    }
    None
}

fn evidence(attribution: &str) -> Option<Evidence> {
    let address = attribution.contains('@');
    match (address, TIMES.is_match(attribution)) {
        (true, true) => Some(Evidence::Strong),
        (false, false) => None,
        _ => Some(Evidence::Some),
    }
}

/// Whether `lines` begin with the headers of a quoted email, below any number of
/// dividers: sender, date and subject near each other, with a time or an address
/// among them.
pub(super) fn begins_header_block(lines: &[&str]) -> bool {
    let mut block = lines
        .iter()
        .skip_while(|line| is_divider(line))
        .take(LONGEST_HEADER_BLOCK)
        .take_while(|line| !line.is_empty())
        .map(|line| line.trim_start_matches(['*', '>', ' ']));
    let Some(first) = block.next() else {
        return false;
    };
    if !SENDER.is_match(first) {
        return false;
    }
    let rest: Vec<&str> = block.collect();
    let any = |set: &RegexSet| rest.iter().any(|line| set.is_match(line));
    let dated = rest
        .iter()
        .any(|line| DATE.is_match(line) && TIMES.is_match(line));
    any(&SUBJECT) && (dated || (any(&DATE) && first.contains('@')))
}

/// Whether `line` is one that mail programs draw: Outlook puts underscores above
/// the headers.
pub(super) fn is_divider(line: &str) -> bool {
    line.len() >= 5 && line.chars().all(|character| matches!(character, '_' | '-'))
}

/// A time of day, or a year.
static TIMES: LazyLock<RegexSet> =
    LazyLock::new(|| built_in(&[r"\b\d{1,2}[:.h]\d{2}\b", r"\b20\d\d\b", r"20\d\d年"]));

static ATTRIBUTIONS: LazyLock<RegexSet> = LazyLock::new(|| {
    built_in(&[
        // English: Gmail, Apple Mail, Yahoo, Thunderbird.
        r"^on\b.{6,200}\bwrote:$",
        // German; Gmail and Apple put the name last.
        r"^am\b.{6,200}\bschrieb\b.{0,120}:$",
        r"^.{3,120}\bschrieb am\b.{6,120}:$",
        // French, with a no-break space before the colon.
        r"^le\b.{6,200}\ba écrit\s?:$",
        // Spanish.
        r"^el\b.{6,200}\bescribió:$",
        // Italian.
        r"^il\b.{6,200}\bha scritto:$",
        // Dutch.
        r"^op\b.{6,200}\bschreef\b.{0,120}:$",
        r"^op\b.{6,200}\bhet volgende geschreven:$",
        // Portuguese.
        r"^(?:em|a|no dia|na)\b.{6,200}\bescreveu:$",
        // Swedish, Danish and Norwegian.
        r"^(?:den\b|\d{1,2} \w+\.? 20\d\d).{3,200}\bskrev\b.{0,120}:$",
        // Polish.
        r"^.{6,200}\b(?:napisał\(a\)|napisał|napisała|pisze):$",
        r"^wiadomość napisana przez\b.{6,200}:$",
        // Japanese.
        r"^20\d\d[年/].{3,200}(?:のメール|のメッセージ|が書きました|wrote)?\s?[:：]$",
        // Gmail's older form, used where it does not know the language.
        r"^20\d\d-\d\d-\d\d \d\d?:\d\d .{3,160}<\S+@\S+>:$",
    ])
});

static SENDER: LazyLock<RegexSet> = LazyLock::new(|| {
    built_in(&[r"^(?:from|von|de|da|van|från|fra|od|差出人|送信者)\*?\s?[:：]\*?\s*\S"])
});

static DATE: LazyLock<RegexSet> = LazyLock::new(|| {
    built_in(&[
        r"^(?:sent|date|gesendet|datum|envoyé|enviado|enviada|enviado el|enviada em|inviato|data|fecha|verzonden|skickat|sendt|dato|wysłano|wysłane|送信日時|日付|日時)\*?\s?[:：]",
    ])
});

static SUBJECT: LazyLock<RegexSet> = LazyLock::new(|| {
    built_in(&[
        r"^(?:subject|betreff|objet|asunto|assunto|oggetto|onderwerp|ämne|emne|temat|件名)\*?\s?[:：]",
    ])
});
