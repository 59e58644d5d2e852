//! `gladly-relay check`, and the same looks at the start of `serve`: every
//! mistake that an operator can make is named, with where to mend it.

use std::process::Stdio;

use gladly_relay::sim::{GladlyOptions, Operation, Outage, Role};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::support::{IDENTIFIER, Setup, TestRelay, soon};

/// A relay that serves and is set up rightly, with its public address known.
async fn well_set_up() -> TestRelay {
    let mut relay = Setup::default().start_without_relay().await;
    relay.boot().await;
    let url = format!("{}/webhooks/gladly", relay.running().url);
    relay.toml = format!("public_url = \"{url}\"\n{}", relay.toml);
    relay
}

/// What the command said.
struct Said {
    code: Option<i32>,
    report: Value,
}

impl Said {
    /// The findings of one category with one result.
    fn all(&self, category: &str, result: &str) -> Vec<&str> {
        let findings = self.report["findings"].as_array().unwrap().iter();
        findings
            .filter(|finding| finding["category"] == category && finding["result"] == result)
            .map(|finding| finding["what"].as_str().unwrap())
            .collect()
    }

    #[track_caller]
    fn assert_says(&self, category: &str, result: &str, words: &str) {
        let found = self.all(category, result);
        let said = found.iter().any(|what| what.contains(words));
        assert!(said, "{words:?} is not in {:#}", self.report);
        for finding in self.report["findings"].as_array().unwrap() {
            let right = finding["result"] == "ok";
            assert_eq!(finding["mend"].is_null(), right, "{finding}");
        }
    }
}

fn command(relay: &TestRelay, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gladly-relay"));
    command
        .args(arguments)
        .arg("--config")
        .arg(relay.config_file());
    command.env_clear().stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs `check --json`. Whatever it says, no secret is in it.
async fn check(relay: &TestRelay, more: &[&str]) -> Said {
    let arguments = [&["check", "--json"], more].concat();
    let output = soon(command(relay, &arguments).output()).await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    for secret in [
        &relay.gladly.options().api_token,
        &relay.gleen.options().api_key,
        IDENTIFIER,
    ] {
        assert!(!said.contains(secret), "{said}");
    }
    Said {
        code: output.status.code(),
        report: serde_json::from_str(&said).unwrap(),
    }
}

/// Checks a good set-up that was spoilt by `spoil`: it must fail and say so.
async fn assert_found(spoil: impl FnOnce(&mut TestRelay), category: &str, words: &str) {
    let mut relay = well_set_up().await;
    spoil(&mut relay);
    let said = check(&relay, &[]).await;
    said.assert_says(category, "failure", words);
    assert_eq!(said.code, Some(1), "{:#}", said.report);
}

fn write(relay: &mut TestRelay, right: &str, wrong: &str) {
    assert!(relay.toml.contains(right), "{right}");
    relay.toml = relay.toml.replace(right, wrong);
}

fn options(relay: &TestRelay, change: impl FnOnce(&mut GladlyOptions)) {
    relay.gladly.configure(change);
}

#[tokio::test]
async fn a_good_set_up_passes_and_names_what_it_found() {
    let relay = well_set_up().await;
    let said = check(&relay, &[]).await;
    assert_eq!(said.code, Some(0), "{:#}", said.report);
    assert_eq!(said.report["ok"], true);
    said.assert_says("gladly", "ok", "organization \"Simulated Shop\"");
    said.assert_says("gladly", "ok", "may read and write in conversations");
    said.assert_says("inboxes", "ok", "the AI inbox is \"AI\"");
    said.assert_says("inboxes", "ok", "the human inbox is \"Humans\"");
    said.assert_says("agent", "ok", "the API user");
    said.assert_says("webhook", "ok", "leads here and is on");
    said.assert_says("webhook", "ok", "every event");
    said.assert_says("public_url", "ok", "answers as the relay does");
    said.assert_says("gleen", "ok", "takes the key and answers");
    said.assert_says("store", "ok", "can be written");
    said.assert_says("clock", "ok", "Gladly's");
    relay.finish().await;
}

#[tokio::test]
async fn a_line_for_people_names_result_account_category_and_what_to_do() {
    let mut relay = well_set_up().await;
    write(&mut relay, "\"gleen-bot\"", "\"agent-ada\"");
    let output = soon(command(&relay, &["check"]).output()).await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let line = said
        .lines()
        .find(|line| line.starts_with("failure"))
        .unwrap();
    let words: Vec<&str> = line.split_whitespace().take(3).collect();
    assert_eq!(words, ["failure", "acme", "agent"]);
    assert!(
        line.contains("; set GLADLY_AGENT_ID (`agent_id`)"),
        "{line}"
    );
    assert!(said.contains("; unset RELAY_SWEEP_INTERVAL"), "{said}");
    assert!(said.trim_end().ends_with("1 failure, 4 warnings"), "{said}");
}

#[tokio::test]
async fn a_wrong_token_is_found() {
    let spoil = |relay: &mut TestRelay| options(relay, |options| options.api_token.push('x'));
    assert_found(
        spoil,
        "gladly",
        "refuses the user bot@example.com or its token",
    )
    .await;
}

#[tokio::test]
async fn roles_that_are_not_enough_are_found() {
    for (roles, category, words) in [
        (vec![], "gladly", "may not use the API"),
        (
            vec![Role::ApiUser, Role::Administrator],
            "gladly",
            "may not reply to customers",
        ),
        (
            vec![Role::ApiUser, Role::Administrator],
            "gladly",
            "may not move conversations",
        ),
        (
            vec![Role::ApiUser, Role::Agent],
            "webhook",
            "may not see webhooks",
        ),
    ] {
        let spoil = |relay: &mut TestRelay| options(relay, |options| options.roles = roles);
        assert_found(spoil, category, words).await;
    }
}

#[tokio::test]
async fn an_inbox_that_is_not_there_or_off_is_found() {
    for inbox in ["\"ai-inbox\"", "\"human-inbox\""] {
        let spoil = |relay: &mut TestRelay| write(relay, inbox, "\"no-such-inbox\"");
        assert_found(spoil, "inboxes", "no-such-inbox does not exist").await;
    }
    let spoil = |relay: &mut TestRelay| {
        options(relay, |options| {
            options.disabled_inbox_ids = vec!["human-inbox".to_owned()];
        });
    };
    assert_found(
        spoil,
        "inboxes",
        "the human inbox \"Humans\" is switched off",
    )
    .await;
}

fn swap_inboxes(relay: &mut TestRelay) {
    write(relay, "= \"ai-inbox\"", "= \"swapped\"");
    write(relay, "= \"human-inbox\"", "= \"ai-inbox\"");
    write(relay, "= \"swapped\"", "= \"human-inbox\"");
}

#[tokio::test]
async fn swapped_inboxes_are_warned_of_by_name_and_found_if_gladly_tells_whose_they_are() {
    let mut relay = well_set_up().await;
    swap_inboxes(&mut relay);
    let said = check(&relay, &[]).await;
    let words = "swapped: the bot answers \"Humans\" and hands over to \"AI\"";
    said.assert_says("inboxes", "warning", words);
    assert_eq!(said.code, Some(0), "a name is only a name");

    options(&relay, |options| options.agents_show_inboxes = true);
    let said = check(&relay, &[]).await;
    said.assert_says("agent", "failure", "does not belong to the AI inbox");
    assert_eq!(said.code, Some(1));
}

#[tokio::test]
async fn a_wrong_agent_is_found() {
    let spoil = |relay: &mut TestRelay| write(relay, "\"gleen-bot\"", "\"agent-ada\"");
    assert_found(spoil, "agent", "the agent is \"Ada\"").await;
    let spoil = |relay: &mut TestRelay| write(relay, "\"gleen-bot\"", "\"nobody\"");
    assert_found(spoil, "agent", "the agent nobody does not exist").await;
}

#[tokio::test]
async fn a_webhook_that_does_not_reach_the_relay_is_found() {
    let spoil = |relay: &mut TestRelay| relay.lose_webhooks();
    assert_found(spoil, "webhook", "is switched off").await;
    let spoil = |relay: &mut TestRelay| {
        let port = relay.running().url.rsplit_once(':').unwrap().1.to_owned();
        write(
            relay,
            &format!("{port}/webhooks/gladly"),
            "9/webhooks/gladly",
        );
    };
    assert_found(spoil, "webhook", "none of Gladly's 1 webhooks leads to").await;
    let spoil = |relay: &mut TestRelay| {
        write(
            relay,
            "name = \"acme\"",
            "name = \"acme\"\nwebhook_username = \"u\"\nwebhook_password = \"p\"",
        );
    };
    assert_found(spoil, "webhook", "brings no user name and password").await;
}

#[tokio::test]
async fn a_gladly_or_gleen_that_is_not_there_is_found_in_plain_words() {
    let spoil = |relay: &mut TestRelay| {
        let url = relay.gladly.url();
        write(relay, &url, "http://127.0.0.1:9");
    };
    assert_found(spoil, "gladly", "nothing listens there").await;
    let spoil = |relay: &mut TestRelay| {
        let url = relay.gleen.url();
        write(relay, &url, "http://127.0.0.1:9");
    };
    assert_found(spoil, "gleen", "nothing listens there").await;
    let spoil = |relay: &mut TestRelay| {
        let url = relay.gladly.url();
        write(relay, &url, &url.replace("http:", "https:"));
    };
    assert_found(spoil, "gladly", "does not speak TLS").await;
    let spoil = |relay: &mut TestRelay| {
        let (gladly, other) = (relay.gladly.url(), relay.running().url.clone());
        write(relay, &gladly, &other);
    };
    assert_found(spoil, "gladly", "is not Gladly's API").await;
}

#[tokio::test]
async fn a_wrong_key_of_gleen_is_found() {
    let spoil = |relay: &mut TestRelay| write(relay, "api_key = \"", "api_key = \"x");
    assert_found(spoil, "gleen", "refuses the key").await;
}

#[tokio::test]
async fn a_database_that_cannot_be_used_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let letter = folder.path().join("letter.txt");
    std::fs::write(&letter, "Dear friend").unwrap();
    let spoil = |relay: &mut TestRelay| {
        let database = relay.database();
        write(relay, database.to_str().unwrap(), letter.to_str().unwrap());
    };
    assert_found(spoil, "store", "is not a database of gladly-relay").await;
}

#[tokio::test]
async fn what_cannot_be_seen_from_here_is_a_warning() {
    let mut relay = well_set_up().await;
    relay.stop().await;
    let said = check(&relay, &[]).await;
    said.assert_says("public_url", "warning", "nothing listens there");
    assert_eq!(said.code, Some(0), "{:#}", said.report);

    let (_, rest) = relay.toml.split_once('\n').unwrap();
    relay.toml = rest.to_owned();
    let said = check(&relay, &[]).await;
    said.assert_says("public_url", "warning", "not set");
    said.assert_says("webhook", "warning", "can't be told");
    said.assert_says(
        "configuration",
        "warning",
        "2 of 2 identifiers shorter than 32",
    );
    assert_eq!(said.code, Some(0), "{:#}", said.report);
}

#[tokio::test]
async fn a_rate_that_is_not_the_organizations_is_warned_of() {
    let relay = well_set_up().await;
    let said = check(&relay, &[]).await;
    said.assert_says("gladly", "warning", "don't tell its rate");
    options(&relay, |options| options.requests_per_second = Some(50));
    let said = check(&relay, &[]).await;
    said.assert_says("gladly", "warning", "allows 50 calls a second, 100000 are");
}

#[tokio::test]
async fn two_accounts_that_would_need_one_address_are_warned_of() {
    let mut relay = well_set_up().await;
    let (_, account) = relay.toml.split_once("[[account]]").unwrap();
    let other = account
        .replace("name = \"acme\"", "name = \"bmce\"")
        .replace(IDENTIFIER, "of-bmce")
        .replace("the-next-identifier", "the-next-of-bmce")
        .replace("\"ai-inbox\"", "\"another-inbox\"");
    relay.toml = format!("{}\n[[account]]{other}", relay.toml);
    let said = check(&relay, &["--no-ask"]).await;
    said.assert_says("configuration", "warning", "same organization as acme");
    said.assert_says("webhook", "warning", "can't be told");
    said.assert_says("webhook", "ok", "leads here and is on");
    let findings = said.report["findings"].as_array().unwrap();
    let of_bmce = findings
        .iter()
        .filter(|finding| finding["account"] == "bmce" && finding["category"] == "webhook");
    assert_eq!(of_bmce.count(), 1, "{:#}", said.report);
}

#[tokio::test]
async fn no_question_is_put_with_no_ask() {
    let relay = well_set_up().await;
    let said = check(&relay, &["--no-ask"]).await;
    said.assert_says("gleen", "ok", "its key was not tried");
    assert_eq!(relay.gleen.questions().len(), 0);
    check(&relay, &[]).await;
    assert_eq!(relay.gleen.questions().len(), 1);
}

#[tokio::test]
async fn a_check_changes_nothing_in_gladly() {
    let relay = well_set_up().await;
    check(&relay, &[]).await;
    let changed = |status: Option<u16>| matches!(status, Some(201 | 204));
    let requests = relay.gladly.requests();
    assert!(requests.len() > 8);
    assert!(!requests.iter().any(|request| changed(request.status)));
}

#[tokio::test]
async fn offline_calls_nobody_and_makes_nothing() {
    let relay = Setup::default().start_without_relay().await;
    let said = check(&relay, &["--offline"]).await;
    assert_eq!(said.code, Some(0));
    said.assert_says("configuration", "ok", "customers wait at most 60s");
    assert!(relay.gladly.requests().is_empty() && relay.gleen.requests().is_empty());
    assert!(!relay.database().exists());
}

#[tokio::test]
async fn a_database_that_is_yet_to_be_made_is_no_fault_and_is_not_made() {
    let relay = Setup::default().start_without_relay().await;
    let said = check(&relay, &[]).await;
    said.assert_says("store", "ok", "does not exist yet");
    assert!(!relay.database().exists());
}

#[tokio::test]
async fn a_wrong_configuration_is_told_as_json_too() {
    let mut relay = Setup::default().start_without_relay().await;
    write(
        &mut relay,
        "\"ai-inbox\"",
        "\"replace-with-the-ai-inbox-id\"",
    );
    let said = check(&relay, &[]).await;
    assert_eq!(said.code, Some(2));
    let what = &said.report["findings"][0]["what"];
    assert!(what.as_str().unwrap().contains("placeholder"), "{what}");
}

/// Starts `serve`, reads its log until the set-up was checked, and stops it.
async fn log_of_a_start(relay: &TestRelay) -> Vec<Value> {
    let mut child = command(relay, &["serve"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut log: Vec<Value> = Vec::new();
    let checked = |line: &Value| line["message"] == "the set-up was checked";
    while !log.last().is_some_and(checked) {
        let line = soon(lines.next_line()).await.unwrap();
        log.push(serde_json::from_str(&line.expect("it still runs")).unwrap());
    }
    child.kill().await.unwrap();
    log
}

#[tokio::test]
async fn a_start_logs_what_is_wrong_and_serves_all_the_same() {
    let mut relay = Setup::default().start_without_relay().await;
    write(&mut relay, "\"gleen-bot\"", "\"agent-ada\"");
    options(&relay, |options| options.roles = vec![Role::ApiUser]);
    relay.gleen.down(Outage::Cut);
    let log = log_of_a_start(&relay).await;
    let said = format!("{log:?}");
    assert!(!said.contains(&relay.gladly.options().api_token) && !said.contains(IDENTIFIER));
    let has = |level: &str, category: &str| {
        let is_it = |line: &&Value| line["level"] == level && line["category"] == category;
        log.iter()
            .find(is_it)
            .unwrap_or_else(|| panic!("{category} is not in {log:#?}"))
    };
    assert!(
        log.iter().any(|line| line["message"] == "serving"
            && line["store"] == relay.database().to_str().unwrap())
    );
    assert_eq!(has("ERROR", "agent")["message"], "the set-up is wrong");
    assert_eq!(has("ERROR", "agent")["account"], "acme");
    let mend = has("ERROR", "agent")["mend"].as_str().unwrap();
    assert!(mend.contains("set GLADLY_AGENT_ID"), "{mend}");
    has("ERROR", "webhook");
    has("ERROR", "gleen");
    has("WARN", "public_url");
}

#[tokio::test]
async fn a_gladly_that_never_answers_does_not_keep_the_relay_from_serving() {
    let relay = Setup::default().start_without_relay().await;
    let held = relay.gladly.hold_next(Operation::GetOrganization);
    let mut child = command(&relay, &["serve"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    soon(held.reached()).await;
    let mut serving = false;
    while !serving {
        let line = soon(lines.next_line())
            .await
            .unwrap()
            .expect("it still runs");
        serving = line.contains("\"serving\"");
    }
    child.kill().await.unwrap();
    held.release();
}
