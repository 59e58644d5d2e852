//! Whose a conversation is: what the bot answers and what it leaves alone.

use super::*;

#[tokio::test]
async fn what_a_human_holds_is_left_alone_and_never_reaches_the_bot() {
    for message_events in [MessageEvents::Contact, MessageEvents::Legacy] {
        let gladly = GladlyOptions {
            message_events,
            ..Setup::default().gladly
        };
        let relay = Setup {
            gladly,
            ..Setup::default()
        }
        .start()
        .await;
        let options = relay.gladly.options();
        let taken = relay.conversation();
        relay.gladly.take_over(&taken);
        let elsewhere = relay.conversation();
        relay
            .gladly
            .move_to(&elsewhere, &options.other_inbox_id, None);
        relay.says(&taken, "for Ada's eyes only");
        assert_eq!(
            relay.next_outcome().await,
            skipped(SkipReason::HumanAssigned)
        );
        relay.says(&elsewhere, "for the other team");
        assert_eq!(relay.outcomes(2).await[1], skipped(SkipReason::NotAiInbox));
        assert_eq!(relay.gleen.requests().len(), 0);
        assert_eq!(
            relay.gladly.requests_of(Operation::GetItem),
            0,
            "it is not even read"
        );
        relay.finish().await;
    }
}

#[tokio::test]
async fn what_is_assigned_to_the_bot_itself_is_answered() {
    let gladly = GladlyOptions {
        assign_to_bot: true,
        ..Setup::default().gladly
    };
    let relay = Setup {
        gladly,
        ..Setup::default()
    }
    .start()
    .await;
    assert_eq!(relay.outcome_of("hello").await.1, Outcome::Replied);
    relay.finish().await;
}

#[tokio::test]
async fn a_message_in_a_closed_conversation_is_left_alone() {
    let relay = TestRelay::start().await;
    let conversation = relay.conversation();
    let message = Message::chat("hello");
    let item = relay
        .gladly
        .customer_message_without_webhook(&conversation, &message);
    let payload = relay.gladly.payload_for(&item);
    relay.gladly.close(&conversation);
    relay
        .gladly
        .wait_for(|world| world.undelivered() == 0)
        .await;
    assert_eq!(relay.post(payload.to_string()).await.status(), 200);
    assert_eq!(relay.next_outcome().await, skipped(SkipReason::Closed));
    assert_eq!(relay.gleen.requests().len(), 0);
    relay.finish().await;
}

#[tokio::test]
async fn what_no_customer_wrote_is_left_alone() {
    let relay = TestRelay::start().await;
    let conversation = relay.conversation();
    let item = relay.gladly.agent_replies(&conversation, "I am Ada");
    relay.gladly.move_to(&conversation, "ai-inbox", None);
    relay
        .gladly
        .wait_for(|world| world.undelivered() == 0)
        .await;
    let body = json!({"id": "e", "type": "CONTACT/MESSAGE_RECEIVED", "content": {
        "conversationId": conversation, "customerId": "c", "messageId": item}});
    assert_eq!(relay.post(body.to_string()).await.status(), 200);
    assert_eq!(relay.next_outcome().await, skipped(SkipReason::NotCustomer));
    assert_eq!(relay.gleen.requests().len(), 0);
    relay.finish().await;
}

#[tokio::test]
async fn what_was_written_before_the_handoff_is_left_to_the_human() {
    let relay = TestRelay::start().await;
    let conversation = relay.conversation();
    let held = relay.gladly.hold_next(Operation::PatchConversation);
    relay.says(&conversation, "agent please");
    held.reached().await;
    relay.says(&conversation, "are you there?");
    relay
        .gladly
        .wait_for(|world| world.undelivered() == 0)
        .await;
    // Else Gladly tells of the move, and which of the two reasons is a race.
    relay.lose_webhooks();
    held.release();
    assert_eq!(
        relay.outcomes(2).await,
        [
            Outcome::HandedOff(CustomerRequested),
            skipped(SkipReason::HandedOff)
        ]
    );
    assert_eq!(relay.gleen.requests().len(), 0);
    relay.finish().await;
}

#[tokio::test]
async fn the_bot_answers_again_once_the_conversation_is_back_in_its_inbox() {
    let relay = TestRelay::start().await;
    let (conversation, _) = relay.outcome_of("agent please").await;
    relay
        .gladly
        .move_to(&conversation, &relay.gladly.options().ai_inbox_id, None);
    relay
        .gladly
        .wait_for(|world| world.undelivered() == 0)
        .await;
    relay.says(&conversation, "thank you, one more thing");
    assert_eq!(relay.outcomes(2).await[1], Outcome::Replied);
    relay.finish().await;
}

#[tokio::test]
async fn a_message_that_a_rule_moves_to_the_ai_inbox_right_after_it_came_is_answered() {
    let relay = TestRelay::start().await;
    let options = relay.gladly.options();
    let conversation = relay.conversation();
    relay
        .gladly
        .move_to(&conversation, &options.other_inbox_id, None);
    relay.says(&conversation, "hello");
    assert_eq!(relay.next_outcome().await, skipped(SkipReason::NotAiInbox));
    relay
        .gladly
        .move_to(&conversation, &options.ai_inbox_id, None);
    assert_eq!(relay.outcomes(2).await[1], Outcome::Replied);
    assert_eq!(relay.replies(&conversation).len(), 1);
    relay.finish().await;
}

#[tokio::test]
async fn a_customer_who_reopens_a_conversation_by_writing_is_answered() {
    let relay = TestRelay::start().await;
    let (conversation, _) = relay.outcome_of("hello").await;
    relay.all_told().await;
    relay.lose_webhooks();
    relay.gladly.close(&conversation);
    tell_status(
        &relay,
        &conversation,
        "CONVERSATION/CLOSED",
        SignedDuration::ZERO,
    )
    .await;
    // Only the closing and the message are heard of, not the reopening.
    let item = relay
        .gladly
        .customer_message_without_webhook(&conversation, &Message::chat("one more thing"));
    let payload = relay.gladly.payload_for(&item);
    assert_eq!(relay.post(payload.to_string()).await.status(), 200);
    assert_eq!(relay.outcomes(2).await[1], Outcome::Replied);
    relay.finish().await;
}
