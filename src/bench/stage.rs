//! The stage of a bench: both services simulated in this process, and the real
//! relay between them in a process of its own, on a real file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::balancer::Balancer;
use super::scratch::{Databases, Scratch};
use super::server::{Launch, Server, free_ports};
use super::usage;
use crate::sim::{Answer, Gladly, GladlyOptions, Gleen, GleenOptions, Responder, WebhookSpec};

/// The account's identifier.
pub(super) const IDENTIFIER: &str = "bench";

/// The identifier of the account with this number.
pub(super) fn identifier(number: usize) -> String {
    match number {
        0 => IDENTIFIER.to_owned(),
        other => format!("{IDENTIFIER}-{other}"),
    }
}

/// The other account's identifier, if there is one.
pub(super) const NEIGHBOUR: &str = "neighbour";

/// Another account of the relay.
#[derive(Clone, Copy)]
pub(super) enum Neighbour<'a> {
    /// Of the same organization.
    Twin,
    /// Of an organization with this Gladly, of the default options.
    Other(&'a Gladly),
}

impl Neighbour<'_> {
    /// Its Gladly; `first` is that of the first account.
    fn gladly<'a>(&'a self, first: &'a Gladly) -> &'a Gladly {
        match self {
            Self::Twin => first,
            Self::Other(gladly) => gladly,
        }
    }

    /// The inbox that it answers in its Gladly: one for each account.
    pub(super) fn inbox(self, gladly: &Gladly) -> String {
        match self {
            Self::Twin => gladly.options().other_inbox_id,
            Self::Other(_) => gladly.options().ai_inbox_id,
        }
    }
}

/// How the stage is set.
pub(super) struct Scenery<'a> {
    /// The relay's binary.
    pub(super) binary: &'a Path,
    /// Where the relay's file and log are.
    pub(super) folder: &'a Path,
    /// The simulated Gladly. The relay is told its limit.
    pub(super) gladly: GladlyOptions,
    /// The simulated Gleen.
    pub(super) gleen: GleenOptions,
    /// The relay's deadline for an answer.
    pub(super) answer_deadline: Duration,
    /// More of the relay's `[policy]`, as TOML.
    pub(super) policy: &'static str,
    /// How long one question may take.
    pub(super) gleen_timeout: Duration,
    /// Whether the relay's syncs are written down.
    pub(super) traced: bool,
    /// Another account beside the first; Gladly tells it nothing by itself.
    pub(super) neighbour: Option<Neighbour<'a>>,
    /// What the relays store in.
    pub(super) databases: &'a Databases,
    /// The one to store in, if it is there already.
    pub(super) database: Option<Arc<Scratch>>,
    /// How many relays share it.
    pub(super) relays: usize,
    /// How many accounts, each of an organization of its own, with a Gladly like the first.
    pub(super) organizations: usize,
}

impl<'a> Scenery<'a> {
    /// Services without a limit that answer at once.
    pub(super) fn instant(binary: &'a Path, folder: &'a Path) -> Self {
        Self {
            binary,
            folder,
            gladly: GladlyOptions {
                requests_per_second: None,
                ..GladlyOptions::default()
            },
            gleen: GleenOptions {
                responder: Some(repeat()),
                ..GleenOptions::default()
            },
            answer_deadline: Duration::from_mins(5),
            policy: "",
            gleen_timeout: Duration::from_secs(25),
            traced: false,
            neighbour: None,
            databases: &Databases::Files,
            database: None,
            relays: 1,
            organizations: 1,
        }
    }
}

/// A bot that repeats the question, so that the answer shows what it is to.
pub(super) fn repeat() -> Responder {
    Responder::new(|question| Answer::Text(format!("You asked: {}", question.text)))
}

/// How long it may take until each account is driven.
const START_LIMIT: Duration = Duration::from_mins(2);

/// The stage, set. The relays go first when it is dropped.
pub(super) struct Stage {
    pub(super) relay: Relay,
    /// Those that share the first one's database.
    pub(super) others: Vec<Relay>,
    /// In front of them all.
    balancer: Option<Balancer>,
    pub(super) database: Arc<Scratch>,
    pub(super) gladly: Gladly,
    /// Those of the further accounts.
    pub(super) further: Vec<Gladly>,
    pub(super) gleen: Gleen,
}

impl Stage {
    /// Starts the simulators, then the relay.
    ///
    /// One stage at a time, or two relays may be told the same free port.
    pub(super) async fn set(scenery: Scenery<'_>) -> anyhow::Result<Self> {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
        let _turn = ONE_AT_A_TIME.lock().await;
        let gladly = Gladly::start(scenery.gladly.clone()).await?;
        let mut further = Vec::new();
        for _ in 1..scenery.organizations {
            further.push(Gladly::start(scenery.gladly.clone()).await?);
        }
        let gleen = Gleen::start(scenery.gleen.clone()).await?;
        let database = match &scenery.database {
            Some(database) => database.clone(),
            None => Arc::new(scenery.databases.fresh(scenery.folder).await?),
        };
        let mut relays = Vec::new();
        for number in 0..scenery.relays {
            let services = (&gladly, &*further, &gleen);
            relays.push(start(&scenery, &database, services, number).await?);
        }
        let ports = relays.iter().map(Relay::port).collect();
        let balancer = match scenery.relays {
            1 => None,
            _ => Some(Balancer::start(ports).await?),
        };
        let mut relays = relays.into_iter();
        Ok(Self {
            relay: relays.next().context("a stage has a relay")?,
            others: relays.collect(),
            balancer,
            database,
            gladly,
            further,
            gleen,
        })
    }

    /// Where webhooks are taken.
    pub(super) fn port(&self) -> u16 {
        self.balancer
            .as_ref()
            .map_or(self.relay.ports[0], Balancer::port)
    }

    /// Lets Gladly tell the relays what happens from now on.
    pub(super) fn connect(&self) {
        let url = format!("http://127.0.0.1:{}/webhooks/gladly", self.port());
        for (number, gladly) in self.organizations().enumerate() {
            let webhook = WebhookSpec::relay(url.clone(), identifier(number));
            gladly.register_webhook(webhook);
        }
    }

    /// The Gladly of each account, the first account's first.
    pub(super) fn organizations(&self) -> impl Iterator<Item = &Gladly> {
        std::iter::once(&self.gladly).chain(&self.further)
    }

    /// The relays.
    pub(super) fn relays(&self) -> impl Iterator<Item = &Relay> {
        std::iter::once(&self.relay).chain(&self.others)
    }

    /// Waits until each account is driven by one relay, and no relay has more than its
    /// share of them.
    pub(super) async fn driven(&self) -> anyhow::Result<()> {
        let driven = timeout(START_LIMIT, async {
            while !self.is_driven_evenly().await? {
                sleep(Duration::from_millis(100)).await;
            }
            anyhow::Ok(())
        });
        let driven = driven.await;
        driven.context("the accounts were not all driven in time")?
    }

    async fn is_driven_evenly(&self) -> anyhow::Result<bool> {
        let accounts = 1 + self.further.len();
        let share = accounts.div_ceil(1 + self.others.len());
        let (mut all, mut even) = (0, true);
        for relay in self.relays() {
            let driven = relay.gauges("gladly_relay_driver").await?;
            let here = driven.values().filter(|value| **value > 0.0).count();
            even &= here <= share;
            all += here;
        }
        Ok(even && all == accounts)
    }

    /// Waits until fewer than so many webhooks are on their way.
    pub(super) async fn told(&self, fewer_than: usize) -> anyhow::Result<()> {
        let told = self
            .gladly
            .wait_for(|world| world.undelivered() < fewer_than);
        let told = timeout(Duration::from_mins(2), told).await;
        told.context("webhooks stay undelivered")
    }

    /// Waits until all is told and no turn is left; fails after `limit`.
    pub(super) async fn settled(&self, limit: Duration) -> anyhow::Result<()> {
        let settled = async {
            self.gladly.wait_for(|world| world.undelivered() == 0).await;
            while self.relay.backlog().await? > 0 {
                sleep(Duration::from_millis(10)).await;
            }
            anyhow::Ok(())
        };
        let settled = timeout(limit, settled).await;
        settled.with_context(|| format!("turns were left after {} s", limit.as_secs()))?
    }

    /// Ends all of it.
    pub(super) async fn clear(self) {
        drop((self.relay, self.others));
        self.gladly.shutdown().await;
        for gladly in &self.further {
            gladly.shutdown().await;
        }
        self.gleen.shutdown().await;
    }
}

/// Starts the relay with this number.
async fn start(
    scenery: &Scenery<'_>,
    database: &Scratch,
    services: (&Gladly, &[Gladly], &Gleen),
    number: usize,
) -> anyhow::Result<Relay> {
    let ports = free_ports()?;
    let text = config(scenery, database, services, ports, number);
    let name = match number {
        0 => "relay".to_owned(),
        other => format!("relay-{other}"),
    };
    let path = scenery.folder.join(format!("{name}.toml"));
    std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    let launch = Launch {
        binary: scenery.binary.to_owned(),
        arguments: vec![
            "serve".into(),
            "--for-bench".into(),
            "--config".into(),
            path.into(),
        ],
        log: scenery.folder.join(format!("{name}.log")),
        port: ports[0],
        trace: scenery.traced.then(|| trace_in(scenery.folder)),
    };
    Ok(Relay {
        server: Server::start(launch).await?,
        ports,
    })
}

/// The relay's process.
pub(super) struct Relay {
    server: Server,
    ports: [u16; 2],
}

impl Relay {
    /// Where it takes webhooks.
    pub(super) fn port(&self) -> u16 {
        self.ports[0]
    }

    /// The number of the first account's turns that have not ended, from the relay's
    /// own gauge.
    pub(super) async fn backlog(&self) -> anyhow::Result<u64> {
        let text = self.server.read(self.ports[1], "/metrics").await?;
        let gauge = format!("gladly_relay_backlog_turns{{account=\"{IDENTIFIER}\"}}");
        let line = text.lines().find(|line| line.starts_with(&gauge));
        let count = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
        count.context("the metrics have no backlog")
    }

    /// SIGKILL, and returns when it is gone.
    pub(super) fn kill(&mut self) -> anyhow::Result<()> {
        self.server.kill().context("the relay could not be killed")
    }

    /// Starts it again on the same file and port.
    pub(super) async fn start_again(&mut self) -> anyhow::Result<()> {
        self.server.start_again().await
    }

    /// This gauge of each account, by its labels.
    pub(super) async fn gauges(&self, name: &str) -> anyhow::Result<BTreeMap<String, f64>> {
        let text = self.server.read(self.ports[1], "/metrics").await?;
        let lines = text.lines().filter_map(|line| {
            let (labels, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
            labels.starts_with('{').then_some((labels, value))
        });
        let gauges = lines.map(|(labels, value)| Ok((labels.to_owned(), value.parse()?)));
        gauges.collect()
    }

    /// CPU time so far, in seconds.
    pub(super) fn cpu(&self) -> Option<f64> {
        usage::cpu_seconds(self.server.id())
    }

    /// Resident memory, in MiB.
    pub(super) fn memory(&self) -> Option<f64> {
        usage::memory_mib(self.server.id())
    }
}

/// The relay's database in a folder.
pub(super) fn database_in(folder: &Path) -> PathBuf {
    folder.join("relay.db")
}

/// The list of the relay's syncs in a folder.
pub(super) fn trace_in(folder: &Path) -> PathBuf {
    folder.join("syncs")
}

/// High enough to be no limit.
const UNLIMITED: u32 = 100_000;

fn config(
    scenery: &Scenery<'_>,
    database: &Scratch,
    (gladly, further, gleen): (&Gladly, &[Gladly], &Gleen),
    ports: [u16; 2],
    number: usize,
) -> String {
    let mut text = format!(
        r#"
listen = "127.0.0.1:{public}"
admin_listen = "127.0.0.1:{admin}"
{store}
sweep_interval = "0s"
[policy]
answer_deadline = "{deadline}ms"
{policy}
"#,
        public = ports[0],
        admin = ports[1],
        store = database.settings(),
        deadline = scenery.answer_deadline.as_millis(),
        policy = scenery.policy,
    );
    // So that what Gleen was asked shows who asked.
    let gleen_url = format!("{}/{number}", gleen.url());
    let account = |identifier: &str, gladly: &Gladly, inbox: &str| {
        account(scenery, identifier, gladly, inbox, &gleen_url)
    };
    let organizations = std::iter::once(gladly).chain(further);
    for (number, gladly) in organizations.enumerate() {
        let ai_inbox = gladly.options().ai_inbox_id;
        text.push_str(&account(&identifier(number), gladly, &ai_inbox));
    }
    let neighbour = scenery.neighbour.map(|neighbour| {
        let gladly = neighbour.gladly(gladly);
        account(NEIGHBOUR, gladly, &neighbour.inbox(gladly))
    });
    text.push_str(&neighbour.unwrap_or_default());
    text
}

fn account(
    scenery: &Scenery<'_>,
    identifier: &str,
    gladly: &Gladly,
    ai_inbox_id: &str,
    gleen_url: &str,
) -> String {
    let options = gladly.options();
    format!(
        r#"
[[account]]
name = "{identifier}"
identifier = "{identifier}"
max_concurrent_questions = 200
[account.gladly]
url = "{gladly_url}"
username = "{username}"
api_token = "{api_token}"
ai_inbox_id = "{ai_inbox_id}"
handoff_inbox_id = "{handoff_inbox_id}"
agent_id = "{agent_id}"
requests_per_second = {requests_per_second}
[account.gleen]
url = "{gleen_url}"
api_key = "{api_key}"
timeout = "{gleen_timeout}ms"
"#,
        gladly_url = gladly.url(),
        username = options.username,
        api_token = options.api_token,
        handoff_inbox_id = options.handoff_inbox_id,
        agent_id = options.bot_agent_id,
        requests_per_second = options.requests_per_second.unwrap_or(UNLIMITED),
        api_key = scenery.gleen.api_key,
        gleen_timeout = scenery
            .gleen_timeout
            .min(scenery.answer_deadline)
            .as_millis(),
    )
}
