//! `bench ack`: how many webhooks are acknowledged, each once it is on disk,
//! beside a handler that keeps nothing and beside the disk itself.
//!
//! The webhooks tell of closed conversations, so that no turn comes of them.

use std::path::Path;
use std::time::Duration;

use clap::Args;

use super::figures::Section;
use super::folder::Folder;
use super::options::some_time;
use super::stage::{Scenery, Stage, trace_in};
use super::webhooks::{Event, Length, Plan, Posted, post};
use super::{Databases, Setup, bare, disk, progress, server};

/// Acks whose syncs are counted.
const TRACED: usize = 300;

/// How much is measured.
#[derive(Debug, Clone, Copy, Args)]
pub struct Options {
    /// How long each load goes on, such as 4s
    #[arg(long, default_value = "4s", value_parser = some_time)]
    pub length: Duration,
}

/// Measures it.
///
/// # Errors
/// Fails if a server does not start, or refuses a webhook.
pub async fn measure(setup: &Setup, options: Options) -> anyhow::Result<Section> {
    let mut section = Section::new("ack");
    for round in 1..=setup.rounds {
        progress::tell(&format!("ack, round {round} of {}", setup.rounds));
        for connections in [64, 1] {
            measure_at(connections, setup, options, &mut section).await?;
        }
        // PostgreSQL syncs in a process of its own.
        if !matches!(*setup.databases, Databases::Files) {
            continue;
        }
        let syncs = syncs(setup).await?;
        let what = "fdatasyncs an ack at 1 connection";
        section.add("syncs_per_ack_1", what, "", syncs);
    }
    Ok(section)
}

async fn measure_at(
    connections: usize,
    setup: &Setup,
    options: Options,
    section: &mut Section,
) -> anyhow::Result<()> {
    let relay = of_relay(setup, connections, options.length).await?;
    let bare = of_bare(setup, connections, options.length).await?;
    let folder = Folder::temporary()?;
    disk::settle().await?;
    let disk = disk::sync_rate(folder.path(), options.length / 4).await?;
    let key = |figure: &str| format!("{figure}_{connections}");
    let plural = if connections == 1 { "" } else { "s" };
    let what = |figure: &str| format!("{figure}, {connections} connection{plural}");
    section
        .add(key("rate"), what("acks"), "1/s", relay.rate)
        .beside("bare_handler", bare.rate)
        .beside("disk_syncs", disk);
    section
        .add(key("p50"), what("median"), "ms", relay.p50_ms)
        .beside("bare_handler", bare.p50_ms);
    section
        .add(key("p99"), what("99th percentile"), "ms", relay.p99_ms)
        .beside("bare_handler", bare.p99_ms);
    Ok(())
}

async fn of_relay(setup: &Setup, connections: usize, length: Duration) -> anyhow::Result<Posted> {
    let folder = Folder::temporary()?;
    disk::settle().await?;
    let stage = Stage::set(scenery(setup, folder.path(), false)).await?;
    let posted = of_stage(&stage, connections, length).await?;
    stage.clear().await;
    Ok(posted)
}

/// The acks of a stage that is set.
pub(super) async fn of_stage(
    stage: &Stage,
    connections: usize,
    length: Duration,
) -> anyhow::Result<Posted> {
    post(Plan {
        ports: vec![stage.relay.port()],
        accounts: 1,
        connections,
        event: Event::Closed,
        length: Length::For(length),
    })
    .await
}

async fn of_bare(setup: &Setup, connections: usize, length: Duration) -> anyhow::Result<Posted> {
    let folder = Folder::temporary()?;
    let (_server, port) = bare::start(&setup.binary, folder.path()).await?;
    post(Plan {
        ports: vec![port],
        accounts: 1,
        connections,
        event: Event::Closed,
        length: Length::For(length),
    })
    .await
}

/// How many syncs one ack costs; none where they can't be seen.
async fn syncs(setup: &Setup) -> anyhow::Result<Option<f64>> {
    if !server::can_trace() {
        return Ok(None);
    }
    let folder = Folder::temporary()?;
    let stage = Stage::set(scenery(setup, folder.path(), true)).await?;
    let count = || {
        let trace = std::fs::read_to_string(trace_in(folder.path()))?;
        let calls = trace
            .lines()
            .filter(|line| line.contains("sync(") && !line.contains("resumed"));
        std::io::Result::Ok(super::count(calls.count()))
    };
    let before = count()?;
    post(Plan {
        ports: vec![stage.relay.port()],
        accounts: 1,
        connections: 1,
        event: Event::Closed,
        length: Length::Count(TRACED),
    })
    .await?;
    let syncs = count()? - before;
    stage.clear().await;
    Ok(Some(syncs / super::count(TRACED)))
}

/// Nothing is asked of the services, so nothing limits.
fn scenery<'a>(setup: &'a Setup, folder: &'a Path, traced: bool) -> Scenery<'a> {
    Scenery {
        traced,
        databases: &setup.databases,
        ..Scenery::instant(&setup.binary, folder)
    }
}
