//! A reply of unknown fate is looked for before anything is sent again: the
//! customer never reads an answer twice, and never misses a part of it.

use std::time::Duration;

use gladly_relay::outcome::HandoffReason::{CustomerRequested, ReplyRejected};
use gladly_relay::outcome::Outcome;
use gladly_relay::sim::{Channel, Fault, Gate, Message, Operation, Outage, What, When};

use crate::support::{Setup, TestRelay, let_pass, soon};

fn faults() -> [What; 8] {
    [
        What::CutBefore,
        What::CutAfter,
        What::status(500),
        What::StatusAfter(502),
        What::StatusAfter(504),
        What::status(503),
        What::too_many(0),
        What::Garbage,
    ]
}

#[tokio::test]
async fn a_reply_that_failed_in_any_way_is_there_once() {
    for what in faults() {
        let relay = TestRelay::start().await;
        relay.gladly.spoil_next(Operation::Reply, what.clone());
        let (conversation, outcome) = relay.outcome_of("hello").await;
        assert_eq!(outcome, Outcome::Replied, "{what:?}");
        assert_eq!(
            relay.replies(&conversation),
            ["You asked: hello"],
            "{what:?}"
        );
        relay.finish().await;
    }
}

#[tokio::test]
async fn every_channel_finds_its_own_words_again() {
    let answer = "# Returns\n\nSend it **back** within 30 days:\n\n1. Print [the label](https://shop.example.com/label?a=1&b=2)\n2. Pack it\n\n> Tip: keep the receipt & the box < 2 kg\n\n| a | b |\n|---|---|\n| 1 | 2 |";
    let email = Channel::Email {
        subject: "Returns".to_owned(),
        from: "mia@example.com".to_owned(),
    };
    let channels = [
        email,
        Channel::Chat,
        Channel::Sms,
        Channel::WhatsApp,
        Channel::FacebookMessage,
        Channel::InstagramDirect,
    ];
    for channel in channels {
        let relay = TestRelay::start().await;
        relay.gleen.answer_next(answer);
        relay.gladly.spoil_next(Operation::Reply, What::CutAfter);
        let conversation = relay.conversation();
        relay.gladly.customer_says(
            &conversation,
            &Message::new(channel.clone(), "How do I return it?"),
        );
        assert_eq!(relay.next_outcome().await, Outcome::Replied, "{channel:?}");
        assert_eq!(relay.replies(&conversation).len(), 1, "{channel:?}");
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_reply_in_parts_goes_on_at_the_first_missing_part() {
    let paragraph = |number: usize| format!("Part {number}: {}", "words ".repeat(300).trim_end());
    let answer = (1..=4).map(paragraph).collect::<Vec<_>>().join("\n\n");
    for number in 1..=4 {
        for what in faults() {
            let relay = TestRelay::start().await;
            relay.gleen.answer_next(answer.as_str());
            let when = When::Nth(number);
            relay.gladly.fault(Fault {
                operation: Some(Operation::Reply),
                when,
                what: what.clone(),
            });
            let (conversation, outcome) = relay.outcome_of("hello").await;
            assert_eq!(outcome, Outcome::Replied, "{number} {what:?}");
            let replies = relay.replies(&conversation);
            let firsts: Vec<&str> = replies.iter().map(|reply| &reply[..6]).collect();
            assert_eq!(
                firsts,
                ["Part 1", "Part 2", "Part 3", "Part 4"],
                "{number} {what:?}"
            );
            relay.finish().await;
        }
    }
}

#[tokio::test]
async fn parts_with_the_same_words_are_told_apart() {
    let line = "The same again. ".repeat(125);
    let answer = [line.trim_end(); 3].join("\n\n");
    for number in 1..=3 {
        let relay = TestRelay::start().await;
        relay.gleen.answer_next(answer.as_str());
        let when = When::Nth(number);
        relay.gladly.fault(Fault {
            operation: Some(Operation::Reply),
            when,
            what: What::CutAfter,
        });
        let (conversation, outcome) = relay.outcome_of("hello").await;
        assert_eq!(outcome, Outcome::Replied);
        assert_eq!(relay.replies(&conversation).len(), 3, "{number}");
        relay.finish().await;
    }
}

#[tokio::test]
async fn the_same_answer_to_an_earlier_message_is_not_taken_for_this_one() {
    let relay = TestRelay::start().await;
    let conversation = relay.conversation();
    relay.gleen.answer_next("Yes.");
    relay.gleen.answer_next("Yes.");
    let held = relay.gleen.hold_next(Operation::SendMessage);
    relay.says(&conversation, "first?");
    held.reached().await;
    // The second message stands before the first answer in the timeline.
    relay.says(&conversation, "second?");
    relay
        .gladly
        .wait_for(|world| world.undelivered() == 0)
        .await;
    let when = When::Nth(2);
    relay.gladly.fault(Fault {
        operation: Some(Operation::Reply),
        when,
        what: What::CutBefore,
    });
    held.release();
    assert_eq!(
        relay.outcomes(2).await,
        [Outcome::Replied, Outcome::Replied]
    );
    assert_eq!(relay.replies(&conversation), ["Yes.", "Yes."]);
    relay.finish().await;
}

#[tokio::test]
async fn a_reply_that_lands_late_is_not_sent_again() {
    let setup = Setup::policy("settle_time = \"10s\"");
    let relay = setup.start().await;
    let (gate, hold) = Gate::new();
    relay
        .gladly
        .spoil_next(Operation::Reply, What::CutThenLand(gate));
    let conversation = relay.conversation();
    relay.says(&conversation, "hello");
    // The relay has looked, found nothing, and waits.
    soon(
        relay
            .gladly
            .wait_for(|world| world.requests_of(Operation::ListItems) >= 1),
    )
    .await;
    relay.running().store.put_off(2).await;
    assert_eq!(relay.replies(&conversation).len(), 0);
    hold.release();
    soon(relay.gladly.wait_for(|world| {
        !world
            .conversation(&conversation)
            .unwrap()
            .replies()
            .is_empty()
    }))
    .await;
    relay.clock.advance(Duration::from_secs(11));
    assert_eq!(relay.next_outcome().await, Outcome::Replied);
    assert_eq!(relay.replies(&conversation), ["You asked: hello"]);
    relay.finish().await;
}

#[tokio::test]
async fn while_gladly_is_away_everything_waits_and_then_goes_on() {
    for outage in [Outage::Status(503), Outage::Cut] {
        let relay = Setup::policy("answer_deadline = \"10m\"").start().await;
        let conversation = relay.conversation();
        let held = relay.gleen.hold_next(Operation::SendMessage);
        relay.says(&conversation, "hello");
        held.reached().await;
        relay.gladly.down(outage);
        held.release();
        relay.running().store.put_off(2).await;
        relay.gladly.up();
        assert_eq!(relay.next_outcome().await, Outcome::Replied, "{outage:?}");
        assert_eq!(relay.replies(&conversation).len(), 1);
        relay.finish().await;
    }
}

#[tokio::test]
async fn after_a_day_without_gladly_a_person_must_look() {
    let relay = TestRelay::start().await;
    relay.gladly.down(Outage::Status(503));
    let conversation = relay.conversation();
    relay.says(&conversation, "hello");
    relay.running().store.put_off(1).await;
    relay.clock.advance(Duration::from_hours(25));
    let outcome = relay.next_outcome().await;
    assert!(matches!(outcome, Outcome::Dead(_)), "{outcome:?}");
    assert!(
        relay
            .metrics()
            .await
            .contains(r#"gladly_relay_dead_letters{account="acme"} 1"#)
    );
    relay.finish().await;
}

#[tokio::test]
async fn the_same_words_of_a_customer_or_of_an_earlier_human_are_not_taken_for_the_reply() {
    let relay = TestRelay::start().await;
    let conversation = relay.conversation();
    relay.gladly.agent_replies(&conversation, "Yes.");
    relay.gladly.move_to(&conversation, "ai-inbox", None);
    relay.all_told().await;
    relay.gleen.answer_next("Yes.");
    let held = relay.gleen.hold_next(Operation::SendMessage);
    relay.says(&conversation, "really?");
    soon(held.reached()).await;
    relay
        .gladly
        .customer_message_without_webhook(&conversation, &Message::chat("Yes."));
    relay.gladly.spoil_next(Operation::Reply, What::CutBefore);
    held.release();
    assert_eq!(relay.next_outcome().await, Outcome::Replied);
    assert_eq!(relay.replies(&conversation), ["Yes."]);
    relay.finish().await;
}

#[tokio::test]
async fn where_gladly_does_not_list_everything_nothing_is_sent_twice() {
    for operation in [Operation::Reply, Operation::AddNote] {
        let relay = TestRelay::start().await;
        let conversation = relay.conversation();
        for _ in 0..1000 {
            relay
                .gladly
                .customer_message_without_webhook(&conversation, &Message::chat("before"));
        }
        relay.gladly.spoil_next(operation, What::CutAfter);
        let asks = operation == Operation::AddNote;
        relay.says(&conversation, if asks { "agent please" } else { "hello" });
        let expected = if asks {
            CustomerRequested
        } else {
            ReplyRejected
        };
        assert_eq!(relay.next_outcome().await, Outcome::HandedOff(expected));
        assert_eq!(relay.replies(&conversation).len(), usize::from(!asks));
        assert_eq!(relay.view(&conversation).notes().len(), 1);
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_reply_whose_answer_never_comes_is_looked_for_even_past_the_deadline() {
    let relay = TestRelay::start().await;
    let held = relay.gladly.hold_next_answer(Operation::Reply);
    let conversation = relay.conversation();
    relay.says(&conversation, "hello");
    soon(held.reached()).await;
    relay.clock.advance(Duration::from_mins(2));
    // The time that a call to Gladly may take.
    let_pass(Duration::from_secs(16)).await;
    assert_eq!(relay.next_outcome().await, Outcome::Replied);
    assert_eq!(relay.replies(&conversation).len(), 1);
    held.release();
    relay.finish().await;
}

#[tokio::test]
async fn only_the_answer_that_gladly_gives_to_a_reply_counts_as_sent() {
    for what in [
        What::status(200),
        What::status(202),
        What::status(204),
        What::StatusAfter(200),
        What::StatusAfter(204),
    ] {
        let relay = TestRelay::start().await;
        relay.gladly.spoil_next(Operation::Reply, what.clone());
        let (conversation, outcome) = relay.outcome_of("hello").await;
        assert_eq!(outcome, Outcome::Replied, "{what:?}");
        assert!(relay.gladly.requests_of(Operation::ListItems) >= 1);
        assert_eq!(relay.replies(&conversation).len(), 1, "{what:?}");
        relay.finish().await;
    }
}

#[tokio::test]
async fn failures_that_a_success_has_ended_do_not_count_for_those_that_follow() {
    let relay = Setup::policy("answer_deadline = \"72h\"").start().await;
    relay.always(Operation::GetItem, What::status(503));
    let conversation = relay.conversation();
    relay.says(&conversation, "hello");
    soon(relay.running().store.put_off(2)).await;
    relay.gladly.clear_faults();
    let held = relay.gleen.hold_next(Operation::SendMessage);
    relay.pass(Duration::from_hours(23)).await;
    soon(held.reached()).await;
    relay.clock.advance(Duration::from_hours(2));
    relay.gladly.spoil_next(Operation::Reply, What::status(503));
    held.release();
    assert_eq!(relay.next_outcome().await, Outcome::Replied);
    assert_eq!(relay.replies(&conversation).len(), 1);
    relay.finish().await;
}

#[tokio::test]
async fn a_move_that_fails_once_after_a_day_without_an_item_is_made_after_all() {
    let relay = TestRelay::start().await;
    relay.always(Operation::GetItem, What::status(503));
    let conversation = relay.conversation();
    relay.says(&conversation, "hello");
    soon(relay.running().store.put_off(2)).await;
    relay
        .gladly
        .spoil_next(Operation::PatchConversation, What::status(503));
    relay.pass(Duration::from_hours(25)).await;
    assert_eq!(
        relay.next_outcome().await,
        Outcome::HandedOff(gladly_relay::outcome::HandoffReason::Deadline)
    );
    relay.finish().await;
}
