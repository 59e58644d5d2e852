//! One dispatcher per account: claims turns that are due and runs them side by
//! side, at most as many as the account may. Accounts don't wait for each other.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::policy::{NextTry, next_try};
use super::turn::{Ended, Stop, TurnRun};
use super::{Account, Shared};
use crate::clock::{later, time_until};
use crate::outcome::Outcome;
use crate::store::{Checkpoint, Claim, ClaimedTurn, Lease, StoreError};

/// How long a turn is leased for; renewed while it runs.
pub(super) const LEASE: Duration = Duration::from_mins(1);
/// How often to look for turns that nobody woke anybody for: leases that ended,
/// dead letters that another process retried.
const WATCH_EVERY: Duration = Duration::from_secs(2);

impl Shared {
    /// A lease for the next claim.
    fn lease(&self) -> Lease {
        let claim = self.claims.fetch_add(1, Ordering::Relaxed);
        Lease {
            owner: format!("{}-{claim}", self.process),
            until: later(self.clock.now(), LEASE),
        }
    }
}

/// Runs one account's turns.
pub(super) struct Dispatcher {
    pub(super) shared: Arc<Shared>,
    pub(super) account: Arc<Account>,
    pub(super) turns: TaskTracker,
    /// Makes running turns let go of their leases.
    pub(super) let_go: CancellationToken,
}

impl Dispatcher {
    /// Claims turns until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        while stop
            .run_until_cancelled(self.dispatch_next())
            .await
            .is_some()
        {}
    }

    /// Starts one turn, or waits until there may be one.
    async fn dispatch_next(&self) {
        // Never closed, so this only ever waits.
        let Ok(permit) = self.account.turn_permits.clone().acquire_owned().await else {
            return;
        };
        // Interest first: what is journaled after the query wakes us.
        let woken = self.account.wake.notified();
        let now = self.shared.clock.now();
        let lease = self.shared.lease();
        let owner = lease.owner.clone();
        let wait = match self
            .shared
            .store
            .claim(&self.account.name, lease, now)
            .await
        {
            Ok(Claim::Turn(claimed)) => {
                self.start(*claimed, owner, permit);
                return;
            }
            Ok(Claim::Nothing { next_due_at }) => {
                next_due_at.map_or(WATCH_EVERY, |at| time_until(at, now).min(WATCH_EVERY))
            }
            Err(error) => {
                tracing::error!(account = %self.account.name, %error, "no turn could be claimed; trying again");
                WATCH_EVERY
            }
        };
        drop(permit);
        // It only fails by running out of time, which is the point.
        let _: Result<(), _> =
            tokio::time::timeout(wait.max(Duration::from_millis(1)), woken).await;
    }

    fn start(&self, claimed: ClaimedTurn, owner: String, permit: OwnedSemaphorePermit) {
        let turn = &claimed.turn;
        let span = tracing::info_span!(
            "turn",
            account = %turn.account, conversation_id = %turn.conversation_id, turn_id = %turn.id
        );
        let run = TurnRun::new(self.shared.clone(), self.account.clone(), claimed, owner);
        let work = run_to_end(run, self.let_go.clone());
        self.turns.spawn(
            async move {
                work.await;
                drop(permit);
            }
            .instrument(span),
        );
    }
}

/// Runs a turn and stores what came of it, whatever that is.
async fn run_to_end(mut run: TurnRun, let_go: CancellationToken) {
    let _running = run.shared.lanes.enter(&run.turn, &run.owner);
    tracing::debug!(
        step = run.turn.step.as_str(),
        messages = run.turn.messages.len(),
        "the turn runs"
    );
    let result = let_go
        .run_until_cancelled(AssertUnwindSafe(run.run()).catch_unwind())
        .await;
    let checkpoint = match result {
        None => Checkpoint::Retry {
            at: run.shared.clock.now(),
            failed: false,
        },
        Some(Ok(Ok(Ended { outcome, holder }))) => Checkpoint::Done { outcome, holder },
        Some(Ok(Err(stop))) => after_stop(&run, stop),
        Some(Err(_panic)) => {
            tracing::error!("the turn panicked; please report this");
            after_stop(
                &run,
                Stop::Retry {
                    after: None,
                    why: "the turn panicked".to_owned(),
                },
            )
        }
    };
    let stored = store_end(&run, &checkpoint, &let_go).await;
    if let (true, Checkpoint::Done { outcome, .. }) = (stored, &checkpoint) {
        let took = time_until(run.shared.clock.now(), run.turn.received_at);
        run.shared.metrics.turn(&run.account.name, outcome, took);
        log_end(outcome, took);
    }
    run.account.wake.notify_one();
}

fn log_end(outcome: &Outcome, took: Duration) {
    let (word, reason) = (outcome.as_str(), outcome.reason().unwrap_or_default());
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    if matches!(outcome, Outcome::Dead(_)) {
        tracing::error!(
            outcome = word,
            reason,
            took_ms,
            "the turn is a dead letter: a person must look"
        );
    } else {
        tracing::info!(outcome = word, reason, took_ms, "the turn ended");
    }
}

fn after_stop(run: &TurnRun, stop: Stop) -> Checkpoint {
    let now = run.shared.clock.now();
    let (after, why) = match stop {
        Stop::Retry { after, why } => (after, why),
        // No failure of this turn either, and no reason to ever give it up.
        Stop::Unauthorised { after, why } => {
            tracing::warn!(
                step = run.turn.step.as_str(),
                why,
                "the turn waits until Gladly accepts the API user"
            );
            return Checkpoint::Retry {
                at: run.bounded(later(now, after), now),
                failed: false,
            };
        }
        // Not a failure of this turn: whoever claims it next goes on.
        Stop::Store(error) => {
            tracing::error!(%error, "the turn's progress could not be stored");
            return Checkpoint::Retry {
                at: later(now, run.account.policy.first_retry_wait),
                failed: false,
            };
        }
        Stop::Dead(error) => {
            return Checkpoint::Done {
                outcome: Outcome::Dead(error),
                holder: None,
            };
        }
        // `run` turns it into a handoff; if that could not begin, it is due now.
        Stop::Deadline => {
            return Checkpoint::Retry {
                at: now,
                failed: true,
            };
        }
    };
    let turn = &run.turn;
    match next_try(
        &run.account.policy,
        turn.attempts,
        turn.failing_since,
        after,
        fastrand::f64(),
        now,
    ) {
        NextTry::At(at) => {
            let at = run.bounded(at, now);
            let in_ms = u64::try_from(time_until(at, now).as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(
                step = turn.step.as_str(),
                why,
                attempts = turn.attempts,
                in_ms,
                "the turn waits"
            );
            Checkpoint::Retry { at, failed: true }
        }
        NextTry::GiveUp => Checkpoint::Done {
            outcome: Outcome::Dead(format!("gave up: {why}")),
            holder: None,
        },
    }
}

/// Stores the end of a run, for as long as it takes. False if the turn is
/// somebody else's by now, or this process stops: the lease then ends by itself.
async fn store_end(run: &TurnRun, checkpoint: &Checkpoint, let_go: &CancellationToken) -> bool {
    loop {
        match run.checkpoint(checkpoint.clone()).await {
            Ok(()) => return true,
            Err(Stop::Store(StoreError::LeaseLost)) => {
                tracing::warn!("the turn's lease was lost; whoever has it goes on");
                return false;
            }
            Err(stop) => {
                tracing::error!(?stop, "the end of a run could not be stored; trying again");
            }
        }
        if let_go
            .run_until_cancelled(tokio::time::sleep(WATCH_EVERY))
            .await
            .is_none()
        {
            return false;
        }
    }
}
