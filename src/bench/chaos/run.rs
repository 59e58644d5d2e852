//! One run: set the stage, let customers write while the relay is killed, wait
//! until all is settled, judge.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::customers::{self, Load};
use super::faults;
use super::ledger::{Verdict, judge};
use crate::bench::stage::{Scenery, Stage, database_in, repeat};
use crate::bench::{count, progress};
use crate::sim::{Chaos, DeliveryOptions, GladlyOptions, GleenOptions};
use crate::store::{Operations, Sqlite, Store};

/// How long a customer may wait for an answer or a human.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// What "one retry" may take beyond the deadline: a move that failed a few
/// times, a kill in between.
const ALLOWANCE: Duration = Duration::from_secs(5);
/// How long a run may go on after the last message before it counts as stuck.
const SETTLE_LIMIT: Duration = Duration::from_mins(2);

/// What to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The relay's binary.
    pub binary: PathBuf,
    /// A folder for its database and log.
    pub folder: PathBuf,
    /// Messages in all.
    pub messages: usize,
    /// Conversations that are written in at the same time.
    pub conversations: usize,
    /// Messages written each second.
    pub messages_per_second: f64,
    /// Kills of the relay, spread over the time of writing.
    pub kills: usize,
    /// The share of the calls to each service that is spoiled. As many webhooks
    /// come twice or late.
    pub faults: f64,
    /// What the random choices begin from.
    pub seed: u64,
}

/// What a run showed.
#[derive(Debug, Clone)]
pub struct Result {
    /// What was run.
    pub plan: Plan,
    /// What became of the messages.
    pub verdict: Verdict,
    /// Dead letters in the relay's store.
    pub dead: usize,
    /// How often the relay was killed.
    pub kills: usize,
    /// Calls to Gladly.
    pub gladly_calls: usize,
    /// Calls over Gladly's rate limit.
    pub rate_limited: usize,
    /// Questions to Gleen.
    pub questions: usize,
    /// From the first message until all was settled.
    pub took: Duration,
}

impl Result {
    /// Whether every promise held and all was written; a last burst may be more.
    pub fn holds(&self) -> bool {
        self.verdict.holds() && self.dead == 0 && self.verdict.written >= self.plan.messages
    }
}

/// Runs a plan to its end.
///
/// # Errors
/// Fails if the relay does not start, or does not settle in time.
pub async fn run(plan: Plan) -> anyhow::Result<Result> {
    let mut rng = fastrand::Rng::with_seed(plan.seed);
    let mut stage = Stage::set(scenery(&plan)).await?;
    stage.connect();
    faults::begin(&stage.gladly, &stage.gleen, plan.faults);
    progress::tell(&format!(
        "chaos: {} messages, {} kills, seed {}",
        plan.messages, plan.kills, plan.seed
    ));
    let started = Instant::now();
    let load = Load {
        messages: plan.messages,
        conversations: plan.conversations,
        messages_per_second: plan.messages_per_second,
    };
    let mut kill_times = kill_times(&plan, &mut rng);
    let gladly = stage.gladly.clone();
    let writing = customers::write(&gladly, load, &mut rng);
    tokio::pin!(writing);
    let mut kills = 0;
    let conversations = loop {
        let next_kill = kill_times.last().copied();
        tokio::select! {
            conversations = &mut writing => break conversations,
            () = until(started, next_kill) => {
                kill_times.pop();
                stage.relay.kill()?;
                stage.relay.start_again().await?;
                kills += 1;
            }
        }
    };
    stage.settled(SETTLE_LIMIT).await?;
    let took = started.elapsed();
    stage.relay.kill()?;
    let questions = stage.gleen.questions();
    let limit = ANSWER_DEADLINE + ALLOWANCE;
    let verdict = stage
        .gladly
        .wait_until(|world| Some(judge(world, &questions, &conversations, limit)))
        .await;
    let result = Result {
        dead: dead_letters(&plan).await?,
        kills,
        gladly_calls: stage.gladly.requests().len(),
        rate_limited: stage.gladly.rate_limited(),
        questions: stage.gleen.requests().len(),
        took,
        verdict,
        plan,
    };
    stage.clear().await;
    Ok(result)
}

/// Times of the kills from the start, the earliest last.
fn kill_times(plan: &Plan, rng: &mut fastrand::Rng) -> Vec<Duration> {
    let writing = count(plan.messages) / plan.messages_per_second;
    let mut times: Vec<Duration> = (0..plan.kills)
        .map(|_| Duration::from_secs_f64(rng.f64() * writing * 0.95))
        .collect();
    times.sort_unstable_by(|a, b| b.cmp(a));
    times
}

async fn until(started: Instant, time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep_until(started + time).await,
        None => std::future::pending().await,
    }
}

async fn dead_letters(plan: &Plan) -> anyhow::Result<usize> {
    let store = Sqlite::open_beside(&database_in(&plan.folder)).await?;
    let dead = store.dead_letters().await?.len();
    store.close().await;
    Ok(dead)
}

fn scenery(plan: &Plan) -> Scenery<'_> {
    Scenery {
        binary: &plan.binary,
        folder: &plan.folder,
        gladly: gladly_options(plan),
        gleen: gleen_options(plan),
        answer_deadline: ANSWER_DEADLINE,
        policy: r#"
first_retry_wait = "100ms"
settle_time = "500ms"
max_replies_per_hour = 100000
"#,
        gleen_timeout: Duration::from_secs(3),
        traced: false,
        neighbour: None,
    }
}

/// Gladly's own retry times, a three-hundredth of them, and its own switch-off.
fn gladly_options(plan: &Plan) -> GladlyOptions {
    let chaos = Chaos {
        duplicate: plan.faults / 2.0,
        delay: plan.faults / 2.0,
        longest_delay: Duration::from_millis(300),
    };
    GladlyOptions {
        seed: plan.seed,
        requests_per_second: Some(REQUESTS_PER_SECOND),
        delivery: DeliveryOptions {
            timeout: Duration::from_secs(5),
            retry_delays: [30, 300, 1800, 3600]
                .map(|seconds| Duration::from_secs(seconds) / 300)
                .to_vec(),
            chaos,
            ..DeliveryOptions::default()
        },
        ..GladlyOptions::default()
    }
}

/// High enough that ten thousand messages take minutes and not an hour.
const REQUESTS_PER_SECOND: u32 = 600;

fn gleen_options(plan: &Plan) -> GleenOptions {
    GleenOptions {
        seed: plan.seed,
        think_time: Duration::from_millis(100),
        responder: Some(repeat()),
        ..GleenOptions::default()
    }
}
