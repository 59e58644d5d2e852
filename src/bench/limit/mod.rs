//! `bench limit`: how much of Gladly's ten calls a second the relay puts to use,
//! beside arithmetic, what it does above capacity, and whether accounts delay one
//! another.
//!
//! Loads take minutes and hardly any CPU time, so those of a round run beside each
//! other, each on a stage of its own.

mod fair;
mod load;

use std::time::Duration;

use clap::Args;
use futures_util::future::try_join_all;

use super::figures::Section;
use super::options::at_least_one;
use super::relay::CALLS;
use super::{Setup, count, progress};
use crate::sim::{GladlyOptions, Latency, Limiter};
use load::{LIMIT, Load, Outcome, play};

/// Messages a second in a burst: 200 of them come within 5 s.
const BURST_RATE: f64 = 40.0;
/// The messages by default, by which the loads above capacity are told.
const MESSAGES: usize = 200;
/// Bursts above capacity.
const BURSTS: [usize; 3] = [150, 300, 600];
/// Steady loads: messages a second, and how many make two minutes of it.
const STEADY: [(f64, usize); 2] = [(4.0, 480), (6.0, 720)];

/// What the limit is met under. Its key is part of its figures' keys.
const CONDITIONS: [Condition; 8] = [
    Condition {
        key: "sliding",
        words: "sliding second",
        configure: |_| {},
        restart: false,
    },
    Condition {
        key: "whole_seconds",
        words: "whole seconds",
        configure: |gladly| gladly.limiter = Limiter::WholeSeconds,
        restart: false,
    },
    Condition {
        key: "token_bucket",
        words: "token bucket",
        configure: |gladly| gladly.limiter = Limiter::TokenBucket,
        restart: false,
    },
    Condition {
        key: "far",
        words: "180 to 220 ms away",
        configure: |gladly| {
            gladly.latency = Latency {
                least: Duration::from_millis(180),
                jitter: Duration::from_millis(40),
            };
        },
        restart: false,
    },
    Condition {
        key: "jittery",
        words: "20 to 200 ms away",
        configure: |gladly| {
            gladly.latency = Latency {
                least: Duration::from_millis(20),
                jitter: Duration::from_millis(180),
            };
        },
        restart: false,
    },
    Condition {
        key: "beside_2",
        words: "beside 2 calls/s of another",
        configure: |gladly| gladly.others_per_second = 2,
        restart: false,
    },
    Condition {
        key: "beside_5",
        words: "beside 5 calls/s of another",
        configure: |gladly| gladly.others_per_second = 5,
        restart: false,
    },
    Condition {
        key: "restarted",
        words: "killed half-way",
        configure: |_| {},
        restart: true,
    },
];

#[derive(Clone, Copy)]
struct Condition {
    key: &'static str,
    words: &'static str,
    configure: fn(&mut GladlyOptions),
    /// Whether the relay is killed, and started again at once, half-way.
    restart: bool,
}

/// How much is measured.
#[derive(Debug, Clone, Copy, Args)]
pub struct Options {
    /// Messages, 40 a second
    #[arg(long, default_value_t = MESSAGES, value_parser = at_least_one)]
    pub messages: usize,
    /// Also what comes of more than ten calls a second can answer, in proportion
    /// to the messages: 3 minutes more, or far more if it is not kept up with
    #[arg(long)]
    pub overload: bool,
}

/// Measures it.
///
/// # Errors
/// Fails if the relay does not start, or leaves a turn unfinished.
pub async fn measure(setup: &Setup, options: Options) -> anyhow::Result<Section> {
    let mut section = Section::new("limit");
    let rounds = setup.long_rounds();
    for round in 1..=rounds {
        let conditions = CONDITIONS.len();
        progress::tell(&format!(
            "limit, under {conditions} conditions at once, round {round} of {rounds}"
        ));
        let bursts = CONDITIONS.iter().map(|condition| {
            let burst = Load {
                messages: options.messages,
                rate: BURST_RATE,
                // So long that no deadline decides.
                answer_deadline: Duration::from_mins(10),
                configure: condition.configure,
                restart: condition.restart,
            };
            play(setup, burst)
        });
        let outcomes = try_join_all(bursts).await?;
        for (condition, outcome) in CONDITIONS.iter().zip(&outcomes) {
            add(&mut section, *condition, outcome, options.messages);
        }
        progress::tell(&format!(
            "limit, two accounts of one organization and two organizations, round {round} of {rounds}"
        ));
        Box::pin(fair::measure(setup, options.messages, &mut section)).await?;
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
    let bursts = BURSTS.map(|burst| {
        let load = Load {
            messages: scaled(burst),
            rate: BURST_RATE,
            answer_deadline: Duration::from_mins(1),
            configure: |_| {},
            restart: false,
        };
        let words = format!("burst of {}", load.messages);
        (format!("burst_{burst}"), words, load)
    });
    let steady = STEADY.map(|(rate, number)| {
        let load = Load {
            messages: scaled(number),
            rate,
            answer_deadline: Duration::from_secs(20),
            configure: |_| {},
            restart: false,
        };
        (format!("steady_{rate}"), format!("steady {rate}/s"), load)
    });
    let loads: Vec<_> = bursts.into_iter().chain(steady).collect();
    progress::tell(&format!("limit, {} loads above it at once", loads.len()));
    let outcomes = try_join_all(loads.iter().map(|(_, _, load)| play(setup, *load))).await?;
    for ((key, words, _), outcome) in loads.iter().zip(&outcomes) {
        add_overload(section, key, words, outcome);
    }
    Ok(())
}

fn add(section: &mut Section, condition: Condition, outcome: &Outcome, messages: usize) {
    let key = |figure: &str| format!("{}_{figure}", condition.key);
    let what = |figure: &str| format!("{figure}, {}", condition.words);
    let mut gladly = GladlyOptions::default();
    (condition.configure)(&mut gladly);
    // What others leave.
    let limit = LIMIT - f64::from(gladly.others_per_second);
    let calls = count(outcome.calls);
    let used = (calls - count(outcome.refused)) / (limit * outcome.last);
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
        .beside("arithmetic", CALLS * count(messages) / limit);
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
