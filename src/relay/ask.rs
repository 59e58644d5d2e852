//! Ask: decide what to do about the messages, put the question to the bot,
//! judge its answer.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::breaker::Breaker;
use super::policy::{Decision, MAX_ASKS, Verdict, backoff, decide, judge};
use super::turn::{Flow, Stop, TurnRun};
use crate::clock::time_until;
use crate::gladly::Precedence;
use crate::gleen::{Answer, GleenError, Question};
use crate::id::ThreadId;
use crate::outcome::HandoffReason;
use crate::store::{Checkpoint, NewPart, PartKind, Step};
use crate::text::Channel;

/// A healthy Gleen mostly answers within this time.
const LONG_ENOUGH: Duration = Duration::from_secs(10);

impl TurnRun {
    pub(super) async fn ask(&mut self) -> Result<Flow, Stop> {
        self.refresh_known().await?;
        if self.needs_look() {
            self.look(Precedence::Settle).await?;
        }
        if let Err(reason) = self.whose() {
            return Ok(Flow::skipped(reason));
        }
        match decide(&self.account.policy, &self.contents(), &self.history) {
            Decision::Skip(reason) => Ok(Flow::skipped(reason)),
            Decision::HandOff(reason) => {
                self.begin_handoff(reason, None, None).await?;
                Ok(Flow::GoOn)
            }
            Decision::Ask {
                question, channel, ..
            } => {
                match self.ask_gleen(&question).await? {
                    Ok(answer) => self.take_answer(channel, answer).await?,
                    Err(reason) => self.begin_handoff(reason, None, None).await?,
                }
                Ok(Flow::GoOn)
            }
        }
    }

    /// The bot's answer, or why a human is needed instead.
    async fn ask_gleen(&mut self, question: &str) -> Result<Result<Answer, HandoffReason>, Stop> {
        let mut thread_id = self.known.thread_id.clone();
        let permits = &self.account.question_permits;
        // Never closed; and past the deadline nobody waits for it any more.
        let Ok(_permit) = self.in_time(permits.acquire()).await? else {
            return Ok(Err(HandoffReason::BotError));
        };
        let mut failures = 0;
        loop {
            if !self.breaker().admit(Instant::now()) {
                return Ok(Err(HandoffReason::BreakerOpen));
            }
            let mut answer = self.ask_once(question, thread_id.as_ref()).await?;
            if let (Err(GleenError::MaybeUnknownThread(_)), Some(_)) = (&answer, thread_id.take()) {
                answer = self.ask_once(question, None).await?;
            }
            let error = match answer {
                Ok(answer) => {
                    self.gleen_answered();
                    return Ok(Ok(answer));
                }
                Err(error) => error,
            };
            failures += 1;
            tracing::warn!(%error, failures, "Gleen did not answer");
            self.gleen_failed(&error);
            let wait = self.wait_before_asking_again(&error, failures);
            let left = time_until(self.turn.deadline_at, self.shared.clock.now());
            if !error.retry_is_safe() || failures >= MAX_ASKS || wait >= left {
                return Ok(Err(reason_for(&error)));
            }
            self.in_time(tokio::time::sleep(wait)).await?;
        }
    }

    /// Asks once, until the deadline at the longest. A question that had little
    /// time says nothing about Gleen's health.
    async fn ask_once(
        &self,
        question: &str,
        thread_id: Option<&ThreadId>,
    ) -> Result<Result<Answer, GleenError>, Stop> {
        let locale = self
            .known
            .locale
            .as_deref()
            .filter(|_| self.account.policy.detect_language);
        let question = Question {
            text: question,
            thread_id,
            locale,
        };
        let started = Instant::now();
        let answer = self.in_time(self.account.gleen.ask(question)).await;
        if answer.is_err() && started.elapsed() >= LONG_ENOUGH {
            self.gleen_failed(&GleenError::Timeout);
        }
        answer
    }

    async fn take_answer(&mut self, channel: Channel, answer: Answer) -> Result<(), Stop> {
        if let Some(thread_id) = answer.thread_id {
            self.checkpoint(Checkpoint::Thread(thread_id)).await?;
        }
        let text = answer.text.as_deref();
        match judge(&self.account.policy, channel, text, answer.wants_human) {
            Verdict::HandOff(reason) => {
                let detail = (reason == HandoffReason::ReplyRejected)
                    .then_some("The answer is too long for this channel.");
                self.begin_handoff(reason, text, detail).await
            }
            Verdict::Deliver(parts) => {
                let reply = |part: crate::text::Part| NewPart {
                    kind: PartKind::Reply,
                    body: part.body,
                    body_plain: part.body_plain,
                };
                let parts: Vec<NewPart> = parts.into_iter().map(reply).collect();
                let answer = text.unwrap_or_default().to_owned();
                self.checkpoint(Checkpoint::Answered {
                    answer: answer.clone(),
                    parts: parts.clone(),
                })
                .await?;
                self.add_parts(parts);
                self.turn.answer = Some(answer);
                self.turn.step = Step::Deliver;
                Ok(())
            }
        }
    }

    fn gleen_answered(&self) {
        if self.breaker().succeed() {
            self.shared.metrics.breaker(&self.account.name, false);
            tracing::info!("Gleen answers again: the breaker is closed");
        }
    }

    fn gleen_failed(&self, error: &GleenError) {
        if matches!(
            error,
            GleenError::NotTaken {
                throttled: true,
                ..
            }
        ) {
            return;
        }
        if self.breaker().fail(Instant::now()) {
            self.shared.metrics.breaker(&self.account.name, true);
            tracing::error!(%error, "Gleen failed too often in a row: the breaker is open and humans get the conversations");
        }
    }

    fn wait_before_asking_again(&self, error: &GleenError, failures: u32) -> Duration {
        let wanted = match error {
            GleenError::NotTaken { after, .. } => after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        backoff(&self.account.policy, failures - 1, fastrand::f64()).max(wanted)
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.account
            .breaker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn reason_for(error: &GleenError) -> HandoffReason {
    match error {
        GleenError::Timeout => HandoffReason::BotTimeout,
        GleenError::NotTaken { .. } | GleenError::MaybeUnknownThread(_) | GleenError::Failed(_) => {
            HandoffReason::BotError
        }
    }
}
