//! Calls to Gladly that failed: when to try again, and when to give up.

use std::time::Duration;

use jiff::Timestamp;

use super::{Context, Happened, Purpose, Step, Turn};
use crate::clock::{later, time_until};
use crate::gladly::{GladlyError, Refusal};
use crate::outcome::Outcome;
use crate::relay::policy::wait_after;

/// How long a turn keeps trying while Gladly fails, from the first failure in a row.
const GIVE_UP_AFTER: Duration = Duration::from_hours(24);
/// How often in a row Gladly may refuse a look or the move, once the deadline
/// has passed, until no human can be given.
pub(super) const MOST_REFUSALS: u32 = 6;
/// How many merges one after the other a turn follows: Gladly may contradict itself.
const MOST_MERGES: u32 = 8;
/// Past the deadline, or this near to it, nobody waits longer for what Gladly
/// asked to wait.
pub(super) const NEAR: Duration = Duration::from_secs(15);

impl Turn {
    /// A call came through: whatever failed in a row has ended.
    pub(super) fn succeed(&mut self) {
        self.state.failures = 0;
        self.state.failing_since = None;
    }

    /// What every failed call has in common; true if that is all there is to do.
    /// Else Gladly has refused this call for good.
    pub(super) fn wait_out(&mut self, error: &GladlyError, context: &Context<'_>) -> bool {
        match error {
            GladlyError::RetryLater { after, .. } => {
                self.fail(*after, &error.to_string(), context);
            }
            // No failure of this turn, and no reason to ever give it up.
            GladlyError::Unauthorised { after, .. } => {
                self.wait = Some((later(context.now.at, *after), error.to_string()));
            }
            // The facts have grown old: what is next begins with a look.
            GladlyError::Stale { .. } => {}
            GladlyError::Moved { to, .. }
                if to != self.target(context.standing) && self.state.merges < MOST_MERGES =>
            {
                self.state.merges += 1;
                self.merged_into = Some(to.clone());
            }
            GladlyError::Moved { .. }
            | GladlyError::NotFound { .. }
            | GladlyError::Refused { .. } => return false,
        }
        true
    }

    /// Waits the longer the more often it failed in a row; gives up after a day.
    pub(super) fn fail(&mut self, after: Option<Duration>, why: &str, context: &Context<'_>) {
        let now = context.now.at;
        let since = *self.state.failing_since.get_or_insert(now);
        if time_until(now, since) >= GIVE_UP_AFTER {
            self.finish(Outcome::Dead(format!("gave up: {why}")));
            return;
        }
        let left = time_until(self.deadline_at, now).max(NEAR);
        let after = after.map(|after| after.min(left));
        let wait = wait_after(context.policy, self.state.failures, after, context.random);
        self.state.failures += 1;
        self.wait = Some((later(now, wait), why.to_owned()));
    }

    /// Gladly refused a look or the move, so often by now. Tried again until the deadline, and a
    /// few times in any case; then no human can be given.
    pub(super) fn refuse(&mut self, error: &GladlyError, refusals: u32, context: &Context<'_>) {
        let now = context.now.at;
        let late = now >= self.deadline_at || self.deadline_passed;
        if late && self.state.step == Step::HandOff && refusals >= MOST_REFUSALS {
            self.finish(Outcome::Dead(error.to_string()));
            return;
        }
        let wait = wait_after(context.policy, refusals, None, context.random);
        self.wait = Some((later(now, wait), error.to_string()));
    }

    /// When to go on instead of at `until`: at the deadline if that comes first,
    /// and at that of the next message, which a stuck turn must not hold.
    pub(super) fn bounded(&self, until: Timestamp, context: &Context<'_>) -> Timestamp {
        let next = context.standing.next_deadline_at;
        let deadlines = [Some(self.deadline_at), next];
        let ahead = deadlines
            .into_iter()
            .flatten()
            .filter(|at| *at > context.now.at);
        ahead.fold(until, Timestamp::min)
    }

    /// Whether the next message is held past its own deadline.
    pub(super) fn holds_the_next(context: &Context<'_>) -> bool {
        let next = context.standing.next_deadline_at;
        next.is_some_and(|deadline| context.now.at >= deadline)
    }

    pub(super) fn look_failed(&mut self, error: &GladlyError, context: &Context<'_>) {
        self.state.failing_looks = true;
        if !self.wait_out(error, context) {
            self.state.refused_looks += 1;
            self.refuse(error, self.state.refused_looks, context);
        }
        let says_nothing = matches!(
            error,
            GladlyError::Unauthorised { .. } | GladlyError::Stale { .. }
        );
        if !says_nothing && self.merged_into.is_none() {
            self.state.failed_looks += 1;
            self.move_unseen_if_due(context);
        }
    }

    /// Looks came through one after the other, and it is not clear yet: as good as a
    /// look that failed.
    pub(super) fn look_told_nothing(&mut self, context: &Context<'_>) {
        const WHY: &str = "what Gladly shows and tells contradicts itself";
        self.looks_in_a_row = 0;
        self.state.failing_looks = true;
        self.fail(None, WHY, context);
        self.state.failed_looks += 1;
        self.move_unseen_if_due(context);
    }

    pub(super) fn list_failed(
        &mut self,
        purpose: Purpose,
        error: &GladlyError,
        context: &Context<'_>,
    ) {
        self.state.failing_looks = false;
        if let Purpose::Search(index) = purpose {
            return self.search_failed(index, error, context);
        }
        if self.wait_out(error, context) {
            return;
        }
        if purpose == Purpose::Fetch {
            // One by one, then.
            self.state.listed = true;
        } else {
            self.state.refused_looks += 1;
            self.refuse(error, self.state.refused_looks, context);
        }
    }

    pub(super) fn is_closed(error: &GladlyError) -> bool {
        matches!(
            error,
            GladlyError::Refused {
                refusal: Refusal::Closed,
                ..
            }
        )
    }
}

impl Happened {
    /// How much text it brings, in bytes: much of it is not looked at where
    /// others wait.
    pub fn weight(&self) -> usize {
        match self {
            Self::Fetched(item) => item.content.text.len(),
            Self::Listed(listed) => {
                let texts = listed.items.iter().map(|item| item.content.text.len());
                texts.sum()
            }
            Self::Answered(answer) => answer.text.as_ref().map_or(0, String::len),
            _ => 0,
        }
    }
}
