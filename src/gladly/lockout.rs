//! Keeps calls back while Gladly refuses the account's credentials, but for a
//! probe every minute that finds out when they are right again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long until the credentials are tried again.
const PROBE_EVERY: Duration = Duration::from_mins(1);

/// The gate before every call of an account.
#[derive(Debug, Default)]
pub(super) struct Lockout(Mutex<Option<Instant>>);

impl Lockout {
    /// Lets a call pass, or says how long to wait. While locked out, one call
    /// a minute passes: the probe.
    pub(super) fn enter(&self, now: Instant) -> Result<(), Duration> {
        let mut closed_until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *closed_until {
            Some(until) if now < until => Err(until - now),
            Some(_) => {
                *closed_until = Some(now + PROBE_EVERY);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// How long calls are still kept back; none if one may try.
    pub(super) fn closed(&self, now: Instant) -> Option<Duration> {
        let closed_until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        closed_until
            .filter(|until| now < *until)
            .map(|until| until - now)
    }

    /// Notes a refusal. True if it is the first.
    pub(super) fn refused(&self, now: Instant) -> bool {
        let mut closed_until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        closed_until.replace(now + PROBE_EVERY).is_none()
    }

    /// Notes that credentials were accepted. True if they were refused before.
    pub(super) fn accepted(&self) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .is_some()
    }

    /// How long until the next probe.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        let closed_until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        closed_until.map_or(PROBE_EVERY, |until| until.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_call_a_minute_passes_while_the_credentials_are_refused() {
        let lockout = Lockout::default();
        let start = Instant::now();
        assert_eq!(lockout.enter(start), Ok(()));
        assert!(lockout.refused(start));
        assert_eq!(
            lockout.enter(start + Duration::from_secs(1)),
            Err(Duration::from_secs(59))
        );
        let probe = start + PROBE_EVERY;
        assert_eq!(lockout.enter(probe), Ok(()));
        assert_eq!(lockout.enter(probe), Err(PROBE_EVERY), "only one probes");
        assert!(lockout.accepted());
        assert_eq!(lockout.enter(probe), Ok(()));
    }
}
