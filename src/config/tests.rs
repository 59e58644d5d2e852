//! The configuration as an operator gives it: variables, a TOML file, both.

mod file;
mod mistakes;
mod sample;
mod secrets;

use std::path::PathBuf;
use std::time::Duration;

use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::*;

/// What one account needs at least.
const REQUIRED: [(&str, &str); 8] = [
    ("ACCOUNT_IDENTIFIER", "id-1"),
    ("GLADLY_URL", "https://acme.gladly.com"),
    ("GLADLY_USERNAME", "bot@acme.com"),
    ("GLADLY_API_TOKEN", "token"),
    ("GLADLY_AI_INBOX_ID", "ai"),
    ("GLADLY_HANDOFF_INBOX_ID", "humans"),
    ("GLADLY_AGENT_ID", "bot"),
    ("GLEEN_API_KEY", "key"),
];

/// The required variables and `more`, which win; an empty one counts as unset.
fn environment(more: &[(&str, &str)]) -> Environment {
    REQUIRED.iter().chain(more).copied().collect()
}

fn load(more: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::load(None, &environment(more))
}

/// The mistakes of a configuration that can't be used.
fn mistakes(more: &[(&str, &str)]) -> Vec<String> {
    load(more).unwrap_err().mistakes
}

/// Loads a file's text with these variables and no others.
fn load_text(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let folder = TempDir::new().unwrap();
    let path = write(&folder, "relay.toml", text);
    Config::load(Some(&path), &variables.iter().copied().collect())
}

fn write(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// An `[[account]]` that needs nothing more, with a line or table added.
fn account(name: &str, more: &str) -> String {
    format!(
        r#"
        [[account]]
        name = "{name}"
        identifier = "{name}-identifier"
        gleen.api_key = "key"
        [account.gladly]
        url = "https://{name}.gladly.com"
        username = "bot@{name}.com"
        api_token = "token"
        ai_inbox_id = "ai"
        handoff_inbox_id = "humans"
        agent_id = "bot"
        {more}
        "#
    )
}

fn assert_mistake(mistakes: &[String], beginning: &str) {
    let found = mistakes
        .iter()
        .any(|mistake| mistake.starts_with(beginning));
    assert!(
        found,
        "no mistake begins with {beginning:?} in {mistakes:#?}"
    );
}

#[test]
fn variables_alone_make_one_account_with_every_default() {
    let config = load(&[]).unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(config.admin_listen.to_string(), "127.0.0.1:9090");
    assert_eq!(config.store.path(), Some(Path::new("data/relay.db")));
    assert_eq!(config.max_connections, 4096);
    assert_eq!(config.public_url, None);
    assert_eq!(config.log, "info");
    assert_eq!(config.log_format, None);
    assert_eq!(config.sweep_interval, Duration::from_mins(5));
    assert_eq!(config.shutdown_grace, Duration::from_secs(20));
    assert_eq!(config.retention, Duration::from_hours(7 * 24));
    let [account] = &config.accounts[..] else {
        panic!("{} accounts", config.accounts.len());
    };
    assert_eq!(account.name.as_str(), "acme");
    assert_eq!(account.identifiers.len(), 1);
    assert_eq!(account.identifiers[0].expose_secret(), "id-1");
    assert!(account.webhook_credentials.is_none());
    assert_eq!(account.max_concurrent_questions, 64);
    assert_eq!(account.gladly.url.as_str(), "https://acme.gladly.com/");
    assert_eq!(account.gladly.api_token.expose_secret(), "token");
    assert_eq!(account.gladly.requests_per_second, 10);
    assert_eq!(account.gleen.url.as_str(), "https://api.gleen.ai/");
    assert_eq!(account.gleen.timeout, Duration::from_secs(25));
    assert_eq!(account.gleen.reply_pointer, None);
    assert_eq!(account.gleen.handoff_pointer, None);
}

#[test]
fn the_policy_has_its_documented_defaults() {
    let policy = load(&[]).unwrap().accounts.remove(0).policy;
    assert_eq!(policy.answer_deadline, Duration::from_mins(1));
    assert!(policy.ask_for_human.is_match("let me talk to a human"));
    assert!(!policy.no_answer.is_match("I do not know."));
    assert_eq!(policy.handoff_message, None);
    assert_eq!(policy.handoff_topic_id, None);
    assert_eq!(policy.max_turns, 0);
    assert_eq!(policy.max_replies_per_hour, 30);
    assert_eq!(policy.attachments, Attachments::Ask);
    assert!(policy.recheck_before_reply);
    assert_eq!(policy.max_question_length, 8_000);
    assert!(policy.detect_language);
}

#[test]
fn every_variable_is_taken() {
    let config = load(&[
        ("RELAY_LISTEN", "127.0.0.1:1"),
        ("RELAY_ADMIN_LISTEN", "[::1]:2"),
        ("RELAY_STORE", "sqlite:///var/lib/relay.db"),
        ("RELAY_PUBLIC_URL", "https://relay.acme.com/webhooks/gladly"),
        ("RELAY_LOG", "gladly_relay=debug"),
        ("RELAY_LOG_FORMAT", "pretty"),
        ("RELAY_SWEEP_INTERVAL", "0s"),
        ("RELAY_SHUTDOWN_GRACE", "500ms"),
        ("RELAY_MAX_CONNECTIONS", "64"),
        ("RELAY_ADMIN_TOKEN", "open-sesame"),
        ("RELAY_RETENTION", "30d"),
        ("RELAY_ANSWER_DEADLINE", "90s"),
        ("ACCOUNT_NAME", "acme-eu"),
        ("ACCOUNT_IDENTIFIER", "new, old"),
        ("ACCOUNT_WEBHOOK_USERNAME", "gladly"),
        ("ACCOUNT_WEBHOOK_PASSWORD", "pass"),
        ("ACCOUNT_MAX_CONCURRENT_QUESTIONS", "8"),
        ("GLADLY_REQUESTS_PER_SECOND", "20"),
        ("GLEEN_URL", "https://api.alhena.ai"),
        ("GLEEN_TIMEOUT", "10s"),
        ("GLEEN_REPLY_POINTER", "/data/answer"),
        ("GLEEN_HANDOFF_POINTER", "/data/transfer"),
    ])
    .unwrap();
    assert_eq!(config.listen.port(), 1);
    assert_eq!(config.admin_listen.to_string(), "[::1]:2");
    assert_eq!(config.store.path(), Some(Path::new("/var/lib/relay.db")));
    assert!(config.public_url.is_some());
    assert_eq!(config.log, "gladly_relay=debug");
    assert_eq!(config.log_format, Some(LogFormat::Pretty));
    assert_eq!(config.sweep_interval, Duration::ZERO);
    assert_eq!(config.shutdown_grace, Duration::from_millis(500));
    assert_eq!(config.max_connections, 64);
    assert_eq!(config.retention, Duration::from_hours(30 * 24));
    let account = &config.accounts[0];
    assert_eq!(account.policy.answer_deadline, Duration::from_secs(90));
    assert_eq!(account.name.as_str(), "acme-eu");
    let identifiers = account.identifiers.iter().map(ExposeSecret::expose_secret);
    assert_eq!(identifiers.collect::<Vec<_>>(), ["new", "old"]);
    let credentials = account.webhook_credentials.as_ref().unwrap();
    assert_eq!(credentials.username, "gladly");
    assert_eq!(credentials.password.expose_secret(), "pass");
    assert_eq!(account.max_concurrent_questions, 8);
    assert_eq!(account.gladly.requests_per_second, 20);
    assert_eq!(account.gleen.url.as_str(), "https://api.alhena.ai/");
    assert_eq!(account.gleen.timeout, Duration::from_secs(10));
    assert_eq!(account.gleen.reply_pointer.as_deref(), Some("/data/answer"));
    assert_eq!(
        account.gleen.handoff_pointer.as_deref(),
        Some("/data/transfer")
    );
}

#[test]
fn an_account_on_an_address_is_named_by_all_of_it() {
    let config = load(&[("GLADLY_URL", "http://127.0.0.1:8181")]).unwrap();
    assert_eq!(config.accounts[0].name.as_str(), "127.0.0.1");
}
