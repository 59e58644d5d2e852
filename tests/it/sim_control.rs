//! The standalone simulators can be driven over HTTP alone.

use axum::http::Method;
use gladly_relay::sim::{Standalone, StandaloneOptions, WebhookSpec, serve_standalone};
use serde_json::{Value, json};

use super::sim_support::{Answer, Receiver, plain_client, soon};

async fn start(webhook: Option<WebhookSpec>) -> Standalone {
    serve_standalone(StandaloneOptions {
        webhook,
        ..StandaloneOptions::default()
    })
    .await
    .unwrap()
}

async fn call(sim: &Standalone, method: Method, path: &str, body: Value) -> Answer {
    let url = format!("{}/sim{path}", sim.gladly.url());
    Answer::of(plain_client().request(method, url).json(&body))
        .await
        .unwrap()
}

async fn open(sim: &Standalone) -> String {
    let body = json!({ "customer": "Grace" });
    let opened = call(sim, Method::POST, "/conversations", body).await;
    opened.body["conversationId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_customer_can_be_played_with_curl() {
    let receiver = Receiver::answering(&[]).await;
    let sim = start(Some(WebhookSpec::relay(&receiver.url, "acme"))).await;
    let id = open(&sim).await;
    let body = json!({ "channel": "SMS", "text": "Hi" });
    let said = call(
        &sim,
        Method::POST,
        &format!("/conversations/{id}/messages"),
        body,
    )
    .await;
    soon(sim.gladly.wait_for(|world| world.undelivered() == 0)).await;
    assert_eq!(
        receiver.calls().len(),
        2,
        "the conversation and the message"
    );
    let shown = call(
        &sim,
        Method::GET,
        &format!("/conversations/{id}"),
        json!({}),
    )
    .await
    .body;
    assert_eq!(shown["customerName"], "Grace");
    assert_eq!(shown["items"][0]["id"], said.body["itemId"]);
    assert_eq!(shown["items"][0]["content"]["content"], "Hi");
}

#[tokio::test]
async fn a_human_can_be_played_with_curl() {
    let sim = start(None).await;
    let id = open(&sim).await;
    for (act, status) in [
        ("takeover", "OPEN"),
        ("close", "CLOSED"),
        ("reopen", "OPEN"),
    ] {
        let path = format!("/conversations/{id}");
        let done = call(&sim, Method::POST, &format!("{path}/{act}"), json!({})).await;
        assert_eq!(done.status, 204);
        let shown = call(&sim, Method::GET, &path, json!({})).await.body;
        assert_eq!(
            (&shown["agentId"], &shown["status"]),
            (&json!("agent-ada"), &json!(status))
        );
    }
}

#[tokio::test]
async fn mistakes_are_told() {
    let sim = start(None).await;
    let id = open(&sim).await;
    let bad_channel = json!({ "channel": "PIGEON", "text": "Hi" });
    for (path, body, status) in [
        (
            "/conversations/nope/messages".to_owned(),
            json!({ "text": "Hi" }),
            404,
        ),
        ("/conversations/nope/close".to_owned(), json!({}), 404),
        (format!("/conversations/{id}/dance"), json!({}), 404),
        (format!("/conversations/{id}/messages"), bad_channel, 400),
        ("/faults".to_owned(), json!({ "service": "gladly" }), 400),
        (
            "/faults".to_owned(),
            json!({ "service": "gladly", "operation": "x", "what": "garbage" }),
            400,
        ),
    ] {
        assert_eq!(
            call(&sim, Method::POST, &path, body).await.status,
            status,
            "{path}"
        );
    }
}

#[tokio::test]
async fn faults_of_both_are_set_and_cleared_and_requests_listed() {
    let sim = start(None).await;
    let status = json!({ "status": { "status": 503, "headers": { "Retry-After": "2" } } });
    for service in ["gladly", "gleen"] {
        let fault = json!({ "service": service, "when": "always", "what": status });
        assert_eq!(call(&sim, Method::POST, "/faults", fault).await.status, 204);
    }
    let ask = async || {
        let (gladly, gleen) = (sim.gladly.url(), sim.gleen.url());
        let inboxes = plain_client().get(format!("{gladly}/api/v1/inboxes"));
        let question = plain_client().post(format!("{gleen}/api/v1/send_message"));
        (
            Answer::of(inboxes).await.unwrap(),
            Answer::of(question).await.unwrap(),
        )
    };
    let (gladly, gleen) = ask().await;
    assert_eq!((gladly.status, gleen.status), (503, 503));
    assert_eq!(gladly.header("Retry-After"), Some("2"));
    assert_eq!(
        call(&sim, Method::DELETE, "/faults", json!({}))
            .await
            .status,
        204
    );
    let (gladly, gleen) = ask().await;
    assert_eq!((gladly.status, gleen.status), (401, 401));
    let listed = call(&sim, Method::GET, "/requests", json!({})).await.body;
    assert_eq!(listed["gladly"][0]["operation"], "list_inboxes");
    assert_eq!(listed["gleen"][1]["status"], 401);
    soon(sim.shutdown()).await;
}
