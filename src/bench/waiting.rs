//! Many messages wait because a service does not answer: what they cost in
//! memory, and how long a start among them takes.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::time::timeout;

use super::Setup;
use super::figures::Section;
use super::folder::Folder;
use super::stage::{Scenery, Stage};
use super::webhooks::{Event, Length, Plan, post};
use crate::sim::{Fault, Gladly, GladlyOptions, What, When};

/// How long the first turn may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// Measures it with so many messages, one in each conversation, which Gladly does
/// not answer for: the relay can't know whose they are.
pub(super) async fn measure(
    setup: &Setup,
    messages: usize,
    section: &mut Section,
) -> anyhow::Result<()> {
    let folder = Folder::temporary()?;
    let mut scenery = Scenery::instant(&setup.binary, folder.path());
    // Its calls a second bound how many hang at the same time.
    scenery.gladly = GladlyOptions::default();
    // Nobody is to be handed off meanwhile.
    scenery.answer_deadline = Duration::from_hours(24);
    let mut stage = Stage::set(scenery).await?;
    stage.gladly.fault(Fault {
        operation: None,
        when: When::Always,
        what: What::Delay(Duration::from_hours(1)),
    });
    post(Plan {
        ports: vec![stage.relay.port()],
        accounts: 1,
        connections: 64,
        event: Event::Message,
        length: Length::Count(messages),
    })
    .await?;
    let memory = stage.relay.memory();
    section.add(
        "memory_waiting",
        "memory while messages wait",
        "MiB",
        memory,
    );
    stage.relay.kill()?;
    // What it had sent is taken up, and dropped, by now.
    stage.gladly.wait_for(|world| world.in_flight() == 0).await;
    let calls = stage.gladly.requests().len();
    let started = Instant::now();
    stage.relay.start_again().await?;
    let ready = started.elapsed().as_secs_f64();
    let called = timeout(PATIENCE, first_call_after(&stage.gladly, calls)).await;
    let called = called.context("no turn began")?;
    let first = called.saturating_duration_since(started).as_secs_f64();
    let what = "start to ready while messages wait";
    section.add("start_waiting", what, "s", ready);
    let what = "start to the first turn while messages wait";
    section.add("first_turn_waiting", what, "s", first);
    stage.clear().await;
    Ok(())
}

/// When the next call after so many came.
pub(super) async fn first_call_after(gladly: &Gladly, calls: usize) -> Instant {
    gladly
        .wait_until(|world| world.requests().get(calls).map(|request| request.at))
        .await
}
