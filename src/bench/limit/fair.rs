//! Whether one account's backlog delays another's customers: two accounts of one
//! organization, which share its calls, and two organizations, which share nothing
//! but the relay.

use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::time::{sleep, timeout};

use super::load::{LIMIT, Load, THINKING, write};
use super::{BURST_RATE, MESSAGES};
use crate::bench::figures::{Section, percentile};
use crate::bench::folder::Folder;
use crate::bench::stage::{NEIGHBOUR, Neighbour, Scenery, Stage};
use crate::bench::{Setup, count};
use crate::sim::{Gladly, GladlyOptions, Message};

/// Messages that come to the one account, in proportion.
const BURST: usize = 250;
const BACKLOG: usize = 2_000;
/// Customers of the other, one after the other, before and meanwhile.
const VISITORS: usize = 5;
/// How long one of them may wait.
const PATIENCE: Duration = Duration::from_mins(5);

/// Measures it.
pub(super) async fn measure(
    setup: &Setup,
    messages: usize,
    section: &mut Section,
) -> anyhow::Result<()> {
    let scaled = |number: usize| (number * messages).div_ceil(MESSAGES);
    let other = Gladly::start(GladlyOptions::default()).await?;
    let one = visit(setup, None, scaled(BURST));
    let two = visit(setup, Some(&other), scaled(BACKLOG));
    let (one, two) = tokio::try_join!(one, two)?;
    other.shutdown().await;
    one.add(section, "twin", "beside the same organization's burst");
    two.add(
        section,
        "neighbour",
        "beside another organization's backlog",
    );
    Ok(())
}

/// What the other account's customers met, before and meanwhile: sorted.
struct Visits {
    alone: Waits,
    meanwhile: Waits,
}

#[derive(Default)]
struct Waits {
    /// Milliseconds until the webhook's 200.
    acks: Vec<f64>,
    /// Seconds until the answer.
    answers: Vec<f64>,
}

impl Visits {
    /// The slowest of them, beside the median of those who were alone.
    fn add(&self, section: &mut Section, key: &str, words: &str) {
        let slowest = |waits: &[f64]| waits.last().copied();
        section
            .add(
                format!("{key}_answer"),
                format!("slowest answer {words}"),
                "s",
                slowest(&self.meanwhile.answers),
            )
            .beside("alone", percentile(&self.alone.answers, 50));
        section
            .add(
                format!("{key}_ack"),
                format!("slowest ack {words}"),
                "ms",
                slowest(&self.meanwhile.acks),
            )
            .beside("alone", percentile(&self.alone.acks, 50));
    }
}

async fn visit(setup: &Setup, other: Option<&Gladly>, burst: usize) -> anyhow::Result<Visits> {
    let folder = Folder::temporary()?;
    let mut scenery = Scenery::instant(&setup.binary, folder.path());
    scenery.gladly = GladlyOptions::default();
    scenery.gleen.think_time = THINKING;
    scenery.answer_deadline = Duration::from_hours(1);
    let neighbour = other.map_or(Neighbour::Twin, Neighbour::Other);
    scenery.neighbour = Some(neighbour);
    let stage = Stage::set(scenery).await?;
    let gladly = other.unwrap_or(&stage.gladly);
    let inbox = neighbour.inbox(gladly);
    let alone = visitors(&stage, gladly, &inbox).await?;
    stage.connect();
    let load = Load {
        messages: burst,
        rate: if other.is_some() {
            10.0 * BURST_RATE
        } else {
            BURST_RATE
        },
        answer_deadline: Duration::from_hours(1),
        configure: |_| {},
        restart: false,
    };
    write(&stage, load, Instant::now()).await;
    let meanwhile = visitors(&stage, gladly, &inbox).await?;
    let left = stage.relay.backlog().await?;
    let (made, needed) = (LIMIT * 60.0, count(burst) * super::CALLS);
    ensure!(
        left > 0 || needed < made,
        "the burst was over before the other account's customers came"
    );
    stage.clear().await;
    Ok(Visits { alone, meanwhile })
}

async fn visitors(stage: &Stage, gladly: &Gladly, inbox: &str) -> anyhow::Result<Waits> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("http://127.0.0.1:{}/webhooks/gladly", stage.relay.port());
    let mut waits = Waits::default();
    for _ in 0..VISITORS {
        let id = gladly.add_conversation("A visitor");
        gladly.move_to(&id, inbox, None);
        let message = Message::chat("Where is my order?");
        let item = gladly.customer_message_without_webhook(&id, &message);
        let came = Instant::now();
        let request = http.post(&url).header("X-Account-Identifier", NEIGHBOUR);
        let request = request.body(gladly.payload_for(&item).to_string());
        request.send().await?.error_for_status()?;
        waits.acks.push(came.elapsed().as_secs_f64() * 1e3);
        let answered = gladly.wait_for(|world| {
            let view = world.conversation(&id);
            view.is_some_and(|view| !view.replies().is_empty())
        });
        timeout(PATIENCE, answered).await?;
        waits.answers.push(came.elapsed().as_secs_f64());
        // Not in step with the seconds of the limit.
        sleep(Duration::from_millis(330)).await;
    }
    waits.acks.sort_unstable_by(f64::total_cmp);
    waits.answers.sort_unstable_by(f64::total_cmp);
    Ok(waits)
}
