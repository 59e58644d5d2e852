//! The sessions of who has signed in, in memory: a restart ends them.
//!
//! A session's id is random and is not the password. Only its digest is kept, so that
//! looking it up tells nothing by its time.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::clock::later;

/// How long after its beginning a session ends: a working day.
pub(in crate::http) const LASTS: Duration = Duration::from_hours(12);
/// The most at a time; the oldest makes room.
const MOST: usize = 100;

type IdDigest = [u8; 32];

/// All that go on, with their ends.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<IdDigest, Timestamp>>);

impl Sessions {
    /// Begins one: its id. None if the system gives no random bytes.
    pub(super) fn begin(&self, now: Timestamp) -> Option<String> {
        let mut bytes = [0; 32];
        aws_lc_rs::rand::fill(&mut bytes).ok()?;
        let id = URL_SAFE_NO_PAD.encode(bytes);
        let mut sessions = self.sessions();
        sessions.retain(|_, ends_at| *ends_at > now);
        if sessions.len() >= MOST {
            let oldest = sessions.iter().min_by_key(|(_, ends_at)| **ends_at);
            let oldest = oldest.map(|(id, _)| *id);
            oldest.and_then(|oldest| sessions.remove(&oldest));
        }
        sessions.insert(digest(&id), later(now, LASTS));
        Some(id)
    }

    /// Whether it goes on.
    pub(super) fn holds(&self, id: &str, now: Timestamp) -> bool {
        let sessions = self.sessions();
        sessions
            .get(&digest(id))
            .is_some_and(|ends_at| *ends_at > now)
    }

    /// Ends one.
    pub(super) fn end(&self, id: &str) {
        self.sessions().remove(&digest(id));
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<IdDigest, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest(id: &str) -> IdDigest {
    Sha256::digest(id).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_goes_on_until_it_is_ended_or_over() {
        let (sessions, now) = (Sessions::default(), Timestamp::UNIX_EPOCH);
        let [one, other] = [(); 2].map(|()| sessions.begin(now).unwrap());
        assert_ne!(one, other);
        assert!(sessions.holds(&one, now) && sessions.holds(&other, now));
        assert!(!sessions.holds("", now) && !sessions.holds(&one[1..], now));
        sessions.end(&one);
        assert!(!sessions.holds(&one, now) && sessions.holds(&other, now));
        assert!(!sessions.holds(&other, later(now, LASTS)));
    }

    #[test]
    fn there_are_only_so_many_and_the_oldest_makes_room() {
        let sessions = Sessions::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        let ids: Vec<_> = (0..=100)
            .map(|second| sessions.begin(at(second)).unwrap())
            .collect();
        assert!(!sessions.holds(&ids[0], at(100)));
        assert!(ids[1..].iter().all(|id| sessions.holds(id, at(100))));
    }
}
