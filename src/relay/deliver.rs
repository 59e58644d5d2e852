//! Deliver: the answer's parts, in order, each exactly once.
//!
//! A part is stored as *sending* before its POST. Whoever finds it so looks in
//! the conversation first: Gladly's reply call has no idempotency key.

use super::policy::{Seen, find_sent};
use super::turn::{Flow, Stop, TurnRun};
use crate::gladly::{GladlyError, Initiator, Listed, Precedence, Refusal, ReplyContent};
use crate::id::ItemId;
use crate::outcome::{HandoffReason, SkipReason};
use crate::store::{PartKind, PartState};
use crate::text::{self, Channel, Part};
use crate::upstream::Effect;

/// How a part's POST ended.
pub(super) enum Posted {
    /// It is there.
    Sent,
    /// The conversation is closed.
    Closed,
    /// Gladly won't take it.
    Refused(String),
}

/// What looking for a part that may have been sent showed.
pub(super) enum Found {
    /// It is there; stored as sent.
    Sent,
    /// It is not there.
    NotThere,
    /// Gladly did not list all items, and it is not among those listed.
    Unclear,
}

impl TurnRun {
    pub(super) async fn deliver(&mut self) -> Result<Flow, Stop> {
        let mut rechecked = false;
        for index in 0..self.turn.parts.len() {
            let part = &self.turn.parts[index];
            if part.part.kind != PartKind::Reply || part.state == PartState::Sent {
                continue;
            }
            if part.state == PartState::Sending {
                match self.find(index).await? {
                    Found::Sent => continue,
                    Found::NotThere => self.mark(index, PartState::Pending, None).await?,
                    Found::Unclear => {
                        return self
                            .refused("It could not be checked whether the answer arrived.")
                            .await;
                    }
                }
                // With nothing sent, the deadline counts again.
                self.in_time(async {}).await?;
            }
            if let Err(reason) = self.recheck(&mut rechecked).await? {
                return Ok(Flow::skipped(reason));
            }
            match self.post(index).await? {
                Posted::Sent => {}
                Posted::Closed => return Ok(Flow::skipped(SkipReason::Closed)),
                Posted::Refused(why) => {
                    tracing::error!(why, "Gladly refused the answer");
                    return self.refused("Gladly did not accept the answer.").await;
                }
            }
        }
        Ok(Flow::replied())
    }

    async fn refused(&mut self, detail: &str) -> Result<Flow, Stop> {
        let answer = self.turn.answer.clone();
        self.begin_handoff(
            HandoffReason::ReplyRejected,
            answer.as_deref(),
            Some(detail),
        )
        .await?;
        Ok(Flow::GoOn)
    }

    /// Whether the conversation is still the bot's: by what webhooks have told,
    /// and once a run by looking.
    async fn recheck(&mut self, rechecked: &mut bool) -> Result<Result<(), SkipReason>, Stop> {
        self.refresh_known().await?;
        if self.whose().is_ok()
            && !*rechecked
            && (self.account.policy.recheck_before_reply || self.needs_look())
        {
            self.look(Precedence::Settle).await?;
            *rechecked = true;
        }
        Ok(self.whose())
    }

    /// Posts a part. The permit comes first, so that *sending* is not stored
    /// while the call only waits for its turn.
    pub(super) async fn post(&mut self, index: usize) -> Result<Posted, Stop> {
        let permit = self
            .in_time(self.account.gladly.permit(Precedence::Reply))
            .await??;
        let Some((item_id, channel)) = self.reply_to() else {
            return Ok(Posted::Refused("no message can be replied to".to_owned()));
        };
        self.mark(index, PartState::Sending, None).await?;
        let stored = &self.turn.parts[index].part;
        let part = Part {
            body: stored.body.clone(),
            body_plain: stored.body_plain.clone(),
        };
        let content = ReplyContent {
            channel,
            part: &part,
        };
        let result = self.account.gladly.reply(permit, &item_id, content).await;
        match self.settle(index, result).await? {
            Ok(()) => Ok(Posted::Sent),
            Err(GladlyError::Refused {
                refusal: Refusal::Closed,
                ..
            }) => Ok(Posted::Closed),
            Err(error) => Ok(Posted::Refused(error.to_string())),
        }
    }

    /// Stores what a POST has come to. An inner error is final; the part was
    /// surely not taken.
    pub(super) async fn settle(
        &mut self,
        index: usize,
        result: Result<Option<ItemId>, GladlyError>,
    ) -> Result<Result<(), GladlyError>, Stop> {
        let error = match result {
            Ok(item_id) => {
                self.mark(index, PartState::Sent, item_id).await?;
                return Ok(Ok(()));
            }
            Err(error) => error,
        };
        match &error {
            // Perhaps it is there: it stays *sending*.
            GladlyError::RetryLater {
                effect: Effect::Unknown,
                ..
            } => Err(error.into()),
            GladlyError::RetryLater { .. } | GladlyError::Unauthorised { .. } => {
                self.mark(index, PartState::Pending, None).await?;
                Err(error.into())
            }
            GladlyError::NotFound { .. } | GladlyError::Refused { .. } => {
                self.mark(index, PartState::Abandoned, None).await?;
                Ok(Err(error))
            }
        }
    }

    /// Looks for a part that may have been sent.
    pub(super) async fn find(&mut self, index: usize) -> Result<Found, Stop> {
        let id = self.conversation_id();
        let permit = self.account.gladly.permit(Precedence::Settle).await?;
        let listed = self
            .account
            .gladly
            .items(permit, &id)
            .await
            .map_err(|error| self.missing_or(error))?;
        match self.find_in(index, &listed) {
            Some(item_id) => {
                tracing::info!(%item_id, "a part of unknown fate was found in the conversation");
                self.mark(index, PartState::Sent, Some(item_id)).await?;
                Ok(Found::Sent)
            }
            None if listed.complete => Ok(Found::NotThere),
            None => Ok(Found::Unclear),
        }
    }

    fn find_in(&self, index: usize, listed: &Listed) -> Option<ItemId> {
        let stored = &self.turn.parts[index];
        let part = Part {
            body: stored.part.body.clone(),
            body_plain: stored.part.body_plain.clone(),
        };
        let is_note = stored.part.kind == PartKind::Note;
        let seen = |item: &crate::gladly::Item| {
            let listed_note = item.content.content_type == "CONVERSATION_NOTE";
            let text = &item.content.text;
            if is_note {
                listed_note && text::same_note(&part.body, text)
            } else {
                !listed_note && text::same_words(&part, text)
            }
        };
        let seen: Vec<Seen<'_>> = listed
            .items
            .iter()
            .map(|item| Seen {
                id: &item.id,
                by_customer: item.initiator == Initiator::Customer,
                same_words: seen(item),
            })
            .collect();
        let mut taken = self.history.own_items.clone();
        taken.extend(
            self.turn
                .parts
                .iter()
                .filter_map(|part| part.item_id.clone()),
        );
        find_sent(&seen, &self.turn.messages.last()?.item_id, &taken)
    }

    /// The latest message that can be replied to, and how.
    pub(super) fn reply_to(&self) -> Option<(ItemId, Channel)> {
        let messages = self.turn.messages.iter().zip(&self.gathered).rev();
        let mut repliable = messages.filter_map(|(message, content)| {
            let content = content.as_ref().filter(|content| content.by_customer)?;
            Some((
                message.item_id.clone(),
                Channel::from_content_type(&content.content_type)?,
            ))
        });
        repliable.next()
    }
}
