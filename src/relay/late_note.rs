//! Notes that were left out because others waited for every call: written when
//! nobody waits any more. Nothing depends on them, so nothing of them is stored,
//! and a stop of the relay forgets them.
//!
//! Much may have happened since the move, so each comes after a look of its own,
//! and not at all once the bot has answered there, or handed over, again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::driving::Driving;
use super::{Account, Shared};
use crate::conversation::{Facts, Look};
use crate::gladly::{Admission, Ask, Conversation, GladlyError, Permits, Precedence};
use crate::id::ConversationId;
use crate::upstream::Effect;

/// A note is of use to the agent for so long.
const OF_USE_FOR: Duration = Duration::from_mins(10);
/// The most notes of one account that wait for room.
const MOST: usize = 1_000;
/// How long to wait after a call that failed, at least.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// One account's notes that wait.
#[derive(Debug, Default)]
pub(super) struct LateNotes(Mutex<HashMap<ConversationId, CancellationToken>>);

impl LateNotes {
    /// The bot has answered in this conversation, or handed it over, again: a note
    /// about its past would be false by now.
    pub(super) fn forget(&self, conversation_id: &ConversationId) {
        if let Some(forgotten) = self.waiting().remove(conversation_id) {
            forgotten.cancel();
        }
    }

    /// Takes a place among those that wait, unless too many do. Cancelled once it
    /// is forgotten.
    fn enter(&self, conversation_id: &ConversationId) -> Option<CancellationToken> {
        let mut waiting = self.waiting();
        if waiting.len() >= MOST {
            return None;
        }
        let forgotten = CancellationToken::new();
        let before = waiting.insert(conversation_id.clone(), forgotten.clone());
        if let Some(before) = before {
            before.cancel();
        }
        Some(forgotten)
    }

    /// Leaves its place, which another may have taken.
    fn leave(&self, conversation_id: &ConversationId, forgotten: &CancellationToken) {
        if !forgotten.is_cancelled() {
            self.waiting().remove(conversation_id);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<ConversationId, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A note that waits for room.
pub(super) struct LateNote {
    pub(super) shared: Arc<Shared>,
    pub(super) account: Arc<Account>,
    pub(super) conversation_id: ConversationId,
    pub(super) note: String,
}

/// Why a note is not written now.
enum NotNow {
    /// It is of no use any more, or may be there.
    Never,
    /// Nothing was written; Gladly asked to wait so long.
    Later(Option<Duration>),
}

impl LateNote {
    /// Writes it when there is room, unless too many wait already.
    pub(super) fn spawn(self, driving: Arc<Driving>) {
        let Some(forgotten) = self.account.late_notes.enter(&self.conversation_id) else {
            return;
        };
        tokio::spawn(async move {
            let writing = timeout(OF_USE_FOR, self.write());
            let writing = forgotten.run_until_cancelled(writing);
            let clock = self.shared.clock.clone();
            let writing = driving.only_while_held(&*clock, Box::pin(writing));
            if let Some(Some(Ok(Some(())))) = driving.let_go.run_until_cancelled(writing).await {
                self.shared.metrics.note_written_later(&self.account.name);
            }
            let notes = &self.account.late_notes;
            notes.leave(&self.conversation_id, &forgotten);
        });
    }

    /// None if it must not be written any more.
    async fn write(&self) -> Option<()> {
        loop {
            match self.try_write().await {
                Ok(()) => return Some(()),
                Err(NotNow::Never) => return None,
                Err(NotNow::Later(after)) => {
                    sleep(after.unwrap_or_default().max(AFTER_FAILURE)).await;
                }
            }
        }
    }

    async fn try_write(&self) -> Result<(), NotNow> {
        let (account, id) = (&self.account, &self.conversation_id);
        let mut permits = self.permits(2).await?;
        let permit = permits.take().ok_or(NotNow::Later(None))?;
        let at = self.shared.clock.now();
        let Conversation { holder, status } = account.gladly.conversation(permit, id).await?;
        let look = Look {
            base: 0,
            holder,
            status,
            at,
        };
        let cleared = Facts::clear_note_later(id, &account.handoff_inbox_id, &look);
        let clearance = cleared.ok_or(NotNow::Never)?;
        let permit = match permits.take() {
            Some(permit) => permit,
            // Where the limit leaves no room for two at once.
            None => self.permits(1).await?.take().ok_or(NotNow::Later(None))?,
        };
        account.gladly.note(permit, clearance, &self.note).await?;
        Ok(())
    }

    async fn permits(&self, calls: u32) -> Result<Permits, NotNow> {
        let ask = Ask {
            calls,
            ..Ask::one(Precedence::Later, Instant::now() + OF_USE_FOR)
        };
        match self.account.gladly.permits(ask).await? {
            Admission::Granted(permits) => Ok(permits),
            Admission::TooLate => Err(NotNow::Never),
        }
    }
}

impl From<GladlyError> for NotNow {
    fn from(error: GladlyError) -> Self {
        match error {
            GladlyError::RetryLater {
                effect: Effect::None,
                after,
                ..
            } => Self::Later(after),
            GladlyError::Unauthorised { after, .. } => Self::Later(Some(after)),
            GladlyError::Stale { .. } => Self::Later(None),
            GladlyError::RetryLater { .. }
            | GladlyError::Moved { .. }
            | GladlyError::NotFound { .. }
            | GladlyError::Refused { .. } => Self::Never,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_forgotten_once_something_new_happened_and_no_newer_one_with_it() {
        let notes = LateNotes::default();
        let id = ConversationId::parse("c").unwrap();
        let first = notes.enter(&id).unwrap();
        notes.forget(&id);
        assert!(first.is_cancelled());
        let second = notes.enter(&id).unwrap();
        notes.leave(&id, &first);
        assert!(!second.is_cancelled());
        let third = notes.enter(&id).unwrap();
        assert!(second.is_cancelled(), "one note is enough");
        notes.leave(&id, &third);
        assert!(notes.waiting().is_empty());
    }

    #[test]
    fn so_many_notes_wait_and_no_more() {
        let notes = LateNotes::default();
        let id = |number: usize| ConversationId::parse(&number.to_string()).unwrap();
        assert!((0..MOST).all(|number| notes.enter(&id(number)).is_some()));
        assert!(notes.enter(&id(MOST)).is_none());
        notes.forget(&id(0));
        assert!(notes.enter(&id(MOST)).is_some());
    }
}
