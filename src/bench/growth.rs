//! `bench growth`: whether a database that holds many finished turns is slower than
//! an empty one, and what PostgreSQL's tables and indexes have become by then.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;

use super::figures::Section;
use super::folder::Folder;
use super::options::{at_least_one, some_time};
use super::scratch::Scratch;
use super::stage::{Scenery, Stage};
use super::tables::Tables;
use super::{Setup, ack, disk, filling, progress, relay};

/// How much is measured.
#[derive(Debug, Clone, Copy, Args)]
pub struct Options {
    /// Finished turns in the database
    #[arg(long, default_value_t = 1_000_000, value_parser = at_least_one)]
    pub turns: usize,
    /// Messages, each in a conversation of its own
    #[arg(long, default_value_t = 3000, value_parser = at_least_one)]
    pub messages: usize,
    /// How long acks are measured, such as 4s
    #[arg(long, default_value = "4s", value_parser = some_time)]
    pub length: Duration,
}

/// What a database allows.
struct Allowed {
    /// Seconds from start to ready.
    start: f64,
    /// Acks a second.
    acks: f64,
    /// Whole messages a second.
    messages: f64,
}

/// Measures it.
///
/// # Errors
/// Fails if the relay does not start, or leaves a message unanswered.
pub async fn measure(setup: &Setup, options: Options) -> anyhow::Result<Section> {
    let mut section = Section::new("growth");
    let folder = Folder::temporary()?;
    let full = Arc::new(setup.databases.fresh(folder.path()).await?);
    let tables = || Tables::look(&setup.databases, &full);
    let mut half_way = None;
    filling::fill(&full, options.turns, || {
        half_way = tables()?;
        Ok(())
    })
    .await?;
    if let Some(tables) = tables()? {
        tables.add(options.turns, half_way.as_ref(), &mut section);
    }
    for round in 1..=setup.long_rounds() {
        let rounds = setup.long_rounds();
        progress::tell(&format!("growth, round {round} of {rounds}"));
        let other = Folder::temporary()?;
        let empty = Arc::new(setup.databases.fresh(other.path()).await?);
        let empty = of_database(setup, other.path(), empty, round, options).await?;
        let full = of_database(setup, folder.path(), full.clone(), round, options).await?;
        section
            .add("acks_rate", "acks, 64 connections", "1/s", full.acks)
            .beside("empty_file", empty.acks);
        section
            .add("messages_rate", "whole messages", "1/s", full.messages)
            .beside("empty_file", empty.messages);
        section
            .add("start", "start to ready", "s", full.start)
            .beside("empty_file", empty.start);
    }
    Ok(section)
}

async fn of_database(
    setup: &Setup,
    folder: &Path,
    database: Arc<Scratch>,
    round: usize,
    options: Options,
) -> anyhow::Result<Allowed> {
    disk::settle().await?;
    let mut scenery = Scenery {
        database: Some(database),
        ..Scenery::instant(&setup.binary, folder)
    };
    // The full one remembers the messages of the rounds before.
    scenery.gladly.seed = round as u64;
    let mut stage = Stage::set(scenery).await?;
    stage.driven().await?;
    let acks = ack::of_stage(&stage, 64, options.length).await?.rate;
    stage.connect();
    let messages = relay::messages(&stage, options.messages).await?.rate;
    stage.relay.kill()?;
    let started = Instant::now();
    stage.relay.start_again().await?;
    let start = started.elapsed().as_secs_f64();
    stage.clear().await;
    Ok(Allowed {
        start,
        acks,
        messages,
    })
}
