//! The accounts, found by what a webhook brings: `X-Account-Identifier` and,
//! where configured, HTTP Basic credentials.
//!
//! Finding takes the same time whatever is brought: SHA-256 digests of equal
//! length are compared in constant time, over every accepted value of every
//! account, without stopping at a match.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::config::{AccountConfig, WebhookCredentials};
use crate::id::AccountName;

type SecretDigest = [u8; 32];

/// How to recognise the webhooks of each account.
pub struct Accounts(Vec<Entry>);

struct Entry {
    name: AccountName,
    identifiers: Vec<SecretDigest>,
    /// Digest of the whole `Authorization` header, if one is demanded.
    authorization: Option<SecretDigest>,
}

impl Accounts {
    /// Takes what is needed of each account's settings.
    pub fn new(accounts: &[AccountConfig]) -> Self {
        let entry = |account: &AccountConfig| Entry {
            name: account.name.clone(),
            identifiers: account
                .identifiers
                .iter()
                .map(|identifier| digest(identifier.expose_secret().as_bytes()))
                .collect(),
            authorization: account
                .webhook_credentials
                .as_ref()
                .map(|credentials| digest(authorization(credentials).expose_secret().as_bytes())),
        };
        Self(accounts.iter().map(entry).collect())
    }

    /// The account that a delivery with these headers belongs to. None if the
    /// identifier is missing or unknown, or its credentials are wrong: the
    /// caller gives one answer for all of them.
    pub fn find(
        &self,
        identifier: Option<&[u8]>,
        authorization: Option<&[u8]>,
    ) -> Option<&AccountName> {
        // Nobody's identifier is empty, so this costs only the early exit.
        let identifier = digest(identifier.filter(|identifier| !identifier.is_empty())?);
        let authorization = digest(authorization.unwrap_or_default());
        let mut found = None;
        for entry in &self.0 {
            let known = entry
                .identifiers
                .iter()
                .fold(Choice::from(0), |known, accepted| {
                    known | accepted.ct_eq(&identifier)
                });
            let authorized = entry
                .authorization
                .map_or(Choice::from(1), |accepted| accepted.ct_eq(&authorization));
            if bool::from(known & authorized) {
                found = Some(&entry.name);
            }
        }
        found
    }
}

/// The `Authorization` header that carries HTTP Basic credentials (RFC 7617).
fn authorization(credentials: &WebhookCredentials) -> SecretString {
    let pair = format!(
        "{}:{}",
        credentials.username,
        credentials.password.expose_secret()
    );
    SecretString::from(format!("Basic {}", BASE64.encode(pair)))
}

fn digest(value: &[u8]) -> SecretDigest {
    Sha256::digest(value).into()
}
