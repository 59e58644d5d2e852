//! Stores where a turn is, for as long as it takes.

use std::time::Duration;

use super::{LetGo, Run};
use crate::clock::{later, time_until};
use crate::store::{Learnt, Progress, Save, StoreError};

/// How long between two tries to store something.
const STORE_AGAIN_AFTER: Duration = Duration::from_secs(1);

impl Run {
    pub(super) async fn put_off(mut self, until: jiff::Timestamp, why: &str) {
        let now = self.shared.clock.now().at;
        let in_ms = u64::try_from(time_until(until, now).as_millis()).unwrap_or(u64::MAX);
        let (step, failures) = (self.turn.step().as_str(), self.turn.failures());
        tracing::warn!(step, why, failures, in_ms, "the turn waits");
        let state = Some(self.turn.to_store());
        // Whoever could not be told any more finds the turn as it was.
        let _: Result<(), LetGo> = self
            .save(Vec::new(), Progress::PutOff { state, until }, false)
            .await;
    }

    pub(super) async fn save_running(
        &mut self,
        learnt: Vec<Learnt>,
        lasting: bool,
    ) -> Result<(), LetGo> {
        let (state, words) = self.turn.to_store();
        let progress = Progress::Running { state, words };
        self.save(learnt, progress, lasting).await
    }

    /// Stores where the turn is, for as long as it takes, and learns what is
    /// known of the conversation then.
    pub(super) async fn save(
        &mut self,
        more: Vec<Learnt>,
        progress: Progress,
        lasting: bool,
    ) -> Result<(), LetGo> {
        let mut learnt = self.turn.take_learnt();
        learnt.extend(more);
        let trace = self.turn.trace().to_store();
        loop {
            let turn = &self.turn;
            let (turn_id, conversation_id) = (turn.id(), turn.conversation_id().clone());
            let save = Save {
                turn_id,
                account: self.account.name.clone(),
                conversation_id,
                bot: self.account.bot.clone(),
                runner: self.driving.runner,
                now: self.shared.clock.now(),
                learnt: learnt.clone(),
                progress: progress.clone(),
                trace: Some(trace.clone()),
                lasting,
            };
            match self.shared.store.save(save).await {
                Ok(standing) => {
                    self.revision = standing.known.facts.revision();
                    self.standing = standing;
                    self.answer_unstored = false;
                    return Ok(());
                }
                Err(StoreError::NotRunning) => {
                    tracing::warn!("the turn is run elsewhere now; whoever has it goes on");
                    return Err(LetGo);
                }
                Err(error) => {
                    tracing::error!(%error, "the turn's progress could not be stored; trying again");
                }
            }
            let pause = tokio::time::sleep(STORE_AGAIN_AFTER);
            if self
                .driving
                .let_go
                .run_until_cancelled(pause)
                .await
                .is_none()
            {
                return Err(LetGo);
            }
        }
    }
}

/// How a turn that panicked is stored: as it was, to be tried again.
pub(in crate::relay) fn after_panic(now: jiff::Timestamp) -> Progress {
    Progress::PutOff {
        state: None,
        until: later(now, STORE_AGAIN_AFTER),
    }
}
