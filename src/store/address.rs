//! Where the database is: `sqlite://` and a file, or a PostgreSQL URL as libpq
//! takes it (PostgreSQL documentation, "Connection URIs").

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use reqwest::Url;
use tokio_postgres::config::{Host, SslMode};

/// `RELAY_STORE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreAddress {
    /// One file on this machine.
    Sqlite(PathBuf),
    /// A PostgreSQL database that several relays may share.
    Postgres(Box<PostgresAddress>),
}

/// How to reach a PostgreSQL database. Its `Debug` and `Display` hold no password.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresAddress {
    pub(super) config: tokio_postgres::Config,
    pub(super) verify: Verify,
    /// The authority to believe instead of the system's.
    pub(super) root: Option<PathBuf>,
    shown: String,
}

/// What a server must prove before it gets the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verify {
    /// Nothing: whoever answers is believed.
    Nothing,
    /// That an authority knows it.
    Authority,
    /// That an authority knows it under the name that was called.
    AuthorityAndName,
}

impl StoreAddress {
    /// Reads `sqlite://relative/path`, `sqlite:///absolute/path` or `postgres://…`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("sqlite://") {
            let is_file = !path.is_empty() && !path.ends_with('/');
            return is_file.then(|| Self::Sqlite(PathBuf::from(path)));
        }
        PostgresAddress::parse(text).map(|address| Self::Postgres(Box::new(address)))
    }

    /// The file, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }
}

impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => {
                let absolute = std::path::absolute(path);
                write!(f, "{}", absolute.as_ref().unwrap_or(path).display())
            }
            Self::Postgres(address) => address.fmt(f),
        }
    }
}

impl PostgresAddress {
    /// Reads a URL. `sslmode` and `sslrootcert` mean what libpq makes of them
    /// (PostgreSQL documentation, "SSL Support", "Client Verification of Server
    /// Certificates").
    fn parse(text: &str) -> Option<Self> {
        let mut url = Url::parse(text).ok()?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return None;
        }
        let (mut mode, mut root, mut rest) = (None, None, Vec::new());
        for (key, value) in url.query_pairs() {
            match &*key {
                "sslmode" => mode = Some(value.into_owned()),
                "sslrootcert" => root = Some(PathBuf::from(&*value)).filter(|_| value != "system"),
                _ => rest.push((key.into_owned(), value.into_owned())),
            }
        }
        url.set_query(None);
        if !rest.is_empty() {
            url.query_pairs_mut().extend_pairs(rest);
            // What a form writes for a blank is none in this address.
            let query = url.query().map(|query| query.replace('+', "%20"));
            url.set_query(query.as_deref());
        }
        let (ssl, verify) = match mode.as_deref() {
            Some("disable") => (SslMode::Disable, Verify::Nothing),
            None | Some("allow" | "prefer") => (SslMode::Prefer, Verify::Nothing),
            // As libpq: an authority that is named is asked.
            Some("require") if root.is_some() => (SslMode::Require, Verify::Authority),
            Some("require") => (SslMode::Require, Verify::Nothing),
            Some("verify-ca") => (SslMode::Require, Verify::Authority),
            Some("verify-full") => (SslMode::Require, Verify::AuthorityAndName),
            Some(_) => return None,
        };
        let mut config: tokio_postgres::Config = url.as_str().parse().ok()?;
        config.ssl_mode(ssl);
        (config.get_dbname().is_some() && config.get_user().is_some()).then_some(())?;
        url.set_password(None).ok();
        url.set_query(None);
        Some(Self {
            config,
            verify,
            root,
            shown: url.to_string(),
        })
    }
}

impl PostgresAddress {
    /// Another database on the same server.
    #[must_use]
    pub fn with_database(&self, name: &str) -> Self {
        let mut other = self.clone();
        other.config.dbname(name);
        if let Some(at) = other.shown.rfind('/') {
            other.shown.replace_range(at + 1.., name);
        }
        other
    }

    /// Whether it is a server on this machine.
    pub fn is_loopback(&self) -> bool {
        let is_here = |host: &Host| match host {
            Host::Tcp(name) => name
                .parse()
                .is_ok_and(|address: IpAddr| address.is_loopback()),
            #[cfg(unix)]
            Host::Unix(_) => true,
        };
        self.config.get_hosts().iter().all(is_here)
    }

    /// With the password, for a child process's configuration; TLS is left out, for
    /// that is never left on this machine.
    pub(crate) fn with_password(&self) -> String {
        let password = self.config.get_password().unwrap_or_default();
        let encoded = password.iter().map(|byte| format!("%{byte:02X}"));
        let encoded: String = encoded.collect();
        let (scheme, rest) = self.shown.split_once("://").unwrap_or_default();
        let (user, place) = rest.split_once('@').unwrap_or_default();
        format!("{scheme}://{user}:{encoded}@{place}")
    }
}

impl fmt::Display for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresAddress({}, {:?})", self.shown, self.verify)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn postgres(text: &str) -> PostgresAddress {
        match StoreAddress::parse(text) {
            Some(StoreAddress::Postgres(address)) => *address,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_file_is_relative_or_absolute() {
        for (text, path) in [
            ("sqlite://data/relay.db", "data/relay.db"),
            ("sqlite:///var/relay.db", "/var/relay.db"),
        ] {
            let address = StoreAddress::parse(text).unwrap();
            assert_eq!(address.path(), Some(Path::new(path)));
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in [
            "sqlite://",
            "sqlite://folder/",
            "mysql://u:p@host/database",
            "postgres://",
            "postgres://host/database",
            "postgres://user@host",
            "postgres://u:p@host/database?sslmode=sometimes",
            "postgres://u:p@host/database?colour=red",
        ] {
            assert_eq!(StoreAddress::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_password_may_hold_anything_and_is_never_shown() {
        let address = postgres(
            "postgres://relay:a%40b%2Fc%2B+d%25@db.example:6432/relay?connect_timeout=3&sslmode=disable",
        );
        assert_eq!(address.config.get_password(), Some("a@b/c++d%".as_bytes()));
        assert_eq!(address.config.get_user(), Some("relay"));
        assert_eq!(address.config.get_ports(), [6432]);
        assert_eq!(
            address.to_string(),
            "postgres://relay@db.example:6432/relay"
        );
        assert!(!format!("{address:?}").contains("a%40b"), "{address:?}");
    }

    #[test]
    fn the_modes_of_libpq_say_what_is_verified() {
        for (query, ssl, verify) in [
            ("", SslMode::Prefer, Verify::Nothing),
            ("?sslmode=disable", SslMode::Disable, Verify::Nothing),
            ("?sslmode=require", SslMode::Require, Verify::Nothing),
            (
                "?sslmode=require&sslrootcert=/ca.pem",
                SslMode::Require,
                Verify::Authority,
            ),
            ("?sslmode=verify-ca", SslMode::Require, Verify::Authority),
            (
                "?sslmode=verify-full&sslrootcert=system",
                SslMode::Require,
                Verify::AuthorityAndName,
            ),
        ] {
            let address = postgres(&format!("postgresql://u:p@host/database{query}"));
            assert_eq!(
                (address.config.get_ssl_mode(), address.verify),
                (ssl, verify),
                "{query}"
            );
            assert_eq!(address.root.is_some(), query.contains("/ca.pem"));
        }
    }
}
