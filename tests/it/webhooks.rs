//! `gladly-relay webhooks`: one command makes or repairs the webhook that leads
//! to this relay, and touches no other.

use std::process::{Output, Stdio};

use gladly_relay::outcome::Outcome;
use gladly_relay::sim::{GladlyOptions, MessageEvents, Operation, Role, WebhookSpec};
use serde_json::{Value, json};
use tokio::process::Command;

use super::support::{IDENTIFIER, Setup, TestRelay, soon};

/// A relay that serves, whose Gladly has no webhook.
async fn without_webhook() -> TestRelay {
    let mut relay = Setup::default().start_without_relay().await;
    relay.boot_without_webhook().await;
    let url = format!("{}/webhooks/gladly", relay.running().url);
    relay.toml = format!("public_url = \"{url}\"\n{}", relay.toml);
    relay
}

/// Where the relay takes webhooks.
fn address(relay: &TestRelay) -> String {
    format!("{}/webhooks/gladly", relay.running().url)
}

/// The webhook of `simulate`, with something wrong.
fn register(relay: &TestRelay, spoil: impl FnOnce(&mut WebhookSpec)) -> String {
    let mut spec = WebhookSpec::relay(address(relay), IDENTIFIER);
    spec.events.retain(|event| event != "MESSAGE/RECEIVED");
    spoil(&mut spec);
    relay.gladly.register_webhook(spec)
}

async fn run(relay: &TestRelay, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gladly-relay"));
    command
        .arg("webhooks")
        .args(arguments)
        .arg("--config")
        .arg(relay.config_file());
    command.env_clear().stdin(Stdio::null()).kill_on_drop(true);
    let output = soon(command.output()).await.unwrap();
    let said = format!("{output:?}");
    for secret in [
        &relay.gladly.options().api_token[..],
        IDENTIFIER,
        "pass-word",
    ] {
        assert!(!said.contains(secret), "{said}");
    }
    output
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap() + &String::from_utf8_lossy(&output.stderr)
}

/// Runs `sync`, which must succeed.
async fn sync(relay: &TestRelay) -> String {
    let output = run(relay, &["sync"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    text(&output)
}

/// Runs `sync`, which must fail.
async fn failed_sync(relay: &TestRelay) -> String {
    let output = run(relay, &["sync"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    text(&output)
}

/// The webhooks that Gladly has.
async fn webhooks(relay: &TestRelay) -> Vec<Value> {
    let options = relay.gladly.options();
    let request = reqwest::Client::new()
        .get(format!("{}/api/v1/webhooks", relay.gladly.url()))
        .basic_auth(options.username, Some(options.api_token));
    let answer = soon(request.send()).await.unwrap();
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

async fn the_webhook(relay: &TestRelay) -> Value {
    let webhooks = webhooks(relay).await;
    let [webhook] = &webhooks[..] else {
        panic!("{webhooks:?}");
    };
    webhook.clone()
}

fn has(webhook: &Value, event: &str) -> bool {
    webhook["events"]
        .as_array()
        .unwrap()
        .contains(&json!(event))
}

fn options(relay: &TestRelay, change: impl FnOnce(&mut GladlyOptions)) {
    relay.gladly.configure(change);
}

#[tokio::test]
async fn a_webhook_is_made_that_brings_customers_to_the_bot() {
    let relay = without_webhook().await;
    let said = sync(&relay).await;
    assert!(
        said.contains("acme: create: make the webhook \"gladly-relay (acme)\""),
        "{said}"
    );
    let webhook = the_webhook(&relay).await;
    assert_eq!(webhook["url"], address(&relay));
    assert_eq!(webhook["enabled"], true);
    assert_eq!(webhook["headerKeys"], json!(["X-Account-Identifier"]));
    assert_eq!(webhook["hasCredentials"], false);
    assert_eq!(relay.outcome_of("hello").await.1, Outcome::Replied);
    relay.finish().await;
}

#[tokio::test]
async fn a_second_time_changes_nothing() {
    let relay = without_webhook().await;
    sync(&relay).await;
    let before = the_webhook(&relay).await;
    let said = sync(&relay).await;
    assert!(said.contains("acme: confirm: "), "{said}");
    assert_eq!(the_webhook(&relay).await, before);
    relay.finish().await;
}

#[tokio::test]
async fn a_webhook_that_is_off_is_switched_on() {
    let relay = without_webhook().await;
    let id = register(&relay, |_| {});
    relay.gladly.enable_webhook(&id, false);
    let said = sync(&relay).await;
    assert!(said.contains("acme: repair: switch it on"), "{said}");
    assert_eq!(the_webhook(&relay).await["enabled"], true);
    relay.finish().await;
}

#[tokio::test]
async fn missing_events_are_added_and_the_others_stay() {
    let relay = without_webhook().await;
    register(&relay, |spec| {
        spec.events = vec!["CUSTOMER/MERGED".to_owned()];
    });
    let said = sync(&relay).await;
    assert!(
        said.contains("acme: repair: add events CONTACT/MESSAGE_RECEIVED, "),
        "{said}"
    );
    let webhook = the_webhook(&relay).await;
    assert!(has(&webhook, "CUSTOMER/MERGED") && has(&webhook, "CONTACT/MESSAGE_RECEIVED"));
    assert_eq!(webhook["events"].as_array().unwrap().len(), 7);
    relay.finish().await;
}

#[tokio::test]
async fn the_events_are_those_that_the_organizations_api_takes() {
    let (today, older) = ("CONTACT/MESSAGE_RECEIVED", "MESSAGE/RECEIVED");
    for (takes, has_today, has_older) in [
        (MessageEvents::Contact, true, false),
        (MessageEvents::Legacy, false, true),
        (MessageEvents::Both, true, true),
    ] {
        let relay = without_webhook().await;
        options(&relay, |options| options.message_events = takes);
        for _ in 0..2 {
            sync(&relay).await;
            let webhook = the_webhook(&relay).await;
            assert_eq!(has(&webhook, today), has_today, "{takes:?}");
            assert_eq!(has(&webhook, older), has_older, "{takes:?}");
        }
        relay.finish().await;
    }
}

#[tokio::test]
async fn events_that_the_api_does_not_know_keep_nothing_else_from_being_mended() {
    let unknown = ["CUSTOMER/MERGED", "CONVERSATION_ASSIGNEE/UPDATED"];
    for (is_there, names) in [(true, true), (true, false), (false, true), (false, false)] {
        let relay = without_webhook().await;
        if is_there {
            let id = register(&relay, |spec| {
                spec.headers.clear();
                spec.events = vec!["CONVERSATION/CLOSED".to_owned()];
            });
            relay.gladly.enable_webhook(&id, false);
        }
        options(&relay, |options| {
            options.unknown_events.kinds = unknown.map(str::to_owned).into();
            options.unknown_events.are_unnamed = !names;
        });
        let said = sync(&relay).await;
        assert!(said.contains("acme: done"), "{said}");
        let webhook = the_webhook(&relay).await;
        assert_eq!(webhook["enabled"], true);
        assert_eq!(webhook["headerKeys"], json!(["X-Account-Identifier"]));
        let events = webhook["events"].as_array().unwrap().len();
        assert_eq!(events, 5, "{is_there} {names}: {webhook}");
        assert!(!unknown.iter().any(|event| has(&webhook, event)));
        assert_eq!(relay.outcome_of("hello").await.1, Outcome::Replied);
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_webhook_that_can_tell_of_no_message_is_mended_and_told_of() {
    for (is_there, names) in [(true, true), (true, false), (false, true), (false, false)] {
        let relay = without_webhook().await;
        if is_there {
            let id = register(&relay, |spec| {
                spec.events = vec!["CONVERSATION/CLOSED".to_owned()];
            });
            relay.gladly.enable_webhook(&id, false);
        }
        options(&relay, |options| {
            options.unknown_events.kinds = vec!["CONTACT/MESSAGE_RECEIVED".to_owned()];
            options.unknown_events.are_unnamed = !names;
        });
        let said = failed_sync(&relay).await;
        assert!(said.contains("no message would arrive"), "{said}");
        let is_on = webhooks(&relay)
            .await
            .iter()
            .all(|webhook| webhook["enabled"] == true);
        assert!(is_on, "{is_there} {names}");
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_wrong_identifier_and_missing_credentials_are_mended() {
    let relay = without_webhook().await;
    register(&relay, |spec| {
        spec.headers = vec![("X-Account-Identifier".to_owned(), "wrong".to_owned())];
    });
    sync(&relay).await;
    assert_eq!(relay.outcome_of("hello").await.1, Outcome::Replied);
    relay.finish().await;

    let mut relay = without_webhook().await;
    let credentials = "name = \"acme\"\nwebhook_username = \"u\"\nwebhook_password = \"pass-word\"";
    relay.toml = relay.toml.replace("name = \"acme\"", credentials);
    register(&relay, |_| {});
    let said = sync(&relay).await;
    assert!(said.contains("add user name and password"), "{said}");
    assert_eq!(the_webhook(&relay).await["hasCredentials"], true);
}

#[tokio::test]
async fn headers_that_others_have_added_are_left_alone() {
    let relay = without_webhook().await;
    register(&relay, |spec| {
        spec.headers
            .push(("X-Proxy-Key".to_owned(), "k".to_owned()));
    });
    let said = sync(&relay).await;
    assert!(said.contains("leave its headers"), "{said}");
    let keys = the_webhook(&relay).await["headerKeys"].clone();
    assert_eq!(keys, json!(["X-Account-Identifier", "X-Proxy-Key"]));
    assert_eq!(relay.outcome_of("hello").await.1, Outcome::Replied);
    relay.finish().await;

    let relay = without_webhook().await;
    register(&relay, |spec| {
        spec.headers = vec![("X-Proxy-Key".to_owned(), "k".to_owned())];
    });
    let said = failed_sync(&relay).await;
    assert!(said.contains("add it in Gladly by hand"), "{said}");
    let keys = the_webhook(&relay).await["headerKeys"].clone();
    assert_eq!(keys, json!(["X-Proxy-Key"]));
}

#[tokio::test]
async fn a_webhook_without_the_identifier_gets_it() {
    let relay = without_webhook().await;
    register(&relay, |spec| spec.headers.clear());
    let said = sync(&relay).await;
    assert!(
        said.contains("acme: repair: add header X-Account-Identifier"),
        "{said}"
    );
    assert_eq!(relay.outcome_of("hello").await.1, Outcome::Replied);
    relay.finish().await;
}

#[tokio::test]
async fn no_other_webhook_is_touched() {
    let relay = without_webhook().await;
    let other = WebhookSpec::relay("https://other.example.com/webhooks/gladly", "other");
    let id = relay.gladly.register_webhook(other);
    relay.gladly.enable_webhook(&id, false);
    let before = relay.gladly.webhook(&id);
    sync(&relay).await;
    assert_eq!(relay.gladly.webhook(&id), before);
    assert_eq!(webhooks(&relay).await.len(), 2);
    relay.finish().await;
}

#[tokio::test]
async fn a_dry_run_shows_the_plan_and_does_nothing() {
    let relay = without_webhook().await;
    let output = run(&relay, &["sync", "--dry-run", "--json"]).await;
    assert_eq!(output.status.code(), Some(0));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&told[0]["step"], &told[0]["result"]),
        (&json!("create"), &json!("planned"))
    );
    assert!(webhooks(&relay).await.is_empty());
    let reading = [Operation::ListWebhooks];
    let requests = relay.gladly.requests();
    let others = requests
        .iter()
        .filter(|request| !reading.contains(&request.operation));
    assert_eq!(others.count(), 0);
    relay.finish().await;
}

#[tokio::test]
async fn a_relay_that_does_not_run_is_named_as_the_cause() {
    let mut relay = without_webhook().await;
    relay.stop().await;
    let said = failed_sync(&relay).await;
    assert!(
        said.contains("warning: ") && said.contains("nothing listens there"),
        "{said}"
    );
    assert!(
        said.contains("the relay must be running and reachable there"),
        "{said}"
    );
    assert!(webhooks(&relay).await.is_empty());
}

#[tokio::test]
async fn json_holds_an_element_for_each_account_and_nothing_else() {
    let mut relay = without_webhook().await;
    relay.stop().await;
    let output = run(&relay, &["sync", "--dry-run", "--json"]).await;
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let [acme] = &told.as_array().unwrap()[..] else {
        panic!("{told:#}");
    };
    assert_eq!(acme["account"], "acme", "{told:#}");
    let warning = acme["warning"].as_str().unwrap();
    assert!(warning.contains("nothing listens there"), "{warning}");
}

#[tokio::test]
async fn roles_that_are_not_enough_are_named() {
    let relay = without_webhook().await;
    options(&relay, |options| {
        options.roles = vec![Role::ApiUser, Role::Agent];
    });
    let said = failed_sync(&relay).await;
    assert!(said.contains("Team Manager or Administrator"), "{said}");
    relay.finish().await;
}

#[tokio::test]
async fn one_account_that_fails_does_not_keep_another_from_its_webhook() {
    let mut relay = without_webhook().await;
    let (_, account) = relay.toml.split_once("[[account]]").unwrap();
    let other = account
        .replace("name = \"acme\"", "name = \"bmce\"")
        .replace(&relay.gladly.url(), "http://127.0.0.1:9")
        .replace(IDENTIFIER, "of-bmce")
        .replace("the-next-identifier", "the-next-of-bmce");
    relay.toml = format!("{}\n[[account]]{other}", relay.toml);
    let said = failed_sync(&relay).await;
    assert!(
        said.contains("acme: done") && said.contains("bmce: failed: "),
        "{said}"
    );
    assert_eq!(the_webhook(&relay).await["enabled"], true);
}

#[tokio::test]
async fn two_accounts_of_one_organization_do_not_take_each_others_webhook() {
    let mut relay = without_webhook().await;
    let (_, account) = relay.toml.split_once("[[account]]").unwrap();
    let other = account
        .replace("name = \"acme\"", "name = \"bmce\"")
        .replace(IDENTIFIER, "of-bmce")
        .replace("the-next-identifier", "the-next-of-bmce")
        .replace("\"ai-inbox\"", "\"another-inbox\"");
    relay.toml = format!("{}\n[[account]]{other}", relay.toml);
    let said = failed_sync(&relay).await;
    assert!(
        said.contains("bmce: failed: it is of the same organization as acme"),
        "{said}"
    );
    assert_eq!(
        relay.outcome_of("hello").await.1,
        Outcome::Replied,
        "acme's"
    );
}

#[tokio::test]
async fn another_address_can_be_given_and_none_at_all_is_an_error() {
    let mut relay = without_webhook().await;
    let url = address(&relay);
    let (_, rest) = relay.toml.split_once('\n').unwrap();
    relay.toml = rest.to_owned();
    let said = failed_sync(&relay).await;
    assert!(
        said.contains("set RELAY_PUBLIC_URL") && said.contains("--url"),
        "{said}"
    );
    let output = run(&relay, &["sync", "--url", &url]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(the_webhook(&relay).await["url"], url);
    relay.finish().await;
}

#[tokio::test]
async fn the_list_shows_every_webhook_and_which_is_ours() {
    let relay = without_webhook().await;
    let output = run(&relay, &["list"]).await;
    assert_eq!(text(&output), "acme: no webhooks\n");
    let ours = register(&relay, |_| {});
    let other = WebhookSpec::relay("https://other.example.com/hook", "other");
    let other = relay.gladly.register_webhook(other);
    relay.gladly.enable_webhook(&other, false);
    let said = text(&run(&relay, &["list"]).await);
    assert!(
        said.contains(&format!("acme\t{ours}\ton\tthis relay's\t")),
        "{said}"
    );
    assert!(said.contains(&format!("acme\t{other}\toff\t-\t")), "{said}");
    let output = run(&relay, &["list", "--json"]).await;
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told[0]["webhooks"][0]["ours"], true);
    assert_eq!(told[0]["webhooks"][1]["enabled"], false);
    relay.finish().await;
}
