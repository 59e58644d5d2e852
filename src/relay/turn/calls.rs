//! How many calls to Gladly a turn needs, and which of them belong together: what
//! a look showed must not grow old while the next call waits for its permit.

use super::parts::Progress;
use super::{Action, PartKind, Step, Turn};
use crate::config::Policy;

impl Turn {
    /// How many calls belong together, beginning with that of this action; none if
    /// it makes no call.
    pub fn calls_together(&self, action: &Action) -> u32 {
        match (action, self.state.step) {
            (Action::Look, Step::Gather) if !self.messages.is_empty() => 2,
            (Action::Look, Step::Deliver | Step::HandOff) => 1 + self.writes_left(),
            (Action::Write(index), _) if !self.is_move(*index) => self.writes_left().max(1),
            (
                Action::Look
                | Action::LookElsewhere(_)
                | Action::Fetch(_)
                | Action::List(_)
                | Action::Write(_),
                _,
            ) => 1,
            (Action::Ask(_) | Action::Merge(_) | Action::Wait { .. } | Action::End(_), _) => 0,
        }
    }

    /// How many calls it still needs, if nothing fails; none that others have to wait
    /// for, if it is late already.
    pub fn calls_left(&self, policy: &Policy) -> u32 {
        if self.waits_overdue() {
            return 0;
        }
        let look = u32::from(policy.recheck_before_reply);
        match self.state.step {
            Step::Gather => 2 + look,
            Step::Ask => 1 + look,
            Step::Deliver => look + self.writes_left(),
            Step::HandOff if self.state.hurried => self.writes_left(),
            Step::HandOff => 1 + self.writes_left(),
        }
    }

    /// Whether it has cost nothing yet, and may be given up.
    pub fn may_be_given_up(&self) -> bool {
        let read = self.words.contents.iter().any(Option::is_some);
        self.state.step == Step::Gather && !read && !self.overdue && !self.messages.is_empty()
    }

    fn is_move(&self, index: usize) -> bool {
        self.part(index)
            .is_some_and(|part| part.kind == PartKind::Move)
    }

    /// What is still to be written, if nothing fails.
    fn writes_left(&self) -> u32 {
        let is_left = |index: &usize| {
            let part = self.part_state(*index);
            let pending = part.progress == Progress::Pending;
            pending && (self.is_to_be_tried(*index) || !self.is_optional(*index))
        };
        let left = (0..self.words.parts.len()).filter(is_left).count();
        u32::try_from(left).unwrap_or(u32::MAX)
    }
}
