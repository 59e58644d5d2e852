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

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The span at a start, when connections are still to be made.
const FIRST_SPAN: Duration = Duration::from_millis(1_070);
/// Down to here it shrinks quickly after a start.
const SETTLED_SPAN: Duration = Duration::from_millis(1_030);
/// The span stays between these.
pub(super) const SHORTEST_SPAN: Duration = Duration::from_millis(1_003);
const LONGEST_SPAN: Duration = Duration::from_millis(1_300);
/// How much it shrinks after a second's worth of calls without a refusal, and how
/// much it grows at one: in a model of three kinds of limiters these leave less
/// than one refusal in a hundred.
const SHRINKS_BY: Duration = Duration::from_millis(1);
pub(super) const GROWS_BY: Duration = Duration::from_millis(20);
/// Two 429s within this time are not by chance: others use the limit too.
const NOT_BY_CHANCE: Duration = Duration::from_secs(20);
/// After this long the share takes back what Gladly said was left all the time.
const LEFT_FOR: Duration = Duration::from_secs(4);
/// After this long without a refusal the share tries one call more.
const TRIES_AFTER: Duration = Duration::from_secs(30);
/// What Gladly counts over.
const SECOND: Duration = Duration::from_secs(1);
/// So many answers in a row that left nothing agree on what others use.
const AGREE: usize = 8;
/// How long the first 429 in a row stops all calls, unless it says.
pub(super) const FIRST_STOP: Duration = Duration::from_millis(60);
/// How often an urgent call passes a stop.
const URGENT_EVERY: Duration = Duration::from_secs(1);
/// The longest that a 429 stops all calls.
pub(super) const LONGEST_STOP: Duration = Duration::from_mins(1);
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
    /// The least that Gladly said was left of a second, and since when.
    least_left: Option<(u32, Instant)>,
    refused_at: Option<Instant>,
    stopped_until: Option<Instant>,
    /// When an urgent call last passed a stop.
    passed_at: Option<Instant>,
    throttled_in_a_row: u32,
}

impl Window {
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
            least_left: None,
            refused_at: None,
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
        let used = remaining.map(|remaining| self.allowed().saturating_sub(remaining));
        let ours = self.ours_before(sent_at);
        let others = used.map_or(0, |used| used.saturating_sub(ours));
        self.count_what_was_used_before(others, now);
        if remaining == Some(0) {
            self.agree(others);
        }
        let (least, since) = self.least_left.unwrap_or((u32::MAX, now));
        let least = least.min(remaining.unwrap_or(0));
        self.least_left = Some((least, since));
        if now.saturating_duration_since(since) >= LEFT_FOR {
            self.least_left = None;
            self.take_back(least, now);
        }
    }

    /// Quickly at first, once connections are made.
    fn close_in(&mut self) {
        self.is_new &= self.span > SETTLED_SPAN;
        let by = if self.is_new { GROWS_BY } else { SHRINKS_BY };
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
        if self.used_by_others.len() >= AGREE {
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
    fn take_back(&mut self, least_left: u32, now: Instant) {
        let calm = self
            .refused_at
            .is_none_or(|at| now.saturating_duration_since(at) >= TRIES_AFTER);
        if least_left > 0 {
            self.others = self.others.saturating_sub(least_left);
            self.used_by_others.clear();
        } else if calm && self.others > 0 {
            self.others -= 1;
            self.used_by_others.clear();
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
        self.least_left = Some((0, now));
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

    /// One refusal may come of calls that bunched up; two of other clients. Where
    /// far fewer than the limit were ours, the rest is theirs at once.
    fn draw_back(&mut self, sent_at: Instant, now: Instant) {
        let again = self
            .refused_at
            .replace(now)
            .is_some_and(|at| now.saturating_duration_since(at) < NOT_BY_CHANCE);
        // The refused call itself is among them.
        let ours = self.ours_before(sent_at).saturating_sub(1);
        let theirs = self.allowed().saturating_sub(ours);
        if again {
            self.raise_others(self.others + 1);
        } else {
            self.span = (self.span + GROWS_BY).min(LONGEST_SPAN);
        }
        self.raise_others(theirs.saturating_sub(2).min(self.allowed() / 2));
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
    fn allowed(&self) -> u32 {
        self.seen_limit
            .map_or(self.limit, |seen| self.limit.min(seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A window that knows what went before.
    fn begun(limit: u32) -> Window {
        let mut window = Window::new(limit);
        window.start = Start::Known;
        window
    }

    /// Asks for groups of calls as fast as it may for `span`, and returns when
    /// each call went.
    fn greedy(window: &mut Window, calls: u32, start: Instant, span: Duration) -> Vec<Instant> {
        let (mut now, mut sent) = (start, Vec::new());
        while now < start + span {
            match window.admit(calls, now) {
                Ok(slots) => sent.extend(slots.iter().map(|slot| slot.at)),
                Err(next) => now = next,
            }
        }
        sent.sort_unstable();
        sent
    }

    fn most_in_a_second(sent: &[Instant]) -> usize {
        let within = |(index, first): (usize, &Instant)| {
            let later = sent[index..].iter();
            later.take_while(|at| **at - *first < SECOND).count()
        };
        sent.iter().enumerate().map(within).max().unwrap()
    }

    #[test]
    fn no_second_ever_holds_more_than_the_limit_and_hardly_less() {
        for limit in [2, 10, 37, 1000] {
            for calls in [1, 2] {
                let start = Instant::now();
                let mut window = begun(limit);
                for _ in 0..200 * limit {
                    window.observe(None, None, start, start);
                }
                let sent = greedy(&mut window, calls, start, Duration::from_secs(20));
                let most = most_in_a_second(&sent);
                assert!(
                    most <= limit as usize,
                    "{most} calls in a second of {limit}"
                );
                let used = sent.len() * 100 / (20 * limit as usize);
                assert!(used >= 97, "the rate is used: {used} %");
            }
        }
    }

    #[test]
    fn what_belongs_together_is_admitted_together_or_not_at_all() {
        let (mut window, start) = (begun(3), Instant::now());
        assert_eq!(window.admit(2, start).unwrap().len(), 2);
        let next = window.admit(2, start).unwrap_err();
        assert!(next > start);
        assert_eq!(window.admit(1, start).unwrap().len(), 1);
        let slots = window.admit(2, start + 2 * SECOND).unwrap();
        assert_eq!(slots[1].at, slots[0].at, "nobody knows how long it takes");
        let all = window.admit(9, start + 4 * SECOND).unwrap();
        assert_eq!(all.len(), 3, "more than the limit never fit");
    }

    #[test]
    fn a_call_that_is_not_made_leaves_its_room_to_others() {
        let (mut window, start) = (begun(2), Instant::now());
        let slots = window.admit(2, start).unwrap();
        assert!(window.admit(1, start).is_err());
        window.give_back(slots[1]);
        assert!(window.admit(1, start).is_ok());
    }

    #[test]
    fn a_call_counts_from_when_it_goes() {
        let (mut window, start) = (begun(2), Instant::now());
        let slots = window.admit(2, start).unwrap();
        let late = start + Duration::from_millis(300);
        window.spend(slots[1], late);
        let next = start + FIRST_SPAN;
        assert!(window.admit(1, next).is_ok());
        assert_eq!(window.admit(1, next), Err(late + FIRST_SPAN));
        let slots = window.admit(2, start + 4 * SECOND).unwrap();
        let follows = slots[1].at - slots[0].at;
        assert_eq!(follows, late - start, "and the next are expected so");
    }

    #[test]
    fn after_a_start_the_first_answer_tells_what_was_used_before() {
        let (mut window, start) = (Window::new(10), Instant::now());
        assert!(window.admit(1, start).is_ok());
        assert_eq!(window.admit(1, start), Err(start + SECOND), "one asks");
        window.observe(Some(10), Some(3), start, start);
        for _ in 0..3 {
            assert!(window.admit(1, start).is_ok());
        }
        assert_eq!(window.admit(1, start), Err(start + FIRST_SPAN));
    }

    #[test]
    fn after_a_start_an_answer_that_tells_nothing_holds_nobody_up() {
        let (mut window, start) = (Window::new(10), Instant::now());
        assert!(window.admit(1, start).is_ok());
        window.observe(None, None, start, start);
        assert!(window.admit(1, start).is_ok());
    }

    #[test]
    fn the_span_closes_in_on_a_second_while_nothing_is_refused_and_draws_back() {
        let (mut window, start) = (begun(10), Instant::now());
        greedy(&mut window, 1, start, Duration::from_millis(1));
        for _ in 0..1_000 {
            window.observe(Some(10), Some(0), start, start);
        }
        assert_eq!(window.span, SHORTEST_SPAN);
        window.throttle(None, 0.0, start, start);
        assert_eq!(window.span, SHORTEST_SPAN + GROWS_BY);
        assert_eq!(window.share(), 10, "once may be chance");
    }

    #[test]
    fn its_share_shrinks_while_others_use_the_limit_and_recovers_after() {
        let (mut window, start) = (begun(10), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        for seconds in [0, 2, 4, 6] {
            greedy(&mut window, 1, at(seconds), Duration::from_millis(1));
            window.throttle(None, 0.0, at(seconds), at(seconds));
        }
        assert_eq!(window.share(), 7);
        window.observe(Some(10), Some(2), at(10), at(10));
        window.observe(Some(10), Some(2), at(14), at(14));
        assert_eq!(window.share(), 7, "not all of it was left all the time");
        window.observe(Some(10), Some(2), at(20), at(20));
        window.observe(Some(10), Some(2), at(24), at(24));
        assert_eq!(window.share(), 9);
        for seconds in [60, 64] {
            greedy(&mut window, 1, at(seconds), Duration::from_millis(1));
            window.observe(Some(10), Some(0), at(seconds), at(seconds));
        }
        assert_eq!(window.share(), 10, "after a while it tries");
    }

    #[test]
    fn a_429_stops_every_call_and_longer_each_time() {
        let (mut window, start) = (begun(10), Instant::now());
        let throttle = |window: &mut Window, after, now| window.throttle(after, 0.0, now, now);
        throttle(&mut window, None, start);
        assert_eq!(window.admit(1, start), Err(start + FIRST_STOP));
        throttle(&mut window, None, start);
        assert_eq!(
            window.admit(1, start),
            Err(start + FIRST_STOP),
            "the same burst"
        );
        let start = start + FIRST_STOP;
        throttle(&mut window, None, start);
        assert_eq!(window.admit(1, start), Err(start + 2 * FIRST_STOP));
        throttle(&mut window, Some(Duration::from_secs(7)), start);
        assert_eq!(window.admit(1, start), Err(start + Duration::from_secs(7)));
        throttle(&mut window, Some(Duration::from_hours(24)), start);
        assert_eq!(window.admit(1, start), Err(start + LONGEST_STOP));
        assert!(window.admit(1, start + LONGEST_STOP).is_ok());
    }

    #[test]
    fn an_urgent_call_passes_a_stop_once_a_second() {
        let (mut window, start) = (begun(10), Instant::now());
        window.throttle(Some(Duration::from_mins(1)), 0.0, start, start);
        assert!(window.admit_urgent(1, start).is_ok());
        let next = start + SECOND;
        assert_eq!(window.admit_urgent(1, start), Err(next));
        assert!(window.admit_urgent(1, next).is_ok());
        assert!(window.admit(1, next).is_err(), "others wait");
    }
}
