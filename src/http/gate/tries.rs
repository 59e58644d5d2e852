//! Slows down who guesses the password: tries are judged one after the other, and after a
//! wrong one a second passes before the next. Few may wait for that.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore, SemaphorePermit};

/// After a wrong one.
const PAUSE: Duration = Duration::from_secs(1);
/// The most that wait to be judged.
const MOST: usize = 8;

pub(super) struct Tries {
    place: Semaphore,
    judging: Arc<Mutex<()>>,
}

/// The right to be judged now.
pub(super) struct Turn<'a> {
    _place: SemaphorePermit<'a>,
    judging: OwnedMutexGuard<()>,
}

impl Default for Tries {
    fn default() -> Self {
        Self {
            place: Semaphore::new(MOST),
            judging: Arc::default(),
        }
    }
}

impl Tries {
    /// Waits to be judged; none if too many do.
    pub(super) async fn wait(&self) -> Option<Turn<'_>> {
        let place = self.place.try_acquire().ok()?;
        let judging = self.judging.clone().lock_owned().await;
        Some(Turn {
            _place: place,
            judging,
        })
    }
}

impl Turn<'_> {
    /// It was a wrong one. The next waits even if whoever tried has gone.
    pub(super) fn failed(self) {
        let judging = self.judging;
        tokio::spawn(async move {
            tokio::time::sleep(PAUSE).await;
            drop(judging);
        });
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_wrong_try_holds_up_the_next_and_few_may_wait() {
        let (tries, start) = (Tries::default(), Instant::now());
        tries.wait().await.unwrap().failed();
        assert_eq!(
            start.elapsed(),
            Duration::ZERO,
            "its own answer is not held up"
        );
        drop(tries.wait().await.unwrap());
        assert_eq!(start.elapsed(), PAUSE);
        drop(tries.wait().await.unwrap());
        assert_eq!(start.elapsed(), PAUSE, "a right one holds up nobody");
        tries.wait().await.unwrap().failed();
        let mut waiting: Vec<_> = (0..MOST).map(|_| Box::pin(tries.wait())).collect();
        for one in &mut waiting {
            assert!(one.now_or_never().is_none(), "it waits");
        }
        let one_more = tries.wait().now_or_never();
        assert!(one_more.is_some_and(|one_more| one_more.is_none()));
        drop(waiting);
        assert!(tries.wait().await.is_some());
    }
}
