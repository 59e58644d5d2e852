//! The systemd unit: whole, hardened, and the relay starts by it as shipped.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use gladly_relay::config::Environment;
use gladly_relay::sim::GladlyWorld;
use gladly_relay::systemd::Notifier;
use regex::Regex;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{read, replaced, shipped};
use crate::support::{
    IDENTIFIER, RelayProcess, Setup, TestRelay, let_pass, program, soon, succeed,
};

const RELAY: &str = env!("CARGO_BIN_EXE_gladly-relay");

/// The values of a key of the unit.
fn values(unit: &str, key: &str) -> Vec<String> {
    let values = unit.lines().filter_map(|line| line.strip_prefix(key));
    let values = values.filter_map(|rest| rest.strip_prefix('='));
    values.map(str::to_owned).collect()
}

#[tokio::test]
async fn the_units_are_whole_and_hardened() {
    let Some(analyze) = program("systemd-analyze") else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let unit = replaced(
        &read("gladly-relay.service"),
        &[("/usr/local/bin/gladly-relay", RELAY)],
    );
    let service = folder.path().join("gladly-relay.service");
    std::fs::write(&service, unit).unwrap();
    let socket = folder.path().join("gladly-relay.socket");
    std::fs::copy(shipped("gladly-relay.socket"), &socket).unwrap();
    let (service, socket) = (service.to_str().unwrap(), socket.to_str().unwrap());

    let said = succeed(&analyze, &["verify", "--man=no", service, socket]).await;
    assert_eq!(said, "");
    // Of 100; what is left is the network, which it is for, and its own priority.
    let arguments = ["security", "--offline=true", "--threshold=15", service];
    succeed(&analyze, &arguments).await;
}

#[test]
fn the_unit_listens_where_the_socket_does_and_stops_before_it_is_killed() {
    let (unit, socket) = (read("gladly-relay.service"), read("gladly-relay.socket"));
    let address = &values(&socket, "ListenStream")[0];
    let environment = values(&unit, "Environment");
    assert!(environment.contains(&format!("RELAY_LISTEN={address}")));
    assert!(environment.contains(&"RELAY_SHUTDOWN_GRACE=6s".to_owned()));
    // The grace and twice 3 s.
    assert_eq!(values(&unit, "TimeoutStopSec"), ["20s"]);
    assert_eq!(values(&unit, "Type"), ["notify"]);
    assert_eq!(values(&unit, "LimitCORE"), ["0"]);
}

/// systemd's sets of system calls: what stands under each name.
async fn call_sets(analyze: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let said = succeed(analyze, &["--no-pager", "syscall-filter"]).await;
    let (mut sets, mut name) = (BTreeMap::new(), String::new());
    for line in said.lines() {
        let word = line.trim();
        if line.starts_with('@') {
            word.clone_into(&mut name);
        } else if !word.is_empty() && !word.starts_with('#') {
            let set: &mut BTreeSet<String> = sets.entry(name.clone()).or_default();
            set.insert(word.to_owned());
        }
    }
    sets
}

/// The calls of these sets, and of the sets in them.
fn calls_of(sets: &BTreeMap<String, BTreeSet<String>>, names: &str) -> BTreeSet<String> {
    let mut calls = BTreeSet::new();
    for name in names.split(' ') {
        let Some(set) = sets.get(name) else {
            calls.insert(name.to_owned());
            continue;
        };
        for call in set {
            if call.starts_with('@') {
                calls.append(&mut calls_of(sets, call));
            } else {
                calls.insert(call.clone());
            }
        }
    }
    calls
}

#[tokio::test]
async fn the_unit_allows_every_system_call_that_the_relay_makes() {
    let (Some(analyze), Some(strace)) = (program("systemd-analyze"), program("strace")) else {
        return;
    };
    let filters = values(&read("gladly-relay.service"), "SystemCallFilter");
    let sets = call_sets(&analyze).await;
    let allowed = calls_of(&sets, &filters[0]);
    let mut denied = calls_of(&sets, filters[1].strip_prefix('~').unwrap());
    let again = calls_of(&sets, &filters[2]);
    denied.retain(|call| !again.contains(call));

    let mut relay = Setup::default().start_without_relay().await;
    let folder = TempDir::new().unwrap();
    let trace = folder.path().join("trace");
    let process = RelayProcess::start_traced(&strace, &relay.config_file(), &trace).await;
    relay.point_webhook_to(&process.url);
    let conversation = relay.conversation();
    relay.says(&conversation, "agent please");
    let is_settled = |world: &GladlyWorld| {
        let view = world.conversation(&conversation).unwrap();
        view.inbox_id == "human-inbox"
    };
    soon(relay.gladly.wait_for(is_settled)).await;
    assert_eq!(process.terminate().await, Some(0));

    let trace = std::fs::read_to_string(trace).unwrap();
    let call = Regex::new(r"(?m)^\d+ +(\w+)\(").unwrap();
    let mut made = BTreeSet::new();
    for found in call.captures_iter(&trace) {
        made.insert(found[1].to_owned());
    }
    // SQLite does so for root alone, and the unit's user is not.
    made.remove("fchown");
    assert!(made.contains("fsync") && made.contains("bind"), "{made:?}");
    let refused = |call: &&String| !allowed.contains(*call) || denied.contains(*call);
    let refused: Vec<&String> = made.iter().filter(refused).collect();
    assert_eq!(refused, Vec::<&String>::new());
}

/// What an operator writes in the sample file's place, for these simulators.
fn edited_sample(relay: &TestRelay) -> String {
    let (gladly, gleen) = (relay.gladly.options(), relay.gleen.url());
    replaced(
        &read("relay.toml"),
        &[
            (
                "https://replace-with-your-organization.gladly.com",
                &relay.gladly.url(),
            ),
            ("replace-with-the-api-users-email", &gladly.username),
            ("replace-with-the-ai-inbox-id", &gladly.ai_inbox_id),
            ("replace-with-the-human-inbox-id", &gladly.handoff_inbox_id),
            ("replace-with-the-agent-id", &gladly.bot_agent_id),
            ("https://api.gleen.ai", &gleen),
        ],
    )
}

/// What systemd makes of `LoadCredential`: the secrets, and the sample as edited.
fn load_credentials(unit: &str, relay: &TestRelay, folder: &Path) {
    let named = values(unit, "LoadCredential");
    assert_eq!(named.len(), 4, "{named:?}");
    for credential in named {
        let (name, source) = credential.split_once(':').unwrap();
        assert_eq!(source, format!("/etc/gladly-relay/{name}"));
        let value = match name {
            "relay.toml" => edited_sample(relay),
            "acme_identifier" => format!("{IDENTIFIER}\n"),
            "acme_gladly_api_token" => relay.gladly.options().api_token.clone(),
            "acme_gleen_api_key" => relay.gleen.options().api_key.clone(),
            other => panic!("{other}"),
        };
        std::fs::write(folder.join(name), value).unwrap();
    }
}

#[tokio::test]
async fn the_unit_starts_the_relay_with_the_sample_file_and_its_credentials() {
    let mut relay = Setup::default().start_without_relay().await;
    let (credentials, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let credentials = credentials.path();
    let unit = read("gladly-relay.service")
        .replace("%d", credentials.to_str().unwrap())
        .replace("/var/lib/gladly-relay", state.path().to_str().unwrap());
    load_credentials(&unit, &relay, credentials);
    let config = credentials.join("relay.toml");
    let start = format!(
        "/usr/local/bin/gladly-relay serve --config {}",
        config.display()
    );
    assert_eq!(values(&unit, "ExecStart"), [start]);
    let environment = values(&unit, "Environment");
    let mut environment: Vec<(&str, &str)> = environment
        .iter()
        .map(|variable| variable.split_once('=').unwrap())
        .collect();
    // Beside other tests.
    environment.push(("RELAY_ADMIN_LISTEN", "127.0.0.1:0"));
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();

    let process = RelayProcess::start_on(&config, &socket, &environment).await;

    relay.point_webhook_to(&format!("http://{}", socket.local_addr().unwrap()));
    let conversation = relay.conversation();
    relay.says(&conversation, "hello");
    let answered = |world: &GladlyWorld| {
        let view = world.conversation(&conversation).unwrap();
        !view.replies().is_empty()
    };
    soon(relay.gladly.wait_for(answered)).await;
    assert!(state.path().join("relay.db").exists());
    assert_eq!(process.terminate().await, Some(0));
}

/// The other end of `NOTIFY_SOCKET`.
struct Systemd {
    socket: tokio::net::UnixDatagram,
    path: String,
    _folder: TempDir,
}

impl Systemd {
    fn listen() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self {
            socket: tokio::net::UnixDatagram::from_std(socket).unwrap(),
            path: path.to_str().unwrap().to_owned(),
            _folder: folder,
        }
    }

    async fn told(&self) -> String {
        let mut told = [0; 256];
        let length = soon(self.socket.recv(&mut told)).await.unwrap();
        String::from_utf8_lossy(&told[..length]).into_owned()
    }

    /// What has been told by now.
    fn told_so_far(&self) -> usize {
        let mut told = [0; 256];
        std::iter::from_fn(|| self.socket.try_recv(&mut told).ok()).count()
    }
}

#[tokio::test]
async fn systemd_is_told_of_readiness_of_life_and_of_the_stop() {
    let relay = Setup::default().start_without_relay().await;
    let systemd = Systemd::listen();
    let environment = [
        ("NOTIFY_SOCKET", systemd.path.as_str()),
        ("WATCHDOG_USEC", "60000"),
    ];
    let process = RelayProcess::start_with(&relay.config_file(), &environment).await;

    assert_eq!(systemd.told().await, "READY=1");
    for _ in 0..3 {
        assert_eq!(systemd.told().await, "WATCHDOG=1");
    }
    assert_eq!(process.terminate().await, Some(0));
    let last = loop {
        let told = systemd.told().await;
        if told != "WATCHDOG=1" {
            break told;
        }
    };
    assert_eq!(last, "STOPPING=1");
}

/// A notifier that gives a sign of life every 10 s at the least.
fn notifier(systemd: &Systemd) -> Notifier {
    let environment = Environment::from([
        ("NOTIFY_SOCKET", systemd.path.as_str()),
        ("WATCHDOG_USEC", "30000000"),
    ]);
    Notifier::of(&environment).unwrap().unwrap()
}

#[tokio::test]
async fn a_relay_whose_store_hangs_gives_no_sign_of_life() {
    let relay = TestRelay::start().await;
    let systemd = Systemd::listen();
    let store = relay.running().store.clone();
    let address = relay
        .running()
        .url
        .trim_start_matches("http://")
        .parse()
        .unwrap();
    let stop = CancellationToken::new();
    let accompanied = notifier(&systemd).accompany(store.clone(), address, stop.clone());
    let accompanied = tokio::spawn(accompanied);
    assert_eq!(systemd.told().await, "READY=1");
    assert_eq!(systemd.told().await, "WATCHDOG=1");

    // A full disk is no better after a restart.
    store.set_full(true);
    let_pass(Duration::from_secs(10)).await;
    assert_eq!(systemd.told().await, "WATCHDOG=1");

    store.set_hanging(true);
    for _ in 0..10 {
        let_pass(Duration::from_secs(10)).await;
    }
    assert_eq!(systemd.told_so_far(), 0);

    store.set_full(false);
    store.set_hanging(false);
    let_pass(Duration::from_secs(20)).await;
    assert_eq!(systemd.told().await, "WATCHDOG=1");
    stop.cancel();
    soon(accompanied).await.unwrap();
    relay.finish().await;
}

#[tokio::test]
async fn a_relay_that_takes_no_connection_gives_no_sign_of_life() {
    let relay = TestRelay::start().await;
    let systemd = Systemd::listen();
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (store, address) = (relay.running().store.clone(), deaf.local_addr().unwrap());
    let stop = CancellationToken::new();
    let accompanied = notifier(&systemd).accompany(store, address, stop.clone());
    let accompanied = tokio::spawn(accompanied);
    assert_eq!(systemd.told().await, "READY=1");
    for _ in 0..10 {
        let_pass(Duration::from_secs(10)).await;
    }
    assert_eq!(systemd.told_so_far(), 0);
    stop.cancel();
    soon(accompanied).await.unwrap();
    assert_eq!(systemd.told().await, "STOPPING=1");
    relay.finish().await;
}
