//! The organization's rate: how many calls Gladly takes a second, which all of
//! its API clients share (Gladly API description, "Rate limiting").
//!
//! [`Window`] decides when the next calls may go, [`Queue`] whose they are, and
//! [`plan`] who can't be served in time: all pure. [`Pace`] lets them through.
//! What belongs together is admitted together, so that nothing that was looked at
//! grows old in the queue.

mod plan;
mod queue;
mod used;
mod window;

#[cfg(test)]
mod model;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use queue::{Ask, Effort, Key, Member, Precedence, Queue};
use used::Used;
pub use window::{Slot, Window};

/// One organization's pace, shared by all that call it.
#[derive(Debug)]
pub struct Pace {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    window: Window,
    queue: Queue<oneshot::Sender<Told>>,
    used: Used,
}

impl State {
    /// Tells whoever holds this place to go.
    fn go(&mut self, key: Key, slots: Vec<Slot>) {
        let told = self.queue.serve(key).map(|who| who.send(Told::Go(slots)));
        if let Some(Err(Told::Go(slots))) = told {
            for slot in slots {
                self.window.give_back(slot);
            }
        }
    }
}

/// What those who wait are told.
#[derive(Debug)]
enum Told {
    Go(Vec<Slot>),
    TooLate,
}

/// What came of asking for calls.
#[derive(Debug)]
pub enum Admission {
    /// They may be made, now and one right after the other.
    Granted(Permits),
    /// The turn can't be answered in time any more.
    TooLate,
}

/// The right to make one call. Dropped unused, it leaves its room to others.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    pace: Arc<Pace>,
    slot: Option<Slot>,
}

/// The right to make some calls that belong together.
#[derive(Debug, Default)]
pub struct Permits(std::collections::VecDeque<Permit>);

impl Permits {
    /// One of them, unless they are used up or have grown stale.
    pub fn take(&mut self) -> Option<Permit> {
        let now = Instant::now();
        self.0
            .retain(|permit| permit.slot.is_none_or(|slot| !slot.is_stale(now)));
        self.0.pop_front()
    }
}

impl Permit {
    /// The call goes now; tells when that is.
    pub(super) fn spend(mut self) -> Instant {
        let now = Instant::now();
        if let Some(slot) = self.slot.take() {
            let mut state = self.pace.state();
            state.window.spend(slot, now);
            state.used.count(now);
        }
        now
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.pace.give_back([slot]);
        }
    }
}

/// A turn that has begun, and how many calls it still needs.
#[derive(Debug)]
pub struct Engaged {
    pace: Arc<Pace>,
    member: Member,
    calls: AtomicU32,
}

impl Engaged {
    /// It needs so many from now on.
    pub fn set(&self, calls: u32) {
        let before = self.calls.swap(calls, Ordering::Relaxed);
        if before != calls {
            self.pace.state().queue.owe(self.member, before, calls);
        }
    }
}

impl Drop for Engaged {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// A place in the queue, given up when it is dropped.
struct Place<'a> {
    pace: &'a Arc<Pace>,
    key: Key,
    told: oneshot::Receiver<Told>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        drop(self.pace.state().queue.leave(self.key));
        // Whoever gives up in this very moment may have been let through.
        if let Ok(Told::Go(slots)) = self.told.try_recv() {
            self.pace.give_back(slots);
        }
    }
}

impl Pace {
    /// For an organization that allows `limit` calls a second. Nobody who has to
    /// wait passes until [`Pace::run`] runs.
    pub fn new(limit: u32) -> Arc<Self> {
        let state = State {
            window: Window::new(limit),
            queue: Queue::default(),
            used: Used::default(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            changed: Notify::new(),
        })
    }

    /// One more account of the organization.
    pub fn join(&self) -> Member {
        self.state().queue.join()
    }

    /// Counts what a turn of this account needs, until it is dropped.
    pub fn engage(self: &Arc<Self>, member: Member) -> Engaged {
        Engaged {
            pace: self.clone(),
            member,
            calls: AtomicU32::new(0),
        }
    }

    /// Waits until calls may go. Dropping the future gives up the place.
    pub async fn wait(self: &Arc<Self>, member: Member, ask: Ask) -> Admission {
        let (sender, told) = oneshot::channel();
        let key = self.state().queue.push(member, ask, sender);
        let mut place = Place {
            pace: self,
            key,
            told,
        };
        // Whoever needs to wait for nothing is not told by another task.
        if self.let_through(Instant::now()).is_some() {
            self.changed.notify_one();
        }
        match (&mut place.told).await {
            Ok(Told::Go(slots)) => Admission::Granted(self.permits(slots)),
            Ok(Told::TooLate) => Admission::TooLate,
            // Nothing runs any more; then nothing is held back.
            Err(_) => Admission::Granted(Permits([self.free()].into())),
        }
    }

    /// How long this account needs for all that waits.
    pub fn takes(&self, member: Member) -> Duration {
        let state = self.state();
        state.queue.takes(member, state.window.per_second())
    }

    /// Forgets that it knows what was called in the last second.
    pub fn begin_anew(&self) {
        self.state().window.begin_anew();
    }

    /// The share of the limit that the relay's own calls of the last ten seconds
    /// took: 1 is all of it.
    pub fn used_ratio(&self) -> f64 {
        let now = Instant::now();
        let mut state = self.state();
        state.used.per_second(now) / f64::from(state.window.allowed().max(1))
    }

    /// Learns from an answer's headers.
    pub fn observe(&self, limit: Option<u32>, remaining: Option<u32>, sent_at: Instant) {
        let now = Instant::now();
        self.state().window.observe(limit, remaining, sent_at, now);
        self.changed.notify_one();
    }

    /// Learns from a 429.
    pub fn throttle(&self, retry_after: Option<Duration>, sent_at: Instant) {
        let (now, jitter) = (Instant::now(), fastrand::f64());
        let mut state = self.state();
        state.window.throttle(retry_after, jitter, sent_at, now);
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
        self.state().queue.clear();
    }

    /// Lets through whom the window admits; if somebody is left, says until when.
    fn let_through(&self, now: Instant) -> Option<Instant> {
        let mut state = self.state();
        let state = &mut *state;
        for key in state.queue.too_late(now, state.window.per_second()) {
            if let Some(who) = state.queue.leave(key) {
                // Whoever has gone needs no telling.
                let _: Result<(), Told> = who.send(Told::TooLate);
            }
        }
        loop {
            let stopped = state.window.is_stopped(now);
            let urgent = stopped.then(|| state.queue.first_urgent()).flatten();
            let (key, ask) = urgent.or_else(|| state.queue.first())?;
            let admitted = match ask.precedence {
                Precedence::Urgent | Precedence::Late => state.window.admit_urgent(ask.calls, now),
                _ => state.window.admit(ask.calls, now),
            };
            match admitted {
                Ok(slots) => state.go(key, slots),
                Err(next) => {
                    let filler = state.queue.filler(key).filter(|_| ask.calls > 1);
                    let room = filler.and_then(|filler| {
                        let slots = state.window.admit(1, now).ok()?;
                        Some((filler, slots))
                    });
                    let Some((filler, slots)) = room else {
                        return Some(next);
                    };
                    state.queue.overtake(key);
                    state.go(filler, slots);
                }
            }
        }
    }

    fn permits(self: &Arc<Self>, slots: Vec<Slot>) -> Permits {
        let permit = |slot| Permit {
            pace: self.clone(),
            slot: Some(slot),
        };
        Permits(slots.into_iter().map(permit).collect())
    }

    /// The right to one call that nobody counts.
    pub(super) fn free(self: &Arc<Self>) -> Permit {
        Permit {
            pace: self.clone(),
            slot: None,
        }
    }

    fn give_back(&self, slots: impl IntoIterator<Item = Slot>) {
        let mut state = self.state();
        for slot in slots {
            state.window.give_back(slot);
        }
        drop(state);
        self.changed.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(1)
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_gives_up_leaves_its_place_and_its_calls_to_others() {
        let pace = Pace::new(1);
        let member = pace.join();
        let stop = CancellationToken::new();
        let first = Ask::one(Precedence::Reply, soon());
        let Admission::Granted(mut used) = pace.wait(member, first).await else {
            panic!("nothing is too late");
        };
        used.take().unwrap().spend();
        tokio::time::advance(Duration::from_millis(500)).await;
        let mut gone = Box::pin(pace.wait(member, first));
        let mut granted = Box::pin(pace.wait(member, Ask::one(Precedence::Settle, soon())));
        assert!(futures_util::poll!(&mut gone).is_pending());
        assert!(futures_util::poll!(&mut granted).is_pending());
        tokio::time::advance(Duration::from_secs(1)).await;
        pace.let_through(Instant::now());
        drop(gone);
        pace.let_through(Instant::now());
        let running = tokio::spawn(pace.clone().run(stop.clone()));
        assert!(matches!(granted.await, Admission::Granted(_)));
        stop.cancel();
        running.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_cannot_be_answered_in_time_is_told_at_once() {
        let pace = Pace::new(10);
        let member = pace.join();
        let stop = CancellationToken::new();
        let engaged = pace.engage(member);
        engaged.set(8);
        let effort = Effort {
            calls: 3,
            by: soon(),
        };
        let ask = Ask {
            effort: Some(effort),
            ..Ask::one(Precedence::Fetch, soon())
        };
        let running = tokio::spawn(pace.clone().run(stop.clone()));
        assert!(matches!(pace.wait(member, ask).await, Admission::TooLate));
        engaged.set(6);
        let again = pace.wait(member, ask).await;
        assert!(matches!(again, Admission::Granted(_)));
        stop.cancel();
        running.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn one_accounts_fetch_holds_up_no_urgent_call_of_anothers_while_all_calls_stop() {
        let pace = Pace::new(10);
        let (one, other) = (pace.join(), pace.join());
        let stop = CancellationToken::new();
        let running = tokio::spawn(pace.clone().run(stop.clone()));
        let start = Instant::now();
        let asked = pace.wait(other, Ask::one(Precedence::Fetch, soon())).await;
        let Admission::Granted(mut permits) = asked else {
            panic!("nothing is too late");
        };
        let at = permits.take().unwrap().spend();
        pace.throttle(Some(Duration::from_mins(1)), at);
        let mut fetch = Box::pin(pace.wait(one, Ask::one(Precedence::Fetch, soon())));
        assert!(futures_util::poll!(&mut fetch).is_pending());
        for _ in 0..3 {
            let asked = pace.wait(other, Ask::one(Precedence::Urgent, soon())).await;
            assert!(matches!(asked, Admission::Granted(_)));
        }
        let took = start.elapsed();
        assert!(took < Duration::from_secs(4), "{took:?} in virtual time");
        assert!(futures_util::poll!(&mut fetch).is_pending());
        stop.cancel();
        running.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn permits_are_used_at_once_or_not_at_all() {
        let pace = Pace::new(10);
        let member = pace.join();
        let stop = CancellationToken::new();
        let running = tokio::spawn(pace.clone().run(stop.clone()));
        let ask = Ask {
            calls: 2,
            ..Ask::one(Precedence::Reply, soon())
        };
        let Admission::Granted(mut permits) = pace.wait(member, ask).await else {
            panic!("nothing can be too late for a reply");
        };
        permits.take().unwrap().spend();
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(permits.take().is_none(), "what it looked at has grown old");
        stop.cancel();
        running.await.unwrap();
    }
}
