//! The binary as an operator meets it: help, refusals, exit codes, signals.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that unwraps fails with the line, helpers included"
)]

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// Far more than anything here takes; only a hang meets it.
const PATIENCE: Duration = Duration::from_mins(1);

const ACCOUNT: [(&str, &str); 8] = [
    ("ACCOUNT_IDENTIFIER", "identifier"),
    ("GLADLY_URL", "http://127.0.0.1:1"),
    ("GLADLY_USERNAME", "bot@acme.com"),
    ("GLADLY_API_TOKEN", "token"),
    ("GLADLY_AI_INBOX_ID", "ai"),
    ("GLADLY_HANDOFF_INBOX_ID", "humans"),
    ("GLADLY_AGENT_ID", "bot"),
    ("GLEEN_API_KEY", "key"),
];

/// The binary with these arguments and no environment. Killed when dropped.
fn relay(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gladly-relay"));
    command.args(arguments).env_clear().kill_on_drop(true);
    command.stdin(Stdio::null());
    command
}

/// `serve` with everything it needs, on free ports and this database.
fn serve(database: &Path) -> Command {
    let mut command = relay(&["serve"]);
    command
        .envs(ACCOUNT)
        .env("RELAY_LISTEN", "127.0.0.1:0")
        .env("RELAY_ADMIN_LISTEN", "127.0.0.1:0")
        .env("RELAY_STORE", format!("sqlite://{}", database.display()));
    command
}

async fn run(mut command: Command) -> Output {
    let output = timeout(PATIENCE, command.output()).await;
    output.expect("it should have ended by itself").unwrap()
}

/// Runs what must be refused: the exit code, and what stderr says.
async fn refusal(command: Command) -> (Option<i32>, String) {
    let output = run(command).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("panicked"), "{said}");
    (output.status.code(), said)
}

/// A relay that serves.
struct Running {
    child: Child,
    /// Its log, which must be read lest the pipe fill up.
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    /// Starts it and reads its log until it serves.
    async fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let serving = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                let line: Value = serde_json::from_str(&line).unwrap();
                if line["message"] == "serving" {
                    return;
                }
            }
            panic!("it ended before it served");
        };
        timeout(PATIENCE, serving).await.unwrap();
        Self { child, lines }
    }

    /// Sends a signal and reads the log to its end: how it ended, and the last
    /// line's message.
    async fn stop(mut self, signal: &str) -> (ExitStatus, String) {
        let pid = self.child.id().unwrap().to_string();
        let kill = Command::new("kill").args([signal, &pid]).status();
        assert!(kill.await.unwrap().success());
        let ended = async {
            let mut last = Value::Null;
            while let Some(line) = self.lines.next_line().await.unwrap() {
                last = serde_json::from_str(&line).unwrap();
            }
            let message = last["message"].as_str().unwrap_or_default().to_owned();
            (self.child.wait().await.unwrap(), message)
        };
        timeout(PATIENCE, ended).await.unwrap()
    }
}

/// A folder with the database of a relay that has stopped.
async fn used_database() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let database = folder.path().join("relay.db");
    let (status, _) = Running::start(serve(&database)).await.stop("-TERM").await;
    assert!(status.success());
    (folder, database)
}

/// Asserts that `serve` refuses this file, with one of these complaints, and
/// leaves it as it is.
async fn assert_refused_untouched(database: &Path, content: &[u8], complaints: &[&str]) {
    std::fs::write(database, content).unwrap();
    let (code, said) = refusal(serve(database)).await;
    assert_eq!(code, Some(1), "{said}");
    let complained = complaints.iter().any(|words| said.contains(words));
    assert!(complained, "{said}");
    assert!(said.contains(database.to_str().unwrap()), "{said}");
    assert!(
        std::fs::read(database).unwrap() == content,
        "the file has changed"
    );
}

#[tokio::test]
async fn help_and_version_are_on_stdout_and_succeed() {
    for (arguments, expected) in [
        (&["--help"][..], "serve"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
        (&["help", "serve"], "--config"),
        (&["dead", "--help"], "retry"),
    ] {
        let output = run(relay(arguments)).await;
        assert!(output.status.success(), "{arguments:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains(expected), "{said}");
    }
}

#[tokio::test]
async fn no_command_shows_help_and_fails() {
    let (code, said) = refusal(relay(&[])).await;
    assert_eq!(code, Some(2));
    assert!(said.contains("Usage:") && said.contains("serve"), "{said}");
}

#[tokio::test]
async fn serve_without_configuration_lists_every_missing_variable() {
    let (code, said) = refusal(relay(&["serve"])).await;
    assert_eq!(code, Some(2), "{said}");
    for (variable, _) in ACCOUNT {
        let line = format!("  {variable} (`account.");
        assert!(said.contains(&line), "{variable} is not in {said}");
    }
}

#[tokio::test]
async fn several_mistakes_are_reported_at_once() {
    let mut command = relay(&["serve"]);
    command
        .envs(ACCOUNT)
        .env("RELAY_LISTEN", "8080")
        .env("GLADLY_URL", "http://acme.gladly.com")
        .env("GLEEN_TIMEOUT", "soon");
    let (code, said) = refusal(command).await;
    assert_eq!(code, Some(2));
    assert!(said.contains("has 3 mistakes"), "{said}");
    for variable in ["RELAY_LISTEN", "GLADLY_URL", "GLEEN_TIMEOUT"] {
        assert!(said.contains(&format!("  {variable}: ")), "{said}");
    }
}

#[tokio::test]
async fn a_port_in_use_names_the_variable_to_set() {
    let folder = TempDir::new().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for variable in ["RELAY_LISTEN", "RELAY_ADMIN_LISTEN"] {
        let mut command = serve(&folder.path().join("relay.db"));
        command.env(variable, &address);
        let (code, said) = refusal(command).await;
        assert_eq!(code, Some(1));
        assert!(said.contains(&format!("set {variable}:")), "{said}");
    }
}

#[tokio::test]
async fn a_second_relay_on_the_same_database_is_refused() {
    let folder = TempDir::new().unwrap();
    let database = folder.path().join("relay.db");
    let first = Running::start(serve(&database)).await;

    let (code, said) = refusal(serve(&database)).await;

    assert_eq!(code, Some(1));
    assert!(said.contains("in use by another gladly-relay"), "{said}");
    assert!(said.contains("RELAY_STORE"), "{said}");
    assert!(first.stop("-TERM").await.0.success());
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let database = folder.path().join("relay.db");
    for content in [
        b"hello".to_vec(),
        "a letter to a friend. ".repeat(500).into_bytes(),
    ] {
        assert_refused_untouched(&database, &content, &["is not a database of gladly-relay"]).await;
    }
}

#[tokio::test]
async fn a_truncated_database_is_refused_and_left_alone() {
    let (_folder, database) = used_database().await;
    let whole = std::fs::read(&database).unwrap();
    for length in [50, 100, 5000, whole.len() / 2] {
        let content = &whole[..length];
        let complaints = ["is not a database of gladly-relay", "malformed"];
        assert_refused_untouched(&database, content, &complaints).await;
    }
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_and_left_alone() {
    let (_folder, database) = used_database().await;
    let mut content = std::fs::read(&database).unwrap();
    content[60..64].copy_from_slice(&99_u32.to_be_bytes());
    assert_refused_untouched(&database, &content, &["written by a newer gladly-relay"]).await;
}

#[tokio::test]
async fn a_database_of_another_program_is_refused_and_left_alone() {
    let (_folder, database) = used_database().await;
    let mut content = std::fs::read(&database).unwrap();
    content[68..72].copy_from_slice(&7_u32.to_be_bytes());
    assert_refused_untouched(&database, &content, &["belongs to another program"]).await;
}

#[tokio::test]
async fn a_signal_stops_it_in_order() {
    for signal in ["-TERM", "-INT"] {
        let folder = TempDir::new().unwrap();
        let running = Running::start(serve(&folder.path().join("relay.db"))).await;
        let (status, last) = running.stop(signal).await;
        assert_eq!(status.code(), Some(0), "{signal}");
        assert_eq!(last, "stopped");
    }
}

#[tokio::test]
async fn dead_letters_of_a_database_that_is_not_there_are_an_error() {
    let folder = TempDir::new().unwrap();
    let mut command = relay(&["dead", "list"]);
    let missing = folder.path().join("none.db");
    command
        .envs(ACCOUNT)
        .env("RELAY_STORE", format!("sqlite://{}", missing.display()));
    let (code, said) = refusal(command).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("there is no such file"), "{said}");
    assert!(!missing.exists());
}

#[tokio::test]
async fn dead_letters_are_listed_beside_a_running_relay() {
    let folder = TempDir::new().unwrap();
    let database = folder.path().join("relay.db");
    let running = Running::start(serve(&database)).await;
    let mut command = relay(&["dead", "list"]);
    command
        .envs(ACCOUNT)
        .env("RELAY_STORE", format!("sqlite://{}", database.display()));

    let output = run(command).await;

    assert!(output.status.success());
    assert_eq!(output.stdout, b"no dead letters\n");
    assert!(running.stop("-TERM").await.0.success());
}

#[tokio::test]
async fn a_reader_who_has_left_stops_no_command() {
    let (_folder, database) = used_database().await;
    for (arguments, code) in [
        (&["check", "--offline"][..], 0),
        (&["check", "--offline", "--json"], 0),
        (&["webhooks", "list"], 1),
        (&["webhooks", "list", "--json"], 1),
        (
            &[
                "webhooks",
                "sync",
                "--dry-run",
                "--url",
                "https://a.example.com",
            ],
            1,
        ),
        (&["dead", "list"], 0),
        (&["dead", "retry", "1", "2"], 1),
        (&["dead", "drop", "1", "2"], 1),
        (&["help"], 0),
        (&["bench", "bare", "999.0.0.1:1"], 2),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = relay(arguments);
        command
            .envs(ACCOUNT)
            .env("RELAY_STORE", format!("sqlite://{}", database.display()))
            .stdout(writer.try_clone().unwrap())
            .stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        let output = timeout(PATIENCE, child.wait_with_output()).await;
        let output = output.unwrap().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");

        let mut command = relay(arguments);
        command.envs(ACCOUNT).stdout(Stdio::null()).stderr(writer);
        command.env("RELAY_STORE", format!("sqlite://{}", database.display()));
        let status = timeout(PATIENCE, command.status()).await.unwrap().unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
}
