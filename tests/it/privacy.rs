//! Nobody's words outlive their turn: not in the database, not in its log, not
//! in what the relay logs. Secrets are nowhere at all.

use std::process::Output;
use std::time::Duration;

use gladly_relay::sim::{Answer, GladlyWorld, Hold, Message, Operation, Question, Responder, What};
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

/// A relay in a process of its own, whose bot says the needle in each answer.
async fn start_with_a_needle() -> (TestRelay, RelayProcess) {
    let mut relay = Setup::default().start_without_relay().await;
    let process = RelayProcess::start(&relay.config_file()).await;
    relay.point_webhook_to(&process.url);
    relay.gleen.configure(|options| {
        let answer = |question: &Question| Answer::Text(format!("{NEEDLE}! {}", question.text));
        options.responder = Some(Responder::new(answer));
    });
    (relay, process)
}

async fn replied(relay: &TestRelay, conversation: &str) {
    let there = relay.gladly.wait_for(|world| {
        let view = world.conversation(conversation).unwrap();
        !view.replies().is_empty()
    });
    soon(there).await;
}

/// A new conversation whose turn is held where `held` says.
async fn says_until(relay: &TestRelay, held: &Hold, text: &str) -> String {
    let conversation = relay.conversation();
    relay.says(&conversation, &format!("{text} {NEEDLE}?"));
    soon(held.reached()).await;
    conversation
}

#[tokio::test]
async fn nobody_s_words_are_in_any_file_once_they_were_listed_and_answered() {
    let (relay, process) = start_with_a_needle().await;
    // The answer is cut off and looked for: the items are listed.
    let answered = conversation_with_a_past(&relay);
    relay.gladly.spoil_next(Operation::Reply, What::CutAfter);
    relay.says(&answered, &format!("my password is {NEEDLE}"));
    replied(&relay, &answered).await;
    let listed = |world: &GladlyWorld| world.requests_of(Operation::ListItems) > 0;
    soon(relay.gladly.wait_for(listed)).await;
    assert_no_words(&relay, "after an answer");
    assert_eq!(process.terminate().await, Some(0));
    assert_no_words(&relay, "after the end");
}

#[tokio::test]
async fn nobody_s_words_are_in_any_file_while_turns_run_and_they_go_on_after_a_kill() {
    let (mut relay, process) = start_with_a_needle().await;
    let on_its_way = relay.gladly.hold_next(Operation::Reply);
    let interrupted = says_until(&relay, &on_its_way, "where is").await;
    let moving = relay.gladly.hold_next_answer(Operation::PatchConversation);
    let wish = "I want to talk to a real person about";
    let handed_off = says_until(&relay, &moving, wish).await;
    let thinking = relay.gleen.hold_next(Operation::SendMessage);
    let thought_about = says_until(&relay, &thinking, "what is").await;
    assert_no_words(&relay, "while turns run");
    process.kill().await;
    assert_no_words(&relay, "after the kill");

    let questions = relay.gleen.requests().len();
    for held in [on_its_way, moving, thinking] {
        held.release();
    }
    let process = RelayProcess::start(&relay.config_file()).await;
    relay.point_webhook_to(&process.url);
    for conversation in [&interrupted, &thought_about] {
        replied(&relay, conversation).await;
    }
    // The first of them is the start's own look.
    let asked_again = relay.gleen.requests().len() - questions - 1;
    assert_eq!(asked_again, 1, "the words of the other could be read again");
    let sent = relay.replies(&interrupted);
    assert_eq!(sent, [format!("{NEEDLE}! where is {NEEDLE}?")]);
    assert_eq!(process.terminate().await, Some(0));
    assert_eq!(relay.view(&handed_off).inbox_id, "human-inbox");
    assert_no_words(&relay, "after the end");
}

#[tokio::test]
async fn nobody_s_words_are_in_a_dead_letter() {
    let (relay, process) = start_with_a_needle().await;
    tell_of_a_stranger(&relay, &process.url).await;
    assert_eq!(process.terminate().await, Some(0));
    assert_no_words(&relay, "with a dead letter");
    let listed = dead_list(&relay).await;
    let text = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(text.lines().count(), 2, "a head and a letter: {text}");
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

#[tokio::test]
async fn the_log_tells_who_has_what_was_left_alone() {
    let mut relay = Setup::default().start_without_relay().await;
    let process = RelayProcess::start(&relay.config_file()).await;
    relay.point_webhook_to(&process.url);
    let left = relay.conversation();
    relay.gladly.take_over(&left);
    relay.all_told().await;
    relay.says(&left, "hello");
    let moved = relay.conversation();
    relay.says(&moved, "I want to talk to a real person");
    soon(
        relay
            .gladly
            .wait_for(|world| world.conversation(&moved).unwrap().inbox_id == "human-inbox"),
    )
    .await;
    let (_, log) = process.terminate_and_read().await;
    let options = relay.gladly.options();
    let line = log
        .lines()
        .find(|line| line.contains("the turn ended") && line.contains(&left))
        .unwrap_or_else(|| panic!("{log}"));
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["reason"], "human_assigned");
    assert_eq!(line["inbox_id"], options.ai_inbox_id.as_str());
    assert_eq!(line["agent_id"], options.human_agent_id.as_str());
}
