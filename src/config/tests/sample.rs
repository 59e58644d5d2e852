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

/// The sample with what only the operator knows.
fn filled_in(sample: &str) -> String {
    [
        (
            "https://replace-with-your-organization.gladly.com",
            "https://acme.gladly.com",
        ),
        ("replace-with-the-api-users-email", "bot@acme.com"),
        ("replace-with-the-ai-inbox-id", "ai"),
        ("replace-with-the-human-inbox-id", "humans"),
        ("replace-with-the-agent-id", "bot"),
    ]
    .iter()
    .fold(sample.to_owned(), |text, (placeholder, value)| {
        assert!(text.contains(placeholder), "{placeholder}");
        text.replace(placeholder, value)
    })
}

#[test]
fn the_sample_holds_the_defaults() {
    let sample = load_text(&filled_in(SAMPLE), &SECRETS).unwrap();
    let plain = load(&[]).unwrap();
    assert_eq!(format!("{sample:#?}"), format!("{plain:#?}"));
}

#[test]
fn a_placeholder_that_was_left_is_a_mistake_that_says_what_to_write() {
    let error = load_text(SAMPLE, &SECRETS).unwrap_err();
    for key in [
        "url",
        "username",
        "ai_inbox_id",
        "handoff_inbox_id",
        "agent_id",
    ] {
        assert_mistake(
            &error.mistakes,
            &format!("account.gladly.{key}: still the sample file's placeholder; write "),
        );
    }
    assert_eq!(error.mistakes.len(), 5, "{error}");
    for variable in ["GLADLY_API_TOKEN", "ACCOUNT_IDENTIFIER"] {
        assert_mistake(
            &mistakes(&[(variable, "replace-with-a-secret")]),
            &format!("{variable}: still the sample file's placeholder; write "),
        );
    }
}

#[test]
fn what_the_sample_has_commented_out_can_be_used() {
    let commented = Regex::new(r"(?m)^#([a-z_]+ = )").unwrap();
    let text = filled_in(&commented.replace_all(SAMPLE, "$1"));
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
