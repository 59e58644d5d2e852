//! Handoff: tell the customer (if configured), tell the agent, move.
//!
//! All but the move may fail without stopping it. Each run looks first who
//! holds the conversation: a human who has it already is left alone.

use super::deliver::{Found, Posted};
use super::policy::{asked, whose};
use super::turn::{Ended, Flow, Stop, TurnRun};
use crate::conversation::{Holder, Status};
use crate::gladly::{GladlyError, Precedence, Refusal};
use crate::id::{ConversationId, TopicId};
use crate::outcome::{HandoffReason, Outcome, SkipReason};
use crate::store::{Checkpoint, NewPart, PartKind, PartState, Step};
use crate::text::{self, NoteFacts};

/// How often a part that the move can do without is tried.
const OPTIONAL_TRIES: u32 = 2;

impl TurnRun {
    /// Stores that a human is needed, and all that the handoff will write.
    pub(super) async fn begin_handoff(
        &mut self,
        reason: HandoffReason,
        bot_answer: Option<&str>,
        detail: Option<&str>,
    ) -> Result<(), Stop> {
        let parts = self.handoff_parts(reason, bot_answer, detail);
        self.checkpoint(Checkpoint::HandingOff {
            reason,
            parts: parts.clone(),
        })
        .await?;
        self.add_parts(parts);
        self.turn.handoff_reason = Some(reason);
        self.turn.step = Step::HandOff;
        Ok(())
    }

    fn handoff_parts(
        &self,
        reason: HandoffReason,
        bot_answer: Option<&str>,
        detail: Option<&str>,
    ) -> Vec<NewPart> {
        let part = |kind, body: String| NewPart {
            kind,
            body,
            body_plain: None,
        };
        let policy = &self.account.policy;
        let contents = self.contents();
        let customer_asked = asked(policy, &contents);
        let attachments: Vec<String> = contents
            .iter()
            .flat_map(|message| message.attachments.clone())
            .collect();
        let note = text::note(&NoteFacts {
            reason,
            customer_asked: customer_asked.as_deref(),
            bot_answer,
            attachments: &attachments,
            detail,
            at: &self
                .shared
                .clock
                .now()
                .strftime("%Y-%m-%d %H:%M UTC")
                .to_string(),
        });
        let mut parts = Vec::new();
        if let (Some(message), Some((_, channel))) = (&policy.handoff_message, self.reply_to()) {
            // One too long for the channel is left out: the move matters more.
            let written = text::write_plain(channel, message).unwrap_or_default();
            parts.extend(written.into_iter().map(|written| NewPart {
                kind: PartKind::Message,
                body: written.body,
                body_plain: written.body_plain,
            }));
        }
        parts.push(part(PartKind::Note, note));
        parts.extend(
            policy
                .handoff_topic_id
                .iter()
                .map(|topic| part(PartKind::Topic, topic.to_string())),
        );
        parts.push(part(
            PartKind::Move,
            self.account.handoff_inbox_id.to_string(),
        ));
        parts
    }

    pub(super) async fn hand_off(&mut self) -> Result<Flow, Stop> {
        self.refresh_known().await?;
        self.look(Precedence::Settle).await?;
        if let Some(flow) = self.held_elsewhere() {
            return Ok(flow);
        }
        for index in 0..self.turn.parts.len() {
            let part = &self.turn.parts[index];
            if matches!(part.state, PartState::Sent | PartState::Abandoned) {
                continue;
            }
            match part.part.kind {
                PartKind::Reply => {}
                PartKind::Message | PartKind::Note | PartKind::Topic => {
                    self.write_optional(index).await?;
                }
                PartKind::Move => return self.move_to_humans(index).await,
            }
        }
        Err(Stop::Dead("the handoff has no move to make".to_owned()))
    }

    /// The end, if the conversation is not the bot's any more.
    fn held_elsewhere(&self) -> Option<Flow> {
        let (holder, status) = (self.known.holder.as_ref()?, self.known.status.as_ref()?);
        if status.value != Status::Closed
            && holder.value.inbox_id.as_ref() == Some(&self.account.handoff_inbox_id)
        {
            return Some(self.handed_off());
        }
        whose(&self.account.bot, &holder.value, status.value)
            .err()
            .map(Flow::skipped)
    }

    fn handed_off(&self) -> Flow {
        let reason = self.turn.handoff_reason.unwrap_or(HandoffReason::BotError);
        let holder = Holder {
            inbox_id: Some(self.account.handoff_inbox_id.clone()),
            agent_id: None,
        };
        Flow::End(Ended {
            outcome: Outcome::HandedOff(reason),
            holder: Some(holder),
        })
    }

    /// Writes a message, note or topic, or gives it up after a few tries.
    async fn write_optional(&mut self, index: usize) -> Result<(), Stop> {
        let part = &self.turn.parts[index];
        let kind = part.part.kind;
        if part.state == PartState::Sending && kind != PartKind::Topic {
            match self.find(index).await? {
                Found::Sent => return Ok(()),
                Found::NotThere => self.mark(index, PartState::Pending, None).await?,
                // A second note would be worse than none.
                Found::Unclear => return self.mark(index, PartState::Abandoned, None).await,
            }
        }
        if self.turn.parts[index].attempts >= OPTIONAL_TRIES {
            tracing::warn!(
                kind = kind.as_str(),
                "given up; the handoff goes on without it"
            );
            return self.mark(index, PartState::Abandoned, None).await;
        }
        match kind {
            PartKind::Message => match self.post(index).await? {
                Posted::Sent => {}
                Posted::Closed => tracing::warn!("the handoff message met a closed conversation"),
                Posted::Refused(why) => tracing::warn!(why, "the handoff message was refused"),
            },
            _ => self.write_note_or_topic(index).await?,
        }
        Ok(())
    }

    async fn write_note_or_topic(&mut self, index: usize) -> Result<(), Stop> {
        let permit = self.account.gladly.permit(Precedence::Settle).await?;
        self.mark(index, PartState::Sending, None).await?;
        let id = self.conversation_id();
        let part = &self.turn.parts[index].part;
        let gladly = &self.account.gladly;
        let result = match (part.kind, TopicId::parse(&part.body)) {
            (PartKind::Topic, Ok(topic)) => {
                gladly.add_topic(permit, &id, &topic).await.map(|()| None)
            }
            _ => gladly.note(permit, &id, &part.body).await,
        };
        let kind = part.kind.as_str();
        if let Err(error) = self.settle(index, result).await? {
            tracing::warn!(%error, kind, "refused; the handoff goes on without it");
        }
        Ok(())
    }

    async fn move_to_humans(&mut self, index: usize) -> Result<Flow, Stop> {
        let id = self.conversation_id();
        let permit = self.account.gladly.permit(Precedence::Settle).await?;
        self.mark(index, PartState::Sending, None).await?;
        let mut result = self.assign(permit, &id, true).await;
        if matches!(
            result,
            Err(GladlyError::Refused {
                refusal: Refusal::Agent,
                ..
            })
        ) {
            let permit = self.account.gladly.permit(Precedence::Settle).await?;
            result = self.assign(permit, &id, false).await;
        }
        match result {
            Ok(()) => {
                self.mark(index, PartState::Sent, None).await?;
                Ok(self.handed_off())
            }
            Err(GladlyError::Refused {
                refusal: Refusal::Closed,
                ..
            }) => Ok(Flow::skipped(SkipReason::Closed)),
            Err(error) => Err(self.missing_or(error)),
        }
    }

    async fn assign(
        &self,
        permit: crate::gladly::Permit,
        id: &ConversationId,
        name_no_agent: bool,
    ) -> Result<(), GladlyError> {
        self.account
            .gladly
            .assign(permit, id, &self.account.handoff_inbox_id, name_no_agent)
            .await
    }
}
