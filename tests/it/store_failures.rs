//! A store that cannot be written: Gladly is told to come again, the process
//! stays up, and it goes on by itself once the disk does.

use std::process::Stdio;

use gladly_relay::outcome::Outcome;
use gladly_relay::sim::GladlyWorld;
use rusqlite::Connection;
use serde_json::json;
use tokio::process::Command;

use crate::support::{RelayProcess, Setup, TestRelay, soon};

fn ping_like(number: usize) -> String {
    // Long ids fill the disk sooner.
    let id = format!("{number}-{}", "x".repeat(150));
    json!({"id": id, "type": "CONVERSATION/CLOSED", "content": {"conversationId": format!("c{number}")}}).to_string()
}

async fn status(request: reqwest::RequestBuilder) -> u16 {
    soon(request.send()).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn while_it_cannot_be_written_gladly_is_asked_to_come_again() {
    let relay = TestRelay::start().await;
    let other = Connection::open(relay.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (client, url) = (reqwest::Client::new(), relay.running().url.clone());

    let answer = relay.post(ping_like(1)).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["retry-after"], "30");
    assert_eq!(status(client.get(format!("{url}/readyz"))).await, 503);
    assert_eq!(status(client.get(format!("{url}/healthz"))).await, 200);

    other.execute_batch("ROLLBACK").unwrap();
    drop(other);
    assert_eq!(status(client.get(format!("{url}/readyz"))).await, 200);
    assert_eq!(relay.post(ping_like(1)).await.status(), 200);
    assert_eq!(relay.outcome_of("hello").await.1, Outcome::Replied);
    relay.finish().await;
}

/// Sets how large a file the process may write, as a full disk would.
async fn limit_files(process: &RelayProcess, limit: &str) -> bool {
    let id = process.id().to_string();
    let mut prlimit = Command::new("prlimit");
    let set = prlimit
        .args(["--pid", &id, &format!("--fsize={limit}:")])
        .stderr(Stdio::null());
    set.status().await.is_ok_and(|status| status.success())
}

#[tokio::test]
async fn a_full_disk_loses_nothing_that_was_accepted() {
    let mut relay = Setup::default().start_without_relay().await;
    let process = RelayProcess::start_on_a_small_disk(&relay.config_file()).await;
    relay.point_webhook_to(&process.url);
    let used = std::fs::metadata(relay.database().with_extension("db-wal"))
        .unwrap()
        .len();
    if !limit_files(&process, &(used + 60_000).to_string()).await {
        return crate::support::skipped("prlimit");
    }
    let (client, url) = (reqwest::Client::new(), process.url.clone());
    let post = async |number: usize| {
        let request = client.post(format!("{url}/webhooks/gladly"));
        let request = request
            .header("X-Account-Identifier", "identifier-of-acme")
            .body(ping_like(number));
        let answer = soon(request.send()).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    // SQLite finds room for a while by moving its log into the database.
    let (mut posted, mut accepted) = (0, Vec::new());
    while status(client.get(format!("{url}/readyz"))).await == 200 {
        match post(posted).await.0 {
            200 => accepted.push(posted),
            503 => {}
            other => panic!("{other}"),
        }
        posted += 1;
        assert!(posted < 5_000, "the disk never filled");
    }
    assert_eq!(
        status(client.get(format!("{url}/healthz"))).await,
        200,
        "it stays up"
    );

    assert!(limit_files(&process, "unlimited").await);
    assert_eq!(
        status(client.get(format!("{url}/readyz"))).await,
        200,
        "it recovers"
    );
    assert!(!accepted.is_empty());
    for number in accepted {
        assert_eq!(
            post(number).await,
            (200, r#"{"status":"duplicate"}"#.to_owned()),
            "{number} was kept"
        );
    }
    let conversation = relay.conversation();
    relay.says(&conversation, "hello");
    let answered = |world: &GladlyWorld| {
        !world
            .conversation(&conversation)
            .unwrap()
            .replies()
            .is_empty()
    };
    soon(relay.gladly.wait_for(answered)).await;
    assert_eq!(process.terminate().await, Some(0));
}
