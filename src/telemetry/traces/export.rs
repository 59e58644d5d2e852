//! Sends spans to a collector by OTLP over HTTP, in JSON. Nothing waits for it: who
//! brings a span finds room in a queue, or the span is dropped and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::redirect;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Span, encode};
use crate::config::TraceTarget;
use crate::upstream::Cut;

/// Spans that wait to be sent.
const ROOM: usize = 2_048;
/// Spans in one request.
const BATCH: usize = 512;
/// How often at most it is told that spans were dropped.
const TELL_EVERY: Duration = Duration::from_mins(1);

/// The queue, and who sends what is in it.
#[derive(Debug)]
pub(super) struct Exporter {
    queue: mpsc::Sender<Span>,
    dropped: Arc<AtomicU64>,
    end: CancellationToken,
    ended: CancellationToken,
}

impl Exporter {
    /// Begins to send to `target`.
    pub(super) fn begin(target: &TraceTarget) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(target.timeout)
            .redirect(redirect::Policy::none())
            .build()?;
        let (queue, spans) = mpsc::channel(ROOM);
        let exporter = Self {
            queue,
            dropped: Arc::default(),
            end: CancellationToken::new(),
            ended: CancellationToken::new(),
        };
        let sender = Sender {
            target: target.clone(),
            http,
            spans,
            dropped: exporter.dropped.clone(),
            why: None,
            told_at: None,
        };
        let (end, ended) = (exporter.end.clone(), exporter.ended.clone().drop_guard());
        tokio::spawn(async move {
            sender.send_until(end).await;
            drop(ended);
        });
        tracing::info!(host = target.url.host_str(), "traces are exported");
        Ok(exporter)
    }

    pub(super) fn record(&self, span: Span) {
        if self.queue.try_send(span).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sends what is left.
    pub(super) async fn end(&self) {
        self.end.cancel();
        self.ended.cancelled().await;
    }
}

struct Sender {
    target: TraceTarget,
    http: reqwest::Client,
    spans: mpsc::Receiver<Span>,
    dropped: Arc<AtomicU64>,
    /// Why the last batch was not taken.
    why: Option<String>,
    told_at: Option<Instant>,
}

impl Sender {
    async fn send_until(mut self, end: CancellationToken) {
        while !end.is_cancelled() {
            let mut batch = Vec::new();
            end.run_until_cancelled(self.fill(&mut batch)).await;
            self.send(batch).await;
            self.tell(false);
        }
        self.spans.close();
        let mut batch = Vec::new();
        while self.spans.recv_many(&mut batch, BATCH).await > 0 {
            self.send(std::mem::take(&mut batch)).await;
        }
        self.tell(true);
    }

    /// Until a batch is full, or its first span has waited long enough.
    async fn fill(&mut self, batch: &mut Vec<Span>) {
        self.spans.recv_many(batch, BATCH).await;
        let until = Instant::now() + self.target.delay;
        while batch.len() < BATCH {
            let room = BATCH - batch.len();
            let more = tokio::time::timeout_at(until, self.spans.recv_many(batch, room));
            if !matches!(more.await, Ok(more) if more > 0) {
                return;
            }
        }
    }

    /// Sends once: a collector that could not take it is not waited for.
    async fn send(&mut self, batch: Vec<Span>) {
        if batch.is_empty() {
            return;
        }
        let mut request = self.http.post(self.target.url.clone());
        for (name, value) in &self.target.headers {
            request = request.header(name, value);
        }
        let request = request.json(&encode::request(&self.target.resource, &batch));
        self.why = match request.send().await {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(answer.status().as_u16().to_string()),
            Err(error) => Some(Cut::of(&error).as_str().to_owned()),
        };
        if self.why.is_some() {
            let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
            self.dropped.fetch_add(count, Ordering::Relaxed);
        }
    }

    fn tell(&mut self, at_last: bool) {
        let just_told = self.told_at.is_some_and(|at| at.elapsed() < TELL_EVERY);
        if just_told && !at_last {
            return;
        }
        let spans = self.dropped.swap(0, Ordering::Relaxed);
        if spans > 0 {
            self.told_at = Some(Instant::now());
            let why = self
                .why
                .as_deref()
                .unwrap_or("more came than could be sent");
            tracing::warn!(
                spans,
                why,
                "spans were dropped: the collector did not take them"
            );
        }
    }
}
