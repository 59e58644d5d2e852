//! Nobody's words outlive their turn: not in the database, not in its log, not
//! in what the relay logs. Secrets are nowhere at all.

use std::process::Output;
use std::time::Duration;

use gladly_relay::sim::{Fault, Gate, GladlyWorld, Message, Operation, What, When};
use serde_json::json;
use tokio::process::Command;

use crate::support::{IDENTIFIER, RelayProcess, Setup, TestRelay, let_pass, soon};

const NEEDLE: &str = "needle-9f2b61";

/// All files of the store's folder that hold a text.
fn files_with(relay: &TestRelay, needle: &str) -> Vec<String> {
    let database = relay.database();
    let folder = std::fs::read_dir(database.parent().unwrap()).unwrap();
    let mut files: Vec<_> = folder.map(|file| file.unwrap().path()).collect();
    // The log is read before the database: what is moved meanwhile is then seen.
    files.sort_by_key(|file| *file == database);
    files.retain(|file| {
        let bytes = std::fs::read(file).unwrap_or_default();
        let mut windows = bytes.windows(needle.len());
        windows.any(|window| window == needle.as_bytes())
    });
    let names = files.iter().map(|file| file.display().to_string());
    names.collect()
}

fn assert_no_words(relay: &TestRelay, when: &str) {
    assert_eq!(files_with(relay, NEEDLE), Vec::<String>::new(), "{when}");
    // The files are there, and read.
    assert_ne!(files_with(relay, "acme"), Vec::<String>::new(), "{when}");
}

/// A conversation of the bot's in which a human has written and noted before.
fn conversation_with_a_past(relay: &TestRelay) -> String {
    let conversation = relay.conversation();
    let gladly = &relay.gladly;
    gladly.customer_message_without_webhook(&conversation, &Message::chat(NEEDLE));
    gladly.agent_replies(&conversation, &format!("dear {NEEDLE}"));
    gladly.move_to(&conversation, "ai-inbox", None);
    conversation
}

fn hold_answer(relay: &TestRelay, operation: Operation) -> gladly_relay::sim::Hold {
    relay.gladly.hold_next_answer(operation)
}

async fn dead_list(relay: &TestRelay) -> Output {
    let mut list = Command::new(env!("CARGO_BIN_EXE_gladly-relay"));
    list.args(["dead", "list", "--config"])
        .arg(relay.config_file());
    list.env_clear().output().await.unwrap()
}

/// A message of another conversation, of which a webhook says that it is of this.
async fn tell_of_a_stranger(relay: &TestRelay, url: &str) {
    let (other, conversation) = (relay.conversation(), relay.conversation());
    let message = Message::chat(format!("not for you: {NEEDLE}"));
    let item = relay
        .gladly
        .customer_message_without_webhook(&other, &message);
    let mut payload = relay.gladly.payload_for(&item);
    payload["content"]["conversationId"] = json!(conversation);
    let request = reqwest::Client::new()
        .post(format!("{url}/webhooks/gladly"))
        .header("X-Account-Identifier", IDENTIFIER)
        .body(payload.to_string());
    assert_eq!(soon(request.send()).await.unwrap().status(), 200);
    // It is looked whether the other was merged into this one.
    let looked = |world: &GladlyWorld| {
        let path = format!("/api/v1/conversations/{other}");
        let mut requests = world.requests().iter();
        requests.any(|request| request.path == path && request.status.is_some())
    };
    soon(relay.gladly.wait_for(looked)).await;
}

#[tokio::test]
async fn nobody_s_words_are_in_any_file_and_a_turn_goes_on_after_a_kill() {
    let mut relay = Setup::default().start_without_relay().await;
    let process = RelayProcess::start(&relay.config_file()).await;
    relay.point_webhook_to(&process.url);
    relay.gleen.configure(|options| {
        let words = |question: &gladly_relay::sim::Question| format!("{NEEDLE}! {}", question.text);
        let answer = move |question: &_| gladly_relay::sim::Answer::Text(words(question));
        options.responder = Some(gladly_relay::sim::Responder::new(answer));
    });

    // The first answer is cut off and looked for: the items are listed.
    let answered = conversation_with_a_past(&relay);
    relay.gladly.spoil_next(Operation::Reply, What::CutAfter);
    relay.says(&answered, &format!("my password is {NEEDLE}"));
    let replied = |conversation: String| {
        move |world: &GladlyWorld| {
            !world
                .conversation(&conversation)
                .unwrap()
                .replies()
                .is_empty()
        }
    };
    soon(relay.gladly.wait_for(replied(answered.clone()))).await;
    let listed = |world: &GladlyWorld| world.requests_of(Operation::ListItems) > 0;
    soon(relay.gladly.wait_for(listed)).await;
    assert_no_words(&relay, "after an answer");

    // Another is on its way, a third is being moved with its note, a fourth thought about.
    let (gate, on_its_way) = Gate::new();
    relay.gladly.fault(Fault {
        operation: Some(Operation::Reply),
        when: When::Next(1),
        what: What::Hold(gate),
    });
    let interrupted = relay.conversation();
    relay.says(&interrupted, &format!("where is {NEEDLE}?"));
    soon(on_its_way.reached()).await;
    let moving = hold_answer(&relay, Operation::PatchConversation);
    let handed_off = relay.conversation();
    relay.says(
        &handed_off,
        &format!("I want to talk to a real person about {NEEDLE}"),
    );
    soon(moving.reached()).await;
    let thinking = relay.gleen.hold_next(Operation::SendMessage);
    let thought_about = relay.conversation();
    relay.says(&thought_about, &format!("what is {NEEDLE}?"));
    soon(thinking.reached()).await;
    tell_of_a_stranger(&relay, &process.url).await;
    assert_no_words(&relay, "while turns run");

    process.kill().await;
    assert_no_words(&relay, "after the kill");
    let questions = relay.gleen.requests().len();
    for held in [on_its_way, moving, thinking] {
        held.release();
    }
    let process = RelayProcess::start(&relay.config_file()).await;
    for conversation in [&interrupted, &thought_about] {
        soon(relay.gladly.wait_for(replied(conversation.clone()))).await;
    }
    let asked_again = relay.gleen.requests().len() - questions;
    assert_eq!(asked_again, 1, "only what was being thought about");
    let sent = relay.replies(&interrupted);
    assert_eq!(sent, [format!("{NEEDLE}! where is {NEEDLE}?")]);
    assert_eq!(process.terminate().await, Some(0));
    assert_eq!(relay.view(&handed_off).inbox_id, "human-inbox");
    assert_no_words(&relay, "after the end");

    let listed = dead_list(&relay).await;
    let text = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("another conversation"), "{text}");
    assert!(!text.contains(NEEDLE), "{text}");
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
