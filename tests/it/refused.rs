//! What Gladly refuses concerns the call that it refuses: one conversation that
//! the API user may not touch costs no other customer an answer, and a status
//! that nobody expected costs its own customer nothing but time.

use std::time::Duration;

use gladly_relay::outcome::HandoffReason::{
    CustomerRequested, Deadline, ReplyRejected, UnsupportedContent,
};
use gladly_relay::outcome::Outcome;
use gladly_relay::sim::{GladlyWorld, Message, Operation, What};

use tokio::time::Instant;

use crate::support::{Setup, TestRelay, let_pass, soon};

/// Refusals that are neither about the user nor about what was sent.
const REFUSALS: [u16; 9] = [400, 402, 405, 409, 418, 422, 431, 451, 499];
const A_DEADLINE: Duration = Duration::from_secs(61);

fn one_reply(world: &GladlyWorld, conversation: &str) -> bool {
    world.conversation(conversation).unwrap().replies().len() == 1
}

/// A conversation of which Gladly refuses one kind of call with a 403, beside 20
/// others. How its turn ended, and whether humans have it.
async fn forbidden(operation: Operation, text: &str) -> (Outcome, bool) {
    let relay = TestRelay::start().await;
    let forbidden = relay.conversation();
    let item = relay
        .gladly
        .customer_message_without_webhook(&forbidden, &Message::chat(text));
    for id in [&forbidden, &item] {
        relay.always_about(id, operation, What::status(403));
    }
    let payload = relay.gladly.payload_for(&item).to_string();
    assert_eq!(relay.post(payload).await.status(), 200);
    let path_named = |world: &GladlyWorld| world.requests_of(operation) >= 1;
    soon(relay.gladly.wait_for(path_named)).await;
    let others: Vec<String> = (0..20).map(|_| relay.conversation()).collect();
    for other in &others {
        relay.says(other, "hello");
    }
    let answered = |world: &GladlyWorld| others.iter().all(|other| one_reply(world, other));
    soon(relay.gladly.wait_for(answered)).await;
    relay.pass(A_DEADLINE).await;
    let mut outcomes = relay.outcomes(21).await;
    outcomes.retain(|outcome| *outcome != Outcome::Replied);
    assert_eq!(outcomes.len(), 1, "{outcomes:?}");
    assert_eq!(relay.replies(&forbidden).len(), 0);
    let with_humans = relay.is_with_humans(&forbidden);
    relay.finish().await;
    (outcomes.remove(0), with_humans)
}

#[tokio::test]
async fn a_403_concerns_its_conversation_alone_and_a_human_gets_that() {
    for (operation, text, reason) in [
        (Operation::GetConversation, "hello", Deadline),
        (Operation::GetItem, "hello", UnsupportedContent),
        (Operation::Reply, "hello", ReplyRejected),
        (Operation::AddNote, "agent please", CustomerRequested),
    ] {
        let (outcome, with_humans) = forbidden(operation, text).await;
        assert_eq!(outcome, Outcome::HandedOff(reason), "{operation:?}");
        assert!(with_humans, "{operation:?}");
    }
}

#[tokio::test]
async fn a_403_to_the_move_leaves_one_dead_letter_and_everybody_else_answered() {
    let (outcome, with_humans) = forbidden(Operation::PatchConversation, "agent please").await;
    assert!(matches!(outcome, Outcome::Dead(_)), "{outcome:?}");
    assert!(!with_humans);
}

#[tokio::test]
async fn a_403_to_the_neutral_call_stops_the_account_until_it_is_accepted() {
    let relay = Setup::policy("answer_deadline = \"10m\"").start().await;
    for operation in [Operation::GetItem, Operation::GetOrganization] {
        relay.always(operation, What::status(403));
    }
    let conversation = relay.conversation();
    relay.says(&conversation, "hello");
    soon(relay.running().store.put_off(1)).await;
    let calls = relay.gladly.requests().len();
    let other = relay.conversation();
    relay.says(&other, "hello");
    soon(relay.running().store.put_off(2)).await;
    assert_eq!(relay.gladly.requests().len(), calls, "nothing is called");
    relay.gladly.clear_faults();
    relay.clock.advance(A_DEADLINE);
    let_pass(A_DEADLINE).await;
    assert_eq!(
        relay.outcomes(2).await,
        [Outcome::Replied, Outcome::Replied]
    );
    relay.finish().await;
}

#[tokio::test]
async fn a_look_refused_once_still_leads_to_the_reply() {
    for status in REFUSALS {
        let relay = TestRelay::start().await;
        let refused = What::status(status);
        relay.gladly.spoil_next(Operation::GetConversation, refused);
        let (conversation, outcome) = relay.outcome_of("hello").await;
        assert_eq!(outcome, Outcome::Replied, "{status}");
        assert_eq!(relay.replies(&conversation).len(), 1, "{status}");
        relay.finish().await;
    }
}

#[tokio::test]
async fn looks_refused_for_ever_are_tried_until_the_deadline_then_a_human_has_it() {
    for status in REFUSALS {
        let relay = TestRelay::start().await;
        relay.always(Operation::GetConversation, What::status(status));
        let conversation = relay.conversation();
        relay.says(&conversation, "hello");
        soon(relay.running().store.put_off(3)).await;
        assert!(!relay.is_with_humans(&conversation), "{status}");
        relay.pass(A_DEADLINE).await;
        assert_eq!(
            relay.next_outcome().await,
            Outcome::HandedOff(Deadline),
            "{status}"
        );
        assert!(relay.is_with_humans(&conversation), "{status}");
        assert_eq!(relay.replies(&conversation).len(), 0, "{status}");
        assert_eq!(relay.view(&conversation).notes().len(), 1, "{status}");
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_move_refused_once_is_made_after_all() {
    for status in REFUSALS {
        let relay = TestRelay::start().await;
        let refused = What::status(status);
        relay
            .gladly
            .spoil_next(Operation::PatchConversation, refused);
        let (conversation, outcome) = relay.outcome_of("agent please").await;
        assert_eq!(outcome, Outcome::HandedOff(CustomerRequested), "{status}");
        assert!(relay.is_with_humans(&conversation), "{status}");
        assert_eq!(relay.view(&conversation).notes().len(), 1, "{status}");
        relay.finish().await;
    }
}

#[tokio::test]
async fn what_can_never_be_listed_after_an_unclear_reply_goes_to_a_human() {
    for (status, landed) in [(400, true), (403, false), (409, true), (451, false)] {
        let relay = TestRelay::start().await;
        let cut = if landed {
            What::CutAfter
        } else {
            What::CutBefore
        };
        relay.gladly.spoil_next(Operation::Reply, cut);
        relay.always(Operation::ListItems, What::status(status));
        let conversation = relay.conversation();
        relay.says(&conversation, "hello");
        soon(relay.running().store.put_off(3)).await;
        relay.pass(A_DEADLINE).await;
        assert_eq!(
            relay.next_outcome().await,
            Outcome::HandedOff(Deadline),
            "{status}"
        );
        assert!(relay.is_with_humans(&conversation), "{status}");
        assert_eq!(relay.gladly.requests_of(Operation::Reply), 1, "{status}");
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_merge_that_nobody_told_of_is_followed() {
    for text in ["hello", "agent please"] {
        let relay = TestRelay::start().await;
        let (gone, left) = (relay.conversation(), relay.conversation());
        relay.all_told().await;
        relay.lose_webhooks();
        let message = Message::chat(text);
        let item = relay
            .gladly
            .customer_message_without_webhook(&gone, &message);
        relay.gladly.merge(&gone, &left);
        let payload = relay.gladly.payload_for(&item).to_string();
        assert_eq!(relay.post(payload).await.status(), 200);
        let handed_off = text != "hello";
        let expected = if handed_off {
            Outcome::HandedOff(CustomerRequested)
        } else {
            Outcome::Replied
        };
        assert_eq!(relay.next_outcome().await, expected);
        let view = relay.view(&left);
        assert_eq!(view.replies().len(), usize::from(!handed_off));
        assert_eq!(view.notes().len(), usize::from(handed_off));
        assert_eq!(relay.is_with_humans(&left), handed_off);
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_merge_while_the_bot_thinks_takes_the_answer_along() {
    for policy in ["", "recheck_before_reply = false"] {
        let relay = Setup::policy(policy).start().await;
        let (gone, left) = (relay.conversation(), relay.conversation());
        let held = relay.gleen.hold_next(Operation::SendMessage);
        relay.says(&gone, "hello");
        soon(held.reached()).await;
        relay.lose_webhooks();
        relay.gladly.merge(&gone, &left);
        held.release();
        assert_eq!(relay.next_outcome().await, Outcome::Replied, "{policy:?}");
        assert_eq!(relay.view(&left).replies().len(), 1, "{policy:?}");
        relay.finish().await;
    }
}

/// One call a second, so that calls wait for each other.
fn one_call_a_second() -> Setup {
    Setup {
        account_gladly: "requests_per_second = 1".to_owned(),
        ..Setup::policy("recheck_before_reply = false\nanswer_deadline = \"10m\"")
    }
}

#[tokio::test]
async fn a_note_whose_turn_comes_while_the_user_is_refused_waits_with_all_others() {
    let relay = one_call_a_second().start().await;
    let asked = relay.gleen.hold_next(Operation::SendMessage);
    let (first, second) = (relay.conversation(), relay.conversation());
    relay.says(&first, "hello");
    soon(asked.reached()).await;
    let looked = relay.gladly.hold_next_answer(Operation::GetConversation);
    relay.says(&second, "agent please");
    for _ in 0..2 {
        soon(relay.gladly.wait_for(|world| world.in_flight() == 0)).await;
        let_pass(Duration::from_millis(1_100)).await;
    }
    soon(looked.reached()).await;
    // The reply goes before the note, and is refused while the note waits.
    relay.gladly.spoil_next(Operation::Reply, What::status(401));
    asked.release();
    looked.release();
    let released = Instant::now();
    soon(relay.running().store.put_off(2)).await;
    assert!(released.elapsed() < Duration::from_secs(10), "it was busy");
    assert_eq!(relay.gladly.requests_of(Operation::AddNote), 0);
    relay.clock.advance(A_DEADLINE);
    let_pass(A_DEADLINE).await;
    relay.outcomes(2).await;
    assert_eq!(relay.replies(&first).len(), 1);
    assert!(relay.is_with_humans(&second));
    assert_eq!(relay.view(&second).notes().len(), 1);
    relay.finish().await;
}
