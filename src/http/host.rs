//! Whom an admin listener without a password answers: who asks it by a loopback
//! name or address. A page from elsewhere whose name was made to lead here
//! ("DNS rebinding") asks by that name, and so does a proxy that was opened to
//! others by mistake.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::HOST;
use axum::http::uri::Authority;

/// Whether they ask by such a name, in the header and wherever else they name a host.
pub(super) fn is_asked_by_loopback(request: &Request) -> bool {
    let named = request.uri().host().is_none_or(is_loopback);
    named && host(request.headers()).is_some_and(|host| is_loopback(host.host()))
}

/// The one `Host`, without its port.
fn host(headers: &HeaderMap) -> Option<Authority> {
    let mut hosts = headers.get_all(HOST).iter();
    let (first, second) = (hosts.next()?, hosts.next());
    Authority::try_from(first.as_bytes())
        .ok()
        .filter(|_| second.is_none())
}

/// `localhost` and what is below it are this machine (RFC 6761).
fn is_loopback(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    name == "localhost"
        || name.ends_with(".localhost")
        || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn is_answered(values: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HOST, HeaderValue::from_static(value));
        }
        host(&headers).is_some_and(|host| is_loopback(host.host()))
    }

    #[test]
    fn loopback_goes_by_names_and_addresses_and_nothing_else_passes_for_it() {
        for host in [
            "localhost",
            "LocalHost:9090",
            "localhost.:9090",
            "relay.localhost",
            "127.0.0.1:9090",
            "127.8.9.10",
            "[::1]:9090",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(is_answered(&[host]), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example:9090",
            "127.0.0.1.evil.example",
            "notlocalhost",
            "10.0.0.1",
            "0.0.0.0",
            "[::2]",
            "local host",
        ] {
            assert!(!is_answered(&[host]), "{host}");
        }
        assert!(!is_answered(&[]));
        assert!(!is_answered(&["localhost", "localhost"]));
    }
}
