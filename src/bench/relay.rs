//! `bench relay`: whole messages against services that answer at once, what one
//! costs, and what it costs to have many waiting.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use tokio::time::{sleep, timeout};

use super::figures::{Section, percentile};
use super::folder::Folder;
use super::options::at_least_one;
use super::stage::{Scenery, Stage};
use super::{Databases, Setup, count, disk, progress, waiting};
use crate::sim::{Answer, Message, Operation, Responder};

/// The most webhooks on their way at once: no more than a listen queue holds.
const MOST_UNDELIVERED: usize = 256;
/// How long all messages may take.
const PATIENCE: Duration = Duration::from_mins(5);

/// How much is measured.
#[derive(Debug, Clone, Copy, Args)]
pub struct Options {
    /// Messages, each in a conversation of its own
    #[arg(long, default_value_t = 3000, value_parser = at_least_one)]
    pub messages: usize,
    /// Messages while nothing else goes on
    #[arg(long, default_value_t = 200, value_parser = at_least_one)]
    pub alone: usize,
    /// Messages that wait while Gladly does not answer
    #[arg(long, default_value_t = 100_000, value_parser = at_least_one)]
    pub waiting: usize,
}

/// Measures it.
///
/// # Errors
/// Fails if the relay does not start, or leaves a message unanswered.
pub async fn measure(setup: &Setup, options: Options) -> anyhow::Result<Section> {
    let mut section = Section::new("relay");
    for round in 1..=setup.rounds {
        progress::tell(&format!("relay, round {round} of {}", setup.rounds));
        let folder = Folder::temporary()?;
        disk::settle().await?;
        let answers = Answers::default();
        let mut scenery = Scenery::instant(&setup.binary, folder.path());
        scenery.databases = &setup.databases;
        scenery.gleen.responder = Some(answers.responder());
        let stage = Stage::set(scenery).await?;
        stage.connect();
        let memory = stage.relay.memory();
        section.add("memory_idle", "memory when idle", "MiB", memory);
        alone(&stage, &answers, options.alone, &mut section).await?;
        messages(&stage, options.messages).await?.add(&mut section);
        stage.clear().await;
    }
    // With PostgreSQL what waits stands in another process's memory.
    let long_rounds = match &*setup.databases {
        Databases::Files => setup.long_rounds(),
        Databases::Own(_) | Databases::On(_) => 0,
    };
    for round in 1..=long_rounds {
        progress::tell(&format!(
            "relay, {} messages waiting, round {round} of {}",
            options.waiting, long_rounds
        ));
        waiting::measure(setup, options.waiting, &mut section).await?;
    }
    Ok(section)
}

/// What whole messages cost when many come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Messages {
    /// Answered each second.
    pub(super) rate: f64,
    /// Calls to Gladly for each.
    gladly_calls: f64,
    /// CPU time of the relay for each, in milliseconds.
    cpu_ms: Option<f64>,
}

impl Messages {
    fn add(self, section: &mut Section) {
        section.add("messages_rate", "whole messages", "1/s", self.rate);
        let calls = self.gladly_calls;
        section
            .add("gladly_calls", "calls to Gladly, each message", "", calls)
            .beside("arithmetic", CALLS);
        section.add("cpu", "CPU time, each message", "ms", self.cpu_ms);
    }
}

/// The calls to Gladly that an answered message needs: the item, the look before
/// the reply, the reply.
pub(super) const CALLS: f64 = 3.0;

/// So many customers write, as fast as their webhooks are taken.
pub(super) async fn messages(stage: &Stage, number: usize) -> anyhow::Result<Messages> {
    let mut conversations = Vec::with_capacity(number);
    for _ in 0..number {
        stage.told(MOST_UNDELIVERED).await?;
        conversations.push(stage.gladly.add_conversation("A customer"));
    }
    stage.settled(PATIENCE).await?;
    let (started, cpu) = (Instant::now(), stage.relay.cpu());
    let (calls, replies) = so_far(stage).await;
    for (index, conversation) in conversations.iter().enumerate() {
        stage.told(MOST_UNDELIVERED).await?;
        let text = format!("Where is my order with the number {index}?");
        stage
            .gladly
            .customer_says(conversation, &Message::chat(text));
    }
    // Looking seldom and at the simulator alone: the relay is busy.
    let patience = Instant::now() + PATIENCE;
    while so_far(stage).await.1 < replies + number && Instant::now() < patience {
        sleep(Duration::from_millis(50)).await;
    }
    stage.settled(PATIENCE).await?;
    let (all_calls, all_replies) = so_far(stage).await;
    ensure!(
        all_replies - replies == number,
        "{} of {number} messages were answered",
        all_replies - replies
    );
    let last = last_reply(stage).await.context("nothing was answered")?;
    let cpu = cpu.zip(stage.relay.cpu());
    Ok(Messages {
        rate: count(number) / (last - started).as_secs_f64(),
        gladly_calls: count(all_calls - calls) / count(number),
        cpu_ms: cpu.map(|(before, after)| (after - before) * 1e3 / count(number)),
    })
}

/// Calls to Gladly, and those of them that were replies.
async fn so_far(stage: &Stage) -> (usize, usize) {
    let counts = |world: &crate::sim::GladlyWorld| {
        Some((world.requests().len(), world.requests_of(Operation::Reply)))
    };
    stage.gladly.wait_until(counts).await
}

async fn last_reply(stage: &Stage) -> Option<Instant> {
    let last = |world: &crate::sim::GladlyWorld| {
        let mut requests = world.requests().iter();
        let reply = requests.rfind(|request| request.operation == Operation::Reply);
        Some(reply.map(|reply| reply.at))
    };
    stage.gladly.wait_until(last).await
}

/// When the simulated Gleen answered.
#[derive(Clone, Default)]
struct Answers(Arc<Mutex<Vec<Instant>>>);

impl Answers {
    fn responder(&self) -> Responder {
        let answers = self.clone();
        Responder::new(move |question| {
            answers.lock().push(Instant::now());
            Answer::Text(format!("You asked: {}", question.text))
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Messages one after another: from the webhook's leaving Gladly to the question's
/// arrival at Gleen, and from Gleen's answer to the reply's arrival at Gladly. What
/// the relay asks Gladly in between is in it.
async fn alone(
    stage: &Stage,
    answers: &Answers,
    number: usize,
    section: &mut Section,
) -> anyhow::Result<()> {
    let mut took = Vec::new();
    for _ in 0..number {
        let conversation = stage.gladly.add_conversation("A customer");
        stage.settled(PATIENCE).await?;
        sleep(QUIET).await;
        let asked_before = stage.gleen.questions().len();
        let written = Instant::now();
        let message = Message::chat("How long does shipping take?");
        stage.gladly.customer_says(&conversation, &message);
        let replied = stage.gladly.wait_until(|world| {
            let view = world.conversation(&conversation)?;
            (!view.replies().is_empty()).then_some(())
        });
        let replied = timeout(PATIENCE, replied).await;
        replied.context("a message was not answered")?;
        stage.settled(PATIENCE).await?;
        let asked = stage.gleen.requests()[asked_before].at;
        let answered = answers.lock()[asked_before];
        let replied = last_reply(stage).await.context("nothing was answered")?;
        let own = (asked - written) + (replied - answered);
        took.push(own.as_secs_f64() * 1e3);
    }
    took.sort_unstable_by(f64::total_cmp);
    let what = "own time of a message when idle, median";
    section.add("own_time_p50", what, "ms", percentile(&took, 50));
    let what = "own time of a message when idle, 99th percentile";
    section.add("own_time_p99", what, "ms", percentile(&took, 99));
    Ok(())
}

/// For what the relay writes once a turn has ended.
const QUIET: Duration = Duration::from_millis(10);
