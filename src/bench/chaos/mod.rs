//! Thousands of messages in hundreds of conversations, with the relay killed at
//! random and both services failing, and a ledger that says what became of every
//! single message.
//!
//! [`run()`] sets the stage and plays; [`ledger`] judges what is in the simulated
//! services afterwards, knowing nothing of the relay's own records.

mod customers;
mod faults;
pub mod ledger;
pub mod repeats;
mod report;
mod run;

pub use ledger::Verdict;
pub use run::{Plan, Result, run};
