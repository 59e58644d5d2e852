//! Two customers turn out to be one while the bot is at work: everybody is
//! answered, in order, in the conversation that is left.

use std::time::Duration;

use gladly_relay::outcome::Outcome;
use gladly_relay::sim::{Message, Operation, Reply, What};
use serde_json::json;

use crate::support::{TestRelay, soon};

const BOTH: [Outcome; 2] = [Outcome::Replied, Outcome::Replied];

#[tokio::test]
async fn what_is_asked_and_what_waits_is_answered_in_order_in_the_survivor() {
    for told in [true, false] {
        let relay = TestRelay::start().await;
        let (gone, left) = (relay.conversation(), relay.conversation());
        let held = relay.gleen.hold_next(Operation::SendMessage);
        relay.says(&gone, "one");
        soon(held.reached()).await;
        relay.says(&gone, "two");
        relay.all_told().await;
        if !told {
            relay.lose_webhooks();
        }
        relay.gladly.merge(&gone, &left);
        relay.all_told().await;
        held.release();
        assert_eq!(relay.outcomes(2).await, BOTH, "told: {told}");
        let answers = ["You asked: one", "You asked: two"];
        assert_eq!(relay.replies(&left), answers, "told: {told}");
        relay.finish().await;
    }
}

#[tokio::test]
async fn what_is_written_in_the_survivor_waits_for_the_turn_that_came_with_the_merge() {
    let relay = TestRelay::start().await;
    let (gone, left) = (relay.conversation(), relay.conversation());
    let held = relay.gleen.hold_next(Operation::SendMessage);
    relay.says(&gone, "one");
    soon(held.reached()).await;
    relay.gladly.merge(&gone, &left);
    relay.all_told().await;
    relay.says(&left, "two");
    relay.all_told().await;
    assert_eq!(relay.gleen.requests().len(), 1, "they are asked one by one");
    held.release();
    assert_eq!(relay.outcomes(2).await, BOTH);
    let answers = ["You asked: one", "You asked: two"];
    assert_eq!(relay.replies(&left), answers);
    relay.finish().await;
}

#[tokio::test]
async fn turns_that_run_in_both_conversations_each_answer_once() {
    for told in [true, false] {
        let relay = TestRelay::start().await;
        let (gone, left) = (relay.conversation(), relay.conversation());
        let first = relay.gleen.hold_next(Operation::SendMessage);
        relay.says(&gone, "one");
        soon(first.reached()).await;
        let second = relay.gleen.hold_next(Operation::SendMessage);
        relay.says(&left, "two");
        soon(second.reached()).await;
        if !told {
            relay.lose_webhooks();
        }
        relay.gladly.merge(&gone, &left);
        relay.all_told().await;
        first.release();
        relay.outcomes(1).await;
        second.release();
        assert_eq!(relay.outcomes(2).await, BOTH, "told: {told}");
        let answers = ["You asked: one", "You asked: two"];
        assert_eq!(relay.replies(&left), answers, "told: {told}");
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_merge_while_the_reply_is_on_its_way_does_not_answer_twice() {
    for after_effect in [false, true] {
        for told in [true, false] {
            let relay = TestRelay::start().await;
            let (gone, left) = (relay.conversation(), relay.conversation());
            let held = if after_effect {
                relay.gladly.hold_next_answer(Operation::Reply)
            } else {
                relay.gladly.hold_next(Operation::Reply)
            };
            relay.says(&gone, "one");
            soon(held.reached()).await;
            relay.says(&gone, "two");
            relay.all_told().await;
            if !told {
                relay.lose_webhooks();
            }
            relay.gladly.merge(&gone, &left);
            relay.all_told().await;
            held.release();
            let case = format!("after its effect: {after_effect}, told: {told}");
            assert_eq!(relay.outcomes(2).await, BOTH, "{case}");
            let answers = ["You asked: one", "You asked: two"];
            assert_eq!(relay.replies(&left), answers, "{case}");
            relay.finish().await;
        }
    }
}

/// Gladly's answer about a conversation that was merged into this one.
fn moved_to(id: &str) -> What {
    What::Status(Reply {
        status: 301,
        headers: vec![("Location".to_owned(), format!("/api/v1/conversations/{id}"))],
        body: String::new(),
    })
}

#[tokio::test]
async fn what_gladly_itself_says_of_a_merge_wins_over_a_webhook_that_told_it_the_other_way_round() {
    let relay = TestRelay::start().await;
    let (gone, left) = (relay.conversation(), relay.conversation());
    relay.all_told().await;
    let reversed = json!({"id": "reversed", "type": "CUSTOMER/MERGED",
        "content": {"sourceConversationId": left, "destinationConversationId": gone,
        "sourceCustomerId": "x", "destinationCustomerId": "y"}});
    assert_eq!(relay.post(reversed.to_string()).await.status(), 200);
    relay.lose_webhooks();
    let item = relay
        .gladly
        .customer_message_without_webhook(&gone, &Message::chat("hello"));
    let payload = relay.gladly.payload_for(&item).to_string();
    relay.gladly.merge(&gone, &left);
    assert_eq!(relay.post(payload).await.status(), 200);
    assert_eq!(relay.next_outcome().await, Outcome::Replied);
    assert_eq!(relay.replies(&left), ["You asked: hello"]);
    relay.finish().await;
}

#[tokio::test]
async fn merges_that_contradict_each_other_end_as_a_dead_letter_and_in_few_calls() {
    let relay = TestRelay::start().await;
    let (one, other) = (relay.conversation(), relay.conversation());
    relay.all_told().await;
    for (of, to) in [(&one, &other), (&other, &one)] {
        relay.always_about(of, Operation::GetConversation, moved_to(to));
    }
    relay.says(&one, "hello");
    soon(relay.running().store.put_off(1)).await;
    relay.pass(Duration::from_secs(61)).await;
    let outcome = relay.next_outcome().await;
    assert!(matches!(outcome, Outcome::Dead(_)), "{outcome:?}");
    let looks = relay.gladly.requests_of(Operation::GetConversation);
    assert!(looks < 40, "{looks}");
    relay.finish().await;
}
