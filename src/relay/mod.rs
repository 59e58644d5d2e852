//! From a journaled message to its outcome.
//!
//! [`Relay::receive`] journals a webhook; a driver claims turns from the store
//! as they come due; `run` does one action after the other; [`turn`], pure, says
//! which. What to do about messages and answers stands in [`policy`]. Beside them, a
//! sweep for each account looks for what no webhook brought.
//!
//! Where several relays share the database, `keeper` holds the leases that say which
//! organizations are driven here, and `driving` lets no step be made without one.

mod intake;

mod driver;
mod driving;
mod keeper;
mod spread;
mod starter;

mod run;

pub mod turn;

pub mod policy;

mod breaker;
mod late_note;
mod news;
mod running;
mod state;
mod sweep;
mod thinking;
mod upkeep;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Url;
use tokio::sync::{Notify, Semaphore, broadcast};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use intake::{Receipt, ReceiveError};
pub use news::{News, TurnNews};
pub use state::{AccountState, WebhookState};

use crate::clock::Clock;
use crate::config::{AccountConfig, Config, Policy};
use crate::conversation::Bot;
use crate::gladly::Pace;
use crate::id::{AccountName, InboxId};
use crate::store::{Organization, Runner, Store};
use crate::telemetry::{Metrics, Traces};
use crate::{gladly, gleen};
use breaker::Breaker;
use keeper::Keeper;
use late_note::LateNotes;
use news::Newsroom;
use running::Running;
use starter::Starter;
use state::Seen;
use thinking::Thinking;

/// The most turns of one account that run at once. Those that only wait for
/// Gleen don't keep others from being handed off in time.
const RUNNING_TURNS: usize = 1_000;

/// All accounts' turns in this process.
pub struct Relay {
    accounts: BTreeMap<AccountName, Arc<Account>>,
    paces: Vec<Arc<Pace>>,
    shared: Arc<Shared>,
    /// What it is called among others.
    name: String,
}

/// What every turn needs, whatever its account.
struct Shared {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    traces: Traces,
    running: Running,
    newsroom: Newsroom,
}

/// One account's access to the outside, and its limits.
struct Account {
    name: AccountName,
    bot: Bot,
    handoff_inbox_id: InboxId,
    policy: Policy,
    gladly_url: Url,
    gladly: gladly::Client,
    /// What its organization allows, as configured.
    calls_per_second: u32,
    gleen: gleen::Client,
    breaker: Mutex<Breaker>,
    thinking: Thinking,
    late_notes: LateNotes,
    /// The relay that runs its turns, by its name.
    driven_by: Mutex<Option<String>>,
    seen: Seen,
    /// Told when a message has been journaled or a lane became free.
    wake: Notify,
    /// One permit per turn that may run: a bound for memory, not a limit to feel.
    turn_permits: Arc<Semaphore>,
    /// One permit per question that may be put to Gleen at the same time.
    question_permits: Semaphore,
}

/// How a running relay is told to stop, and seen to have stopped.
#[derive(Debug, Default)]
pub struct Stopping {
    /// Cancelled first: no new turn is claimed.
    pub claim_no_more: CancellationToken,
    /// Cancelled last: turns that still run end where they are.
    pub let_go: CancellationToken,
    /// Drivers and turns.
    pub turns: TaskTracker,
    background: TaskTracker,
}

impl Stopping {
    /// Waits until everything has ended, which `let_go` brings about.
    pub async fn ended(&self) {
        self.turns.wait().await;
        self.background.wait().await;
    }
}

impl Relay {
    /// Wires the accounts. Accounts of one organization share its pace.
    ///
    /// # Errors
    /// Fails if a client can't be built: TLS, or a credential that can't stand
    /// in a header.
    pub fn new(
        accounts: &[AccountConfig],
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        traces: Traces,
    ) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            store,
            clock,
            metrics,
            traces,
            running: Running::default(),
            newsroom: Newsroom::default(),
        });
        let (mut wired, mut paces) = (BTreeMap::new(), BTreeMap::new());
        for config in accounts {
            let organization = config.gladly.url.origin().ascii_serialization();
            let limit = config.gladly.requests_per_second;
            let pace: &Arc<Pace> = paces
                .entry(organization)
                .or_insert_with(|| Pace::new(limit));
            let account = Account::new(config, pace.clone(), &shared)?;
            shared.metrics.begin(&account.name, shared.clock.now().at);
            wired.insert(config.name.clone(), Arc::new(account));
        }
        Ok(Self {
            accounts: wired,
            paces: paces.into_values().collect(),
            shared,
            name: name_of_this_process(),
        })
    }

    /// Starts a driver for each account, or whatever finds out which of them are to be
    /// driven here, and what runs beside them.
    pub fn start(&self, stopping: &Stopping, config: &Config) {
        let Stopping {
            claim_no_more,
            let_go,
            turns,
            background,
        } = stopping;
        let starter = Arc::new(Starter::new(self, stopping, config));
        let organizations = organizations(&config.accounts);
        if self.shared.store.leases().is_some() {
            let keeper = Keeper::new(
                self.shared.clone(),
                starter,
                organizations,
                config.shutdown_grace,
            );
            background.spawn(keeper.keep(claim_no_more.clone(), let_go.clone()));
        } else {
            // Names this start of the relay: what an earlier one left is taken up.
            let runner = Runner(fastrand::u32(..));
            for organization in &organizations {
                starter.begin(organization, runner, |_| ());
                starter.tell_driver(organization, Some(&self.name), true);
            }
        }
        for pace in &self.paces {
            background.spawn(pace.clone().run(let_go.clone()));
        }
        background.spawn(upkeep::purge(
            self.shared.clone(),
            config.retention,
            claim_no_more.clone(),
        ));
        turns.close();
        background.close();
    }

    /// The accounts that are configured.
    pub fn accounts(&self) -> impl Iterator<Item = &AccountName> {
        self.accounts.keys()
    }

    /// How much of Gladly's limit each account's organization has used lately.
    pub fn limits_used(&self) -> impl Iterator<Item = (&AccountName, f64)> {
        let used = |account: &'_ Arc<Account>| account.gladly.used_ratio();
        self.accounts
            .iter()
            .map(move |(name, account)| (name, used(account)))
    }

    /// What it is called among others: its machine and its process.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Hears of every turn and every account from now on.
    pub fn news(&self) -> broadcast::Receiver<News> {
        self.shared.newsroom.subscribe()
    }

    /// Lets the account's driver look at once for what another hand has changed in the
    /// store, and those who watch know of it.
    pub fn changed(&self, account: &AccountName) {
        if let Some(account) = self.accounts.get(account) {
            account.wake.notify_one();
        }
        self.shared.newsroom.tell(News::Account(account.clone()));
    }

    /// The turns that are running, for the log of a stop that cut them short.
    pub fn running(&self) -> Vec<String> {
        self.shared.running.names()
    }
}

/// What a relay is called among others: its machine and its process.
fn name_of_this_process() -> String {
    let system = rustix::system::uname();
    let machine = system.nodename().to_string_lossy();
    format!("{machine}:{}", std::process::id())
}

/// The accounts by the organization whose limit they share.
fn organizations(accounts: &[AccountConfig]) -> Vec<Organization> {
    let mut organizations: Vec<Organization> = Vec::new();
    for account in accounts {
        let name = account.gladly.url.origin().ascii_serialization();
        let known = organizations.iter().position(|one| one.name == name);
        let place = known.unwrap_or(organizations.len());
        if known.is_none() {
            let accounts = Vec::new();
            organizations.push(Organization { name, accounts });
        }
        organizations[place].accounts.push(account.name.clone());
    }
    organizations
}

impl Account {
    /// Remembers which relay runs its turns. True if it was not so before.
    fn driven_by(&self, driver: Option<&str>) -> bool {
        let mut driven_by = self
            .driven_by
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let driver = driver.map(str::to_owned);
        std::mem::replace(&mut *driven_by, driver.clone()) != driver
    }

    fn new(config: &AccountConfig, pace: Arc<Pace>, shared: &Shared) -> anyhow::Result<Self> {
        let (clock, metrics) = (shared.clock.clone(), shared.metrics.clone());
        Ok(Self {
            name: config.name.clone(),
            bot: Bot {
                ai_inbox_id: config.gladly.ai_inbox_id.clone(),
                agent_id: config.gladly.agent_id.clone(),
            },
            handoff_inbox_id: config.gladly.handoff_inbox_id.clone(),
            policy: config.policy.clone(),
            calls_per_second: config.gladly.requests_per_second,
            gladly_url: config.gladly.url.clone(),
            gladly: gladly::Client::new(
                &config.name,
                &config.gladly,
                pace,
                clock,
                metrics.clone(),
            )?,
            gleen: gleen::Client::new(&config.name, &config.gleen, metrics)?,
            breaker: Mutex::default(),
            thinking: Thinking::default(),
            late_notes: LateNotes::default(),
            driven_by: Mutex::default(),
            seen: Seen::default(),
            wake: Notify::new(),
            turn_permits: Arc::new(Semaphore::new(RUNNING_TURNS)),
            question_permits: Semaphore::new(config.max_concurrent_questions),
        })
    }
}
