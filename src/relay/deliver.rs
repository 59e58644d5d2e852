//! Deliver: the answer's parts, in order, each exactly once.
//!
//! A part is stored as *sending* before its POST. Whoever finds it so looks in
//! the conversation first: Gladly's reply call has no idempotency key.

use std::time::Duration;

use super::policy::{Search, Seen, find_sent};
use super::turn::{Flow, Stop, TurnRun};
use crate::clock::{later, time_until};
use crate::gladly::{GladlyError, Initiator, Item, Listed, Precedence, Refusal, ReplyContent};
use crate::id::ItemId;
use crate::outcome::{HandoffReason, SkipReason};
use crate::store::{PartKind, PartState};
use crate::text::{self, Channel};
use crate::upstream::Effect;

/// How long after its deadline a turn tries to find out what became of a reply.
const UNCLEAR_FOR: Duration = Duration::from_mins(10);
/// What the agent is told if that can't be found out.
const UNCLEAR: &str = "It could not be checked whether the answer arrived.";

/// How a part's POST ended.
pub(super) enum Posted {
    /// It is there.
    Sent,
    /// It was not sent: the conversation is not the bot's any more.
    NotOurs(SkipReason),
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
        let mut rechecked = !self.account.policy.recheck_before_reply;
        for index in 0..self.turn.parts.len() {
            let part = &self.turn.parts[index];
            if part.part.kind != PartKind::Reply || part.state == PartState::Sent {
                continue;
            }
            if part.state == PartState::Sending {
                match self.find_or_give_up(index).await? {
                    Found::Sent => continue,
                    Found::NotThere => self.mark(index, PartState::Pending, None).await?,
                    Found::Unclear => return self.refused(UNCLEAR).await,
                }
                // With nothing sent, the deadline counts again.
                if self.may_give_up() && self.deadline_has_passed() {
                    return Err(Stop::Deadline);
                }
            }
            if !rechecked && self.whose_now().await?.is_ok() {
                self.look(Precedence::Settle).await?;
                rechecked = true;
            }
            match self.post(index).await? {
                Posted::Sent => {}
                Posted::NotOurs(reason) => return Ok(Flow::skipped(reason)),
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

    /// [`TurnRun::find`]; but a conversation that can't be listed for long must
    /// not hold its lane, and so its customer's next messages, for a day.
    async fn find_or_give_up(&mut self, index: usize) -> Result<Found, Stop> {
        let given_up_at = later(self.turn.deadline_at, UNCLEAR_FOR);
        match self.find(index).await {
            Err(Stop::Retry { .. } | Stop::Dead(_)) if self.shared.clock.now() > given_up_at => {
                Ok(Found::Unclear)
            }
            result => result,
        }
    }

    /// Posts a part, if the conversation is still the bot's. The permit comes
    /// first: while it is waited for, a human may take over, and *sending* is
    /// not stored of a call that is not made.
    pub(super) async fn post(&mut self, index: usize) -> Result<Posted, Stop> {
        let Some((item_id, channel)) = self.reply_to() else {
            return Ok(Posted::Refused("no message can be replied to".to_owned()));
        };
        let permit = self
            .in_time(self.account.gladly.permit(Precedence::Reply))
            .await??;
        if let Err(reason) = self.whose_now().await? {
            return Ok(Posted::NotOurs(reason));
        }
        self.mark(index, PartState::Sending, None).await?;
        let part = self.turn.parts[index].part.words();
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
            }) => Ok(Posted::NotOurs(SkipReason::Closed)),
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

    /// Looks for a part that may have been sent. One that does not show may
    /// still be on its way, until the settle time has passed.
    pub(super) async fn find(&mut self, index: usize) -> Result<Found, Stop> {
        let id = self.conversation_id();
        let permit = self.account.gladly.permit(Precedence::Settle).await?;
        let looked_at = self.shared.clock.now();
        let listed = self.account.gladly.items(permit, &id).await;
        let listed = listed.map_err(|error| self.missing_or(error))?;
        match self.find_in(index, &listed) {
            Search::Found(item_id) => {
                tracing::info!(%item_id, "a part of unknown fate was found in the conversation");
                self.mark(index, PartState::Sent, Some(item_id)).await?;
                Ok(Found::Sent)
            }
            Search::NotThere if listed.complete => {
                let sent_at = self.turn.parts[index]
                    .sending_at
                    .unwrap_or(self.turn.received_at);
                let settled_at = later(sent_at, self.account.policy.settle_time);
                let why = "a part of unknown fate may still show".to_owned();
                match time_until(settled_at, looked_at) {
                    Duration::ZERO => Ok(Found::NotThere),
                    left => Err(Stop::Retry {
                        after: Some(left),
                        why,
                    }),
                }
            }
            Search::NotThere | Search::Unclear => Ok(Found::Unclear),
        }
    }

    fn find_in(&self, index: usize, listed: &Listed) -> Search {
        let part = &self.turn.parts[index].part;
        let words = part.words();
        let same_words = |item: &Item| {
            let is_note = item.content.content_type == "CONVERSATION_NOTE";
            match part.kind {
                PartKind::Note => is_note && text::same_note(&part.body, &item.content.text),
                _ => !is_note && text::same_words(&words, &item.content.text),
            }
        };
        let seen: Vec<Seen<'_>> = listed
            .items
            .iter()
            .map(|item| Seen {
                id: &item.id,
                by_customer: item.initiator == Initiator::Customer,
                same_words: same_words(item),
            })
            .collect();
        let own_parts = self
            .turn
            .parts
            .iter()
            .filter_map(|part| part.item_id.as_ref());
        let taken: Vec<ItemId> = self
            .history
            .own_items
            .iter()
            .chain(own_parts)
            .cloned()
            .collect();
        match self.turn.messages.last() {
            Some(message) => find_sent(&seen, &message.item_id, &taken),
            None => Search::Unclear,
        }
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
