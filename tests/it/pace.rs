//! Gladly's rate limit is hardly met, whatever the load; a 429 stops all calls;
//! one account's flood does not delay another's customers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use gladly_relay::config::{Config, Environment};
use gladly_relay::gladly::{Admission, Ask, Client, Pace, Precedence};
use gladly_relay::id::ItemId;
use gladly_relay::outcome::{HandoffReason, Outcome};
use gladly_relay::sim::{
    ConversationView, Gladly, GladlyOptions, GladlyWorld, Gleen, Message, Operation,
    RecordedRequest, Reply, What,
};
use gladly_relay::store::Operations;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::support::{Setup, TestRelay, let_pass, soon};

fn limited(requests_per_second: u32) -> Setup {
    let gladly = GladlyOptions {
        requests_per_second: Some(requests_per_second),
        ..GladlyOptions::default()
    };
    Setup {
        gladly,
        account_gladly: format!("requests_per_second = {requests_per_second}"),
        policy: "answer_deadline = \"10m\"".to_owned(),
        ..Setup::default()
    }
}

#[tokio::test]
async fn a_flood_of_conversations_costs_three_calls_each_and_hardly_meets_the_limit() {
    let relay = limited(20).start().await;
    let conversations: Vec<String> = (0..30).map(|_| relay.conversation()).collect();
    for conversation in &conversations {
        relay.says(conversation, "hello");
    }
    let outcomes = relay.outcomes(conversations.len()).await;
    assert!(
        outcomes.iter().all(|outcome| *outcome == Outcome::Replied),
        "{outcomes:?}"
    );
    let requests = relay.gladly.requests();
    let made = |request: &&RecordedRequest| request.status != Some(429);
    let calls = requests.iter().filter(made).count();
    assert_eq!(calls, 3 * conversations.len(), "however long they waited");
    let metrics = relay.metrics().await;
    let used = metrics.lines().find_map(|line| {
        line.strip_prefix(r#"gladly_relay_gladly_limit_used_ratio{account="acme"} "#)
    });
    let used: f64 = used.expect(&metrics).parse().unwrap();
    assert!(used > 0.1 && used < 1.1, "{used}");
    // `finish` asserts that hardly a call was over the limit.
    relay.finish().await;
}

#[tokio::test]
async fn what_cannot_be_answered_in_time_goes_to_a_human_before_it_costs_a_fetch() {
    let mut setup = limited(5);
    setup.policy = "answer_deadline = \"4s\"".to_owned();
    let relay = setup.start().await;
    let conversations: Vec<String> = (0..16).map(|_| relay.conversation()).collect();
    for conversation in &conversations {
        relay.says(conversation, "hello");
    }
    let outcomes = relay.outcomes(conversations.len()).await;
    let late = Outcome::HandedOff(HandoffReason::Deadline);
    let given_up = outcomes.iter().filter(|outcome| **outcome == late).count();
    let answered = outcomes
        .iter()
        .filter(|outcome| **outcome == Outcome::Replied);
    assert_eq!(given_up + answered.count(), conversations.len());
    let fetches = relay.gladly.requests_of(Operation::GetItem);
    assert!(
        given_up > 0 && fetches < conversations.len(),
        "{outcomes:?}"
    );
    let metrics = relay.metrics().await;
    let left_out = r#"gladly_relay_notes_left_out_total{account="acme"}"#;
    assert!(metrics.contains(left_out), "{metrics}");
    soon(relay.gladly.wait_for(|world| {
        let conversations = world.conversations();
        let noted = |view: &&ConversationView| !view.notes().is_empty();
        conversations.iter().filter(noted).count() == given_up
    }))
    .await;
    relay.finish().await;
}

#[tokio::test]
async fn a_late_note_is_tried_again_and_not_written_where_it_is_no_use_any_more() {
    let mut setup = limited(5);
    setup.policy = "answer_deadline = \"4s\"".to_owned();
    let relay = setup.start().await;
    relay.always(Operation::AddNote, What::too_many(1));
    let conversations: Vec<String> = (0..16).map(|_| relay.conversation()).collect();
    for conversation in &conversations {
        relay.says(conversation, "hello");
    }
    relay.outcomes(conversations.len()).await;
    let ended = relay.gladly.requests().len();
    let late = relay.gladly.wait_until(|world| {
        let refused = refused_notes_since(world, ended);
        (refused.len() >= 3).then_some(refused)
    });
    let late: Vec<String> = soon(late).await.into_iter().collect();
    let [closed, back, left, ..] = &late[..] else {
        panic!("{late:?}");
    };
    relay.lose_webhooks();
    relay.gladly.close(closed);
    let options = relay.gladly.options();
    relay.gladly.move_to(back, &options.ai_inbox_id, None);
    let changed = relay.gladly.requests().len();
    relay.gladly.clear_faults();
    soon(relay.gladly.wait_for(|world| {
        let looked = looked_at_since(world, changed);
        let noted = |id: &str| !world.conversation(id).unwrap().notes().is_empty();
        looked.contains(closed) && looked.contains(back) && noted(left)
    }))
    .await;
    for id in [closed, back] {
        assert_eq!(relay.view(id).notes().len(), 0, "{id}");
    }
    relay.finish().await;
}

/// The conversations whose notes were refused after so many calls.
fn refused_notes_since(world: &GladlyWorld, calls: usize) -> BTreeSet<String> {
    let later = world.requests()[calls..].iter();
    let refused = later
        .filter(|request| request.operation == Operation::AddNote && request.status == Some(429));
    let ids = refused.filter_map(|note| note.path.rsplit('/').nth(1).map(str::to_owned));
    ids.collect()
}

/// The conversations that were looked at after so many calls.
fn looked_at_since(world: &GladlyWorld, calls: usize) -> BTreeSet<String> {
    let later = world.requests()[calls..].iter();
    let looks = later.filter(|request| request.operation == Operation::GetConversation);
    let ids = looks.filter_map(|look| look.path.rsplit('/').next().map(str::to_owned));
    ids.collect()
}

#[tokio::test]
async fn a_429_without_cause_is_waited_out_and_costs_nobody_an_answer() {
    let relay = TestRelay::start().await;
    for operation in [
        Operation::GetItem,
        Operation::GetConversation,
        Operation::Reply,
    ] {
        relay.gladly.spoil_next(operation, What::too_many(1));
    }
    let (conversation, outcome) = relay.outcome_of("hello").await;
    assert_eq!(outcome, Outcome::Replied);
    assert_eq!(relay.replies(&conversation).len(), 1);
    assert!(
        relay
            .metrics()
            .await
            .contains(r#"gladly_relay_upstream_throttled_total{account="acme"} 3"#)
    );
    relay.finish().await;
}

#[tokio::test]
async fn one_accounts_flood_does_not_delay_anothers_customer() {
    let quiet_gladly = Gladly::start(GladlyOptions {
        seed: 2,
        ..GladlyOptions::default()
    })
    .await
    .unwrap();
    let quiet_gleen = Gleen::start(Setup::default().gleen).await.unwrap();
    let mut relay = limited(2).start_without_relay().await;
    let quiet = format!(
        r#"
[[account]]
name = "quiet"
identifier = "quiet"
[account.gladly]
url = "{}"
username = "bot@example.com"
api_token = "gladly-token"
ai_inbox_id = "ai-inbox"
handoff_inbox_id = "human-inbox"
agent_id = "gleen-bot"
[account.gleen]
url = "{}"
api_key = "gleen-key"
"#,
        quiet_gladly.url(),
        quiet_gleen.url()
    );
    relay.toml.push_str(&quiet);
    relay.boot().await;
    let held = relay.gladly.hold_next(Operation::GetItem);
    for _ in 0..200 {
        let conversation = relay.conversation();
        relay.says(&conversation, "hello");
    }
    soon(held.reached()).await;
    let conversation = quiet_gladly.add_conversation("Noa");
    let item =
        quiet_gladly.customer_message_without_webhook(&conversation, &Message::chat("hello"));
    let request = reqwest::Client::new()
        .post(format!("{}/webhooks/gladly", relay.running().url))
        .header("X-Account-Identifier", "quiet")
        .body(quiet_gladly.payload_for(&item).to_string());
    assert_eq!(request.send().await.unwrap().status(), 200);
    assert_eq!(relay.next_outcome().await, Outcome::Replied);
    assert_eq!(
        quiet_gladly
            .conversation(&conversation)
            .unwrap()
            .replies()
            .len(),
        1
    );
    assert!(
        relay.gladly.requests_of(Operation::Reply) <= 2,
        "the flood is not done"
    );
    held.release();
    relay.stop().await;
}

#[tokio::test]
async fn a_refused_api_user_stops_the_calls_and_everything_is_kept() {
    let relay = Setup::policy("answer_deadline = \"10m\"").start().await;
    for _ in 0..2 {
        relay
            .gladly
            .spoil_next(Operation::GetItem, What::status(401));
    }
    let conversation = relay.conversation();
    relay.says(&conversation, "hello");
    relay.running().store.put_off(1).await;
    let calls = relay.gladly.requests().len();
    let other = relay.conversation();
    relay.says(&other, "hello");
    relay.running().store.put_off(2).await;
    assert_eq!(
        relay.gladly.requests().len(),
        calls,
        "nothing is called but the probe"
    );
    let backlog = relay
        .running()
        .store
        .backlog(jiff::Timestamp::now())
        .await
        .unwrap();
    assert_eq!(backlog[0].turns, 2, "nothing is given up");
}

#[tokio::test]
async fn past_its_deadline_a_conversation_goes_to_a_human_even_while_gladly_is_slow() {
    let relay = Setup::policy("answer_deadline = \"1s\"").start().await;
    let held = relay.gladly.hold_next(Operation::GetItem);
    let (conversation, outcome) = relay.outcome_of("hello").await;
    assert_eq!(
        outcome,
        Outcome::HandedOff(gladly_relay::outcome::HandoffReason::Deadline)
    );
    assert_eq!(relay.view(&conversation).inbox_id, "human-inbox");
    let metrics = relay.metrics().await;
    assert!(
        !metrics.contains(r#"status="timeout""#),
        "nobody waits for the slow call to end: {metrics}"
    );
    held.release();
    relay.finish().await;
}

#[tokio::test]
async fn a_deadline_that_passed_while_the_relay_was_down_is_kept_after_the_start() {
    let mut relay = Setup::default().start_without_relay().await;
    relay.toml = relay
        .toml
        .replace("shutdown_grace = \"10s\"", "shutdown_grace = \"50ms\"");
    relay.boot().await;
    let conversation = relay.conversation();
    let held = relay.gleen.hold_next(Operation::SendMessage);
    relay.says(&conversation, "hello");
    soon(held.reached()).await;
    relay.stop().await;
    held.release();
    relay.clock.advance(Duration::from_mins(2));
    relay.boot().await;
    assert_eq!(
        relay.next_outcome().await,
        Outcome::HandedOff(gladly_relay::outcome::HandoffReason::Deadline)
    );
    assert_eq!(
        relay.gleen.requests().len(),
        1,
        "the bot is not asked again"
    );
    relay.finish().await;
}

#[tokio::test]
async fn a_wait_that_gladly_asks_for_is_kept_but_ends_at_the_deadline() {
    let relay = Setup::policy("answer_deadline = \"1s\"").start().await;
    let busy = Reply {
        status: 503,
        headers: vec![("Retry-After".to_owned(), "300".to_owned())],
        body: String::new(),
    };
    relay
        .gladly
        .spoil_next(Operation::GetItem, What::Status(busy));
    let (conversation, outcome) = relay.outcome_of("hello").await;
    assert_eq!(outcome, Outcome::HandedOff(HandoffReason::Deadline));
    assert_eq!(relay.view(&conversation).inbox_id, "human-inbox");
    assert_eq!(relay.gladly.requests_of(Operation::GetItem), 1);
    relay.finish().await;
}

#[tokio::test]
async fn once_the_api_user_is_accepted_again_everything_goes_on_by_itself() {
    let relay = Setup::policy("answer_deadline = \"10m\"").start().await;
    relay
        .gladly
        .spoil_next(Operation::GetItem, What::status(401));
    let conversation = relay.conversation();
    relay.says(&conversation, "hello");
    soon(relay.running().store.put_off(1)).await;
    let a_minute_later = Duration::from_secs(61);
    relay.clock.advance(a_minute_later);
    let_pass(a_minute_later).await;
    assert_eq!(relay.next_outcome().await, Outcome::Replied);
    let other = relay.conversation();
    relay.says(&other, "hello");
    assert_eq!(relay.outcomes(2).await[1], Outcome::Replied);
    relay.finish().await;
}

#[tokio::test]
async fn accounts_of_one_organization_share_its_limit() {
    let mut relay = limited(20).start_without_relay().await;
    let first = relay.toml.split_once("[[account]]").unwrap().1.to_owned();
    let second = first
        .replace("\"acme\"", "\"twin\"")
        .replace("identifier-of-acme", "identifier-of-twin")
        .replace("the-next-identifier", "the-next-of-twin")
        .replace("\"ai-inbox\"", "\"other-inbox\"");
    relay.toml = format!("{}[[account]]{second}", relay.toml);
    relay.boot().await;
    let client = reqwest::Client::new();
    for _ in 0..8 {
        let conversation = relay.conversation();
        relay.says(&conversation, "hello");
        let conversation = relay.conversation();
        relay.gladly.move_to(&conversation, "other-inbox", None);
        let item = relay
            .gladly
            .customer_message_without_webhook(&conversation, &Message::chat("hello"));
        let request = client
            .post(format!("{}/webhooks/gladly", relay.running().url))
            .header("X-Account-Identifier", "identifier-of-twin")
            .body(relay.gladly.payload_for(&item).to_string());
        assert_eq!(soon(request.send()).await.unwrap().status(), 200);
    }
    relay.outcomes(16).await;
    // `finish` asserts that hardly a call was over the limit.
    relay.finish().await;
}

#[tokio::test]
async fn a_429_stops_every_call_for_as_long_as_gladly_asks() {
    let relay = Setup::default().start_without_relay().await;
    let config = Config::load(Some(&relay.config_file()), &Environment::default()).unwrap();
    let (account, pace) = (&config.accounts[0], Pace::new(100));
    tokio::spawn(pace.clone().run(CancellationToken::new()));
    let client = Client::new(
        &account.name,
        &account.gladly,
        pace,
        relay.clock.clone(),
        Arc::default(),
    )
    .unwrap();
    relay
        .gladly
        .spoil_next(Operation::GetItem, What::too_many(20));
    let asked = client.permits(Ask::one(Precedence::Fetch, Instant::now()));
    let Admission::Granted(mut permits) = asked.await.unwrap() else {
        panic!("this can't be too late");
    };
    let permit = permits.take().unwrap();
    let id = ItemId::parse("i").unwrap();
    assert!(client.item(permit, &id).await.is_err());
    tokio::time::pause();
    let reply = Ask::one(Precedence::Reply, Instant::now());
    let before = timeout(Duration::from_secs(19), client.permits(reply)).await;
    assert!(before.is_err(), "a call may go before its time");
    // A quarter more, so that not all callers come back at once.
    let after = timeout(Duration::from_secs(7), client.permits(reply)).await;
    assert!(after.is_ok(), "no call may go after its time");
}
