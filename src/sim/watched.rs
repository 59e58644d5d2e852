//! A value that many hold, one changes at a time, and anyone can wait on.
//!
//! Every change wakes every waiter, which looks again: nothing polls, so a
//! test needs no sleep to see an effect.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// The world of a simulator behind its lock; clones share it.
pub(crate) struct Watched<T> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    value: Mutex<T>,
    changes: watch::Sender<u64>,
}

impl<T> Watched<T> {
    pub(crate) fn new(value: T) -> Self {
        let (changes, _) = watch::channel(0);
        Self {
            inner: Arc::new(Inner {
                value: Mutex::new(value),
                changes,
            }),
        }
    }

    /// Looks at the value. `look` must not call back into the simulator.
    pub(crate) fn read<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.lock())
    }

    /// Changes the value and wakes whoever waits.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.lock());
        self.inner.changes.send_modify(|version| *version += 1);
        result
    }

    /// Waits until `look` finds something.
    pub(crate) async fn wait_until<R>(&self, mut look: impl FnMut(&T) -> Option<R>) -> R {
        let mut changes = self.changes();
        loop {
            if let Some(found) = look(&self.lock()) {
                return found;
            }
            // The sender lives in `self`, so this can't fail while we wait.
            let _ = changes.changed().await;
        }
    }

    /// Counts the changes, for a caller that shows what is new.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    /// A panic in a caller's closure must not take the whole simulator along.
    fn lock(&self) -> MutexGuard<'_, T> {
        self.inner
            .value
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Watched<T> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}
