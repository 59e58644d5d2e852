//! The admin listener's password: Bearer, or Basic with any user name.

use axum::extract::{Request, State as Shared};
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::problem::Problem;

/// A digest of it: two of these are compared in constant time.
#[derive(Clone, Copy)]
pub(super) struct Password([u8; 32]);

impl Password {
    pub(super) fn new(password: &SecretString) -> Self {
        Self(Sha256::digest(password.expose_secret()).into())
    }

    fn is(&self, given: &[u8]) -> bool {
        let given: [u8; 32] = Sha256::digest(given).into();
        self.0.ct_eq(&given).into()
    }

    /// Whether this value of `Authorization` holds it.
    fn is_in(&self, authorization: &[u8]) -> bool {
        let Some(space) = authorization.iter().position(|byte| *byte == b' ') else {
            return false;
        };
        let (scheme, value) = (&authorization[..space], &authorization[space + 1..]);
        if scheme.eq_ignore_ascii_case(b"bearer") {
            return self.is(value);
        }
        let pair = BASE64.decode(value).unwrap_or_default();
        let colon = pair.iter().position(|byte| *byte == b':');
        scheme.eq_ignore_ascii_case(b"basic")
            && colon.is_some_and(|colon| self.is(&pair[colon + 1..]))
    }
}

/// Lets those pass who know it.
pub(super) async fn require(
    Shared(password): Shared<Password>,
    request: Request,
    next: Next,
) -> Response {
    let given = request.headers().get(AUTHORIZATION);
    if given.is_some_and(|given| password.is_in(given.as_bytes())) {
        next.run(request).await
    } else {
        Problem::no_password().into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_taken_as_bearer_or_as_basic_with_any_user_and_in_no_other_way() {
        let password = Password::new(&SecretString::from("a: b"));
        let basic = |pair: &str| format!("Basic {}", BASE64.encode(pair));
        let cases = [
            ("Bearer a: b".to_owned(), true),
            ("bearer a: b".to_owned(), true),
            (basic("admin:a: b"), true),
            (basic(":a: b"), true),
            (basic("a: b"), false),
            (basic("admin:other"), false),
            ("Bearer other".to_owned(), false),
            ("Bearer".to_owned(), false),
            ("a: b".to_owned(), false),
            ("Basic not base64".to_owned(), false),
            (String::new(), false),
        ];
        for (given, right) in cases {
            assert_eq!(password.is_in(given.as_bytes()), right, "{given}");
        }
    }
}
