//! Nobody's words outlive their turn: not in the database, not in its log, not
//! in what the relay logs. Secrets are nowhere at all.

use std::path::PathBuf;
use std::time::Duration;

use gladly_relay::outcome::Outcome;
use gladly_relay::sim::{Operation, What};
use gladly_relay::store::Store;

use crate::support::{RelayProcess, Setup, TestRelay, let_pass, soon};

const NEEDLE: &str = "needle-9f2b61";

/// The files of the database that hold a text. The log is read first: what is
/// moved into the database meanwhile is then seen there.
fn files_with(relay: &TestRelay, needle: &str) -> Vec<String> {
    let database = relay.database();
    let files = [database.with_extension("db-wal"), database];
    let holds = |file: &PathBuf| {
        let bytes = std::fs::read(file).unwrap();
        bytes
            .windows(needle.len())
            .any(|window| window == needle.as_bytes())
    };
    let found = files.into_iter().filter(holds);
    found.map(|file| file.display().to_string()).collect()
}

#[tokio::test]
async fn the_database_holds_no_words_once_a_turn_has_ended() {
    let relay = TestRelay::start().await;
    let conversation = relay.conversation();
    let held = relay.gladly.hold_next(Operation::Reply);
    relay.says(&conversation, &format!("my password is {NEEDLE}"));
    soon(held.reached()).await;
    assert!(
        !files_with(&relay, NEEDLE).is_empty(),
        "while the turn runs it is needed"
    );
    held.release();
    assert_eq!(relay.next_outcome().await, Outcome::Replied);
    relay.gladly.spoil_next(Operation::Reply, What::status(400));
    relay.says(&conversation, &format!("again {NEEDLE}"));
    assert!(matches!(relay.outcomes(2).await[1], Outcome::HandedOff(_)));
    // What the upkeep does every minute.
    let now = jiff::Timestamp::now();
    relay
        .running()
        .store
        .purge(now - Duration::from_hours(1))
        .await
        .unwrap();
    assert_eq!(files_with(&relay, NEEDLE), Vec::<String>::new());
    relay.finish().await;
}

#[tokio::test]
async fn what_is_older_than_the_retention_is_deleted() {
    let relay = TestRelay::start().await;
    let (conversation, _) = relay.outcome_of("hello").await;
    // The reply assigned it, of which a webhook tells.
    soon(relay.gladly.wait_for(|world| world.undelivered() == 0)).await;
    let event = format!(
        r#"{{"id": "{NEEDLE}", "type": "CONVERSATION/CLOSED", "content": {{"conversationId": "{conversation}"}}}}"#
    );
    assert_eq!(relay.post(event).await.status(), 200);
    for kept in [conversation.as_str(), NEEDLE] {
        assert!(!files_with(&relay, kept).is_empty());
    }
    // What Gladly tells of the reply would bring the conversation back.
    relay.all_told().await;
    // The upkeep runs every minute.
    soon(relay.running().store.purged(1)).await;
    relay.clock.advance(Duration::from_hours(192));
    let_pass(Duration::from_mins(1)).await;
    soon(relay.running().store.purged(2)).await;
    for deleted in [conversation.as_str(), NEEDLE] {
        assert_eq!(files_with(&relay, deleted), Vec::<String>::new());
    }
    relay.finish().await;
}

#[tokio::test]
async fn the_log_holds_no_words_and_no_secret_at_any_level() {
    let mut relay = Setup::default().start_without_relay().await;
    relay.toml = format!("log = \"trace\"\n{}", relay.toml);
    let process = RelayProcess::start(&relay.config_file()).await;
    relay.point_webhook_to(&process.url);
    relay
        .gleen
        .answer_next(format!("the answer {NEEDLE}").as_str());
    relay.gladly.spoil_next(Operation::Reply, What::CutAfter);
    let first = relay.conversation();
    relay.says(&first, &format!("a question {NEEDLE}"));
    soon(
        relay
            .gladly
            .wait_for(|world| !world.conversation(&first).unwrap().replies().is_empty()),
    )
    .await;
    let second = relay.conversation();
    relay.says(
        &second,
        &format!("I want to talk to a real person about {NEEDLE}"),
    );
    soon(
        relay
            .gladly
            .wait_for(|world| world.conversation(&second).unwrap().inbox_id == "human-inbox"),
    )
    .await;
    let (_, log) = process.terminate_and_read().await;
    assert!(
        log.contains("the turn ended") && log.contains("\"turn_id\""),
        "{log}"
    );
    let options = relay.gladly.options();
    let secrets = [
        options.api_token,
        relay.gleen.options().api_key,
        "identifier-of-acme".to_owned(),
    ];
    for secret in secrets.iter().map(String::as_str).chain([NEEDLE]) {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}
