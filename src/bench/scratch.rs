//! What the relay under test stores in: a file, or a database of the bench's own on a
//! PostgreSQL server, which is taken away again.

use std::path::Path;

use anyhow::Context as _;

use super::database::OwnPostgres;
use super::stage::database_in;
use crate::store::{MasterKey, Postgres, PostgresAddress, StoreAddress};

/// Where databases are made.
#[derive(Debug, Default)]
pub enum Databases {
    /// A file in the bench's folder.
    #[default]
    Files,
    /// On a server of the bench's own.
    Own(OwnPostgres),
    /// On this server.
    On(Box<PostgresAddress>),
}

/// What `--store` may say.
pub const STORES: &str = "sqlite, postgres (a server of the bench's own, of the programs installed here), or the postgres:// address of a server on this machine";

impl Databases {
    /// Reads `--store`.
    ///
    /// # Errors
    /// Says what to write, or why there is no server.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        match text {
            "sqlite" => Ok(Self::Files),
            "postgres" => Ok(Self::Own(Self::own_server()?)),
            address => match StoreAddress::parse(address) {
                Some(StoreAddress::Postgres(address)) if address.is_loopback() => {
                    Ok(Self::On(address))
                }
                _ => anyhow::bail!("--store: write {STORES}; a bench touches nothing else"),
            },
        }
    }

    /// A server of the bench's own, with its disk synced as usual.
    pub(super) fn own_server() -> anyhow::Result<OwnPostgres> {
        let programs = OwnPostgres::programs().context("PostgreSQL is not installed here")?;
        Ok(OwnPostgres::start(
            &programs,
            &["max_connections=200", "shared_buffers=256MB"],
        )?)
    }

    /// A new one.
    ///
    /// # Errors
    /// Fails if the server can't be reached.
    pub(super) async fn fresh(&self, folder: &Path) -> anyhow::Result<Scratch> {
        let name = format!("gladly_relay_bench_{:08x}", fastrand::u32(..));
        let address = match self {
            Self::Files => return Ok(Scratch::File(database_in(folder).display().to_string())),
            Self::Own(server) => match StoreAddress::parse(&server.address("postgres")) {
                Some(StoreAddress::Postgres(address)) => address,
                _ => anyhow::bail!("the server of the bench has no address"),
            },
            Self::On(address) => address.clone(),
        };
        Postgres::execute(&address, &format!("CREATE DATABASE {name}")).await?;
        Ok(Scratch::Database(Database { address, name }))
    }

    /// The server, if it is the bench's own.
    pub(super) fn own(&self) -> Option<&OwnPostgres> {
        match self {
            Self::Own(server) => Some(server),
            Self::Files | Self::On(_) => None,
        }
    }
}

/// A database for one relay under test, or several.
#[derive(Debug)]
pub(super) enum Scratch {
    File(String),
    Database(Database),
}

/// One on a server. It goes when it is dropped.
#[derive(Debug)]
pub(super) struct Database {
    address: Box<PostgresAddress>,
    name: String,
}

/// Of no worth to anybody: what it seals goes with the database.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

impl Scratch {
    /// As the relay's configuration names it.
    pub(super) fn settings(&self) -> String {
        match self {
            Self::File(path) => format!("store = \"sqlite://{path}\"\n"),
            Self::Database(database) => {
                let address = database.address.with_database(&database.name);
                format!("store = \"{}\"\nkey = \"{KEY}\"\n", address.with_password())
            }
        }
    }

    /// What words in it are sealed with; with a file its key lies beside it.
    pub(super) fn key(&self) -> Option<MasterKey> {
        match self {
            Self::File(_) => None,
            Self::Database(_) => MasterKey::parse(KEY),
        }
    }

    /// Its name on its server, if it is on one.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::File(_) => None,
            Self::Database(database) => Some(&database.name),
        }
    }

    /// Where it is.
    pub(super) fn address(&self) -> StoreAddress {
        match self {
            Self::File(path) => StoreAddress::Sqlite(path.into()),
            Self::Database(Database { address, name }) => {
                StoreAddress::Postgres(Box::new(address.with_database(name)))
            }
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (address, name) = (self.address.clone(), self.name.clone());
        let drop = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let sql = format!("DROP DATABASE {name} WITH (FORCE)");
            runtime
                .block_on(Postgres::execute(&address, &sql))
                .map_err(anyhow::Error::from)
        };
        // A thread of its own: this may be one that must not block.
        match std::thread::spawn(drop).join() {
            Ok(Ok(())) => {}
            failed => {
                let error = failed.map(Result::err);
                tracing::warn!(?error, "the bench's database could not be taken away");
            }
        }
    }
}
