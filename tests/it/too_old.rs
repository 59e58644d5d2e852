//! What is forgotten is not answered again; what is only late is answered.

use std::time::Duration;

use gladly_relay::outcome::Outcome;
use gladly_relay::sim::Message;
use gladly_relay::store::Store;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::{RelayProcess, Setup, TestRelay};

async fn told(relay: &TestRelay, payload: &Value) -> String {
    let answer = relay.post(payload.to_string()).await;
    assert_eq!(answer.status(), 200);
    let body: Value = answer.json().await.unwrap();
    body["status"].as_str().unwrap().to_owned()
}

/// What the upkeep does after so many days.
async fn days_later(relay: &TestRelay, days: u64) {
    relay.clock.advance(Duration::from_hours(24 * days));
    let week = SignedDuration::from_hours(7 * 24);
    let before = gladly_relay::clock::Clock::now(&*relay.clock).at - week;
    relay.running().store.purge(before).await.unwrap();
}

#[tokio::test]
async fn a_webhook_that_comes_again_after_it_was_forgotten_is_ignored() {
    // The clock may be off when it comes first, and set right since.
    for hours in [0, -1, 1, -6, -8 * 24] {
        let mut relay = Setup::default().start_without_relay().await;
        relay.clock.set_off(SignedDuration::from_hours(hours));
        relay.boot().await;
        let conversation = relay.conversation();
        let item = relay.says(&conversation, "hello");
        assert_eq!(relay.next_outcome().await, Outcome::Replied);
        relay.all_told().await;
        relay.stop().await;
        relay.clock.set_off(SignedDuration::ZERO);
        relay.boot().await;
        let payload = relay.gladly.payload_for(&item);
        assert_eq!(told(&relay, &payload).await, "duplicate");
        days_later(&relay, 20).await;
        assert_eq!(told(&relay, &payload).await, "ignored", "off by {hours} h");
        let counted = r#"event="CONTACT/MESSAGE_RECEIVED",result="too_old"} 1"#;
        let metrics = relay.metrics().await;
        assert!(metrics.contains(counted), "{metrics}");
        assert_eq!(relay.replies(&conversation).len(), 1);
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_webhook_that_is_only_late_is_answered() {
    let relay = TestRelay::start().await;
    // There is something to forget.
    relay.outcome_of("hello").await;
    relay.all_told().await;
    days_later(&relay, 20).await;
    for minutes in [60, 24 * 60] {
        let conversation = relay.conversation();
        let message = Message::chat(format!("{minutes} minutes ago"));
        let item = relay
            .gladly
            .customer_message_without_webhook(&conversation, &message);
        let mut payload = relay.gladly.payload_for(&item);
        let raised_at = Timestamp::now() + SignedDuration::from_hours(20 * 24)
            - SignedDuration::from_mins(minutes);
        payload["timestamp"] = json!(raised_at.to_string());
        assert_eq!(told(&relay, &payload).await, "accepted", "{minutes}");
    }
    let both = [Outcome::Replied, Outcome::Replied];
    assert_eq!(relay.outcomes(3).await[1..], both);
    relay.finish().await;
}

#[tokio::test]
async fn what_is_ignored_for_its_age_is_logged() {
    let mut relay = TestRelay::start().await;
    let conversation = relay.conversation();
    let item = relay.says(&conversation, "hello");
    relay.next_outcome().await;
    relay.all_told().await;
    days_later(&relay, 20).await;
    let payload = relay.gladly.payload_for(&item);
    relay.stop().await;
    let process = RelayProcess::start(&relay.config_file()).await;
    let url = format!("{}/webhooks/gladly", process.url);
    let request = reqwest::Client::new()
        .post(url)
        .header("X-Account-Identifier", crate::support::IDENTIFIER);
    let answer = request.body(payload.to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let (_, log) = process.terminate_and_read().await;
    let line = log.lines().find(|line| line.contains("older than"));
    let line = line.expect("it is logged");
    assert!(line.contains("WARN"), "{line}");
}
