//! A line that strangers can cause is written at most once a second.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

const ONCE_IN: Duration = Duration::from_secs(1);

/// Counts what happens, and says when to tell of it.
#[derive(Debug)]
pub struct Seldom(Mutex<Counted>);

#[derive(Debug)]
struct Counted {
    told_at: Option<Instant>,
    untold: u64,
    /// Somebody waits to tell of the rest.
    is_awaited: bool,
}

impl Seldom {
    /// Nothing has happened yet.
    #[expect(clippy::new_without_default, reason = "it is made in statics only")]
    pub const fn new() -> Self {
        Self(Mutex::new(Counted {
            told_at: None,
            untold: 0,
            is_awaited: false,
        }))
    }

    /// It happened again: tells how often since it was told, now or once a second is
    /// over.
    pub fn happened(&'static self, tell: impl FnOnce(u64) + Send + 'static) {
        let now = Instant::now();
        let mut counted = self.counted();
        counted.untold += 1;
        let next = counted.told_at.map_or(now, |at| at + ONCE_IN);
        if next <= now {
            let times = counted.take(now);
            drop(counted);
            tell(times);
        } else if !counted.is_awaited
            && let Ok(runtime) = Handle::try_current()
        {
            counted.is_awaited = true;
            drop(counted);
            runtime.spawn(async move {
                tokio::time::sleep_until(next).await;
                self.tell_of_the_rest(tell);
            });
        }
    }

    fn tell_of_the_rest(&self, tell: impl FnOnce(u64)) {
        let mut counted = self.counted();
        counted.is_awaited = false;
        if counted.untold > 0 {
            let times = counted.take(Instant::now());
            drop(counted);
            tell(times);
        }
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    const fn take(&mut self, now: Instant) -> u64 {
        self.told_at = Some(now);
        std::mem::replace(&mut self.untold, 0)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_told_once_a_second_with_the_number_of_times_and_none_is_left_out() {
        static SELDOM: Seldom = Seldom::new();
        static TOLD: Mutex<Vec<u64>> = Mutex::new(Vec::new());
        let happened = || SELDOM.happened(|times| TOLD.lock().unwrap().push(times));
        let told = || TOLD.lock().unwrap().clone();
        happened();
        assert_eq!(told(), [1], "the first at once");
        happened();
        happened();
        advance(Duration::from_millis(900)).await;
        happened();
        assert_eq!(told(), [1]);
        tokio::time::sleep(Duration::from_millis(101)).await;
        assert_eq!(told(), [1, 3], "the rest once the second is over");
        happened();
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(told(), [1, 3, 1]);
        happened();
        assert_eq!(told(), [1, 3, 1, 1]);
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(told(), [1, 3, 1, 1]);
    }
}
