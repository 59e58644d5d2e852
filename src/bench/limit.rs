//! `bench limit`: how much of Gladly's ten calls a second the relay puts to use,
//! beside arithmetic, and what it does above capacity.

use std::time::{Duration, Instant};

use clap::Args;
use tokio::time::sleep_until;

use super::chaos::ledger::{Token, Verdict, judge};
use super::figures::Section;
use super::folder::Folder;
use super::options::at_least_one;
use super::relay::CALLS;
use super::stage::{Scenery, Stage};
use super::{Setup, count, progress};
use crate::sim::{GladlyOptions, GladlyWorld, Message, Operation};

/// Gladly's calls a second.
const LIMIT: f64 = 10.0;
/// Messages a second in a burst: 200 of them come within 5 s.
const BURST_RATE: f64 = 40.0;
/// The messages by default, by which the loads above capacity are told.
const MESSAGES: usize = 200;
/// Bursts above capacity.
const BURSTS: [usize; 3] = [150, 300, 600];
/// Steady loads: messages a second, and how many make two minutes of it.
const STEADY: [(f64, usize); 2] = [(4.0, 480), (6.0, 720)];
/// How long a load may take in all.
const PATIENCE: Duration = Duration::from_mins(30);

/// The ways in which a server may count its calls. A new one is a line here, and
/// its word is part of its figures' keys.
const SERVERS: [Server; 1] = [Server {
    key: "sliding",
    words: "sliding second",
    configure: |_| {},
}];

#[derive(Clone, Copy)]
struct Server {
    key: &'static str,
    words: &'static str,
    configure: fn(&mut GladlyOptions),
}

/// How much is measured.
#[derive(Debug, Clone, Copy, Args)]
pub struct Options {
    /// Messages, 40 a second
    #[arg(long, default_value_t = MESSAGES, value_parser = at_least_one)]
    pub messages: usize,
    /// Also what comes of more than ten calls a second can answer, in proportion
    /// to the messages: 10 minutes more, or far more if it is not kept up with
    #[arg(long)]
    pub overload: bool,
}

/// Measures it.
///
/// # Errors
/// Fails if the relay does not start, or leaves a turn unfinished.
pub async fn measure(setup: &Setup, options: Options) -> anyhow::Result<Section> {
    let mut section = Section::new("limit");
    for round in 1..=setup.long_rounds() {
        for server in SERVERS {
            let rounds = setup.long_rounds();
            let words = server.words;
            progress::tell(&format!("limit, {words}, round {round} of {rounds}"));
            let burst = Load {
                messages: options.messages,
                rate: BURST_RATE,
                // So long that no deadline decides.
                answer_deadline: Duration::from_mins(10),
            };
            let outcome = play(setup, server, burst).await?;
            add(&mut section, server, &outcome, options.messages);
        }
    }
    if options.overload {
        overload(setup, options.messages, &mut section).await?;
    }
    Ok(section)
}

/// Bursts and steady loads above what ten calls a second can answer, with
/// deadlines that decide.
async fn overload(setup: &Setup, messages: usize, section: &mut Section) -> anyhow::Result<()> {
    let scaled = |number: usize| (number * messages).div_ceil(MESSAGES);
    for burst in BURSTS {
        let load = Load {
            messages: scaled(burst),
            rate: BURST_RATE,
            answer_deadline: Duration::from_mins(1),
        };
        let words = format!("burst of {}", load.messages);
        progress::tell(&format!("limit, {words}"));
        let outcome = play(setup, SERVERS[0], load).await?;
        add_overload(section, &format!("burst_{burst}"), &words, &outcome);
    }
    for (rate, number) in STEADY {
        let load = Load {
            messages: scaled(number),
            rate,
            answer_deadline: Duration::from_secs(20),
        };
        let words = format!("steady {rate}/s");
        progress::tell(&format!("limit, {words}"));
        let outcome = play(setup, SERVERS[0], load).await?;
        add_overload(section, &format!("steady_{rate}"), &words, &outcome);
    }
    Ok(())
}

/// What customers write, each in a conversation of their own.
#[derive(Clone, Copy)]
struct Load {
    messages: usize,
    /// Messages a second.
    rate: f64,
    answer_deadline: Duration,
}

/// What came of a load.
struct Outcome {
    verdict: Verdict,
    /// From the first message to the last outcome, in seconds.
    last: f64,
    /// From the first message to the last, in seconds.
    writing: f64,
    calls: usize,
    refused: usize,
}

async fn play(setup: &Setup, server: Server, load: Load) -> anyhow::Result<Outcome> {
    let folder = Folder::temporary()?;
    let mut scenery = Scenery::instant(&setup.binary, folder.path());
    scenery.gladly = GladlyOptions::default();
    (server.configure)(&mut scenery.gladly);
    scenery.gleen.think_time = Duration::from_millis(500);
    scenery.answer_deadline = load.answer_deadline;
    let stage = Stage::set(scenery).await?;
    stage.connect();
    let started = Instant::now();
    let conversations = write(&stage, load, started).await;
    let writing = count(load.messages) / load.rate;
    stage.settled(PATIENCE).await?;
    let questions = stage.gleen.questions();
    let outcome = |world: &GladlyWorld| {
        let ending =
            |operation| matches!(operation, Operation::Reply | Operation::PatchConversation);
        let mut requests = world.requests().iter();
        let last = requests.rfind(|request| ending(request.operation));
        Some(Outcome {
            verdict: judge(world, &questions, &conversations, load.answer_deadline),
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

async fn write(stage: &Stage, load: Load, started: Instant) -> Vec<String> {
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

fn add(section: &mut Section, server: Server, outcome: &Outcome, messages: usize) {
    let key = |figure: &str| format!("{}_{figure}", server.key);
    let what = |figure: &str| format!("{figure}, {}", server.words);
    let calls = count(outcome.calls);
    let used = (calls - count(outcome.refused)) / (LIMIT * outcome.last);
    section
        .add(key("used"), what("limit used"), "%", used * 1e2)
        .beside("arithmetic", 100.0);
    let refused = count(outcome.refused) / calls;
    section.add(key("refused"), what("calls refused"), "%", refused * 1e2);
    let each = calls / count(messages);
    section
        .add(key("calls"), what("calls, each message"), "", each)
        .beside("arithmetic", CALLS);
    let answered = count(outcome.verdict.replied);
    section
        .add(key("answered"), what("answered"), "", answered)
        .beside("arithmetic", count(messages));
    section
        .add(key("last"), what("last outcome"), "s", outcome.last)
        .beside("arithmetic", CALLS * count(messages) / LIMIT);
}

fn add_overload(section: &mut Section, key: &str, name: &str, outcome: &Outcome) {
    let verdict = &outcome.verdict;
    let key = |figure: &str| format!("{key}_{figure}");
    let what = |figure: &str| format!("{figure}, {name}");
    let in_time = count(verdict.replied_in_time);
    section.add(key("answered"), what("answered in time"), "", in_time);
    let rate = in_time / outcome.writing;
    let what_rate = what("answered in time, each second of arrivals");
    section.add(key("answered_rate"), what_rate, "1/s", rate);
    let served = verdict.written - verdict.late - verdict.lost;
    let served = count(served) / count(verdict.written);
    let what_served = what("answered or with a human in time");
    section.add(key("served"), what_served, "%", served * 1e2);
    let last = outcome.last;
    section.add(key("last"), what("last outcome"), "s", last);
    let refused = count(outcome.refused) / count(outcome.calls);
    section.add(key("refused"), what("calls refused"), "%", refused * 1e2);
}
