//! Gleen's memory of a conversation is kept as long as the conversation is.

use std::time::Duration;

use gladly_relay::outcome::Outcome;
use gladly_relay::sim::{GleenOptions, Message, Operation};
use gladly_relay::store::Store;
use serde_json::json;

use crate::support::{Setup, TestRelay, soon};

/// The thread of each question so far.
fn threads(relay: &TestRelay) -> Vec<String> {
    relay
        .gleen
        .questions()
        .into_iter()
        .map(|question| question.thread_id)
        .collect()
}

#[tokio::test]
async fn a_thread_goes_on_across_turns_and_restarts() {
    for thread_id_as_number in [false, true] {
        let gleen = GleenOptions {
            thread_id_as_number,
            ..Setup::default().gleen
        };
        let mut relay = Setup {
            gleen,
            ..Setup::default()
        }
        .start()
        .await;
        let (conversation, _) = relay.outcome_of("first").await;
        relay.says(&conversation, "second");
        relay.outcomes(2).await;
        relay.restart().await;
        relay.says(&conversation, "third");
        assert_eq!(relay.next_outcome().await, Outcome::Replied);
        let threads = threads(&relay);
        assert!(
            threads.iter().all(|thread| *thread == threads[0]),
            "{threads:?}"
        );
        relay.finish().await;
    }
}

#[tokio::test]
async fn each_conversation_has_a_thread_of_its_own() {
    let relay = TestRelay::start().await;
    relay.outcome_of("first").await;
    let other = relay.conversation();
    relay.says(&other, "first");
    relay.outcomes(2).await;
    let threads = threads(&relay);
    assert_ne!(threads[0], threads[1]);
    relay.finish().await;
}

#[tokio::test]
async fn a_closed_conversation_forgets_its_thread() {
    let relay = TestRelay::start().await;
    let (conversation, _) = relay.outcome_of("first").await;
    relay.gladly.close(&conversation);
    relay
        .gladly
        .wait_for(|world| world.undelivered() == 0)
        .await;
    relay.gladly.reopen(&conversation);
    relay
        .gladly
        .wait_for(|world| world.undelivered() == 0)
        .await;
    relay.says(&conversation, "second");
    assert_eq!(relay.outcomes(2).await[1], Outcome::Replied);
    let threads = threads(&relay);
    assert_ne!(threads[0], threads[1]);
    relay.finish().await;
}

#[tokio::test]
async fn a_merged_conversation_takes_its_thread_along() {
    let relay = TestRelay::start().await;
    let (source, _) = relay.outcome_of("first").await;
    let destination = relay.conversation();
    relay.gladly.merge(&source, &destination);
    relay
        .gladly
        .wait_for(|world| world.undelivered() == 0)
        .await;
    relay.says(&destination, "second");
    assert_eq!(relay.outcomes(2).await[1], Outcome::Replied);
    let threads = threads(&relay);
    assert_eq!(threads[0], threads[1]);
    relay.finish().await;
}

#[tokio::test]
async fn a_thread_that_gleen_has_forgotten_is_begun_anew() {
    for unknown_thread_status in [400, 404, 410, 422] {
        let gleen = GleenOptions {
            unknown_thread_status,
            ..Setup::default().gleen
        };
        let relay = Setup {
            gleen,
            ..Setup::default()
        }
        .start()
        .await;
        let (conversation, _) = relay.outcome_of("first").await;
        relay.gleen.forget_threads();
        relay.says(&conversation, "second");
        assert_eq!(
            relay.outcomes(2).await[1],
            Outcome::Replied,
            "{unknown_thread_status}"
        );
        relay.says(&conversation, "third");
        relay.outcomes(3).await;
        let threads = threads(&relay);
        assert_ne!(threads[0], threads[1]);
        assert_eq!(threads[1], threads[2], "the new thread goes on");
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_conversation_closed_while_the_bot_thinks_forgets_the_thread_that_comes_after() {
    let relay = Setup::policy("recheck_before_reply = false").start().await;
    let conversation = relay.conversation();
    let held = relay.gleen.hold_next(Operation::SendMessage);
    relay.says(&conversation, "first");
    soon(held.reached()).await;
    relay.all_told().await;
    // Only the closing is heard of, so that no look at Gladly comes between.
    relay.lose_webhooks();
    relay.gladly.close(&conversation);
    let closed = json!({"id": "closed", "type": "CONVERSATION/CLOSED",
        "content": {"conversationId": conversation}});
    assert_eq!(relay.post(closed.to_string()).await.status(), 200);
    held.release();
    relay.next_outcome().await;
    let item = relay
        .gladly
        .customer_message_without_webhook(&conversation, &Message::chat("second"));
    let payload = relay.gladly.payload_for(&item);
    assert_eq!(relay.post(payload.to_string()).await.status(), 200);
    assert_eq!(relay.outcomes(2).await[1], Outcome::Replied);
    let threads = threads(&relay);
    assert_ne!(threads[0], threads[1]);
    relay.finish().await;
}

#[tokio::test]
async fn what_runs_and_what_waits_during_a_merge_is_answered_in_order_in_the_conversation_that_is_left()
 {
    let relay = TestRelay::start().await;
    let (source, destination) = (relay.conversation(), relay.conversation());
    let held = relay.gleen.hold_next(Operation::SendMessage);
    relay.says(&source, "first");
    soon(held.reached()).await;
    relay.says(&source, "second");
    relay.all_told().await;
    relay.gladly.merge(&source, &destination);
    relay.all_told().await;
    held.release();
    assert_eq!(relay.outcomes(2).await[1], Outcome::Replied);
    assert_eq!(
        relay.replies(&destination),
        ["You asked: first", "You asked: second"]
    );
    relay.finish().await;
}

#[tokio::test]
async fn a_conversation_is_not_forgotten_while_its_turn_runs() {
    let relay = TestRelay::start().await;
    let conversation = relay.conversation();
    let held = relay.gleen.hold_next(Operation::SendMessage);
    relay.says(&conversation, "first");
    soon(held.reached()).await;
    let all = jiff::Timestamp::now() + Duration::from_hours(1);
    relay.running().store.purge(all).await.unwrap();
    held.release();
    relay.next_outcome().await;
    relay.says(&conversation, "second");
    assert_eq!(relay.outcomes(2).await[1], Outcome::Replied);
    let threads = threads(&relay);
    assert_eq!(threads[0], threads[1]);
    relay.finish().await;
}
