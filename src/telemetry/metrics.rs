//! The metrics of `GET /metrics`, prefix `gladly_relay_`, base units.
//!
//! Labels are account names and words from fixed lists, never ids.

mod watched;

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::id::AccountName;
use crate::outcome::Outcome;
use crate::store::Backlog;
use watched::Watched;

/// What became of a webhook delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookResult {
    /// Stored, and new.
    Accepted,
    /// Stored before.
    Duplicate,
    /// Of no concern to the relay.
    Ignored,
    /// Older than what is still remembered, so nobody can tell whether it came before.
    TooOld,
    /// Known but not usable: kept as a dead letter.
    Unusable,
    /// Could not be stored; Gladly will deliver it again.
    Failed,
    /// Not a webhook at all.
    Malformed,
    /// Its identifier or credentials are missing or wrong.
    Unauthorized,
}

impl WebhookResult {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Ignored => "ignored",
            Self::TooOld => "too_old",
            Self::Unusable => "unusable",
            Self::Failed => "failed",
            Self::Malformed => "malformed",
            Self::Unauthorized => "unauthorized",
        }
    }
}

/// The services that the relay calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upstream {
    /// The customer-service software.
    Gladly,
    /// The bot.
    Gleen,
}

impl Upstream {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Gladly => "gladly",
            Self::Gleen => "gleen",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AccountLabel {
    account: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WebhookLabels {
    account: String,
    event: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TurnLabels {
    account: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HandoffLabels {
    account: String,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    account: String,
    upstream: &'static str,
    operation: &'static str,
    status: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    upstream: &'static str,
    operation: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SweepLabels {
    account: String,
    result: &'static str,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;
type Seconds = Gauge<f64, AtomicU64>;
type Ratio = Gauge<f64, AtomicU64>;

/// All metrics of one relay.
pub struct Metrics {
    registry: Registry,
    webhooks: Family<WebhookLabels, Counter>,
    webhook_duration: Histogram,
    turns: Family<TurnLabels, Counter>,
    handoffs: Family<HandoffLabels, Counter>,
    turn_duration: Histograms<AccountLabel>,
    requests: Family<RequestLabels, Counter>,
    request_duration: Histograms<OperationLabels>,
    throttled: Family<AccountLabel, Counter>,
    backlog_turns: Family<AccountLabel, Gauge>,
    oldest_waiting: Family<AccountLabel, Seconds>,
    dead_letters: Family<AccountLabel, Gauge>,
    breaker_open: Family<AccountLabel, Gauge>,
    limit_used: Family<AccountLabel, Ratio>,
    notes_left_out: Family<AccountLabel, Counter>,
    notes_written_later: Family<AccountLabel, Counter>,
    sweeps: Family<SweepLabels, Counter>,
    recovered_messages: Family<AccountLabel, Counter>,
    webhook_enabled: Family<AccountLabel, Gauge>,
    driver: Family<AccountLabel, Gauge>,
    watched: Watched,
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            registry: Registry::with_prefix("gladly_relay"),
            webhooks: Family::default(),
            webhook_duration: fast_histogram(),
            turns: Family::default(),
            handoffs: Family::default(),
            turn_duration: Family::new_with_constructor(slow_histogram),
            requests: Family::default(),
            request_duration: Family::new_with_constructor(slow_histogram),
            throttled: Family::default(),
            backlog_turns: Family::default(),
            oldest_waiting: Family::default(),
            dead_letters: Family::default(),
            breaker_open: Family::default(),
            limit_used: Family::default(),
            notes_left_out: Family::default(),
            notes_written_later: Family::default(),
            sweeps: Family::default(),
            recovered_messages: Family::default(),
            webhook_enabled: Family::default(),
            driver: Family::default(),
            watched: Watched::default(),
        };
        metrics.registered()
    }
}

/// 0.5 ms to 4 s: answering a webhook is one write to disk.
fn fast_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 14))
}

/// 10 ms to 160 s: Gleen may take half a minute.
fn slow_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.01, 2.0, 15))
}

impl Metrics {
    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register("webhooks", "Webhook deliveries", self.webhooks.clone());
        registry.register(
            "webhook_duration_seconds",
            "Arrival of a webhook to its answer",
            self.webhook_duration.clone(),
        );
        registry.register("turns", "Turns ended", self.turns.clone());
        registry.register(
            "handoffs",
            "Conversations moved to the human inbox",
            self.handoffs.clone(),
        );
        registry.register(
            "turn_duration_seconds",
            "Arrival of a turn's first message to its outcome",
            self.turn_duration.clone(),
        );
        registry.register(
            "upstream_requests",
            "Calls to Gladly and Gleen",
            self.requests.clone(),
        );
        registry.register(
            "upstream_request_duration_seconds",
            "Time of calls to Gladly and Gleen",
            self.request_duration.clone(),
        );
        registry.register(
            "backlog_turns",
            "Turns not ended",
            self.backlog_turns.clone(),
        );
        registry.register(
            "oldest_waiting_seconds",
            "Age of the oldest turn not ended",
            self.oldest_waiting.clone(),
        );
        registry.register(
            "dead_letters",
            "Dead letters that a person must look at",
            self.dead_letters.clone(),
        );
        registry.register(
            "breaker_open",
            "1 while Gleen is not asked because it failed too often",
            self.breaker_open.clone(),
        );
        registry.register(
            "build",
            "The running version",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        self.with_limit().with_notes().with_sweeps()
    }

    fn with_limit(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register(
            "upstream_throttled",
            "Calls that Gladly answered 429",
            self.throttled.clone(),
        );
        registry.register(
            "gladly_limit_used_ratio",
            "Gladly's limit that the relay's calls of the last ten seconds took",
            self.limit_used.clone(),
        );
        self
    }

    fn with_notes(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register(
            "notes_left_out",
            "Handoffs whose note was left out because others waited for every call",
            self.notes_left_out.clone(),
        );
        registry.register(
            "notes_written_later",
            "Notes left out at the handoff and written when there was room",
            self.notes_written_later.clone(),
        );
        self.watched.register(registry);
        self
    }

    fn with_sweeps(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register(
            "sweeps",
            "Looks for events that no webhook brought",
            self.sweeps.clone(),
        );
        registry.register(
            "recovered_messages",
            "Messages that a sweep found and no webhook had brought",
            self.recovered_messages.clone(),
        );
        registry.register(
            "webhook_enabled",
            "1 while Gladly's webhook leads here and is on, 0 while it is off or missing",
            self.webhook_enabled.clone(),
        );
        registry.register(
            "driver",
            "1 where this process runs the account's turns",
            self.driver.clone(),
        );
        self
    }

    /// Counts a webhook delivery. `event` is from the fixed list of known types.
    pub fn webhook(
        &self,
        account: &AccountName,
        event: &'static str,
        result: WebhookResult,
        took: Duration,
    ) {
        let labels = WebhookLabels {
            account: account.to_string(),
            event,
            result: result.as_str(),
        };
        self.webhooks.get_or_create(&labels).inc();
        self.webhook_duration.observe(took.as_secs_f64());
    }

    /// Counts a delivery that belongs to no account, or does not prove it.
    pub fn unauthorized_webhook(&self) {
        self.webhook(
            &AccountName::new("unknown"),
            "other",
            WebhookResult::Unauthorized,
            Duration::ZERO,
        );
    }

    /// Counts the end of a turn that began `took` ago.
    pub fn turn(&self, account: &AccountName, outcome: &Outcome, took: Duration) {
        let labels = TurnLabels {
            account: account.to_string(),
            outcome: outcome.as_str(),
        };
        self.turns.get_or_create(&labels).inc();
        self.turn_duration
            .get_or_create(&label(account))
            .observe(took.as_secs_f64());
        self.skip(account, outcome);
        if let Outcome::HandedOff(reason) = outcome {
            let labels = HandoffLabels {
                account: account.to_string(),
                reason: reason.as_str(),
            };
            self.handoffs.get_or_create(&labels).inc();
        }
    }

    /// Counts a call to an upstream. `status` is the HTTP status, or a word
    /// for what happened instead of an answer.
    pub fn request(
        &self,
        account: &AccountName,
        upstream: Upstream,
        operation: &'static str,
        status: String,
        took: Duration,
    ) {
        if upstream == Upstream::Gladly && status == "429" {
            self.throttled.get_or_create(&label(account)).inc();
        }
        let upstream = upstream.as_str();
        let labels = RequestLabels {
            account: account.to_string(),
            upstream,
            operation,
            status,
        };
        self.requests.get_or_create(&labels).inc();
        self.request_duration
            .get_or_create(&OperationLabels {
                upstream,
                operation,
            })
            .observe(took.as_secs_f64());
    }

    /// Shows how much of Gladly's limit is used; 1 is all of it.
    pub fn limit_used(&self, account: &AccountName, ratio: f64) {
        self.limit_used.get_or_create(&label(account)).set(ratio);
    }

    /// Shows whether Gleen is being asked.
    pub fn breaker(&self, account: &AccountName, open: bool) {
        self.breaker_open
            .get_or_create(&label(account))
            .set(i64::from(open));
    }

    /// Counts a handoff whose note was left out.
    pub fn note_left_out(&self, account: &AccountName) {
        self.notes_left_out.get_or_create(&label(account)).inc();
    }

    /// Counts a note that was left out and is there now.
    pub fn note_written_later(&self, account: &AccountName) {
        self.notes_written_later
            .get_or_create(&label(account))
            .inc();
    }

    /// Counts a sweep. `result` is from a fixed list.
    pub fn sweep(&self, account: &AccountName, result: &'static str) {
        let account = account.to_string();
        self.sweeps
            .get_or_create(&SweepLabels { account, result })
            .inc();
    }

    /// Counts messages that a sweep found.
    pub fn recovered(&self, account: &AccountName, messages: u64) {
        self.recovered_messages
            .get_or_create(&label(account))
            .inc_by(messages);
    }

    /// Shows whether Gladly's webhook is on; none if that is not known.
    pub fn webhook_enabled(&self, account: &AccountName, enabled: Option<bool>) {
        let label = label(account);
        match enabled {
            Some(enabled) => {
                self.webhook_enabled
                    .get_or_create(&label)
                    .set(i64::from(enabled));
            }
            None => {
                self.webhook_enabled.remove(&label);
            }
        }
    }

    /// Shows whether the account's turns are run here.
    pub fn driver(&self, account: &AccountName, here: bool) {
        self.driver
            .get_or_create(&label(account))
            .set(i64::from(here));
    }

    /// Shows what waits in the store.
    pub fn backlog(&self, backlog: &Backlog) {
        let label = label(&backlog.account);
        let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.backlog_turns
            .get_or_create(&label)
            .set(count(backlog.turns));
        self.oldest_waiting
            .get_or_create(&label)
            .set(backlog.oldest_waiting.as_secs_f64());
        self.dead_letters
            .get_or_create(&label)
            .set(count(backlog.dead_letters));
    }

    /// Everything, as Prometheus reads it (`OpenMetrics` text).
    pub fn render(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn label(account: &AccountName) -> AccountLabel {
    AccountLabel {
        account: account.to_string(),
    }
}
