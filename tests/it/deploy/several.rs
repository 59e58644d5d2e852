//! Two relays on one PostgreSQL behind the shipped load balancers, started anew or killed
//! while customers write.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gladly_relay::bench::OwnPostgres;
use gladly_relay::sim::GladlyWorld;
use tokio::time::{MissedTickBehavior, interval};

use super::proxy::{Kind, Proxy};
use crate::several::{KEY, drives, server};
use crate::support::{RelayProcess, Setup, TestRelay, asked_by_customers, free_port, soon};

/// A customer writes so often.
const EVERY: Duration = Duration::from_millis(50);

/// The simulators, a database, and two relays behind a load balancer.
struct Balanced {
    server: &'static OwnPostgres,
    database: String,
    world: TestRelay,
    addresses: [SocketAddr; 2],
    /// Kept for as long as they are needed.
    proxies: Vec<Proxy>,
    relays: Vec<RelayProcess>,
    enough: AtomicBool,
}

impl Balanced {
    async fn start(kind: Kind, setup: Setup) -> Option<Self> {
        let server = server()?;
        let addresses = [(); 2].map(|()| SocketAddr::from(([127, 0, 0, 1], free_port())));
        let database = format!("balanced_{:08x}", fastrand::u32(..));
        let sql = format!("CREATE DATABASE {database}");
        server.sql("postgres", &sql).unwrap();
        let mut balanced = Self {
            server,
            database,
            world: setup.start_without_relay().await,
            addresses,
            proxies: Vec::new(),
            relays: Vec::new(),
            enough: AtomicBool::new(false),
        };
        for address in addresses {
            let relay = balanced.relay(address).await;
            balanced.relays.push(relay);
        }
        let proxy = Proxy::start_before_two(kind, addresses).await?;
        let url = format!("http://{}", proxy.address);
        balanced.world.point_webhook_to(&url);
        balanced.proxies.push(proxy);
        Some(balanced)
    }

    async fn relay(&self, address: SocketAddr) -> RelayProcess {
        let (store, listen) = (self.server.address(&self.database), address.to_string());
        let environment = [
            ("RELAY_STORE", &*store),
            ("RELAY_KEY", KEY),
            ("RELAY_LISTEN", &*listen),
        ];
        RelayProcess::start_with(&self.world.config_file(), &environment).await
    }

    /// Customers write, each in a conversation of its own, until it is enough.
    async fn write(&self) -> Vec<String> {
        let (mut conversations, mut pace) = (Vec::new(), interval(EVERY));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.enough.load(Ordering::SeqCst) {
            pace.tick().await;
            let conversation = self.world.conversation();
            self.world.says(&conversation, "hello");
            conversations.push(conversation);
        }
        conversations
    }

    /// Waits until so many more deliveries have ended.
    async fn go_on(&self, more: usize) {
        let until = self.world.gladly.deliveries().len() + more;
        let enough = |world: &GladlyWorld| world.deliveries().len() >= until;
        soon(self.world.gladly.wait_for(enough)).await;
    }

    /// Waits until all have been answered, each once and by one turn.
    async fn all_answered_once(&self, conversations: &[String]) {
        let has_one =
            |world: &GladlyWorld, id| !world.conversation(id).unwrap().replies().is_empty();
        let all = |world: &GladlyWorld| conversations.iter().all(|id| has_one(world, id));
        soon(self.world.gladly.wait_for(all)).await;
        self.world.all_told().await;
        for conversation in conversations {
            assert_eq!(self.world.replies(conversation).len(), 1);
        }
        let sql = "SELECT outcome, count(*) FROM turns GROUP BY outcome";
        let expected = format!("replied|{}", conversations.len());
        // An answer is there a moment before its turn has ended.
        let ended = async {
            while self.server.sql(&self.database, sql).unwrap() != expected {
                tokio::task::yield_now().await;
            }
        };
        soon(ended).await;
    }

    async fn stop(self) {
        let stopping = self.relays.into_iter().map(RelayProcess::terminate);
        for code in futures_util::future::join_all(stopping).await {
            assert_eq!(code, Some(0));
        }
    }
}

/// Whether the load balancer has sent it a webhook.
async fn hears(relay: &RelayProcess) -> bool {
    let metrics = reqwest::get(format!("{}/metrics", relay.admin_url)).await;
    let metrics = metrics.unwrap().text().await.unwrap();
    let counts = |line: &str| line.starts_with("gladly_relay_webhooks_total{");
    metrics
        .lines()
        .any(|line| counts(line) && line.contains("\"accepted\""))
}

async fn a_rolling_update_fails_no_delivery(kind: Kind) {
    let Some(mut balanced) = Balanced::start(kind, Setup::default()).await else {
        return;
    };
    let mut relays = std::mem::take(&mut balanced.relays);
    let rolling = async {
        balanced.go_on(40).await;
        for address in balanced.addresses {
            assert_eq!(relays.remove(0).terminate().await, Some(0));
            relays.push(balanced.relay(address).await);
            soon(async { while !hears(&relays[1]).await {} }).await;
        }
        balanced.enough.store(true, Ordering::SeqCst);
    };
    let (conversations, ()) = tokio::join!(balanced.write(), rolling);

    balanced.all_answered_once(&conversations).await;
    let deliveries = balanced.world.gladly.deliveries();
    let failed = deliveries.iter().filter(|delivery| !delivery.succeeded());
    let failed: Vec<_> = failed.collect();
    assert!(failed.is_empty(), "{failed:?}");
    let asked = asked_by_customers(&balanced.world.gleen.questions());
    assert_eq!(asked, conversations.len());
    balanced.relays = relays;
    balanced.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_update_behind_caddy_fails_no_delivery() {
    a_rolling_update_fails_no_delivery(Kind::Caddy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_update_behind_nginx_fails_no_delivery() {
    a_rolling_update_fails_no_delivery(Kind::Nginx).await;
}

async fn a_relay_that_is_killed_costs_no_message(kind: Kind) {
    let mut setup = Setup::default();
    // Gladly's four attempts take an hour and a half: sooner here, and so more often.
    setup.gladly.delivery.retry_delays = vec![Duration::from_millis(500); 60];
    setup.gladly.delivery.disable_after_failures = None;
    let Some(mut balanced) = Balanced::start(kind, setup).await else {
        return;
    };
    let mut relays = std::mem::take(&mut balanced.relays);
    let killing = async {
        balanced.go_on(40).await;
        let drives_first = drives(&relays[0]).await;
        let killed = relays.remove(usize::from(!drives_first));
        killed.kill().await;
        // The other takes its place in the midst of them.
        soon(async { while !drives(&relays[0]).await {} }).await;
        balanced.go_on(40).await;
        balanced.enough.store(true, Ordering::SeqCst);
    };
    let (conversations, ()) = tokio::join!(balanced.write(), killing);

    balanced.all_answered_once(&conversations).await;
    let deliveries = balanced.world.gladly.deliveries();
    let all: BTreeSet<&str> = deliveries.iter().map(|one| &*one.event_id).collect();
    let taken = deliveries.iter().filter(|delivery| delivery.succeeded());
    let taken: BTreeSet<&str> = taken.map(|one| &*one.event_id).collect();
    assert_eq!(all, taken, "none is refused for good");
    balanced.relays = relays;
    balanced.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_killed_behind_caddy_costs_no_message() {
    a_relay_that_is_killed_costs_no_message(Kind::Caddy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_killed_behind_nginx_costs_no_message() {
    a_relay_that_is_killed_costs_no_message(Kind::Nginx).await;
}
