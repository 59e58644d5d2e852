//! What answers teach: the span and the share.

use std::time::Duration;

use tokio::time::Instant;

use super::{LONGEST_SPAN, SECOND, Start, Window};

/// The span is never shorter.
pub(super) const SHORTEST_SPAN: Duration = Duration::from_millis(1_003);
/// Down to here it shrinks quickly after a start.
const SETTLED_SPAN: Duration = Duration::from_millis(1_030);
/// How much it shrinks after a second's worth of calls without a refusal, how
/// little of that as it nears the span that was last refused, and how much it grows
/// at a refusal: in a model of three kinds of limiters these leave less than one
/// refusal in a hundred.
const SHRINKS_BY: Duration = Duration::from_millis(1);
const SHRINKS_NEAR_BY: Duration = Duration::from_micros(250);
const IS_NEAR: Duration = Duration::from_millis(8);
pub(super) const GROWS_BY: Duration = Duration::from_millis(20);
/// Two 429s within this time are not by chance: others use the limit too. Where
/// Gladly tells what is left, that tells of others, but for what is refused at once.
const NOT_BY_CHANCE: Duration = Duration::from_secs(20);
const NOT_BY_CHANCE_WHERE_TOLD: Duration = Duration::from_secs(6);
/// After this long the share takes one call of what Gladly said was left all the
/// time. Twice as long after each call that was refused, up to eight times.
pub(super) const LEFT_FOR: Duration = Duration::from_secs(4);
const LONGEST_LEFT_FOR: Duration = Duration::from_secs(32);
/// The share keeps a call that was not refused within this time.
const TRIED_FOR: Duration = Duration::from_secs(10);
/// Where Gladly doesn't tell what is left: after this long without a refusal the
/// share tries one call more.
const TRIES_AFTER: Duration = Duration::from_secs(30);
/// So many answers in a row that left nothing agree on what others use: fewer are
/// misled by calls that bunched up, more cost refusals before anything is learnt.
const AGREE: usize = 8;
const AGREE_AT_FIRST: usize = 3;
/// How long the first 429 in a row stops all calls, unless it says.
pub(super) const FIRST_STOP: Duration = Duration::from_millis(60);
/// The longest that a 429 stops all calls.
pub(super) const LONGEST_STOP: Duration = Duration::from_mins(1);

/// How often something was left.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Left {
    since: Option<Instant>,
    answers: u32,
    /// Those that left something.
    something: u32,
}

impl Left {
    /// Counts an answer, and tells since when they are counted.
    fn count(&mut self, left: bool, now: Instant) -> Instant {
        self.answers += 1;
        self.something += u32::from(left);
        *self.since.get_or_insert(now)
    }

    /// Whether something was left all the time, but for calls that bunched up.
    const fn is_left(self) -> bool {
        self.something * 20 >= self.answers * 19
    }
}

impl Window {
    /// Learns from the headers of an answer that was not a 429.
    pub fn observe(
        &mut self,
        limit: Option<u32>,
        remaining: Option<u32>,
        sent_at: Instant,
        now: Instant,
    ) {
        if self.follow.is_none() {
            self.learn_follow(now.saturating_duration_since(sent_at));
        }
        self.throttled_in_a_row = 0;
        self.accepted_in_a_row = self.accepted_in_a_row.saturating_add(1);
        if self.accepted_in_a_row >= self.allowed() {
            self.accepted_in_a_row = 0;
            self.close_in();
        }
        self.seen_limit = limit.or(self.seen_limit);
        self.tells_what_is_left |= remaining.is_some();
        let used = remaining.map(|remaining| self.allowed().saturating_sub(remaining));
        let ours = self.ours_before(sent_at);
        let others = used.map_or(0, |used| used.saturating_sub(ours));
        self.told = others;
        self.count_what_was_used_before(others, now);
        if remaining == Some(0) {
            self.agree(others);
        }
        let left = f64::from(remaining.unwrap_or(0)) > self.slack();
        let since = self.left.count(left, now);
        if !is_within(self.left_for, Some(since), now) {
            let left = std::mem::take(&mut self.left);
            self.take_back(left.is_left(), now);
        }
    }

    /// How much a bucket has left because the span is longer than a second.
    fn slack(&self) -> f64 {
        let longer = self.span.saturating_sub(SECOND).as_secs_f64();
        f64::from(self.allowed()) * longer * LEFT_FOR.as_secs_f64()
    }

    /// Quickly at first, once connections are made.
    fn close_in(&mut self) {
        self.is_new &= self.span > SETTLED_SPAN;
        let is_near = self.span < self.refused_span + IS_NEAR;
        let by = match (self.is_new, is_near) {
            (true, _) => GROWS_BY,
            (false, false) => SHRINKS_BY,
            (false, true) => SHRINKS_NEAR_BY,
        };
        self.span = self.span.saturating_sub(by).max(SHORTEST_SPAN);
    }

    /// The first answer tells what an earlier process has just used.
    fn count_what_was_used_before(&mut self, others: u32, now: Instant) {
        if matches!(self.start, Start::Asked(_)) {
            for _ in 0..others {
                self.put(now, now, 0);
            }
            self.start = Start::Known;
        }
    }

    /// Our calls of the second that ended with this one.
    fn ours_before(&self, sent_at: Instant) -> u32 {
        let end = self.sent.partition_point(|(sent, _)| *sent <= sent_at);
        let first = self
            .sent
            .partition_point(|(sent, _)| *sent + SECOND <= sent_at);
        u32::try_from(end.saturating_sub(first)).unwrap_or(u32::MAX)
    }

    /// Others use at least what the last answers that left nothing agree on.
    fn agree(&mut self, others: u32) {
        self.used_by_others.push_back(others);
        let enough = if self.is_new { AGREE_AT_FIRST } else { AGREE };
        if self.used_by_others.len() >= enough {
            let least = self.used_by_others.iter().min().copied();
            self.raise_others(least.unwrap_or_default());
            self.used_by_others.pop_front();
        }
    }

    fn raise_others(&mut self, others: u32) {
        let most = self.allowed().saturating_sub(1);
        self.others = self.others.max(others).min(most);
    }

    /// Others don't use what was left for so long; or not any more, perhaps.
    fn take_back(&mut self, is_left: bool, now: Instant) {
        let tries = !self.tells_what_is_left && !is_within(TRIES_AFTER, self.refused_at, now);
        if self.others == 0 || !(is_left || tries) {
            return;
        }
        // The last one was not refused.
        if self.took_at.is_some() && !is_within(TRIED_FOR, self.took_at, now) {
            self.left_for = LEFT_FOR;
        }
        self.others -= 1;
        self.used_by_others.clear();
        self.took_at = Some(now);
        if tries {
            self.refused_at = Some(now);
        }
    }

    /// Stops all calls after a 429, the longer the more of them come in a row.
    /// `jitter` is from 0 to 1.
    pub fn throttle(
        &mut self,
        retry_after: Option<Duration>,
        jitter: f64,
        sent_at: Instant,
        now: Instant,
    ) {
        // Refused at once: an earlier process has just used all of it.
        let all = self.allowed().saturating_sub(self.ours_before(sent_at));
        self.count_what_was_used_before(all, now);
        // Calls that were under way when the first was refused tell nothing new.
        let stopped = self.stopped_until.is_some_and(|until| now < until);
        if !stopped {
            self.throttled_in_a_row = self.throttled_in_a_row.saturating_add(1);
            self.accepted_in_a_row = 0;
            self.draw_back(sent_at, now);
        }
        self.left = Left::default();
        let doublings = self.throttled_in_a_row.saturating_sub(1).min(8);
        let doubled = FIRST_STOP * 2_u32.pow(doublings);
        let stop = retry_after
            .unwrap_or(doubled)
            .clamp(FIRST_STOP, LONGEST_STOP);
        let until = now + stop.mul_f64(1.0 + jitter / 4.0);
        self.stopped_until = Some(
            self.stopped_until
                .map_or(until, |stopped| stopped.max(until)),
        );
    }

    /// A refusal may come of calls that bunched up, or of other clients. Where far
    /// fewer than the limit were ours, the rest is theirs at once.
    fn draw_back(&mut self, sent_at: Instant, now: Instant) {
        if is_within(TRIED_FOR, self.took_at, now) {
            self.took_at = None;
            self.left_for = (self.left_for * 2).min(LONGEST_LEFT_FOR);
        }
        // The refused call itself is among them.
        let ours = self.ours_before(sent_at).saturating_sub(1);
        let theirs = self.allowed().saturating_sub(ours);
        let before = self.others;
        let by_chance = if self.tells_what_is_left {
            self.agree(theirs);
            NOT_BY_CHANCE_WHERE_TOLD
        } else {
            NOT_BY_CHANCE
        };
        let again = is_within(by_chance, self.refused_at.replace(now), now);
        // One that is missing may have bunched up with the second before.
        let told_of_more = !self.tells_what_is_left || theirs > 1;
        if again && told_of_more && self.others == before {
            self.raise_others(self.others + 1);
        }
        if self.others == before {
            self.is_new = false;
            self.refused_span = self.span;
            self.span = (self.span + GROWS_BY).min(LONGEST_SPAN);
        }
        // What the answer before told of them is theirs at once, but for one, as above.
        let told = Some(theirs.min(self.told)).filter(|told| *told > 1);
        let sure = theirs.saturating_sub(2).max(told.unwrap_or_default());
        self.raise_others(sure.min(self.allowed() / 2));
    }
}

/// Whether this happened so short a time ago.
fn is_within(time: Duration, at: Option<Instant>, now: Instant) -> bool {
    at.is_some_and(|at| now.saturating_duration_since(at) < time)
}
