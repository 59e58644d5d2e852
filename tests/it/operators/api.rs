//! The admin API tells scripts what the pages tell people.

use gladly_relay::outcome::HandoffReason::CustomerRequested;
use gladly_relay::outcome::Outcome;
use gladly_relay::sim::Outage;
use serde_json::{Value, json};

use super::{client, json_of, make_dead_letters, send, url};
use crate::support::{Setup, TestRelay, soon};

#[tokio::test]
async fn accounts_are_told_as_they_are() {
    let relay = Setup::policy("answer_deadline = \"1s\"").start().await;
    let accounts = json_of(&relay, "/api/accounts").await;
    let [account] = &accounts.as_array().unwrap()[..] else {
        panic!("{accounts}");
    };
    assert_eq!(account["name"], "acme");
    assert_eq!(account["last_event_at"], Value::Null);
    assert_eq!(
        account["webhook"], "unknown",
        "nobody looks at it without a sweep"
    );
    assert_eq!(account["breaker_open"], false);
    assert!(!account["driven_by"].as_str().unwrap().is_empty());
    for none in ["backlog_turns", "oldest_waiting_seconds", "dead_letters"] {
        assert_eq!(account[none].as_f64(), Some(0.0), "{none}");
    }
    make_dead_letters(&relay, 0).await;
    let account = json_of(&relay, "/api/accounts").await[0].clone();
    assert_eq!(account["dead_letters"], 3);
    let last: jiff::Timestamp = account["last_event_at"].as_str().unwrap().parse().unwrap();
    assert!(last <= jiff::Timestamp::now());
    relay.finish().await;
}

#[tokio::test]
async fn an_open_breaker_and_a_waiting_turn_are_seen() {
    let relay = TestRelay::start().await;
    relay.gleen.down(Outage::Status(503));
    let mut conversations = Vec::new();
    for count in 1..=6 {
        conversations.push(relay.conversation());
        relay.says(&conversations[count - 1], "hello");
        relay.outcomes(count).await;
    }
    let account = json_of(&relay, "/api/accounts").await[0].clone();
    assert_eq!(account["breaker_open"], true);
    relay.gleen.up();
    let held = relay
        .gladly
        .hold_next(gladly_relay::sim::Operation::GetItem);
    let waiting = relay.conversation();
    relay.says(&waiting, "hello");
    soon(held.reached()).await;
    let account = json_of(&relay, "/api/accounts").await[0].clone();
    assert_eq!(account["backlog_turns"], 1);
    held.release();
    relay.outcomes(7).await;
    relay.finish().await;
}

#[tokio::test]
async fn dead_letters_are_listed_in_pages_retried_and_dropped() {
    let relay = Setup::policy("answer_deadline = \"1s\"").start().await;
    make_dead_letters(&relay, 0).await;
    let all = json_of(&relay, "/api/dead").await;
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), 3);
    let first = send(client().get(url(&relay, "/api/dead?limit=2"))).await;
    let link = first.headers()["link"].to_str().unwrap().to_owned();
    let first: Value = soon(first.json()).await.unwrap();
    let next = link.trim_start_matches('<').split('>').next().unwrap();
    let rest = send(client().get(url(&relay, next))).await;
    assert!(
        !rest.headers().contains_key("link"),
        "that was the last page"
    );
    let rest: Value = soon(rest.json()).await.unwrap();
    assert_eq!(json!([first[0], first[1], rest[0]]), json!(all));
    assert_eq!(json_of(&relay, "/api/dead?account=other").await, json!([]));

    let (turn, other, webhook) = (&all[0]["id"], &all[1]["id"], &all[2]["id"]);
    let post = async |path: String| {
        let request = client().post(url(&relay, &path));
        let answer = send(request.header("Sec-Fetch-Site", "same-origin")).await;
        let status = answer.status().as_u16();
        (status, soon(answer.json::<Value>()).await.unwrap())
    };
    let (status, _) = post(format!("/api/dead/{turn}/retry")).await;
    assert_eq!(status, 200);
    let handed_off = Outcome::HandedOff(CustomerRequested);
    assert_eq!(relay.outcomes(3).await[2], handed_off);
    for (path, expected) in [
        (format!("/api/dead/{turn}/retry"), 404),
        ("/api/dead/nonsense/retry".to_owned(), 404),
        (format!("/api/dead/{webhook}/retry"), 409),
        (format!("/api/dead/{webhook}/drop"), 200),
        (format!("/api/dead/{webhook}/drop"), 404),
        (format!("/api/dead/{other}/drop"), 200),
    ] {
        let (status, body) = post(path.clone()).await;
        assert_eq!(status, expected, "{path}");
        if expected >= 400 {
            assert_eq!(body["status"], expected, "a problem: {body}");
        }
    }
    assert_eq!(json_of(&relay, "/api/dead").await, json!([]));
    for wrong in ["/api/dead?limit=x", "/api/dead?after=x"] {
        assert_eq!(send(client().get(url(&relay, wrong))).await.status(), 400);
    }
    relay.finish().await;
}
