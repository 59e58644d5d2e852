//! `gladly-relay dead`, beside a relay that runs: no setting but the store's address.

use std::process::{Output, Stdio};

use gladly_relay::outcome::HandoffReason::CustomerRequested;
use gladly_relay::outcome::Outcome;
use gladly_relay::sim::{Fault, Operation, What, When};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{Setup, TestRelay, soon};

async fn dead(relay: &TestRelay, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gladly-relay"));
    command.arg("dead").args(arguments).env_clear();
    command.env(
        "RELAY_STORE",
        format!("sqlite://{}", relay.database().display()),
    );
    command.stdin(Stdio::null()).kill_on_drop(true);
    soon(command.output()).await.unwrap()
}

async fn said(relay: &TestRelay, arguments: &[&str]) -> String {
    let output = dead(relay, arguments).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// One dead turn, whose note is written, and one webhook that could not be used.
async fn with_dead_letters() -> (TestRelay, String) {
    let relay = Setup::policy("answer_deadline = \"1s\"").start().await;
    relay.gladly.fault(Fault {
        operation: Some(Operation::PatchConversation),
        when: When::Always,
        what: What::status(422),
    });
    let (conversation, outcome) = relay.outcome_of("agent please").await;
    assert!(matches!(outcome, Outcome::Dead(_)), "{outcome:?}");
    relay.gladly.clear_faults();
    let useless = json!({"id": "e", "type": "CONTACT/MESSAGE_RECEIVED", "content": {}});
    assert_eq!(relay.post(useless.to_string()).await.status(), 200);
    (relay, conversation)
}

#[tokio::test]
async fn dead_letters_say_what_happened_where_and_what_to_do() {
    let (relay, conversation) = with_dead_letters().await;
    let listed: Value = serde_json::from_str(&said(&relay, &["list", "--json"]).await).unwrap();
    let [turn, webhook] = &listed.as_array().unwrap()[..] else {
        panic!("{listed}");
    };
    assert_eq!(turn["conversation_id"], conversation.as_str());
    assert_eq!(turn["kind"], "turn");
    assert_eq!(turn["may_have_written"], true, "the note is written");
    assert_eq!(webhook["kind"], "CONTACT/MESSAGE_RECEIVED");
    assert_eq!(webhook["turn_id"], Value::Null);
    let table = said(&relay, &["list"]).await;
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3);
    let columns = lines[0].split('\t').count();
    assert!(lines.iter().all(|line| line.split('\t').count() == columns));
    let id = turn["id"].to_string();
    let shown = said(&relay, &["show", &id]).await;
    assert!(shown.contains(&conversation), "{shown}");
    assert!(shown.contains("it goes to a human"), "{shown}");
    let one: Value = serde_json::from_str(&said(&relay, &["show", &id, "--json"]).await).unwrap();
    assert_eq!(one, *turn);
    let none = dead(&relay, &["show", "999"]).await;
    assert_eq!(none.status.code(), Some(1));
    relay.finish().await;
}

#[tokio::test]
async fn all_that_can_be_is_retried_and_the_rest_dropped() {
    let (relay, _) = with_dead_letters().await;
    assert_eq!(dead(&relay, &["retry"]).await.status.code(), Some(2));
    let both = dead(&relay, &["drop", "--all", "1"]).await;
    assert_eq!(both.status.code(), Some(2), "{both:?}");
    let retried = said(&relay, &["retry", "--all"]).await;
    assert_eq!(retried.lines().count(), 1, "no webhook: {retried}");
    let handed_off = Outcome::HandedOff(CustomerRequested);
    assert_eq!(relay.outcomes(2).await[1], handed_off);
    let dropped = said(&relay, &["drop", "--all"]).await;
    assert_eq!(dropped.lines().count(), 1, "{dropped}");
    assert_eq!(said(&relay, &["list"]).await, "no dead letters\n");
    assert_eq!(said(&relay, &["list", "--json"]).await, "[]\n");
    relay.finish().await;
}

#[tokio::test]
async fn a_conversation_that_came_to_the_bot_in_vain_is_looked_at_again() {
    let relay = Setup::policy("answer_deadline = \"1s\"").start().await;
    let conversation = relay.conversation();
    let options = relay.gladly.options();
    relay
        .gladly
        .move_to(&conversation, &options.handoff_inbox_id, None);
    relay.says(&conversation, "hello");
    relay.outcomes(1).await;
    // Not even its note is written: then it begins anew.
    for operation in [
        Operation::ListItems,
        Operation::AddNote,
        Operation::PatchConversation,
    ] {
        relay.always(operation, What::status(422));
    }
    relay
        .gladly
        .move_to(&conversation, &options.ai_inbox_id, None);
    let outcome = relay.outcomes(2).await.remove(1);
    assert!(matches!(outcome, Outcome::Dead(_)), "{outcome:?}");
    relay.gladly.clear_faults();
    said(&relay, &["retry", "--all"]).await;
    assert_eq!(relay.outcomes(3).await[2], Outcome::Replied);
    assert_eq!(relay.replies(&conversation), ["You asked: hello"]);
    relay.finish().await;
}
