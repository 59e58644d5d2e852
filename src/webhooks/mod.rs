//! This relay's webhook in each account's Gladly: what is to be done about it
//! ([`plan`](fn@plan), pure), and doing it.

mod plan;
mod sync;

pub use plan::{Plan, Step, plan};
pub use sync::{Synced, look_up, switch_on, sync};
