//! What goes to a human, and why.

use super::*;

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
