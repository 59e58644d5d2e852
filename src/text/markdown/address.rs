//! Where a link may lead: the web or a mailbox, nothing that runs code.

/// An `http:`, `https:` or `mailto:` address without white space or control
/// characters. It still has to be escaped where it is written.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::text) struct Address(String);

impl Address {
    /// The address of a link; `None` unless its scheme is one of the three.
    pub(super) fn parse(destination: &str) -> Option<Self> {
        let destination = destination.trim();
        let allowed = ["http://", "https://", "mailto:"];
        let rest = allowed
            .iter()
            .find_map(|scheme| strip_prefix_ignoring_case(destination, scheme))?;
        if rest.is_empty() {
            return None;
        }
        // Browsers drop line ends and tabs inside an address, readers stumble
        // over blanks: neither may change what the address seems to be.
        let address = destination
            .chars()
            .filter(|character| !character.is_control())
            .fold(String::new(), |mut address, character| {
                if character.is_whitespace() {
                    address.push_str("%20");
                } else {
                    address.push(character);
                }
                address
            });
        Some(Self(address))
    }

    /// An image's address: `mailto:` shows no picture.
    pub(super) fn parse_image(destination: &str) -> Option<Self> {
        Self::parse(destination).filter(|address| !address.is_mailbox())
    }

    /// As an attribute's value, before escaping.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// As a person writes it: a mailbox without its scheme.
    pub(super) fn shown(&self) -> &str {
        strip_prefix_ignoring_case(&self.0, "mailto:").unwrap_or(&self.0)
    }

    /// Whether a link's text says no more than the address itself does.
    pub(super) fn says_the_same_as(&self, text: &str) -> bool {
        essence(self.shown()) == essence(text.trim())
    }

    fn is_mailbox(&self) -> bool {
        self.shown().len() != self.0.len()
    }
}

/// A stretch of text, either plain or a bare web address.
pub(super) enum Stretch<'a> {
    Words(&'a str),
    Web(Address, &'a str),
}

/// Finds the bare `https://…` addresses in running text, which Markdown leaves
/// as text, without the punctuation that ends the sentence around them.
pub(super) fn find_addresses(text: &str) -> Vec<Stretch<'_>> {
    let mut stretches = Vec::new();
    let mut rest = text;
    while let Some((start, end)) = next_address(rest) {
        let shown = &rest[start..end];
        if start > 0 {
            stretches.push(Stretch::Words(&rest[..start]));
        }
        stretches.push(match Address::parse(shown) {
            Some(address) => Stretch::Web(address, shown),
            None => Stretch::Words(shown),
        });
        rest = &rest[end..];
    }
    if !rest.is_empty() {
        stretches.push(Stretch::Words(rest));
    }
    stretches
}

/// The byte range of the first bare address in `text`.
fn next_address(text: &str) -> Option<(usize, usize)> {
    let start = ["https://", "http://"]
        .iter()
        .filter_map(|scheme| text.find(scheme))
        .min()?;
    let run = text[start..]
        .find(|character: char| character.is_whitespace() || "<>\"".contains(character))
        .map_or(&text[start..], |length| &text[start..start + length]);
    Some((start, start + without_closing_punctuation(run).len()))
}

/// Drops what ends a sentence, and a closing bracket that was opened before
/// the address.
fn without_closing_punctuation(mut address: &str) -> &str {
    let opened = address.matches(['(', '[']).count();
    let mut closed = address.matches([')', ']']).count();
    while let Some(last) = address.chars().next_back() {
        if matches!(last, ')' | ']') && closed > opened {
            closed -= 1;
        } else if !".,;:!?'*_…。、".contains(last) {
            break;
        }
        address = &address[..address.len() - last.len_utf8()];
    }
    address
}

/// What tells two addresses apart for a reader.
fn essence(address: &str) -> String {
    let address = address.to_lowercase();
    let address = ["https://", "http://", "mailto:"]
        .iter()
        .find_map(|scheme| address.strip_prefix(scheme))
        .unwrap_or(&address);
    address.trim_end_matches('/').to_owned()
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_web_and_mailboxes_can_be_linked() {
        for destination in [
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "java\nscript:alert(1)",
            " javascript:https://x",
            "data:text/html,<script>",
            "vbscript:x",
            "file:///etc/passwd",
            "//acme.com",
            "/help",
            "#top",
            "tel:+15551234",
            "https://",
            "",
        ] {
            assert!(Address::parse(destination).is_none(), "{destination}");
        }
        for destination in [
            "https://acme.com",
            "HTTP://acme.com",
            "mailto:help@acme.com",
        ] {
            assert!(Address::parse(destination).is_some(), "{destination}");
        }
    }

    #[test]
    fn a_link_text_that_repeats_the_address_is_recognised() {
        let web = Address("https://acme.com/".to_owned());
        for text in [
            "https://acme.com/",
            "https://acme.com",
            "acme.com",
            "Acme.com ",
        ] {
            assert!(web.says_the_same_as(text), "{text}");
        }
        assert!(!web.says_the_same_as("acme.com/help"));
        let mailbox = Address("mailto:help@acme.com".to_owned());
        assert!(mailbox.says_the_same_as("help@acme.com"));
    }

    #[test]
    fn an_address_followed_by_nothing_but_brackets_takes_no_time() {
        let text = format!("https://acme.com{}", ")".repeat(200_000));
        assert_eq!(next_address(&text), Some((0, "https://acme.com".len())));
    }

    #[test]
    fn bare_addresses_end_before_the_sentence_does() {
        let cases = [
            ("See https://acme.com/help.", "https://acme.com/help"),
            ("(see https://acme.com/help)", "https://acme.com/help"),
            (
                "https://en.wikipedia.org/wiki/Tea_(meal)!",
                "https://en.wikipedia.org/wiki/Tea_(meal)",
            ),
            (
                "is it http://acme.com/?a=1&b=2?",
                "http://acme.com/?a=1&b=2",
            ),
        ];
        for (text, expected) in cases {
            let found: Vec<&str> = find_addresses(text)
                .into_iter()
                .filter_map(|stretch| match stretch {
                    Stretch::Web(_, shown) => Some(shown),
                    Stretch::Words(_) => None,
                })
                .collect();
            assert_eq!(found, [expected], "{text}");
        }
    }
}
