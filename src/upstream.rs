//! What every call to another service shares: how it can end without a usable
//! answer, and whether it may have had its effect.

use std::error::Error as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls_platform_verifier::Verifier;
use serde_json::Value;

/// Whether a call that failed may have changed something over there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It surely has not.
    None,
    /// Nobody can tell without looking.
    Unknown,
}

/// How a call ended when no answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// No connection could be made.
    Connect,
    /// The time allowed for it passed.
    Timeout,
    /// The connection ended before the answer did.
    Broken,
}

impl Cut {
    /// Sorts an error of the HTTP library.
    pub fn of(error: &reqwest::Error) -> Self {
        if error.is_connect() {
            Self::Connect
        } else if error.is_timeout() {
            Self::Timeout
        } else {
            Self::Broken
        }
    }

    /// The word for the `status` label and the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect_failed",
            Self::Timeout => "timeout",
            Self::Broken => "cut",
        }
    }

    /// Whether the request may have arrived.
    pub const fn effect(self) -> Effect {
        match self {
            Self::Connect => Effect::None,
            Self::Timeout | Self::Broken => Effect::Unknown,
        }
    }
}

/// The innermost cause of an HTTP error, which says more than its own display
/// and, unlike that, holds no URL.
pub fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if error.source().is_none() {
        Cut::of(error).as_str().to_owned()
    } else {
        cause.to_string()
    }
}

/// `Retry-After` in seconds. Its other form, a date, is not used by either API.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse::<f64>()
        .ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// An answer as it came, whatever its status: for those who ask how things are.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; null if that is not JSON.
    pub body: Value,
    /// When it came, by this machine's clock.
    pub at: Timestamp,
}

impl Seen {
    /// A 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What the other machine's clock shows (RFC 9110, `Date`).
    pub fn date(&self) -> Option<Timestamp> {
        date_of(&self.headers)
    }
}

/// What the clock of whoever answered shows (RFC 9110, `Date`).
pub fn date_of(headers: &HeaderMap) -> Option<Timestamp> {
    let text = headers.get(DATE)?.to_str().ok()?;
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

/// A client for one service: no redirects, because both APIs answer where they
/// are asked and a redirect would carry credentials elsewhere; no proxy to this
/// machine itself.
pub fn http_client(url: &reqwest::Url) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("gladly-relay/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5));
    let builder = match trust() {
        Some(tls) => builder.tls_backend_preconfigured(tls.clone()),
        // It fails to be built then, and says why.
        None => builder,
    };
    // Plain http is only ever to this machine (see `config`).
    if url.scheme() == "http" {
        builder.no_proxy()
    } else {
        builder
    }
}

/// Whom all clients believe: by the system's roots, as reqwest has it by itself, but read
/// once. That takes 5 ms and a quarter of a megabyte, which thousands of accounts feel.
fn trust() -> Option<&'static ClientConfig> {
    static TRUST: OnceLock<Option<ClientConfig>> = OnceLock::new();
    let read = || {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Verifier::new(provider.clone())?;
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok::<_, rustls::Error>(tls)
    };
    TRUST.get_or_init(|| read().ok()).as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_can_use_what_all_of_them_share() {
        assert!(trust().is_some());
        let url = "https://acme.gladly.com".parse().unwrap();
        assert!(http_client(&url).build().is_ok());
    }

    #[test]
    fn the_date_of_an_answer_is_read() {
        let headers = [(DATE, "Sun, 15 Nov 2026 08:12:31 GMT")];
        let parsed = headers.map(|(name, value)| (name, value.parse().unwrap()));
        let seen = Seen {
            status: 200,
            headers: HeaderMap::from_iter(parsed),
            body: Value::Null,
            at: Timestamp::UNIX_EPOCH,
        };
        let expected: Timestamp = "2026-11-15T08:12:31Z".parse().unwrap();
        assert_eq!(seen.date(), Some(expected));
    }
}
