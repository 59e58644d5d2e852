//! What comes into the AI inbox after all is answered after all, once; what
//! somebody has dealt with is left alone.

use std::time::Duration;

use gladly_relay::outcome::HandoffReason::CustomerRequested;
use gladly_relay::outcome::{HandoffReason, Outcome, SkipReason};
use gladly_relay::sim::{GladlyWorld, Message, Operation, What};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::support::{Setup, TestRelay, soon, two_parts};

const ELSEWHERE: &str = "other-inbox";
const LATER: [Duration; 2] = [Duration::from_secs(12), Duration::from_mins(10)];

/// Somebody gives the conversation to the bot.
fn give(relay: &TestRelay, conversation: &str) {
    let options = relay.gladly.options();
    relay
        .gladly
        .move_to(conversation, &options.ai_inbox_id, None);
}

/// A conversation in another inbox.
fn elsewhere(relay: &TestRelay) -> String {
    let conversation = relay.conversation();
    relay.gladly.move_to(&conversation, ELSEWHERE, None);
    conversation
}

fn one_reply(world: &GladlyWorld, conversation: &str) -> bool {
    world.conversation(conversation).unwrap().replies().len() == 1
}

/// Gives the conversation to the bot, which looks what waits there and leaves it:
/// it is asked nothing, and writes nothing.
async fn assert_left_alone(relay: TestRelay, conversation: &str) {
    relay.all_told().await;
    let looks = relay.gladly.requests_of(Operation::ListItems);
    let (asked, items) = (relay.gleen.requests().len(), relay.replies(conversation));
    give(&relay, conversation);
    let looked = |world: &GladlyWorld| world.requests_of(Operation::ListItems) > looks;
    soon(relay.gladly.wait_for(looked)).await;
    soon(relay.running().store.idle()).await;
    assert_eq!(relay.gleen.requests().len(), asked);
    assert_eq!(relay.replies(conversation), items);
    assert_eq!(relay.view(conversation).inbox_id, "ai-inbox");
    relay.finish().await;
}

#[tokio::test]
async fn a_message_told_of_with_the_inbox_before_a_rule_moved_it_is_answered() {
    for _ in 0..10 {
        let relay = TestRelay::start().await;
        let conversation = relay.conversation();
        let message = Message::chat("hello");
        relay
            .gladly
            .customer_says_before_a_rule(&conversation, &message, ELSEWHERE);
        let answered = |world: &GladlyWorld| one_reply(world, &conversation);
        soon(relay.gladly.wait_for(answered)).await;
        // The move may be told of only after the message was dealt with.
        relay.all_told().await;
        soon(relay.running().store.idle()).await;
        assert_eq!(relay.replies(&conversation).len(), 1);
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_look_counts_more_than_the_inbox_that_a_message_names() {
    for known in [false, true] {
        let relay = TestRelay::start().await;
        let conversation = elsewhere(&relay);
        if known {
            relay.says(&conversation, "for the other team");
            assert_eq!(
                relay.next_outcome().await,
                Outcome::Skipped(SkipReason::NotAiInbox)
            );
        }
        relay.all_told().await;
        relay.lose_webhooks();
        let message = Message::chat("hello");
        let item = relay
            .gladly
            .customer_message_without_webhook(&conversation, &message);
        give(&relay, &conversation);
        let payload = relay.gladly.payload_for(&item);
        assert_eq!(
            payload["content"]["context"]["assignee"]["inboxId"],
            ELSEWHERE
        );
        assert_eq!(relay.post(payload.to_string()).await.status(), 200);
        let count = usize::from(known);
        assert_eq!(relay.outcomes(count + 1).await[count], Outcome::Replied);
        assert_eq!(relay.replies(&conversation).len(), 1);
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_move_told_of_while_the_relay_looks_is_not_lost() {
    let relay = TestRelay::start().await;
    let conversation = elsewhere(&relay);
    relay.all_told().await;
    let held = relay.gladly.hold_next_answer(Operation::GetConversation);
    relay.says(&conversation, "hello");
    soon(held.reached()).await;
    give(&relay, &conversation);
    relay.all_told().await;
    held.release();
    let answered = |world: &GladlyWorld| one_reply(world, &conversation);
    soon(relay.gladly.wait_for(answered)).await;
    soon(relay.running().store.idle()).await;
    assert_eq!(relay.replies(&conversation).len(), 1);
    relay.finish().await;
}

#[tokio::test]
async fn what_was_skipped_elsewhere_is_answered_once_it_comes_to_the_bot() {
    for later in LATER {
        for restarted in [false, true] {
            let mut relay = TestRelay::start().await;
            let conversation = elsewhere(&relay);
            relay.says(&conversation, "hello");
            let skipped = Outcome::Skipped(SkipReason::NotAiInbox);
            assert_eq!(relay.next_outcome().await, skipped);
            relay.all_told().await;
            relay.clock.advance(later);
            if restarted {
                relay.restart().await;
            }
            give(&relay, &conversation);
            let count = usize::from(!restarted);
            assert_eq!(relay.outcomes(count + 1).await[count], Outcome::Replied);
            relay.all_told().await;
            assert_eq!(relay.replies(&conversation), ["You asked: hello"]);
            relay.finish().await;
        }
    }
}

#[tokio::test]
async fn what_no_webhook_told_of_is_answered_once_it_comes_to_the_bot() {
    for restarted in [false, true] {
        let mut relay = TestRelay::start().await;
        let conversation = elsewhere(&relay);
        for text in ["hello", "where is my parcel?"] {
            relay
                .gladly
                .customer_message_without_webhook(&conversation, &Message::chat(text));
        }
        relay.all_told().await;
        if restarted {
            relay.restart().await;
        }
        give(&relay, &conversation);
        assert_eq!(relay.next_outcome().await, Outcome::Replied);
        assert_eq!(
            relay.replies(&conversation),
            ["You asked: where is my parcel?"]
        );
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_message_told_of_only_after_its_conversation_came_is_answered_once() {
    let relay = TestRelay::start().await;
    let conversation = elsewhere(&relay);
    let item = relay
        .gladly
        .customer_message_without_webhook(&conversation, &Message::chat("hello"));
    give(&relay, &conversation);
    assert_eq!(relay.next_outcome().await, Outcome::Replied);
    let payload = relay.gladly.payload_for(&item).to_string();
    assert_eq!(relay.post(payload).await.status(), 200);
    soon(relay.running().store.idle()).await;
    assert_eq!(relay.replies(&conversation).len(), 1);
    relay.finish().await;
}

#[tokio::test]
async fn what_a_human_answered_is_left_alone() {
    let relay = TestRelay::start().await;
    let conversation = elsewhere(&relay);
    relay.says(&conversation, "hello");
    relay.next_outcome().await;
    relay.gladly.agent_replies(&conversation, "I am Ada.");
    assert_left_alone(relay, &conversation).await;
}

#[tokio::test]
async fn what_the_bot_answered_is_left_alone() {
    for restarted in [false, true] {
        let mut relay = TestRelay::start().await;
        let (conversation, outcome) = relay.outcome_of("hello").await;
        assert_eq!(outcome, Outcome::Replied);
        relay.gladly.take_over(&conversation);
        relay.all_told().await;
        if restarted {
            relay.restart().await;
        }
        assert_left_alone(relay, &conversation).await;
    }
}

#[tokio::test]
async fn what_the_bot_handed_off_and_gets_back_without_a_new_message_is_left_alone() {
    for restarted in [false, true] {
        let mut relay = TestRelay::start().await;
        let (conversation, outcome) = relay.outcome_of("agent please").await;
        assert_eq!(outcome, Outcome::HandedOff(CustomerRequested));
        relay.all_told().await;
        if restarted {
            relay.restart().await;
        }
        assert_left_alone(relay, &conversation).await;
    }
}

#[tokio::test]
async fn what_a_customer_wrote_to_the_humans_in_vain_is_answered_once_given_back() {
    for later in LATER {
        let relay = TestRelay::start().await;
        let (conversation, _) = relay.outcome_of("agent please").await;
        relay.all_told().await;
        relay.says(&conversation, "is anybody there?");
        let skipped = relay.outcomes(2).await.remove(1);
        assert_eq!(skipped, Outcome::Skipped(SkipReason::HandedOff));
        relay.clock.advance(later);
        give(&relay, &conversation);
        assert_eq!(relay.outcomes(3).await[2], Outcome::Replied);
        assert_eq!(
            relay.replies(&conversation),
            ["You asked: is anybody there?"]
        );
        relay.finish().await;
    }
}

fn assert_no_part_twice(relay: &TestRelay, conversation: &str) {
    let replies = relay.replies(conversation);
    for part in ["Part 1", "Part 2"] {
        let count = replies.iter().filter(|reply| reply.starts_with(part));
        assert!(count.count() <= 1, "{part} came twice");
    }
    assert_eq!(relay.gleen.requests().len(), 1, "the bot was asked again");
}

#[tokio::test]
async fn given_back_after_a_takeover_between_two_parts_no_part_comes_twice() {
    for unclear in [false, true] {
        let relay = TestRelay::start().await;
        relay.gleen.answer_next(two_parts().as_str());
        if unclear {
            relay.gladly.spoil_next(Operation::Reply, What::CutAfter);
        }
        let held = relay.gladly.hold_next_answer(if unclear {
            Operation::ListItems
        } else {
            Operation::Reply
        });
        let conversation = relay.conversation();
        relay.says(&conversation, "hello");
        soon(held.reached()).await;
        relay.gladly.take_over(&conversation);
        relay.all_told().await;
        held.release();
        let skipped = Outcome::Skipped(SkipReason::HumanAssigned);
        assert_eq!(relay.next_outcome().await, skipped);
        relay.clock.advance(Duration::from_secs(9));
        let lists = relay.gladly.requests_of(Operation::ListItems);
        give(&relay, &conversation);
        let looked = |world: &GladlyWorld| world.requests_of(Operation::ListItems) > lists;
        soon(relay.gladly.wait_for(looked)).await;
        soon(relay.running().store.idle()).await;
        assert_no_part_twice(&relay, &conversation);
        relay.finish().await;
    }
}

#[tokio::test]
async fn given_back_before_the_takeover_was_noticed_no_part_comes_twice() {
    let relay = TestRelay::start().await;
    relay.gleen.answer_next(two_parts().as_str());
    let held = relay.gladly.hold_next_answer(Operation::Reply);
    let conversation = relay.conversation();
    relay.says(&conversation, "hello");
    soon(held.reached()).await;
    relay.gladly.take_over(&conversation);
    relay.all_told().await;
    give(&relay, &conversation);
    relay.all_told().await;
    held.release();
    assert_eq!(relay.next_outcome().await, Outcome::Replied);
    soon(relay.running().store.idle()).await;
    assert_eq!(relay.replies(&conversation).len(), 2);
    assert_no_part_twice(&relay, &conversation);
    relay.finish().await;
}

#[tokio::test]
async fn what_an_agent_answered_before_its_webhook_came_is_not_answered_again() {
    let relay = TestRelay::start().await;
    let conversation = relay.conversation();
    let item = relay
        .gladly
        .customer_message_without_webhook(&conversation, &Message::chat("hello"));
    relay.gladly.take_over(&conversation);
    relay.gladly.agent_replies(&conversation, "I am Ada.");
    relay.gladly.move_to(&conversation, "ai-inbox", None);
    relay.all_told().await;
    let payload = relay.gladly.payload_for(&item).to_string();
    assert_eq!(relay.post(payload).await.status(), 200);
    let answered = Outcome::Skipped(SkipReason::AlreadyAnswered);
    assert_eq!(relay.next_outcome().await, answered);
    assert_eq!(relay.gleen.requests().len(), 0);
    assert_eq!(relay.replies(&conversation).len(), 0);
    relay.finish().await;
}

#[tokio::test]
async fn a_conversation_too_long_to_be_listed_goes_to_a_human() {
    let relay = TestRelay::start().await;
    let conversation = relay.conversation();
    relay.gladly.move_to(&conversation, "other-inbox", None);
    for _ in 0..1_001 {
        relay.gladly.agent_replies(&conversation, "x");
    }
    relay
        .gladly
        .customer_message_without_webhook(&conversation, &Message::chat("hello"));
    relay.gladly.move_to(&conversation, "ai-inbox", None);
    let handed_off = Outcome::HandedOff(HandoffReason::UnsupportedContent);
    assert_eq!(relay.next_outcome().await, handed_off);
    assert!(relay.is_with_humans(&conversation));
    relay.finish().await;
}

/// A conversation comes to the bot after an event that claims a later time.
#[tokio::test]
async fn an_event_that_claims_a_later_time_hides_no_arrival() {
    for ahead in [SignedDuration::from_secs(5), SignedDuration::from_hours(1)] {
        let relay = TestRelay::start().await;
        let conversation = relay.conversation();
        relay.gladly.move_to(&conversation, "other-inbox", None);
        relay.says(&conversation, "hello");
        relay.next_outcome().await;
        relay.all_told().await;
        let event = json!({"id": "ahead", "type": "CONVERSATION_ASSIGNEE/UPDATED",
            "timestamp": (Timestamp::now() + ahead).to_string(),
            "content": {"conversationId": conversation, "assignee": {"inboxId": ELSEWHERE}}});
        assert_eq!(relay.post(event.to_string()).await.status(), 200);
        relay.gladly.move_to(&conversation, "ai-inbox", None);
        assert_eq!(relay.outcomes(2).await[1], Outcome::Replied);
        relay.finish().await;
    }
}

#[tokio::test]
async fn an_event_of_an_hour_ago_sends_nothing_of_a_humans_conversation_to_the_bot() {
    for recheck in [true, false] {
        let relay = Setup::policy(&format!("recheck_before_reply = {recheck}"))
            .start()
            .await;
        let conversation = relay.conversation();
        relay.lose_webhooks();
        let item = relay
            .gladly
            .customer_message_without_webhook(&conversation, &Message::chat("hello"));
        let mut payload = relay.gladly.payload_for(&item);
        relay.gladly.take_over(&conversation);
        let an_hour_ago = Timestamp::now() - SignedDuration::from_hours(1);
        payload["timestamp"] = json!(an_hour_ago.to_string());
        assert_eq!(relay.post(payload.to_string()).await.status(), 200);
        let human = Outcome::Skipped(SkipReason::HumanAssigned);
        assert_eq!(relay.next_outcome().await, human);
        assert_eq!(relay.gleen.requests().len(), 0);
        relay.finish().await;
    }
}
