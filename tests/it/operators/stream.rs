//! `GET /api/stream` tells of turns and accounts while they change, and ends with the relay.

use std::time::Duration;

use serde_json::Value;

use super::{client, make_dead_letters, send, url};
use crate::support::{Setup, TestRelay, soon};

/// What has come so far, read until it holds.
struct Reading {
    answer: reqwest::Response,
    text: String,
}

impl Reading {
    async fn begin(relay: &TestRelay) -> Self {
        let answer = send(
            client()
                .get(url(relay, "/api/stream"))
                .timeout(Duration::from_mins(1)),
        );
        let answer = answer.await;
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let mut reading = Self {
            answer,
            text: String::new(),
        };
        reading.until(|text| text.contains("begun")).await;
        reading
    }

    async fn until(&mut self, holds: impl Fn(&str) -> bool) {
        while !holds(&self.text) {
            let chunk = soon(self.answer.chunk()).await.unwrap();
            let chunk = chunk.expect("the stream goes on");
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    fn events(&self, name: &str) -> Vec<Value> {
        let events = self.text.split("\n\n");
        let named = events.filter_map(|event| event.split_once(&format!("event: {name}\ndata: ")));
        named
            .map(|(_, data)| serde_json::from_str(data).unwrap())
            .collect()
    }
}

#[tokio::test]
async fn a_turn_s_beginning_and_its_end_are_told() {
    let relay = TestRelay::start().await;
    let mut reading = Reading::begin(&relay).await;
    let (conversation, _) = relay.outcome_of("hello").await;
    reading
        .until(|text| text.matches("event: turn\n").count() >= 2)
        .await;
    let turns = reading.events("turn");
    assert_eq!(turns[0]["conversation_id"], conversation.as_str());
    assert_eq!(turns[0]["account"], "acme");
    assert_eq!(turns[0]["outcome"], Value::Null);
    assert_eq!(turns[0]["messages"], 1);
    assert_eq!(turns[1]["id"], turns[0]["id"]);
    assert_eq!(turns[1]["outcome"], "replied");
    assert!(turns[1]["took_ms"].as_i64().unwrap() >= 0);
    assert!(!reading.text.contains("hello"), "no words");
    relay.finish().await;
}

#[tokio::test]
async fn an_account_s_change_is_told_and_a_stop_ends_the_stream() {
    let mut relay = Setup::policy("answer_deadline = \"1s\"").start().await;
    make_dead_letters(&relay, 0).await;
    let mut reading = Reading::begin(&relay).await;
    let drop = client().post(url(&relay, "/api/dead/3/drop"));
    let dropped = send(drop.header("Sec-Fetch-Site", "same-origin")).await;
    assert_eq!(dropped.status(), 200);
    reading
        .until(|text| text.contains("event: account\n"))
        .await;
    let account = &reading.events("account")[0];
    assert_eq!(account["name"], "acme");
    assert_eq!(account["dead_letters"], 2);
    relay.stop().await;
    assert_eq!(soon(reading.answer.chunk()).await.unwrap(), None, "it ends");
}

#[tokio::test]
async fn only_so_many_may_read_and_pages_are_still_to_be_had() {
    let relay = TestRelay::start().await;
    let mut readers = Vec::new();
    for _ in 0..32 {
        readers.push(Reading::begin(&relay).await);
    }
    let one_more = send(client().get(url(&relay, "/api/stream"))).await;
    assert_eq!(one_more.status(), 503);
    assert_eq!(send(client().get(url(&relay, "/"))).await.status(), 200);
    drop(readers);
    relay.finish().await;
}
