//! What an organization's turns are run under, and for how long they may be.
//!
//! Where several relays share the database, a relay that was cut off from it, or stood
//! still, may find that another drives by now. Nothing of a turn moves before the clock
//! has been asked whether the lease still holds, so whoever wakes up late does nothing.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::store::Runner;

/// One driving of an organization, from taking it to losing it or giving it back.
#[derive(Debug)]
pub(super) struct Driving {
    /// What its turns are stored under.
    pub(super) runner: Runner,
    /// Cancelled first: no new turn is claimed.
    pub(super) claim_no_more: CancellationToken,
    /// Cancelled last: turns that still run end where they are.
    pub(super) let_go: CancellationToken,
    /// The turns that run.
    pub(super) turns: TaskTracker,
    term: Mutex<Term>,
    renewed: Notify,
}

#[derive(Debug, Clone, Copy)]
struct Term {
    /// Nobody else drives before then; none where nobody else ever does.
    until: Option<Timestamp>,
    letting_go: Option<Runner>,
}

impl Driving {
    /// Of a process that shares its database with nobody.
    pub(super) fn alone(
        runner: Runner,
        claim_no_more: CancellationToken,
        let_go: CancellationToken,
    ) -> Self {
        Self {
            runner,
            claim_no_more,
            let_go,
            turns: TaskTracker::new(),
            term: Mutex::new(Term {
                until: None,
                letting_go: None,
            }),
            renewed: Notify::new(),
        }
    }

    /// Nobody else drives before `until`; `letting_go` lets its turns end.
    pub(super) fn hold(&self, until: Timestamp, letting_go: Option<Runner>) {
        *self.term() = Term {
            until: Some(until),
            letting_go,
        };
        self.renewed.notify_waiters();
    }

    /// Whoever had the organization before and still lets its turns end.
    pub(super) fn letting_go(&self) -> Option<Runner> {
        self.term().letting_go
    }

    /// Whether nobody else drives at this moment.
    pub(super) fn holds(&self, clock: &dyn Clock) -> bool {
        let until = self.term().until;
        until.is_none_or(|until| clock.now().at < until)
    }

    /// Does `work`, of which no step is made while another relay may drive.
    pub(super) async fn only_while_held<T>(
        &self,
        clock: &dyn Clock,
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = pin!(work);
        loop {
            let renewed = self.renewed.notified();
            let done = poll_fn(|context| {
                if self.holds(clock) {
                    work.as_mut().poll(context).map(Some)
                } else {
                    Poll::Ready(None)
                }
            });
            if let Some(done) = done.await {
                return done;
            }
            if !self.holds(clock) {
                renewed.await;
            }
        }
    }

    fn term(&self) -> MutexGuard<'_, Term> {
        self.term.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use futures_util::FutureExt as _;

    use super::*;
    use crate::clock::Moment;

    #[derive(Default)]
    struct Seconds(AtomicI64);

    impl Clock for Seconds {
        fn now(&self) -> Moment {
            let at = Timestamp::from_second(self.0.load(Ordering::SeqCst)).unwrap();
            Moment { clock: 1, at }
        }

        fn wall(&self) -> Timestamp {
            self.now().at
        }
    }

    fn driving() -> Driving {
        Driving::alone(
            Runner(1),
            CancellationToken::new(),
            CancellationToken::new(),
        )
    }

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn who_shares_with_nobody_always_goes_on() {
        let clock = Seconds(AtomicI64::new(1_000_000));
        let done = driving()
            .only_while_held(&clock, async { 7 })
            .now_or_never();
        assert_eq!(done, Some(7));
    }

    #[test]
    fn who_wakes_up_after_its_lease_makes_no_step_until_it_is_renewed() {
        let (clock, driving) = (Seconds::default(), driving());
        driving.hold(second(7), None);
        let steps = AtomicI64::new(0);
        let work = poll_fn(|context| {
            context.waker().wake_by_ref();
            steps.fetch_add(1, Ordering::SeqCst);
            Poll::<()>::Pending
        });
        let mut held = Box::pin(driving.only_while_held(&clock, work));
        assert!(held.as_mut().now_or_never().is_none());
        assert_eq!(steps.load(Ordering::SeqCst), 1);
        clock.0.store(60, Ordering::SeqCst);
        assert!(held.as_mut().now_or_never().is_none());
        assert_eq!(steps.load(Ordering::SeqCst), 1, "the lease is over");
        driving.hold(second(70), None);
        assert!(held.as_mut().now_or_never().is_none());
        assert_eq!(steps.load(Ordering::SeqCst), 2, "renewed");
    }
}
