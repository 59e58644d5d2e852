//! Waits for the right to call Gladly, with all that belongs to the call.

use std::time::Duration;

use tokio::time::Instant;

use super::Run;
use crate::clock::time_until;
use crate::gladly::{Admission, Ask, Effort, GladlyError, Permit, Precedence};
use crate::relay::turn::{Happened, Step};

impl Run {
    /// The right to make a call: one that was granted together with the last, or
    /// one that is waited for with all that belongs to it.
    pub(super) async fn permit(&mut self, calls: u32) -> Result<Permit, Happened> {
        loop {
            if let Some(permit) = self.permits.take()
                && !self.account.gladly.is_locked_out()
            {
                return Ok(permit);
            }
            if self.turn.may_be_given_up() {
                // Counted in the queue while it waits there.
                self.engaged.set(0);
            }
            let waited = self.in_time(self.wait_for(calls)).await;
            self.engaged.set(self.turn.calls_left(&self.account.policy));
            self.permits = match waited {
                None => return Err(Happened::DeadlinePassed),
                Some(Ok(Admission::TooLate)) => return Err(Happened::TooLate),
                Some(Err(error)) => return Err(Happened::Failed(error)),
                Some(Ok(Admission::Granted(permits))) => permits,
            };
        }
    }

    /// Waits for calls. A handoff's become urgent while it waits, as its deadline
    /// comes near; once that has passed, they wait for those who can still be in time,
    /// as do those of what was heard of too late.
    async fn wait_for(&self, calls: u32) -> Result<Admission, GladlyError> {
        let gladly = &self.account.gladly;
        let now = self.shared.clock.now().at;
        let left = time_until(self.turn.deadline_at(), now);
        let ask = self.ask_for(calls, left);
        let late = Ask {
            precedence: Precedence::Late,
            ..ask
        };
        if self.turn.waits_overdue() {
            return gladly.permits(late).await;
        }
        let Some(calm_for) = self.turn.calm_for(now) else {
            return gladly.permits(ask).await;
        };
        let hurry_for = left.saturating_sub(calm_for);
        for (precedence, time) in [(ask.precedence, calm_for), (Precedence::Urgent, hurry_for)] {
            // Even a timeout of nothing would take a place before others.
            if !time.is_zero() {
                let permits = gladly.permits(Ask { precedence, ..ask });
                if let Ok(permits) = tokio::time::timeout(time, permits).await {
                    return permits;
                }
            }
        }
        // It delays nobody any more.
        self.engaged.set(0);
        gladly.permits(late).await
    }

    fn ask_for(&self, calls: u32, left: Duration) -> Ask {
        let now = Instant::now();
        let deadline = now + left;
        let effort = || {
            let calls = self.turn.calls_left(&self.account.policy);
            Effort::before(deadline, calls, self.account.thinking.longish(), now)
        };
        Ask {
            calls,
            effort: self.turn.may_be_given_up().then(effort),
            ..Ask::one(self.precedence(), deadline)
        }
    }

    fn precedence(&self) -> Precedence {
        match self.turn.step() {
            Step::Gather => Precedence::Fetch,
            Step::Deliver => Precedence::Reply,
            Step::Ask | Step::HandOff => Precedence::Settle,
        }
    }
}
