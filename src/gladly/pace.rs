//! The organization's rate: how many calls Gladly takes a second, which all of
//! its API clients share (Gladly API description, "Rate limiting").
//!
//! [`Window`] is the pure part and decides; [`Pace`] queues those who wait and
//! lets the most urgent through first: by rank, then by the nearest deadline.
//!
//! Two things are learnt, because no answer tells them. The *span*: as many calls
//! go within it as Gladly allows a second; it is longer than a second by as much
//! as calls bunch up on their way. The *share*: how many of them are ours, while
//! other clients of the organization use the rest. Both draw back at a 429 and
//! close in again while nothing is refused.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The span at a start, when nobody knows what an earlier process has just used.
const FIRST_SPAN: Duration = Duration::from_millis(1_030);
/// The span stays between these.
const SHORTEST_SPAN: Duration = Duration::from_millis(1_003);
const LONGEST_SPAN: Duration = Duration::from_millis(1_300);
/// How much it shrinks after a second's worth of calls without a refusal, and how
/// much it grows at one: in a model of three kinds of limiters these leave less
/// than one refusal in a hundred.
const SHRINKS_BY: Duration = Duration::from_millis(1);
const GROWS_BY: Duration = Duration::from_millis(20);
/// Two 429s within this time are not by chance: others use the limit too.
const NOT_BY_CHANCE: Duration = Duration::from_secs(20);
/// After this long the share takes back what Gladly said was left all the time.
const LEFT_FOR: Duration = Duration::from_secs(4);
/// After this long without a refusal the share tries one call more.
const TRIES_AFTER: Duration = Duration::from_secs(30);
/// How long the first 429 in a row stops all calls, unless it says.
const FIRST_STOP: Duration = Duration::from_millis(60);
/// How often an urgent call passes a stop.
const URGENT_EVERY: Duration = Duration::from_secs(1);
/// The longest that a 429 stops all calls.
const LONGEST_STOP: Duration = Duration::from_mins(1);

/// Which calls go first when there are more than the rate allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precedence {
    /// A handoff whose deadline is near or past. While a 429 stops all calls, one
    /// of these passes each second: a human is waited for.
    Urgent,
    /// A reply: its turn has done everything else, and the check that it may
    /// be sent is growing old.
    Reply,
    /// What ends a turn: the look before a reply, handoffs, looking for a lost reply.
    Settle,
    /// What begins one: fetching messages.
    Fetch,
}

/// Decides when the next call may go. Pure: time comes from outside.
#[derive(Debug)]
pub struct Window {
    limit: u32,
    /// The limit by Gladly's own word, if it has said.
    seen_limit: Option<u32>,
    sent: VecDeque<Instant>,
    /// As many calls as the limit allows a second go within this long.
    span: Duration,
    /// Answers in a row that were no refusals, since the span last changed.
    accepted_in_a_row: u32,
    /// How many calls of the limit are not ours.
    others: u32,
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
            span: FIRST_SPAN,
            accepted_in_a_row: 0,
            others: 0,
            least_left: None,
            refused_at: None,
            stopped_until: None,
            passed_at: None,
            throttled_in_a_row: 0,
        }
    }

    /// Lets one call go and counts it, or says when to ask again.
    pub fn admit(&mut self, now: Instant) -> Result<(), Instant> {
        if let Some(until) = self.stopped_until.filter(|until| now < *until) {
            return Err(until);
        }
        // What is older than the longest span tells nothing any more.
        while self
            .sent
            .front()
            .is_some_and(|sent| *sent + LONGEST_SPAN <= now)
        {
            self.sent.pop_front();
        }
        let capacity = self.share();
        // The call that has to leave the window before there is room again.
        let last_but_capacity = self.sent.len().checked_sub(capacity);
        let next = last_but_capacity.and_then(|index| self.sent.get(index));
        match next.map(|sent| *sent + self.span) {
            Some(next) if now < next => Err(next),
            _ => {
                self.sent.push_back(now);
                Ok(())
            }
        }
    }

    /// As [`Window::admit`], for a call that passes a stop once a second.
    pub fn admit_urgent(&mut self, now: Instant) -> Result<(), Instant> {
        let Some(until) = self.stopped_until.filter(|until| now < *until) else {
            return self.admit(now);
        };
        match self.passed_at.map(|passed_at| passed_at + URGENT_EVERY) {
            Some(next) if now < next => Err(next.min(until)),
            _ => {
                self.passed_at = Some(now);
                self.sent.push_back(now);
                Ok(())
            }
        }
    }

    /// Learns from the headers of an answer that was not a 429.
    pub fn observe(&mut self, limit: Option<u32>, remaining: Option<u32>, now: Instant) {
        self.throttled_in_a_row = 0;
        self.accepted_in_a_row = self.accepted_in_a_row.saturating_add(1);
        if self.accepted_in_a_row >= self.allowed() {
            self.accepted_in_a_row = 0;
            self.span = self.span.saturating_sub(SHRINKS_BY).max(SHORTEST_SPAN);
        }
        self.seen_limit = limit.or(self.seen_limit);
        let (least, since) = self.least_left.unwrap_or((u32::MAX, now));
        let least = least.min(remaining.unwrap_or(0));
        self.least_left = Some((least, since));
        if now.saturating_duration_since(since) >= LEFT_FOR {
            self.least_left = None;
            self.take_back(least, now);
        }
    }

    /// Others don't use what was left for so long; or not any more, perhaps.
    fn take_back(&mut self, least_left: u32, now: Instant) {
        let calm = self
            .refused_at
            .is_none_or(|at| now.saturating_duration_since(at) >= TRIES_AFTER);
        if least_left > 0 {
            self.others = self.others.saturating_sub(least_left);
        } else if calm && self.others > 0 {
            self.others -= 1;
            self.refused_at = Some(now);
        }
    }

    /// Stops all calls after a 429, the longer the more of them come in a row.
    /// `jitter` is from 0 to 1.
    pub fn throttle(&mut self, retry_after: Option<Duration>, jitter: f64, now: Instant) {
        // Calls that were under way when the first was refused tell nothing new.
        let stopped = self.stopped_until.is_some_and(|until| now < until);
        if !stopped {
            self.throttled_in_a_row = self.throttled_in_a_row.saturating_add(1);
            self.accepted_in_a_row = 0;
            self.draw_back(now);
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

    /// One refusal may come of calls that bunched up; two of other clients.
    fn draw_back(&mut self, now: Instant) {
        let again = self
            .refused_at
            .replace(now)
            .is_some_and(|at| now.saturating_duration_since(at) < NOT_BY_CHANCE);
        if again {
            self.others = (self.others + 1).min(self.allowed().saturating_sub(1));
        } else {
            self.span = (self.span + GROWS_BY).min(LONGEST_SPAN);
        }
    }

    /// How many calls of ours go within a span.
    fn share(&self) -> usize {
        let share = self.allowed().saturating_sub(self.others).max(1);
        usize::try_from(share).unwrap_or(usize::MAX)
    }

    /// Calls that all clients together may make a second.
    fn allowed(&self) -> u32 {
        self.seen_limit
            .map_or(self.limit, |seen| self.limit.min(seen))
    }
}

/// One organization's pace, shared by all that call it.
#[derive(Debug)]
pub struct Pace {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    window: Window,
    /// Those who wait, the first to go first.
    waiting: BTreeMap<Place, oneshot::Sender<()>>,
    /// How many have waited so far.
    count: u64,
}

/// A place in the queue: by rank, then by the nearest deadline, then by arrival.
type Place = (Precedence, Timestamp, u64);

impl Pace {
    /// For an organization that allows `limit` calls a second. Nothing passes
    /// until [`Pace::run`] runs.
    pub fn new(limit: u32) -> Arc<Self> {
        let state = State {
            window: Window::new(limit),
            waiting: BTreeMap::new(),
            count: 0,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            changed: Notify::new(),
        })
    }

    /// Waits until one call may go that serves a customer whose deadline is
    /// `deadline`. Dropping the future gives up the place.
    pub async fn wait(&self, precedence: Precedence, deadline: Timestamp) {
        let (sender, receiver) = oneshot::channel();
        {
            let mut state = self.state();
            state.count += 1;
            let place = (precedence, deadline, state.count);
            state.waiting.insert(place, sender);
        }
        self.changed.notify_one();
        // It fails only once nothing runs any more; then nothing is held back.
        let _: Result<(), _> = receiver.await;
    }

    /// Learns from an answer's headers.
    pub fn observe(&self, limit: Option<u32>, remaining: Option<u32>) {
        self.state()
            .window
            .observe(limit, remaining, Instant::now());
    }

    /// Learns from a 429.
    pub fn throttle(&self, retry_after: Option<Duration>) {
        self.state()
            .window
            .throttle(retry_after, fastrand::f64(), Instant::now());
    }

    /// Lets those who wait through, until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let next = self.let_through(Instant::now());
            let again = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.changed.notified() => {}
                () = again => {}
            }
        }
        self.state().waiting.clear();
    }

    /// Lets through whom the window admits; if somebody is left, says until when.
    fn let_through(&self, now: Instant) -> Option<Instant> {
        let mut state = self.state();
        loop {
            while state
                .waiting
                .first_entry()
                .is_some_and(|first| first.get().is_closed())
            {
                state.waiting.pop_first();
            }
            let (rank, ..) = *state.waiting.first_key_value()?.0;
            let admitted = match rank {
                Precedence::Urgent => state.window.admit_urgent(now),
                _ => state.window.admit(now),
            };
            if let Err(next) = admitted {
                return Some(next);
            }
            if let Some((_, sender)) = state.waiting.pop_first() {
                // Who gave up in this very moment has used a call up; that errs
                // on the side of fewer.
                let _: Result<(), ()> = sender.send(());
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks for calls as fast as it may for `span` and returns when each went.
    fn greedy(window: &mut Window, start: Instant, span: Duration) -> Vec<Instant> {
        let (mut now, mut sent) = (start, Vec::new());
        while now < start + span {
            match window.admit(now) {
                Ok(()) => sent.push(now),
                Err(next) => now = next,
            }
        }
        sent
    }

    #[test]
    fn no_second_ever_holds_more_than_the_limit_and_hardly_less() {
        for limit in [2, 10, 37, 1000] {
            let start = Instant::now();
            let sent = greedy(&mut Window::new(limit), start, Duration::from_secs(20));
            for (index, first) in sent.iter().enumerate() {
                let within = sent[index..]
                    .iter()
                    .filter(|at| **at - *first < Duration::from_secs(1))
                    .count();
                assert!(
                    within <= limit as usize,
                    "{within} calls in a second of {limit}"
                );
            }
            let used = sent.len() * 100 / (20 * limit as usize);
            assert!(used >= 97, "the rate is used: {used} %");
        }
    }

    #[test]
    fn the_span_closes_in_on_a_second_while_nothing_is_refused_and_draws_back() {
        let (mut window, start) = (Window::new(10), Instant::now());
        for _ in 0..1_000 {
            window.observe(Some(10), Some(0), start);
        }
        assert_eq!(window.span, SHORTEST_SPAN);
        window.throttle(None, 0.0, start);
        assert_eq!(window.span, SHORTEST_SPAN + GROWS_BY);
        assert_eq!(window.share(), 10, "once may be chance");
    }

    #[test]
    fn its_share_shrinks_while_others_use_the_limit_and_recovers_after() {
        let (mut window, start) = (Window::new(10), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        for seconds in 0..4 {
            window.throttle(None, 0.0, at(seconds));
        }
        assert_eq!(window.share(), 7);
        window.observe(Some(10), Some(2), at(10));
        window.observe(Some(10), Some(2), at(14));
        assert_eq!(window.share(), 7, "not all of it was left all the time");
        window.observe(Some(10), Some(2), at(20));
        window.observe(Some(10), Some(2), at(24));
        assert_eq!(window.share(), 9);
        for seconds in [60, 64] {
            window.observe(Some(10), Some(0), at(seconds));
        }
        assert_eq!(window.share(), 10, "after a while it tries");
    }

    #[test]
    fn a_429_stops_every_call_and_longer_each_time() {
        let (mut window, start) = (Window::new(10), Instant::now());
        window.throttle(None, 0.0, start);
        assert_eq!(window.admit(start), Err(start + FIRST_STOP));
        window.throttle(None, 0.0, start);
        assert_eq!(
            window.admit(start),
            Err(start + FIRST_STOP),
            "the same burst"
        );
        let start = start + FIRST_STOP;
        window.throttle(None, 0.0, start);
        assert_eq!(window.admit(start), Err(start + 2 * FIRST_STOP));
        window.throttle(Some(Duration::from_secs(7)), 0.0, start);
        assert_eq!(window.admit(start), Err(start + Duration::from_secs(7)));
        window.throttle(Some(Duration::from_hours(24)), 0.0, start);
        assert_eq!(window.admit(start), Err(start + LONGEST_STOP));
        assert_eq!(window.admit(start + LONGEST_STOP), Ok(()));
    }

    #[test]
    fn an_urgent_call_passes_a_stop_once_a_second() {
        let (mut window, start) = (Window::new(10), Instant::now());
        window.throttle(Some(Duration::from_mins(1)), 0.0, start);
        assert_eq!(window.admit_urgent(start), Ok(()));
        let next = start + Duration::from_secs(1);
        assert_eq!(window.admit_urgent(start), Err(next));
        assert_eq!(window.admit_urgent(next), Ok(()));
        assert!(window.admit(next).is_err(), "others wait");
    }

    #[tokio::test(start_paused = true)]
    async fn replies_go_before_what_settles_and_that_before_fetches() {
        let pace = Pace::new(2);
        let stop = CancellationToken::new();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for precedence in [Precedence::Fetch, Precedence::Settle, Precedence::Reply] {
            let (pace, order) = (pace.clone(), order.clone());
            let (queued, is_queued) = oneshot::channel();
            tasks.push(tokio::spawn(async move {
                let wait = pace.wait(precedence, Timestamp::MAX);
                tokio::pin!(wait);
                // The first poll takes the place in the queue.
                assert!(futures_util::poll!(&mut wait).is_pending());
                queued.send(()).unwrap();
                wait.await;
                order.lock().unwrap().push(precedence);
            }));
            is_queued.await.unwrap();
        }
        let running = tokio::spawn(pace.clone().run(stop.clone()));
        for task in tasks {
            task.await.unwrap();
        }
        stop.cancel();
        running.await.unwrap();
        let expected = [Precedence::Reply, Precedence::Settle, Precedence::Fetch];
        assert_eq!(*order.lock().unwrap(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn within_a_rank_the_nearest_deadline_goes_first() {
        let pace = Pace::new(2);
        let stop = CancellationToken::new();
        let later = |seconds| Timestamp::from_second(seconds).unwrap();
        let (late, early) = (later(9), later(3));
        let mut waits =
            [late, early].map(|deadline| Box::pin(pace.wait(Precedence::Fetch, deadline)));
        for wait in &mut waits {
            assert!(futures_util::poll!(wait).is_pending());
        }
        pace.state().window.sent.push_back(Instant::now());
        let running = tokio::spawn(pace.clone().run(stop.clone()));
        let [late, early] = &mut waits;
        tokio::select! {
            biased;
            () = late => panic!("the nearest deadline goes first"),
            () = early => {}
        }
        stop.cancel();
        running.await.unwrap();
    }
}
