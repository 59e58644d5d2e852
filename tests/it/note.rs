//! What goes before the move to the humans never holds it: one try, then the
//! move. A note that is surely missing comes after it, and none comes twice.

use std::time::Duration;

use gladly_relay::outcome::HandoffReason::CustomerRequested;
use gladly_relay::outcome::Outcome;
use gladly_relay::sim::{Fault, Gate, GladlyWorld, Hold, Operation, What, When};

use tokio::time::Instant;

use crate::support::{Setup, TestRelay, let_pass, soon};

const EVERYTHING: &str = r#"
handoff_message = "One moment, a colleague will answer."
handoff_topic_id = "bot-handoff"
"#;
/// More than the time that a call before the move may take.
const TOO_LONG: Duration = Duration::from_secs(6);

/// Hands a conversation off and tells which calls of `operation` and which moves
/// were made, in order.
async fn hand_off(relay: &TestRelay, operation: Operation) -> (String, Vec<Operation>) {
    let (conversation, outcome) = relay.outcome_of("agent please").await;
    assert_eq!(outcome, Outcome::HandedOff(CustomerRequested));
    let view = relay.view(&conversation);
    assert_eq!(view.inbox_id, relay.gladly.options().handoff_inbox_id);
    let calls = relay.calls_of(&[operation, Operation::PatchConversation]);
    (conversation, calls)
}

#[tokio::test]
async fn a_note_that_always_fails_is_tried_once_before_the_move_and_once_after() {
    use Operation::{AddNote, PatchConversation};
    for what in [What::status(500), What::status(503), What::CutBefore] {
        let relay = TestRelay::start().await;
        relay.always(AddNote, what.clone());
        let (conversation, calls) = hand_off(&relay, AddNote).await;
        assert_eq!(calls, [AddNote, PatchConversation, AddNote], "{what:?}");
        assert_eq!(relay.view(&conversation).notes().len(), 0, "{what:?}");
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_note_that_is_surely_missing_comes_after_the_move_once() {
    use Operation::{AddNote, PatchConversation};
    for what in [What::status(500), What::CutBefore, What::Garbage] {
        let relay = TestRelay::start().await;
        relay.gladly.spoil_next(AddNote, what.clone());
        let (conversation, calls) = hand_off(&relay, AddNote).await;
        assert_eq!(calls, [AddNote, PatchConversation, AddNote], "{what:?}");
        assert_eq!(relay.view(&conversation).notes().len(), 1, "{what:?}");
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_note_of_unknown_fate_that_is_there_is_not_written_again() {
    use Operation::{AddNote, PatchConversation};
    for what in [
        What::CutAfter,
        What::StatusAfter(500),
        What::StatusAfter(204),
    ] {
        let relay = TestRelay::start().await;
        relay.always(AddNote, what.clone());
        let (conversation, calls) = hand_off(&relay, AddNote).await;
        assert_eq!(calls, [AddNote, PatchConversation], "{what:?}");
        assert_eq!(relay.view(&conversation).notes().len(), 1, "{what:?}");
        relay.finish().await;
    }
}

/// Holds the next call of an operation, or the answer to it.
fn hold(relay: &TestRelay, operation: Operation, after_effect: bool) -> Hold {
    if after_effect {
        relay.gladly.hold_next_answer(operation)
    } else {
        relay.gladly.hold_next(operation)
    }
}

fn has_moved(world: &GladlyWorld) -> bool {
    world.requests_of(Operation::PatchConversation) >= 1
}

#[tokio::test]
async fn what_hangs_before_the_move_does_not_hold_it() {
    for operation in [Operation::AddNote, Operation::AddTopics, Operation::Reply] {
        for after_effect in [false, true] {
            let relay = Setup::policy(EVERYTHING).start().await;
            let held = hold(&relay, operation, after_effect);
            let conversation = relay.conversation();
            relay.says(&conversation, "agent please");
            soon(held.reached()).await;
            let began = Instant::now();
            let_pass(TOO_LONG).await;
            soon(relay.gladly.wait_for(has_moved)).await;
            assert!(
                began.elapsed() < 2 * TOO_LONG,
                "{operation:?} held the move"
            );
            let (outcome, what) = (
                relay.next_outcome().await,
                format!("{operation:?}, after its effect: {after_effect}"),
            );
            assert_eq!(outcome, Outcome::HandedOff(CustomerRequested), "{what}");
            let view = relay.view(&conversation);
            assert_eq!(view.notes().len(), 1, "{what}");
            let messages = usize::from(operation != Operation::Reply || after_effect);
            assert_eq!(view.replies().len(), messages, "{what}");
            held.release();
            relay.finish().await;
        }
    }
}

#[tokio::test]
async fn a_message_or_a_topic_that_fails_is_tried_once_then_the_conversation_moves() {
    for operation in [Operation::Reply, Operation::AddTopics] {
        for what in [
            What::status(500),
            What::CutBefore,
            What::CutAfter,
            What::StatusAfter(502),
        ] {
            let relay = Setup::policy(EVERYTHING).start().await;
            relay.always(operation, what.clone());
            let (conversation, calls) = hand_off(&relay, operation).await;
            let expected = [operation, Operation::PatchConversation];
            assert_eq!(calls, expected, "{what:?}");
            assert_eq!(relay.view(&conversation).notes().len(), 1);
            relay.finish().await;
        }
    }
}

#[tokio::test]
async fn a_note_that_lands_late_is_not_written_again() {
    let relay = Setup::policy("settle_time = \"10s\"").start().await;
    let (gate, hold) = Gate::new();
    relay.gladly.fault(Fault {
        operation: Some(Operation::AddNote),
        when: When::Next(1),
        what: What::CutThenLand(gate),
    });
    let conversation = relay.conversation();
    relay.says(&conversation, "agent please");
    soon(relay.gladly.wait_for(has_moved)).await;
    soon(relay.running().store.put_off(1)).await;
    hold.release();
    let noted = |world: &GladlyWorld| {
        !world
            .conversation(&conversation)
            .unwrap()
            .notes()
            .is_empty()
    };
    soon(relay.gladly.wait_for(noted)).await;
    relay.pass(Duration::from_secs(11)).await;
    relay.next_outcome().await;
    assert_eq!(relay.view(&conversation).notes().len(), 1);
    relay.finish().await;
}

#[tokio::test]
async fn a_note_that_a_merge_made_impossible_is_written_where_the_conversation_went() {
    let relay = TestRelay::start().await;
    let (gone, left) = (relay.conversation(), relay.conversation());
    let held = relay.gladly.hold_next(Operation::AddNote);
    relay.says(&gone, "agent please");
    soon(held.reached()).await;
    relay.lose_webhooks();
    relay.gladly.merge(&gone, &left);
    held.release();
    let handed_off = Outcome::HandedOff(CustomerRequested);
    assert_eq!(relay.next_outcome().await, handed_off);
    assert!(relay.is_with_humans(&left));
    assert_eq!(relay.view(&left).notes().len(), 1);
    relay.finish().await;
}

#[tokio::test]
async fn a_note_refused_once_comes_after_the_move() {
    use Operation::{AddNote, PatchConversation};
    for status in [400, 403, 409, 451] {
        let relay = TestRelay::start().await;
        relay.gladly.spoil_next(AddNote, What::status(status));
        let (conversation, calls) = hand_off(&relay, AddNote).await;
        assert_eq!(calls, [AddNote, PatchConversation, AddNote], "{status}");
        assert_eq!(relay.view(&conversation).notes().len(), 1, "{status}");
        relay.finish().await;
    }
}
