//! Keeps calls back while Gladly refuses the account's API user, but for a
//! probe every minute that finds out when it is accepted again. Whoever may
//! call meanwhile waits for what the probe finds out.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long until the user is tried again.
const PROBE_EVERY: Duration = Duration::from_mins(1);
/// How long a success shows that the user is accepted.
const BELIEVED_FOR: Duration = Duration::from_secs(5);

/// The gate before every call of an account.
#[derive(Debug, Default)]
pub(super) struct Lockout {
    state: Mutex<State>,
    /// Held while a probe is under way.
    probing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    /// While locked out: when the next probe may go.
    closed_until: Option<Instant>,
    /// When the user was last seen to be accepted.
    accepted_at: Option<Instant>,
}

/// Whether a call may pass the gate.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// It may.
    Open,
    /// It may find out whether the user is accepted again, before it passes.
    Probe,
    /// Not for so long.
    Closed(Duration),
}

impl Lockout {
    /// Lets a call pass, or says how long to wait. While locked out, one call
    /// a minute probes.
    pub(super) fn enter(&self, now: Instant) -> Entry {
        let mut state = self.state();
        match state.closed_until {
            Some(until) if now < until => Entry::Closed(until - now),
            Some(_) => {
                state.closed_until = Some(now + PROBE_EVERY);
                Entry::Probe
            }
            None => Entry::Open,
        }
    }

    /// Marks a probe as under way until the guard is dropped.
    pub(super) async fn probe(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.probing.lock().await
    }

    /// How long calls are still kept back, once a probe that is under way has
    /// ended; none if they may go.
    pub(super) async fn closed_after_probe(&self) -> Option<Duration> {
        if self.closed(Instant::now()).is_some() {
            drop(self.probing.lock().await);
        }
        self.closed(Instant::now())
    }

    /// Whether calls are kept back.
    pub(super) fn is_closed(&self, now: Instant) -> bool {
        self.closed(now).is_some()
    }

    /// How long calls are still kept back; none if one may try.
    fn closed(&self, now: Instant) -> Option<Duration> {
        let until = self.state().closed_until.filter(|until| now < *until)?;
        Some(until - now)
    }

    /// Whether a refusal could mean the user and not the call: no neutral call
    /// and no success has shown of late that it is accepted.
    pub(super) fn is_in_doubt(&self, now: Instant) -> bool {
        let accepted_at = self.state().accepted_at;
        accepted_at.is_none_or(|at| now.saturating_duration_since(at) >= BELIEVED_FOR)
    }

    /// Notes that the user is refused. True if it was not before.
    pub(super) fn refused(&self, now: Instant) -> bool {
        let mut state = self.state();
        state.accepted_at = None;
        state.closed_until.replace(now + PROBE_EVERY).is_none()
    }

    /// Notes that the user is accepted. True if it was refused before.
    pub(super) fn accepted(&self, now: Instant) -> bool {
        let mut state = self.state();
        state.accepted_at = Some(now);
        state.closed_until.take().is_some()
    }

    /// How long until the next probe.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        let closed_until = self.state().closed_until;
        closed_until.map_or(PROBE_EVERY, |until| until.saturating_duration_since(now))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_probe_a_minute_passes_while_the_user_is_refused() {
        let lockout = Lockout::default();
        let start = Instant::now();
        assert_eq!(lockout.enter(start), Entry::Open);
        assert!(lockout.refused(start));
        assert_eq!(
            lockout.enter(start + Duration::from_secs(1)),
            Entry::Closed(Duration::from_secs(59))
        );
        let probe = start + PROBE_EVERY;
        assert_eq!(lockout.enter(probe), Entry::Probe);
        assert_eq!(
            lockout.enter(probe),
            Entry::Closed(PROBE_EVERY),
            "only one probes"
        );
        assert!(lockout.accepted(probe));
        assert_eq!(lockout.enter(probe), Entry::Open);
    }

    #[test]
    fn a_refusal_is_in_doubt_unless_the_user_was_accepted_of_late() {
        let (lockout, start) = (Lockout::default(), Instant::now());
        assert!(lockout.is_in_doubt(start));
        lockout.accepted(start);
        assert!(!lockout.is_in_doubt(start));
        assert!(lockout.is_in_doubt(start + BELIEVED_FOR));
    }
}
