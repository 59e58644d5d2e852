//! What the customer meant, for the bot.

use super::channel::Channel;
use super::cut::cut;
use super::email;

/// The customer's words: trimmed, and never changed otherwise.
///
/// Of an email, the quoted history and the signature are left out where they
/// are safely recognised. More than `longest` characters (code points) are cut
/// off, between grapheme clusters and at a word's end if one is near.
pub fn question(channel: Channel, content: &str, longest: usize) -> String {
    let words = match channel {
        Channel::Email => email::own_words(content),
        Channel::Chat
        | Channel::Sms
        | Channel::WhatsApp
        | Channel::FacebookMessage
        | Channel::InstagramDirect => content.trim(),
    };
    cut(words, longest).to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_is_trimmed_and_otherwise_untouched() {
        let content = "\u{a0} Hi!\r\n\r\n  where   is <b>my</b> order #12?\t\n";
        assert_eq!(
            question(Channel::Chat, content, 1_000),
            "Hi!\r\n\r\n  where   is <b>my</b> order #12?"
        );
    }

    #[test]
    fn only_email_loses_what_looks_like_quoted_history() {
        let content =
            "Yes.\n\nOn Mon, Jan 5, 2026 at 10:00 AM Acme <help@acme.com> wrote:\n> Sure?";
        assert_eq!(question(Channel::Email, content, 1_000), "Yes.");
        assert_eq!(question(Channel::Chat, content, 1_000), content);
    }

    proptest! {
        #[test]
        fn no_text_is_lost_altogether(content in any::<String>()) {
            for channel in Channel::ALL {
                let words = question(*channel, &content, usize::MAX);
                prop_assert!(content.contains(&words));
                prop_assert_eq!(words.is_empty(), content.trim().is_empty());
            }
        }
    }
}
