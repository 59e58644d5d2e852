//! Every delivery gets the answer of the interface, and nothing is lost.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use gladly_relay::account::Accounts;
use gladly_relay::config::{Config, Environment};
use gladly_relay::http::{State, public_router};
use gladly_relay::outcome::Outcome;
use gladly_relay::relay::Relay;
use gladly_relay::sim::Message;
use gladly_relay::store::{Operations, Sqlite, Store};
use gladly_relay::telemetry::{Metrics, Traces};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::support::{IDENTIFIER, Setup, TestRelay, soon};

fn message(event: &str, conversation: &str, item: &str) -> Value {
    json!({
        "id": event, "type": "CONTACT/MESSAGE_RECEIVED", "timestamp": "2026-11-21T10:00:00.07Z",
        "content": {"channel": "CHAT", "conversationId": conversation, "customerId": "c", "messageId": item}
    })
}

async fn status_of(relay: &TestRelay, body: &Value) -> (u16, Value) {
    let response = relay.post(body.to_string()).await;
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn a_ping_and_what_does_not_concern_the_relay_are_ignored_with_200() {
    let relay = TestRelay::start().await;
    for body in [
        json!({"type": "PING"}),
        json!({"type": "PING", "id": "x", "content": null}),
        json!({"type": "PAYMENT_REQUEST/CREATED", "content": {"anything": [1, 2]}}),
        json!({"type": "SOMETHING/NEW"}),
        json!({"type": "CUSTOMER/MERGED", "content": {"sourceCustomerId": "a", "destinationCustomerId": "b"}}),
    ] {
        assert_eq!(
            status_of(&relay, &body).await,
            (200, json!({"status": "ignored"})),
            "{body}"
        );
    }
    relay.finish().await;
}

#[tokio::test]
async fn one_event_or_one_message_delivered_twice_is_one_turn() {
    let relay = TestRelay::start().await;
    let conversation = relay.conversation();
    let item = relay
        .gladly
        .customer_message_without_webhook(&conversation, &Message::chat("hours?"));
    let first = message("e1", &conversation, &item);
    assert_eq!(
        status_of(&relay, &first).await,
        (200, json!({"status": "accepted"}))
    );
    assert_eq!(
        status_of(&relay, &first).await,
        (200, json!({"status": "duplicate"}))
    );
    let older = json!({
        "id": "e2", "type": "MESSAGE/RECEIVED",
        "content": {"conversationId": conversation, "customerId": "c", "conversationItemId": item}
    });
    assert_eq!(
        status_of(&relay, &older).await,
        (200, json!({"status": "duplicate"}))
    );
    relay.outcomes(1).await;
    assert_eq!(
        status_of(&relay, &first).await,
        (200, json!({"status": "duplicate"}))
    );
    assert_eq!(relay.replies(&conversation).len(), 1);
    relay.finish().await;
}

#[tokio::test]
async fn an_event_without_an_id_is_told_apart_by_what_it_says() {
    let relay = TestRelay::start().await;
    let body = json!({"type": "CONVERSATION/CLOSED", "content": {"conversationId": "abc"}});
    assert_eq!(
        status_of(&relay, &body).await,
        (200, json!({"status": "accepted"}))
    );
    assert_eq!(
        status_of(&relay, &body).await,
        (200, json!({"status": "duplicate"}))
    );
    relay.finish().await;
}

#[tokio::test]
async fn events_without_an_id_that_say_different_things_are_all_taken() {
    let relay = TestRelay::start().await;
    for conversation in ["abc", "abd"] {
        let body =
            json!({"type": "CONVERSATION/CLOSED", "content": {"conversationId": conversation}});
        assert_eq!(
            status_of(&relay, &body).await,
            (200, json!({"status": "accepted"})),
            "{body}"
        );
    }
    relay.finish().await;
}

#[tokio::test]
async fn what_cannot_be_stored_is_refused_and_answered_once_it_is_delivered_again() {
    let relay = TestRelay::start().await;
    let conversation = relay.conversation();
    relay
        .gladly
        .wait_for(|world| world.undelivered() == 0)
        .await;
    let item = relay
        .gladly
        .customer_message_without_webhook(&conversation, &Message::chat("hours?"));
    let body = message("e1", &conversation, &item).to_string();
    let ready = format!("{}/readyz", relay.running().url);
    relay.running().store.set_full(true);
    let refused = relay.post(body.clone()).await;
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "30");
    assert_eq!(soon(reqwest::get(&ready)).await.unwrap().status(), 503);
    relay.running().store.set_full(false);
    assert_eq!(relay.post(body).await.status(), 200);
    assert_eq!(soon(reqwest::get(&ready)).await.unwrap().status(), 200);
    assert_eq!(relay.next_outcome().await, Outcome::Replied);
    assert_eq!(relay.replies(&conversation).len(), 1);
    relay.finish().await;
}

#[tokio::test]
async fn a_relay_that_stops_is_not_ready_and_keeps_what_still_reaches_it() {
    let relay = Setup::default().start_without_relay().await;
    let config = Config::load(Some(&relay.config_file()), &Environment::default()).unwrap();
    let store = Arc::new(Sqlite::open(config.store.path().unwrap()).await.unwrap());
    let metrics = Arc::<Metrics>::default();
    let stopping = CancellationToken::new();
    stopping.cancel();
    let state = Arc::new(State {
        accounts: Accounts::new(&config.accounts),
        relay: Relay::new(
            &config.accounts,
            store.clone(),
            relay.clock.clone(),
            metrics.clone(),
            Traces::default(),
        )
        .unwrap(),
        store: store.clone(),
        operations: store.clone(),
        history: store.clone(),
        clock: relay.clock.clone(),
        metrics,
        stopping,
    });
    let webhook = Request::post("/webhooks/gladly")
        .header("X-Account-Identifier", IDENTIFIER)
        .body(Body::from(message("e1", "c", "i").to_string()));
    let ready = Request::get("/readyz").body(Body::empty());
    for (request, status) in [(webhook, 200), (ready, 503)] {
        let answer = public_router(state.clone()).oneshot(request.unwrap()).await;
        assert_eq!(answer.unwrap().status(), status);
    }
    let backlog = store.backlog(jiff::Timestamp::now()).await.unwrap();
    assert_eq!(backlog[0].turns, 1, "it waits for the next start");
    store.close().await;
}

#[tokio::test]
async fn a_known_event_that_cannot_be_used_is_accepted_and_kept_as_a_dead_letter() {
    let relay = TestRelay::start().await;
    for body in [
        json!({"id": "u1", "type": "CONTACT/MESSAGE_RECEIVED"}),
        json!({"id": "u2", "type": "CONTACT/MESSAGE_RECEIVED", "content": {"conversationId": "../../x", "messageId": "i"}}),
        json!({"id": "u3", "type": "MESSAGE/RECEIVED", "content": {"conversationId": 7, "messageId": "i"}}),
        json!({"id": "u4", "type": "CONVERSATION_ASSIGNEE/UPDATED", "content": {}}),
    ] {
        assert_eq!(
            status_of(&relay, &body).await,
            (200, json!({"status": "accepted"})),
            "{body}"
        );
    }
    let letters = relay.running().store.dead_letters().await.unwrap();
    assert_eq!(letters.len(), 4);
    let metrics = relay.metrics().await;
    assert!(
        metrics.contains(r#"gladly_relay_dead_letters{account="acme"} 4"#),
        "{metrics}"
    );
    assert!(metrics.contains(r#"result="unusable"} 2"#), "{metrics}");
    relay.finish().await;
}

#[tokio::test]
async fn what_is_not_a_webhook_is_refused_with_a_problem() {
    let relay = TestRelay::start().await;
    for body in [
        "",
        "not json",
        "[]",
        "{}",
        r#"{"type": 7}"#,
        "\"PING\"",
        "{\"type\":\"PING\"",
        "\u{0}",
    ] {
        let response = relay.post(body).await;
        assert_eq!(response.status(), 400, "{body:?}");
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
        assert!(response.headers().contains_key("x-request-id"));
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["status"], 400, "{problem}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(relay.post(deep).await.status(), 400);
    let padding = " ".repeat(256 * 1024 + 1);
    assert_eq!(
        relay
            .post(format!("{{\"type\":\"PING\"}}{padding}"))
            .await
            .status(),
        413
    );
    let fits = format!("{{\"type\":\"PING\"}}{}", " ".repeat(256 * 1024 - 15));
    assert_eq!(relay.post(fits).await.status(), 200);
    relay.finish().await;
}

#[tokio::test]
async fn without_a_known_identifier_there_is_one_answer_whatever_is_wrong() {
    let setup = Setup {
        account: "webhook_username = \"gladly\"\nwebhook_password = \"secret\"".to_owned(),
        ..Setup::default()
    };
    let relay = setup.start().await;
    let url = format!("{}/webhooks/gladly", relay.running().url);
    let client = reqwest::Client::new();
    let request = || client.post(&url).body(r#"{"type":"PING"}"#);
    let with = |identifier: &str| request().header("X-Account-Identifier", identifier.to_owned());
    let refused = [
        request(),
        with("wrong"),
        with(""),
        with("identifier-of-acm").basic_auth("gladly", Some("secret")),
        with("identifier-of-acme2").basic_auth("gladly", Some("secret")),
        with("identifier-of-acme"),
        with("identifier-of-acme").basic_auth("gladly", Some("wrong")),
        with("wrong").basic_auth("gladly", Some("secret")),
        with("identifier-of-acme")
            .header("X-Account-Identifier", "wrong")
            .basic_auth("gladly", Some("secret")),
    ];
    let mut bodies = Vec::new();
    for request in refused {
        let response = soon(request.send()).await.unwrap();
        assert_eq!(response.status(), 401);
        bodies.push(response.text().await.unwrap());
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    for identifier in ["identifier-of-acme", "the-next-identifier"] {
        let request = with(identifier).basic_auth("gladly", Some("secret"));
        assert_eq!(soon(request.send()).await.unwrap().status(), 200);
    }
    relay.finish().await;
}

#[tokio::test]
async fn other_paths_and_methods_and_request_ids_get_their_answers() {
    let relay = TestRelay::start().await;
    let client = reqwest::Client::new();
    let url = |path: &str| format!("{}{path}", relay.running().url);
    let status = async |request: reqwest::RequestBuilder| {
        soon(request.send()).await.unwrap().status().as_u16()
    };
    assert_eq!(status(client.get(url("/healthz"))).await, 200);
    assert_eq!(status(client.get(url("/readyz"))).await, 200);
    assert_eq!(status(client.get(url("/webhooks/gladly"))).await, 405);
    assert_eq!(
        status(client.get(url("/metrics"))).await,
        404,
        "metrics are not public"
    );
    assert_eq!(status(client.post(url("/"))).await, 404);
    let given = soon(
        client
            .get(url("/healthz"))
            .header("X-Request-Id", "abc-1")
            .send(),
    )
    .await
    .unwrap();
    assert_eq!(given.headers()["x-request-id"], "abc-1");
    let insane = soon(
        client
            .get(url("/healthz"))
            .header("X-Request-Id", "a b\"c")
            .send(),
    )
    .await
    .unwrap();
    assert_eq!(insane.headers()["x-request-id"].len(), 32);
    relay.finish().await;
}
