//! The relay's clock may be wrong, and may be set right at any moment: every
//! customer still gets exactly one outcome, and nobody is talked over.

use std::time::Duration;

use gladly_relay::clock::Clock as _;
use gladly_relay::outcome::HandoffReason::CustomerRequested;
use gladly_relay::outcome::{Outcome, SkipReason};
use gladly_relay::sim::{
    Fault, Gate, GladlyOptions, Hold, MessageEvents, Operation, Outage, What, When,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::support::{Setup, TestRelay, soon};

const HOUR: i64 = 3_600;
/// How far off a clock is, or by how much it is set, in seconds.
const STEPS: [i64; 4] = [-HOUR, -90, 90, HOUR];

/// Starts a relay whose clock is so far off from Gladly's; a stop cuts it short.
async fn start_off_by(setup: Setup, seconds: i64) -> TestRelay {
    let mut relay = setup.start_without_relay().await;
    relay.cut_short();
    set_off(&relay, seconds);
    relay.boot().await;
    relay
}

fn set_off(relay: &TestRelay, seconds: i64) {
    relay.clock.set_off(SignedDuration::from_secs(seconds));
}

/// Where a turn is when the clock is set.
#[derive(Debug, Clone, Copy)]
enum Moment {
    ItemAsked,
    GleenThinks,
    ReplyOnItsWay,
    ReplyThere,
    GladlyAway,
}

const MOMENTS: [Moment; 5] = [
    Moment::ItemAsked,
    Moment::GleenThinks,
    Moment::ReplyOnItsWay,
    Moment::ReplyThere,
    Moment::GladlyAway,
];

fn is_ahead(relay: &TestRelay) -> bool {
    relay.clock.wall().duration_since(Timestamp::now()) > SignedDuration::from_secs(60)
}

/// A message whose turn has come to `moment`; it goes on with the hold's release.
async fn bring_to(relay: &TestRelay, moment: Moment) -> (String, Hold) {
    let conversation = relay.conversation();
    let held = match moment {
        // By a clock that is ahead the message was told of late, and what follows it
        // is listed.
        Moment::ItemAsked if is_ahead(relay) => relay.gladly.hold_next(Operation::ListItems),
        Moment::ItemAsked => relay.gladly.hold_next(Operation::GetItem),
        Moment::GleenThinks | Moment::GladlyAway => relay.gleen.hold_next(Operation::SendMessage),
        Moment::ReplyOnItsWay => relay.gladly.hold_next(Operation::Reply),
        Moment::ReplyThere => relay.gladly.hold_next_answer(Operation::Reply),
    };
    relay.says(&conversation, "hello");
    soon(held.reached()).await;
    relay.all_told().await;
    if !matches!(moment, Moment::GladlyAway) {
        return (conversation, held);
    }
    relay.gladly.down(Outage::Status(503));
    held.release();
    relay.running().store.put_off(2).await;
    let (_, nothing) = Gate::new();
    (conversation, nothing)
}

fn go_on(relay: &TestRelay, held: Hold) {
    relay.gladly.up();
    held.release();
}

/// The answer, or a human: exactly one of them, once.
fn assert_one_outcome(relay: &TestRelay, conversation: &str, outcome: &Outcome, case: &str) {
    let view = relay.view(conversation);
    let expected = match outcome {
        Outcome::Replied => (1, "ai-inbox", 0),
        Outcome::HandedOff(_) => (0, "human-inbox", 1),
        other => panic!("{case}: {other:?}"),
    };
    let found = (
        view.replies().len(),
        view.inbox_id.as_str(),
        view.notes().len(),
    );
    assert_eq!(found, expected, "{case}: {outcome:?}");
}

#[tokio::test]
async fn a_clock_that_is_off_from_the_start_changes_nothing() {
    for seconds in STEPS {
        let relay = start_off_by(Setup::default(), seconds).await;
        let (conversation, outcome) = relay.outcome_of("hello").await;
        assert_eq!(outcome, Outcome::Replied, "{seconds}");
        relay.says(&conversation, "agent please");
        let outcome = relay.outcomes(2).await.remove(1);
        assert_eq!(outcome, Outcome::HandedOff(CustomerRequested), "{seconds}");
        let (conversation, held) = bring_to(&relay, Moment::GleenThinks).await;
        relay.gladly.take_over(&conversation);
        relay.all_told().await;
        held.release();
        let outcome = relay.outcomes(3).await.remove(2);
        let human = Outcome::Skipped(SkipReason::HumanAssigned);
        assert_eq!(outcome, human, "{seconds}");
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_clock_that_is_set_while_the_relay_runs_changes_nothing() {
    for moment in MOMENTS {
        for seconds in STEPS {
            let case = format!("{moment:?}, {seconds} s");
            let relay = TestRelay::start().await;
            let (conversation, held) = bring_to(&relay, moment).await;
            set_off(&relay, seconds);
            go_on(&relay, held);
            assert_eq!(relay.next_outcome().await, Outcome::Replied, "{case}");
            assert_one_outcome(&relay, &conversation, &Outcome::Replied, &case);
            relay.finish().await;
        }
    }
}

#[tokio::test]
async fn a_restart_that_finds_another_time_brings_about_one_outcome() {
    for moment in MOMENTS {
        for seconds in STEPS {
            // The clock goes wrong, or is set right.
            for (before, after) in [(0, seconds), (seconds, 0)] {
                let case = format!("{moment:?}, {before} s, then {after} s");
                let mut relay = start_off_by(Setup::default(), before).await;
                let (conversation, held) = bring_to(&relay, moment).await;
                relay.stop().await;
                set_off(&relay, after);
                go_on(&relay, held);
                relay.boot().await;
                let outcome = relay.next_outcome().await;
                assert_one_outcome(&relay, &conversation, &outcome, &case);
                // The next message is not held up either.
                relay.says(&conversation, "and now?");
                relay.outcomes(2).await;
                relay.finish().await;
            }
        }
    }
}

#[tokio::test]
async fn a_human_who_takes_over_before_a_restart_that_finds_another_time_is_left_alone() {
    for moment in [Moment::ItemAsked, Moment::GleenThinks, Moment::GladlyAway] {
        for (before, after) in [(0, HOUR), (0, -HOUR), (HOUR, 0), (-HOUR, 0)] {
            let case = format!("{moment:?}, {before} s, then {after} s");
            let mut relay = start_off_by(Setup::default(), before).await;
            let (conversation, held) = bring_to(&relay, moment).await;
            relay.stop().await;
            relay.lose_webhooks();
            relay.gladly.take_over(&conversation);
            set_off(&relay, after);
            go_on(&relay, held);
            relay.boot().await;
            let human = Outcome::Skipped(SkipReason::HumanAssigned);
            assert_eq!(relay.next_outcome().await, human, "{case}");
            let view = relay.view(&conversation);
            assert_eq!((view.replies().len(), view.notes().len()), (0, 0), "{case}");
            assert_eq!(view.inbox_id, "ai-inbox", "{case}");
            relay.finish().await;
        }
    }
}

/// An answer in four parts; the customer reads the first.
async fn first_of_four(relay: &TestRelay) -> (String, Hold) {
    let paragraph = |number: usize| format!("Part {number}: {}", "words ".repeat(300).trim_end());
    let answer = (1..=4).map(paragraph).collect::<Vec<_>>().join("\n\n");
    relay.gleen.answer_next(answer.as_str());
    bring_to(relay, Moment::ReplyThere).await
}

#[tokio::test]
async fn what_is_left_of_an_answer_is_not_sent_over_a_human() {
    for seconds in [-HOUR, -1, 0, 1, HOUR] {
        for stepped in [false, true] {
            let before = if stepped { 0 } else { seconds };
            let relay = start_off_by(Setup::default(), before).await;
            let (conversation, held) = first_of_four(&relay).await;
            set_off(&relay, seconds);
            relay.gladly.take_over(&conversation);
            relay.all_told().await;
            held.release();
            let case = format!("{seconds} s, stepped: {stepped}");
            let human = Outcome::Skipped(SkipReason::HumanAssigned);
            assert_eq!(relay.next_outcome().await, human, "{case}");
            assert_eq!(relay.replies(&conversation).len(), 1, "{case}");
            relay.finish().await;
        }
    }
}

#[tokio::test]
async fn what_is_left_of_an_answer_is_not_sent_over_a_human_after_a_restart() {
    for seconds in [-HOUR, -1, 1, HOUR] {
        let mut relay = start_off_by(Setup::default(), 0).await;
        let (conversation, held) = first_of_four(&relay).await;
        relay.stop().await;
        relay.lose_webhooks();
        relay.gladly.take_over(&conversation);
        set_off(&relay, seconds);
        held.release();
        relay.boot().await;
        let outcome = relay.next_outcome().await;
        let human = Outcome::Skipped(SkipReason::HumanAssigned);
        assert_eq!(outcome, human, "{seconds}");
        assert_eq!(relay.replies(&conversation).len(), 1, "{seconds}");
        assert_eq!(relay.view(&conversation).notes().len(), 0, "{seconds}");
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_reply_that_lands_late_is_waited_for_whatever_the_next_start_s_clock_says() {
    for seconds in [0, -HOUR, -90, 90, HOUR] {
        let setup = Setup::policy("settle_time = \"10s\"\nanswer_deadline = \"3h\"");
        let mut relay = start_off_by(setup, 0).await;
        let (gate, hold) = Gate::new();
        relay.gladly.fault(Fault {
            operation: Some(Operation::Reply),
            when: When::Next(1),
            what: What::CutThenLand(gate),
        });
        let conversation = relay.conversation();
        relay.says(&conversation, "hello");
        // It has looked, found nothing, and waits.
        soon(relay.running().store.put_off(2)).await;
        relay.stop().await;
        set_off(&relay, seconds);
        relay.boot().await;
        soon(relay.running().store.put_off(1)).await;
        hold.release();
        soon(relay.gladly.wait_for(|world| {
            let view = world.conversation(&conversation).unwrap();
            !view.replies().is_empty()
        }))
        .await;
        relay.clock.advance(Duration::from_secs(11));
        assert_eq!(relay.next_outcome().await, Outcome::Replied, "{seconds}");
        let replies = relay.replies(&conversation);
        assert_eq!(replies, ["You asked: hello"], "{seconds}");
        relay.finish().await;
    }
}

#[tokio::test]
async fn gladly_s_events_are_told_apart_by_gladly_s_clock_alone() {
    for seconds in STEPS {
        let setup = Setup::policy("recheck_before_reply = false");
        let gladly = GladlyOptions {
            // Its event does not say who holds the conversation.
            message_events: MessageEvents::Legacy,
            ..setup.gladly.clone()
        };
        let relay = start_off_by(Setup { gladly, ..setup }, seconds).await;
        let conversation = relay.conversation();
        relay.gladly.take_over(&conversation);
        relay.all_told().await;
        // What was so before the takeover is told after it.
        let at = jiff::Timestamp::now() - SignedDuration::from_secs(5);
        let body = json!({"id": "late", "type": "CONVERSATION_ASSIGNEE/UPDATED", "timestamp": at.to_string(),
            "content": {"conversationId": conversation, "assignee": {"inboxId": "ai-inbox"}}});
        assert_eq!(relay.post(body.to_string()).await.status(), 200);
        relay.says(&conversation, "for Ada's eyes only");
        let human = Outcome::Skipped(SkipReason::HumanAssigned);
        assert_eq!(relay.next_outcome().await, human, "{seconds}");
        assert_eq!(relay.gleen.requests().len(), 0, "{seconds}");
        relay.finish().await;
    }
}
