//! The driver of an organization: claims its accounts' turns as they come due
//! and runs them side by side. Accounts and organizations don't wait for each
//! other.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::driving::Driving;
use super::news::{News, TurnNews};
use super::run::{Run, after_panic};
use super::turn::Turn;
use super::{Account, Shared};
use crate::clock::time_until;
use crate::outcome::Outcome;
use crate::store::{ClaimRequest, Progress, Runner, Save, Standing, StoreError, StoredTurn, Tally};

/// How often to look for turns that nobody woke anybody for, such as dead
/// letters that another process retried.
const WATCH_EVERY: Duration = Duration::from_secs(2);
/// The most turns that are claimed at once.
const LARGEST_CLAIM: usize = 64;

/// Drives one account. All of an organization's accounts share its pace.
pub(super) struct Driver {
    pub(super) shared: Arc<Shared>,
    pub(super) account: Arc<Account>,
    pub(super) turns: TaskTracker,
    /// What the turns are run under.
    pub(super) driving: Arc<Driving>,
}

impl Driver {
    /// Claims turns until it is told to claim no more.
    pub(super) async fn drive(self) {
        let stop = self.driving.claim_no_more.clone();
        while stop.run_until_cancelled(self.claim()).await.is_some() {}
    }

    /// Starts the turns that are due, or waits until there may be one.
    async fn claim(&self) {
        let permits = &self.account.turn_permits;
        // Never closed, so this only ever waits for one to be free.
        drop(permits.acquire().await);
        // Interest first: what is journaled after the claim wakes us.
        let woken = self.account.wake.notified();
        let limit = permits.available_permits().min(LARGEST_CLAIM);
        let now = self.shared.clock.now();
        let request = ClaimRequest {
            account: self.account.name.clone(),
            runner: self.driving.runner,
            running: self.shared.running.ids(),
            letting_go: self.driving.letting_go(),
            lost: false,
            limit,
            now,
            answer_deadline: self.account.policy.answer_deadline,
        };
        let wait = match self.shared.store.claim(request).await {
            Ok(claimed) => {
                let found = claimed.turns.len();
                for (stored, standing) in claimed.turns {
                    self.start(stored, standing);
                }
                if found == limit {
                    return;
                }
                claimed
                    .next_due_at
                    .map_or(WATCH_EVERY, |at| time_until(at, now.at).min(WATCH_EVERY))
            }
            Err(error) => {
                tracing::error!(account = %self.account.name, %error, "no turn could be claimed; trying again");
                WATCH_EVERY
            }
        };
        // It only fails by running out of time, which is the point.
        let _: Result<(), _> =
            tokio::time::timeout(wait.max(Duration::from_millis(1)), woken).await;
    }

    fn start(&self, stored: StoredTurn, standing: Standing) {
        // Claimed as many as there are permits for, and nobody else takes any.
        let permit = self.account.turn_permits.clone().try_acquire_owned();
        let span = tracing::info_span!(
            "turn",
            account = %stored.account, conversation_id = %stored.conversation_id, turn_id = %stored.id
        );
        let (shared, account) = (self.shared.clone(), self.account.clone());
        let driving = self.driving.clone();
        // Before the next claim, not only once the task is at its turn.
        let running = shared.running.enter(&stored);
        let work = async move {
            Box::pin(run_to_end(shared, &account, stored, standing, driving)).await;
            drop((permit, running));
            account.wake.notify_one();
        };
        let work = self.driving.turns.track_future(work.instrument(span));
        self.turns.spawn(work);
    }
}

/// Runs a turn, whatever comes of it.
async fn run_to_end(
    shared: Arc<Shared>,
    account: &Arc<Account>,
    stored: StoredTurn,
    standing: Standing,
    driving: Arc<Driving>,
) {
    tracing::debug!(messages = stored.messages.len(), "the turn runs");
    let unfinished = Unfinished::of(&shared, account, &stored, driving.runner);
    let news = TurnNews::of(&stored);
    if stored.state.is_none() {
        shared.newsroom.tell(News::Turn(news.clone()));
    }
    let run = match Turn::restore(stored) {
        Ok(turn) => Run::new(
            shared.clone(),
            account.clone(),
            turn,
            standing,
            driving.clone(),
            news,
        ),
        Err(what) => {
            let error = format!("its stored row can't be read: {what}");
            tracing::error!(error, "the turn is a dead letter: a person must look");
            let outcome = Outcome::Dead(error);
            let progress = Progress::Ended {
                outcome: outcome.clone(),
                may_have_written: true,
                state: String::new(),
                tally: Tally::default(),
            };
            if unfinished.save(progress).await {
                shared.metrics.turn(&account.name, &outcome, Duration::ZERO);
                let news = news.ended(&outcome, shared.clock.now().at);
                shared.newsroom.tell(News::Turn(news));
            }
            return;
        }
    };
    let running = driving.only_while_held(&*shared.clock, Box::pin(run.run()));
    let running = AssertUnwindSafe(running).catch_unwind();
    if let Some(Err(_panic)) = driving.let_go.run_until_cancelled(running).await {
        tracing::error!("the turn panicked; please report this");
        unfinished.save(after_panic(shared.clock.now().at)).await;
    }
}

/// What it takes to store a turn that can't do so itself.
struct Unfinished {
    shared: Arc<Shared>,
    save: Save,
}

impl Unfinished {
    fn of(shared: &Arc<Shared>, account: &Account, stored: &StoredTurn, runner: Runner) -> Self {
        let now = shared.clock.now();
        let save = Save {
            turn_id: stored.id,
            account: stored.account.clone(),
            conversation_id: stored.conversation_id.clone(),
            bot: account.bot.clone(),
            runner,
            now,
            learnt: Vec::new(),
            progress: after_panic(now.at),
            trace: None,
            lasting: false,
        };
        Self {
            shared: shared.clone(),
            save,
        }
    }

    /// True if it is stored. Else the next start of the relay takes the turn up.
    async fn save(mut self, progress: Progress) -> bool {
        self.save.progress = progress;
        self.save.now = self.shared.clock.now();
        loop {
            match self.shared.store.save(self.save.clone()).await {
                Ok(_) => return true,
                Err(StoreError::NotRunning) => return false,
                Err(error) => {
                    tracing::error!(%error, "a turn could not be stored; trying again");
                    tokio::time::sleep(WATCH_EVERY).await;
                }
            }
        }
    }
}
