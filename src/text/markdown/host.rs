//! The hosts that a link's words name, to be held against the one it leads to.
//!
//! Words are taken for a host rather too often: then a reader sees an address
//! they had not needed. Taken for none, they hide where the link leads.

use std::net::Ipv4Addr;
use std::sync::LazyLock;

use regex::Regex;

use crate::text::pattern::built_in_one;

/// A host as it is compared: in small letters, without `www.`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Host {
    name: String,
    port: Option<u16>,
}

impl Host {
    /// The host of this name, at a port if one is told.
    pub(super) fn new(name: &str, port: Option<u16>) -> Self {
        let name = name.to_ascii_lowercase();
        let name = name.trim_end_matches('.');
        Self {
            name: name.strip_prefix("www.").unwrap_or(name).to_owned(),
            port,
        }
    }

    /// Whether this host, named by someone, is the `real` one. Only a port that
    /// was named can be wrong.
    pub(super) fn is(&self, real: &Self) -> bool {
        self.name == real.name && (self.port.is_none() || self.port == real.port)
    }
}

/// Endings of file names that no domain has.
const FILE_ENDINGS: &[&str] = &[
    "csv", "doc", "docx", "gif", "htm", "html", "jpeg", "jpg", "pdf", "png", "txt", "xls", "xlsx",
];

/// Every host that `words` name, with or without a scheme. What follows a host
/// as its path names none.
pub(super) fn named_hosts(words: &str) -> Vec<Host> {
    let mut hosts = Vec::new();
    let mut start = 0;
    while let Some(found) = NAMES.captures_at(words, start) {
        let port = found
            .name("port")
            .and_then(|port| port.as_str().parse().ok());
        let before = hosts.len();
        if let Some(names) = found.name("names") {
            // An ellipsis parts two names.
            let names = names.as_str().replace(OTHER_DOTS, ".");
            let names = names
                .split("..")
                .map(|name| name.trim_matches(['.', '-', '_']))
                .filter(|name| found.name("scheme").is_some() || is_host(name));
            hosts.extend(names.map(|name| Host::new(name, port)));
        }
        start = found.get_match().end();
        if hosts.len() > before && words[start..].starts_with(['/', '?', '#']) {
            start += words[start..]
                .find(char::is_whitespace)
                .unwrap_or(words.len() - start);
        }
    }
    hosts
}

/// Whether a name without a scheme reads like a host's: of several labels, the
/// last of them a word and no file's ending. `3.5`, `e.g` and `U.S` are none.
fn is_host(name: &str) -> bool {
    if name.parse::<Ipv4Addr>().is_ok() {
        return true;
    }
    let Some((above, last)) = name.rsplit_once('.') else {
        return false;
    };
    let last = last.to_lowercase();
    let word = last.chars().nth(1).is_some() && !last.contains(char::is_numeric);
    !above.is_empty()
        && (word || last.starts_with("xn--"))
        && !FILE_ENDINGS.contains(&last.as_str())
}

/// What browsers, or else readers, take for the dot of a host.
const OTHER_DOTS: [char; 5] = ['\u{3002}', '\u{ff0e}', '\u{ff61}', '\u{2024}', '\u{fe52}'];

/// Runs of what hosts consist of, and of the marks and characters of no width
/// that may be put between to hide one.
static NAMES: LazyLock<Regex> = LazyLock::new(|| {
    built_in_one(
        r"(?<scheme>https?://)?(?<names>[\p{L}\p{M}\p{N}\p{Cf}._\u{3002}\u{ff0e}\u{ff61}\u{2024}\u{fe52}-]+)(?::(?<port>[0-9]{1,5}))?",
    )
});

#[cfg(test)]
mod tests {
    use super::*;

    fn names(words: &str) -> Vec<String> {
        named_hosts(words)
            .into_iter()
            .map(|host| host.name)
            .collect()
    }

    #[test]
    fn hosts_are_found_in_whatever_surrounds_them() {
        for (words, expected) in [
            (
                "see (WWW.Bank.Example), or \u{201c}shop.example\u{201d}!",
                vec!["bank.example", "shop.example"],
            ),
            (
                "http://intranet/x.y and/or shop.example?a.b",
                vec!["intranet", "shop.example"],
            ),
            ("wait...bank.example...", vec!["bank.example"]),
            (
                "https://a.example@b.example",
                vec!["a.example", "b.example"],
            ),
            ("bank\u{ff0e}example", vec!["bank.example"]),
            ("b\u{430}nk.xn--p1ai", vec!["b\u{430}nk.xn--p1ai"]),
            (
                "127.0.0.1 is v1.2.3 of 3.5, e.g. guide.PDF",
                vec!["127.0.0.1"],
            ),
            ("our guide", vec![]),
        ] {
            assert_eq!(names(words), expected, "{words}");
        }
    }

    #[test]
    fn a_host_is_the_same_at_any_port_unless_one_is_named() {
        let real = Host::new("Bank.example.", Some(8443));
        assert!(Host::new("www.bank.example", None).is(&real));
        assert!(Host::new("bank.example", Some(8443)).is(&real));
        assert!(!Host::new("bank.example", Some(443)).is(&real));
        assert!(!Host::new("login.bank.example", None).is(&real));
    }

    #[test]
    fn a_huge_text_of_names_is_read_in_one_pass() {
        for name in ["a.example/ ", "a.", "https://", "a@", "a.example:1"] {
            let words = name.repeat(300_000 / name.len());
            assert!(named_hosts(&words).len() <= words.len() / 9);
        }
    }
}
