//! Posts webhooks over connections that stay open, from one thread, as cheaply
//! as it can: what the generator uses is not there for the server.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::figures::percentile;
use super::stage::identifier;

/// What the webhooks tell of, each in a conversation of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A conversation was closed: no turn comes of it.
    Closed,
    /// A customer wrote.
    Message,
}

/// How long it goes on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Length {
    /// So long, not counting what ends in the first tenth of it.
    For(Duration),
    /// So many.
    Count(usize),
}

/// What is posted.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Where to, in turn.
    pub(super) ports: Vec<u16>,
    /// So many accounts are told, in turn.
    pub(super) accounts: usize,
    pub(super) connections: usize,
    pub(super) event: Event,
    pub(super) length: Length,
}

/// How it went.
#[derive(Debug)]
pub(super) struct Posted {
    /// Acknowledged each second.
    pub(super) rate: f64,
    /// Half were answered within so many milliseconds.
    pub(super) p50_ms: f64,
    /// 99 in 100 were.
    pub(super) p99_ms: f64,
}

/// Posts until done. A refusal is an error: then the rate means nothing.
pub(super) async fn post(plan: Plan) -> anyhow::Result<Posted> {
    let (tell, told) = oneshot::channel();
    // Not a blocking task, for which the end of the program would wait.
    std::thread::Builder::new().spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let posted = runtime
            .map_err(Into::into)
            .and_then(|runtime| runtime.block_on(drive(plan)));
        // Nobody listens after a signal.
        let _: Result<(), _> = tell.send(posted);
    })?;
    told.await.context("the load's thread has ended")?
}

/// When to count, and the numbers that are left.
struct Window {
    from: Instant,
    to: Instant,
    next: AtomicU64,
    last: u64,
}

async fn drive(plan: Plan) -> anyhow::Result<Posted> {
    let mut streams = Vec::new();
    for port in plan.ports.iter().cycle().take(plan.connections) {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let started = Instant::now();
    let (from, to, last) = match plan.length {
        Length::For(length) => (started + length / 10, started + length, u64::MAX),
        Length::Count(count) => (started, started + Duration::from_hours(1), count as u64),
    };
    // Numbers go on from one load to the next: none must repeat another's ids.
    let first = fastrand::u64(..u64::MAX / 2);
    let window = Arc::new(Window {
        from,
        to,
        next: AtomicU64::new(first),
        last: first.saturating_add(last),
    });
    let mut connections = JoinSet::new();
    for stream in streams {
        let requests = (0..plan.accounts).map(|account| Request::new(plan.event, account));
        connections.spawn(keep_posting(
            stream,
            requests.collect(),
            Arc::clone(&window),
        ));
    }
    let mut took = Vec::new();
    while let Some(more) = connections.join_next().await {
        took.extend(more??);
    }
    let seconds = from.elapsed().as_secs_f64();
    summarize(took, seconds)
}

fn summarize(mut took: Vec<f64>, seconds: f64) -> anyhow::Result<Posted> {
    took.sort_unstable_by(f64::total_cmp);
    let at = |percent| percentile(&took, percent).context("nothing was acknowledged");
    Ok(Posted {
        rate: super::count(took.len()) / seconds,
        p50_ms: at(50)?,
        p99_ms: at(99)?,
    })
}

/// The milliseconds that each answer took.
async fn keep_posting(
    mut stream: TcpStream,
    mut requests: Vec<Request>,
    window: Arc<Window>,
) -> anyhow::Result<Vec<f64>> {
    let (mut took, mut buffer) = (Vec::new(), vec![0; 4096]);
    let mut start = Instant::now();
    while start < window.to {
        let number = window.next.fetch_add(1, Ordering::Relaxed);
        if number >= window.last {
            break;
        }
        let account = number % requests.len() as u64;
        let request = usize::try_from(account).ok();
        let request = request.and_then(|account| requests.get_mut(account));
        let request = request.context("there is no account to tell")?;
        stream.write_all(request.number(number)).await?;
        let answer = read_answer(&mut stream, &mut buffer);
        let answer = tokio::time::timeout(Duration::from_secs(30), answer).await;
        answer.context("no answer for 30 s")??;
        let end = Instant::now();
        // Also the last one, which may end later: on a busy machine it is the only one.
        if end >= window.from {
            took.push((end - start).as_secs_f64() * 1e3);
        }
        start = end;
    }
    Ok(took)
}

async fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<()> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            bail!("the server closed the connection");
        }
        filled += read;
        let answer = &buffer[..filled];
        let Some(head) = find(answer, b"\r\n\r\n") else {
            continue;
        };
        let length = content_length(&answer[..head]).context("no content-length")?;
        if filled >= head + 4 + length {
            let accepted =
                answer.starts_with(b"HTTP/1.1 200") && find(answer, b"\"accepted\"").is_some();
            if !accepted {
                bail!("a webhook was refused: {}", String::from_utf8_lossy(answer));
            }
            return Ok(());
        }
    }
}

fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len())
        .position(|window| window == needle)
}

fn content_length(head: &[u8]) -> Option<usize> {
    let head = std::str::from_utf8(head).ok()?;
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    lengths.next()?.1.trim().parse().ok()
}

/// A request whose ids are written over in place. They come in no order, as
/// Gladly's do.
struct Request {
    bytes: Vec<u8>,
    places: Vec<usize>,
}

/// Where an id's changing part stands.
const MARK: &str = "################";

impl Request {
    fn new(event: Event, account: usize) -> Self {
        let (kind, item) = match event {
            Event::Closed => ("CONVERSATION/CLOSED", String::new()),
            Event::Message => (
                "CONTACT/MESSAGE_RECEIVED",
                format!(r#""channel":"CHAT","contactId":"aaa","messageId":"itmAAA{MARK}","#),
            ),
        };
        let body = format!(
            r#"{{"id":"evtAAA{MARK}","type":"{kind}","timestamp":"{now}","initiator":{{"id":"zGaHXjD4SR-moMR9LbULDa","type":"CUSTOMER"}},"content":{{{item}"conversationId":"cnvAAA{MARK}","customerId":"zGaHXjD4SR-moMR9LbULDa","context":{{"assignee":{{"inboxId":"ai-inbox"}}}}}}}}"#,
            now = Timestamp::now()
        );
        let bytes = format!(
            "POST /webhooks/gladly HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Account-Identifier: {identifier}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len(),
            identifier = identifier(account),
        );
        let places = bytes.match_indices(MARK).map(|(place, _)| place).collect();
        let bytes = bytes.into_bytes();
        Self { bytes, places }
    }

    fn number(&mut self, number: u64) -> &[u8] {
        let id = format!("{:016x}", scramble(number));
        for place in &self.places {
            self.bytes[*place..*place + MARK.len()].copy_from_slice(id.as_bytes());
        }
        &self.bytes
    }
}

/// Splitmix64's finish: different for different numbers.
const fn scramble(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
