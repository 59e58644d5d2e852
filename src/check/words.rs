//! Failures of a network in words that an operator knows.

/// What the library says, and what it means.
const KNOWN: [(&[&str], &str); 9] = [
    (
        &[
            "unknownissuer",
            "unknown issuer",
            "self-signed",
            "self signed",
            "causedasendentity",
        ],
        "its certificate is signed by nobody whom this machine trusts (if a proxy here opens TLS, install its CA certificate)",
    ),
    (
        &["notvalidforname", "not valid for name"],
        "its certificate is for another host name",
    ),
    (
        &["notvalidyet", "not valid yet"],
        "its certificate is not valid yet, so this machine's clock is probably behind",
    ),
    (
        &["expired"],
        "its certificate has expired, or this machine's clock is ahead",
    ),
    (
        &["corrupt message", "invalidcontenttype", "unexpectedmessage"],
        "it does not speak TLS on this port",
    ),
    (
        &[
            "lookup address",
            "name or service not known",
            "dns error",
            "no such host",
        ],
        "no host of this name is known here: a slip in the address, or no DNS",
    ),
    (&["connection refused"], "nothing listens there"),
    (&["unreachable"], "this machine has no way to it"),
    (
        &["timed out", "timeout", "deadline has elapsed"],
        "no answer came in time: a firewall, a proxy, or it is overloaded",
    ),
];

/// Adds the meaning, if it is known.
pub(super) fn in_plain_words(what: &str) -> String {
    let lower = what.to_lowercase();
    let known = KNOWN
        .iter()
        .find(|(signs, _)| signs.iter().any(|sign| lower.contains(sign)));
    known.map_or_else(
        || what.to_owned(),
        |(_, meaning)| format!("{meaning} ({what})"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_operator_may_meet_is_explained() {
        for (what, meaning) in [
            ("invalid peer certificate: UnknownIssuer", "trusts"),
            (
                "invalid peer certificate: certificate not valid for name \"a\"; certificate is only valid for b",
                "another host name",
            ),
            ("invalid peer certificate: Expired", "has expired"),
            (
                "invalid peer certificate: certificate expired: verification time 1 (UNIX)",
                "has expired",
            ),
            ("received corrupt message of type InvalidContentType", "TLS"),
            (
                "failed to lookup address information: Name or service not known",
                "DNS",
            ),
            ("Connection refused (os error 111)", "nothing listens"),
            ("operation timed out", "in time"),
        ] {
            let words = in_plain_words(what);
            assert!(words.contains(meaning), "{words}");
            assert!(words.contains(what), "{words}");
        }
        assert_eq!(in_plain_words("something else"), "something else");
    }
}
