//! Where a link may lead: the web or a mailbox, nothing that runs code, and
//! nowhere that its reader is not told.

use reqwest::Url;

use super::host::{Host, named_hosts};
use crate::text::escape::is_writable;

/// An `http:`, `https:` or `mailto:` address without white space or control
/// characters. It still has to be escaped where it is written.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::text) struct Address(String);

impl Address {
    /// The address of a link or a picture; `None` unless its scheme is one of
    /// the three and a browser could follow it.
    pub(super) fn parse(destination: &str) -> Option<Self> {
        let address = without_traps(destination.trim());
        let address = match strip_prefix_ignoring_case(&address, "mailto:") {
            Some(mailbox) => (!mailbox.is_empty()).then_some(address),
            None => as_followed(&address),
        };
        address.map(Self)
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

    /// Whether a link's text names a host that the address does not lead to, so
    /// that a reader has to see the address as well.
    pub(super) fn is_belied_by(&self, text: &str) -> bool {
        let real = self.host();
        let leads_there = |named: &Host| real.as_ref().is_some_and(|real| named.is(real));
        !self.says_the_same_as(text) && !named_hosts(text).iter().all(leads_there)
    }

    /// Where the address leads; `None` if that is not one host for certain.
    fn host(&self) -> Option<Host> {
        if let Some(mailbox) = strip_prefix_ignoring_case(&self.0, "mailto:") {
            return host_of_mailbox(mailbox);
        }
        let url = Url::parse(&self.0).ok()?;
        Some(Host::new(url.host_str()?, url.port_or_known_default()))
    }
}

/// `address` without the characters that change what it seems to be: browsers
/// drop line ends and tabs inside an address, readers stumble over blanks.
fn without_traps(address: &str) -> String {
    let mut clean = String::with_capacity(address.len());
    for character in address.chars() {
        if character.is_whitespace() && !character.is_control() {
            clean.push_str("%20");
        } else if is_writable(character) && !character.is_control() {
            clean.push(character);
        }
    }
    clean
}

/// A web address with its host as a browser finds it, in ASCII and right behind
/// the scheme; as it was written if it was so.
///
/// A name and a password in front of the host are left out: no customer needs
/// them, and they pass for the host.
fn as_followed(address: &str) -> Option<String> {
    let after_scheme = ["https://", "http://"]
        .iter()
        .find_map(|scheme| strip_prefix_ignoring_case(address, scheme))?;
    let mut url = Url::parse(address).ok()?;
    let honest = url.username().is_empty()
        && url.password().is_none()
        && strip_prefix_ignoring_case(after_scheme, url.host_str()?)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#', ':']));
    if honest {
        return Some(address.to_owned());
    }
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    Some(url.into())
}

/// The host of a single mailbox. More may hide behind a comma, an encoded
/// character, or in the headers that an address may bring along.
fn host_of_mailbox(mailbox: &str) -> Option<Host> {
    let (mailbox, headers) = mailbox.split_once('?').unwrap_or((mailbox, ""));
    let (name, host) = mailbox.split_once('@')?;
    let plain = |text: &str| {
        text.chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "._+-".contains(letter))
    };
    let single = plain(name) && plain(host) && !headers.contains('@') && !headers.contains("%40");
    single.then(|| Host::new(host, None))
}

/// A stretch of text, either plain or a bare web address.
pub(super) enum Stretch<'a> {
    Words(&'a str),
    Web(Address),
}

/// Finds the bare `https://…` addresses in running text, which Markdown leaves
/// as text, without the punctuation that ends the sentence around them. One that
/// leads elsewhere than it seems to is left as words.
pub(super) fn find_addresses(text: &str) -> Vec<Stretch<'_>> {
    let mut stretches = Vec::new();
    let mut rest = text;
    while let Some((start, end)) = next_address(rest) {
        let shown = &rest[start..end];
        if start > 0 {
            stretches.push(Stretch::Words(&rest[..start]));
        }
        let address = Address::parse(shown).filter(|address| address.as_str() == shown);
        stretches.push(address.map_or(Stretch::Words(shown), Stretch::Web));
        rest = &rest[end..];
    }
    if !rest.is_empty() {
        stretches.push(Stretch::Words(rest));
    }
    stretches
}

/// The byte range of the first bare address in `text`.
fn next_address(text: &str) -> Option<(usize, usize)> {
    // Searching for each scheme by itself would run past the first address.
    let start = text
        .match_indices("http")
        .map(|(start, _)| start)
        .find(|start| {
            let scheme = &text[*start..];
            scheme.starts_with("https://") || scheme.starts_with("http://")
        })?;
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
    fn addresses_of_one_scheme_are_not_looked_for_again_by_the_other() {
        // A megabyte: a second in one pass, minutes when each address has the
        // rest of the text searched for the scheme that is not there.
        for (address, scheme) in [("http://a ", "http"), ("https://a ", "https")] {
            let text = address.repeat(1_000_000 / address.len());
            let found = find_addresses(&text);
            let addresses = found
                .iter()
                .filter(|stretch| matches!(stretch, Stretch::Web(..)));
            assert_eq!(addresses.count(), text.matches(scheme).count());
        }
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
            let found: Vec<String> = find_addresses(text)
                .into_iter()
                .filter_map(|stretch| match stretch {
                    Stretch::Web(address) => Some(address.0),
                    Stretch::Words(_) => None,
                })
                .collect();
            assert_eq!(found, [expected], "{text}");
        }
    }
}
