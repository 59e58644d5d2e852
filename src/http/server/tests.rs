//! Connections over real sockets, with limits of fractions of a second.

use axum::routing::{get, post};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;

use super::*;

/// Longer than any test lasts.
const NEVER: Duration = Duration::from_hours(1);
const SOON: Duration = Duration::from_millis(50);
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n";

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    served: tokio::task::JoinHandle<()>,
    /// `GET /slow` has arrived.
    arrived: Arc<Notify>,
    /// Lets it be answered.
    go_on: Arc<Notify>,
}

impl Server {
    async fn start(connections: usize, head: Duration, idle: Duration) -> Self {
        let limits = Limits {
            connections,
            head,
            idle,
            drain: Duration::ZERO,
            linger: Duration::ZERO,
        };
        Self::start_with(limits).await
    }

    async fn start_with(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let (arrived, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (tells, waits) = (arrived.clone(), go_on.clone());
        let slow = async move || {
            tells.notify_one();
            waits.notified().await;
            "at last"
        };
        let router = Router::new()
            .route("/", get(async || "here"))
            .route("/", post(async |body: String| body))
            .route("/slow", get(slow));
        let served = tokio::spawn(serve(listener, router, limits, stop.clone()));
        Self {
            address,
            stop,
            served,
            arrived,
            go_on,
        }
    }

    /// A connection whose request is being answered.
    async fn ask_slowly(&self) -> TcpStream {
        let mut stream = self.connect().await;
        stream
            .write_all(b"GET /slow HTTP/1.1\r\nHost: relay\r\n\r\n")
            .await
            .unwrap();
        self.arrived.notified().await;
        stream
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

/// What is answered until `end`, or until it is closed.
async fn answer(stream: &mut TcpStream, end: &str) -> String {
    let mut all = Vec::new();
    while !String::from_utf8_lossy(&all).ends_with(end) {
        let mut bytes = [0; 1024];
        match stream.read(&mut bytes).await {
            Ok(0) | Err(_) => break,
            Ok(read) => all.extend_from_slice(&bytes[..read]),
        }
    }
    String::from_utf8(all).unwrap()
}

/// Reads until the server closes.
async fn closed(stream: &mut TcpStream) -> String {
    answer(stream, "this is never answered").await
}

#[tokio::test]
async fn who_sends_no_request_is_let_go() {
    let server = Server::start(8, SOON, NEVER).await;
    for sent in [&b""[..], b"GET / HTTP/1.1\r\nHost: relay\r\n"] {
        let mut stream = server.connect().await;
        stream.write_all(sent).await.unwrap();
        assert_eq!(closed(&mut stream).await, "");
    }
}

#[tokio::test]
async fn a_second_request_must_come_whole_too() {
    let server = Server::start(8, SOON, NEVER).await;
    let mut stream = server.connect().await;
    stream.write_all(GET).await.unwrap();
    assert!(answer(&mut stream, "here").await.ends_with("here"));
    stream.write_all(b"GET").await.unwrap();
    assert_eq!(closed(&mut stream).await, "");
}

#[tokio::test]
async fn an_idle_connection_is_kept_for_the_next_request_and_not_for_ever() {
    let server = Server::start(8, NEVER, SOON).await;
    let mut stream = server.connect().await;
    for _ in 0..2 {
        stream.write_all(GET).await.unwrap();
        assert!(answer(&mut stream, "here").await.ends_with("here"));
    }
    assert_eq!(closed(&mut stream).await, "");
}

#[tokio::test]
async fn who_is_being_answered_is_not_cut_off() {
    let server = Server::start(1, SOON, SOON).await;
    let mut stream = server.ask_slowly().await;
    // Longer than any limit, and others want the place.
    for _ in 0..3 {
        let mut other = server.connect().await;
        other.write_all(GET).await.unwrap();
        let mut bytes = Vec::new();
        // Refused where the place is taken by a request that is being answered.
        let _: io::Result<usize> = other.read_to_end(&mut bytes).await;
    }
    server.go_on.notify_one();
    assert!(answer(&mut stream, "at last").await.ends_with("at last"));
}

#[tokio::test]
async fn strangers_who_wait_make_room() {
    let server = Server::start(4, NEVER, NEVER).await;
    let mut strangers = Vec::new();
    for _ in 0..20 {
        strangers.push(server.connect().await);
    }
    let mut stream = server.connect().await;
    stream.write_all(GET).await.unwrap();
    assert!(answer(&mut stream, "here").await.ends_with("here"));
    assert_eq!(closed(&mut strangers[0]).await, "", "the longest waits");
}

#[tokio::test]
async fn a_stop_waits_for_answers_and_for_nobody_else() {
    let server = Server::start(8, NEVER, NEVER).await;
    let mut half_open = server.connect().await;
    let mut idle = server.connect().await;
    idle.write_all(GET).await.unwrap();
    answer(&mut idle, "here").await;
    let mut asking = server.ask_slowly().await;
    server.stop.cancel();
    assert_eq!(closed(&mut half_open).await, "");
    assert_eq!(closed(&mut idle).await, "");
    server.go_on.notify_one();
    assert!(closed(&mut asking).await.ends_with("at last"));
    server.served.await.unwrap();
}

#[tokio::test]
async fn at_the_stop_of_a_kept_socket_connections_end_by_an_answer_that_says_so() {
    let limits = Limits {
        head: NEVER,
        idle: NEVER,
        ..Limits::of(8)
    };
    let drain = NEVER;
    let server = Server::start_with(Limits { drain, ..limits }).await;
    let mut idle = server.connect().await;
    idle.write_all(GET).await.unwrap();
    assert!(
        !answer(&mut idle, "here")
            .await
            .contains("connection: close")
    );
    let mut new = server.ask_slowly().await;
    server.stop.cancel();
    // What was on its way when it stopped.
    idle.write_all(GET).await.unwrap();
    let last = closed(&mut idle).await;
    assert!(
        last.contains("connection: close") && last.ends_with("here"),
        "{last}"
    );
    server.go_on.notify_one();
    assert!(closed(&mut new).await.contains("connection: close"));
    server.served.await.unwrap();
}

#[tokio::test]
async fn one_of_several_takes_new_connections_for_a_while_after_the_stop() {
    for linger in [NEVER, SOON] {
        let limits = Limits {
            linger,
            ..Limits::of(8).of_one_of_several()
        };
        let server = Server::start_with(limits).await;
        server.stop.cancel();
        if linger == SOON {
            server.served.await.unwrap();
            continue;
        }
        let mut late = server.connect().await;
        late.write_all(GET).await.unwrap();
        let last = closed(&mut late).await;
        assert!(
            last.contains("connection: close") && last.ends_with("here"),
            "{last}"
        );
    }
}

#[tokio::test]
async fn a_kept_sockets_stop_does_not_wait_for_ever() {
    let limits = Limits {
        head: NEVER,
        idle: NEVER,
        drain: SOON,
        ..Limits::of(8)
    };
    let server = Server::start_with(limits).await;
    let mut half_open = server.connect().await;
    let mut idle = server.connect().await;
    idle.write_all(GET).await.unwrap();
    answer(&mut idle, "here").await;
    server.stop.cancel();
    assert_eq!(closed(&mut half_open).await, "");
    assert_eq!(closed(&mut idle).await, "");
    server.served.await.unwrap();
}
