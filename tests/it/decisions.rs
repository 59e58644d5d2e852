//! The rows of the design's table "Decisions", one by one: who gets the bot,
//! who gets a human, and whose words never reach the bot.

use std::time::Duration;

use gladly_relay::outcome::HandoffReason::{self, *};
use gladly_relay::outcome::{Outcome, SkipReason};
use gladly_relay::sim::{
    Answer, Channel, GladlyOptions, Message, MessageEvents, Operation, Outage, What,
};
use jiff::SignedDuration;
use serde_json::json;

use crate::support::{Setup, TestRelay, soon};

fn skipped(reason: SkipReason) -> Outcome {
    Outcome::Skipped(reason)
}

/// Asserts that the conversation is with the humans, told why, and the bot silent.
fn assert_handed_off(relay: &TestRelay, conversation: &str, note_says: &str) {
    let view = relay.view(conversation);
    assert_eq!(view.inbox_id, relay.gladly.options().handoff_inbox_id);
    assert_eq!(view.agent_id, None);
    assert_eq!(view.notes().len(), 1);
    assert!(view.notes()[0].contains(note_says), "{}", view.notes()[0]);
    assert_eq!(view.replies().len(), 0);
}

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
async fn what_the_bot_cannot_read_goes_to_a_human() {
    let relay = TestRelay::start().await;
    let messages = [
        Message::new(Channel::Voicemail, ""),
        Message::chat(""),
        Message::chat("   \n "),
        Message::chat("").with_attachment("broken-lamp.png"),
    ];
    for (count, message) in messages.into_iter().enumerate() {
        let conversation = relay.conversation();
        relay.gladly.customer_says(&conversation, &message);
        assert_eq!(
            relay.outcomes(count + 1).await[count],
            Outcome::HandedOff(UnsupportedContent)
        );
        let named = if count == 3 { "broken-lamp.png" } else { "" };
        assert_handed_off(&relay, &conversation, named);
    }
    let hidden = relay.conversation();
    let item = relay
        .gladly
        .customer_message_without_webhook(&hidden, &Message::chat("secret"));
    relay.gladly.hide_item(&item);
    relay
        .post(relay.gladly.payload_for(&item).to_string())
        .await;
    assert_eq!(
        relay.outcomes(5).await[4],
        Outcome::HandedOff(UnsupportedContent)
    );
    assert_handed_off(&relay, &hidden, "");
    assert_eq!(relay.gleen.requests().len(), 0);
    relay.finish().await;
}

#[tokio::test]
async fn attachments_beside_text_are_asked_or_handed_off_by_policy() {
    for (policy, expected) in [
        ("", Outcome::Replied),
        (
            "attachments = \"handoff\"",
            Outcome::HandedOff(UnsupportedContent),
        ),
    ] {
        let relay = Setup::policy(policy).start().await;
        let conversation = relay.conversation();
        let message = Message::chat("is this normal?").with_attachment("lamp.png");
        relay.gladly.customer_says(&conversation, &message);
        assert_eq!(relay.next_outcome().await, expected);
        relay.finish().await;
    }
}

#[tokio::test]
async fn automated_mail_goes_to_a_human() {
    let relay = TestRelay::start().await;
    let conversation = relay.conversation();
    let message = Message::email(
        "Automatic reply: Your order",
        "I am out of the office until Monday.",
    );
    relay.gladly.customer_says(&conversation, &message);
    assert_eq!(
        relay.next_outcome().await,
        Outcome::HandedOff(AutomatedEmail)
    );
    assert_handed_off(&relay, &conversation, "");
    assert_eq!(relay.gleen.requests().len(), 0);
    relay.finish().await;
}

#[tokio::test]
async fn a_customer_who_asks_for_a_human_gets_one_without_the_bot_being_asked() {
    let relay = TestRelay::start().await;
    let (conversation, outcome) = relay
        .outcome_of("Can I speak to a real person, please?")
        .await;
    assert_eq!(outcome, Outcome::HandedOff(CustomerRequested));
    assert_handed_off(
        &relay,
        &conversation,
        "Can I speak to a real person, please?",
    );
    assert_eq!(relay.gleen.requests().len(), 0);
    relay.finish().await;
}

#[tokio::test]
async fn whatever_the_bot_cannot_do_goes_to_a_human() {
    let no_answer = "no_answer = [\"i (don't|do not) know\"]";
    let too_long = "A sentence that goes on.\n\n".repeat(600);
    let cases: Vec<(Answer, HandoffReason)> = vec![
        (json!({"thread_id": "1"}).into(), BotNoAnswer),
        (
            json!({"thread_id": "1", "response": "  "}).into(),
            BotNoAnswer,
        ),
        (
            json!({"thread_id": 1, "response": {"unexpected": true}}).into(),
            BotNoAnswer,
        ),
        (Answer::Raw("[]".to_owned()), BotNoAnswer),
        (Answer::Text("I DON'T KNOW that.".to_owned()), BotNoAnswer),
        (
            Answer::HandOff("Let me get somebody.".to_owned()),
            BotRequested,
        ),
        (Answer::Raw("<html>".to_owned()), BotError),
        (Answer::Text(too_long), ReplyRejected),
    ];
    let relay = Setup::policy(no_answer).start().await;
    for (count, (answer, reason)) in cases.into_iter().enumerate() {
        relay.gleen.answer_next(answer.clone());
        let conversation = relay.conversation();
        relay.says(&conversation, &format!("question number {count}"));
        assert_eq!(
            relay.outcomes(count + 1).await[count],
            Outcome::HandedOff(reason),
            "{answer:?}"
        );
        assert_handed_off(&relay, &conversation, &format!("question number {count}"));
    }
    relay.finish().await;
}

#[tokio::test]
async fn when_gleen_fails_a_human_answers() {
    for (status, asked) in [(500, 1), (400, 1), (401, 1), (503, 2), (429, 3)] {
        let relay = TestRelay::start().await;
        relay.gleen.down(Outage::Status(status));
        let (conversation, outcome) = relay.outcome_of("hello").await;
        assert_eq!(outcome, Outcome::HandedOff(BotError), "{status}");
        assert_handed_off(&relay, &conversation, "hello");
        assert_eq!(relay.gleen.requests().len(), asked, "{status}");
        relay.finish().await;
    }
}

#[tokio::test]
async fn what_gleen_surely_did_not_take_up_is_asked_again() {
    for what in [What::CutBefore, What::status(503), What::too_many(0)] {
        let relay = TestRelay::start().await;
        relay.gleen.spoil_next(Operation::SendMessage, what);
        assert_eq!(relay.outcome_of("hello").await.1, Outcome::Replied);
        assert_eq!(relay.gleen.questions().len(), 1);
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_gleen_that_is_too_slow_is_not_asked_twice() {
    let setup = Setup {
        account_gleen: "timeout = \"100ms\"".to_owned(),
        ..Setup::default()
    };
    let relay = setup.start().await;
    let held = relay.gleen.hold_next(Operation::SendMessage);
    let (conversation, outcome) = relay.outcome_of("hello").await;
    assert_eq!(outcome, Outcome::HandedOff(BotTimeout));
    assert_handed_off(&relay, &conversation, "hello");
    assert_eq!(relay.gleen.requests().len(), 1);
    held.release();
    relay.finish().await;
}

#[tokio::test]
async fn past_the_deadline_a_human_answers() {
    let relay = Setup::policy("answer_deadline = \"1s\"").start().await;
    let held = relay.gleen.hold_next(Operation::SendMessage);
    let (conversation, outcome) = relay.outcome_of("hello").await;
    assert_eq!(outcome, Outcome::HandedOff(Deadline));
    assert_handed_off(&relay, &conversation, "hello");
    held.release();
    relay.finish().await;
}

#[tokio::test]
async fn a_human_who_takes_over_while_the_bot_thinks_is_not_talked_over() {
    for policy in ["", "recheck_before_reply = false"] {
        let relay = Setup::policy(policy).start().await;
        let conversation = relay.conversation();
        let held = relay.gleen.hold_next(Operation::SendMessage);
        relay.says(&conversation, "hello");
        held.reached().await;
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
        let conversation = relay.conversation();
        let held = relay.gleen.hold_next(Operation::SendMessage);
        relay.says(&conversation, "hello");
        held.reached().await;
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
async fn a_reply_that_gladly_refuses_goes_to_a_human_with_the_answer() {
    let relay = TestRelay::start().await;
    relay.gleen.answer_next("The answer that nobody sees.");
    relay.gladly.spoil_next(Operation::Reply, What::status(400));
    let (conversation, outcome) = relay.outcome_of("hello").await;
    assert_eq!(outcome, Outcome::HandedOff(ReplyRejected));
    assert_handed_off(&relay, &conversation, "The answer that nobody sees.");
    relay.finish().await;
}

#[tokio::test]
async fn the_same_text_three_times_in_a_row_is_a_loop() {
    let relay = TestRelay::start().await;
    let conversation = relay.conversation();
    for count in 1..=2 {
        relay.says(&conversation, "I am a machine");
        assert_eq!(relay.outcomes(count).await[count - 1], Outcome::Replied);
    }
    relay.says(&conversation, "I am a machine");
    assert_eq!(
        relay.outcomes(3).await[2],
        Outcome::HandedOff(LoopSuspected)
    );
    relay.finish().await;
}

#[tokio::test]
async fn too_many_replies_in_an_hour_or_in_all_go_to_a_human() {
    for (policy, reason) in [
        ("max_replies_per_hour = 2", LoopSuspected),
        ("max_turns = 2", TurnLimit),
    ] {
        let relay = Setup::policy(policy).start().await;
        let conversation = relay.conversation();
        for (count, text) in ["one", "two", "three"].into_iter().enumerate() {
            relay.says(&conversation, text);
            let expected = if count < 2 {
                Outcome::Replied
            } else {
                Outcome::HandedOff(reason)
            };
            assert_eq!(relay.outcomes(count + 1).await[count], expected, "{policy}");
        }
        relay.finish().await;
    }
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
    assert_eq!(
        relay.next_outcome().await,
        skipped(SkipReason::HumanAssigned)
    );
    assert_eq!(relay.replies(&conversation).len(), 0);
    relay.finish().await;
}

#[tokio::test]
async fn a_request_for_a_human_anywhere_in_a_burst_counts() {
    let relay = TestRelay::start().await;
    let conversation = relay.conversation();
    let held = relay.gleen.hold_next(Operation::SendMessage);
    relay.says(&conversation, "hello");
    soon(held.reached()).await;
    for text in ["agent please", "are you there?"] {
        relay.says(&conversation, text);
        relay.all_told().await;
    }
    held.release();
    assert_eq!(
        relay.outcomes(2).await[1],
        Outcome::HandedOff(CustomerRequested)
    );
    relay.finish().await;
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
    let conversation = relay.conversation();
    let held = relay.gleen.hold_next(Operation::SendMessage);
    relay.says(&conversation, "hello");
    soon(held.reached()).await;
    relay.lose_webhooks();
    relay.gladly.take_over(&conversation);
    // What is known of the holder is believed for a quarter of a minute.
    relay.clock.advance(Duration::from_secs(16));
    held.release();
    assert_eq!(
        relay.next_outcome().await,
        skipped(SkipReason::HumanAssigned)
    );
    assert_eq!(relay.replies(&conversation).len(), 0);
    relay.finish().await;
}

#[tokio::test]
async fn a_takeover_that_no_webhook_told_of_is_seen_by_the_recheck() {
    let relay = TestRelay::start().await;
    let conversation = relay.conversation();
    let held = relay.gleen.hold_next(Operation::SendMessage);
    relay.says(&conversation, "hello");
    soon(held.reached()).await;
    relay.lose_webhooks();
    relay.gladly.take_over(&conversation);
    held.release();
    assert_eq!(
        relay.next_outcome().await,
        skipped(SkipReason::HumanAssigned)
    );
    assert_eq!(relay.replies(&conversation).len(), 0);
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

/// Tells by hand who holds a conversation, as of so long from now.
async fn tell_holder(relay: &TestRelay, conversation: &str, inbox_id: &str, at: SignedDuration) {
    let at = jiff::Timestamp::now() + at;
    let body = json!({"id": "by-hand", "type": "CONVERSATION_ASSIGNEE/UPDATED", "timestamp": at.to_string(),
        "content": {"conversationId": conversation, "assignee": {"inboxId": inbox_id}}});
    assert_eq!(relay.post(body.to_string()).await.status(), 200);
}

/// Tells by hand what became of a conversation's status, as of so long from now.
async fn tell_status(relay: &TestRelay, conversation: &str, event: &str, at: SignedDuration) {
    let at = jiff::Timestamp::now() + at;
    let body = json!({"id": event, "type": event, "timestamp": at.to_string(),
        "content": {"conversationId": conversation}});
    assert_eq!(relay.post(body.to_string()).await.status(), 200);
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

#[tokio::test]
async fn replies_of_the_last_hour_and_of_this_opening_are_all_that_count() {
    for (policy, closed) in [("max_replies_per_hour = 1", false), ("max_turns = 1", true)] {
        let relay = Setup::policy(policy).start().await;
        let (conversation, _) = relay.outcome_of("one").await;
        if closed {
            relay.gladly.close(&conversation);
            relay.all_told().await;
        } else {
            relay.clock.advance(Duration::from_mins(61));
        }
        relay.says(&conversation, "two");
        assert_eq!(relay.outcomes(2).await[1], Outcome::Replied, "{policy}");
        relay.finish().await;
    }
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

#[tokio::test]
async fn a_burst_must_be_answered_by_the_deadline_of_its_first_message() {
    let relay = TestRelay::start().await;
    let conversation = relay.conversation();
    let first = relay.gleen.hold_next(Operation::SendMessage);
    let second = relay.gleen.hold_next(Operation::SendMessage);
    relay.says(&conversation, "hello");
    soon(first.reached()).await;
    relay.says(&conversation, "my parcel");
    relay.all_told().await;
    relay.clock.advance(Duration::from_secs(40));
    relay.says(&conversation, "has not come");
    relay.all_told().await;
    first.release();
    soon(second.reached()).await;
    relay.clock.advance(Duration::from_secs(30));
    second.release();
    assert_eq!(
        relay.outcomes(2).await,
        [Outcome::Replied, Outcome::HandedOff(Deadline)]
    );
    relay.finish().await;
}

#[tokio::test]
async fn a_bot_that_asks_to_wait_past_the_deadline_is_not_waited_for() {
    let relay = TestRelay::start().await;
    relay
        .gleen
        .spoil_next(Operation::SendMessage, What::too_many(60));
    let (conversation, outcome) = relay.outcome_of("hello").await;
    assert_eq!(outcome, Outcome::HandedOff(BotError));
    assert_handed_off(&relay, &conversation, "hello");
    assert_eq!(relay.gleen.requests().len(), 1);
    relay.finish().await;
}

#[tokio::test]
async fn a_language_learnt_before_is_not_told_once_that_is_switched_off() {
    let mut relay = Setup::policy("detect_language = true").start().await;
    let german = "Guten Tag, ich habe meine Bestellung leider noch nicht bekommen.";
    let (conversation, _) = relay.outcome_of(german).await;
    relay.toml = relay
        .toml
        .replace("detect_language = true", "detect_language = false");
    relay.restart().await;
    relay.says(&conversation, "12345");
    assert_eq!(relay.next_outcome().await, Outcome::Replied);
    let questions = relay.gleen.questions();
    let locales = questions.iter().map(|question| question.locale.as_deref());
    assert_eq!(locales.collect::<Vec<_>>(), [Some("de"), None]);
    relay.finish().await;
}
