//! The turns that run in this process. The store decides who may run a turn;
//! this only remembers which leases to renew and what to name in the log.

use std::sync::Arc;

use dashmap::DashMap;

use crate::id::TurnId;
use crate::store::Turn;

/// The running turns, by the owner of their lease: each claim has an owner of
/// its own, so that a run whose lease has ended can't pass for its successor.
#[derive(Clone, Default)]
pub(super) struct Lanes(Arc<DashMap<String, Lane>>);

struct Lane {
    turn: TurnId,
    name: String,
}

/// Keeps a turn among the running ones until it is dropped.
pub(super) struct Running {
    lanes: Lanes,
    owner: String,
}

impl Lanes {
    /// Adds a turn that `owner` has leased.
    pub(super) fn enter(&self, turn: &Turn, owner: &str) -> Running {
        let name = format!("{} {} turn {}", turn.account, turn.conversation_id, turn.id);
        self.0.insert(
            owner.to_owned(),
            Lane {
                turn: turn.id,
                name,
            },
        );
        Running {
            lanes: self.clone(),
            owner: owner.to_owned(),
        }
    }

    /// Each turn and the owner of its lease.
    pub(super) fn leases(&self) -> Vec<(TurnId, String)> {
        self.0
            .iter()
            .map(|entry| (entry.turn, entry.key().clone()))
            .collect()
    }

    /// Account, conversation and id of each.
    pub(super) fn names(&self) -> Vec<String> {
        self.0.iter().map(|entry| entry.name.clone()).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.lanes.0.remove(&self.owner);
    }
}
