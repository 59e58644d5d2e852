//! Every outcome is explained in words that a support person can pass on.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::support::Setup;

#[tokio::test]
async fn the_story_of_the_demo_is_explained() {
    let relay = TestRelay::start().await;
    let [answered, wish, unreadable, taken, elsewhere] = story(&relay).await;
    let text = explain(&relay, &answered).await;
    for says in [
        &*format!("Conversation {answered} of account acme"),
        "Gladly told by a webhook: CONTACT/MESSAGE_RECEIVED",
        "turn 1    taken up: one message",
        "turn 1    read the message: CHAT_MESSAGE, 18 characters",
        "turn 1    asked the bot on a new thread: it answered",
        "turn 1    looked: open, inbox ai-inbox, agent none",
        "turn 1    sent the answer",
        "turn 1    the end: Answered by the bot",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("Answered by the bot "), "{text}");
    assert!(last.ends_with(" after the message came."), "{text}");
    for (conversation, begins, ends) in [
        (
            &wish,
            "Handed to the humans ",
            ": the customer asked for a human.",
        ),
        (
            &unreadable,
            "Handed to the humans ",
            ": the message holds nothing that the bot can read (a file is attached).",
        ),
        (
            &taken,
            "Left alone: an agent held it (inbox ai-inbox, agent ",
            ") when the message came.",
        ),
        (
            &elsewhere,
            "Left alone: another inbox held it (inbox ",
            ", agent none) when the message came.",
        ),
    ] {
        let last = last_line(&relay, conversation).await;
        assert!(last.starts_with(begins) && last.ends_with(ends), "{last}");
    }
    let text = explain(&relay, &wish).await;
    for says in [
        "a human is needed: the customer asked for a human",
        "wrote the note for the agent",
        "moved it to the humans' inbox",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    relay.finish().await;
}

#[tokio::test]
async fn each_way_to_the_humans_is_explained() {
    let relay = Setup::policy("max_turns = 2\nmax_replies_per_hour = 30")
        .start()
        .await;
    let mail = relay.conversation();
    let automatic = Message::email("Automatic reply: Your order", "I am out of the office.");
    relay.gladly.customer_says(&mail, &automatic);
    relay.outcomes(1).await;
    relay
        .gleen
        .answer_next(gladly_relay::sim::Answer::HandOff("x".to_owned()));
    let requested = relay.conversation();
    relay.says(&requested, "hm?");
    relay.outcomes(2).await;
    relay.gladly.spoil_next(Operation::Reply, What::status(400));
    let rejected = relay.conversation();
    relay.says(&rejected, "hello");
    relay.outcomes(3).await;
    let often = relay.conversation();
    for (count, text) in ["one", "two", "three"].into_iter().enumerate() {
        relay.says(&often, text);
        relay.outcomes(4 + count).await;
    }
    relay.gleen.down(Outage::Status(500));
    let mut failed = Vec::new();
    for count in 0..6 {
        let conversation = relay.conversation();
        relay.says(&conversation, "hello");
        relay.outcomes(7 + count).await;
        failed.push(conversation);
    }
    for (conversation, why) in [
        (&mail, "a machine wrote the mail, not a person."),
        (&requested, "the bot itself asked for a human."),
        (
            &rejected,
            "the bot's answer could not be delivered. Gladly did not accept the answer.",
        ),
        (
            &often,
            "the bot had answered in it as often as it may (2 times).",
        ),
        (&failed[0], "the bot failed (Gleen failed: status 500)."),
        (
            &failed[5],
            "the bot had failed too often just before, so it was not asked.",
        ),
    ] {
        let last = last_line(&relay, conversation).await;
        assert!(last.ends_with(&format!(": {why}")), "{last}");
    }
    relay.finish().await;
}

/// The customer writes once more while a human is given the conversation.
async fn asked_again_while_handed_over(relay: &TestRelay) -> String {
    let given = relay.conversation();
    let held = relay.gladly.hold_next(Operation::PatchConversation);
    relay.says(&given, "agent please");
    soon(held.reached()).await;
    relay.says(&given, "are you there?");
    relay.all_told().await;
    // Else Gladly tells of the move, and which of two reasons it is is a race.
    relay.lose_webhooks();
    held.release();
    given
}

#[tokio::test]
async fn what_the_bot_could_not_or_need_not_answer_is_explained() {
    let relay = TestRelay::start().await;
    let gladly = &relay.gladly;
    relay.gleen.answer_next(json!({"thread_id": "1"}));
    let (unanswered, outcome) = relay.outcome_of("Do you sell moons?").await;
    assert_eq!(outcome, Outcome::HandedOff(HandoffReason::BotNoAnswer));
    let agents = relay.conversation();
    let item = gladly.agent_replies(&agents, "I am Ada");
    gladly.move_to(&agents, "ai-inbox", None);
    relay.all_told().await;
    let told = json!({"id": "e", "type": "CONTACT/MESSAGE_RECEIVED", "content": {
        "conversationId": agents, "customerId": "c", "messageId": item}});
    assert_eq!(relay.post(told.to_string()).await.status(), 200);
    relay.outcomes(2).await;
    let answered = relay.conversation();
    let item = gladly.customer_message_without_webhook(&answered, &Message::chat("hello"));
    gladly.take_over(&answered);
    gladly.agent_replies(&answered, "I am Ada.");
    gladly.move_to(&answered, "ai-inbox", None);
    relay.all_told().await;
    let told = gladly.payload_for(&item).to_string();
    assert_eq!(relay.post(told).await.status(), 200);
    relay.outcomes(3).await;
    let given = asked_again_while_handed_over(&relay).await;
    let skipped = [
        SkipReason::NotCustomer,
        SkipReason::AlreadyAnswered,
        SkipReason::HandedOff,
    ];
    let outcomes = relay.outcomes(5).await;
    for (reason, place) in skipped.into_iter().zip([1, 2, 4]) {
        assert_eq!(outcomes[place], Outcome::Skipped(reason));
    }
    for (conversation, begins, ends) in [
        (
            &unanswered,
            "Handed to the humans ",
            ": the bot had no answer.",
        ),
        (
            &agents,
            "Left alone: ",
            ": nothing in it was written by a customer.",
        ),
        (
            &answered,
            "Left alone: ",
            ": somebody had answered it before the relay got to it.",
        ),
        (
            &given,
            "Left alone: the relay had given it to the humans already (inbox ",
            ", agent none).",
        ),
    ] {
        let last = last_line(&relay, conversation).await;
        assert!(last.starts_with(begins) && last.ends_with(ends), "{last}");
    }
    relay.finish().await;
}

#[tokio::test]
async fn a_loop_a_late_bot_and_a_deadline_are_explained() {
    let setup = Setup {
        account_gleen: "timeout = \"100ms\"".to_owned(),
        ..Setup::default()
    };
    let relay = setup.start().await;
    let again = relay.conversation();
    for count in 1..=3 {
        relay.says(&again, "I am a machine");
        relay.outcomes(count).await;
    }
    let held = relay.gleen.hold_next(Operation::SendMessage);
    let (late, _) = (relay.conversation(), held.reached());
    relay.says(&late, "hello");
    relay.outcomes(4).await;
    held.release();
    // Nobody can be asked: the message is never read.
    let stuck = relay.conversation();
    relay.always(Operation::GetItem, What::status(500));
    relay.says(&stuck, "hello");
    soon(relay.running().store.put_off(1)).await;
    let waits = last_line(&relay, &stuck).await;
    assert!(
        waits.contains("get_item: status 500") && waits.contains("its deadline"),
        "{waits}"
    );
    relay.pass(Duration::from_secs(61)).await;
    relay.outcomes(5).await;
    for (conversation, why) in [
        (
            &again,
            "it looked like two machines talking (the same text 3 times running, 2 bot answers within the hour).",
        ),
        (&late, "the bot did not answer in time."),
        (
            &stuck,
            "there was no answer by the deadline (held up by this: get_item: status 500; trying again later).",
        ),
    ] {
        let last = last_line(&relay, conversation).await;
        assert!(last.ends_with(&format!(": {why}")), "{last}");
    }
    relay.gladly.clear_faults();
    relay.finish().await;
}

#[tokio::test]
async fn an_answer_that_was_dropped_is_explained() {
    let relay = TestRelay::start().await;
    for (count, says) in [
        "The bot's answer was dropped: an agent had taken it by then (inbox ai-inbox, agent ",
        "The bot's answer was dropped: the conversation was closed by then.",
    ]
    .into_iter()
    .enumerate()
    {
        let conversation = relay.conversation();
        let held = relay.gleen.hold_next(Operation::SendMessage);
        relay.says(&conversation, "hello");
        soon(held.reached()).await;
        if count == 0 {
            relay.gladly.take_over(&conversation);
        } else {
            relay.gladly.close(&conversation);
        }
        relay.all_told().await;
        held.release();
        relay.outcomes(count + 1).await;
        let last = last_line(&relay, &conversation).await;
        assert!(last.starts_with(says), "{last}");
    }
    let closed = relay.conversation();
    let message = Message::chat("hello");
    let gladly = &relay.gladly;
    let item = gladly.customer_message_without_webhook(&closed, &message);
    let payload = gladly.payload_for(&item);
    gladly.close(&closed);
    relay.all_told().await;
    assert_eq!(relay.post(payload.to_string()).await.status(), 200);
    relay.outcomes(3).await;
    let last = last_line(&relay, &closed).await;
    assert_eq!(last, "Left alone: the conversation was closed.");
    relay.finish().await;
}

#[tokio::test]
async fn a_dead_letter_is_explained_before_and_after_a_person_retried_it() {
    let relay = Setup::policy("answer_deadline = \"1s\"").start().await;
    relay.always(Operation::PatchConversation, What::status(422));
    let (conversation, outcome) = relay.outcome_of("agent please").await;
    assert!(matches!(outcome, Outcome::Dead(_)), "{outcome:?}");
    let text = explain(&relay, &conversation).await;
    assert!(
        text.contains("dead letter 1, which waits for a person: assign: refused"),
        "{text}"
    );
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("Given up: assign: refused"), "{last}");
    assert!(
        last.contains("`gladly-relay dead show 1` says what to do"),
        "{last}"
    );
    relay.gladly.clear_faults();
    said(&relay, &["dead", "retry", "--all"]).await;
    relay.outcomes(2).await;
    let text = explain(&relay, &conversation).await;
    assert!(
        text.contains("a person retried it as a dead letter"),
        "{text}"
    );
    assert!(text.contains("it was given up: assign: refused"), "{text}");
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("Handed to the humans "), "{last}");
    relay.finish().await;
}

#[tokio::test]
async fn what_is_known_of_an_answer_survives_a_kill() {
    let mut relay = TestRelay::start().await;
    relay.cut_short();
    relay.restart().await;
    let conversation = relay.conversation();
    let held = relay.gladly.hold_next_answer(Operation::Reply);
    relay.says(&conversation, "hello");
    soon(held.reached()).await;
    relay.stop().await;
    held.release();
    relay.boot().await;
    assert_eq!(relay.next_outcome().await, Outcome::Replied);
    let text = explain(&relay, &conversation).await;
    for says in [
        "the answer was on its way when the relay stopped",
        "taken up again",
        "looked whether what was sent is there: it is",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    relay.finish().await;
}

#[tokio::test]
async fn what_waits_and_what_is_unknown_is_explained() {
    let mut relay = TestRelay::start().await;
    let unknown = run(&relay, &["explain", "nobody-knows"]).await;
    assert_eq!(unknown.status.code(), Some(1));
    let text = String::from_utf8(unknown.stdout).unwrap();
    for says in [
        "Nothing is remembered of conversation nobody-knows",
        "gladly-relay webhooks list",
        "RELAY_RETENTION",
        "RELAY_STORE",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    let json = run(&relay, &["explain", "nobody-knows", "--json"]).await;
    assert_eq!((json.status.code(), json.stdout.len()), (Some(1), 0));
    // Hostile: a terminal would obey it.
    let hostile = run(&relay, &["explain", "a\u{1b}[2J/../\u{202e}"]).await;
    assert_eq!(hostile.status.code(), Some(1));
    let shown = [hostile.stdout, hostile.stderr].concat();
    assert!(!shown.contains(&0x1b), "{shown:?}");
    let account = ["explain", "nobody-knows", "--account", "\u{1b}]0;x\u{7}"];
    let output = run(&relay, &account).await;
    assert!(!output.stdout.contains(&0x1b), "{output:?}");
    let held = relay.gleen.hold_next(Operation::SendMessage);
    let (conversation, other) = (relay.conversation(), relay.conversation());
    relay.says(&conversation, "hello");
    soon(held.reached()).await;
    let running = last_line(&relay, &conversation).await;
    assert!(
        running.starts_with("It is being worked on; its deadline is in "),
        "{running}"
    );
    relay.says(&conversation, "are you there?");
    relay.all_told().await;
    let waits = last_line(&relay, &conversation).await;
    assert!(waits.ends_with("A message waits behind it."), "{waits}");
    held.release();
    relay.outcomes(2).await;
    let opened = last_line(&relay, &other).await;
    assert!(opened.contains("there was nothing to do"), "{opened}");
    relay.stop().await;
    relay.boot_without_webhook().await;
    let none = run(&relay, &["explain", &conversation, "--account", "other"]).await;
    assert_eq!(none.status.code(), Some(1));
    relay.finish().await;
}
