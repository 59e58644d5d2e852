//! Whose is the conversation: what webhooks have told, and looking for oneself.
//!
//! Every call that changes something is preceded by [`TurnRun::refresh_known`]
//! and [`TurnRun::whose`] *after* its permit, because waiting for a permit may
//! take long, and by a look if what is known has grown old.

use std::time::Duration;

use super::policy;
use super::turn::{Stop, TurnRun};
use crate::gladly::{GladlyError, Precedence};
use crate::id::ConversationId;
use crate::outcome::SkipReason;

/// Times are stored in milliseconds; what a webhook tells of the very one in
/// which a look was begun may have come after it, and must win.
const SHORTLY: Duration = Duration::from_millis(1);

impl TurnRun {
    /// Where to read and write: a merge may have left another conversation.
    pub(super) fn conversation_id(&self) -> ConversationId {
        let survivor = self.known.merged_into.as_ref();
        survivor.unwrap_or(&self.turn.conversation_id).clone()
    }

    /// Looks at the conversation in Gladly and remembers what is there.
    ///
    /// It counts as of when the call was made: a takeover that a webhook tells
    /// of while the answer is on its way is newer.
    pub(super) async fn look(&mut self, precedence: Precedence) -> Result<(), Stop> {
        let id = self.conversation_id();
        let gladly = &self.account.gladly;
        let looking = async {
            let permit = gladly.permit(precedence).await?;
            let at = self.shared.clock.now() - SHORTLY;
            Ok((at, gladly.conversation(permit, &id).await?))
        };
        let looked: Result<_, GladlyError> = self.in_time(looking).await?;
        let (at, conversation) = looked.map_err(|error| self.missing_or(error))?;
        let (holder, status) = (conversation.holder, conversation.status);
        let store = &self.shared.store;
        store
            .looked(&self.turn.account, &id, holder, status, at)
            .await?;
        self.refresh_known().await
    }

    /// Learns what webhooks have told since the turn was claimed.
    pub(super) async fn refresh_known(&mut self) -> Result<(), Stop> {
        let (account, id) = (&self.turn.account, &self.turn.conversation_id);
        self.known = self.shared.store.known(account, id).await?;
        Ok(())
    }

    /// Whether what is known is too old or unclear to act on.
    pub(super) fn needs_look(&self) -> bool {
        let times = self.turn.messages.iter().map(|message| message.occurred_at);
        let last_message_at = times.max().unwrap_or(self.turn.received_at);
        policy::needs_look(&self.known, last_message_at, self.shared.clock.now())
    }

    /// Whose the conversation is, by what is known.
    pub(super) fn whose(&self) -> Result<(), SkipReason> {
        policy::whose_by_known(&self.account.bot, &self.known)
    }

    /// Whose it is at this moment, as far as can be known without a call, or
    /// with one if what is known has grown old.
    pub(super) async fn whose_now(&mut self) -> Result<Result<(), SkipReason>, Stop> {
        self.refresh_known().await?;
        if self.whose().is_ok() && self.needs_look() {
            self.look(Precedence::Settle).await?;
        }
        Ok(self.whose())
    }
}
