//! Asks the bot, unless its breaker is open, and tells the breaker what came of it.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{LetGo, Run};
use crate::conversation::Whose;
use crate::gleen::{self, GleenError};
use crate::relay::breaker::Breaker;
use crate::relay::news::News;
use crate::relay::turn::{Happened, Question};

/// An answer that took so long is stored before the calls that it waits for: after a
/// crash nobody waits so long again, and the bot is not asked twice.
const WORTH_STORING: Duration = Duration::from_millis(50);
/// A healthy Gleen mostly answers within this time.
const LONG_ENOUGH: Duration = Duration::from_secs(10);

impl Run {
    /// Puts the question to the bot. That it is being asked is stored first, and
    /// what the store then knows decides whether it still may be.
    pub(super) async fn ask(&mut self, question: &Question) -> Result<Happened, LetGo> {
        let account = self.account.clone();
        let Some(permit) = self.in_time(account.question_permits.acquire()).await else {
            return Ok(Happened::DeadlinePassed);
        };
        // Never closed, so this only ever waits.
        let Ok(_permit) = permit else {
            return Ok(Happened::BreakerOpen);
        };
        if !self.breaker().admit(Instant::now()) {
            return Ok(Happened::BreakerOpen);
        }
        self.turn.begin_question(self.shared.clock.now());
        self.save_running(Vec::new(), false).await?;
        if !self.may_ask() {
            return Ok(Happened::NotMade);
        }
        let asked = gleen::Question {
            text: &question.text,
            thread_id: question.thread_id.as_ref(),
            locale: question.locale.as_deref(),
        };
        self.turn.begin_asking(self.shared.clock.now());
        let started = Instant::now();
        let answer = self.in_time(account.gleen.ask(asked)).await;
        if matches!(answer, Some(Ok(_))) {
            let took = started.elapsed();
            account.thinking.took(took);
            self.answer_unstored = took >= WORTH_STORING;
        }
        let happened = match answer {
            None => {
                // A question that had little time says nothing about Gleen's health.
                if started.elapsed() >= LONG_ENOUGH {
                    self.gleen_failed(&GleenError::Timeout);
                }
                return Ok(Happened::DeadlinePassed);
            }
            Some(Ok(answer)) => {
                self.gleen_answered();
                Happened::Answered(answer)
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "Gleen did not answer");
                self.gleen_failed(&error);
                Happened::GleenFailed(error)
            }
        };
        Ok(happened)
    }

    fn may_ask(&self) -> bool {
        let (facts, now) = (&self.standing.known.facts, self.shared.clock.now());
        self.turn.whose_to_ask(facts, &self.account.bot, now) == Whose::Bots
    }

    fn gleen_answered(&self) {
        if self.breaker().succeed() {
            self.shared.metrics.breaker(&self.account.name, false);
            self.tell_of_account();
            tracing::info!("Gleen answers again: the breaker is closed");
        }
    }

    fn gleen_failed(&self, error: &GleenError) {
        if matches!(
            error,
            GleenError::NotTaken {
                throttled: true,
                ..
            } | GleenError::MaybeUnknownThread(_)
        ) {
            return;
        }
        if self.breaker().fail(Instant::now()) {
            self.shared.metrics.breaker(&self.account.name, true);
            self.tell_of_account();
            tracing::error!(%error, "Gleen failed too often in a row: the breaker is open and humans get the conversations");
        }
    }

    fn tell_of_account(&self) {
        let news = News::Account(self.account.name.clone());
        self.shared.newsroom.tell(news);
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.account
            .breaker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
