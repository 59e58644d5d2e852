//! The shipped nginx and Caddy configurations before the real relay.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::proxy::{HOST, Kind, Proxy};
use crate::support::{IDENTIFIER, RelayProcess, Setup, TestRelay, soon};

const CLOSED: &str = include_str!("../../../fixtures/webhooks/conversation_closed.json");

/// A webhook that comes to no turn, with an id of its own.
fn webhook(number: usize) -> String {
    let mut payload: Value = serde_json::from_str(CLOSED).unwrap();
    payload["id"] = json!(format!("event-{number}"));
    payload["content"]["conversationId"] = json!(format!("conversation-{number}"));
    payload["timestamp"] = json!(jiff::Timestamp::now().to_string());
    payload.to_string()
}

fn address_of(relay: &TestRelay) -> SocketAddr {
    let url = relay.running().url.trim_start_matches("http://");
    url.parse().unwrap()
}

/// The value of a field that one line of a log has.
fn field(line: &str, names: &[&str]) -> Value {
    let line: Value = serde_json::from_str(line).unwrap_or_default();
    names.iter().fold(line, |value, name| value[name].clone())
}

async fn passes_webhooks_on(kind: Kind) {
    let basic = "webhook_username = \"gladly\"\nwebhook_password = \"of-the-webhook\"";
    let setup = Setup {
        account: basic.to_owned(),
        ..Setup::default()
    };
    let mut relay = setup.start_without_relay().await;
    relay
        .toml
        .insert_str(0, "log = \"info,gladly_relay::http=debug\"\n");
    let process = RelayProcess::start_unchecked(&relay.config_file()).await;
    let upstream = process.url.trim_start_matches("http://").parse().unwrap();
    let Some(proxy) = Proxy::start(kind, upstream).await else {
        return;
    };
    let client = proxy.client();

    let request = proxy.post(&client, webhook(1));
    let request = request.basic_auth("gladly", Some("of-the-webhook"));
    let request = request.header("X-Request-Id", "of-a-stranger");
    let answer = soon(request.send()).await.unwrap();
    assert_eq!(answer.status(), 200);
    let id = answer.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_ne!(id, "of-a-stranger");
    let refused = soon(proxy.post(&client, webhook(2)).send()).await.unwrap();
    assert_eq!(refused.status(), 401);
    let healthy = soon(client.get(proxy.url("/healthz")).send())
        .await
        .unwrap();
    assert_eq!(healthy.status(), 200);
    for hidden in [
        "/metrics",
        "/readyz",
        "/",
        "/webhooks",
        "/webhooks/gladly/more",
    ] {
        let answer = soon(client.get(proxy.url(hidden)).send()).await.unwrap();
        assert_eq!(answer.status(), 404, "{hidden}");
    }

    let (code, log) = process.terminate_and_read().await;
    assert_eq!(code, Some(0));
    let named = |line: &&str| field(line, &["request_id"]) == id.as_str();
    assert_eq!(log.lines().filter(named).count(), 1, "{log}");
    let log = proxy.log();
    let place: &[&str] = match kind {
        Kind::Nginx => &["request_id"],
        Kind::Caddy => &["resp_headers", "X-Request-Id"],
    };
    let named = |line: &&str| {
        let found = field(line, place);
        found == id.as_str() || found == json!([id])
    };
    assert_eq!(log.lines().filter(named).count(), 1, "{log}");
    for secret in [IDENTIFIER, "of-the-webhook", "Z2xhZGx5"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn nginx_passes_webhooks_on() {
    passes_webhooks_on(Kind::Nginx).await;
}

#[tokio::test]
async fn caddy_passes_webhooks_on() {
    passes_webhooks_on(Kind::Caddy).await;
}

/// Stands between a proxy and the relay, and counts connections.
async fn tap(relay: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, connections) = (listener.local_addr().unwrap(), Arc::default());
    let counted: Arc<AtomicUsize> = Arc::clone(&connections);
    tokio::spawn(async move {
        let mut conversations = JoinSet::new();
        loop {
            let (mut caller, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            conversations.spawn(async move {
                let mut relay = TcpStream::connect(relay).await.unwrap();
                drop(copy_bidirectional(&mut caller, &mut relay).await);
            });
        }
    });
    (address, connections)
}

async fn keeps_connections_and_takes_no_large_body(kind: Kind) {
    let relay = TestRelay::start().await;
    let (tapped, connections) = tap(address_of(&relay)).await;
    let Some(proxy) = Proxy::start(kind, tapped).await else {
        return;
    };
    let client = proxy.client();
    for number in 0..20 {
        let answer = soon(proxy.post(&client, webhook(number)).send())
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);

    for kib in [257, 600, 6_000] {
        let body = "x".repeat(kib * 1_024);
        let answer = soon(proxy.post(&client, body).send()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE, "{kib} KiB");
        assert!(answer.headers().contains_key("x-request-id"));
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/problem+json");
        let problem: Value = soon(answer.json()).await.unwrap();
        assert_eq!(problem["status"], 413);
        assert_eq!(problem["detail"], "the body is larger than 256 KiB");
    }
    relay.finish().await;
}

#[tokio::test]
async fn nginx_keeps_connections_and_takes_no_large_body() {
    keeps_connections_and_takes_no_large_body(Kind::Nginx).await;
}

#[tokio::test]
async fn caddy_keeps_connections_and_takes_no_large_body() {
    keeps_connections_and_takes_no_large_body(Kind::Caddy).await;
}

/// A client that has sent so much and sends no more.
async fn dawdle(proxy: &Proxy, sent: &str) -> Child {
    let address = proxy.address.to_string();
    let mut command = Command::new(&proxy.openssl);
    command.args([
        "s_client",
        "-quiet",
        "-verify_return_error",
        "-servername",
        HOST,
    ]);
    command
        .args(["-connect", &address, "-CAfile"])
        .arg(proxy.authority());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.kill_on_drop(true).spawn().unwrap();
    let input = child.stdin.as_mut().unwrap();
    input.write_all(sent.as_bytes()).await.unwrap();
    child
}

async fn lets_no_slow_client_hold_others(kind: Kind) {
    let relay = TestRelay::start().await;
    let (tapped, connections) = tap(address_of(&relay)).await;
    let Some(proxy) = Proxy::start(kind, tapped).await else {
        return;
    };
    let head = format!(
        "POST /webhooks/gladly HTTP/1.1\r\nHost: {HOST}\r\nX-Account-Identifier: {IDENTIFIER}\r\n"
    );
    let half_a_head = head.clone();
    let half_a_body = format!("{head}Content-Length: 1000\r\n\r\n{{");
    let mut slow = Vec::new();
    for sent in [&half_a_head, &half_a_body] {
        for _ in 0..5 {
            slow.push(dawdle(&proxy, sent).await);
        }
    }
    let answer = soon(proxy.post(&proxy.client(), webhook(1)).send())
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    // All are let go, and none of them was taken for a webhook.
    for mut child in slow {
        let mut said = String::new();
        let output = child.stdout.as_mut().unwrap();
        soon(output.read_to_string(&mut said)).await.unwrap();
        assert!(!said.contains(" 200 "), "{said}");
    }
    if kind == Kind::Nginx {
        assert_eq!(
            connections.load(Ordering::SeqCst),
            1,
            "the relay met none of them"
        );
    }
    relay.finish().await;
}

#[tokio::test]
async fn nginx_lets_no_slow_client_hold_others() {
    lets_no_slow_client_hold_others(Kind::Nginx).await;
}

#[tokio::test]
async fn caddy_lets_no_slow_client_hold_others() {
    lets_no_slow_client_hold_others(Kind::Caddy).await;
}

/// Posts one webhook after the other until `enough`: how many, and what failed.
async fn keep_posting(
    proxy: &Proxy,
    first: usize,
    answered: &watch::Sender<usize>,
    enough: &AtomicBool,
) -> Vec<String> {
    let (client, mut failures) = (proxy.client(), Vec::new());
    let mut number = first;
    while !enough.load(Ordering::SeqCst) {
        match proxy.post(&client, webhook(number)).send().await {
            Ok(answer) if answer.status() == 200 => {}
            Ok(answer) => failures.push(answer.status().to_string()),
            Err(error) => failures.push(format!("{error:?}")),
        }
        number += 1;
        answered.send_modify(|count| *count += 1);
    }
    failures
}

/// Waits for so many more answers.
async fn go_on(answered: &watch::Sender<usize>, more: usize) {
    let mut seen = answered.subscribe();
    let until = *seen.borrow() + more;
    soon(seen.wait_for(|count| *count >= until)).await.unwrap();
}

async fn lets_no_delivery_fail_at_a_restart(kind: Kind) {
    let relay = Setup::default().start_without_relay().await;
    let config = relay.config_file();
    // As systemd does by gladly-relay.socket.
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = socket.local_addr().unwrap();
    let Some(proxy) = Proxy::start(kind, upstream).await else {
        return;
    };
    let mut process = RelayProcess::start_on(&config, &socket, &[]).await;
    let (answered, _) = watch::channel(0);
    let enough = AtomicBool::new(false);

    let posting = (0..8).map(|poster| keep_posting(&proxy, poster * 1_000_000, &answered, &enough));
    let restarting = async {
        for _ in 0..3 {
            go_on(&answered, 100).await;
            assert_eq!(process.terminate().await, Some(0));
            process = RelayProcess::start_on(&config, &socket, &[]).await;
        }
        go_on(&answered, 100).await;
        enough.store(true, Ordering::SeqCst);
        process
    };
    let (failures, process) = tokio::join!(futures_util::future::join_all(posting), restarting);

    assert_eq!(failures.concat(), Vec::<String>::new());
    assert_eq!(process.terminate().await, Some(0));
    let store = rusqlite::Connection::open(relay.database()).unwrap();
    let sql = "SELECT count(*) FROM events";
    let stored: i64 = store.query_row(sql, [], |row| row.get(0)).unwrap();
    let posted = i64::try_from(*answered.borrow()).unwrap();
    assert_eq!(stored, posted, "each is on disk");
}

#[tokio::test]
async fn nginx_lets_no_delivery_fail_at_a_restart() {
    lets_no_delivery_fail_at_a_restart(Kind::Nginx).await;
}

#[tokio::test]
async fn caddy_lets_no_delivery_fail_at_a_restart() {
    lets_no_delivery_fail_at_a_restart(Kind::Caddy).await;
}
