//! The organization's rate: how many calls Gladly takes a second, which all of
//! its API clients share (Gladly API description, "Rate limiting").
//!
//! [`Window`] is the pure part and decides; [`Pace`] queues those who wait and
//! lets the most urgent through first. It stays a tenth under the limit, and
//! counts over a little more than a second because calls bunch up on their way.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Calls are counted over this long.
const SPAN: Duration = Duration::from_millis(1_100);
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
    /// What others seem to use of the limit, until when that is believed.
    others: (u32, Option<Instant>),
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
            others: (0, None),
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
        while self.sent.front().is_some_and(|sent| *sent + SPAN <= now) {
            self.sent.pop_front();
        }
        let capacity = self.capacity(now);
        if self.sent.len() < capacity {
            self.sent.push_back(now);
            return Ok(());
        }
        // The call that has to leave the window before there is room again.
        let oldest = self
            .sent
            .get(self.sent.len() - capacity)
            .copied()
            .unwrap_or(now);
        Err(oldest + SPAN)
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
        let (Some(limit), Some(remaining)) = (limit, remaining) else {
            return;
        };
        self.seen_limit = Some(limit);
        let second = Duration::from_secs(1);
        let ours = self
            .sent
            .iter()
            .filter(|sent| now.saturating_duration_since(**sent) < second)
            .count();
        let used = limit.saturating_sub(remaining);
        let others = used.saturating_sub(u32::try_from(ours).unwrap_or(u32::MAX));
        self.others = (others, Some(now + SPAN));
    }

    /// Stops all calls after a 429, the longer the more of them come in a row.
    /// `jitter` is from 0 to 1.
    pub fn throttle(&mut self, retry_after: Option<Duration>, jitter: f64, now: Instant) {
        // Calls that were under way when the first was refused tell nothing new.
        let stopped = self.stopped_until.is_some_and(|until| now < until);
        if !stopped {
            self.throttled_in_a_row = self.throttled_in_a_row.saturating_add(1);
        }
        let doublings = self.throttled_in_a_row.saturating_sub(1).min(5);
        let doubled = Duration::from_secs(1) * 2_u32.pow(doublings);
        let stop = retry_after
            .unwrap_or(doubled)
            .clamp(Duration::from_millis(500), LONGEST_STOP);
        let until = now + stop.mul_f64(1.0 + jitter / 4.0);
        self.stopped_until = Some(
            self.stopped_until
                .map_or(until, |stopped| stopped.max(until)),
        );
    }

    fn capacity(&self, now: Instant) -> usize {
        let others = match self.others {
            (others, Some(until)) if now < until => others,
            _ => 0,
        };
        let limit = self
            .seen_limit
            .map_or(self.limit, |seen| self.limit.min(seen));
        let head_room = limit.div_ceil(10);
        let capacity = limit
            .saturating_sub(head_room)
            .saturating_sub(others)
            .max(1);
        usize::try_from(capacity).unwrap_or(usize::MAX)
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
    /// Those who wait, one queue for each [`Precedence`].
    waiting: [VecDeque<oneshot::Sender<()>>; 4],
}

impl Pace {
    /// For an organization that allows `limit` calls a second. Nothing passes
    /// until [`Pace::run`] runs.
    pub fn new(limit: u32) -> Arc<Self> {
        let state = State {
            window: Window::new(limit),
            waiting: Default::default(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            changed: Notify::new(),
        })
    }

    /// Waits until one call may go. Dropping the future gives up the place.
    pub async fn wait(&self, precedence: Precedence) {
        let (sender, receiver) = oneshot::channel();
        self.state().waiting[precedence as usize].push_back(sender);
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
        for queue in &mut self.state().waiting {
            queue.clear();
        }
    }

    /// Lets through whom the window admits; if somebody is left, says until when.
    fn let_through(&self, now: Instant) -> Option<Instant> {
        let mut state = self.state();
        loop {
            for queue in &mut state.waiting {
                while queue.front().is_some_and(oneshot::Sender::is_closed) {
                    queue.pop_front();
                }
            }
            let first = state.waiting.iter().position(|queue| !queue.is_empty())?;
            let admitted = if first == Precedence::Urgent as usize {
                state.window.admit_urgent(now)
            } else {
                state.window.admit(now)
            };
            if let Err(next) = admitted {
                return Some(next);
            }
            if let Some(sender) = state.waiting[first].pop_front() {
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

    fn milliseconds(count: u64) -> Duration {
        Duration::from_millis(count)
    }

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
    fn no_second_ever_holds_more_than_nine_tenths_of_the_limit() {
        for limit in [2, 10, 37, 1000] {
            let start = Instant::now();
            let sent = greedy(&mut Window::new(limit), start, Duration::from_secs(20));
            for (index, first) in sent.iter().enumerate() {
                let within = sent[index..]
                    .iter()
                    .filter(|at| **at - *first < Duration::from_secs(1))
                    .count();
                assert!(
                    within * 10 <= limit as usize * 9,
                    "{within} calls in a second of {limit}"
                );
            }
            assert!(
                sent.len() > 20 * limit as usize * 4 / 10,
                "the rate is used: {} of {limit}",
                sent.len()
            );
        }
    }

    #[test]
    fn it_slows_while_others_use_the_limit_and_recovers_after() {
        let (mut window, start) = (Window::new(10), Instant::now());
        window.observe(Some(10), Some(2), start);
        assert_eq!(greedy(&mut window, start, milliseconds(1_000)).len(), 1);
        let later = start + Duration::from_secs(3);
        assert_eq!(greedy(&mut window, later, milliseconds(1_000)).len(), 9);
    }

    #[test]
    fn a_429_stops_every_call_and_longer_each_time() {
        let (mut window, start) = (Window::new(10), Instant::now());
        window.throttle(None, 0.0, start);
        assert_eq!(window.admit(start), Err(start + Duration::from_secs(1)));
        window.throttle(None, 0.0, start);
        assert_eq!(
            window.admit(start),
            Err(start + Duration::from_secs(1)),
            "the same burst"
        );
        let start = start + Duration::from_secs(1);
        window.throttle(None, 0.0, start);
        assert_eq!(window.admit(start), Err(start + Duration::from_secs(2)));
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
                let wait = pace.wait(precedence);
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
}
