//! A turn that can't go on gives its conversation to a human when its time is
//! up, and holds no later message of that conversation past that one's time.

use std::time::Duration;

use gladly_relay::outcome::HandoffReason::{CustomerRequested, Deadline};
use gladly_relay::outcome::{Outcome, SkipReason};
use gladly_relay::sim::{Gate, GladlyWorld, Operation, What};

use tokio::time::Instant;

use crate::support::{TestRelay, let_pass, soon, two_parts};

const A_DEADLINE: Duration = Duration::from_secs(61);
const HALF_A_DEADLINE: Duration = Duration::from_secs(30);
const A_BIT_MORE: Duration = Duration::from_secs(31);

/// Half a deadline later the customer writes again.
async fn writes_again(relay: &TestRelay, conversation: &str) {
    soon(relay.running().store.put_off(2)).await;
    relay.clock.advance(HALF_A_DEADLINE);
    relay.says(conversation, "are you there?");
    relay.all_told().await;
}

/// A human has the conversation, and what came later is left to that human.
async fn assert_given_up(relay: TestRelay, conversation: &str) {
    let outcomes = relay.outcomes(2).await;
    assert_eq!(outcomes[0], Outcome::HandedOff(Deadline));
    let left = [
        Outcome::Skipped(SkipReason::HandedOff),
        // Its own time was up as well.
        Outcome::HandedOff(Deadline),
    ];
    assert!(left.contains(&outcomes[1]), "{outcomes:?}");
    assert_eq!(relay.gladly.requests_of(Operation::PatchConversation), 1);
    assert!(relay.is_with_humans(conversation));
    relay.finish().await;
}

#[tokio::test]
async fn a_second_part_that_fails_for_ever_ends_with_a_human_who_reads_it_all() {
    let relay = TestRelay::start().await;
    relay.gleen.answer_next(two_parts().as_str());
    let first = relay.gladly.hold_next_answer(Operation::Reply);
    let conversation = relay.conversation();
    relay.says(&conversation, "hello");
    soon(first.reached()).await;
    relay.always(Operation::Reply, What::status(500));
    first.release();
    writes_again(&relay, &conversation).await;
    relay.pass(A_BIT_MORE).await;
    relay.outcomes(2).await;
    assert_eq!(relay.replies(&conversation).len(), 1);
    let view = relay.view(&conversation);
    assert_eq!(view.notes().len(), 1);
    for words in ["Part 1", "Part 2", "Only the beginning"] {
        assert!(view.notes()[0].contains(words), "{}", view.notes()[0]);
    }
    assert_given_up(relay, &conversation).await;
}

#[tokio::test]
async fn a_reply_that_can_never_be_looked_for_does_not_hold_the_next_message() {
    for what in [What::status(500), What::CutBefore] {
        let relay = TestRelay::start().await;
        relay.gladly.spoil_next(Operation::Reply, What::CutAfter);
        relay.always(Operation::ListItems, what);
        let conversation = relay.conversation();
        relay.says(&conversation, "hello");
        writes_again(&relay, &conversation).await;
        relay.pass(A_BIT_MORE).await;
        relay.pass(HALF_A_DEADLINE).await;
        relay.outcomes(2).await;
        assert_eq!(relay.replies(&conversation).len(), 1);
        assert_eq!(relay.gladly.requests_of(Operation::Reply), 1);
        assert_given_up(relay, &conversation).await;
    }
}

#[tokio::test]
async fn looks_that_fail_for_ever_do_not_hold_the_next_message() {
    for what in [What::status(500), What::status(503), What::CutBefore] {
        let relay = TestRelay::start().await;
        relay.always(Operation::GetConversation, what);
        let conversation = relay.conversation();
        relay.says(&conversation, "hello");
        writes_again(&relay, &conversation).await;
        relay.pass(A_BIT_MORE).await;
        relay.pass(HALF_A_DEADLINE).await;
        relay.outcomes(2).await;
        assert_eq!(relay.replies(&conversation).len(), 0);
        assert_given_up(relay, &conversation).await;
    }
}

#[tokio::test]
async fn looks_that_fail_between_two_parts_do_not_hold_the_next_message() {
    let relay = TestRelay::start().await;
    relay.gleen.answer_next(two_parts().as_str());
    relay.gladly.spoil_next(Operation::Reply, What::CutAfter);
    let first = relay.gladly.hold_next_answer(Operation::ListItems);
    let conversation = relay.conversation();
    relay.says(&conversation, "hello");
    soon(first.reached()).await;
    relay.always(Operation::GetConversation, What::status(500));
    // What was seen before the first part is not believed any more.
    relay.clock.advance(Duration::from_secs(16));
    first.release();
    writes_again(&relay, &conversation).await;
    relay.pass(A_BIT_MORE).await;
    relay.pass(HALF_A_DEADLINE).await;
    relay.outcomes(2).await;
    assert_eq!(relay.replies(&conversation).len(), 1);
    assert_given_up(relay, &conversation).await;
}

#[tokio::test]
async fn looks_that_never_end_do_not_hold_the_next_message() {
    let relay = TestRelay::start().await;
    let (gate, hold) = Gate::new();
    relay.always(Operation::GetConversation, What::Hold(gate));
    let conversation = relay.conversation();
    relay.says(&conversation, "hello");
    soon(hold.reached()).await;
    relay.clock.advance(HALF_A_DEADLINE);
    relay.says(&conversation, "are you there?");
    relay.all_told().await;
    relay.clock.advance(HALF_A_DEADLINE + A_BIT_MORE);
    // The look before the answer ends with the deadline; the one before the move
    // by the longest that a call may take.
    let_pass(HALF_A_DEADLINE + A_BIT_MORE).await;
    let looks =
        |count| move |world: &GladlyWorld| world.requests_of(Operation::GetConversation) >= count;
    let the_longest_call = Duration::from_secs(16);
    soon(relay.gladly.wait_for(looks(2))).await;
    let_pass(the_longest_call).await;
    soon(relay.running().store.put_off(1)).await;
    relay.pass(the_longest_call).await;
    soon(relay.gladly.wait_for(looks(3))).await;
    let_pass(the_longest_call).await;
    assert_given_up(relay, &conversation).await;
    hold.release();
}

/// The longest that Gladly asks anybody to wait.
fn wait_ten_minutes() -> What {
    What::too_many(600)
}

/// Waits until the relay has learnt of the 429.
async fn stopped(relay: &TestRelay) {
    const COUNTED: &str = r#"gladly_relay_upstream_throttled_total{account="acme"} 1"#;
    let learnt = async { while !relay.metrics().await.contains(COUNTED) {} };
    soon(learnt).await;
    // Whatever it does next, it has begun.
    relay.metrics().await;
}

/// While a 429 stops all other calls, one urgent call passes each second.
async fn urgent_calls(relay: &TestRelay, calls: &[(Operation, usize)]) {
    for (operation, count) in calls {
        let_pass(Duration::from_secs(1)).await;
        let made = |world: &GladlyWorld| world.requests_of(*operation) >= *count;
        soon(relay.gladly.wait_for(made)).await;
    }
}

#[tokio::test]
async fn a_look_that_is_told_to_wait_ten_minutes_waits_until_the_deadline() {
    for left in [10, 25] {
        let relay = TestRelay::start().await;
        let held = relay.gleen.hold_next(Operation::SendMessage);
        let conversation = relay.conversation();
        relay.says(&conversation, "hello");
        soon(held.reached()).await;
        relay.clock.advance(Duration::from_secs(60 - left));
        relay
            .gladly
            .spoil_next(Operation::GetConversation, wait_ten_minutes());
        held.release();
        soon(relay.running().store.put_off(1)).await;
        relay.pass(Duration::from_secs(left)).await;
        let calls = [
            (Operation::GetConversation, 2),
            (Operation::AddNote, 1),
            (Operation::PatchConversation, 1),
        ];
        urgent_calls(&relay, &calls).await;
        assert_eq!(relay.next_outcome().await, Outcome::HandedOff(Deadline));
        assert!(relay.is_with_humans(&conversation));
        relay.finish().await;
    }
}

/// Asks for a human so many seconds before the deadline.
async fn asks_for_a_human(relay: &TestRelay, left: u64) -> String {
    let held = relay.gladly.hold_next(Operation::GetItem);
    let conversation = relay.conversation();
    relay.says(&conversation, "agent please");
    soon(held.reached()).await;
    relay.clock.advance(Duration::from_secs(60 - left));
    held.release();
    conversation
}

#[tokio::test]
async fn a_note_that_is_told_to_wait_ten_minutes_does_not_hold_the_move() {
    for left in [10, 25] {
        let relay = TestRelay::start().await;
        relay
            .gladly
            .spoil_next(Operation::AddNote, wait_ten_minutes());
        let conversation = asks_for_a_human(&relay, left).await;
        stopped(&relay).await;
        relay.clock.advance(Duration::from_secs(left));
        let_pass(Duration::from_secs(left)).await;
        let calls = [(Operation::PatchConversation, 1), (Operation::AddNote, 2)];
        urgent_calls(&relay, &calls).await;
        assert_eq!(
            relay.next_outcome().await,
            Outcome::HandedOff(CustomerRequested)
        );
        assert!(relay.is_with_humans(&conversation));
        assert_eq!(relay.view(&conversation).notes().len(), 1);
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_move_that_is_told_to_wait_ten_minutes_is_made_by_the_deadline() {
    for left in [10, 25] {
        let relay = TestRelay::start().await;
        relay
            .gladly
            .spoil_next(Operation::PatchConversation, wait_ten_minutes());
        let conversation = asks_for_a_human(&relay, left).await;
        soon(relay.running().store.put_off(1)).await;
        relay.pass(Duration::from_secs(left)).await;
        let calls = [
            (Operation::GetConversation, 2),
            (Operation::PatchConversation, 2),
        ];
        urgent_calls(&relay, &calls).await;
        assert_eq!(
            relay.next_outcome().await,
            Outcome::HandedOff(CustomerRequested)
        );
        assert!(relay.is_with_humans(&conversation));
        relay.finish().await;
    }
}

#[tokio::test]
async fn past_the_deadline_nobody_waits_ten_minutes_for_a_move() {
    let relay = TestRelay::start().await;
    let held = relay.gleen.hold_next(Operation::SendMessage);
    let conversation = relay.conversation();
    relay.says(&conversation, "hello");
    soon(held.reached()).await;
    relay
        .gladly
        .spoil_next(Operation::PatchConversation, wait_ten_minutes());
    relay.clock.advance(A_DEADLINE);
    held.release();
    soon(relay.running().store.put_off(1)).await;
    relay.pass(Duration::from_secs(16)).await;
    let calls = [
        (Operation::GetConversation, 2),
        (Operation::PatchConversation, 2),
    ];
    urgent_calls(&relay, &calls).await;
    assert_eq!(relay.next_outcome().await, Outcome::HandedOff(Deadline));
    assert!(relay.is_with_humans(&conversation));
    relay.finish().await;
}

#[tokio::test]
async fn a_part_that_waits_for_its_call_waits_no_longer_than_the_deadline() {
    let relay = TestRelay::start().await;
    relay.gleen.answer_next(two_parts().as_str());
    let first = relay.gladly.hold_next_answer(Operation::Reply);
    let conversation = relay.conversation();
    relay.says(&conversation, "hello");
    soon(first.reached()).await;
    // Another conversation's call meets a 429, which stops them all.
    let other = relay.conversation();
    relay
        .gladly
        .spoil_next(Operation::GetItem, wait_ten_minutes());
    relay.says(&other, "hello");
    stopped(&relay).await;
    let stopped = Instant::now();
    relay.clock.advance(HALF_A_DEADLINE);
    first.release();
    let stored = |world: &GladlyWorld| world.in_flight() == 0;
    soon(relay.gladly.wait_for(stored)).await;
    relay.metrics().await;
    relay.clock.advance(A_BIT_MORE);
    for _ in 0..40 {
        let_pass(Duration::from_secs(1)).await;
        soon(relay.gladly.wait_for(stored)).await;
        relay.metrics().await;
    }
    relay.outcomes(2).await;
    assert_eq!(relay.replies(&conversation).len(), 1);
    assert!(relay.is_with_humans(&conversation));
    // The least that the stop lasts.
    assert!(stopped.elapsed() < Duration::from_mins(1));
    relay.finish().await;
}
