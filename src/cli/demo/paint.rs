//! Colours, where they are wanted, and line breaking.

use std::io::{IsTerminal, stdout};

use crate::config::Environment;

/// Columns of text after the margin.
const WIDTH: usize = 66;

/// How a piece of text looks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ink {
    /// Beside the point.
    Faint,
    /// A heading.
    Bold,
    /// The customer.
    Cyan,
    /// The bot; what went well.
    Green,
    /// Humans and what they read.
    Yellow,
    /// What went wrong.
    Red,
}

impl Ink {
    const fn code(self) -> &'static str {
        match self {
            Self::Faint => "2",
            Self::Bold => "1",
            Self::Cyan => "36",
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Red => "31",
        }
    }
}

/// Paints, or does not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint {
    on: bool,
}

impl Paint {
    /// Colours only on a terminal, and not if `NO_COLOR` is set to anything.
    pub(super) fn for_stdout() -> Self {
        let refused = Environment::of_process().get("NO_COLOR").is_some();
        Self {
            on: stdout().is_terminal() && !refused,
        }
    }

    /// The text in that ink.
    pub(super) fn ink(self, ink: Ink, text: &str) -> String {
        if self.on {
            format!("\x1b[{}m{text}\x1b[0m", ink.code())
        } else {
            text.to_owned()
        }
    }
}

/// The text's lines, broken between words where they are too long.
pub(super) fn wrap(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut broken = String::new();
        for word in line.split(' ') {
            let fits = broken.chars().count() + 1 + word.chars().count() <= WIDTH;
            if !broken.is_empty() && !fits {
                lines.push(std::mem::take(&mut broken));
            } else if !broken.is_empty() {
                broken.push(' ');
            }
            broken.push_str(word);
        }
        lines.push(broken);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_stay_where_they_are_short() {
        let long = "word ".repeat(20);
        let lines = wrap(&format!("one\n\n{}", long.trim()));
        assert_eq!(lines[..2], ["one", ""]);
        assert_eq!(lines.len(), 4);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH));
        assert_eq!(lines[2..].join(" "), long.trim());
    }
}
