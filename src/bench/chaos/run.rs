//! One run: set the stage, let customers write while the relay is killed, wait
//! until all is settled, judge.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::customers::{self, Load};
use super::faults;
use super::ledger::{Verdict, judge};
use super::repeats::{AskedTwice, Span, Struck};
use crate::bench::stage::{Scenery, Stage, repeat};
use crate::bench::{Databases, count, progress};
use crate::sim::{Chaos, DeliveryOptions, GladlyOptions, GleenOptions};
use crate::store::{self, LEASE, StoreAddress};

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
    /// Relays that share the database.
    pub relays: usize,
    /// Crashes of the database, spread over the time of writing.
    pub database_crashes: usize,
    /// What the relays store in.
    pub databases: Arc<Databases>,
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
    /// How often a relay was killed.
    pub kills: usize,
    /// How often the database was crashed.
    pub crashes: usize,
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
    let (conversations, struck) = play(&plan, load, &mut stage, &mut rng).await?;
    stage.settled(SETTLE_LIMIT).await?;
    let took = started.elapsed();
    stage.relay.kill()?;
    for relay in &mut stage.others {
        relay.kill()?;
    }
    let asked_twice = AskedTwice::count(&stage.gleen.questions(), &stage.gleen.requests(), &struck);
    let limit = answer_deadline(&plan) + allowance(&plan);
    let verdict = stage
        .gladly
        .wait_until(|world| Some(judge(world, asked_twice, &conversations, limit)))
        .await;
    let result = Result {
        dead: dead_letters(&stage.database.address()).await?,
        kills: struck.kills.len(),
        crashes: struck.crashes.len(),
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

/// Lets customers write while relays are killed and the database is crashed: where they
/// wrote, and when each was done.
async fn play(
    plan: &Plan,
    load: Load,
    stage: &mut Stage,
    rng: &mut fastrand::Rng,
) -> anyhow::Result<(Vec<String>, Struck)> {
    let started = Instant::now();
    let mut kill_times = times(plan.kills, plan, rng);
    let mut crash_times = times(plan.database_crashes, plan, rng);
    let mut which = fastrand::Rng::with_seed(plan.seed);
    let gladly = stage.gladly.clone();
    let writing = customers::write(&gladly, load, rng);
    tokio::pin!(writing);
    let mut struck = Struck::default();
    let conversations = loop {
        let next_kill = kill_times.last().copied();
        let next_crash = crash_times.last().copied();
        tokio::select! {
            conversations = &mut writing => break conversations,
            () = until(started, next_kill) => {
                kill_times.pop();
                let number = which.usize(..plan.relays);
                let relay = match number.checked_sub(1) {
                    None => &mut stage.relay,
                    Some(other) => &mut stage.others[other],
                };
                let from = std::time::Instant::now();
                relay.kill()?;
                struck.kills.push((number, Span::since(from)));
                relay.start_again().await?;
            }
            () = until(started, next_crash) => {
                crash_times.pop();
                let from = std::time::Instant::now();
                crash(plan.databases.clone()).await?;
                struck.crashes.push(Span::since(from));
            }
        }
    };
    Ok((conversations, struck))
}

/// As long as nobody else drives, nothing is answered; kills may follow each other.
fn answer_deadline(plan: &Plan) -> Duration {
    if plan.relays > 1 {
        LEASE * 4
    } else {
        ANSWER_DEADLINE
    }
}

fn allowance(plan: &Plan) -> Duration {
    if plan.relays > 1 {
        LEASE * 2
    } else {
        ALLOWANCE
    }
}

/// Crashes the database and starts it again.
async fn crash(databases: Arc<Databases>) -> anyhow::Result<()> {
    let crashing = tokio::task::spawn_blocking(move || {
        let server = databases.own();
        server.map_or(Ok(()), |server| {
            server.crash().and_then(|()| server.start_again())
        })
    });
    Ok(crashing.await??)
}

/// So many times from the start, the earliest last.
fn times(number: usize, plan: &Plan, rng: &mut fastrand::Rng) -> Vec<Duration> {
    let writing = count(plan.messages) / plan.messages_per_second;
    let mut times: Vec<Duration> = (0..number)
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

async fn dead_letters(address: &StoreAddress) -> anyhow::Result<usize> {
    let store = store::open_beside(address).await?;
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
        answer_deadline: answer_deadline(plan),
        policy: r#"
first_retry_wait = "100ms"
settle_time = "500ms"
max_replies_per_hour = 100000
"#,
        gleen_timeout: Duration::from_secs(3),
        traced: false,
        neighbour: None,
        databases: &plan.databases,
        database: None,
        relays: plan.relays,
        organizations: 1,
    }
}

/// Gladly's own retry times are so many times as long. A relay or a database takes a
/// second or two to come back, on a busy machine more, however fast time passes; and
/// a webhook that is switched off brings nothing any more.
const TIME_LAPSE: u32 = 60;

/// Gladly's own retry times, a fraction of them, and its own switch-off.
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
                .map(|seconds| Duration::from_secs(seconds) / TIME_LAPSE)
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
