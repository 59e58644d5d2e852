//! `bench` measures, tells it in stable words, touches nothing but its own, and
//! leaves nothing behind. What it measures is not judged here.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that unwraps fails with the line, helpers included"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use gladly_relay::bench::OwnPostgres;

use crate::support::{skipped, soon};

/// Far more than anything here takes; only a hang meets it.
const PATIENCE: Duration = Duration::from_mins(2);

const ACK: [&str; 7] = [
    "rate_64",
    "p50_64",
    "p99_64",
    "rate_1",
    "p50_1",
    "p99_1",
    "syncs_per_ack_1",
];
const RELAY: [&str; 9] = [
    "memory_idle",
    "own_time_p50",
    "own_time_p99",
    "messages_rate",
    "gladly_calls",
    "cpu",
    "memory_waiting",
    "start_waiting",
    "first_turn_waiting",
];
const LIMIT: [&str; 8] = [
    "sliding",
    "whole_seconds",
    "token_bucket",
    "far",
    "jittery",
    "beside_2",
    "beside_5",
    "restarted",
];
const OF_LIMIT: [&str; 5] = ["used", "refused", "calls", "answered", "last"];
const FAIR: [&str; 4] = [
    "twin_answer",
    "twin_ack",
    "neighbour_answer",
    "neighbour_ack",
];
const OVERLOAD: [&str; 5] = [
    "burst_150",
    "burst_300",
    "burst_600",
    "steady_4",
    "steady_6",
];
const OF_OVERLOAD: [&str; 5] = ["answered", "answered_rate", "served", "last", "refused"];
const GROWTH: [&str; 3] = ["acks_rate", "messages_rate", "start"];
const GROWTH_OF_TABLES: [&str; 8] = [
    "tables",
    "indexes",
    "queue_indexes",
    "counters",
    "dead_rows",
    "updates_in_place",
    "vacuums",
    "size_of_turn",
];
const OF_REACH: [&str; 2] = ["acks", "messages"];
const CORES: [&str; 4] = ["relays", "database", "load_and_simulators", "machine"];
const CHAOS: [&str; 26] = [
    "written",
    "accepted",
    "replied",
    "handed_off",
    "skipped",
    "dead",
    "lost",
    "answered_twice",
    "answered_elsewhere",
    "out_of_order",
    "bot_after_human",
    "noted_twice",
    "late",
    "asked_twice_without_cause",
    "asked_twice",
    "asked_twice_spoiled",
    "asked_twice_killed",
    "asked_twice_unstored",
    "asked_twice_crashed",
    "crossed_on_the_way",
    "gladly_calls",
    "rate_limited",
    "questions",
    "kills",
    "crashes",
    "slowest_ms",
];

/// The program with these arguments, no environment, and its temporary files in
/// this folder. Killed when dropped.
fn program(arguments: &[&str], temporary: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gladly-relay"));
    command.args(arguments).env_clear().kill_on_drop(true);
    command.env("TMPDIR", temporary).stdin(Stdio::null());
    command
}

async fn run(mut command: Command) -> Output {
    let output = timeout(PATIENCE, command.output()).await;
    output.expect("it should have ended by itself").unwrap()
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().count() == 0
}

/// Runs a bench that must succeed and leave nothing; returns its JSON.
async fn measured(arguments: &str) -> Value {
    let temporary = TempDir::new().unwrap();
    // PostgreSQL does not run as root; whoever it runs as must reach its folder.
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(temporary.path(), open).unwrap();
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let output = run(program(&arguments, temporary.path())).await;
    assert!(output.status.success(), "{output:?}");
    assert!(is_empty(temporary.path()), "files are left");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.starts_with("bench: "), "no progress: {told}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn keys(section: &Value) -> Vec<&str> {
    let figures = section.as_object().unwrap();
    let mut keys: Vec<&str> = figures.keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

fn assert_keys(section: &Value, expected: &[&str]) {
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(keys(section), expected);
}

fn median(section: &Value, key: &str) -> f64 {
    section[key]["median"].as_f64().unwrap()
}

#[tokio::test]
async fn acks_are_measured_beside_the_bare_handler_and_the_disk() {
    let found = measured("bench ack --json --rounds 1 --length 200ms").await;

    assert_keys(&found["ack"], &ACK);
    for key in ["rate_64", "rate_1"] {
        assert!(median(&found["ack"], key) > 0.0);
        for baseline in ["bare_handler", "disk_syncs"] {
            let ratio = &found["ack"][key]["beside"][baseline]["ratio"];
            assert!(ratio.as_f64().unwrap() > 0.0, "{key} {baseline}");
        }
    }
}

#[tokio::test]
async fn whole_messages_are_measured_and_many_waiting() {
    let arguments = "bench relay --json --rounds 2 --messages 20 --alone 3 --waiting 50";
    let found = measured(arguments).await;

    assert_keys(&found["relay"], &RELAY);
    let rounds = |key: &str| found["relay"][key]["rounds"].as_array().unwrap().len();
    assert_eq!(
        (rounds("messages_rate"), rounds("first_turn_waiting")),
        (2, 1)
    );
    assert!(median(&found["relay"], "gladly_calls") >= 2.0);
}

#[tokio::test]
async fn the_limit_is_measured_beside_arithmetic() {
    let found = measured("bench limit --json --rounds 1 --messages 4 --overload").await;

    let each = |loads: &[&str], figures: &[&str]| {
        let loads = loads.iter();
        let keys = loads.flat_map(|load| figures.iter().map(move |of| format!("{load}_{of}")));
        keys.collect::<Vec<String>>()
    };
    let keys = [
        each(&LIMIT, &OF_LIMIT),
        FAIR.map(str::to_owned).to_vec(),
        each(&OVERLOAD, &OF_OVERLOAD),
    ]
    .concat();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    assert_keys(&found["limit"], &keys);
    for condition in LIMIT {
        let answered = &found["limit"][format!("{condition}_answered")]["median"];
        assert_eq!(*answered, 4.0, "{condition}");
    }
    let last = &found["limit"]["sliding_last"]["beside"]["arithmetic"];
    assert_eq!(last["median"], 1.2, "three calls each, ten a second");
    let answered = &found["limit"]["burst_600_answered"]["median"];
    assert_eq!(*answered, 12.0, "in proportion");
}

#[tokio::test]
async fn a_file_with_finished_turns_is_measured_beside_an_empty_one_in_each_round() {
    let arguments = "bench growth --json --rounds 3 --turns 300 --messages 5 --length 100ms";
    let found = measured(arguments).await;

    assert_keys(&found["growth"], &GROWTH);
    for key in GROWTH {
        let empty = &found["growth"][key]["beside"]["empty_file"];
        assert!(empty["median"].as_f64().unwrap() > 0.0, "{key}");
        let rounds = empty["rounds"].as_array().unwrap();
        assert_eq!(rounds.len(), 2, "half as many of what takes minutes");
    }
}

#[tokio::test]
async fn what_became_of_postgresqls_tables_is_measured_with_it() {
    if OwnPostgres::programs().is_none() {
        return skipped("PostgreSQL");
    }
    let arguments = "bench growth --json --rounds 1 --turns 600 --messages 5 --length 100ms";
    let found = measured(&format!("{arguments} --store postgres")).await;

    let growth = &found["growth"];
    assert_keys(growth, &[&GROWTH[..], &GROWTH_OF_TABLES].concat());
    for key in GROWTH {
        assert!(median(growth, key) > 0.0, "{key}");
    }
    for key in ["tables", "queue_indexes"] {
        let half_way = &growth[key]["beside"]["half_way"]["median"];
        assert!(half_way.as_f64().unwrap() > 0.0, "{key}");
    }
}

#[tokio::test]
async fn relays_and_accounts_are_measured_with_what_they_take_of_the_machine() {
    if OwnPostgres::programs().is_none() {
        return skipped("PostgreSQL");
    }
    let arguments = "bench reach --json --store postgres --rounds 1 --messages 12 --length 100ms";
    let found = measured(&format!("{arguments} --relays 1,2 --accounts 1,3")).await;

    let reach = &found["reach"];
    let counts = ["1x1", "1x3", "2x1", "2x3"];
    let loads = OF_REACH.iter();
    let loads = loads.flat_map(|load| counts.iter().map(move |counts| format!("{load}_{counts}")));
    let mut expected: Vec<String> = loads.collect();
    for load in &expected {
        assert!(median(reach, load) > 0.0, "{load}");
        let cores = &reach[load]["cores"];
        assert_keys(cores, &CORES);
        let all_cores = &reach[load]["beside"]["whole_machine"];
        assert!(all_cores["rounds"].is_array(), "{load}");
        #[cfg(target_os = "linux")]
        assert!(median(cores, "machine") > 0.0, "{load}");
    }
    expected.push("cores".to_owned());
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    assert_keys(reach, &expected);
}

#[tokio::test]
async fn several_relays_on_a_file_are_refused_and_one_is_measured() {
    let arguments = "bench reach --json --rounds 1 --messages 4 --length 100ms --accounts 2";
    let found = measured(arguments).await;
    assert_keys(&found["reach"], &["acks_1x2", "cores", "messages_1x2"]);

    let temporary = TempDir::new().unwrap();
    let refused = program(&["bench", "reach", "--relays", "2"], temporary.path());
    let refused = run(refused).await;
    assert!(!refused.status.success());
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("add --store postgres"), "{said}");
    assert!(is_empty(temporary.path()));
}

#[tokio::test]
async fn chaos_tells_what_became_of_every_message_also_by_its_older_name() {
    for name in ["chaos", "--chaos"] {
        let arguments = "--json --messages 30 --conversations 5 --kills 1 --faults 0.2 --seed 4";
        let found = measured(&format!("bench {name} {arguments}")).await;

        assert_keys(&found["chaos"], &CHAOS);
        assert!((median(&found["chaos"], "written") - 30.0).abs() < 0.5);
        assert_eq!((&found["held"], &found["seed"]), (&true.into(), &4.into()));
    }
}

#[test]
fn the_readme_names_every_figure() {
    let readme = include_str!("../../README.md");
    for load in OVERLOAD.iter().chain(&LIMIT) {
        assert!(readme.contains(&format!("`{load}_…`")), "{load}");
    }
    for figure in OF_OVERLOAD.iter().chain(&OF_LIMIT) {
        assert!(readme.contains(&format!("`…_{figure}`")), "{figure}");
    }
    for load in OF_REACH {
        assert!(readme.contains(&format!("`{load}_1x1`")), "{load}");
    }
    for key in ACK
        .iter()
        .chain(&RELAY)
        .chain(&FAIR)
        .chain(&GROWTH)
        .chain(&GROWTH_OF_TABLES)
        .chain(&CORES)
        .chain(&CHAOS)
    {
        let named = format!("`{key}`");
        assert!(readme.contains(&named), "the README does not name {named}");
    }
}

#[tokio::test]
async fn a_person_gets_tables() {
    let temporary = TempDir::new().unwrap();
    let arguments = ["bench", "ack", "--rounds", "1", "--length", "200ms"];
    let output = run(program(&arguments, temporary.path())).await;
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("acks, 64 connections, 1/s"), "{shown}");
    assert!(shown.contains("bare handler"), "{shown}");
}

#[tokio::test]
async fn a_limit_that_another_store_could_not_change_is_not_measured_on_it() {
    let temporary = TempDir::new().unwrap();
    let address = "postgres://relay@127.0.0.1/relay";
    let refused = program(&["bench", "limit", "--store", address], temporary.path());
    let refused = run(refused).await;
    assert!(!refused.status.success());
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("--store"), "{said}");
    assert!(is_empty(temporary.path()));
}

#[tokio::test]
async fn a_bench_of_nothing_is_refused() {
    let temporary = TempDir::new().unwrap();
    for arguments in [
        "bench chaos --messages 0",
        "bench chaos --conversations 0",
        "bench chaos --faults 1.5",
        "bench --kills 3",
        "bench ack --kills 3",
        "bench ack --length 0s",
        "bench relay --messages 0",
        "bench relay --waiting 0",
        "bench limit --messages 0",
        "bench growth --turns 0",
        "bench reach --relays 0",
        "bench reach --accounts 1,0",
        "bench ack --rounds 0",
    ] {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let output = run(program(&arguments, temporary.path())).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_bench_touches_nothing_that_the_environment_names() {
    let folder = TempDir::new().unwrap();
    let temporary = TempDir::new().unwrap();
    let stranger = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", stranger.local_addr().unwrap());
    let store = format!("sqlite://{}", folder.path().join("real.db").display());
    for arguments in [
        "bench chaos --messages 3 --conversations 2 --kills 0",
        "bench ack --rounds 1 --length 50ms",
        "bench relay --rounds 1 --messages 3 --alone 1 --waiting 3",
    ] {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let mut command = program(&arguments, temporary.path());
        for variable in ["GLADLY_URL", "GLEEN_URL", "HTTP_PROXY", "http_proxy"] {
            command.env(variable, &url);
        }
        command.env("RELAY_STORE", &store);
        let output = run(command).await;
        assert!(output.status.success(), "{output:?}");
    }
    assert!(is_empty(folder.path()));
    let called = timeout(Duration::ZERO, stranger.accept()).await;
    assert!(called.is_err(), "somebody has called");
}

#[tokio::test]
async fn a_bench_s_relay_refuses_every_address_but_loopback() {
    let folder = TempDir::new().unwrap();
    let all_is_well = [
        ("RELAY_LISTEN", "127.0.0.1:0"),
        ("RELAY_ADMIN_LISTEN", "[::1]:0"),
        ("GLADLY_URL", "http://127.0.0.1:1"),
        ("GLEEN_URL", "http://[::1]:1"),
    ];
    for (variable, address) in [
        ("RELAY_LISTEN", "0.0.0.0:0"),
        ("RELAY_ADMIN_LISTEN", "0.0.0.0:0"),
        ("GLADLY_URL", "https://acme.gladly.com"),
        ("GLADLY_URL", "http://localhost:1"),
        ("GLEEN_URL", "https://api.gleen.ai"),
    ] {
        let mut command = program(&["serve", "--for-bench"], folder.path());
        let store = format!("sqlite://{}", folder.path().join("relay.db").display());
        command
            .envs(all_is_well)
            .env(variable, address)
            .env("RELAY_STORE", store)
            .env("ACCOUNT_IDENTIFIER", "identifier")
            .env("GLADLY_USERNAME", "bot@acme.com")
            .env("GLADLY_API_TOKEN", "token")
            .env("GLADLY_AI_INBOX_ID", "ai")
            .env("GLADLY_HANDOFF_INBOX_ID", "humans")
            .env("GLADLY_AGENT_ID", "bot")
            .env("GLEEN_API_KEY", "key")
            .env("RELAY_ADMIN_TOKEN", "open-sesame");
        let output = run(command).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("has 1 mistake:"), "{said}");
        assert!(said.contains(address), "{said}");
    }
    assert!(is_empty(folder.path()), "no file was made");
}

/// A bench that runs for minutes, its relay's process and an open connection to that.
struct Busy {
    bench: Child,
    relay: String,
    connection: TcpStream,
}

impl Busy {
    async fn start(temporary: &Path) -> Self {
        let arguments = ["bench", "chaos", "--messages", "100000", "--kills", "0"];
        let mut command = program(&arguments, temporary);
        command.process_group(0).stderr(Stdio::piped());
        let mut bench = command.spawn().unwrap();
        let mut told = BufReader::new(bench.stderr.take().unwrap()).lines();
        // It says so once the relay serves.
        soon(told.next_line()).await.unwrap().unwrap();
        let folder = std::fs::read_dir(temporary).unwrap().next().unwrap();
        let config = std::fs::read_to_string(folder.unwrap().path().join("relay.toml")).unwrap();
        let config: toml::Table = config.parse().unwrap();
        let address = config["listen"].as_str().unwrap();
        let mut connection = TcpStream::connect(address).await.unwrap();
        let request = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
        connection.write_all(request).await.unwrap();
        assert_ne!(connection.read(&mut [0; 1]).await.unwrap(), 0, "it serves");
        let relay = only_child(bench.id().unwrap());
        Self {
            bench,
            relay,
            connection,
        }
    }

    /// Sends a signal to its process group, as a terminal does, and waits for the
    /// bench's end: its exit code.
    async fn signal(&mut self, signal: &str) -> Option<i32> {
        let group = format!("-{}", self.bench.id().unwrap());
        let kill = Command::new("kill").args([signal, "--", &group]).status();
        assert!(kill.await.unwrap().success());
        soon(self.bench.wait()).await.unwrap().code()
    }

    /// Waits until the relay has closed the connection, as the end of its process does.
    async fn relay_has_ended(&mut self) {
        let mut rest = Vec::new();
        // A reset is an end too.
        let _: std::io::Result<usize> = soon(self.connection.read_to_end(&mut rest)).await;
    }
}

/// The one process that this one has started, as a folder of /proc.
fn only_child(id: u32) -> String {
    let mut children = String::new();
    for task in std::fs::read_dir(format!("/proc/{id}/task")).unwrap() {
        let path = task.unwrap().path().join("children");
        children.push_str(&std::fs::read_to_string(path).unwrap());
    }
    let child: u32 = children.trim().parse().expect("it has one child");
    format!("/proc/{child}")
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_signal_leaves_no_process_and_no_file() {
    for signal in ["-INT", "-TERM"] {
        let temporary = TempDir::new().unwrap();
        let mut busy = Busy::start(temporary.path()).await;
        assert!(Path::new(&busy.relay).exists());

        let code = busy.signal(signal).await;

        assert_eq!(code, Some(130));
        assert!(!Path::new(&busy.relay).exists(), "the relay still runs");
        assert!(is_empty(temporary.path()), "files are left");
    }
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_bench_that_is_killed_leaves_no_relay_running() {
    let temporary = TempDir::new().unwrap();
    let mut busy = Busy::start(temporary.path()).await;
    busy.signal("-KILL").await;
    busy.relay_has_ended().await;
}
