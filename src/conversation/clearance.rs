//! Permission for one write into a conversation, used up by the call that it
//! allows.

use crate::clock::Moment;
use crate::id::ConversationId;

use super::facts::is_fresh;

/// Allows one write into one conversation, for as long as it is fresh. Only
/// [`super::Facts`] makes one; it can't be copied.
#[derive(Debug)]
#[must_use = "a clearance that is not spent was not needed"]
pub struct Clearance {
    conversation_id: ConversationId,
    /// From when its age counts.
    true_at: Moment,
}

/// The facts behind a clearance had grown old before the call was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the clearance is too old; look at the conversation again")]
pub struct Stale;

impl Clearance {
    /// For the facts alone.
    pub(super) const fn new(conversation_id: ConversationId, true_at: Moment) -> Self {
        Self {
            conversation_id,
            true_at,
        }
    }

    /// Uses it up for a write into the conversation that is returned.
    ///
    /// # Errors
    /// [`Stale`] if it is older than what is believed without a look.
    pub fn spend(self, now: Moment) -> Result<ConversationId, Stale> {
        let fresh = self.true_at.age(now).is_some_and(is_fresh);
        if fresh {
            Ok(self.conversation_id)
        } else {
            Err(Stale)
        }
    }
}
