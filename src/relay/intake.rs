//! Webhooks in: an authentic delivery becomes a line in the journal.
//!
//! Nothing slow happens here: one write, then Gladly gets its answer.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::Relay;
use crate::clock::clamped;
use crate::conversation::Status;
use crate::gladly::{Malformed, Webhook, WebhookContent, parse_webhook};
use crate::id::{AccountName, EventId};
use crate::store::{Change, Delivery, Recorded, StoreError};
use crate::telemetry::WebhookResult;

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
        let count = |event, result| {
            self.shared
                .metrics
                .webhook(account, event, result, started.elapsed());
        };
        let webhook = parse_webhook(body)
            .inspect_err(|Malformed| count("other", WebhookResult::Malformed))?;
        let kind = webhook.kind;
        let unusable = matches!(webhook.content, WebhookContent::Unusable(_));
        let Some(delivery) = self.delivery(account, webhook, body) else {
            count(kind, WebhookResult::Ignored);
            return Ok(Receipt::Ignored);
        };
        match self.shared.store.record(delivery).await {
            Ok(Recorded::Duplicate) => {
                count(kind, WebhookResult::Duplicate);
                Ok(Receipt::Duplicate)
            }
            Ok(Recorded::TooOld) => {
                tracing::warn!(%account, event = kind, "a webhook is older than what is still remembered and is ignored");
                count(kind, WebhookResult::TooOld);
                Ok(Receipt::Ignored)
            }
            Ok(Recorded::Accepted) if unusable => {
                tracing::error!(%account, event = kind, "a known webhook can't be used and is kept as a dead letter");
                count(kind, WebhookResult::Unusable);
                Ok(Receipt::Accepted)
            }
            Ok(Recorded::Accepted) => {
                if let Some(account) = self.accounts.get(account) {
                    account.wake.notify_one();
                }
                count(kind, WebhookResult::Accepted);
                Ok(Receipt::Accepted)
            }
            Err(error) => {
                count(kind, WebhookResult::Failed);
                Err(error.into())
            }
        }
    }

    /// What to journal; nothing if it does not concern the relay.
    fn delivery(&self, account: &AccountName, webhook: Webhook, body: &[u8]) -> Option<Delivery> {
        let received = self.shared.clock.now();
        let account = self.accounts.get(account)?;
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
            account: account.name.clone(),
            bot: account.bot.clone(),
            event_id: webhook.id.unwrap_or_else(|| content_id(body)),
            event_type: webhook.kind,
            happened_at: webhook.happened_at.map(|at| believed(at, received.at)),
            raised_at: webhook.happened_at,
            received,
            answer_deadline: account.policy.answer_deadline,
            change,
        })
    }
}

/// When an event was raised, as far as that can be: what claims to be from far
/// in the future must not count as newer than everything to come.
pub(super) fn believed(happened_at: Timestamp, received_at: Timestamp) -> Timestamp {
    clamped(happened_at, received_at, CLOCKS_DIFFER)
}

/// An event without an id is told apart by what it says.
fn content_id(body: &[u8]) -> EventId {
    EventId(format!("sha256-{}", BASE64.encode(Sha256::digest(body))))
}
