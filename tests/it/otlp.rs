//! Traces reach a collector: one for each turn, linked to its webhook across a kill,
//! without anybody's words; and no collector holds up the relay.

use std::sync::Arc;

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::post;
use gladly_relay::sim::Operation;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::support::{IDENTIFIER, RelayProcess, Setup, TestRelay, free_port, soon};

/// What a collector got.
struct Collector {
    url: String,
    bodies: watch::Receiver<Vec<(HeaderMap, Value)>>,
}

impl Collector {
    async fn start() -> Self {
        let (bodies, received) = watch::channel(Vec::new());
        let bodies = Arc::new(bodies);
        let take = move |headers: HeaderMap, body: String| async move {
            let body: Value = serde_json::from_str(&body).unwrap();
            bodies.send_modify(|bodies| bodies.push((headers, body)));
        };
        let app = Router::new().route("/v1/traces", post(take));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self {
            url,
            bodies: received,
        }
    }

    /// The first span with this name, once it is there.
    async fn span(&self, name: &str) -> Value {
        self.find(|span| span["name"] == name).await
    }

    /// That of the webhook that told of the message.
    async fn webhook(&self) -> Value {
        let tells = |span: &Value| {
            span["name"] == "webhook" && attribute(span, "event") == "CONTACT/MESSAGE_RECEIVED"
        };
        self.find(tells).await
    }

    async fn find(&self, is_it: impl Fn(&Value) -> bool) -> Value {
        let mut bodies = self.bodies.clone();
        let find = |bodies: &[(HeaderMap, Value)]| -> Option<Value> {
            let mut spans = bodies.iter().flat_map(|(_, body)| {
                let spans = &body["resourceSpans"][0]["scopeSpans"][0]["spans"];
                spans.as_array().unwrap()
            });
            spans.find(|span| is_it(span)).cloned()
        };
        let found = bodies.wait_for(|bodies| find(bodies).is_some());
        find(&soon(found).await.unwrap()).unwrap()
    }
}

async fn start(relay: &mut TestRelay, variables: &[(&str, &str)]) -> RelayProcess {
    let all = [&[("OTEL_BSP_SCHEDULE_DELAY", "20")], variables].concat();
    let process = RelayProcess::start_with(&relay.config_file(), &all).await;
    relay.point_webhook_to(&process.url);
    process
}

async fn answered(relay: &TestRelay, conversation: &str) {
    let replied = relay.gladly.wait_for(|world| {
        let view = world.conversation(conversation);
        view.is_some_and(|view| !view.replies().is_empty())
    });
    soon(replied).await;
}

fn attribute<'a>(span: &'a Value, name: &str) -> &'a Value {
    let attributes = span["attributes"].as_array().unwrap();
    let found = attributes.iter().find(|attribute| attribute["key"] == name);
    &found.unwrap()["value"]["stringValue"]
}

#[tokio::test]
async fn a_turn_is_one_trace_linked_to_its_webhook_and_nobodys_words_are_in_it() {
    let mut relay = Setup::default().start_without_relay().await;
    let collector = Collector::start().await;
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "authorization=Bearer%20tell-nobody",
        ),
        ("OTEL_SERVICE_NAME", "relay-eu"),
    ];
    let process = start(&mut relay, &variables).await;
    let conversation = relay.conversation();
    relay.says(&conversation, "is it waterproof?");
    let turn = collector.span("turn").await;
    assert_eq!(attribute(&turn, "outcome"), "replied");
    assert_eq!(attribute(&turn, "conversation_id"), &conversation);
    let webhook = collector.webhook().await;
    assert_eq!(turn["links"].as_array().unwrap().len(), 1);
    for id in ["traceId", "spanId"] {
        assert_eq!(turn["links"][0][id], webhook[id]);
    }
    for name in ["gladly fetch", "gleen ask", "gladly look", "gladly reply"] {
        let call = collector.span(name).await;
        assert_eq!(call["traceId"], turn["traceId"], "{name}");
        assert_eq!(call["parentSpanId"], turn["spanId"], "{name}");
    }
    assert_eq!(process.terminate().await, Some(0));
    let bodies = collector.bodies.borrow();
    let (headers, body) = &bodies[0];
    assert_eq!(headers["authorization"], "Bearer tell-nobody");
    let service = &body["resourceSpans"][0]["resource"]["attributes"][0];
    assert_eq!(service["value"]["stringValue"], "relay-eu");
    let options = relay.gladly.options();
    for secret in [
        "waterproof",
        "You asked",
        IDENTIFIER,
        &options.api_token,
        "tell-nobody",
    ] {
        let told = bodies
            .iter()
            .any(|(_, body)| body.to_string().contains(secret));
        assert!(!told, "{secret}");
    }
}

#[tokio::test]
async fn the_link_and_the_trace_outlive_a_kill() {
    let mut relay = Setup::default().start_without_relay().await;
    let collector = Collector::start().await;
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str())];
    let process = start(&mut relay, &variables).await;
    let conversation = relay.conversation();
    let held = relay.gleen.hold_next(Operation::SendMessage);
    relay.says(&conversation, "hello");
    soon(held.reached()).await;
    let fetch = collector.span("gladly fetch").await;
    let webhook = collector.webhook().await;
    process.kill().await;
    held.release();
    let process = start(&mut relay, &variables).await;
    let turn = collector.span("turn").await;
    assert_eq!(turn["links"][0]["spanId"], webhook["spanId"]);
    assert_eq!(turn["links"][0]["traceId"], webhook["traceId"]);
    assert_eq!(turn["traceId"], fetch["traceId"]);
    assert_eq!(turn["spanId"], fetch["parentSpanId"]);
    assert_eq!(process.terminate().await, Some(0));
}

#[tokio::test]
async fn a_collector_that_never_answers_holds_up_nobody() {
    let mut relay = Setup::default().start_without_relay().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "300"),
    ];
    let process = start(&mut relay, &variables).await;
    for _ in 0..10 {
        let conversation = relay.conversation();
        relay.says(&conversation, "hello");
        answered(&relay, &conversation).await;
    }
    let (code, log) = process.terminate_and_read().await;
    assert_eq!(code, Some(0));
    assert!(log.contains("spans were dropped"), "{log}");
    assert!(log.contains("\"why\":\"timeout\""), "{log}");
}

#[tokio::test]
async fn what_a_collector_refuses_or_is_not_there_to_take_is_counted() {
    let mut relay = Setup::default().start_without_relay().await;
    let gone = format!("http://127.0.0.1:{}", free_port());
    let refusing = format!("{}/elsewhere", Collector::start().await.url);
    for (url, why) in [(gone, "connect_failed"), (refusing, "404")] {
        let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str())];
        let process = start(&mut relay, &variables).await;
        let conversation = relay.conversation();
        relay.says(&conversation, "hello");
        answered(&relay, &conversation).await;
        let (code, log) = process.terminate_and_read().await;
        assert_eq!(code, Some(0));
        assert!(log.contains(&format!("\"why\":\"{why}\"")), "{log}");
    }
}
