//! A store that tells the test how turns end, and that fails when asked to.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use gladly_relay::id::{AccountName, ConversationId, TurnId};
use gladly_relay::outcome::Outcome;
use gladly_relay::store::{
    Backlog, Cause, ClaimRequest, Claimed, DeadLetter, DeadLetterId, Delivery, History,
    LetterQuery, Operations, Progress, Recorded, Remembered, RetryRequest, Save, Sqlite, Standing,
    Store, StoreError, Swept, Total, TurnQuery, TurnRow,
};
use jiff::Timestamp;
use tokio::sync::watch;

/// Which write fails, counted from 1.
type FailAt = Option<(usize, usize)>;

/// How a turn ended.
type Ended = (ConversationId, TurnId, Outcome);

/// The real store, watched.
pub(crate) struct Observed {
    inner: Sqlite,
    /// Of one conversation in the order of its turns, else as the test hears of them.
    ended: watch::Sender<Vec<Ended>>,
    put_off: watch::Sender<usize>,
    purges: watch::Sender<usize>,
    sweeps: watch::Sender<usize>,
    /// Turns that were claimed and have neither ended nor been put off.
    running: watch::Sender<usize>,
    /// Save number `.0` of those so far (`.1`) fails.
    fail_at: Mutex<FailAt>,
    /// Whether nothing can be written for now: a full disk.
    full: AtomicBool,
    /// Saves that must outlast a power cut.
    lasting: AtomicUsize,
    /// Whether a probe gets no answer: a disk that hangs.
    hangs: AtomicBool,
}

impl Observed {
    pub(crate) fn new(inner: Sqlite) -> Self {
        let (ended, _) = watch::channel(Vec::new());
        let [(put_off, _), (purges, _), (sweeps, _), (running, _)] =
            [(); 4].map(|()| watch::channel(0));
        Self {
            inner,
            ended,
            put_off,
            purges,
            sweeps,
            running,
            fail_at: Mutex::new(None),
            full: AtomicBool::new(false),
            lasting: AtomicUsize::new(0),
            hangs: AtomicBool::new(false),
        }
    }

    /// How turns have ended, once so many have.
    pub(crate) async fn outcomes(&self, count: usize) -> Vec<Outcome> {
        let mut seen = self.ended.subscribe();
        let ended = seen.wait_for(|ended| ended.len() >= count).await;
        let ended = ended.expect("the sender lives in self");
        ended.iter().map(|(.., outcome)| outcome.clone()).collect()
    }

    /// Waits until turns were put off so often.
    pub(crate) async fn put_off(&self, count: usize) {
        reached(&self.put_off, count).await;
    }

    /// Waits until old rows were deleted so often.
    pub(crate) async fn purged(&self, count: usize) {
        reached(&self.purges, count).await;
    }

    /// Waits until so many spans were swept.
    pub(crate) async fn swept_often(&self, count: usize) {
        reached(&self.sweeps, count).await;
    }

    /// Waits until no turn runs.
    pub(crate) async fn idle(&self) {
        let mut seen = self.running.subscribe();
        let idle = seen.wait_for(|running| *running == 0).await;
        idle.expect("the sender lives in self");
    }

    /// Makes the save with this number, from now, fail once.
    pub(crate) fn fail_save(&self, number: usize) {
        *self.fail_at.lock().unwrap_or_else(PoisonError::into_inner) = Some((number, 0));
    }

    /// Makes the disk full, or gives it room again: webhooks and probes fail.
    pub(crate) fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }

    /// How many saves so far must outlast a power cut.
    pub(crate) fn lasting_saves(&self) -> usize {
        self.lasting.load(Ordering::SeqCst)
    }

    /// Lets probes wait for ever, or be answered again.
    pub(crate) fn set_hanging(&self, hangs: bool) {
        self.hangs.store(hangs, Ordering::SeqCst);
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

/// The next turn of a lane may have ended before this one's end was heard of here.
fn add(all: &mut Vec<Ended>, ended: Option<Ended>) {
    let Some(ended) = ended else { return };
    let later =
        |(conversation_id, turn_id, _): &Ended| *conversation_id == ended.0 && *turn_id > ended.1;
    let place = all.iter().position(later).unwrap_or(all.len());
    all.insert(place, ended);
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

    async fn claim(&self, request: ClaimRequest) -> Result<Claimed, StoreError> {
        let claimed = self.inner.claim(request).await?;
        self.running
            .send_modify(|running| *running += claimed.turns.len());
        Ok(claimed)
    }

    async fn save(&self, save: Save) -> Result<Standing, StoreError> {
        if self.fails_now() {
            return Err(StoreError::Unavailable("the test made it fail".to_owned()));
        }
        let ended = match &save.progress {
            Progress::Ended { outcome, .. } => {
                let conversation_id = save.conversation_id.clone();
                Some((conversation_id, save.turn_id, outcome.clone()))
            }
            _ => None,
        };
        self.lasting
            .fetch_add(usize::from(save.lasting), Ordering::SeqCst);
        let put_off = matches!(save.progress, Progress::PutOff { .. });
        let runs_on = matches!(save.progress, Progress::Running { .. });
        let standing = self.inner.save(save).await?;
        self.ended.send_modify(|all| add(all, ended));
        self.put_off
            .send_modify(|count| *count += usize::from(put_off));
        self.running
            .send_modify(|running| *running -= usize::from(!runs_on));
        Ok(standing)
    }

    async fn swept_until(&self, account: &AccountName) -> Result<Option<Timestamp>, StoreError> {
        self.inner.swept_until(account).await
    }

    async fn swept(&self, swept: Swept) -> Result<(), StoreError> {
        self.inner.swept(swept).await?;
        self.sweeps.send_modify(|sweeps| *sweeps += 1);
        Ok(())
    }

    async fn probe(&self) -> Result<(), StoreError> {
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.room()?;
        self.inner.probe().await
    }

    async fn purge(&self, before: Timestamp) -> Result<(), StoreError> {
        self.inner.purge(before).await?;
        self.purges.send_modify(|purges| *purges += 1);
        Ok(())
    }

    async fn sum_up(&self, now: Timestamp) -> Result<(), StoreError> {
        self.inner.sum_up(now).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

#[async_trait]
impl Operations for Observed {
    async fn backlog(&self, now: Timestamp) -> Result<Vec<Backlog>, StoreError> {
        self.inner.backlog(now).await
    }

    async fn free_bytes(&self) -> Option<u64> {
        self.inner.free_bytes().await
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, StoreError> {
        self.inner.dead_letters().await
    }

    async fn causes(&self) -> Result<Vec<(Cause, u64)>, StoreError> {
        self.inner.causes().await
    }

    async fn letters_of(
        &self,
        cause: &Cause,
        before: Option<DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        self.inner.letters_of(cause, before, limit).await
    }

    async fn letters(&self, query: &LetterQuery) -> Result<Vec<DeadLetter>, StoreError> {
        self.inner.letters(query).await
    }

    async fn named_letters(&self, ids: &[DeadLetterId]) -> Result<Vec<DeadLetter>, StoreError> {
        self.inner.named_letters(ids).await
    }

    async fn retry_dead_letter(&self, request: RetryRequest) -> Result<bool, StoreError> {
        self.inner.retry_dead_letter(request).await
    }

    async fn drop_dead_letter(&self, id: DeadLetterId) -> Result<bool, StoreError> {
        self.inner.drop_dead_letter(id).await
    }
}

#[async_trait]
impl History for Observed {
    async fn turns(&self, query: &TurnQuery) -> Result<Vec<TurnRow>, StoreError> {
        self.inner.turns(query).await
    }

    async fn remembered(
        &self,
        id: &ConversationId,
        account: Option<&AccountName>,
    ) -> Result<Vec<Remembered>, StoreError> {
        self.inner.remembered(id, account).await
    }

    async fn totals(
        &self,
        from_hour: i64,
        until_hour: i64,
        account: Option<&AccountName>,
    ) -> Result<Vec<Total>, StoreError> {
        self.inner.totals(from_hour, until_hour, account).await
    }

    async fn days(
        &self,
        from_day: i64,
        until_day: i64,
        account: Option<&AccountName>,
    ) -> Result<Vec<Total>, StoreError> {
        self.inner.days(from_day, until_day, account).await
    }
}
