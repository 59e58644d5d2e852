//! Notes that were left out because others waited for every call: written when
//! nobody waits any more. Nothing depends on them, so nothing of them is stored,
//! and a stop of the relay forgets them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Account, Shared};
use crate::conversation::Facts;
use crate::gladly::{Admission, Ask, Precedence};
use crate::id::ConversationId;

/// A note is of use to the agent for so long.
const OF_USE_FOR: Duration = Duration::from_mins(10);

/// A note that waits for room.
pub(super) struct LateNote {
    pub(super) shared: Arc<Shared>,
    pub(super) account: Arc<Account>,
    pub(super) target: ConversationId,
    /// As of the move: only a conversation that the relay itself moved gets it.
    pub(super) facts: Facts,
    pub(super) note: String,
}

impl LateNote {
    /// Writes it when there is room, unless too many wait already.
    pub(super) fn spawn(self, stop: CancellationToken) {
        let Ok(place) = self.account.late_notes.clone().try_acquire_owned() else {
            return;
        };
        tokio::spawn(async move {
            let writing = tokio::time::timeout(OF_USE_FOR, self.write());
            if let Some(Ok(Some(()))) = stop.run_until_cancelled(writing).await {
                self.shared.metrics.note_written_later(&self.account.name);
            }
            drop(place);
        });
    }

    async fn write(&self) -> Option<()> {
        let gladly = &self.account.gladly;
        let ask = Ask::one(Precedence::Later, Instant::now() + OF_USE_FOR);
        let Ok(Admission::Granted(mut permits)) = gladly.permits(ask).await else {
            return None;
        };
        let now = self.shared.clock.now();
        let clearance = self.facts.clear_note_after_move(&self.target, now)?;
        let written = gladly.note(permits.take()?, clearance, &self.note).await;
        written.ok().map(drop)
    }
}
