//! A load: so many customers write, each in a conversation of their own.

use std::time::{Duration, Instant};

use tokio::time::sleep_until;

use crate::bench::chaos::ledger::{Token, Verdict, judge};
use crate::bench::chaos::repeats::AskedTwice;
use crate::bench::folder::Folder;
use crate::bench::stage::{Scenery, Stage};
use crate::bench::{Setup, count};
use crate::sim::{GladlyOptions, GladlyWorld, Message, Operation};

/// Gladly's calls a second.
pub(super) const LIMIT: f64 = 10.0;
/// How long the bot thinks.
pub(super) const THINKING: Duration = Duration::from_millis(500);
/// How long a load may take in all.
pub(super) const PATIENCE: Duration = Duration::from_mins(30);

/// What customers write, and how Gladly counts meanwhile.
#[derive(Clone, Copy)]
pub(super) struct Load {
    pub(super) messages: usize,
    /// Messages a second.
    pub(super) rate: f64,
    pub(super) answer_deadline: Duration,
    pub(super) configure: fn(&mut GladlyOptions),
    /// Whether the relay is killed, and started again at once, half-way.
    pub(super) restart: bool,
}

/// What came of a load.
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    /// From the first message to the last outcome, in seconds.
    pub(super) last: f64,
    /// From the first message to the last, in seconds.
    pub(super) writing: f64,
    pub(super) calls: usize,
    pub(super) refused: usize,
}

/// Plays it on a stage of its own.
pub(super) async fn play(setup: &Setup, load: Load) -> anyhow::Result<Outcome> {
    let folder = Folder::temporary()?;
    let mut scenery = Scenery::instant(&setup.binary, folder.path());
    scenery.gladly = GladlyOptions::default();
    (load.configure)(&mut scenery.gladly);
    scenery.gleen.think_time = THINKING;
    scenery.answer_deadline = load.answer_deadline;
    let mut stage = Stage::set(scenery).await?;
    stage.connect();
    let started = Instant::now();
    let conversations = write(&stage, load, started).await;
    let writing = count(load.messages) / load.rate;
    if load.restart {
        let half = load.messages.div_ceil(2);
        let is_half = |world: &GladlyWorld| world.requests_of(Operation::Reply) >= half;
        stage.gladly.wait_for(is_half).await;
        stage.relay.kill()?;
        stage.relay.start_again().await?;
    }
    stage.settled(PATIENCE).await?;
    let outcome = |world: &GladlyWorld| {
        let ending =
            |operation| matches!(operation, Operation::Reply | Operation::PatchConversation);
        let mut requests = world.requests().iter();
        let last = requests.rfind(|request| ending(request.operation));
        Some(Outcome {
            verdict: judge(
                world,
                AskedTwice::default(),
                &conversations,
                load.answer_deadline,
            ),
            last: last.map_or(0.0, |last| (last.at - started).as_secs_f64()),
            writing,
            calls: world.requests().len(),
            refused: world.rate_limited(),
        })
    };
    let outcome = stage.gladly.wait_until(outcome).await;
    stage.clear().await;
    Ok(outcome)
}

/// Everybody writes once.
pub(super) async fn write(stage: &Stage, load: Load, started: Instant) -> Vec<String> {
    let mut conversations = Vec::with_capacity(load.messages);
    for customer in 0..load.messages {
        let due = Duration::from_secs_f64(count(customer) / load.rate);
        sleep_until((started + due).into()).await;
        let conversation = stage.gladly.add_conversation("A customer");
        let token = Token {
            customer,
            number: 0,
        };
        let message = Message::chat(format!("tell me about {token}"));
        stage.gladly.customer_says(&conversation, &message);
        conversations.push(conversation);
    }
    conversations
}
