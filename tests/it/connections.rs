//! Strangers who open connections, over raw sockets.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{RelayProcess, Setup, TestRelay, soon};

async fn connect(url: &str) -> TcpStream {
    let address = url.strip_prefix("http://").unwrap();
    soon(TcpStream::connect(address)).await.unwrap()
}

#[tokio::test]
async fn a_thousand_half_open_connections_keep_no_webhook_out() {
    let mut relay = Setup::default().start_without_relay().await;
    relay.toml = format!("max_connections = 64\n{}", relay.toml);
    let process = RelayProcess::start(&relay.config_file()).await;
    relay.point_webhook_to(&process.url);
    let mut strangers = Vec::new();
    for number in 0..1_000 {
        let mut stranger = connect(&process.url).await;
        if number % 2 == 0 {
            // A part of a request, or nothing.
            let _: std::io::Result<()> = stranger.write_all(b"POST /webhooks/gl").await;
        }
        strangers.push(stranger);
    }
    let conversation = relay.conversation();
    relay.says(&conversation, "hello");
    let answered = relay.gladly.wait_for(|world| {
        let view = world.conversation(&conversation);
        view.is_some_and(|view| view.items.len() > 1)
    });
    soon(answered).await;
    assert_eq!(
        process.terminate().await,
        Some(0),
        "they don't hold the stop"
    );
}

#[tokio::test]
async fn who_sends_too_much_reads_why_it_is_refused() {
    let relay = TestRelay::start().await;
    let mut stream = connect(&relay.running().url).await;
    let head = "POST /webhooks/gladly HTTP/1.1\r\nHost: relay\r\nContent-Length: 4000000\r\n\
                X-Account-Identifier: identifier-of-acme\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b' '; 4_000_000]).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("256 KiB"), "{answer}");
    relay.finish().await;
}

#[tokio::test]
async fn a_flood_of_wrong_credentials_is_a_line_a_second_in_the_log() {
    let relay = Setup::default().start_without_relay().await;
    let process = RelayProcess::start(&relay.config_file()).await;
    let client = reqwest::Client::new();
    let url = format!("{}/webhooks/gladly", process.url);
    let begun = std::time::Instant::now();
    for _ in 0..200 {
        let refused = soon(client.post(&url).body("{}").send()).await.unwrap();
        assert_eq!(refused.status(), 401);
        assert!(refused.headers().contains_key("www-authenticate"));
    }
    let seconds = begun.elapsed().as_secs() + 1;
    let (code, log) = process.terminate_and_read().await;
    assert_eq!(code, Some(0));
    let lines = log
        .lines()
        .filter(|line| line.contains("credentials were refused"));
    let lines = u64::try_from(lines.count()).unwrap();
    assert!(
        (1..=seconds).contains(&lines),
        "{lines} lines in {seconds} s"
    );
}

#[tokio::test]
async fn a_log_that_nobody_reads_holds_nobody_up_and_its_lost_lines_are_counted() {
    let mut relay = Setup::default().start_without_relay().await;
    relay.toml = format!("log = \"debug\"\n{}", relay.toml);
    let process = RelayProcess::start(&relay.config_file()).await;
    let url = format!("{}/healthz", process.url);
    let stalled = process.stall_log().await;
    let client = reqwest::Client::new();
    // Each is a line; the pipe and the relay hold fewer.
    for _ in 0..12_000 {
        let answer = soon(client.get(&url).send()).await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    drop(stalled);
    let (code, log) = process.terminate_and_read().await;
    assert_eq!(code, Some(0));
    assert!(log.lines().count() < 12_000);
    assert!(log.contains("log lines were lost"), "they are told of");
}

#[tokio::test]
async fn metrics_are_shown_to_those_who_know_the_password() {
    let mut relay = Setup::default().start_without_relay().await;
    relay.toml = format!("admin_token = \"open sesame\"\n{}", relay.toml);
    relay.boot().await;
    let url = format!("{}/metrics", relay.running().admin_url);
    let client = reqwest::Client::new();
    let ask = || client.get(&url);
    for refused in [
        ask(),
        ask().bearer_auth("wrong"),
        ask().basic_auth("a", Some("b")),
    ] {
        let refused = soon(refused.send()).await.unwrap();
        assert_eq!(refused.status(), 401);
        assert!(refused.headers().contains_key("www-authenticate"));
    }
    let known = [
        ask().bearer_auth("open sesame"),
        ask().basic_auth("", Some("open sesame")),
    ];
    for taken in known {
        assert_eq!(soon(taken.send()).await.unwrap().status(), 200);
    }
    relay.finish().await;
}
