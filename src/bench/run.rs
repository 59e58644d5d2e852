//! One run: set the stage, let customers write while the relay is killed, wait
//! until all is settled, judge.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::Instant;

use super::faults;
use super::ledger::{Verdict, judge};
use super::load::{self, Load};
use super::process::{RelayProcess, free_ports};
use crate::sim::{
    Answer, Chaos, DeliveryOptions, Gladly, GladlyOptions, Gleen, GleenOptions, Responder,
    WebhookSpec,
};
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
    /// Whether services fail and webhooks come twice or late.
    pub chaos: bool,
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
    /// Whether every promise held and all webhooks came through.
    pub fn holds(&self) -> bool {
        self.verdict.holds() && self.dead == 0 && self.verdict.written == self.plan.messages
    }
}

/// Runs a plan to its end.
///
/// # Errors
/// Fails if the relay does not start, or does not settle in time.
pub async fn run(plan: Plan) -> anyhow::Result<Result> {
    let mut rng = fastrand::Rng::with_seed(plan.seed);
    let gladly = Gladly::start(gladly_options(&plan)).await?;
    let gleen = Gleen::start(gleen_options(&plan)).await?;
    let ports = free_ports()?;
    let config = write_config(&plan, &gladly, &gleen, ports)?;
    let mut relay = RelayProcess::start(&plan.binary, &config, ports).await?;
    gladly.register_webhook(WebhookSpec::relay(
        format!("http://127.0.0.1:{}/webhooks/gladly", ports[0]),
        "bench",
    ));
    if plan.chaos {
        faults::begin(&gladly, &gleen);
    }
    let started = Instant::now();
    let load = Load {
        messages: plan.messages,
        conversations: plan.conversations,
        messages_per_second: plan.messages_per_second,
    };
    let mut kill_times = kill_times(&plan, &mut rng);
    let writing = load::write(&gladly, load, &mut rng);
    tokio::pin!(writing);
    let mut kills = 0;
    let conversations = loop {
        let next_kill = kill_times.last().copied();
        tokio::select! {
            conversations = &mut writing => break conversations,
            () = until(started, next_kill) => {
                kill_times.pop();
                relay.kill_and_restart().await?;
                kills += 1;
            }
        }
    };
    settle(&gladly, &relay).await?;
    let took = started.elapsed();
    relay.stop().await;
    let verdict = gladly
        .wait_until(|world| Some(judge(world, &conversations, ANSWER_DEADLINE + ALLOWANCE)))
        .await;
    let result = Result {
        dead: dead_letters(&plan).await?,
        kills,
        gladly_calls: gladly.requests().len(),
        rate_limited: gladly.rate_limited(),
        questions: gleen.requests().len(),
        took,
        verdict,
        plan,
    };
    gladly.shutdown().await;
    gleen.shutdown().await;
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

/// A count to calculate with; exact up to four thousand million.
pub(super) fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}

async fn until(started: Instant, time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep_until(started + time).await,
        None => std::future::pending().await,
    }
}

/// Waits until every webhook is delivered and no turn is left.
async fn settle(gladly: &Gladly, relay: &RelayProcess) -> anyhow::Result<()> {
    let settled = async {
        gladly.wait_for(|world| world.undelivered() == 0).await;
        while relay.backlog().await? > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::Ok(())
    };
    match tokio::time::timeout(SETTLE_LIMIT, settled).await {
        Ok(settled) => settled,
        Err(_) => bail!(
            "turns were left {} s after the last message",
            SETTLE_LIMIT.as_secs()
        ),
    }
}

async fn dead_letters(plan: &Plan) -> anyhow::Result<usize> {
    let store = Sqlite::open_beside(&plan.folder.join("relay.db")).await?;
    let dead = store.dead_letters().await?.len();
    store.close().await;
    Ok(dead)
}

/// Gladly's own retry times, a three-hundredth of them, and its own switch-off.
fn gladly_options(plan: &Plan) -> GladlyOptions {
    let chaos = Chaos {
        duplicate: 0.05,
        delay: 0.05,
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
            chaos: if plan.chaos { chaos } else { Chaos::default() },
            ..DeliveryOptions::default()
        },
        ..GladlyOptions::default()
    }
}

/// High enough that ten thousand messages take minutes and not an hour.
const REQUESTS_PER_SECOND: u32 = 600;

fn gleen_options(plan: &Plan) -> GleenOptions {
    let repeat = Responder::new(|question| Answer::Text(format!("You asked: {}", question.text)));
    GleenOptions {
        seed: plan.seed,
        think_time: Duration::from_millis(100),
        responder: Some(repeat),
        ..GleenOptions::default()
    }
}

fn write_config(
    plan: &Plan,
    gladly: &Gladly,
    gleen: &Gleen,
    ports: [u16; 2],
) -> anyhow::Result<PathBuf> {
    let options = gladly.options();
    let text = format!(
        r#"
listen = "127.0.0.1:{public}"
admin_listen = "127.0.0.1:{admin}"
store = "sqlite://{store}"
[policy]
answer_deadline = "{deadline}s"
first_retry_wait = "100ms"
settle_time = "500ms"
max_replies_per_hour = 100000
[[account]]
name = "bench"
identifier = "bench"
max_concurrent_questions = 200
[account.gladly]
url = "{gladly_url}"
username = "{username}"
api_token = "{api_token}"
ai_inbox_id = "{ai_inbox_id}"
handoff_inbox_id = "{handoff_inbox_id}"
agent_id = "{agent_id}"
requests_per_second = {REQUESTS_PER_SECOND}
[account.gleen]
url = "{gleen_url}"
api_key = "{api_key}"
timeout = "3s"
"#,
        public = ports[0],
        admin = ports[1],
        store = plan.folder.join("relay.db").display(),
        deadline = ANSWER_DEADLINE.as_secs(),
        gladly_url = gladly.url(),
        username = options.username,
        api_token = options.api_token,
        ai_inbox_id = options.ai_inbox_id,
        handoff_inbox_id = options.handoff_inbox_id,
        agent_id = options.bot_agent_id,
        gleen_url = gleen.url(),
        api_key = gleen.options().api_key,
    );
    let path: &Path = &plan.folder.join("relay.toml");
    std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(path.to_owned())
}
