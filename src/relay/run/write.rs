//! Writes into Gladly: what may be there is stored first, and what is known then must
//! clear the call.

use super::{LetGo, Run};
use crate::conversation::Clearance;
use crate::gladly::{GladlyError, Permit, Refusal, ReplyContent};
use crate::id::{ItemId, TopicId};
use crate::relay::turn::{Happened, PartKind};

impl Run {
    /// Writes a part into Gladly. The permit came first: while it was waited for, a
    /// human may have taken over. Now it is stored that the part may be there; what
    /// the store knows at that moment must clear the call.
    pub(super) async fn write(&mut self, permit: Permit, index: usize) -> Result<Happened, LetGo> {
        let now = self.shared.clock.now();
        self.turn.begin_write(index, now);
        self.save_running(Vec::new(), true).await?;
        let Ok(clearance) = self.clear_write(index) else {
            return Ok(Happened::NotMade);
        };
        self.turn.begin_sending(index, self.shared.clock.now());
        let written = self.call(permit, clearance, index).await;
        Ok(written.map_or_else(Happened::Failed, Happened::Written))
    }

    /// The one place where a write is cleared.
    fn clear_write(&self, index: usize) -> Result<Clearance, ()> {
        let now = self.shared.clock.now();
        let target = self.target();
        let kind = self.turn.part(index).map(|part| part.kind);
        let (moved, unseen) = (self.turn.has_moved(), self.turn.is_moving_unseen());
        let facts = &self.standing.known.facts;
        match kind {
            Some(PartKind::Note) if moved => facts.clear_note_after_move(&target, now).ok_or(()),
            Some(PartKind::Move) if unseen => facts
                .clear_move_unseen(&target, &self.account.bot, now)
                .ok_or(()),
            _ => self.clear(),
        }
    }

    fn clear(&self) -> Result<Clearance, ()> {
        let (target, since) = (self.target(), self.turn.since());
        let now = self.shared.clock.now();
        let facts = &self.standing.known.facts;
        if !self.turn.has_look(facts, now) {
            return Err(());
        }
        facts
            .clear(&target, &self.account.bot, since, now)
            .map_err(drop)
    }

    async fn call(
        &self,
        permit: Permit,
        clearance: Clearance,
        index: usize,
    ) -> Result<Option<ItemId>, GladlyError> {
        let account = self.account.clone();
        let gladly = &account.gladly;
        let reply_to = self.turn.reply_to();
        let leave_out = self.turn.leaves_agent_out();
        let Some(part) = self.turn.part(index).cloned() else {
            return Err(impossible("write"));
        };
        match part.kind {
            PartKind::Reply | PartKind::Message => {
                let Some((item_id, channel)) = reply_to else {
                    return Err(impossible("reply"));
                };
                let words = part.words();
                let content = ReplyContent {
                    channel,
                    part: &words,
                };
                if part.kind == PartKind::Message {
                    gladly.message(permit, clearance, &item_id, content).await
                } else {
                    gladly.reply(permit, clearance, &item_id, content).await
                }
            }
            PartKind::Note => gladly.note(permit, clearance, &part.body).await,
            PartKind::Topic => match TopicId::parse(&part.body) {
                Ok(topic) => gladly
                    .add_topic(permit, clearance, &topic)
                    .await
                    .map(|()| None),
                Err(_) => Err(impossible("add_topic")),
            },
            PartKind::Move => gladly
                .assign(permit, clearance, &account.handoff_inbox_id, !leave_out)
                .await
                .map(|()| None),
        }
    }
}

/// A call that can't be made, however often: as if Gladly refused it.
fn impossible(operation: &'static str) -> GladlyError {
    GladlyError::Refused {
        operation,
        refusal: Refusal::Other,
        codes: "there is nothing to write, or nobody to write to".to_owned(),
    }
}
