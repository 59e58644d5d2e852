//! What a run tells of itself as spans: the turn, once it has ended, and in it each
//! call, whichever process made it.

use jiff::Timestamp;

use super::Run;
use crate::outcome::Outcome;
use crate::relay::turn::{Action, Happened, PartKind};
use crate::telemetry::{Kind, Span, SpanContext};

impl Run {
    fn context(&self) -> SpanContext {
        let turn = &self.turn;
        SpanContext::of_turn(
            &self.account.name,
            turn.conversation_id(),
            turn.id(),
            turn.received_at(),
        )
    }

    /// The words for a call; none for what is none.
    pub(super) fn name_of(&self, action: &Action) -> Option<&'static str> {
        Some(match action {
            Action::Look => "gladly look",
            Action::LookElsewhere(_) => "gladly look at another",
            Action::Fetch(_) => "gladly fetch",
            Action::List(_) => "gladly list",
            Action::Ask(_) => "gleen ask",
            Action::Write(index) => match self.turn.part(*index).map(|part| part.kind) {
                Some(PartKind::Reply) => "gladly reply",
                Some(PartKind::Message) => "gladly message",
                Some(PartKind::Note) => "gladly note",
                Some(PartKind::Topic) => "gladly topic",
                Some(PartKind::Move) | None => "gladly move",
            },
            Action::Merge(_) | Action::Wait { .. } | Action::End(_) => return None,
        })
    }

    pub(super) fn tell_call(&self, name: &'static str, start: Timestamp, happened: &Happened) {
        let failed = matches!(
            happened,
            Happened::Failed(_) | Happened::GleenFailed(_) | Happened::DeadlinePassed
        );
        self.shared.traces.record(|| {
            let turn = self.context();
            Span {
                context: turn.child(),
                parent: Some(turn),
                name,
                kind: Kind::Client,
                start,
                end: self.shared.clock.now().at,
                attributes: vec![("account", self.account.name.to_string())],
                links: Vec::new(),
                failed,
            }
        });
    }

    pub(super) fn tell_turn(&self, outcome: &Outcome) {
        self.shared.traces.record(|| {
            let turn = &self.turn;
            let account = &self.account.name;
            let items = (0..).map_while(|index| turn.item_id(index));
            let dead = matches!(outcome, Outcome::Dead(_));
            // Why a turn is dead is an error's text, which the log has.
            let reason = outcome.reason().filter(|_| !dead).unwrap_or_default();
            Span {
                context: self.context(),
                parent: None,
                name: "turn",
                kind: Kind::Internal,
                start: turn.received_at(),
                end: self.shared.clock.now().at,
                attributes: vec![
                    ("account", account.to_string()),
                    ("conversation_id", turn.conversation_id().to_string()),
                    ("turn_id", turn.id().to_string()),
                    ("outcome", outcome.as_str().to_owned()),
                    ("reason", reason.to_owned()),
                ],
                links: items
                    .map(|item| SpanContext::of_item(account, item))
                    .collect(),
                failed: dead,
            }
        });
    }
}
