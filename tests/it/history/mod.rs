//! What was: `explain`, `report` and the admin API, from a relay that really ran.

mod explained;
mod listed;
mod reported;
mod wordless;

use std::process::{Output, Stdio};

use gladly_relay::outcome::{HandoffReason, Outcome, SkipReason};
use gladly_relay::sim::{Message, Operation, Outage, What};
use serde_json::Value;
use tokio::process::Command;

use crate::support::{TestRelay, let_pass, soon};

/// Runs a command on the relay's store, with no setting but its address.
async fn run(relay: &TestRelay, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gladly-relay"));
    command.args(arguments).env_clear();
    let store = format!("sqlite://{}", relay.database().display());
    command.env("RELAY_STORE", store);
    command.stdin(Stdio::null()).kill_on_drop(true);
    soon(command.output()).await.unwrap()
}

/// What it says, having succeeded.
async fn said(relay: &TestRelay, arguments: &[&str]) -> String {
    let output = run(relay, arguments).await;
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

async fn explain(relay: &TestRelay, conversation: &str) -> String {
    said(relay, &["explain", conversation]).await
}

/// The sentence at its end.
async fn last_line(relay: &TestRelay, conversation: &str) -> String {
    let text = explain(relay, conversation).await;
    text.lines().last().unwrap().to_owned()
}

/// What the admin API answers: the status, and JSON.
async fn get(relay: &TestRelay, path: &str) -> (u16, Value) {
    let url = format!("{}{path}", relay.running().admin_url);
    let response = soon(reqwest::get(url)).await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap())
}

async fn got(relay: &TestRelay, path: &str) -> Value {
    let (status, value) = get(relay, path).await;
    assert_eq!(status, 200, "{path}: {value}");
    value
}

/// Each in a conversation of its own: an answer, a wish for a human, a message that
/// cannot be read, one that a human holds, one in another inbox. Their conversations.
async fn story(relay: &TestRelay) -> [String; 5] {
    let (answered, outcome) = relay.outcome_of("Where is my order?").await;
    assert_eq!(outcome, Outcome::Replied);
    let wish = relay.conversation();
    relay.says(&wish, "Can I talk to a human, please?");
    relay.outcomes(2).await;
    let unreadable = relay.conversation();
    let picture = Message::chat("").with_attachment("lamp.png");
    relay.gladly.customer_says(&unreadable, &picture);
    relay.outcomes(3).await;
    let taken = relay.conversation();
    relay.gladly.take_over(&taken);
    relay.all_told().await;
    relay.says(&taken, "for Ada's eyes only");
    relay.outcomes(4).await;
    let elsewhere = relay.conversation();
    let inbox = relay.gladly.options().other_inbox_id;
    relay.gladly.move_to(&elsewhere, &inbox, None);
    relay.all_told().await;
    relay.says(&elsewhere, "for the other team");
    relay.outcomes(5).await;
    relay.all_told().await;
    [answered, wish, unreadable, taken, elsewhere]
}
