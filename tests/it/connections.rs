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

/// Reads one answer with a length: its head, and what it says.
async fn read_answer(stream: &mut TcpStream) -> (String, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(stream.read_u8()).await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let (_, length) = head.split_once("content-length: ").unwrap();
    let length = length.split_once('\r').unwrap().0.parse().unwrap();
    let mut body = vec![0; length];
    soon(stream.read_exact(&mut body)).await.unwrap();
    (head, String::from_utf8(body).unwrap())
}

/// Requests that are refused whatever their bodies hold.
const REFUSED: [(&str, &str); 3] = [
    ("POST /webhooks/gladly", "401"),
    ("POST /nothing/here", "404"),
    ("PUT /healthz", "405"),
];

#[tokio::test]
async fn who_is_refused_before_the_body_is_there_keeps_the_connection() {
    let relay = TestRelay::start().await;
    let url = relay.running().url.clone();
    for (request, status) in REFUSED {
        let mut stream = connect(&url).await;
        for _ in 0..2 {
            let head =
                format!("{request} HTTP/1.1\r\nHost: relay\r\nContent-Length: 200000\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            // Meanwhile the head has arrived.
            soon(reqwest::get(format!("{url}/healthz"))).await.unwrap();
            stream.write_all(&vec![b' '; 100_000]).await.unwrap();
            soon(reqwest::get(format!("{url}/healthz"))).await.unwrap();
            stream.write_all(&vec![b' '; 100_000]).await.unwrap();
            let (head, _) = read_answer(&mut stream).await;
            assert!(head.starts_with(&format!("http/1.1 {status} ")), "{head}");
            assert!(!head.contains("connection: close"), "{head}");
        }
    }
    relay.finish().await;
}

#[tokio::test]
async fn who_is_refused_and_has_more_to_send_is_told_that_the_connection_ends() {
    let relay = TestRelay::start().await;
    let url = relay.running().url.clone();
    for (request, status) in REFUSED {
        for header in ["Content-Length: 300000", "Transfer-Encoding: chunked"] {
            let mut stream = connect(&url).await;
            let head = format!("{request} HTTP/1.1\r\nHost: relay\r\n{header}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            if header.starts_with("Transfer") {
                let chunk = format!("{:x}\r\n{}\r\n", 300_000, " ".repeat(300_000));
                stream.write_all(chunk.as_bytes()).await.unwrap();
            }
            let (head, _) = read_answer(&mut stream).await;
            assert!(head.starts_with(&format!("http/1.1 {status} ")), "{head}");
            assert!(head.contains("connection: close"), "{head}");
        }
    }
    relay.finish().await;
}

#[tokio::test]
async fn who_asks_leave_to_send_and_is_refused_need_not_send() {
    let relay = TestRelay::start().await;
    let mut stream = connect(&relay.running().url).await;
    let head = "POST /webhooks/gladly HTTP/1.1\r\nHost: relay\r\nContent-Length: 20\r\n\
                Expect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let (head, _) = read_answer(&mut stream).await;
    assert!(head.starts_with("http/1.1 401 "), "{head}");
    assert!(head.contains("connection: close"), "{head}");
    relay.finish().await;
}

#[tokio::test]
async fn a_head_may_be_long_but_not_without_end() {
    let relay = TestRelay::start().await;
    let head = |length| {
        format!(
            "GET /healthz HTTP/1.1\r\nHost: relay\r\nA: {}",
            "b".repeat(length)
        )
    };
    let mut stream = connect(&relay.running().url).await;
    let long = format!("{}\r\n\r\n", head(16 * 1024));
    stream.write_all(long.as_bytes()).await.unwrap();
    let (answer, _) = read_answer(&mut stream).await;
    assert!(answer.starts_with("http/1.1 200 "), "{answer}");
    for length in [40_000, 400_000] {
        let mut stream = connect(&relay.running().url).await;
        stream.write_all(head(length).as_bytes()).await.unwrap();
        let mut answer = String::new();
        soon(stream.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
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
    // The first, one each second, and the rest.
    let seconds = begun.elapsed().as_secs() + 2;
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
async fn without_a_password_metrics_are_shown_to_those_who_ask_by_a_loopback_name() {
    let relay = TestRelay::start().await;
    let url = relay.running().admin_url.clone();
    let client = reqwest::Client::new();
    for path in ["/metrics", "/nothing/here"] {
        for (host, is_answered) in [
            ("localhost:9090", true),
            ("127.0.0.1", true),
            ("evil.example", false),
            ("localhost.evil.example", false),
        ] {
            let request = client.get(format!("{url}{path}")).header("Host", host);
            let answer = soon(request.send()).await.unwrap();
            let status = if path == "/metrics" { 200 } else { 404 };
            let status = if is_answered { status } else { 403 };
            assert_eq!(answer.status(), status, "{path} {host}");
        }
    }
    let mut stream = connect(&url).await;
    let asked = b"GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(asked).await.unwrap();
    let (head, _) = read_answer(&mut stream).await;
    assert!(head.starts_with("http/1.1 403 "), "{head}");
    relay.finish().await;
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
        client.get(url.replace("metrics", "nothing/here")),
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
