//! When the next calls may go, and what their answers teach. Pure: time and
//! chance come from outside.
//!
//! Two things are learnt, because no answer tells them. The *span*: as many calls
//! go within it as Gladly allows a second; it is longer than a second by as much
//! as calls bunch up on their way. The *share*: how many of them are ours, while
//! other clients of the organization use the rest. Both draw back at a 429 and
//! close in again while nothing is refused.
//!
//! Calls that belong together are admitted together. Only the first goes at
//! once: each of the others is counted for when it will probably go, and anew
//! when it does.

mod learn;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use learn::{LEFT_FOR, Left};

/// The span at a start, when connections are still to be made.
const FIRST_SPAN: Duration = Duration::from_millis(1_070);
/// The span is never longer.
const LONGEST_SPAN: Duration = Duration::from_millis(1_300);
/// What Gladly counts over.
const SECOND: Duration = Duration::from_secs(1);
/// How often an urgent call passes a stop.
const URGENT_EVERY: Duration = Duration::from_secs(1);
/// How long one call of several is assumed to follow the other at most.
const LONGEST_FOLLOW: Duration = Duration::from_millis(500);

/// The right to make one call, and when it counts as made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    at: Instant,
    id: u64,
    /// When its group was admitted, and how many of the group go before it.
    since: Instant,
    place: u32,
}

impl Slot {
    /// Whether it has not been used for so long that it counts for nothing.
    pub fn is_stale(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) >= SECOND
    }
}

/// What is known of the second before the first call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// Nothing: an earlier process may have used it up.
    Unknown,
    /// The first call went then, and its answer will tell.
    Asked(Instant),
    /// All that matters.
    Known,
}

/// Decides when the next calls may go.
#[derive(Debug)]
pub struct Window {
    limit: u32,
    /// The limit by Gladly's own word, if it has said.
    seen_limit: Option<u32>,
    /// Calls in the order of when they count, some of them to come.
    sent: VecDeque<(Instant, u64)>,
    count: u64,
    start: Start,
    /// As many calls as the limit allows a second go within this long.
    pub(super) span: Duration,
    /// The span has not closed in since the start.
    is_new: bool,
    /// How long one call of several follows the other, if that is known.
    follow: Option<Duration>,
    /// Answers in a row that were no refusals, since the span last changed.
    accepted_in_a_row: u32,
    /// How many calls of the limit are not ours.
    others: u32,
    /// What others used, by each of the last answers that left nothing.
    used_by_others: VecDeque<u32>,
    /// What others used, by the last answer.
    told: u32,
    /// Whether answers tell what is left.
    tells_what_is_left: bool,
    /// Answers since the share last changed or was thought about.
    left: Left,
    refused_at: Option<Instant>,
    /// How long something must have been left until the share takes a call more.
    left_for: Duration,
    /// When it last did.
    took_at: Option<Instant>,
    /// The span that was last refused.
    refused_span: Duration,
    stopped_until: Option<Instant>,
    /// When an urgent call last passed a stop.
    passed_at: Option<Instant>,
    throttled_in_a_row: u32,
}

impl Window {
    /// As at a start: somebody may have used up what was allowed.
    pub fn begin_anew(&mut self) {
        self.start = Start::Unknown;
    }

    /// For an organization that allows `limit` calls a second.
    pub fn new(limit: u32) -> Self {
        Self {
            limit,
            seen_limit: None,
            sent: VecDeque::new(),
            count: 0,
            start: Start::Unknown,
            span: FIRST_SPAN,
            is_new: true,
            follow: None,
            accepted_in_a_row: 0,
            others: 0,
            used_by_others: VecDeque::new(),
            told: 0,
            tells_what_is_left: false,
            left: Left::default(),
            refused_at: None,
            refused_span: Duration::ZERO,
            left_for: LEFT_FOR,
            took_at: None,
            stopped_until: None,
            passed_at: None,
            throttled_in_a_row: 0,
        }
    }

    /// Lets as many of these calls go as fit into one span at all, one after the
    /// other, and counts them; or says when to ask again.
    pub fn admit(&mut self, calls: u32, now: Instant) -> Result<Vec<Slot>, Instant> {
        if let Some(until) = self.stopped_until.filter(|until| now < *until) {
            return Err(until);
        }
        if let Start::Asked(at) = self.start
            && now < at + SECOND
        {
            return Err(at + SECOND);
        }
        // What is older than the longest span tells nothing any more.
        let old = |(at, _): &(Instant, u64)| *at + LONGEST_SPAN <= now;
        while self.sent.front().is_some_and(old) {
            self.sent.pop_front();
        }
        let slots = self.place(calls.clamp(1, self.share()), now)?;
        self.start = match self.start {
            Start::Unknown => Start::Asked(now),
            _ => Start::Known,
        };
        Ok(slots)
    }

    /// Whether a 429 stops all calls but urgent ones.
    pub fn is_stopped(&self, now: Instant) -> bool {
        self.stopped_until.is_some_and(|until| now < until)
    }

    /// As [`Window::admit`], for a call that passes a stop once a second.
    pub fn admit_urgent(&mut self, calls: u32, now: Instant) -> Result<Vec<Slot>, Instant> {
        let Some(until) = self.stopped_until.filter(|until| now < *until) else {
            return self.admit(calls, now);
        };
        match self.passed_at.map(|passed_at| passed_at + URGENT_EVERY) {
            Some(next) if now < next => Err(next.min(until)),
            _ => {
                self.passed_at = Some(now);
                Ok(vec![self.put(now, now, 0)])
            }
        }
    }

    fn place(&mut self, calls: u32, now: Instant) -> Result<Vec<Slot>, Instant> {
        let mut slots = Vec::new();
        for place in 0..calls {
            let later = self.follow.unwrap_or_default() * place;
            if let Err(next) = self.fits(now + later) {
                for slot in slots {
                    self.give_back(slot);
                }
                return Err(next - later);
            }
            slots.push(self.put(now + later, now, place));
        }
        Ok(slots)
    }

    /// Whether no span would hold more than our share with one more call at this
    /// time; else the earliest time that may do.
    fn fits(&self, at: Instant) -> Result<(), Instant> {
        let share = usize::try_from(self.share()).unwrap_or(usize::MAX);
        let index = self.sent.partition_point(|(sent, _)| *sent <= at);
        let full_until = index
            .checked_sub(share)
            .map(|first| self.sent[first].0 + self.span);
        if let Some(until) = full_until.filter(|until| at < *until) {
            return Err(until);
        }
        for later in index..self.sent.len() {
            let until = self.sent[later].0;
            // With one more call before it, the first of its span is this one.
            let first = match (later + 1).checked_sub(share) {
                None => continue,
                Some(first) if first < index => self.sent[first].0,
                Some(first) if first == index => at,
                Some(first) => self.sent[first - 1].0,
            };
            if until < first + self.span {
                return Err(until);
            }
        }
        Ok(())
    }

    fn put(&mut self, at: Instant, since: Instant, place: u32) -> Slot {
        let index = self.sent.partition_point(|(sent, _)| *sent <= at);
        let id = self.count;
        self.count += 1;
        self.sent.insert(index, (at, id));
        Slot {
            at,
            id,
            since,
            place,
        }
    }

    /// The call goes now.
    pub fn spend(&mut self, slot: Slot, now: Instant) {
        if slot.place > 0 {
            let took = now.saturating_duration_since(slot.since) / slot.place;
            self.learn_follow(took);
        }
        self.give_back(slot);
        self.put(now, slot.since, slot.place);
    }

    /// One call followed another after so long, or could have.
    fn learn_follow(&mut self, took: Duration) {
        let took = took.min(LONGEST_FOLLOW);
        let before = self.follow.unwrap_or(took);
        self.follow = Some((before * 7 + took) / 8);
    }

    /// The call will not be made.
    pub fn give_back(&mut self, slot: Slot) {
        let first = self.sent.partition_point(|(sent, _)| *sent < slot.at);
        let same = self.sent.range(first..);
        let index = same.take_while(|(sent, _)| *sent == slot.at);
        if let Some(index) = index.map(|(_, id)| id).position(|id| *id == slot.id) {
            self.sent.remove(first + index);
        }
    }

    /// How many calls of ours go within a span.
    pub fn share(&self) -> u32 {
        self.allowed().saturating_sub(self.others).max(1)
    }

    /// How many calls of ours go in a second.
    pub fn per_second(&self) -> f64 {
        f64::from(self.share()) / self.span.as_secs_f64()
    }

    /// Calls that all clients together may make a second.
    pub fn allowed(&self) -> u32 {
        self.seen_limit
            .map_or(self.limit, |seen| self.limit.min(seen))
    }
}
