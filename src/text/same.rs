//! Telling whether a listed item is what the relay sent.
//!
//! After an uncertain POST the relay looks in the conversation before it sends
//! anything again. What it finds may have been tidied by Gladly: other line
//! ends and white space, HTML turned into text, text escaped as HTML. Nothing
//! else is forgiven, since a match suppresses a message.

use std::sync::LazyLock;

use regex::Regex;

use super::escape::{is_visible, unescape_html};
use super::part::Part;
use super::pattern::built_in_one;

/// Whether `listed` holds the words of `sent`.
pub fn same_words(sent: &Part, listed: &str) -> bool {
    match &sent.body_plain {
        None => matches_text(&sent.body, listed),
        Some(plain) => matches_text(plain, listed) || matches_html(&sent.body, listed),
    }
}

/// The same for a note, which is sent as HTML.
pub fn same_note(sent_html: &str, listed: &str) -> bool {
    matches_html(sent_html, listed)
}

/// Compares with what was sent as plain text.
fn matches_text(sent: &str, listed: &str) -> bool {
    let sent = collapse(sent);
    is_visible(&sent) && (sent == collapse(listed) || sent == collapse(&text_of(listed)))
}

/// Compares with what was sent as HTML.
fn matches_html(sent: &str, listed: &str) -> bool {
    let words = collapse(&text_of(sent));
    is_visible(&words) && (words == collapse(listed) || words == collapse(&text_of(listed)))
}

/// One blank for every run of white space, none at the ends.
fn collapse(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text that a browser shows for `html`; tags that end a line become
/// blanks, the others vanish.
pub(super) fn text_of(html: &str) -> String {
    let html = LINE_TAGS.replace_all(html, " ");
    let html = OTHER_TAGS.replace_all(&html, "");
    unescape_html(&html)
}

static LINE_TAGS: LazyLock<Regex> = LazyLock::new(|| {
    built_in_one(r"</?(?:p|div|br|hr|h[1-6]|ul|ol|li|dl|dt|dd|table|thead|tbody|tr|td|th)\b[^<>]*>")
});

static OTHER_TAGS: LazyLock<Regex> =
    LazyLock::new(|| built_in_one(r"</?(?:a|b|i|u|em|strong|span|font|img|html|body)\b[^<>]*>"));

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::channel::Channel;
    use crate::text::note::{NoteFacts, note};
    use crate::text::write::write;

    fn chat(body: &str) -> Part {
        Part {
            body: body.to_owned(),
            body_plain: None,
        }
    }

    fn email(markdown: &str) -> Part {
        match write(Channel::Email, markdown).as_deref() {
            Ok([part]) => part.clone(),
            other => panic!("not one part: {other:?}"),
        }
    }

    #[test]
    fn what_gladly_may_tidy_does_not_hide_a_message() {
        let sent = chat("Tom & Jerry's:\n\n- a < b\n- c");
        for listed in [
            "Tom & Jerry's:\n\n- a < b\n- c",
            "Tom & Jerry's:\r\n\r\n- a < b  \r\n- c\r\n",
            "Tom & Jerry's: - a < b - c",
            "Tom &amp; Jerry&#39;s:\n\n- a &lt; b\n- c",
            "<p>Tom &amp; Jerry&#39;s:</p><p>- a &lt; b<br/>- c</p>",
            "Tom & Jerry's:\u{a0}\n- a < b\n- c",
        ] {
            assert!(same_words(&sent, listed), "{listed}");
        }
    }

    #[test]
    fn other_words_are_another_message() {
        let sent = chat("Your order shipped.");
        for listed in [
            "",
            "Your order shipped",
            "your order shipped.",
            "Your order has shipped.",
            "Your order shipped. Anything else?",
            "Your order ship ped.",
        ] {
            assert!(!same_words(&sent, listed), "{listed}");
        }
        assert!(!same_words(&chat(" "), ""));
        assert!(!same_words(&chat("<p></p>"), " "));
    }

    #[test]
    fn an_email_is_found_as_html_and_as_plain_text() {
        let sent = email("See **our** [guide](https://acme.com):\n\n- a\n- b & c");
        for listed in [
            sent.body.as_str(),
            "See our guide (https://acme.com):\n- a\n- b & c",
            "See our guide:\n\na\nb & c",
            "<div>See <b>our</b> <a href=\"https://acme.com\">guide</a>:</div>\n<ul>\n<li>a</li>\n<li>b &amp; c</li></ul>",
        ] {
            assert!(same_words(&sent, listed), "{listed}");
        }
        assert!(!same_words(&sent, "See our guide: a b"));
    }

    #[test]
    fn links_and_pictures_are_found_again_with_the_addresses_they_show() {
        let sent = email(
            "Pay at [bank.exa\u{202e}mple](https://evil.example/x): ![a chart](https://acme.com/c.png)",
        );
        for listed in [
            "Pay at bank.example (https://evil.example/x): a chart (https://acme.com/c.png)",
            "Pay at bank.example (https://evil.example/x): a chart",
            "<p>Pay at <a href=\"https://evil.example/x\">bank.example (https://evil.example/x)</a>: <a href=\"https://acme.com/c.png\">a chart</a></p>",
        ] {
            assert!(same_words(&sent, listed), "{listed}");
        }
        assert!(!same_words(&sent, "Pay at bank.example: a chart"));
    }

    #[test]
    fn a_note_is_found_as_html_and_as_text() {
        let sent = note(&NoteFacts {
            reason: crate::outcome::HandoffReason::CustomerRequested,
            customer_asked: Some("an agent <please>\nnow"),
            bot_answer: None,
            attachments: &[],
            detail: None,
            at: "2026-01-05 10:12 UTC",
        });
        assert!(same_note(&sent, &sent));
        assert!(same_note(
            &sent,
            &format!("<div>{sent}</div>\n").replace("<br>", "<br />")
        ));
        assert!(same_note(&sent, &text_of(&sent)));
        assert!(!same_note(&sent, "<p>Handed over by the bot.</p>"));
        assert!(!same_note(&sent, ""));
    }

    proptest! {
        #[test]
        fn whatever_was_written_is_found_again(text in any::<String>()) {
            for channel in Channel::ALL {
                for part in write(*channel, &text).unwrap_or_default() {
                    prop_assert!(same_words(&part, &part.body));
                    if let Some(plain) = &part.body_plain {
                        prop_assert!(same_words(&part, plain));
                    }
                }
            }
        }
    }
}
