//! A question whose fate is unknown is asked once more while there is time: the
//! bot's memory may hold it twice, the customer reads one answer.

use std::time::Duration;

use gladly_relay::outcome::HandoffReason::BotError;
use gladly_relay::outcome::Outcome;
use gladly_relay::sim::{
    Fault, Gate, GladlyWorld, GleenOptions, GleenWorld, Operation, Outage, Reply, What, When,
};
use serde_json::json;

use crate::support::{RelayProcess, Setup, TestRelay, asked_by_customers, soon};

fn uncertain() -> [What; 7] {
    [
        What::CutBefore,
        What::CutAfter,
        What::status(502),
        What::status(503),
        What::status(504),
        What::StatusAfter(502),
        What::StatusAfter(504),
    ]
}

#[tokio::test]
async fn a_question_of_unknown_fate_is_asked_once_more_on_the_same_thread() {
    for what in uncertain() {
        let relay = TestRelay::start().await;
        let (conversation, _) = relay.outcome_of("first").await;
        relay.gleen.spoil_next(Operation::SendMessage, what.clone());
        relay.says(&conversation, "second");
        assert_eq!(relay.outcomes(2).await[1], Outcome::Replied, "{what:?}");
        let answers = ["You asked: first", "You asked: second"];
        assert_eq!(relay.replies(&conversation), answers, "{what:?}");
        assert_eq!(relay.gleen.requests().len(), 3, "{what:?}");
        let questions = relay.gleen.questions();
        let thread = &questions[0].thread_id;
        assert!(
            questions
                .iter()
                .all(|question| question.thread_id == *thread)
        );
        relay.finish().await;
    }
}

#[tokio::test]
async fn it_is_never_asked_a_third_time() {
    for what in uncertain() {
        let relay = TestRelay::start().await;
        relay.gleen.fault(Fault {
            operation: None,
            when: When::Always,
            what: what.clone(),
        });
        let (conversation, outcome) = relay.outcome_of("hello").await;
        assert_eq!(outcome, Outcome::HandedOff(BotError), "{what:?}");
        assert_eq!(relay.gleen.requests().len(), 2, "{what:?}");
        assert_eq!(relay.replies(&conversation).len(), 0, "{what:?}");
        relay.finish().await;
    }
}

#[tokio::test]
async fn it_is_not_asked_again_where_the_deadline_would_pass_first() {
    let relay = TestRelay::start().await;
    let wait = Reply {
        status: 503,
        headers: vec![("Retry-After".to_owned(), "300".to_owned())],
        body: String::new(),
    };
    relay
        .gleen
        .spoil_next(Operation::SendMessage, What::Status(wait));
    let (_, outcome) = relay.outcome_of("hello").await;
    assert_eq!(outcome, Outcome::HandedOff(BotError));
    assert_eq!(relay.gleen.requests().len(), 1);
    relay.finish().await;
}

#[tokio::test]
async fn what_gleen_refused_to_take_may_be_asked_three_times() {
    let relay = TestRelay::start().await;
    relay.gleen.fault(Fault {
        operation: None,
        when: When::Next(2),
        what: What::too_many(0),
    });
    assert_eq!(relay.outcome_of("hello").await.1, Outcome::Replied);
    assert_eq!(relay.gleen.requests().len(), 3);
    // One of unknown fate among them counts for itself.
    relay.gleen.fault(Fault {
        operation: None,
        when: When::Next(1),
        what: What::CutAfter,
    });
    relay.gleen.fault(Fault {
        operation: None,
        when: When::Next(2),
        what: What::too_many(0),
    });
    let conversation = relay.conversation();
    relay.says(&conversation, "again");
    assert_eq!(relay.outcomes(2).await[1], Outcome::Replied);
    assert_eq!(relay.gleen.requests().len(), 7);
    relay.finish().await;
}

#[tokio::test]
async fn a_gleen_that_cannot_be_reached_means_a_human() {
    let relay = TestRelay::start().await;
    relay.gleen.down(Outage::Cut);
    relay.gleen.shutdown().await;
    let (_, outcome) = relay.outcome_of("hello").await;
    assert_eq!(outcome, Outcome::HandedOff(BotError));
    relay.finish().await;
}

#[tokio::test]
async fn killed_while_gleen_thinks_it_asks_once_more_and_killed_twice_a_human_answers() {
    for kills in [1, 2] {
        let mut relay = Setup::default().start_without_relay().await;
        let mut process = RelayProcess::start(&relay.config_file()).await;
        relay.point_webhook_to(&process.url);
        let conversation = relay.conversation();
        let (gate, _held) = Gate::new();
        relay.gleen.fault(Fault {
            operation: Some(Operation::SendMessage),
            when: When::Always,
            what: What::HoldAnswer(gate),
        });
        relay.says(&conversation, "hello");
        for kill in 1..=kills {
            let asked = |world: &GleenWorld| asked_by_customers(world.questions()) == kill;
            soon(relay.gleen.wait_for(asked)).await;
            process.kill().await;
            if kill == kills {
                relay.gleen.clear_faults();
            }
            process = RelayProcess::start_unchecked(&relay.config_file()).await;
        }
        let settled = |world: &gladly_relay::sim::GladlyWorld| {
            let view = world.conversation(&conversation).unwrap();
            !view.replies().is_empty() || view.inbox_id == "human-inbox"
        };
        soon(relay.gladly.wait_for(settled)).await;
        assert_eq!(process.terminate().await, Some(0));
        let asked = asked_by_customers(&relay.gleen.questions());
        assert_eq!(asked, 2, "{kills}");
        let (replies, inbox_id) = if kills == 1 {
            (1, "ai-inbox")
        } else {
            (0, "human-inbox")
        };
        assert_eq!(relay.replies(&conversation).len(), replies, "{kills}");
        assert_eq!(relay.view(&conversation).inbox_id, inbox_id, "{kills}");
    }
}

#[tokio::test]
async fn killed_after_the_bot_thought_long_it_gives_that_answer() {
    let gleen = GleenOptions {
        think_time: Duration::from_millis(300),
        ..Setup::default().gleen
    };
    let mut relay = Setup {
        gleen,
        ..Setup::default()
    }
    .start_without_relay()
    .await;
    let process = RelayProcess::start(&relay.config_file()).await;
    relay.point_webhook_to(&process.url);
    let conversation = relay.conversation();
    let held = relay.gladly.hold_next(Operation::GetConversation);
    relay.says(&conversation, "hello");
    soon(held.reached()).await;
    process.kill().await;
    held.release();
    let process = RelayProcess::start(&relay.config_file()).await;
    let replied = |world: &GladlyWorld| {
        let view = world.conversation(&conversation).unwrap();
        !view.replies().is_empty()
    };
    soon(relay.gladly.wait_for(replied)).await;
    assert_eq!(process.terminate().await, Some(0));
    assert_eq!(relay.replies(&conversation), ["You asked: hello"]);
    assert_eq!(asked_by_customers(&relay.gleen.questions()), 1);
}

#[tokio::test]
async fn a_thread_id_that_nobody_would_give_is_not_kept_nor_sent_back() {
    let relay = TestRelay::start().await;
    let conversation = relay.conversation();
    let thread_id = "x".repeat(900_000);
    let answer = json!({"thread_id": thread_id, "response": "one"});
    relay.gleen.answer_next(answer);
    for (count, text) in [(1, "first"), (2, "second")] {
        relay.says(&conversation, text);
        assert_eq!(relay.outcomes(count).await[count - 1], Outcome::Replied);
    }
    // Had it been sent, Gleen would have said that there is no such thread.
    assert_eq!(relay.gleen.requests().len(), 2);
    let log = relay.database().with_extension("db-wal");
    let kept =
        std::fs::metadata(log).unwrap().len() + std::fs::metadata(relay.database()).unwrap().len();
    assert!(kept < 900_000, "{kept}");
    relay.finish().await;
}
