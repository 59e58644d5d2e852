//! A customer's message is answered: once, in its channel, with few calls.

use gladly_relay::outcome::Outcome;
use gladly_relay::sim::{Channel, GladlyOptions, Message, MessageEvents, Operation, Outage};

use serde_json::json;

use crate::support::{Setup, TestRelay, soon, two_parts};

fn requests(relay: &TestRelay) -> Vec<Operation> {
    relay
        .gladly
        .requests()
        .iter()
        .map(|request| request.operation)
        .collect()
}

#[tokio::test]
async fn a_message_is_answered_with_three_calls_to_gladly() {
    let relay = TestRelay::start().await;
    relay.gleen.answer_next("We open at **nine**.");
    let (conversation, outcome) = relay.outcome_of("When do you open?").await;
    assert_eq!(outcome, Outcome::Replied);
    assert_eq!(relay.replies(&conversation), ["We open at nine."]);
    let expected = [
        Operation::GetItem,
        Operation::GetConversation,
        Operation::Reply,
    ];
    assert_eq!(requests(&relay), expected);
    assert_eq!(relay.gleen.questions()[0].text, "When do you open?");
    relay.finish().await;
}

#[tokio::test]
async fn whatever_is_written_outlasts_a_power_cut_before_it_is_called_for() {
    let relay = TestRelay::start().await;
    relay.gleen.answer_next(two_parts().as_str());
    relay.outcome_of("When do you open?").await;
    assert_eq!(relay.running().store.lasting_saves(), 2, "two parts");
    relay.gleen.down(Outage::Status(500));
    relay.says(&relay.conversation(), "And on Sunday?");
    let outcomes = relay.outcomes(2).await;
    assert!(matches!(outcomes[1], Outcome::HandedOff(_)));
    let saves = relay.running().store.lasting_saves();
    assert_eq!(saves, 4, "the move and the note too");
    relay.finish().await;
}

#[tokio::test]
async fn without_the_recheck_two_calls_are_enough() {
    let relay = Setup::policy("recheck_before_reply = false").start().await;
    let (_, outcome) = relay.outcome_of("When do you open?").await;
    assert_eq!(outcome, Outcome::Replied);
    assert_eq!(requests(&relay), [Operation::GetItem, Operation::Reply]);
    relay.finish().await;
}

#[tokio::test]
async fn the_older_event_and_both_together_are_answered_once() {
    for message_events in [MessageEvents::Legacy, MessageEvents::Both] {
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
        let (conversation, outcome) = relay.outcome_of("When do you open?").await;
        assert_eq!(outcome, Outcome::Replied, "{message_events:?}");
        assert_eq!(relay.replies(&conversation).len(), 1, "{message_events:?}");
        relay.finish().await;
    }
}

#[tokio::test]
async fn each_channel_gets_a_reply_of_its_own_type() {
    let relay = TestRelay::start().await;
    let channels = [
        (Channel::Chat, "CHAT_MESSAGE"),
        (Channel::QuickReplyResponse, "CHAT_MESSAGE"),
        (Channel::Sms, "SMS"),
        (Channel::WhatsApp, "WHATSAPP"),
        (Channel::FacebookMessage, "FACEBOOK_MESSAGE"),
        (Channel::InstagramDirect, "INSTAGRAM_DIRECT"),
    ];
    for (count, (channel, content_type)) in channels.into_iter().enumerate() {
        relay
            .gleen
            .answer_next("See [the page](https://shop.example.com).");
        let conversation = relay.conversation();
        relay
            .gladly
            .customer_says(&conversation, &Message::new(channel, "When do you open?"));
        assert_eq!(
            relay.outcomes(count + 1).await[count],
            Outcome::Replied,
            "{content_type}"
        );
        let view = relay.view(&conversation);
        assert_eq!(view.replies()[0].content["type"], content_type);
        assert_eq!(
            view.replies()[0].text(),
            Some("See the page (https://shop.example.com).")
        );
    }
    relay.finish().await;
}

#[tokio::test]
async fn an_email_is_answered_in_html_and_plain_text() {
    let relay = TestRelay::start().await;
    relay
        .gleen
        .answer_next("We are **open**:\n\n- Monday\n- Tuesday");
    let conversation = relay.conversation();
    relay.gladly.customer_says(
        &conversation,
        &Message::email("Opening hours", "When do you open?"),
    );
    assert_eq!(relay.next_outcome().await, Outcome::Replied);
    let view = relay.view(&conversation);
    let sent = view.replies()[0].sent.clone().unwrap();
    assert!(
        sent["body"]
            .as_str()
            .unwrap()
            .contains("<strong>open</strong>"),
        "{sent}"
    );
    assert!(
        sent["bodyPlain"].as_str().unwrap().contains("- Monday"),
        "{sent}"
    );
    relay.finish().await;
}

#[tokio::test]
async fn an_answer_too_long_for_one_message_comes_in_parts_in_order() {
    let relay = TestRelay::start().await;
    let answer: Vec<String> = (0..60)
        .map(|number| format!("Sentence number {number} of a long answer, told at length."))
        .collect();
    relay.gleen.answer_next(answer.join(" ").as_str());
    let (conversation, outcome) = relay.outcome_of("Tell me everything").await;
    assert_eq!(outcome, Outcome::Replied);
    let replies = relay.replies(&conversation);
    assert_eq!(replies.len(), 2);
    assert_eq!(replies.join(" "), answer.join(" "));
    relay.finish().await;
}

#[tokio::test]
async fn messages_that_arrive_while_the_bot_thinks_are_one_question_in_order() {
    let relay = TestRelay::start().await;
    let conversation = relay.conversation();
    let held = relay.gleen.hold_next(Operation::SendMessage);
    relay.says(&conversation, "hello");
    held.reached().await;
    let mut last = String::new();
    for text in ["my parcel", "has not come", "what now?"] {
        last = relay.says(&conversation, text);
        // Webhooks overtake one another; here the order is part of the promise.
        relay
            .gladly
            .wait_for(|world| world.undelivered() == 0)
            .await;
    }
    held.release();
    assert_eq!(
        relay.outcomes(2).await,
        [Outcome::Replied, Outcome::Replied]
    );
    let questions = relay.gleen.questions();
    assert_eq!(questions.len(), 2);
    assert_eq!(questions[1].text, "my parcel\nhas not come\nwhat now?");
    let view = relay.view(&conversation);
    assert_eq!(view.replies()[1].customer_item_id, Some(last));
    relay.finish().await;
}

#[tokio::test]
async fn conversations_are_answered_side_by_side() {
    let relay = TestRelay::start().await;
    let held = relay.gleen.hold_next(Operation::SendMessage);
    let slow = relay.conversation();
    relay.says(&slow, "a hard question");
    held.reached().await;
    let (quick, outcome) = relay.outcome_of("an easy question").await;
    assert_eq!(outcome, Outcome::Replied);
    assert_eq!(
        (relay.replies(&quick).len(), relay.replies(&slow).len()),
        (1, 0)
    );
    held.release();
    relay.outcomes(2).await;
    relay.finish().await;
}

#[tokio::test]
async fn a_burst_is_put_in_the_order_in_which_it_was_written() {
    let relay = TestRelay::start().await;
    let conversation = relay.conversation();
    let held = relay.gleen.hold_next(Operation::SendMessage);
    relay.says(&conversation, "hello");
    soon(held.reached()).await;
    // Written within a millisecond, told of the other way round.
    for (text, written) in [("has not come", "200"), ("my parcel", "100")] {
        let item = relay
            .gladly
            .customer_message_without_webhook(&conversation, &Message::chat(text));
        let mut payload = relay.gladly.payload_for(&item);
        payload["timestamp"] = json!(format!("2024-01-01T10:00:00.000{written}Z"));
        assert_eq!(relay.post(payload.to_string()).await.status(), 200);
    }
    held.release();
    relay.outcomes(2).await;
    assert_eq!(relay.gleen.questions()[1].text, "my parcel\nhas not come");
    relay.finish().await;
}
