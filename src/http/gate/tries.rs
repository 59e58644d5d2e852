//! Slows down who guesses the password: what one address tries is judged one after the
//! other, and after a wrong try a second passes before the next. Few may wait for that.
//!
//! Each address for itself: a stranger who guesses holds up nobody elsewhere.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

/// After a wrong one.
const PAUSE: Duration = Duration::from_secs(1);
/// The most of an address that wait to be judged.
const MOST: usize = 8;
/// The most addresses that have tried in the last moment.
const MOST_ADDRESSES: usize = 10_000;

/// From where somebody tries: an address, or what one household or machine has of the
/// longer ones (RFC 6177).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::http) struct Source(IpAddr);

impl From<SocketAddr> for Source {
    fn from(address: SocketAddr) -> Self {
        Self(match address.ip().to_canonical() {
            IpAddr::V6(long) => {
                let network = u128::from(long) >> 64 << 64;
                Ipv6Addr::from(network).into()
            }
            short @ IpAddr::V4(_) => short,
        })
    }
}

impl Default for Source {
    /// Nobody says.
    fn default() -> Self {
        Self(Ipv4Addr::UNSPECIFIED.into())
    }
}

#[derive(Default)]
pub(super) struct Tries(std::sync::Mutex<HashMap<Source, Arc<Line>>>);

/// Those of one address.
struct Line {
    places: Arc<Semaphore>,
    judging: Arc<Mutex<()>>,
    /// How many pauses have begun and ended: odd while there is one.
    pauses: AtomicU64,
}

/// The right to be judged now.
pub(super) struct Turn {
    line: Arc<Line>,
    place: Option<OwnedSemaphorePermit>,
    judging: OwnedMutexGuard<()>,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(MOST)),
            judging: Arc::default(),
            pauses: AtomicU64::default(),
        }
    }
}

impl Tries {
    /// Waits to be judged; none if too many do. A place takes who waits for a pause:
    /// those who are right are judged in no time, however many come at once.
    pub(super) async fn wait(&self, source: Source) -> Option<Turn> {
        let line = self.line(source)?;
        let pauses = line.pauses.load(Ordering::SeqCst);
        let place = match pauses % 2 {
            0 => None,
            _ => Some(line.places.clone().try_acquire_owned().ok()?),
        };
        let judging = line.judging.clone().lock_owned().await;
        // It came at once with a wrong one: nobody has counted how many did.
        let has_paused = line.pauses.load(Ordering::SeqCst) != pauses;
        if place.is_none() && has_paused {
            return None;
        }
        Some(Turn {
            line,
            place,
            judging,
        })
    }

    fn line(&self, source: Source) -> Option<Arc<Line>> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get(&source) {
            return Some(line.clone());
        }
        // Nobody waits in these.
        lines.retain(|_, line| Arc::strong_count(line) > 1);
        (lines.len() < MOST_ADDRESSES).then(|| lines.entry(source).or_default().clone())
    }
}

impl Turn {
    /// It was a wrong one. The next waits even if whoever tried has gone.
    pub(super) fn failed(self) {
        let Self {
            line,
            place,
            judging,
        } = self;
        drop(place);
        line.pauses.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move {
            tokio::time::sleep(PAUSE).await;
            line.pauses.fetch_add(1, Ordering::SeqCst);
            drop((judging, line));
        });
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::time::Instant;

    use super::*;

    fn source(address: &str) -> Source {
        let address: IpAddr = address.parse().unwrap();
        SocketAddr::new(address, 9).into()
    }

    #[tokio::test(start_paused = true)]
    async fn a_wrong_try_holds_up_the_next_and_few_may_wait() {
        let (tries, start) = (Tries::default(), Instant::now());
        let here = source("192.0.2.1");
        tries.wait(here).await.unwrap().failed();
        assert_eq!(
            start.elapsed(),
            Duration::ZERO,
            "its own answer is not held up"
        );
        drop(tries.wait(here).await.unwrap());
        assert_eq!(start.elapsed(), PAUSE);
        drop(tries.wait(here).await.unwrap());
        assert_eq!(start.elapsed(), PAUSE, "a right one holds up nobody");
        tries.wait(here).await.unwrap().failed();
        let mut waiting: Vec<_> = (0..MOST).map(|_| Box::pin(tries.wait(here))).collect();
        for one in &mut waiting {
            assert!(one.now_or_never().is_none(), "it waits");
        }
        let one_more = tries.wait(here).now_or_never();
        assert!(one_more.is_some_and(|one_more| one_more.is_none()));
        let elsewhere = tries.wait(source("192.0.2.2")).now_or_never();
        assert!(elsewhere.flatten().is_some(), "nobody waits there");
        drop(waiting);
        assert!(tries.wait(here).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_many_addresses_of_one_network_is_one() {
        let tries = Tries::default();
        tries.wait(source("2001:db8::1")).await.unwrap().failed();
        let next = tries.wait(source("2001:db8::2:0:0:3")).now_or_never();
        assert!(next.is_none(), "it waits");
        let other = tries.wait(source("2001:db8:0:1::1")).now_or_never();
        assert!(other.flatten().is_some());
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_that_try_no_more_are_forgotten() {
        let tries = Tries::default();
        for number in 0..100 {
            let turn = tries.wait(source(&format!("192.0.2.{number}"))).await;
            drop(turn);
        }
        assert_eq!(tries.0.lock().unwrap().len(), 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn who_is_right_is_not_turned_away_for_others_who_are() {
        let tries = Arc::new(Tries::default());
        let here = source("192.0.2.1");
        let asks = || {
            let tries = tries.clone();
            tokio::spawn(async move {
                for _ in 0..200 {
                    assert!(tries.wait(here).await.is_some());
                    tokio::task::yield_now().await;
                }
            })
        };
        let asking: Vec<_> = (0..64).map(|_| asks()).collect();
        for one in asking {
            one.await.unwrap();
        }
    }
}
