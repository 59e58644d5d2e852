//! Webhooks in: an authentic delivery becomes a line in the journal.
//!
//! Nothing slow happens here: one write, then Gladly gets its answer.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{Account, Relay, Shared};
use crate::clock::clamped;
use crate::conversation::Status;
use crate::gladly::{Malformed, Webhook, WebhookContent, parse_webhook};
use crate::id::{AccountName, EventId};
use crate::store::{Change, Delivery, Recorded, Source, StoreError};
use crate::telemetry::{Kind, Span, SpanContext, WebhookResult};

/// How far Gladly's clock may be ahead: less than this says nothing about an
/// event, and its place among Gladly's other events is kept.
const CLOCKS_DIFFER: Duration = Duration::from_hours(2);

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// It is new and on disk.
    Accepted,
    /// It came before.
    Duplicate,
    /// It does not concern the relay.
    Ignored,
}

/// A delivery that was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// It is no webhook.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It could not be stored; Gladly will deliver it again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Relay {
    /// Journals a delivery of `account` and wakes its dispatcher. When it
    /// returns [`Receipt::Accepted`], the event survives a power cut.
    pub async fn receive(
        &self,
        account: &AccountName,
        body: &[u8],
    ) -> Result<Receipt, ReceiveError> {
        let started = Instant::now();
        let shared = &self.shared;
        shared.metrics.heard(account, shared.clock.now().at);
        let count = |event, result| {
            self.shared
                .metrics
                .webhook(account, event, result, started.elapsed());
        };
        let webhook = parse_webhook(body)
            .inspect_err(|Malformed| count("other", WebhookResult::Malformed))?;
        let kind = webhook.kind;
        let Some(account) = self.accounts.get(account) else {
            count(kind, WebhookResult::Ignored);
            return Ok(Receipt::Ignored);
        };
        account.seen.heard(shared.clock.now().at);
        let heard = Heard {
            source: Source::Webhook,
            within: account.policy.answer_deadline,
        };
        let journaled = account.journal(&self.shared, webhook, body, heard).await;
        let result = journaled
            .as_ref()
            .map_or(WebhookResult::Failed, |result| *result);
        count(kind, result);
        if result == WebhookResult::TooOld {
            tracing::warn!(account = %account.name, event = kind, "a webhook is older than what is still remembered and is ignored");
        }
        match journaled? {
            WebhookResult::Duplicate => Ok(Receipt::Duplicate),
            WebhookResult::Accepted | WebhookResult::Unusable => Ok(Receipt::Accepted),
            _ => Ok(Receipt::Ignored),
        }
    }
}

/// How an event came to the relay.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard {
    /// By what.
    pub(super) source: Source,
    /// How soon a message must have an answer or a human.
    pub(super) within: Duration,
}

impl Account {
    /// Journals an event, by whatever it came, and wakes the driver.
    pub(super) async fn journal(
        &self,
        shared: &Shared,
        webhook: Webhook,
        body: &[u8],
        heard: Heard,
    ) -> Result<WebhookResult, StoreError> {
        let kind = webhook.kind;
        let unusable = matches!(webhook.content, WebhookContent::Unusable(_));
        let Some(delivery) = self.delivery(shared, webhook, body, heard) else {
            return Ok(WebhookResult::Ignored);
        };
        let received_at = delivery.received.at;
        let context = context_of(&delivery);
        let recorded = shared.store.record(delivery).await?;
        if recorded == Recorded::Accepted {
            shared.traces.record(|| Span {
                context,
                parent: None,
                name: "webhook",
                kind: Kind::Server,
                start: received_at,
                end: shared.clock.now().at,
                attributes: vec![
                    ("account", self.name.to_string()),
                    ("event", kind.to_owned()),
                    ("source", heard.source.as_str().to_owned()),
                ],
                links: Vec::new(),
                failed: unusable,
            });
        }
        Ok(match recorded {
            Recorded::Duplicate => WebhookResult::Duplicate,
            Recorded::TooOld => WebhookResult::TooOld,
            Recorded::Accepted if unusable => {
                tracing::error!(account = %self.name, event = kind, "a known webhook can't be used and is kept as a dead letter");
                WebhookResult::Unusable
            }
            Recorded::Accepted => {
                self.wake.notify_one();
                WebhookResult::Accepted
            }
        })
    }

    /// What to journal; nothing if it does not concern the relay.
    fn delivery(
        &self,
        shared: &Shared,
        webhook: Webhook,
        body: &[u8],
        heard: Heard,
    ) -> Option<Delivery> {
        let received = shared.clock.now();
        let change = match webhook.content {
            WebhookContent::Ping | WebhookContent::Other => return None,
            WebhookContent::Message {
                conversation_id,
                item_id,
                context,
            } => Change::Message {
                conversation_id,
                item_id,
                context,
            },
            WebhookContent::Opened(conversation) => Change::Status(conversation, Status::Open),
            WebhookContent::Closed(conversation) => Change::Status(conversation, Status::Closed),
            WebhookContent::StatusChanged(conversation) => {
                Change::Status(conversation, Status::Unclear)
            }
            WebhookContent::HolderChanged(conversation, holder) => {
                Change::Holder(conversation, holder)
            }
            WebhookContent::Merged {
                source,
                destination,
            } => Change::Merge {
                source,
                destination,
            },
            WebhookContent::Unusable(error) => Change::Unusable(error),
        };
        Some(Delivery {
            account: self.name.clone(),
            bot: self.bot.clone(),
            event_id: webhook.id.unwrap_or_else(|| content_id(body)),
            event_type: webhook.kind,
            happened_at: webhook.happened_at.map(|at| believed(at, received.at)),
            raised_at: webhook.happened_at,
            received,
            answer_deadline: heard.within,
            source: heard.source,
            change,
        })
    }
}

/// When an event was raised, as far as that can be: what claims to be from far
/// in the future must not count as newer than everything to come.
pub(super) fn believed(happened_at: Timestamp, received_at: Timestamp) -> Timestamp {
    clamped(happened_at, received_at, CLOCKS_DIFFER)
}

/// Its span: where a turn will look for it that has no more than its messages' items.
fn context_of(delivery: &Delivery) -> SpanContext {
    match &delivery.change {
        Change::Message { item_id, .. } => SpanContext::of_item(&delivery.account, item_id),
        _ => SpanContext::of_event(&delivery.account, &delivery.event_id),
    }
}

/// An event without an id is told apart by what it says.
fn content_id(body: &[u8]) -> EventId {
    EventId(format!("sha256-{}", BASE64.encode(Sha256::digest(body))))
}
