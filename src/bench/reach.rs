//! `bench reach`: how acks and whole messages grow with the relays that share a
//! database and with the accounts, and what each part takes of the machine, which is
//! the same for all of them.
//!
//! The accounts are of one organization each. Acks are posted to all relays in turn,
//! messages come through a load balancer; a message counts once its reply is in the
//! simulated Gladly.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use tokio::time::{sleep, timeout};

use super::figures::Section;
use super::folder::Folder;
use super::options::{at_least_one, some_time};
use super::stage::{Relay, Scenery, Stage};
use super::webhooks::{Event, Length, Plan, post};
use super::{Databases, Setup, count, disk, progress, usage};
use crate::sim::{Message, Operation};

/// Connections over which acks are measured.
const CONNECTIONS: usize = 64;
/// The most webhooks on their way at once: no more than a listen queue holds.
const MOST_UNDELIVERED: usize = 256;
/// How long all messages may take.
const PATIENCE: Duration = Duration::from_mins(5);

/// How much is measured.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// How many relays share the database, one count after the other; 1 with a file,
    /// else 1,2,4
    #[arg(long, value_delimiter = ',', value_parser = at_least_one)]
    pub relays: Vec<usize>,
    /// How many accounts there are, one count after the other
    #[arg(long, value_delimiter = ',', default_value = "1,10,100", value_parser = at_least_one)]
    pub accounts: Vec<usize>,
    /// Messages, each in a conversation of its own
    #[arg(long, default_value_t = 3000, value_parser = at_least_one)]
    pub messages: usize,
    /// How long acks are measured, such as 4s
    #[arg(long, default_value = "4s", value_parser = some_time)]
    pub length: Duration,
}

/// Measures it.
///
/// # Errors
/// Fails if several relays are to share a file, if one does not start, or if a message
/// is left unanswered.
pub async fn measure(setup: &Setup, options: Options) -> anyhow::Result<Section> {
    let is_file = matches!(*setup.databases, Databases::Files);
    let relays = match (&*options.relays, is_file) {
        ([], true) => vec![1],
        ([], false) => vec![1, 2, 4],
        (named, _) => named.to_vec(),
    };
    if is_file && relays.iter().any(|relays| *relays > 1) {
        bail!("--relays: several relays share PostgreSQL; add --store postgres");
    }
    let mut section = Section::new("reach");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    section.add("cores", "cores of this machine", "", count(cores));
    for round in 1..=setup.long_rounds() {
        for relays in &relays {
            for accounts in &options.accounts {
                let rounds = setup.long_rounds();
                progress::tell(&format!(
                    "reach, {}, round {round} of {rounds}",
                    words(*relays, *accounts)
                ));
                of(setup, *relays, *accounts, &options, &mut section).await?;
            }
        }
    }
    Ok(section)
}

fn words(relays: usize, accounts: usize) -> String {
    let plural = |number| if number == 1 { "" } else { "s" };
    format!(
        "{relays} relay{}, {accounts} account{}",
        plural(relays),
        plural(accounts)
    )
}

async fn of(
    setup: &Setup,
    relays: usize,
    accounts: usize,
    options: &Options,
    section: &mut Section,
) -> anyhow::Result<()> {
    let folder = Folder::temporary()?;
    disk::settle().await?;
    let stage = Stage::set(Scenery {
        databases: &setup.databases,
        relays,
        organizations: accounts,
        ..Scenery::instant(&setup.binary, folder.path())
    });
    let stage = stage.await?;
    stage.driven().await?;
    let meter = Meter::begin(setup, &stage);
    let acks = post(Plan {
        ports: stage.relays().map(Relay::port).collect(),
        accounts,
        connections: CONNECTIONS,
        event: Event::Closed,
        length: Length::For(options.length),
    });
    let acks = acks.await?.rate;
    let used = meter.end(setup, &stage);
    let words = words(relays, accounts);
    let mut add = |key: &str, what: &str, rate: f64, used: Used| {
        section
            .add(
                format!("{key}_{relays}x{accounts}"),
                format!("{what}, {words}"),
                "1/s",
                rate,
            )
            .beside("whole_machine", used.at_most(rate))
            .taking("relays", used.relays)
            .taking("database", used.database)
            .taking("load_and_simulators", used.load)
            .taking("machine", used.machine);
    };
    add("acks", "acks", acks, used);
    stage.connect();
    let (rate, used) = messages(setup, &stage, options.messages).await?;
    add("messages", "whole messages", rate, used);
    stage.clear().await;
    Ok(())
}

/// So many customers write, to one account after the other, as fast as their webhooks
/// are taken: how many were answered a second, and what that took.
async fn messages(setup: &Setup, stage: &Stage, number: usize) -> anyhow::Result<(f64, Used)> {
    let organizations: Vec<_> = stage.organizations().collect();
    let most = (MOST_UNDELIVERED / organizations.len()).max(1);
    let mut conversations = Vec::with_capacity(number);
    for gladly in organizations.iter().cycle().take(number) {
        gladly.wait_for(|world| world.undelivered() < most).await;
        conversations.push((gladly, gladly.add_conversation("A customer")));
    }
    for gladly in &organizations {
        gladly.wait_for(|world| world.undelivered() == 0).await;
    }
    let (started, meter) = (Instant::now(), Meter::begin(setup, stage));
    let writing = async {
        for (index, (gladly, conversation)) in conversations.iter().enumerate() {
            gladly.wait_for(|world| world.undelivered() < most).await;
            let text = format!("Where is my order with the number {index}?");
            gladly.customer_says(conversation, &Message::chat(text));
        }
        // Looking seldom and at the simulators alone: the relays are busy.
        while replies(stage).await.0 < number {
            sleep(Duration::from_millis(50)).await;
        }
    };
    let all = timeout(PATIENCE, writing).await;
    let used = meter.end(setup, stage);
    let (answered, last) = replies(stage).await;
    ensure!(
        all.is_ok() && answered == number,
        "{answered} of {number} messages were answered"
    );
    let last = last.context("nothing was answered")?;
    Ok((count(number) / (last - started).as_secs_f64(), used))
}

/// How many replies stand in all Gladlys, and when the last one came.
async fn replies(stage: &Stage) -> (usize, Option<Instant>) {
    let (mut all, mut last) = (0, None);
    for gladly in stage.organizations() {
        let found = gladly.wait_until(|world| {
            let newest = world
                .requests()
                .iter()
                .rfind(|request| request.operation == Operation::Reply);
            Some((
                world.requests_of(Operation::Reply),
                newest.map(|reply| reply.at),
            ))
        });
        let (replies, newest) = found.await;
        all += replies;
        last = last.max(newest);
    }
    (all, last)
}

/// How much CPU time each part has used when something begins.
struct Meter {
    at: Instant,
    used: Used,
}

/// CPU time in seconds, or cores; none where it can't be told.
#[derive(Clone, Copy)]
struct Used {
    relays: Option<f64>,
    /// With a file it is the relay's own; of a server that is not the bench's nobody can tell.
    database: Option<f64>,
    /// This process: customers, load balancer, and both services simulated.
    load: Option<f64>,
    /// All that runs here, whoever's it is.
    machine: Option<f64>,
}

impl Used {
    fn so_far(setup: &Setup, stage: &Stage) -> Self {
        let relays = stage.relays().map(Relay::cpu);
        Self {
            relays: relays.sum(),
            database: match &*setup.databases {
                Databases::Files => Some(0.0),
                Databases::Own(server) => server.cpu(),
                Databases::On(_) => None,
            },
            load: usage::cpu_seconds(std::process::id()),
            machine: usage::machine_seconds(),
        }
    }
}

impl Used {
    /// The rate that the whole machine would allow at this cost: what others of its
    /// processes took, and what stood idle, would do the same.
    fn at_most(self, rate: f64) -> Option<f64> {
        let cores = std::thread::available_parallelism().ok()?.get();
        let each = (self.relays? + self.database? + self.load?) / rate;
        Some(count(cores) / each).filter(|most| most.is_finite())
    }
}

impl Meter {
    fn begin(setup: &Setup, stage: &Stage) -> Self {
        Self {
            at: Instant::now(),
            used: Used::so_far(setup, stage),
        }
    }

    fn end(&self, setup: &Setup, stage: &Stage) -> Used {
        let now = Used::so_far(setup, stage);
        let seconds = self.at.elapsed().as_secs_f64();
        let cores = |before: Option<f64>, after: Option<f64>| {
            before
                .zip(after)
                .map(|(before, after)| (after - before) / seconds)
        };
        Used {
            relays: cores(self.used.relays, now.relays),
            database: cores(self.used.database, now.database),
            load: cores(self.used.load, now.load),
            machine: cores(self.used.machine, now.machine),
        }
    }
}
