//! What operators see and do on the admin listener: the API, and pages in a real browser.

mod api;
mod dead_letters;
mod guarded;
mod live;
mod look;
mod pictured;
mod signing_in;
mod stream;
mod turns;

use std::time::Duration;

use gladly_relay::outcome::Outcome;
use gladly_relay::sim::{Fault, Operation, Outage, What, When};
use reqwest::{Client, RequestBuilder, redirect};
use serde_json::json;

use crate::support::{Setup, TestRelay, soon};

pub(crate) const TOKEN: &str = "open sesame";
/// In what customers, the bot and the humans say.
const NEEDLE: &str = "needle-c0ffee";

/// A relay whose admin listener asks for a password.
async fn with_a_password() -> TestRelay {
    let mut relay = Setup::default().start_without_relay().await;
    relay.toml = format!("admin_token = \"{TOKEN}\"\n{}", relay.toml);
    relay.boot().await;
    relay
}

/// A relay that answers, hands over, leaves alone, and has two dead turns of one cause and
/// a webhook that could not be used.
async fn with_a_story() -> TestRelay {
    let relay = Setup::policy("answer_deadline = \"1s\"").start().await;
    tell_a_story(&relay).await;
    relay
}

async fn tell_a_story(relay: &TestRelay) {
    let (chat, outcome) = relay
        .outcome_of(&format!("Where is my order? {NEEDLE}"))
        .await;
    assert_eq!(outcome, Outcome::Replied);
    relay.says(&chat, "I want to talk to a human");
    relay.outcomes(2).await;
    relay.gladly.take_over(&chat);
    relay.all_told().await;
    relay.says(&chat, &format!("A human! {NEEDLE}"));
    relay.outcomes(3).await;
    relay.gleen.down(Outage::Status(503));
    relay.outcome_of(&format!("Gift cards? {NEEDLE}")).await;
    relay.outcomes(4).await;
    relay.gleen.up();
    make_dead_letters(relay, 4).await;
}

/// Two dead turns and a dead webhook, after so many outcomes.
async fn make_dead_letters(relay: &TestRelay, before: usize) {
    relay.gladly.fault(Fault {
        operation: Some(Operation::PatchConversation),
        when: When::Always,
        what: What::status(422),
    });
    for _ in 0..2 {
        let conversation = relay.conversation();
        relay.says(&conversation, "agent please");
    }
    let outcomes = relay.outcomes(before + 2).await;
    let died = |outcome: &Outcome| matches!(outcome, Outcome::Dead(_));
    assert!(outcomes[before..].iter().all(died), "{outcomes:?}");
    relay.gladly.clear_faults();
    let useless = json!({"id": "e", "type": "CONTACT/MESSAGE_RECEIVED", "content": {}});
    assert_eq!(relay.post(useless.to_string()).await.status(), 200);
}

/// A client that shows where it is sent instead of going there.
fn client() -> Client {
    let none = redirect::Policy::none();
    Client::builder().redirect(none).no_proxy().build().unwrap()
}

fn url(relay: &TestRelay, path: &str) -> String {
    format!("{}{path}", relay.running().admin_url)
}

async fn send(request: RequestBuilder) -> reqwest::Response {
    soon(request.timeout(Duration::from_secs(20)).send())
        .await
        .unwrap()
}

async fn json_of(relay: &TestRelay, path: &str) -> serde_json::Value {
    let answer = send(client().get(url(relay, path))).await;
    assert_eq!(answer.status(), 200, "{path}");
    soon(answer.json()).await.unwrap()
}
