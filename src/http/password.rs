//! The admin listener's password: Bearer, or Basic with any user name.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// A digest of it: two of these are compared in constant time.
#[derive(Clone, Copy)]
pub(super) struct Password([u8; 32]);

/// How it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Given {
    /// By a program that was told to.
    Bearer,
    /// Perhaps by a browser, on its own.
    Basic,
}

impl Password {
    pub(super) fn new(password: &SecretString) -> Self {
        Self(Sha256::digest(password.expose_secret()).into())
    }

    /// Whether this is it.
    pub(super) fn is(&self, given: &[u8]) -> bool {
        let given: [u8; 32] = Sha256::digest(given).into();
        self.0.ct_eq(&given).into()
    }

    /// How this value of `Authorization` holds it; none if it does not.
    pub(super) fn given_in(&self, authorization: &[u8]) -> Option<Given> {
        let space = authorization.iter().position(|byte| *byte == b' ')?;
        let (scheme, value) = (&authorization[..space], &authorization[space + 1..]);
        if scheme.eq_ignore_ascii_case(b"bearer") {
            return self.is(value).then_some(Given::Bearer);
        }
        let pair = BASE64.decode(value).unwrap_or_default();
        let colon = pair.iter().position(|byte| *byte == b':');
        let is_basic = scheme.eq_ignore_ascii_case(b"basic");
        let is_right = is_basic && colon.is_some_and(|colon| self.is(&pair[colon + 1..]));
        is_right.then_some(Given::Basic)
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
            let taken = password.given_in(given.as_bytes()).is_some();
            assert_eq!(taken, right, "{given}");
        }
    }
}
