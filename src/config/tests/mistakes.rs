//! What is wrong with single values, and that all of it is said at once.

use super::*;

#[test]
fn nothing_at_all_names_every_required_variable_and_what_to_write() {
    let error = Config::load(None, &Environment::default()).unwrap_err();
    for (variable, _) in REQUIRED {
        assert_mistake(&error.mistakes, &format!("{variable} (`account."));
    }
    assert_eq!(error.mistakes.len(), REQUIRED.len());
    let says_what = |mistake: &String| mistake.contains(": missing; write ");
    assert!(error.mistakes.iter().all(says_what));
    let shown = error.to_string();
    assert!(shown.starts_with("the configuration has 8 mistakes:\n  "));
}

#[test]
fn all_wrong_values_are_said_at_once_each_with_its_variable() {
    let wrong = [
        ("RELAY_LISTEN", "8080"),
        ("RELAY_ADMIN_LISTEN", "localhost:9090"),
        ("RELAY_STORE", "mysql://u:secret@db/relay"),
        ("RELAY_PUBLIC_URL", "relay.acme.com"),
        ("RELAY_LOG", "inof"),
        ("RELAY_LOG_FORMAT", "xml"),
        ("RELAY_SWEEP_INTERVAL", "5"),
        ("RELAY_SHUTDOWN_GRACE", "soon"),
        ("RELAY_RETENTION", "1h"),
        ("RELAY_ANSWER_DEADLINE", "10ms"),
        ("ACCOUNT_NAME", "a b"),
        ("ACCOUNT_MAX_CONCURRENT_QUESTIONS", "0"),
        ("GLADLY_URL", "http://acme.gladly.com"),
        ("GLADLY_AI_INBOX_ID", "a/b"),
        ("GLADLY_HANDOFF_INBOX_ID", "a b"),
        ("GLADLY_AGENT_ID", "ä"),
        ("GLADLY_REQUESTS_PER_SECOND", "ten"),
        ("GLEEN_URL", "ftp://api.gleen.ai"),
        ("GLEEN_TIMEOUT", "0s"),
        ("GLEEN_REPLY_POINTER", "answer"),
        ("GLEEN_HANDOFF_POINTER", "transfer"),
    ];
    let mistakes = mistakes(&wrong);
    assert_eq!(mistakes.len(), wrong.len(), "{mistakes:#?}");
    for (variable, value) in wrong {
        assert_mistake(&mistakes, &format!("{variable}: not understood; write "));
        let echo = format!(": {value}");
        assert!(!mistakes.iter().any(|mistake| mistake.contains(&echo)));
    }
}

#[test]
fn http_is_for_this_machine_only() {
    for url in ["http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1"] {
        assert!(
            load(&[("GLADLY_URL", url), ("GLEEN_URL", url)]).is_ok(),
            "{url}"
        );
    }
    for url in [
        "http://acme.gladly.com",
        "http://10.0.0.1",
        "http://localhost.example.com",
        "https://user:pass@acme.gladly.com",
        "https://acme.gladly.com/?key=1",
        "https://acme.gladly.com/#inbox",
        "acme.gladly.com",
    ] {
        assert_mistake(
            &mistakes(&[("GLADLY_URL", url)]),
            "GLADLY_URL: not understood",
        );
        assert_mistake(
            &mistakes(&[("GLEEN_URL", url)]),
            "GLEEN_URL: not understood",
        );
    }
}

#[test]
fn an_organizations_address_has_no_path_and_gleens_may_have_one() {
    for path in ["/api/v1", "/home/team/abc", "//"] {
        let url = format!("https://acme.gladly.com{path}");
        let beginning =
            "GLADLY_URL: not understood; write the organization's address without a path";
        assert_mistake(&mistakes(&[("GLADLY_URL", &url)]), beginning);
    }
    let config = load(&[("GLEEN_URL", "https://gateway.acme.com/gleen/")]).unwrap();
    assert_eq!(config.accounts[0].gleen.url.path(), "/gleen/");
}

#[test]
fn one_inbox_for_bot_and_humans_is_a_mistake() {
    let mistakes = mistakes(&[("GLADLY_HANDOFF_INBOX_ID", "ai")]);
    assert_eq!(mistakes.len(), 1);
    assert_mistake(
        &mistakes,
        "GLADLY_HANDOFF_INBOX_ID: the same as the AI inbox",
    );
}

#[test]
fn webhook_credentials_come_in_pairs() {
    assert_mistake(
        &mistakes(&[("ACCOUNT_WEBHOOK_USERNAME", "gladly")]),
        "account.webhook_password: missing, but the user name is given",
    );
    assert_mistake(
        &mistakes(&[("ACCOUNT_WEBHOOK_PASSWORD", "pass")]),
        "account.webhook_username: missing, but the password is given",
    );
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let config = load(&[("RELAY_LISTEN", ""), ("GLEEN_URL", "  ")]).unwrap();
    assert_eq!(config.listen.port(), 8080);
    assert_mistake(
        &mistakes(&[("GLEEN_API_KEY", " ")]),
        "GLEEN_API_KEY (`account.gleen.api_key`): missing",
    );
}

#[test]
fn a_wrong_policy_key_is_named_with_what_to_write() {
    let wrong = [
        ("answer_deadline", "\"500ms\""),
        ("handoff_topic_id", "\"a/b\""),
        ("max_turns", "-1"),
        ("max_replies_per_hour", "0"),
        ("attachments", "\"drop\""),
        ("recheck_before_reply", "\"maybe\""),
        ("max_question_length", "99"),
        ("detect_language", "1"),
    ];
    let keys: Vec<String> = wrong.map(|(key, value)| format!("{key} = {value}")).into();
    let policy = format!("[account.policy]\n{}", keys.join("\n"));
    let error = load_text(&account("acme", &policy), &[]).unwrap_err();
    for (key, _) in wrong {
        let beginning = format!("account.policy.{key}: not understood; write ");
        assert_mistake(&error.mistakes, &beginning);
    }
    assert_eq!(error.mistakes.len(), wrong.len());
}

#[test]
fn a_variable_that_is_nearly_ours_names_the_one_that_was_meant() {
    for (wrong, meant) in [
        ("RELAY_RETENTIN", "RELAY_RETENTION"),
        ("RELAY_LISTEN_FIEL", "RELAY_LISTEN"),
        ("GLADLY_HANDOF_INBOX_ID", "GLADLY_HANDOFF_INBOX_ID"),
        ("GLEEN_APIKEY_FILE", "GLEEN_API_KEY"),
        ("RELAY_LISTEN_PORT", "RELAY_LISTEN"),
        ("ACCOUNT_IDENTIFER", "ACCOUNT_IDENTIFIER"),
    ] {
        let said = format!("{wrong}: no such variable; the nearest known one is {meant}");
        assert_eq!(mistakes(&[(wrong, "7d")]), [said]);
    }
}

#[test]
fn other_peoples_variables_are_left_alone() {
    load(&[("RELAY_TEST_REQUIRE", "all")]).unwrap();
    load(&[
        ("ACCOUNT_ID", "1"),
        ("GLADLY_RELAY_SERVICE_HOST", "10.0.0.1"),
        ("GLADLY_RELAY_SERVICE_PORT_HTTP", "8080"),
        ("GLADLY_RELAY_PORT", "tcp://10.0.0.1:8080"),
        ("GLADLY_RELAY_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("RELAY_RETENTIN", ""),
    ])
    .unwrap();
    let text = account("acme", "").replace("\"token\"", "{ env = \"GLADLY_TOKEN_OF_ACME\" }");
    load_text(&text, &[("GLADLY_TOKEN_OF_ACME", "token")]).unwrap();
}

#[test]
fn nobody_waits_for_gleen_longer_than_for_the_answer() {
    let said = mistakes(&[("RELAY_ANSWER_DEADLINE", "20s"), ("GLEEN_TIMEOUT", "25s")]);
    assert_eq!(
        said,
        [
            "GLEEN_TIMEOUT: 25s, longer than the answer deadline of 20s; \
          shorten GLEEN_TIMEOUT or raise RELAY_ANSWER_DEADLINE (`answer_deadline`)"
        ]
    );
    assert_mistake(
        &mistakes(&[("GLEEN_TIMEOUT", "61s")]),
        "GLEEN_TIMEOUT: 61s, ",
    );
    load(&[("GLEEN_TIMEOUT", "60s")]).unwrap();
    let short = load(&[("RELAY_ANSWER_DEADLINE", "20s")]).unwrap();
    assert_eq!(short.accounts[0].gleen.timeout, Duration::from_secs(20));
}
