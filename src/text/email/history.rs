//! Where an email's quoted history is, and with it where the customer's words
//! are: above it, below it, or between.

use std::sync::LazyLock;

use regex::RegexSet;

use super::attribution::{self, Evidence};
use super::lines;
use crate::text::pattern::built_in;

/// How the customer's words and older ones lie in an email.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// No history was recognised.
    Plain,
    /// The customer's words come first and end at byte `end`.
    Above {
        /// The first byte of the history.
        end: usize,
    },
    /// The customer's words come last and begin at byte `start`.
    Below {
        /// The first byte after the history.
        start: usize,
    },
    /// The customer wrote between the quoted lines, so those matter too.
    Interleaved,
    /// The customer passes on an email, which matters as a whole.
    Forwarded,
}

/// Finds the history in `text`.
pub(super) fn layout(text: &str) -> Layout {
    let lines = lines(text);
    let only_lines: Vec<&str> = lines.iter().map(|(_, line)| *line).collect();
    for (index, (start, line)) in lines.iter().enumerate() {
        let here = &only_lines[index..];
        if inside_quote(&only_lines[..index], line) {
            continue;
        }
        if FORWARD_MARKS.is_match(line) {
            return Layout::Forwarded;
        }
        if REPLY_MARKS.is_match(line) || attribution::begins_header_block(here) {
            return if points_below(&text[..*start]) {
                Layout::Interleaved
            } else {
                Layout::Above { end: *start }
            };
        }
        if let Some((length, evidence)) = attribution::find(here) {
            match after_attribution(text, &lines, index, length, evidence) {
                Layout::Plain => {}
                layout => return layout,
            }
        }
    }
    Layout::Plain
}

/// Whether `line` goes on with a quote: what a quote quotes is not looked at.
fn inside_quote(before: &[&str], line: &str) -> bool {
    line.starts_with('>') && before.last().is_some_and(|above| above.starts_with('>'))
}

/// The layout, given that lines `index..index + length` say who wrote when.
fn after_attribution(
    text: &str,
    lines: &[(usize, &str)],
    index: usize,
    length: usize,
    evidence: Evidence,
) -> Layout {
    let above = &text[..lines[index].0];
    let rest = &lines[index + length..];
    let quoted = |(_, line): &(usize, &str)| line.starts_with('>');
    let blank = |(_, line): &(usize, &str)| line.is_empty();
    let begins_quoted = rest.iter().find(|line| !blank(line)).is_some_and(quoted);
    if !begins_quoted {
        // Some mail programs leave the quote's marks out; then the line that
        // introduces it has to leave no doubt, and nothing may hint at answers
        // between the lines.
        return if evidence == Evidence::Strong && !points_below(above) {
            Layout::Above { end: above.len() }
        } else {
            Layout::Plain
        };
    }
    let after_quote = rest.iter().position(|line| !quoted(line) && !blank(line));
    match after_quote {
        None => Layout::Above { end: above.len() },
        Some(first) if above.trim().is_empty() && !rest[first..].iter().any(quoted) => {
            Layout::Below {
                start: rest[first].0,
            }
        }
        Some(_) => Layout::Interleaved,
    }
}

/// Whether the customer says that answers stand in the quoted text.
fn points_below(words: &str) -> bool {
    POINTS_BELOW.is_match(words)
}

static FORWARD_MARKS: LazyLock<RegexSet> = LazyLock::new(|| {
    built_in(&[
        // Gmail and Thunderbird, in the languages of the attributions.
        r"^-{4,}\s*(?:forwarded message|weitergeleitete nachricht|message transf[ée]r[ée]|message transmis|mensaje reenviado|messaggio inoltrato|doorgestuurd bericht|mensagem (?:reencaminhada|encaminhada)|vidarebefordrat meddelande|treść przekazanej wiadomości|wiadomość przekazana dalej|転送されたメッセージ)\b",
        r"^-{4,}\s*(?:forwarded message|original forwarded)",
        // Apple Mail.
        r"^(?:begin forwarded message|anfang der weitergeleiteten nachricht|début du message (?:transféré|réexpédié)|inicio del mensaje reenviado|inizio messaggio inoltrato|begin doorgestuurd bericht|início da mensagem (?:reencaminhada|encaminhada)|vidarebefordrat brev|początek przekazywanej wiadomości|転送されたメッセージ)\s*[:：]",
    ])
});

static REPLY_MARKS: LazyLock<RegexSet> = LazyLock::new(|| {
    built_in(&[
        // Outlook for the desktop, and whatever imitates it.
        r"^-{2,}\s*(?:original message|original appointment|urspr(?:ü|ue)ngliche (?:nachricht|mail)|message d['’]origine|mensaje original|messaggio originale|oorspronkelijk bericht|mensagem original|ursprungligt meddelande|oryginalna wiadomość|wiadomość oryginalna|元のメッセージ)\s*-{2,}$",
    ])
});

static POINTS_BELOW: LazyLock<RegexSet> = LazyLock::new(|| {
    built_in(&[
        r"\b(?:see|answers?|answered|comments?|repl(?:y|ies)|replied|responses?|responded|notes?)\b[^.!?\n]{0,25}\b(?:below|inline|in-line|in line|in red|in blue|in bold|in caps|between the lines)\b",
        r"\b(?:siehe|antworten?)\b[^.!?\n]{0,25}\b(?:unten|unterhalb|im text|in rot)\b",
        r"\bci-dessous\b|\bvoir plus bas\b|\bdans le texte\b",
        r"\b(?:más abajo|aquí abajo|debajo|abaixo|qui sotto|di seguito|hieronder|nedan|poniżej)\b",
        r"(?:下記|以下)",
    ])
});
