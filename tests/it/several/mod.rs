//! Several relays on one PostgreSQL: each message has one outcome, whichever of them
//! hears of it, stops, dies, stands still or loses the database.

mod at_start;
mod copied;
mod database_away;
mod deaths;
mod no_room;
mod pooler;
mod tls;
mod together;

use std::sync::OnceLock;
use std::time::Duration;

use gladly_relay::bench::OwnPostgres;
use gladly_relay::sim::{GladlyWorld, Hold, Operation, WebhookSpec};

use crate::support::{
    IDENTIFIER, RelayProcess, Setup, TestRelay, asked_by_customers, skipped, soon,
};

pub(crate) const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// One server for the tests that don't hurt it.
pub(crate) fn server() -> Option<&'static OwnPostgres> {
    static SERVER: OnceLock<Option<OwnPostgres>> = OnceLock::new();
    SERVER.get_or_init(own_server).as_ref()
}

/// A server of the test's own, to be crashed.
fn own_server() -> Option<OwnPostgres> {
    let Some(programs) = OwnPostgres::programs() else {
        skipped("PostgreSQL");
        return None;
    };
    Some(OwnPostgres::start(&programs, &["fsync=off", "max_connections=300"]).unwrap())
}

/// The simulators, a database, and relays that share it.
struct Several {
    world: TestRelay,
    address: String,
    relays: Vec<RelayProcess>,
    webhooks: Vec<String>,
}

impl Several {
    /// Two relays, both of which hear every webhook.
    async fn two(server: &OwnPostgres) -> Self {
        let mut several = Self::none(server, Setup::default()).await;
        several.add().await;
        several.add().await;
        several
    }

    async fn none(server: &OwnPostgres, mut setup: Setup) -> Self {
        // What had to be refused comes again before a test is over.
        let delivery = &mut setup.gladly.delivery;
        delivery.retry_delays = vec![Duration::from_secs(1); 60];
        delivery.disable_after_failures = None;
        let name = format!("it_{:08x}", fastrand::u32(..));
        server
            .sql("postgres", &format!("CREATE DATABASE {name}"))
            .unwrap();
        Self {
            world: setup.start_without_relay().await,
            address: server.address(&name),
            relays: Vec::new(),
            webhooks: Vec::new(),
        }
    }

    /// Starts another relay and lets Gladly tell it of everything.
    async fn add(&mut self) {
        let relay = self.start().await;
        let spec = WebhookSpec::relay(format!("{}/webhooks/gladly", relay.url), IDENTIFIER);
        self.webhooks.push(self.world.gladly.register_webhook(spec));
        self.relays.push(relay);
    }

    async fn start(&self) -> RelayProcess {
        let environment = [("RELAY_STORE", self.address.as_str()), ("RELAY_KEY", KEY)];
        RelayProcess::start_with(&self.world.config_file(), &environment).await
    }

    /// A customer wrote, and the bot's answer is held until it is released.
    async fn while_the_bot_thinks(&self) -> (String, Hold) {
        let thinking = self.world.gleen.hold_next_answer(Operation::SendMessage);
        let conversation = self.world.conversation();
        self.world.says(&conversation, "hello");
        soon(thinking.reached()).await;
        (conversation, thinking)
    }

    /// Lets twelve customers write: each is answered once, and none asked for twice.
    async fn answer_each_of_twelve_once(&self) {
        let world = &self.world;
        let conversations: Vec<String> = (0..12).map(|_| world.conversation()).collect();
        for conversation in &conversations {
            world.says(conversation, "hello");
        }
        answered(world, &conversations).await;
        world.all_told().await;
        assert_eq!(said(world, &conversations), [1; 12]);
        assert_eq!(asked_by_customers(&world.gleen.questions()), 12);
    }

    /// Waits until every relay says of itself that it can take webhooks, or that it can't.
    async fn all_ready(&self, status: u16) {
        for relay in &self.relays {
            soon(async { while ready(relay).await != status {} }).await;
        }
    }

    /// Waits until every relay had to refuse a webhook.
    async fn all_refuse(&self) {
        let refused = |world: &GladlyWorld| {
            let refused = |webhook: &String| {
                world
                    .deliveries()
                    .iter()
                    .any(|delivery| delivery.webhook_id == *webhook && !delivery.succeeded())
            };
            self.webhooks.iter().all(refused)
        };
        soon(self.world.gladly.wait_for(refused)).await;
    }

    /// Takes the relay that drives out of those that run.
    async fn take_driver(&mut self) -> RelayProcess {
        let wait = Duration::from_secs(20);
        let found = tokio::time::timeout(wait, async {
            loop {
                for (index, relay) in self.relays.iter().enumerate() {
                    if drives(relay).await {
                        return index;
                    }
                }
            }
        });
        self.relays.remove(found.await.expect("one of them drives"))
    }

    /// SIGTERM to all: each ends well.
    async fn stop(self) {
        let stopping = self.relays.into_iter().map(RelayProcess::terminate);
        for code in futures_util::future::join_all(stopping).await {
            assert_eq!(code, Some(0));
        }
    }
}

/// What `/readyz` answers.
async fn ready(relay: &RelayProcess) -> u16 {
    let answer = reqwest::get(format!("{}/readyz", relay.url)).await.unwrap();
    answer.status().as_u16()
}

/// Whether the relay says that it drives the account.
pub(crate) async fn drives(relay: &RelayProcess) -> bool {
    let metrics = reqwest::get(format!("{}/metrics", relay.admin_url))
        .await
        .unwrap();
    let metrics = metrics.text().await.unwrap();
    metrics.contains("gladly_relay_driver{account=\"acme\"} 1\n")
}

/// How many replies stand in each of the conversations.
fn said(world: &TestRelay, conversations: &[String]) -> Vec<usize> {
    let count = |id: &String| world.replies(id).len();
    conversations.iter().map(count).collect()
}

/// Waits until each of the conversations has a reply.
async fn answered(world: &TestRelay, conversations: &[String]) {
    let has_one = |world: &GladlyWorld, id| !world.conversation(id).unwrap().replies().is_empty();
    let all = |world: &GladlyWorld| conversations.iter().all(|id| has_one(world, id));
    soon(world.gladly.wait_for(all)).await;
}
