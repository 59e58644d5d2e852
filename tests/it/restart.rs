//! kill -9 anywhere, start again, and the customer still gets exactly one
//! outcome.

use gladly_relay::sim::{Fault, Gate, GladlyWorld, Hold, Operation, What, When};

use crate::support::{RelayProcess, Setup, TestRelay, soon};

/// Whether the conversation has what its turn was to bring about.
fn is_settled(world: &GladlyWorld, conversation: &str) -> bool {
    let view = world.conversation(conversation).unwrap();
    !view.replies().is_empty() || view.inbox_id == "human-inbox"
}

async fn run_killed_at(
    text: &str,
    number: u32,
    after_effect: bool,
    gleen: bool,
) -> (TestRelay, String) {
    let mut relay = Setup::default().start_without_relay().await;
    let process = RelayProcess::start(&relay.config_file()).await;
    relay.point_webhook_to(&process.url);
    let hold = hold(&relay, number, after_effect, gleen);
    let conversation = relay.conversation();
    relay.says(&conversation, text);
    soon(hold.reached()).await;
    process.kill().await;
    hold.release();
    let process = RelayProcess::start(&relay.config_file()).await;
    soon(
        relay
            .gladly
            .wait_for(|world| is_settled(world, &conversation)),
    )
    .await;
    assert_eq!(process.terminate().await, Some(0));
    (relay, conversation)
}

/// Holds the call with this number, of either service.
fn hold(relay: &TestRelay, number: u32, after_effect: bool, gleen: bool) -> Hold {
    let (gate, hold) = Gate::new();
    let what = if after_effect {
        What::HoldAnswer(gate)
    } else {
        What::Hold(gate)
    };
    let fault = Fault {
        operation: None,
        when: When::Nth(number),
        what,
    };
    if gleen {
        relay.gleen.fault(fault);
    } else {
        relay.gladly.fault(fault);
    }
    hold
}

#[tokio::test]
async fn killed_at_any_call_an_answer_is_given_once() {
    for after_effect in [false, true] {
        for (number, gleen) in [(1, false), (1, true), (2, false), (3, false)] {
            let (relay, conversation) = run_killed_at("hello", number, after_effect, gleen).await;
            let what =
                format!("call {number}, after its effect: {after_effect}, of Gleen: {gleen}");
            assert_eq!(relay.replies(&conversation), ["You asked: hello"], "{what}");
            assert_eq!(relay.view(&conversation).inbox_id, "ai-inbox", "{what}");
        }
    }
}

#[tokio::test]
async fn killed_at_any_call_a_handoff_is_made_once() {
    for after_effect in [false, true] {
        for number in 1..=4 {
            let (relay, conversation) =
                run_killed_at("agent please", number, after_effect, false).await;
            let view = relay.view(&conversation);
            let what = format!("call {number}, after its effect: {after_effect}");
            assert_eq!(view.inbox_id, "human-inbox", "{what}");
            assert_eq!(view.notes().len(), 1, "{what}");
            assert_eq!(view.replies().len(), 0, "{what}");
        }
    }
}

#[tokio::test]
async fn what_was_accepted_before_the_kill_is_answered_after_it() {
    let mut relay = Setup::default().start_without_relay().await;
    let process = RelayProcess::start(&relay.config_file()).await;
    relay.point_webhook_to(&process.url);
    let held = relay.gladly.hold_next(Operation::GetItem);
    let conversations: Vec<String> = (0..20).map(|_| relay.conversation()).collect();
    for conversation in &conversations {
        relay.says(conversation, "hello");
    }
    soon(held.reached()).await;
    soon(relay.gladly.wait_for(|world| world.undelivered() == 0)).await;
    process.kill().await;
    held.release();
    let process = RelayProcess::start(&relay.config_file()).await;
    let all_settled = |world: &GladlyWorld| {
        conversations
            .iter()
            .all(|conversation| is_settled(world, conversation))
    };
    soon(relay.gladly.wait_for(all_settled)).await;
    assert_eq!(process.terminate().await, Some(0));
    for conversation in &conversations {
        assert_eq!(relay.replies(conversation).len(), 1);
    }
}

#[tokio::test]
async fn a_stop_lets_a_running_turn_finish_and_takes_no_more() {
    let mut relay = TestRelay::start().await;
    let conversation = relay.conversation();
    let held = relay.gleen.hold_next(Operation::SendMessage);
    relay.says(&conversation, "hello");
    soon(held.reached()).await;
    let store = relay.running().store.clone();
    let stopping = async { relay.stop().await };
    let releasing = async { held.release() };
    tokio::join!(stopping, releasing);
    assert_eq!(soon(store.outcomes(1)).await.len(), 1);
    assert_eq!(relay.replies(&conversation).len(), 1);
}

#[tokio::test]
async fn a_stop_whose_grace_is_over_leaves_the_turn_for_the_next_start() {
    let mut relay = Setup::default().start_without_relay().await;
    relay.toml = relay
        .toml
        .replace("shutdown_grace = \"10s\"", "shutdown_grace = \"50ms\"");
    relay.boot().await;
    let conversation = relay.conversation();
    let held = relay.gleen.hold_next(Operation::SendMessage);
    relay.says(&conversation, "hello");
    soon(held.reached()).await;
    relay.stop().await;
    held.release();
    relay.boot().await;
    relay.outcomes(1).await;
    assert_eq!(relay.replies(&conversation).len(), 1);
    relay.finish().await;
}
