//! A store that tells the test how turns end, and that fails when asked to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use gladly_relay::conversation::{Holder, Known, Status};
use gladly_relay::id::{AccountName, ConversationId, TurnId};
use gladly_relay::outcome::Outcome;
use gladly_relay::store::{
    Checkpoint, Claim, DeadLetter, DeadLetterId, Delivery, Lease, Recorded, Sqlite, Store,
    StoreError,
};
use gladly_relay::telemetry::Backlog;
use jiff::Timestamp;
use tokio::sync::watch;

/// Which write fails, counted from 1.
type FailAt = Option<(usize, usize)>;

/// The real store, watched.
pub(crate) struct Observed {
    inner: Sqlite,
    outcomes: watch::Sender<Vec<Outcome>>,
    retries: watch::Sender<usize>,
    renewals: watch::Sender<usize>,
    purges: watch::Sender<usize>,
    /// Write number `.0` of those so far (`.1`) fails.
    fail_at: Mutex<FailAt>,
    /// Whether nothing can be written for now: a full disk.
    full: AtomicBool,
}

impl Observed {
    pub(crate) fn new(inner: Sqlite) -> Self {
        let (outcomes, _) = watch::channel(Vec::new());
        let [(retries, _), (renewals, _), (purges, _)] = [(); 3].map(|()| watch::channel(0));
        Self {
            inner,
            outcomes,
            retries,
            renewals,
            purges,
            fail_at: Mutex::new(None),
            full: AtomicBool::new(false),
        }
    }

    /// How turns have ended, once so many have.
    pub(crate) async fn outcomes(&self, count: usize) -> Vec<Outcome> {
        let mut seen = self.outcomes.subscribe();
        let ended = seen.wait_for(|outcomes| outcomes.len() >= count).await;
        ended.expect("the sender lives in self").clone()
    }

    /// Waits until turns were put off so often.
    pub(crate) async fn put_off(&self, count: usize) {
        reached(&self.retries, count).await;
    }

    /// Waits until leases were renewed so often.
    pub(crate) async fn renewed(&self, count: usize) {
        reached(&self.renewals, count).await;
    }

    /// Waits until old rows were deleted so often.
    pub(crate) async fn purged(&self, count: usize) {
        reached(&self.purges, count).await;
    }

    /// Makes the checkpoint with this number, from now, fail once.
    pub(crate) fn fail_checkpoint(&self, number: usize) {
        *self.fail_at.lock().unwrap_or_else(PoisonError::into_inner) = Some((number, 0));
    }

    /// Makes the disk full, or gives it room again: webhooks and probes fail.
    pub(crate) fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }

    fn room(&self) -> Result<(), StoreError> {
        if self.full.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("the disk is full".to_owned()));
        }
        Ok(())
    }

    fn fails_now(&self) -> bool {
        let mut fail_at = self.fail_at.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((number, count)) = fail_at.as_mut() else {
            return false;
        };
        *count += 1;
        *count == *number
    }
}

async fn reached(counter: &watch::Sender<usize>, count: usize) {
    let mut seen = counter.subscribe();
    seen.wait_for(|counted| *counted >= count)
        .await
        .expect("the sender lives in self");
}

#[async_trait]
impl Store for Observed {
    async fn record(&self, delivery: Delivery) -> Result<Recorded, StoreError> {
        self.room()?;
        self.inner.record(delivery).await
    }

    async fn claim(
        &self,
        account: &AccountName,
        lease: Lease,
        now: Timestamp,
    ) -> Result<Claim, StoreError> {
        self.inner.claim(account, lease, now).await
    }

    async fn checkpoint(
        &self,
        turn: TurnId,
        owner: &str,
        checkpoint: Checkpoint,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if self.fails_now() {
            return Err(StoreError::Unavailable("the test made it fail".to_owned()));
        }
        let outcome = match &checkpoint {
            Checkpoint::Done { outcome, .. } => Some(outcome.clone()),
            _ => None,
        };
        let put_off = matches!(checkpoint, Checkpoint::Retry { .. });
        self.inner.checkpoint(turn, owner, checkpoint, now).await?;
        self.outcomes
            .send_modify(|outcomes| outcomes.extend(outcome));
        self.retries
            .send_modify(|retries| *retries += usize::from(put_off));
        Ok(())
    }

    async fn renew(
        &self,
        leases: Vec<(TurnId, String)>,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        self.inner.renew(leases, until).await?;
        self.renewals.send_modify(|renewals| *renewals += 1);
        Ok(())
    }

    async fn known(
        &self,
        account: &AccountName,
        conversation: &ConversationId,
    ) -> Result<Known, StoreError> {
        self.inner.known(account, conversation).await
    }

    async fn looked(
        &self,
        account: &AccountName,
        conversation: &ConversationId,
        holder: Holder,
        status: Status,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.inner
            .looked(account, conversation, holder, status, at)
            .await
    }

    async fn backlog(&self, now: Timestamp) -> Result<Vec<Backlog>, StoreError> {
        self.inner.backlog(now).await
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, StoreError> {
        self.inner.dead_letters().await
    }

    async fn retry_dead_letter(
        &self,
        id: DeadLetterId,
        now: Timestamp,
        deadline_at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.inner.retry_dead_letter(id, now, deadline_at).await
    }

    async fn drop_dead_letter(&self, id: DeadLetterId) -> Result<bool, StoreError> {
        self.inner.drop_dead_letter(id).await
    }

    async fn probe(&self, now: Timestamp) -> Result<(), StoreError> {
        self.room()?;
        self.inner.probe(now).await
    }

    async fn purge(&self, before: Timestamp) -> Result<(), StoreError> {
        self.inner.purge(before).await?;
        self.purges.send_modify(|purges| *purges += 1);
        Ok(())
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
