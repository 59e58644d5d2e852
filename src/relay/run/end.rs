//! Stores how a turn ended, and tells whoever wants to know.

use std::time::Duration;

use super::Run;
use crate::clock::time_until;
use crate::conversation::Holder;
use crate::outcome::Outcome;
use crate::relay::late_note::LateNote;
use crate::relay::news::News;
use crate::store::Progress;

impl Run {
    pub(super) async fn end(mut self, outcome: Outcome) {
        let holder = self.standing.known.facts.holder().cloned();
        let at = self.shared.clock.now().at;
        self.turn.tell_end(&outcome, holder.as_ref(), at);
        let progress = self
            .turn
            .ended(outcome.clone(), self.account.calls_per_second);
        let counts = progress != Progress::Forgotten;
        if self.save(Vec::new(), progress, false).await.is_ok() && counts {
            let now = self.shared.clock.now().at;
            let took = time_until(now, self.turn.received_at());
            self.shared.metrics.turn(&self.account.name, &outcome, took);
            let news = News::Turn(self.news.clone().ended(&outcome, now));
            self.shared.newsroom.tell(news);
            let left_to = matches!(outcome, Outcome::Skipped(_))
                .then(|| self.standing.known.facts.holder())
                .flatten();
            log_end(&outcome, took, left_to);
            if !matches!(outcome, Outcome::Skipped(_)) {
                self.account.late_notes.forget(&self.target());
            }
            self.write_note_later();
            self.tell_turn(&outcome);
        }
    }

    /// A note that was left out is written when there is room; a stop forgets it.
    fn write_note_later(&self) {
        let Some(note) = self.turn.note_left_out() else {
            return;
        };
        self.shared.metrics.note_left_out(&self.account.name);
        let late = LateNote {
            shared: self.shared.clone(),
            account: self.account.clone(),
            conversation_id: self.target(),
            note: note.to_owned(),
        };
        late.spawn(self.driving.clone());
    }
}

/// `left_to` is who has it, where the relay left it alone.
fn log_end(outcome: &Outcome, took: Duration, left_to: Option<&Holder>) {
    let (word, reason) = (outcome.as_str(), outcome.reason().unwrap_or_default());
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    if matches!(outcome, Outcome::Dead(_)) {
        tracing::error!(
            outcome = word,
            reason,
            took_ms,
            "the turn is a dead letter: a person must look"
        );
    } else {
        let inbox_id = left_to.map(|holder| holder.inbox_id.to_string());
        let agent_id = left_to.map(|holder| holder.agent_id.to_string());
        tracing::info!(
            outcome = word,
            reason,
            took_ms,
            inbox_id,
            agent_id,
            "the turn ended"
        );
    }
}
