//! What a run reads from Gladly: who has the conversation, and what was written in it.

use std::future::Future;

use super::Run;
use crate::clock::time_until;
use crate::conversation::Look;
use crate::gladly::{Conversation, GladlyError, Permit};
use crate::id::ConversationId;
use crate::relay::turn::{Happened, Purpose};

impl Run {
    pub(super) async fn look(&mut self, permit: Permit) -> Happened {
        let (id, account) = (self.target(), self.account.clone());
        let at = self.shared.clock.now();
        let looking = async { Ok((at, account.gladly.conversation(permit, &id).await?)) };
        let looked: Result<_, GladlyError> = match self.in_time(looking).await {
            None => return Happened::DeadlinePassed,
            Some(looked) => looked,
        };
        match looked {
            Err(error) => Happened::Failed(error),
            Ok((at, Conversation { holder, status })) => {
                let look = Look {
                    base: self.revision,
                    holder,
                    status,
                    at,
                };
                self.standing.known.facts.see(&self.account.bot, &look);
                self.turn.saw(look);
                Happened::Looked
            }
        }
    }

    pub(super) async fn look_elsewhere(&self, permit: Permit, id: &ConversationId) -> Happened {
        let looking = self.account.gladly.conversation(permit, id);
        self.came_of(looking, |_| Happened::LookedElsewhere).await
    }

    pub(super) async fn fetch(&self, permit: Permit, index: usize) -> Happened {
        let Some(item_id) = self.turn.item_id(index) else {
            return Happened::Claimed;
        };
        let fetching = self.account.gladly.item(permit, item_id);
        self.came_of(fetching, |item| Happened::Fetched(Box::new(item)))
            .await
    }

    pub(super) async fn list(&self, permit: Permit, purpose: Purpose) -> Happened {
        tracing::debug!(?purpose, "listing the conversation's items");
        let id = self.target();
        let listing = self.account.gladly.items(permit, &id);
        self.came_of(listing, Happened::Listed).await
    }

    async fn came_of<T>(
        &self,
        call: impl Future<Output = Result<T, GladlyError>>,
        happened: impl FnOnce(T) -> Happened,
    ) -> Happened {
        match self.in_time(call).await {
            None => Happened::DeadlinePassed,
            Some(Ok(value)) => happened(value),
            Some(Err(error)) => Happened::Failed(error),
        }
    }

    /// Waits for `work`, but no longer than the deadline where that ends it. Only
    /// for work that may be dropped anywhere.
    pub(super) async fn in_time<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        if !self.turn.is_cut_by_deadline() {
            return Some(work.await);
        }
        let left = time_until(self.turn.deadline_at(), self.shared.clock.now().at);
        // A timeout of nothing still lets work through that is done at once.
        if left.is_zero() {
            return None;
        }
        tokio::time::timeout(left, work).await.ok()
    }
}
