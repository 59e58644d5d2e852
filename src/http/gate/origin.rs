//! Whether a page of ours asks, as a browser tells it. Pure.
//!
//! `Sec-Fetch-Site` says so where it is sent: to https and to this machine (W3C Fetch
//! Metadata). Browsers leave it out on plain http to other addresses; there `Origin`
//! must name the host that was asked. Its scheme says nothing: TLS may end in front.

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, HeaderValue};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Who made the browser ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// A page of ours.
    Ourselves,
    /// A page or a link of somebody else.
    Others,
    /// Nobody says: it may be no browser at all.
    Unsaid,
}

impl Asker {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        match only(headers, &SEC_FETCH_SITE) {
            Said::Once(site) if site == "same-origin" => return Self::Ourselves,
            // Somebody typed the address or chose a bookmark.
            Said::Once(site) if site == "none" => return Self::Unsaid,
            Said::Once(_) | Said::Often => return Self::Others,
            Said::Never => {}
        }
        match (only(headers, &ORIGIN), only(headers, &HOST)) {
            (Said::Never, _) => Self::Unsaid,
            (Said::Once(origin), Said::Once(host)) if names(origin, host) => Self::Ourselves,
            _ => Self::Others,
        }
    }
}

enum Said<'a> {
    Never,
    Once(&'a HeaderValue),
    Often,
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Said<'a> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (None, _) => Said::Never,
        (Some(value), None) => Said::Once(value),
        (Some(_), Some(_)) => Said::Often,
    }
}

/// Whether an origin is this host, whatever its scheme.
fn names(origin: &HeaderValue, host: &HeaderValue) -> bool {
    let origin = origin.as_bytes();
    let named = [&b"https://"[..], b"http://"]
        .iter()
        .find_map(|scheme| origin.strip_prefix(*scheme));
    named.is_some_and(|named| !named.is_empty() && named.eq_ignore_ascii_case(host.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(headers: &[(&'static str, &'static str)]) -> Asker {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_static(name);
            map.append(name, HeaderValue::from_static(value));
        }
        Asker::of(&map)
    }

    #[test]
    fn a_page_of_ours_is_known_by_what_the_browser_says() {
        let host = ("host", "relay.internal:9090");
        let cases: [(&[_], _); 11] = [
            (&[("sec-fetch-site", "same-origin")], Asker::Ourselves),
            (&[("sec-fetch-site", "same-site")], Asker::Others),
            (&[("sec-fetch-site", "cross-site")], Asker::Others),
            (&[("sec-fetch-site", "none")], Asker::Unsaid),
            (
                &[
                    ("sec-fetch-site", "same-origin"),
                    ("sec-fetch-site", "same-origin"),
                ],
                Asker::Others,
            ),
            (
                &[("origin", "http://relay.internal:9090")],
                Asker::Ourselves,
            ),
            (
                &[("origin", "https://RELAY.internal:9090")],
                Asker::Ourselves,
            ),
            (&[("origin", "http://relay.internal")], Asker::Others),
            (&[("origin", "http://evil.example")], Asker::Others),
            (&[("origin", "null")], Asker::Others),
            (&[], Asker::Unsaid),
        ];
        for (headers, expected) in cases {
            let headers = [&[host], headers].concat();
            assert_eq!(asker(&headers), expected, "{headers:?}");
        }
        let fetch_goes_first = [
            host,
            ("origin", "http://relay.internal:9090"),
            ("sec-fetch-site", "cross-site"),
        ];
        assert_eq!(asker(&fetch_goes_first), Asker::Others);
        assert_eq!(asker(&[("origin", "http://a")]), Asker::Others, "no host");
    }
}
