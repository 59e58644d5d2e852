//! What a customer wrote in an email, without what their mail program added:
//! the quoted history and the signature.
//!
//! A bot that answers words the customer did not write is worse than one that
//! reads a quote too many. So text is left out only on strong evidence, what
//! remains is one unbroken stretch of the original, and when nothing would
//! remain, everything does.

mod attribution;
mod history;
mod signature;

use history::Layout;

/// The customer's own words in an email's text, trimmed. Empty only if `text`
/// is blank.
pub(super) fn own_words(text: &str) -> &str {
    let whole = text.trim();
    let unquoted = match history::layout(whole) {
        Layout::Plain | Layout::Forwarded | Layout::Interleaved => whole,
        Layout::Above { end } => &whole[..end],
        Layout::Below { start } => &whole[start..],
    };
    let own = signature::without(unquoted.trim());
    if own.is_empty() { whole } else { own }
}

/// Whether the email passes on somebody else's.
pub(super) fn is_forwarded(text: &str) -> bool {
    history::layout(text.trim()) == Layout::Forwarded
}

/// The lines of a text with the byte where each begins.
fn lines(text: &str) -> Vec<(usize, &str)> {
    let mut start = 0;
    text.split_inclusive('\n')
        .map(|line| {
            let at = start;
            start += line.len();
            (at, line.trim())
        })
        .collect()
}

#[cfg(test)]
mod tests;
