//! `bench growth`: whether a file that holds many finished turns is slower than
//! an empty one.

use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;

use super::figures::Section;
use super::folder::Folder;
use super::options::{at_least_one, some_time};
use super::stage::{Scenery, Stage};
use super::{Setup, ack, disk, filling, progress, relay};

/// How much is measured.
#[derive(Debug, Clone, Copy, Args)]
pub struct Options {
    /// Finished turns in the file
    #[arg(long, default_value_t = 1_000_000, value_parser = at_least_one)]
    pub turns: usize,
    /// Messages, each in a conversation of its own
    #[arg(long, default_value_t = 3000, value_parser = at_least_one)]
    pub messages: usize,
    /// How long acks are measured, such as 4s
    #[arg(long, default_value = "4s", value_parser = some_time)]
    pub length: Duration,
}

/// What a file allows.
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
    let full = Folder::temporary()?;
    filling::fill(full.path(), options.turns).await?;
    for round in 1..=setup.long_rounds() {
        let rounds = setup.long_rounds();
        progress::tell(&format!("growth, round {round} of {rounds}"));
        let empty = Folder::temporary()?;
        let empty = of_file(setup, empty.path(), options).await?;
        let full = of_file(setup, full.path(), options).await?;
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

async fn of_file(setup: &Setup, folder: &Path, options: Options) -> anyhow::Result<Allowed> {
    disk::settle().await?;
    let mut stage = Stage::set(Scenery::instant(&setup.binary, folder)).await?;
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
