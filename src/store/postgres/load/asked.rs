//! What a batch can ask at once, before it knows anything.

use std::collections::HashSet;

use super::{DUE, EVENTS, FORGOTTEN, ITEMS, LETTERS, TERMS, UNUSABLE};
use crate::id::{AccountName, EventId, ItemId};
use crate::store::picture::Needs;
use crate::store::postgres::statement::Statement;
use crate::store::{ClaimRequest, Command};

/// What the commands of a batch need, each kind in an array.
pub(super) struct Asked<'a> {
    terms: HashSet<i64>,
    /// With the place of each command.
    pub(super) claims: Vec<(usize, &'a ClaimRequest)>,
    pub(super) events: Vec<&'a (AccountName, EventId)>,
    pub(super) items: Vec<&'a (AccountName, ItemId)>,
    letters: Vec<i64>,
    unusable: HashSet<&'a str>,
}

impl<'a> Asked<'a> {
    pub(super) fn of(needs: &'a [Needs], commands: &[Command]) -> Self {
        let runners = commands.iter().filter_map(Command::runner);
        let claims = needs.iter().enumerate();
        Self {
            terms: runners.map(|runner| i64::from(runner.0)).collect(),
            claims: claims
                .filter_map(|(index, needs)| Some((index, needs.due.as_ref()?)))
                .collect(),
            events: needs.iter().flat_map(|needs| &needs.events).collect(),
            items: needs.iter().flat_map(|needs| &needs.items).collect(),
            letters: needs
                .iter()
                .filter_map(|needs| Some(needs.dead_letter?.0))
                .collect(),
            unusable: needs
                .iter()
                .filter_map(|needs| Some(needs.unusable_of.as_ref()?.as_str()))
                .collect(),
        }
    }

    /// Which terms hold, what is due, which events and items are known, what was
    /// forgotten, the dead letters, and how many are of unusable events.
    pub(super) fn statements(&self) -> [Option<Statement>; 7] {
        let accounts: HashSet<&str> = self
            .events
            .iter()
            .map(|(account, _)| account.as_str())
            .collect();
        let (events, items) = (&self.events, &self.items);
        [
            (!self.terms.is_empty())
                .then(|| Statement::new(TERMS).numbers(self.terms.iter().copied())),
            (!self.claims.is_empty()).then(|| self.due()),
            (!events.is_empty()).then(|| {
                Statement::new(EVENTS)
                    .texts(events.iter().map(|(account, _)| account.as_str()))
                    .texts(events.iter().map(|(_, id)| id.0.as_str()))
            }),
            (!items.is_empty()).then(|| {
                Statement::new(ITEMS)
                    .texts(items.iter().map(|(account, _)| account.as_str()))
                    .texts(items.iter().map(|(_, id)| id.as_str()))
            }),
            (!accounts.is_empty()).then(|| Statement::new(FORGOTTEN).texts(accounts)),
            (!self.letters.is_empty())
                .then(|| Statement::new(LETTERS).numbers(self.letters.iter().copied())),
            (!self.unusable.is_empty())
                .then(|| Statement::new(UNUSABLE).texts(self.unusable.iter().copied())),
        ]
    }

    fn due(&self) -> Statement {
        let claims = self.claims.iter().map(|(_, request)| request);
        let most = |request: &&ClaimRequest| {
            i64::try_from(request.limit.saturating_add(1)).unwrap_or(i64::MAX)
        };
        Statement::new(DUE)
            .texts(claims.clone().map(|request| request.account.as_str()))
            .numbers(claims.clone().map(most))
            .numbers(claims.map(|request| request.late_before().as_millisecond()))
    }
}
