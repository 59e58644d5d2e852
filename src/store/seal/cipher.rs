//! Sealing and opening with one key, wherever that is kept.

use std::fmt;
use std::io;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::{error::Unspecified, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::id::{AccountName, TurnId};

/// `RELAY_KEY`: without it, the keys that are kept with the words open nothing.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    /// Reads 32 bytes in Base64.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(STANDARD.decode(text).ok()?);
        let mut key = Zeroizing::new([0; 32]);
        (bytes.len() == key.len()).then(|| key.copy_from_slice(&bytes))?;
        Some(Self(key))
    }

    /// The key that seals, of the one that is kept.
    fn derive(&self, secret: &[u8]) -> Zeroizing<[u8; 32]> {
        let master = hmac::Key::new(hmac::HMAC_SHA256, &*self.0);
        let mut derived = Zeroizing::new([0; 32]);
        derived.copy_from_slice(hmac::sign(&master, secret).as_ref());
        derived
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

/// Seals the words of turns. A seal names its turn: the words of one can't be
/// opened as another's.
pub(in crate::store) struct Cipher(RandomizedNonceKey);

impl Cipher {
    /// Of a kept key of 32 bytes.
    pub(in crate::store) fn new(
        secret: &[u8],
        master: Option<&MasterKey>,
    ) -> Result<Self, Unspecified> {
        let key = match master {
            Some(master) => RandomizedNonceKey::new(&AES_256_GCM, &*master.derive(secret)),
            None => RandomizedNonceKey::new(&AES_256_GCM, secret),
        };
        key.map(Self)
    }

    /// Nonce, words and tag.
    pub(in crate::store) fn seal(
        &self,
        account: &AccountName,
        turn: TurnId,
        words: &str,
    ) -> io::Result<Vec<u8>> {
        let mut sealed = Zeroizing::new(words.as_bytes().to_vec());
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(bound_to(account, turn)), &mut *sealed)
            .map_err(|_| io::Error::other("the words could not be sealed"))?;
        let mut bytes = Vec::with_capacity(NONCE_LEN + sealed.len());
        bytes.extend_from_slice(nonce.as_ref());
        bytes.extend_from_slice(&sealed);
        Ok(bytes)
    }

    /// The words; none if they are not this turn's, or were sealed with another key.
    pub(in crate::store) fn open(
        &self,
        account: &AccountName,
        turn: TurnId,
        sealed: &[u8],
    ) -> Option<String> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut opened = Zeroizing::new(sealed.to_vec());
        let words = self
            .0
            .open_in_place(nonce, Aad::from(bound_to(account, turn)), &mut opened)
            .ok()?;
        std::str::from_utf8(words).ok().map(str::to_owned)
    }
}

/// What a seal is bound to.
fn bound_to(account: &AccountName, turn: TurnId) -> Vec<u8> {
    let account = account.as_str().as_bytes();
    [&turn.0.to_le_bytes(), account].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_open_only_with_the_key_the_turn_and_the_master_key_they_were_sealed_with() {
        let account = AccountName::new("acme");
        let master = MasterKey::parse(&STANDARD.encode([7; 32])).unwrap();
        let other = MasterKey::parse(&STANDARD.encode([8; 32])).unwrap();
        let sealed = Cipher::new(&[1; 32], Some(&master)).unwrap();
        let sealed = sealed.seal(&account, TurnId(3), "words").unwrap();
        let opened = |secret: &[u8; 32], master, turn| {
            let cipher = Cipher::new(secret, master).unwrap();
            cipher.open(&account, TurnId(turn), &sealed)
        };
        assert_eq!(opened(&[1; 32], Some(&master), 3).as_deref(), Some("words"));
        for wrong in [
            opened(&[2; 32], Some(&master), 3),
            opened(&[1; 32], Some(&other), 3),
            opened(&[1; 32], None, 3),
            opened(&[1; 32], Some(&master), 4),
        ] {
            assert_eq!(wrong, None);
        }
    }

    #[test]
    fn a_master_key_is_32_bytes_in_base64_and_shows_nothing() {
        for wrong in [
            "",
            "AAAA",
            "not base64",
            &STANDARD.encode([0; 31]),
            &STANDARD.encode([0; 33]),
        ] {
            assert!(MasterKey::parse(wrong).is_none(), "{wrong}");
        }
        let key = MasterKey::parse(&STANDARD.encode([65; 32])).unwrap();
        assert_eq!(format!("{key:?}"), "MasterKey");
    }
}
