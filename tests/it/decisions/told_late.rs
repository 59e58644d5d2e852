//! Webhooks that come late, or from the future.

use super::*;

#[tokio::test]
async fn a_holder_told_of_just_after_the_handoff_is_not_believed_without_looking() {
    let relay = TestRelay::start().await;
    let (conversation, _) = relay.outcome_of("agent please").await;
    relay.all_told().await;
    relay.lose_webhooks();
    let item = relay
        .gladly
        .customer_message_without_webhook(&conversation, &Message::chat("hello?"));
    let mut payload = relay.gladly.payload_for(&item);
    // Gladly's clock is ahead: what held before the handoff seems to be newer.
    payload["content"]["context"]["assignee"]["inboxId"] = json!("ai-inbox");
    assert_eq!(relay.post(payload.to_string()).await.status(), 200);
    let outcome = relay.outcomes(2).await.remove(1);
    assert!(matches!(outcome, Outcome::Skipped(_)), "{outcome:?}");
    assert_eq!(relay.gladly.requests_of(Operation::GetItem), 1);
    assert_eq!(relay.gleen.requests().len(), 0);
    relay.finish().await;
}

#[tokio::test]
async fn a_late_webhook_about_the_holder_does_not_replace_a_newer_one() {
    let gladly = GladlyOptions {
        message_events: MessageEvents::Legacy,
        ..Setup::default().gladly
    };
    let relay = Setup {
        gladly,
        ..Setup::default()
    }
    .start()
    .await;
    let conversation = relay.conversation();
    relay.gladly.take_over(&conversation);
    relay.all_told().await;
    tell_holder(
        &relay,
        &conversation,
        "ai-inbox",
        SignedDuration::from_secs(-5),
    )
    .await;
    relay.says(&conversation, "for Ada's eyes only");
    assert_eq!(
        relay.next_outcome().await,
        skipped(SkipReason::HumanAssigned)
    );
    assert_eq!(relay.gladly.requests_of(Operation::GetItem), 0);
    relay.finish().await;
}

#[tokio::test]
async fn a_webhook_from_the_future_does_not_outlast_what_comes_after_it() {
    let relay = TestRelay::start().await;
    let conversation = relay.conversation();
    relay.all_told().await;
    tell_holder(
        &relay,
        &conversation,
        "ai-inbox",
        SignedDuration::from_hours(1),
    )
    .await;
    relay.gladly.take_over(&conversation);
    relay.all_told().await;
    relay.says(&conversation, "for Ada's eyes only");
    assert_eq!(
        relay.next_outcome().await,
        skipped(SkipReason::HumanAssigned)
    );
    assert_eq!(relay.gladly.requests_of(Operation::GetItem), 0);
    relay.finish().await;
}

#[tokio::test]
async fn a_late_webhook_about_the_status_does_not_replace_a_newer_one() {
    let relay = TestRelay::start().await;
    let conversation = relay.conversation();
    let item = relay
        .gladly
        .customer_message_without_webhook(&conversation, &Message::chat("hello"));
    let payload = relay.gladly.payload_for(&item);
    relay.gladly.close(&conversation);
    relay.all_told().await;
    relay.lose_webhooks();
    for (event, seconds) in [("CONVERSATION/CLOSED", 0), ("CONVERSATION/REOPENED", -5)] {
        tell_status(
            &relay,
            &conversation,
            event,
            SignedDuration::from_secs(seconds),
        )
        .await;
    }
    assert_eq!(relay.post(payload.to_string()).await.status(), 200);
    assert_eq!(relay.next_outcome().await, skipped(SkipReason::Closed));
    assert_eq!(relay.gladly.requests_of(Operation::GetItem), 0);
    relay.finish().await;
}
