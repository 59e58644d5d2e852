//! A turn: the checkpointed sequence gather → ask → deliver, or handoff.
//!
//! Each step is stored before the next, so a run can end anywhere and another
//! goes on from there. Until an answer is on its way, the deadline turns every
//! step into a handoff.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::policy::Gathered;
use super::{Account, Shared};
use jiff::Timestamp;

use crate::clock::time_until;
use crate::conversation::{Holder, Known};
use crate::gladly::GladlyError;
use crate::id::ItemId;
use crate::outcome::{HandoffReason, Outcome, SkipReason};
use crate::store::{
    Checkpoint, ClaimedTurn, History, NewPart, PartKind, PartState, Step, StoreError, StoredPart,
    Turn,
};

/// How long something is looked for that Gladly says is not there: a webhook
/// may be faster than Gladly's own database.
const MAY_APPEAR_FOR: Duration = Duration::from_secs(10);

/// One run of a turn, from claiming it to letting it go.
pub(super) struct TurnRun {
    pub(super) shared: Arc<Shared>,
    pub(super) account: Arc<Account>,
    /// The owner of the turn's lease.
    pub(super) owner: String,
    pub(super) turn: Turn,
    pub(super) known: Known,
    pub(super) history: History,
    /// What is in the messages, as far as they were fetched.
    pub(super) gathered: Vec<Option<Gathered>>,
}

/// What a step leads to.
pub(super) enum Flow {
    /// The next step, which the turn names.
    GoOn,
    /// The end.
    End(Ended),
}

/// How a turn ended.
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    /// Who holds the conversation now, if the turn changed that.
    pub(super) holder: Option<Holder>,
}

/// Why a run stopped before the turn's end.
#[derive(Debug)]
pub(super) enum Stop {
    /// The deadline passed while it waited.
    Deadline,
    /// It failed; another try may help.
    Retry {
        after: Option<Duration>,
        why: String,
    },
    /// Gladly refuses the API user; the next probe may go after this time.
    Unauthorised { after: Duration, why: String },
    /// It failed; no further try helps.
    Dead(String),
    /// Its progress could not be stored.
    Store(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<GladlyError> for Stop {
    /// For calls whose refusal means nothing special.
    fn from(error: GladlyError) -> Self {
        let why = error.to_string();
        match error {
            GladlyError::RetryLater { after, .. } => Self::Retry { after, why },
            GladlyError::Unauthorised { after, .. } => Self::Unauthorised { after, why },
            GladlyError::NotFound { .. } => Self::Retry { after: None, why },
            GladlyError::Refused { .. } => Self::Dead(why),
        }
    }
}

impl Flow {
    pub(super) fn replied() -> Self {
        Self::End(Ended {
            outcome: Outcome::Replied,
            holder: None,
        })
    }

    pub(super) fn skipped(reason: SkipReason) -> Self {
        Self::End(Ended {
            outcome: Outcome::Skipped(reason),
            holder: None,
        })
    }
}

impl TurnRun {
    pub(super) fn new(
        shared: Arc<Shared>,
        account: Arc<Account>,
        claimed: ClaimedTurn,
        owner: String,
    ) -> Self {
        let ClaimedTurn {
            mut turn,
            known,
            history,
        } = claimed;
        let read = |content: &Option<String>| serde_json::from_str(content.as_deref()?).ok();
        let gathered: Vec<Option<Gathered>> = turn
            .messages
            .iter()
            .map(|message| read(&message.content))
            .collect();
        // Another version may have stored it in another form.
        if turn.step == Step::Ask && gathered.iter().any(Option::is_none) {
            turn.step = Step::Gather;
        }
        Self {
            shared,
            account,
            owner,
            turn,
            known,
            history,
            gathered,
        }
    }

    /// Runs the turn from its stored step to its end.
    pub(super) async fn run(&mut self) -> Result<Ended, Stop> {
        loop {
            let result = if self.deadline_has_passed() && self.may_give_up() {
                Err(Stop::Deadline)
            } else {
                self.run_step().await
            };
            match result {
                Ok(Flow::GoOn) => {}
                Ok(Flow::End(ended)) => return Ok(ended),
                Err(Stop::Deadline) => {
                    self.begin_handoff(HandoffReason::Deadline, None, None)
                        .await?;
                }
                Err(stop) => return Err(stop),
            }
        }
    }

    async fn run_step(&mut self) -> Result<Flow, Stop> {
        match self.turn.step {
            Step::Gather => self.gather().await,
            Step::Ask => self.ask().await,
            Step::Deliver => self.deliver().await,
            Step::HandOff => self.hand_off().await,
        }
    }

    pub(super) fn deadline_has_passed(&self) -> bool {
        self.shared.clock.now() >= self.turn.deadline_at
    }

    /// Whether a human may be called instead of going on: nothing of an answer
    /// has been, or may have been, sent.
    pub(super) fn may_give_up(&self) -> bool {
        let reply_begun = || {
            let mut replies = self
                .turn
                .parts
                .iter()
                .filter(|part| part.part.kind == PartKind::Reply);
            replies.any(|part| matches!(part.state, PartState::Sending | PartState::Sent))
        };
        match self.turn.step {
            Step::Gather | Step::Ask => true,
            Step::Deliver => !reply_begun(),
            Step::HandOff => false,
        }
    }

    /// When to go on instead of at `at`: at the deadline if that comes first and
    /// still counts.
    pub(super) fn bounded(&self, at: Timestamp, now: Timestamp) -> Timestamp {
        let deadline_at = self.turn.deadline_at;
        let deadline_counts = self.may_give_up() && deadline_at > now;
        if deadline_counts {
            at.min(deadline_at)
        } else {
            at
        }
    }

    /// Waits for `work`, but no longer than the deadline where that still
    /// counts. Only for work that may be dropped anywhere.
    pub(super) async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, Stop> {
        if !self.may_give_up() {
            return Ok(work.await);
        }
        let left = time_until(self.turn.deadline_at, self.shared.clock.now());
        // A timeout of nothing still lets work through that is done at once.
        if left.is_zero() {
            return Err(Stop::Deadline);
        }
        tokio::time::timeout(left, work)
            .await
            .map_err(|_| Stop::Deadline)
    }

    /// Stores progress.
    pub(super) async fn checkpoint(&self, checkpoint: Checkpoint) -> Result<(), Stop> {
        let now = self.shared.clock.now();
        Ok(self
            .shared
            .store
            .checkpoint(self.turn.id, &self.owner, checkpoint, now)
            .await?)
    }

    /// Stores a part's state, here and in the store.
    pub(super) async fn mark(
        &mut self,
        index: usize,
        state: PartState,
        item_id: Option<ItemId>,
    ) -> Result<(), Stop> {
        let position = self.turn.parts[index].position;
        self.checkpoint(Checkpoint::Part {
            position,
            state,
            item_id: item_id.clone(),
        })
        .await?;
        let part = &mut self.turn.parts[index];
        if state == PartState::Sending {
            part.attempts += 1;
            part.sending_at = Some(self.shared.clock.now());
        }
        part.state = state;
        part.item_id = item_id.or(part.item_id.take());
        Ok(())
    }

    /// Stores the turn's next parts, here and in the store, in the same order.
    pub(super) fn add_parts(&mut self, parts: Vec<NewPart>) {
        let first = self.turn.parts.last().map_or(0, |part| part.position + 1);
        self.turn
            .parts
            .extend((first..).zip(parts).map(|(position, part)| StoredPart {
                position,
                part,
                state: PartState::Pending,
                attempts: 0,
                sending_at: None,
                item_id: None,
            }));
    }

    /// What a failed call means where "not found" may pass.
    pub(super) fn missing_or(&self, error: GladlyError) -> Stop {
        match error {
            GladlyError::NotFound { .. } if !self.may_still_appear() => {
                Stop::Dead(error.to_string())
            }
            error => Stop::from(error),
        }
    }

    /// Whether to look again for what Gladly says is not there.
    pub(super) fn may_still_appear(&self) -> bool {
        let since = self.turn.failing_since;
        since.is_none_or(|since| time_until(self.shared.clock.now(), since) < MAY_APPEAR_FOR)
    }

    /// The messages that were fetched.
    pub(super) fn contents(&self) -> Vec<Gathered> {
        self.gathered.iter().flatten().cloned().collect()
    }
}
