//! Some of the dead letters, however many there are. Pure.

use std::collections::BTreeMap;

use super::types::{DeadLetter, DeadLetterId};
use crate::id::AccountName;

/// What dead letters of an account have in common: what happened, and what can be done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cause {
    /// Whose they are.
    pub account: AccountName,
    /// What happened.
    pub error: String,
    /// The webhooks' type, if they are webhooks.
    pub event_type: Option<String>,
    /// They are turns, and can be retried.
    pub is_turn: bool,
    /// The bot may have answered.
    pub may_have_written: bool,
}

/// Which dead letters, oldest first. What is none does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LetterQuery {
    /// Whose.
    pub account: Option<AccountName>,
    /// What happened.
    pub error: Option<String>,
    /// Those that come after this one.
    pub after: Option<DeadLetterId>,
    /// At most so many.
    pub limit: Option<usize>,
}

impl Cause {
    /// What this one died of.
    pub fn of(letter: &DeadLetter) -> Self {
        Self {
            account: letter.account.clone(),
            error: letter.error.clone(),
            event_type: letter.event_type.clone(),
            is_turn: letter.turn_id.is_some(),
            may_have_written: letter.may_have_written,
        }
    }

    /// Those that are turns and those that are not, of so many; those that there are.
    pub(super) fn split(self, all: i64, turns: i64) -> impl Iterator<Item = (Self, u64)> {
        let others = Self {
            is_turn: false,
            ..self.clone()
        };
        let counted = [(self, turns), (others, all - turns)];
        let counted = counted.into_iter();
        let counted = counted.map(|(cause, count)| (cause, u64::try_from(count).unwrap_or(0)));
        counted.filter(|(_, count)| *count > 0)
    }

    /// All causes and how many died of each.
    pub(super) fn count(letters: &[DeadLetter]) -> Vec<(Self, u64)> {
        let mut causes: BTreeMap<Self, u64> = BTreeMap::new();
        for letter in letters {
            *causes.entry(Self::of(letter)).or_default() += 1;
        }
        causes.into_iter().collect()
    }
}

impl LetterQuery {
    /// Whether it asks for this one.
    pub(super) fn asks_for(&self, letter: &DeadLetter) -> bool {
        self.after.is_none_or(|after| letter.id > after)
            && self
                .account
                .as_ref()
                .is_none_or(|account| *account == letter.account)
            && self
                .error
                .as_ref()
                .is_none_or(|error| *error == letter.error)
    }
}
