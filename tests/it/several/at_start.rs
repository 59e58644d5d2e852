//! A database that a relay can't use is told of at its start, without the password.

use std::io::Write as _;

use tokio::process::Command;

use super::*;

/// The exit code and what is said of a relay that must not start.
async fn start(world: &TestRelay, address: &str) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gladly-relay"));
    let output = command
        .args(["serve", "--config"])
        .arg(world.config_file())
        .env_clear()
        .env("RELAY_STORE", address)
        .env("RELAY_KEY", KEY)
        .kill_on_drop(true)
        .output();
    let output = soon(output).await.unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.code(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_used_is_told_of_without_the_password() {
    let Some(server) = server() else { return };
    let world = Setup::default().start_without_relay().await;
    let good = server.address("postgres");
    let nobody_there = server.address_at(crate::support::free_port(), "postgres");
    for (address, expected) in [
        (
            good.replace("a%2Fb%40c%20d", "wr%40ng"),
            "password authentication failed",
        ),
        (
            good.replace("/postgres?", "/not_there?"),
            "\"not_there\" does not exist",
        ),
        (nobody_there, "onnection refused"),
        (good.replace("sslmode=disable", "sslmode=require"), "TLS"),
    ] {
        let (code, said) = start(&world, &address).await;
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(expected), "{said}");
        assert!(said.contains("RELAY_STORE"), "what to do: {said}");
        for secret in ["a%2Fb", "a/b@c d", "wr%40ng", "wr@ng"] {
            assert!(!said.contains(secret), "{said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_may_stand_in_a_file() {
    let Some(server) = server() else { return };
    let several = Several::none(server, Setup::default()).await;
    let proof = "SELECT rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid WHERE rolname = 'relay'";
    assert_eq!(server.sql("postgres", proof).unwrap(), "t");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{}", several.address).unwrap();
    let environment = [
        ("RELAY_STORE_FILE", file.path().to_str().unwrap()),
        ("RELAY_KEY", KEY),
    ];
    let relay = RelayProcess::start_with(&several.world.config_file(), &environment).await;
    assert_eq!(ready(&relay).await, 200);
    let (code, log) = relay.terminate_and_read().await;
    assert_eq!(code, Some(0));
    assert!(!log.contains("a%2Fb"), "{log}");
}
