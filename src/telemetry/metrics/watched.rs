//! What alerts watch beside the work itself, and the zeros without which a counter's
//! first step can't be seen (`increase` needs a value before it).

use std::sync::atomic::AtomicU64;

use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{AccountLabel, HandoffLabels, Metrics, TurnLabels, label};
use crate::id::AccountName;
use crate::outcome::{HandoffReason, Outcome, SkipReason};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SkipLabels {
    account: String,
    reason: &'static str,
}

#[derive(Default)]
pub(super) struct Watched {
    last_event: Family<AccountLabel, Gauge<f64, AtomicU64>>,
    skips: Family<SkipLabels, Counter>,
    /// Shown once it is known.
    free: Family<Vec<(String, String)>, Gauge>,
}

impl Watched {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "last_event_timestamp_seconds",
            "When Gladly's last webhook came; the start if none has since",
            self.last_event.clone(),
        );
        registry.register(
            "skips",
            "Turns ended because there was nothing for the bot to do",
            self.skips.clone(),
        );
        registry.register(
            "store_disk_free_bytes",
            "Room on the disk of the database",
            self.free.clone(),
        );
    }
}

impl Metrics {
    /// Begins to show an account that is served from `now` on.
    pub fn begin(&self, account: &AccountName, now: Timestamp) {
        let name = account.to_string();
        for outcome in ["replied", "handed_off", "skipped", "dead"] {
            let account = name.clone();
            drop(self.turns.get_or_create(&TurnLabels { account, outcome }));
        }
        for reason in HandoffReason::ALL.iter().map(|reason| reason.as_str()) {
            let account = name.clone();
            drop(
                self.handoffs
                    .get_or_create(&HandoffLabels { account, reason }),
            );
        }
        for reason in SkipReason::ALL.iter().map(|reason| reason.as_str()) {
            let account = name.clone();
            let labels = SkipLabels { account, reason };
            drop(self.watched.skips.get_or_create(&labels));
        }
        for counters in [
            &self.throttled,
            &self.notes_left_out,
            &self.notes_written_later,
            &self.recovered_messages,
        ] {
            drop(counters.get_or_create(&label(account)));
        }
        drop(self.turn_duration.get_or_create(&label(account)));
        self.breaker(account, false);
        self.heard(account, now);
    }

    /// Shows that Gladly reaches the relay.
    pub fn heard(&self, account: &AccountName, now: Timestamp) {
        self.watched
            .last_event
            .get_or_create(&label(account))
            .set(now.as_duration().as_secs_f64());
    }

    /// Shows the room on the database's disk.
    pub fn disk(&self, free_bytes: u64) {
        let free = i64::try_from(free_bytes).unwrap_or(i64::MAX);
        self.watched.free.get_or_create(&Vec::new()).set(free);
    }

    pub(super) fn skip(&self, account: &AccountName, outcome: &Outcome) {
        if let Outcome::Skipped(reason) = outcome {
            let labels = SkipLabels {
                account: account.to_string(),
                reason: reason.as_str(),
            };
            self.watched.skips.get_or_create(&labels).inc();
        }
    }
}
