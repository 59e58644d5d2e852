//! `deploy/relay.toml` shows everything that can be set.

use std::collections::BTreeSet;

use regex::Regex;

use super::*;

const SAMPLE: &str = include_str!("../../../deploy/relay.toml");
/// Where settings are declared.
const SOURCES: [&str; 3] = [
    include_str!("../mod.rs"),
    include_str!("../account.rs"),
    include_str!("../policy.rs"),
];
const SECRETS: [(&str, &str); 4] = [
    ("ACME_IDENTIFIER", "identifier"),
    ("ACME_WEBHOOK_PASSWORD", "password"),
    ("ACME_GLADLY_API_TOKEN", "token"),
    ("ACME_GLEEN_API_KEY", "key"),
];

/// What the first group of `pattern` matches in `texts`.
fn found<'a>(pattern: &str, texts: &[&'a str]) -> BTreeSet<&'a str> {
    let pattern = Regex::new(pattern).unwrap();
    let all = texts.iter().flat_map(|text| pattern.captures_iter(text));
    all.map(|found| found.get(1).unwrap().as_str()).collect()
}

#[test]
fn the_sample_holds_the_defaults() {
    let sample = load_text(SAMPLE, &SECRETS).unwrap();
    let plain = load(&[
        ("GLADLY_AI_INBOX_ID", "replace-with-the-ai-inbox-id"),
        ("GLADLY_HANDOFF_INBOX_ID", "replace-with-the-human-inbox-id"),
        ("GLADLY_AGENT_ID", "replace-with-the-agent-id"),
    ]);
    assert_eq!(format!("{sample:#?}"), format!("{:#?}", plain.unwrap()));
}

#[test]
fn what_the_sample_has_commented_out_can_be_used() {
    let commented = Regex::new(r"(?m)^#([a-z_]+ = )").unwrap();
    let text = commented.replace_all(SAMPLE, "$1");
    let config = load_text(&text, &SECRETS).unwrap();
    let policy = &config.accounts[0].policy;
    assert!(policy.ask_for_human.is_match("May I speak to a person?"));
    assert!(policy.handoff_message.is_some());
    assert!(config.accounts[0].webhook_credentials.is_some());
}

#[test]
fn the_sample_shows_every_key_and_no_other() {
    let shown = found(r"(?m)^#?([a-z_]+) = ", &[SAMPLE]);
    assert_eq!(shown, found(r#"\bkey: "(\w+)""#, &SOURCES));
    assert!(shown.len() > 30, "{shown:?}");
}
