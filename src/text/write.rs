//! A text for the customer, as the parts of a reply in one channel.

use super::channel::Channel;
use super::escape::{is_visible, tidy};
use super::markdown::{self, Block};
use super::part::{Part, TooLong};
use super::split::split;

/// Gleen's Markdown as the parts of a reply, in the order to send them.
///
/// Email is one part of limited HTML with its plain text; every other channel
/// is plain text, at most [`MAX_PARTS`](super::MAX_PARTS) parts of at most
/// [`LONGEST_PART`](super::LONGEST_PART). There are no parts when nothing
/// visible remains.
pub fn write(channel: Channel, markdown: &str) -> Result<Vec<Part>, TooLong> {
    parts(channel, &markdown::parse(&tidy(markdown)))
}

/// The same for a text that is not Markdown, such as the operator's handoff
/// message: its characters and lines are kept as they are.
pub fn write_plain(channel: Channel, text: &str) -> Result<Vec<Part>, TooLong> {
    let text = tidy(text);
    match channel {
        Channel::Email => parts(channel, &markdown::paragraphs(&text)),
        _ => split_into_parts(text.trim()),
    }
}

fn parts(channel: Channel, blocks: &[Block]) -> Result<Vec<Part>, TooLong> {
    let plain = markdown::to_plain(blocks);
    if !is_visible(&plain) {
        return Ok(Vec::new());
    }
    match channel {
        Channel::Email => Ok(vec![Part {
            body: markdown::to_html(blocks),
            body_plain: Some(plain),
        }]),
        _ => split_into_parts(&plain),
    }
}

fn split_into_parts(plain: &str) -> Result<Vec<Part>, TooLong> {
    let bodies = split(plain)?;
    let parts = bodies.into_iter().map(|body| Part {
        body: body.to_owned(),
        body_plain: None,
    });
    Ok(parts.collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::part::LONGEST_PART;

    fn only_part(channel: Channel, markdown: &str) -> Part {
        match write(channel, markdown).as_deref() {
            Ok([part]) => part.clone(),
            other => panic!("not one part: {other:?}"),
        }
    }

    #[test]
    fn email_is_html_with_its_plain_text() {
        let part = only_part(Channel::Email, "Your **order** shipped.");
        assert_eq!(part.body, "<p>Your <strong>order</strong> shipped.</p>");
        assert_eq!(part.body_plain.as_deref(), Some("Your order shipped."));
    }

    #[test]
    fn every_other_channel_is_plain_text() {
        for channel in Channel::ALL
            .iter()
            .filter(|channel| **channel != Channel::Email)
        {
            let part = only_part(*channel, "Your **order** <b>shipped</b>.");
            assert_eq!(part.body, "Your order shipped.");
            assert_eq!(part.body_plain, None);
        }
    }

    #[test]
    fn an_email_of_any_length_is_one_part() {
        let answer = "A long answer. ".repeat(5_000);
        assert!(only_part(Channel::Email, &answer).body.len() > LONGEST_PART * 30);
        assert_eq!(write(Channel::Chat, &answer), Err(TooLong));
    }

    #[test]
    fn nothing_visible_makes_no_part() {
        for nothing in [
            "", " \n", "---", "****", "<br>", "&nbsp;", "\u{200b}", "> ", "- ", "# ", "<p></p>",
        ] {
            for channel in Channel::ALL {
                let visible = write(*channel, nothing).unwrap_or_default();
                assert!(
                    visible.is_empty(),
                    "{nothing:?} makes {:?}",
                    visible[0].body
                );
            }
        }
        assert_eq!(write_plain(Channel::Chat, " \n"), Ok(Vec::new()));
        assert_eq!(write_plain(Channel::Email, " \n"), Ok(Vec::new()));
    }

    #[test]
    fn an_operators_text_is_not_read_as_markdown() {
        let text = "One moment *please*:\r\n# a <b>colleague</b> takes over.";
        let chat = write_plain(Channel::Chat, text).unwrap_or_default();
        assert_eq!(
            chat[0].body,
            "One moment *please*:\n# a <b>colleague</b> takes over."
        );
        let email = write_plain(Channel::Email, text).unwrap_or_default();
        assert_eq!(
            email[0].body,
            "<p>One moment *please*:<br># a &lt;b&gt;colleague&lt;/b&gt; takes over.</p>"
        );
        assert_eq!(email[0].body_plain.as_deref(), Some(chat[0].body.as_str()));
    }

    #[test]
    fn control_characters_are_not_sent() {
        let part = only_part(Channel::Chat, "a\u{0}b\u{1b}[31mc\u{7}\r\nd");
        assert_eq!(part.body, "ab[31mc\nd");
    }

    #[test]
    fn characters_that_turn_the_direction_of_text_are_not_sent() {
        let text = "in\u{202e}voice [fdp\u{2066}](https://acme.com/\u{200f}a) \u{61c}`x\u{202a}`";
        for channel in Channel::ALL {
            let parts = [write(*channel, text), write_plain(*channel, text)]
                .map(Result::unwrap_or_default)
                .concat();
            for part in parts {
                let sent = part.body + &part.body_plain.unwrap_or_default();
                let turning = |letter| "\u{202e}\u{2066}\u{200f}\u{61c}\u{202a}".contains(letter);
                assert!(!sent.contains(turning), "{sent:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_written_for_any_channel(text in any::<String>()) {
            for channel in Channel::ALL {
                for part in write(*channel, &text).unwrap_or_default() {
                    prop_assert!(is_visible(&part.body));
                }
                for part in write_plain(*channel, &text).unwrap_or_default() {
                    prop_assert!(is_visible(&part.body));
                }
            }
        }
    }
}
