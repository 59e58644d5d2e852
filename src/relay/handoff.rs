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
const OPTIONAL_TRIES: u32 = 3;

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
        if !self
            .turn
            .parts
            .iter()
            .any(|part| part.part.kind == PartKind::Move)
        {
            // A dead letter that an operator retries: its parts are gone.
            let reason = self
                .turn
                .handoff_reason
                .unwrap_or(HandoffReason::ReplyRejected);
            self.begin_handoff(reason, None, None).await?;
        }
        self.refresh_known().await?;
        self.look(Precedence::Settle).await?;
        for index in 0..self.turn.parts.len() {
            let part = &self.turn.parts[index];
            if matches!(part.state, PartState::Sent | PartState::Abandoned) {
                continue;
            }
            if let Some(flow) = self.held_elsewhere() {
                return Ok(flow);
            }
            match part.part.kind {
                PartKind::Reply => {}
                PartKind::Message | PartKind::Note | PartKind::Topic => {
                    self.write_optional(index).await?;
                }
                PartKind::Move => return self.move_to_humans(index).await,
            }
        }
        Ok(self.held_elsewhere().unwrap_or_else(|| self.handed_off()))
    }

    /// The end, if the conversation is not the bot's any more.
    fn held_elsewhere(&self) -> Option<Flow> {
        let (holder, status) = (self.known.holder.as_ref()?, self.known.status.as_ref()?);
        let with_humans = holder.value.inbox_id.as_ref() == Some(&self.account.handoff_inbox_id);
        if status.value != Status::Closed && with_humans {
            return Some(self.handed_off());
        }
        whose(&self.account.bot, &holder.value, status.value)
            .err()
            .map(Flow::skipped)
    }

    fn handed_off(&self) -> Flow {
        let reason = self.turn.handoff_reason.unwrap_or(HandoffReason::BotError);
        let inbox_id = Some(self.account.handoff_inbox_id.clone());
        let holder = Holder {
            inbox_id,
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
        // Adding a topic twice adds it once, so nobody needs to look for it.
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
        if kind == PartKind::Message {
            match self.post(index).await? {
                Posted::Sent => {}
                // Seen again before the next part.
                Posted::NotOurs(_) => self.mark(index, PartState::Abandoned, None).await?,
                Posted::Refused(why) => tracing::warn!(why, "the handoff message was refused"),
            }
            return Ok(());
        }
        self.write_note_or_topic(index).await
    }

    async fn write_note_or_topic(&mut self, index: usize) -> Result<(), Stop> {
        let permit = self.account.gladly.permit(Precedence::Settle).await?;
        if self.whose_now().await?.is_err() {
            // Seen again before the next part.
            return self.mark(index, PartState::Abandoned, None).await;
        }
        self.mark(index, PartState::Sending, None).await?;
        let id = self.conversation_id();
        let part = &self.turn.parts[index].part;
        let kind = part.kind.as_str();
        let gladly = &self.account.gladly;
        let result = match TopicId::parse(&part.body) {
            Ok(topic) if part.kind == PartKind::Topic => {
                gladly.add_topic(permit, &id, &topic).await.map(|()| None)
            }
            _ => gladly.note(permit, &id, &part.body).await,
        };
        if let Err(error) = self.settle(index, result).await? {
            tracing::warn!(%error, kind, "refused; the handoff goes on without it");
        }
        Ok(())
    }

    async fn move_to_humans(&mut self, index: usize) -> Result<Flow, Stop> {
        let permit = self.account.gladly.permit(Precedence::Settle).await?;
        if let (Err(_), Some(flow)) = (self.whose_now().await?, self.held_elsewhere()) {
            return Ok(flow);
        }
        self.mark(index, PartState::Sending, None).await?;
        let id = self.conversation_id();
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
