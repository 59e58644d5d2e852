//! One message of a reply, and the limits that Gladly sets on it.

use std::fmt;

/// The most parts one reply is sent in. A longer answer is no chat message but
/// a document, and belongs in front of a human.
pub const MAX_PARTS: usize = 5;

/// The longest body Gladly accepts for a message, in UTF-16 code units.
///
/// Gladly says "2048 characters" and not how it counts. UTF-16 units are the
/// largest of the plausible measures for text (never fewer than the code
/// points), so a part within this limit is within theirs.
pub const LONGEST_PART: usize = 2_048;

/// One message of a reply, ready to send.
#[derive(Clone, PartialEq, Eq)]
pub struct Part {
    /// The text; limited HTML for email.
    pub body: String,
    /// The same words as plain text; only for email.
    pub body_plain: Option<String>,
}

impl fmt::Debug for Part {
    /// Shows lengths only: a part ends up in logs by way of `{:?}` on whatever
    /// holds it, and the bot's words must not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part")
            .field("body_bytes", &self.body.len())
            .field(
                "body_plain_bytes",
                &self.body_plain.as_ref().map(String::len),
            )
            .finish()
    }
}

/// The text takes more than [`MAX_PARTS`] parts of [`LONGEST_PART`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text takes more than {MAX_PARTS} messages")]
pub struct TooLong;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_words() {
        let part = Part {
            body: "<p>secret words</p>".to_owned(),
            body_plain: Some("secret words".to_owned()),
        };
        let shown = format!("{part:?}");
        assert!(!shown.contains("secret"), "{shown}");
        assert!(shown.contains("19"), "{shown}");
    }
}
