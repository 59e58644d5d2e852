//! The turns that run in this process: to be named when a stop cuts them short,
//! and so that none is claimed a second time while it is in hand. The store
//! decides which turns run; this only remembers.

use std::collections::HashSet;
use std::sync::Arc;

use dashmap::DashMap;

use crate::id::TurnId;
use crate::store::StoredTurn;

/// The running turns.
#[derive(Clone, Default)]
pub(super) struct Running(Arc<DashMap<TurnId, String>>);

/// Keeps a turn among the running ones until it is dropped.
pub(super) struct Entered {
    running: Running,
    turn: TurnId,
}

impl Running {
    /// Adds a turn.
    pub(super) fn enter(&self, turn: &StoredTurn) -> Entered {
        let name = format!("{} {} turn {}", turn.account, turn.conversation_id, turn.id);
        self.0.insert(turn.id, name);
        Entered {
            running: self.clone(),
            turn: turn.id,
        }
    }

    /// Their ids.
    pub(super) fn ids(&self) -> HashSet<TurnId> {
        self.0.iter().map(|entry| *entry.key()).collect()
    }

    /// Account, conversation and id of each.
    pub(super) fn names(&self) -> Vec<String> {
        self.0.iter().map(|entry| entry.value().clone()).collect()
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.running.0.remove(&self.turn);
    }
}
