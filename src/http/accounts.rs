//! What an operator sees of the accounts: what this process knows of each, and what
//! waits for it in the store.

use serde_json::{Value, json};

use super::State;
use crate::id::AccountName;
use crate::relay::AccountState;
use crate::store::{Backlog, StoreError};

/// One account.
#[derive(Debug, Clone)]
pub(super) struct AccountView {
    pub(super) state: AccountState,
    pub(super) backlog: Backlog,
}

/// All of them.
#[derive(Debug)]
pub(super) struct AccountsView {
    /// Those that are configured, by name.
    pub(super) accounts: Vec<AccountView>,
    /// What others have left in the store: nobody works on it.
    pub(super) left: Vec<Backlog>,
}

impl AccountView {
    /// As the API shows it.
    pub(super) fn to_json(&self) -> Value {
        let (state, backlog) = (&self.state, &self.backlog);
        let last_event_at = state.last_event_at;
        json!({
            "name": state.name.as_str(),
            "driven_by": state.driven_by,
            "backlog_turns": backlog.turns,
            "oldest_waiting_seconds": backlog.oldest_waiting.as_secs_f64(),
            "dead_letters": backlog.dead_letters,
            "breaker_open": state.breaker_open,
            "gladly_refuses": state.locked_out,
            "limit_used_ratio": state.limit_used,
            "webhook": state.webhook.as_str(),
            "last_event_at": last_event_at.map(|at| at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()),
        })
    }
}

/// Reads them.
pub(super) async fn accounts(state: &State) -> Result<AccountsView, StoreError> {
    let mut found = state.operations.backlog(state.clock.now().at).await?;
    let mut take = |name: &AccountName| {
        let place = found.iter().position(|backlog| backlog.account == *name);
        place.map_or_else(|| Backlog::nothing(name), |place| found.swap_remove(place))
    };
    let accounts = state.relay.states();
    let accounts = accounts.into_iter().map(|state| AccountView {
        backlog: take(&state.name),
        state,
    });
    let accounts = accounts.collect();
    found.sort_by(|one, other| one.account.cmp(&other.account));
    Ok(AccountsView {
        accounts,
        left: found,
    })
}
