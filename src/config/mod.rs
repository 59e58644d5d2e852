//! File and environment → [`Config`], validated, with all mistakes at once.
//!
//! Only this module reads the environment. Secrets are wrapped as they are
//! read; a test holds that no `Debug` output shows one.

mod account;
mod addresses;
mod duration;
mod environment;
mod log_filter;
mod policy;
mod reader;
#[cfg(test)]
mod tests;
mod trace_target;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use toml::{Table, Value};

pub use account::{AccountConfig, GladlyConfig, GleenConfig, WebhookCredentials, parse_url};
use account::{VARIABLES, read_account};
pub use addresses::{Addresses, load_key};
pub use duration::parse_duration;
pub use environment::Environment;
use log_filter::parse_log_filter;
use policy::{ANSWER_DEADLINE, read_policy};
pub use policy::{Attachments, Policy};
use reader::{Mistakes, Section, Setting};
pub use trace_target::TraceTarget;
use trace_target::read_trace_target;

use crate::store::{MasterKey, StoreAddress};

/// Everything an operator can set.
#[derive(Debug, Clone)]
pub struct Config {
    /// `RELAY_LISTEN`: webhooks and health.
    pub listen: SocketAddr,
    /// `RELAY_ADMIN_LISTEN`: metrics and operations.
    pub admin_listen: SocketAddr,
    /// `RELAY_STORE`: the database.
    pub store: StoreAddress,
    /// `RELAY_KEY`: what the words at rest are sealed with; always there if several
    /// relays may share the database.
    pub key: Option<MasterKey>,
    /// `RELAY_PUBLIC_URL`: the webhook URL as Gladly sees it.
    pub public_url: Option<Url>,
    /// `RELAY_LOG`: a tracing filter.
    pub log: String,
    /// `RELAY_LOG_FORMAT`; none = pretty on a terminal, else JSON.
    pub log_format: Option<LogFormat>,
    /// `RELAY_SWEEP_INTERVAL`: how often missed events are looked for; zero = off.
    pub sweep_interval: Duration,
    /// `RELAY_ADMIN_TOKEN`: the password of the admin listener; always there if that
    /// is not loopback.
    pub admin_token: Option<SecretString>,
    /// `RELAY_MAX_CONNECTIONS`: open connections on the public listener. Half of the
    /// process's file limit at the most.
    pub max_connections: usize,
    /// `RELAY_SHUTDOWN_GRACE`: how long running turns may take to finish.
    pub shutdown_grace: Duration,
    /// `RELAY_RETENTION`: how long ids and outcomes are kept.
    pub retention: Duration,
    /// `OTEL_…`: where traces go, if anywhere.
    pub traces: Option<TraceTarget>,
    /// The accounts, at least one.
    pub accounts: Vec<AccountConfig>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For a person at a terminal.
    Pretty,
}

/// A configuration that can't be used, with everything that is wrong with it.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    /// One sentence each, naming the variable or key and what to write.
    pub mistakes: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.mistakes.len();
        writeln!(
            f,
            "the configuration has {count} mistake{}:",
            if count == 1 { "" } else { "s" }
        )?;
        for mistake in &self.mistakes {
            writeln!(f, "  {mistake}")?;
        }
        Ok(())
    }
}

const CONFIG: Setting = Setting {
    key: "",
    variable: Some("RELAY_CONFIG"),
    write: "the path of a TOML file",
};
/// Fewer are taken up by a proxy and an orchestrator alone.
const FEWEST_CONNECTIONS: usize = 16;

const LISTEN: Setting = Setting {
    key: "listen",
    variable: Some("RELAY_LISTEN"),
    write: "an address and a port, such as 0.0.0.0:8080",
};
const ADMIN_LISTEN: Setting = Setting {
    key: "admin_listen",
    variable: Some("RELAY_ADMIN_LISTEN"),
    write: "an address and a port, such as 127.0.0.1:9090",
};
const ADMIN_TOKEN: Setting = Setting {
    key: "admin_token",
    variable: Some("RELAY_ADMIN_TOKEN"),
    write: "a password, such as the output of: openssl rand -base64 24",
};
const STORE: Setting = Setting {
    key: "store",
    variable: Some("RELAY_STORE"),
    write: "sqlite:// and the path of a file, such as sqlite:///var/lib/gladly-relay/relay.db, or postgres://user:password@host/database?sslmode=verify-full with the password percent-encoded",
};
const KEY: Setting = Setting {
    key: "key",
    variable: Some("RELAY_KEY"),
    write: "32 bytes in Base64, such as the output of: openssl rand -base64 32",
};
const MAX_CONNECTIONS: Setting = Setting {
    key: "max_connections",
    variable: Some("RELAY_MAX_CONNECTIONS"),
    write: "a number of at least 16, such as 4096",
};
const PUBLIC_URL: Setting = Setting {
    key: "public_url",
    variable: Some("RELAY_PUBLIC_URL"),
    write: "the webhook's address as Gladly sees it, such as https://relay.example.com/webhooks/gladly",
};
const LOG: Setting = Setting {
    key: "log",
    variable: Some("RELAY_LOG"),
    write: "a tracing filter such as info or gladly_relay=debug",
};
const LOG_FORMAT: Setting = Setting {
    key: "log_format",
    variable: Some("RELAY_LOG_FORMAT"),
    write: "json or pretty",
};
const SWEEP_INTERVAL: Setting = Setting {
    key: "sweep_interval",
    variable: Some("RELAY_SWEEP_INTERVAL"),
    write: "a duration such as 5m, or 0s for off",
};
const SHUTDOWN_GRACE: Setting = Setting {
    key: "shutdown_grace",
    variable: Some("RELAY_SHUTDOWN_GRACE"),
    write: "a duration such as 20s",
};
const RETENTION: Setting = Setting {
    key: "retention",
    variable: Some("RELAY_RETENTION"),
    write: "a duration of at least 1d, such as 7d",
};

/// Every setting that has a variable, but for those of an account.
const COMMON: [&Setting; 14] = [
    &CONFIG,
    &LISTEN,
    &ADMIN_LISTEN,
    &ADMIN_TOKEN,
    &STORE,
    &KEY,
    &MAX_CONNECTIONS,
    &PUBLIC_URL,
    &LOG,
    &LOG_FORMAT,
    &SWEEP_INTERVAL,
    &SHUTDOWN_GRACE,
    &RETENTION,
    &ANSWER_DEADLINE,
];

impl Config {
    /// Reads the configuration from the environment and, if `file` or
    /// `RELAY_CONFIG` names one, a TOML file.
    ///
    /// # Errors
    /// [`ConfigError`] with every mistake found.
    pub fn load(file: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        let mistakes = Mistakes::default();
        let document = read_document(file, environment, &mistakes);
        let config = document.and_then(|document| read_config(&document, environment, &mistakes));
        let mistakes = mistakes.into_vec();
        match config {
            Some(config) if mistakes.is_empty() => Ok(config),
            _ => Err(ConfigError { mistakes }),
        }
    }
}

fn read_document(
    file: Option<&Path>,
    environment: &Environment,
    mistakes: &Mistakes,
) -> Option<Table> {
    let section = Section::new(environment, mistakes, None, "", true);
    let named = section.get(&CONFIG, |text| Some(PathBuf::from(text)));
    let Some(path) = file.map(Path::to_path_buf).or(named) else {
        return Some(Table::new());
    };
    let place = path.display();
    match std::fs::read_to_string(&path) {
        Err(error) => {
            mistakes.add(format!(
                "{place}: cannot be read: {error}; name a file that the relay may read"
            ));
            None
        }
        Ok(text) => match text.parse::<Table>() {
            Ok(table) => Some(table),
            Err(error) => {
                // The error's own display quotes the line, which may hold a secret.
                let before = error.span().and_then(|span| text.get(..span.start));
                let line = 1 + before.unwrap_or_default().matches('\n').count();
                mistakes.add(format!(
                    "{place}, line {line}: not TOML: {}",
                    error.message()
                ));
                None
            }
        },
    }
}

fn read_listen(root: &Section<'_>) -> Option<SocketAddr> {
    root.get(&LISTEN, |text| text.parse().ok())
        .or_else(|| "0.0.0.0:8080".parse().ok())
}

fn read_store(root: &Section<'_>) -> StoreAddress {
    root.get(&STORE, StoreAddress::parse)
        .unwrap_or_else(|| StoreAddress::Sqlite(PathBuf::from("data/relay.db")))
}

fn read_key(root: &Section<'_>, store: &StoreAddress, mistakes: &Mistakes) -> Option<MasterKey> {
    let key = root.get(&KEY, MasterKey::parse);
    if matches!(store, StoreAddress::Postgres(_)) && !root.gives(&KEY) {
        mistakes.add(format!(
            "RELAY_KEY (`key`): missing, and with PostgreSQL it seals the words at rest; give every relay the same {}",
            KEY.write
        ));
    }
    key
}

fn read_admin(
    root: &Section<'_>,
    mistakes: &Mistakes,
) -> (Option<SocketAddr>, Option<SecretString>) {
    let listen: Option<SocketAddr> = root
        .get(&ADMIN_LISTEN, |text| text.parse().ok())
        .or_else(|| "127.0.0.1:9090".parse().ok());
    let token = root.secret(&ADMIN_TOKEN);
    if token.is_none() && listen.is_some_and(|address| !address.ip().is_loopback()) {
        mistakes.add(format!(
            "RELAY_ADMIN_TOKEN: missing, but RELAY_ADMIN_LISTEN is not loopback, so others may ask; write {}",
            ADMIN_TOKEN.write
        ));
    }
    (listen, token)
}

fn read_config(document: &Table, environment: &Environment, mistakes: &Mistakes) -> Option<Config> {
    let settings = COMMON.iter().chain(&VARIABLES);
    let known: Vec<&str> = settings.filter_map(|setting| setting.variable).collect();
    environment.refuse_unknown(&known, document, mistakes);
    let tables = account_tables(document, environment, mistakes);
    let root = Section::new(environment, mistakes, Some(document), "", true);
    let listen = read_listen(&root);
    let (admin_listen, admin_token) = read_admin(&root, mistakes);
    let store = read_store(&root);
    let key = read_key(&root, &store, mistakes);
    let max_connections = root
        .get(&MAX_CONNECTIONS, |text| {
            text.parse().ok().filter(|most| *most >= FEWEST_CONNECTIONS)
        })
        .unwrap_or(4096);
    let public_url = root.get(&PUBLIC_URL, parse_url);
    let log = root
        .get(&LOG, parse_log_filter)
        .unwrap_or_else(|| "info".to_owned());
    let log_format = root.get(&LOG_FORMAT, parse_log_format);
    let sweep_interval = root
        .get(&SWEEP_INTERVAL, parse_duration)
        .unwrap_or(Duration::from_mins(5));
    let shutdown_grace = root
        .get(&SHUTDOWN_GRACE, parse_duration)
        .unwrap_or(Duration::from_secs(20));
    let day = Duration::from_hours(24);
    let retention = root
        .get(&RETENTION, |text| {
            parse_duration(text).filter(|retention| *retention >= day)
        })
        .unwrap_or(7 * day);
    let policy = read_policy(&root.section("policy"), &Policy::default());
    let accounts = read_accounts(&tables, &policy, environment, mistakes);
    let traces = read_trace_target(environment, mistakes);
    root.know("account");
    root.finish();
    Some(Config {
        listen: listen?,
        admin_listen: admin_listen?,
        admin_token,
        store,
        key,
        max_connections,
        public_url,
        log,
        log_format,
        sweep_interval,
        shutdown_grace,
        retention,
        traces,
        accounts,
    })
}

/// The `[[account]]` tables; one empty table where there are none, so that the
/// variables alone can make an account.
fn account_tables(document: &Table, environment: &Environment, mistakes: &Mistakes) -> Vec<Table> {
    let tables = match document.get("account") {
        None => Some(vec![Table::new()]),
        Some(Value::Array(values)) => values
            .iter()
            .map(|value| value.as_table().cloned())
            .collect(),
        Some(_) => None,
    };
    let Some(tables) = tables.filter(|tables: &Vec<Table>| !tables.is_empty()) else {
        mistakes.add("account: write each account as a table headed [[account]]".to_owned());
        return Vec::new();
    };
    if tables.len() > 1 {
        let set = VARIABLES
            .iter()
            .filter_map(|setting| setting.variable)
            .filter(|name| environment.sets(name));
        for variable in set {
            mistakes.add(format!(
                "{variable}: does not say which of the file's {} accounts it means; write it in the file and unset it",
                tables.len()
            ));
        }
    }
    tables
}

fn read_accounts(
    tables: &[Table],
    policy: &Policy,
    environment: &Environment,
    mistakes: &Mistakes,
) -> Vec<AccountConfig> {
    let mut accounts: Vec<AccountConfig> = Vec::new();
    for (index, table) in tables.iter().enumerate() {
        let path = if tables.len() == 1 {
            "account".to_owned()
        } else {
            format!("account[{}]", index + 1)
        };
        let section = Section::new(environment, mistakes, Some(table), &path, tables.len() == 1);
        let Some(account) = read_account(&section, policy) else {
            continue;
        };
        if accounts.iter().any(|other| other.name == account.name) {
            mistakes.add(format!(
                "{path}.name: {} is used twice; give each account its own",
                account.name
            ));
        }
        if accounts
            .iter()
            .any(|other| share_identifier(other, &account))
        {
            mistakes.add(format!(
                "{path}.identifier: another account has it too; issue each its own"
            ));
        }
        if let Some(other) = accounts.iter().find(|other| share_inbox(other, &account)) {
            mistakes.add(format!(
                "{path}.gladly.ai_inbox_id: {} answers this inbox of the same organization already, so every customer would be answered twice; name another inbox, or take one of the two accounts out",
                other.name
            ));
        }
        accounts.push(account);
    }
    accounts
}

fn share_inbox(one: &AccountConfig, other: &AccountConfig) -> bool {
    let (one, other) = (&one.gladly, &other.gladly);
    one.url.origin() == other.url.origin() && one.ai_inbox_id == other.ai_inbox_id
}

fn share_identifier(one: &AccountConfig, other: &AccountConfig) -> bool {
    let mut pairs = one
        .identifiers
        .iter()
        .flat_map(|a| other.identifiers.iter().map(move |b| (a, b)));
    pairs.any(|(a, b)| a.expose_secret() == b.expose_secret())
}

fn parse_log_format(text: &str) -> Option<LogFormat> {
    match text {
        "json" => Some(LogFormat::Json),
        "pretty" => Some(LogFormat::Pretty),
        _ => None,
    }
}
