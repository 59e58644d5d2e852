//! A human who takes over, or closes, while the bot is at it.

use gladly_relay::sim::Hold;

use super::*;

/// A customer wrote and the bot thinks, until it is released.
async fn while_the_bot_thinks(relay: &TestRelay) -> (String, Hold) {
    let conversation = relay.conversation();
    let held = relay.gleen.hold_next(Operation::SendMessage);
    relay.says(&conversation, "hello");
    soon(held.reached()).await;
    (conversation, held)
}

/// Asserts that the turn ends without a word of the bot, for an agent has it.
async fn is_left_to_the_agent(relay: TestRelay, conversation: &str) {
    assert_eq!(
        relay.next_outcome().await,
        skipped(SkipReason::HumanAssigned)
    );
    assert_eq!(relay.replies(conversation).len(), 0);
    relay.finish().await;
}

#[tokio::test]
async fn a_human_who_takes_over_while_the_bot_thinks_is_not_talked_over() {
    for policy in ["", "recheck_before_reply = false"] {
        let relay = Setup::policy(policy).start().await;
        let (conversation, held) = while_the_bot_thinks(&relay).await;
        relay.gladly.take_over(&conversation);
        relay
            .gladly
            .wait_for(|world| world.undelivered() == 0)
            .await;
        held.release();
        assert_eq!(
            relay.next_outcome().await,
            skipped(SkipReason::HumanAssigned),
            "{policy:?}"
        );
        assert_eq!(relay.replies(&conversation).len(), 0);
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_conversation_closed_while_the_bot_thinks_gets_no_answer() {
    for policy in ["", "recheck_before_reply = false"] {
        let relay = Setup::policy(policy).start().await;
        let (conversation, held) = while_the_bot_thinks(&relay).await;
        relay.gladly.close(&conversation);
        held.release();
        assert_eq!(
            relay.next_outcome().await,
            skipped(SkipReason::Closed),
            "{policy:?}"
        );
        assert_eq!(relay.replies(&conversation).len(), 0);
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_human_who_takes_over_while_a_call_waits_for_its_turn_is_not_talked_over() {
    let relay = TestRelay::start().await;
    let conversation = relay.conversation();
    // The look is answered late: the takeover, told meanwhile, is newer.
    let held = relay.gladly.hold_next_answer(Operation::GetConversation);
    relay.says(&conversation, "hello");
    soon(held.reached()).await;
    relay.gladly.take_over(&conversation);
    soon(relay.gladly.wait_for(|world| world.undelivered() == 0)).await;
    held.release();
    is_left_to_the_agent(relay, &conversation).await;
}

#[tokio::test]
async fn a_conversation_closed_while_the_reply_is_on_its_way_is_left_closed() {
    let relay = TestRelay::start().await;
    let conversation = relay.conversation();
    let held = relay.gladly.hold_next(Operation::Reply);
    relay.says(&conversation, "hello");
    soon(held.reached()).await;
    relay.gladly.close(&conversation);
    held.release();
    assert_eq!(relay.next_outcome().await, skipped(SkipReason::Closed));
    assert_eq!(relay.gladly.requests_of(Operation::PatchConversation), 0);
    relay.finish().await;
}

#[tokio::test]
async fn a_takeover_that_no_webhook_told_of_is_seen_before_a_late_reply() {
    let policy = "recheck_before_reply = false\nanswer_deadline = \"10m\"";
    let relay = Setup::policy(policy).start().await;
    let (conversation, held) = while_the_bot_thinks(&relay).await;
    relay.lose_webhooks();
    relay.gladly.take_over(&conversation);
    // What is known of the holder is believed for a quarter of a minute.
    relay.clock.advance(Duration::from_secs(16));
    held.release();
    is_left_to_the_agent(relay, &conversation).await;
}

#[tokio::test]
async fn a_takeover_that_no_webhook_told_of_is_seen_by_the_recheck() {
    let relay = TestRelay::start().await;
    let (conversation, held) = while_the_bot_thinks(&relay).await;
    relay.lose_webhooks();
    relay.gladly.take_over(&conversation);
    held.release();
    is_left_to_the_agent(relay, &conversation).await;
}

#[tokio::test]
async fn what_was_read_before_a_takeover_never_reaches_the_bot() {
    for told in [true, false] {
        let relay = Setup::policy("answer_deadline = \"10m\"").start().await;
        let conversation = relay.conversation();
        let held = relay.gladly.hold_next(Operation::GetItem);
        relay.says(&conversation, "for Ada's eyes only");
        soon(held.reached()).await;
        if !told {
            relay.lose_webhooks();
            relay.clock.advance(Duration::from_secs(16));
        }
        relay.gladly.take_over(&conversation);
        if told {
            relay.all_told().await;
        }
        held.release();
        assert_eq!(
            relay.next_outcome().await,
            skipped(SkipReason::HumanAssigned)
        );
        assert_eq!(relay.gleen.requests().len(), 0, "told: {told}");
        relay.finish().await;
    }
}
