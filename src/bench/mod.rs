//! Measures the relay on this machine, against the simulators alone, whatever
//! the environment holds.
//!
//! The `stage` is both services simulated in this process and the real relay
//! in a process of its own, started with an empty environment and held to
//! loopback (`confine`). Every figure is the median of some rounds, with its
//! spread and beside its baseline of the same rounds (`figures`). What is dropped,
//! as at a signal, leaves no process and no file behind.

pub mod ack;
pub mod relay;

pub mod limit;

pub mod growth;

pub mod reach;

pub mod chaos;

mod filling;
mod waiting;

mod figures;
pub(crate) mod options;
mod progress;

mod balancer;
mod bare;
mod disk;
mod scratch;

mod confine;
mod database;
mod folder;
mod server;
mod stage;
mod tables;
mod usage;
mod webhooks;

use std::path::PathBuf;
use std::sync::Arc;

pub use bare::serve_bare;
pub use confine::{end_with_the_bench, require_loopback};
pub use database::OwnPostgres;
pub use figures::Section;
pub use folder::Folder;
pub use scratch::{Databases, STORES};

/// What every bench is told.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The relay's binary.
    pub binary: PathBuf,
    /// How often each figure is measured.
    pub rounds: usize,
    /// What the relay stores in.
    pub databases: Arc<Databases>,
}

impl Setup {
    /// How often what takes minutes is measured.
    fn long_rounds(&self) -> usize {
        self.rounds.div_ceil(2)
    }
}

/// A count to calculate with; exact up to four thousand million.
fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}
