//! The two settings of commands that look at a relay from beside it: they need
//! no account and no secret, and nothing else is read.

use std::net::SocketAddr;
use std::path::Path;

use super::reader::{Mistakes, Section};
use super::{ConfigError, Environment, KEY, read_document, read_listen, read_store};
use crate::store::{MasterKey, StoreAddress};

/// Where a relay listens, and where its database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// `RELAY_LISTEN`: webhooks and health.
    pub listen: SocketAddr,
    /// `RELAY_STORE`: the database.
    pub store: StoreAddress,
}

impl Addresses {
    /// Reads them as [`super::Config::load`] does.
    ///
    /// # Errors
    /// [`ConfigError`] if the file can't be read or one of them is wrong.
    pub fn load(file: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        let mistakes = Mistakes::default();
        let document = read_document(file, environment, &mistakes);
        let addresses = document.and_then(|document| {
            let root = Section::new(environment, &mistakes, Some(&document), "", true);
            Some(Self {
                listen: read_listen(&root)?,
                store: read_store(&root),
            })
        });
        let mistakes = mistakes.into_vec();
        match addresses {
            Some(addresses) if mistakes.is_empty() => Ok(addresses),
            _ => Err(ConfigError { mistakes }),
        }
    }
}

/// Reads `RELAY_KEY` alone, as [`super::Config::load`] does.
///
/// # Errors
/// [`ConfigError`] if the file can't be read or the key is wrong.
pub fn load_key(
    file: Option<&Path>,
    environment: &Environment,
) -> Result<Option<MasterKey>, ConfigError> {
    let mistakes = Mistakes::default();
    let document = read_document(file, environment, &mistakes);
    let key = document.and_then(|document| {
        let root = Section::new(environment, &mistakes, Some(&document), "", true);
        root.get(&KEY, MasterKey::parse)
    });
    match mistakes.into_vec() {
        mistakes if mistakes.is_empty() => Ok(key),
        mistakes => Err(ConfigError { mistakes }),
    }
}
