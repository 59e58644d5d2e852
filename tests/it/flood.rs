//! A flood of accepted webhooks in one account keeps neither its own customers from
//! an answer or a human, nor other accounts'.
//!
//! With `RELAY_TEST_FLOOD`, the number of its webhooks, the limit and the deadline are
//! the usual ones, and each visitor's wait is printed.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use gladly_relay::sim::{GladlyOptions, Message};
use gladly_relay::store::Operations;
use serde_json::json;

use crate::support::{IDENTIFIER, Setup, TestRelay};

/// More than run at once, and many times what can be answered in time.
const FLOOD: usize = 2_500;
/// Of those who come after it, one after the other, somebody is answered by then.
const VISITORS: usize = 40;
/// Nobody waits longer, whatever is promised.
const PATIENCE: Duration = Duration::from_mins(5);

/// What a flood is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Conversations that nobody heard of before.
    New,
    /// The same, in an inbox that is not the bot's.
    Elsewhere,
    /// A single conversation.
    One,
    /// Events that can't be used.
    Unusable,
}

fn size() -> Option<usize> {
    std::env::var("RELAY_TEST_FLOOD").ok()?.parse().ok()
}

/// Calls a second, and the seconds until somebody must have answered. In the shorter,
/// a busy machine still answers who need not wait.
fn limit_and_deadline() -> (u32, u64) {
    size().map_or((20, 15), |_| (10, 60))
}

async fn relay() -> TestRelay {
    let (limit, deadline) = limit_and_deadline();
    let gladly = GladlyOptions {
        requests_per_second: Some(limit),
        ..GladlyOptions::default()
    };
    let setup = Setup {
        gladly,
        account_gladly: format!("requests_per_second = {limit}"),
        policy: format!("answer_deadline = \"{deadline}s\""),
        account_gleen: "timeout = \"2s\"".to_owned(),
        ..Setup::default()
    };
    let mut relay = setup.start_without_relay().await;
    // A second account of the same organization.
    let first = relay.toml.split_once("[[account]]").unwrap().1.to_owned();
    let second = first
        .replace("\"acme\"", "\"twin\"")
        .replace("identifier-of-acme", "identifier-of-twin")
        .replace("the-next-identifier", "the-next-of-twin")
        .replace("\"ai-inbox\"", "\"other-inbox\"");
    relay.toml = format!("{}[[account]]{second}", relay.toml);
    relay.boot().await;
    // Everything is posted by hand.
    relay.lose_webhooks();
    relay
}

/// What tells of a customer's message.
fn written(relay: &TestRelay, conversation: &str) -> String {
    let item = relay
        .gladly
        .customer_message_without_webhook(conversation, &Message::chat("hello"));
    relay.gladly.payload_for(&item).to_string()
}

fn webhooks(relay: &TestRelay, kind: Kind) -> Vec<String> {
    let one = relay.conversation();
    let webhook = |number: usize| match kind {
        Kind::New => written(relay, &relay.conversation()),
        Kind::Elsewhere => {
            let conversation = relay.conversation();
            relay.gladly.move_to(&conversation, "third-inbox", None);
            written(relay, &conversation)
        }
        Kind::One => written(relay, &one),
        Kind::Unusable => {
            json!({"id": format!("u{number}"), "type": "CONTACT/MESSAGE_RECEIVED", "content": {}})
                .to_string()
        }
    };
    (0..size().unwrap_or(FLOOD)).map(webhook).collect()
}

async fn post(relay: &TestRelay, identifier: &str, webhooks: Vec<String>) {
    let http = reqwest::Client::new();
    let url = format!("{}/webhooks/gladly", relay.running().url);
    let posts = webhooks.into_iter().map(|body| {
        let request = http.post(&url).header("X-Account-Identifier", identifier);
        request.body(body).send()
    });
    let mut posts = stream::iter(posts).buffer_unordered(32);
    while let Some(answer) = posts.next().await {
        assert_eq!(answer.unwrap().status(), 200);
    }
}

/// A customer writes in a conversation and waits; whether it was the bot who came.
#[expect(clippy::print_stderr, reason = "a variable asks for it")]
async fn visit(relay: &TestRelay, identifier: &str, inbox: &str) -> bool {
    let conversation = relay.conversation();
    relay.gladly.move_to(&conversation, inbox, None);
    let webhook = written(relay, &conversation);
    let came = Instant::now();
    post(relay, identifier, vec![webhook]).await;
    let handoff = relay.gladly.options().handoff_inbox_id;
    let served = relay.gladly.wait_until(|world| {
        let view = world.conversation(&conversation)?;
        let answered = !view.replies().is_empty();
        (answered || view.inbox_id == handoff).then_some(answered)
    });
    let answered = tokio::time::timeout(PATIENCE, served).await.unwrap();
    if size().is_some() {
        eprintln!("{identifier}: {answered} after {:?}", came.elapsed());
    }
    answered
}

/// Customers write one after the other until the bot answers one. Each is served; on a
/// busy machine one or another by a human.
async fn answered(relay: &TestRelay, identifier: &str, inbox: &str) {
    for _ in 0..VISITORS {
        if visit(relay, identifier, inbox).await {
            return;
        }
    }
    panic!("the bot answers nobody of {identifier} any more");
}

/// Turns that have not ended.
async fn backlog(relay: &TestRelay) -> usize {
    let now = jiff::Timestamp::now();
    let backlog = relay.running().store.backlog(now).await.unwrap();
    let turns: u64 = backlog.iter().map(|backlog| backlog.turns).sum();
    turns.try_into().unwrap()
}

/// Waits until the relay calls for a flood that was posted by `posted` and whose
/// deadline is over. Until then nobody can tell a customer from the flood.
async fn is_late(relay: &TestRelay, posted: Instant) {
    let (_, deadline) = limit_and_deadline();
    let deadline = posted + Duration::from_secs(deadline);
    let late = relay
        .gladly
        .wait_until(|_| (Instant::now() > deadline).then_some(()));
    tokio::time::timeout(PATIENCE, late).await.unwrap();
}

/// Customers of the flooded account write before it and once its deadline is over: the
/// bot answers them while the flood still waits; another account's at any time.
async fn customers_are_served_beside(kind: Kind) {
    let relay = relay().await;
    let flood = webhooks(&relay, kind);
    let waits = match kind {
        Kind::New | Kind::Elsewhere => flood.len() / 4,
        Kind::One | Kind::Unusable => 0,
    };
    answered(&relay, IDENTIFIER, "ai-inbox").await;
    post(&relay, IDENTIFIER, flood).await;
    let posted = Instant::now();
    let twin = ("identifier-of-twin", "other-inbox");
    visit(&relay, twin.0, twin.1).await;
    if waits > 0 {
        is_late(&relay, posted).await;
    }
    answered(&relay, IDENTIFIER, "ai-inbox").await;
    answered(&relay, twin.0, twin.1).await;
    let left = backlog(&relay).await;
    assert!(left >= waits, "{kind:?}: {left} wait");
}

#[tokio::test]
async fn a_flood_of_new_conversations_keeps_no_later_customer_waiting() {
    customers_are_served_beside(Kind::New).await;
}

#[tokio::test]
async fn a_flood_of_conversations_elsewhere_keeps_no_later_customer_waiting() {
    customers_are_served_beside(Kind::Elsewhere).await;
}

#[tokio::test]
async fn a_flood_in_one_conversation_keeps_nobody_else_waiting() {
    customers_are_served_beside(Kind::One).await;
}

#[tokio::test]
async fn a_flood_of_unusable_events_keeps_nobody_waiting() {
    customers_are_served_beside(Kind::Unusable).await;
}
