//! `gladly-relay health`: what a container's orchestrator hears.

use std::process::Output;

use tokio::process::Command;

use crate::support::{TestRelay, soon};

async fn health(address: &str) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gladly-relay"));
    let asked = command
        .arg("health")
        .env_clear()
        .env("RELAY_LISTEN", address)
        // Nobody else may be asked.
        .env("http_proxy", "http://127.0.0.1:1")
        .kill_on_drop(true)
        .output();
    let Output {
        status,
        stdout,
        stderr,
    } = soon(asked).await.unwrap();
    let said = String::from_utf8([stdout, stderr].concat()).unwrap();
    (status.code(), said)
}

#[tokio::test]
async fn a_relay_is_healthy_while_it_can_take_webhooks() {
    let mut relay = TestRelay::start().await;
    let address = relay.running().url.trim_start_matches("http://").to_owned();

    assert_eq!(health(&address).await, (Some(0), "ready\n".to_owned()));

    relay.running().store.set_full(true);
    let (code, said) = health(&address).await;
    assert_eq!(code, Some(1));
    assert!(
        said.contains("not ready (503): the store cannot be written"),
        "{said}"
    );

    relay.running().store.set_full(false);
    relay.stop().await;
    let (code, said) = health(&address).await;
    assert_eq!(code, Some(1));
    assert!(
        said.contains(&format!("no relay answers at {address}")),
        "{said}"
    );
}
