//! A handoff ends with one note and the conversation in the human inbox,
//! whatever fails on the way.

use std::time::Duration;

use gladly_relay::clock::Clock;
use gladly_relay::outcome::HandoffReason::CustomerRequested;
use gladly_relay::outcome::{Outcome, SkipReason};
use gladly_relay::sim::{
    AgentNull, ConversationView, Fault, GladlyOptions, Operation, Reply, What, When,
};
use gladly_relay::store::{DeadLetterId, Operations, RetryRequest};
use serde_json::json;

use crate::support::{Setup, TestRelay};

const EVERYTHING: &str = r#"
handoff_message = "One moment, a colleague will answer."
handoff_topic_id = "bot-handoff"
"#;

fn retry(relay: &TestRelay, id: DeadLetterId) -> RetryRequest {
    RetryRequest {
        id,
        now: relay.clock.now(),
    }
}

fn assert_with_humans(relay: &TestRelay, view: &ConversationView) {
    assert_eq!(view.inbox_id, relay.gladly.options().handoff_inbox_id);
    assert_eq!(view.agent_id, None);
    assert_eq!(view.status.as_str(), "OPEN");
}

#[tokio::test]
async fn message_note_and_topic_come_before_the_one_move() {
    let relay = Setup::policy(EVERYTHING).start().await;
    let (conversation, outcome) = relay.outcome_of("agent please").await;
    assert_eq!(outcome, Outcome::HandedOff(CustomerRequested));
    let view = relay.view(&conversation);
    assert_with_humans(&relay, &view);
    assert_eq!(
        relay.replies(&conversation),
        ["One moment, a colleague will answer."]
    );
    assert_eq!(view.notes().len(), 1);
    assert_eq!(view.topic_ids, ["bot-handoff"]);
    let operations: Vec<_> = relay
        .gladly
        .requests()
        .iter()
        .map(|request| request.operation)
        .collect();
    let expected = [
        Operation::GetItem,
        Operation::GetConversation,
        Operation::Reply,
        Operation::AddNote,
        Operation::AddTopics,
        Operation::PatchConversation,
    ];
    assert_eq!(operations, expected);
    relay.finish().await;
}

#[tokio::test]
async fn what_fails_before_the_move_does_not_stop_it() {
    for what in [
        What::status(400),
        What::status(500),
        What::CutBefore,
        What::status(404),
    ] {
        let relay = Setup::policy(EVERYTHING).start().await;
        for operation in [Operation::Reply, Operation::AddNote, Operation::AddTopics] {
            for _ in 0..2 {
                relay.gladly.spoil_next(operation, what.clone());
            }
        }
        let (conversation, outcome) = relay.outcome_of("agent please").await;
        assert_eq!(outcome, Outcome::HandedOff(CustomerRequested), "{what:?}");
        assert_with_humans(&relay, &relay.view(&conversation));
        relay.finish().await;
    }
}

#[tokio::test]
async fn nobody_is_named_as_gladly_accepts_it() {
    for agent_null in [
        AgentNull::Accepted,
        AgentNull::EmptyOnly,
        AgentNull::Refused,
    ] {
        let gladly = GladlyOptions {
            agent_null,
            ..Setup::default().gladly
        };
        let relay = Setup {
            gladly,
            ..Setup::default()
        }
        .start()
        .await;
        let (conversation, outcome) = relay.outcome_of("agent please").await;
        assert_eq!(
            outcome,
            Outcome::HandedOff(CustomerRequested),
            "{agent_null:?}"
        );
        assert_with_humans(&relay, &relay.view(&conversation));
        relay.finish().await;
    }
}

#[tokio::test]
async fn the_move_is_tried_until_it_holds_and_the_note_is_written_once() {
    for what in [
        What::status(503),
        What::CutBefore,
        What::CutAfter,
        What::StatusAfter(500),
        What::too_many(0),
    ] {
        let relay = TestRelay::start().await;
        relay.gladly.spoil_next(Operation::AddNote, what.clone());
        for _ in 0..2 {
            relay
                .gladly
                .spoil_next(Operation::PatchConversation, what.clone());
        }
        let (conversation, outcome) = relay.outcome_of("agent please").await;
        assert_eq!(outcome, Outcome::HandedOff(CustomerRequested), "{what:?}");
        let view = relay.view(&conversation);
        assert_with_humans(&relay, &view);
        assert_eq!(view.notes().len(), 1, "{what:?}");
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_human_who_has_it_already_keeps_it() {
    let relay = TestRelay::start().await;
    let conversation = relay.conversation();
    let held = relay.gladly.hold_next(Operation::GetItem);
    relay.says(&conversation, "agent please");
    held.reached().await;
    relay.gladly.take_over(&conversation);
    relay
        .gladly
        .wait_for(|world| world.undelivered() == 0)
        .await;
    held.release();
    assert_eq!(
        relay.next_outcome().await,
        Outcome::Skipped(SkipReason::HumanAssigned)
    );
    let view = relay.view(&conversation);
    assert_eq!(view.agent_id, Some(relay.gladly.options().human_agent_id));
    assert_eq!(view.notes().len(), 0);
    relay.finish().await;
}

#[tokio::test]
async fn a_move_that_gladly_refuses_for_good_is_a_dead_letter_that_can_be_retried() {
    let relay = Setup::policy("answer_deadline = \"1s\"\nhandoff_message = \"A person comes.\"")
        .start()
        .await;
    relay.gladly.fault(Fault {
        operation: Some(Operation::PatchConversation),
        when: When::Always,
        what: What::status(422),
    });
    let (conversation, outcome) = relay.outcome_of("agent please").await;
    assert!(matches!(outcome, Outcome::Dead(_)), "{outcome:?}");
    relay.gladly.clear_faults();
    let store = relay.running().store.clone();
    let letters = store.dead_letters().await.unwrap();
    assert_eq!(letters.len(), 1);
    assert!(
        store
            .retry_dead_letter(retry(&relay, letters[0].id))
            .await
            .unwrap()
    );
    assert_eq!(
        relay.outcomes(2).await[1],
        Outcome::HandedOff(CustomerRequested)
    );
    let notes = relay.view(&conversation).notes().len();
    assert_eq!(notes, 1, "the same note is not written again");
    assert_eq!(relay.replies(&conversation), ["A person comes."]);
    assert_with_humans(&relay, &relay.view(&conversation));
    relay.finish().await;
}

#[tokio::test]
async fn a_dead_turn_that_may_have_answered_is_retried_as_a_handoff() {
    let relay = TestRelay::start().await;
    relay.gladly.spoil_next(Operation::Reply, What::CutAfter);
    for _ in 0..200 {
        relay
            .gladly
            .spoil_next(Operation::ListItems, What::status(503));
    }
    let conversation = relay.conversation();
    relay.says(&conversation, "hello");
    relay.running().store.put_off(1).await;
    relay.gladly.down(gladly_relay::sim::Outage::Status(503));
    relay.clock.advance(Duration::from_hours(25));
    assert!(matches!(relay.next_outcome().await, Outcome::Dead(_)));
    relay.gladly.up();
    relay.gladly.clear_faults();
    let store = relay.running().store.clone();
    let letters = store.dead_letters().await.unwrap();
    assert!(
        store
            .retry_dead_letter(retry(&relay, letters[0].id))
            .await
            .unwrap()
    );
    assert!(matches!(relay.outcomes(2).await[1], Outcome::HandedOff(_)));
    assert_eq!(
        relay.replies(&conversation).len(),
        1,
        "the bot is not asked again"
    );
    assert_with_humans(&relay, &relay.view(&conversation));
    relay.finish().await;
}

#[tokio::test]
async fn what_never_succeeds_before_the_move_does_not_stop_it() {
    for what in [What::status(500), What::CutBefore] {
        let relay = Setup::policy(EVERYTHING).start().await;
        for operation in [Operation::Reply, Operation::AddNote, Operation::AddTopics] {
            relay.gladly.fault(Fault {
                operation: Some(operation),
                when: When::Always,
                what: what.clone(),
            });
        }
        let (conversation, outcome) = relay.outcome_of("agent please").await;
        assert_eq!(outcome, Outcome::HandedOff(CustomerRequested), "{what:?}");
        assert_with_humans(&relay, &relay.view(&conversation));
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_move_that_meets_a_closed_conversation_leaves_it() {
    let relay = TestRelay::start().await;
    let closed = json!({"errors": [{"attr": "assignee", "code": "invalid_state",
        "detail": "closed conversation cannot be reassigned"}]});
    let refusal = Reply {
        status: 400,
        headers: Vec::new(),
        body: closed.to_string(),
    };
    relay
        .gladly
        .spoil_next(Operation::PatchConversation, What::Status(refusal));
    let (_, outcome) = relay.outcome_of("agent please").await;
    assert_eq!(outcome, Outcome::Skipped(SkipReason::Closed));
    relay.finish().await;
}

#[tokio::test]
async fn outcomes_and_their_reasons_are_counted() {
    let relay = TestRelay::start().await;
    relay.outcome_of("hello").await;
    let other = relay.conversation();
    relay.says(&other, "agent please");
    relay.outcomes(2).await;
    let metrics = relay.metrics().await;
    for line in [
        r#"gladly_relay_turns_total{account="acme",outcome="replied"} 1"#,
        r#"gladly_relay_turns_total{account="acme",outcome="handed_off"} 1"#,
        r#"gladly_relay_handoffs_total{account="acme",reason="customer_requested"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    relay.finish().await;
}
