//! Where an email's quoted history is, and with it where the customer's words
//! are: above it, below it, or between.

use std::cell::OnceCell;
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

/// Finds the history in `text`, in time that grows with it and no faster: a
/// stranger chooses what it is made of.
pub(super) fn layout(text: &str) -> Layout {
    let email = Email::new(text);
    for (index, line) in email.lines.iter().enumerate() {
        let (before, here) = email.lines.split_at(index);
        if goes_on(before, line, |line| line.starts_with('>')) {
            // What a quote quotes is not looked at.
            continue;
        }
        if FORWARD_MARKS.is_match(line) {
            return Layout::Forwarded;
        }
        // Of dividers in a row, the first has been looked at for all of them.
        let begins_headers = !goes_on(before, line, attribution::is_divider)
            && attribution::begins_header_block(here);
        if REPLY_MARKS.is_match(line) || begins_headers {
            return if email.points_below(index) {
                Layout::Interleaved
            } else {
                Layout::Above {
                    end: email.starts[index],
                }
            };
        }
        if let Some((length, evidence)) = attribution::find(here) {
            match email.after_attribution(index, length, evidence) {
                Layout::Plain => {}
                layout => return layout,
            }
        }
    }
    Layout::Plain
}

/// Whether both `line` and the one right before it are of a kind.
fn goes_on(before: &[&str], line: &str, is_kind: impl Fn(&str) -> bool) -> bool {
    is_kind(line) && before.last().is_some_and(|above| is_kind(above))
}

/// An email's text, cut into lines once.
struct Email<'a> {
    text: &'a str,
    /// The lines, trimmed.
    lines: Vec<&'a str>,
    /// The byte where each line begins.
    starts: Vec<usize>,
    /// The first line that points at answers below it, once it was looked for:
    /// many an attribution may ask.
    first_pointer: OnceCell<Option<usize>>,
}

impl<'a> Email<'a> {
    fn new(text: &'a str) -> Self {
        let (starts, lines) = lines(text).into_iter().unzip();
        Self {
            text,
            lines,
            starts,
            first_pointer: OnceCell::new(),
        }
    }

    /// Whether the customer says above line `index` that answers stand in the
    /// quoted text.
    fn points_below(&self, index: usize) -> bool {
        let points = |line: &&str| POINTS_BELOW.is_match(line);
        let first = self
            .first_pointer
            .get_or_init(|| self.lines.iter().position(points));
        first.is_some_and(|first| first < index)
    }

    /// The layout, given that lines `index..index + length` say who wrote when.
    fn after_attribution(&self, index: usize, length: usize, evidence: Evidence) -> Layout {
        let end = self.starts[index];
        let below = index + length;
        let rest = &self.lines[below..];
        let quoted = |line: &&str| line.starts_with('>');
        let begins_quoted = rest
            .iter()
            .find(|line| !line.is_empty())
            .is_some_and(quoted);
        if !begins_quoted {
            // Some mail programs leave the quote's marks out; then the line that
            // introduces it has to leave no doubt, and nothing may hint at answers
            // between the lines.
            return if evidence == Evidence::Strong && !self.points_below(index) {
                Layout::Above { end }
            } else {
                Layout::Plain
            };
        }
        let after_quote = rest
            .iter()
            .position(|line| !quoted(line) && !line.is_empty());
        match after_quote {
            None => Layout::Above { end },
            Some(first)
                if self.text[..end].trim().is_empty() && !rest[first..].iter().any(quoted) =>
            {
                Layout::Below {
                    start: self.starts[below + first],
                }
            }
            Some(_) => Layout::Interleaved,
        }
    }
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

/// How a line says that answers stand below it; none spans two lines.
static POINTS_BELOW: LazyLock<RegexSet> = LazyLock::new(|| {
    built_in(&[
        r"\b(?:see|answers?|answered|comments?|repl(?:y|ies)|replied|responses?|responded|notes?)\b[^.!?\n]{0,25}\b(?:below|inline|in-line|in line|in red|in blue|in bold|in caps|between the lines)\b",
        r"\b(?:siehe|antworten?)\b[^.!?\n]{0,25}\b(?:unten|unterhalb|im text|in rot)\b",
        r"\bci-dessous\b|\bvoir plus bas\b|\bdans le texte\b",
        r"\b(?:más abajo|aquí abajo|debajo|abaixo|qui sotto|di seguito|hieronder|nedan|poniżej)\b",
        r"(?:下記|以下)",
    ])
});
