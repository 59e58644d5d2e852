//! A fault at every point in turn: each call to Gladly and Gleen, each write to
//! the store, each with every kind of fault. Whatever happens, the customer
//! gets the bot's answer or a human, and exactly one of them.
//!
//! The cases are drawn anew each time; a failure prints the seed that draws them
//! again as `RELAY_TEST_SEED`.

use gladly_relay::outcome::Outcome;
use gladly_relay::sim::{Fault, What, When};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::support::{Setup, TestRelay};

const POLICY: &str = "handoff_topic_id = \"bot-handoff\"\nanswer_deadline = \"20s\"";

#[derive(Debug, Clone, Copy)]
enum Point {
    Gladly(u32),
    Gleen(u32),
    Store(usize),
}

fn faults() -> Vec<What> {
    vec![
        What::CutBefore,
        What::CutAfter,
        What::status(500),
        What::StatusAfter(502),
        What::status(503),
        What::too_many(0),
        What::Garbage,
    ]
}

fn spoil(relay: &TestRelay, point: Point, what: What) {
    match point {
        Point::Gladly(number) => {
            relay.gladly.fault(Fault {
                operation: None,
                when: When::Nth(number),
                what,
            });
        }
        Point::Gleen(number) => {
            relay.gleen.fault(Fault {
                operation: None,
                when: When::Nth(number),
                what,
            });
        }
        Point::Store(number) => relay.running().store.fail_save(number),
    }
}

/// Runs one message through the faults and holds the promise.
async fn holds(text: &str, spoiled: &[(Point, What)]) {
    let relay = Setup::policy(POLICY).start().await;
    for (point, what) in spoiled {
        spoil(&relay, *point, what.clone());
    }
    let (conversation, outcome) = relay.outcome_of(text).await;
    let view = relay.view(&conversation);
    let (replies, with_humans) = (view.replies().len(), view.inbox_id == "human-inbox");
    match outcome {
        Outcome::Replied => assert!(replies == 1 && !with_humans, "{spoiled:?}"),
        Outcome::HandedOff(_) => assert!(replies == 0 && with_humans, "{spoiled:?}"),
        other => panic!("{other:?} after {spoiled:?}"),
    }
    assert!(view.notes().len() <= 1, "{spoiled:?}");
    relay.finish().await;
}

#[tokio::test]
async fn one_fault_anywhere_leaves_one_outcome() {
    let gladly = (1..=6).map(Point::Gladly);
    for point in gladly.chain([Point::Gleen(1)]) {
        for what in faults() {
            for text in ["hello", "agent please"] {
                holds(text, &[(point, what.clone())]).await;
            }
        }
    }
}

#[tokio::test]
async fn a_write_that_fails_anywhere_leaves_one_outcome() {
    for number in 1..=9 {
        for text in ["hello", "agent please"] {
            holds(text, &[(Point::Store(number), What::CutBefore)]).await;
        }
    }
}

#[test]
fn several_faults_anywhere_leave_one_outcome() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let point = prop_oneof![
        4 => (1_u32..10).prop_map(Point::Gladly),
        1 => (1_u32..4).prop_map(Point::Gleen),
        1 => (1_usize..10).prop_map(Point::Store),
    ];
    let what = proptest::sample::select(faults());
    let several = proptest::collection::vec((point, what), 2..6);
    let text = proptest::sample::select(vec!["hello", "agent please"]);
    let config = Config {
        cases: 48,
        failure_persistence: None,
        ..Config::default()
    };
    let given = std::env::var("RELAY_TEST_SEED").ok();
    let seed: u64 = given.map_or_else(|| fastrand::u64(..), |seed| seed.parse().unwrap());
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    TestRunner::new_with_rng(config, rng)
        .run(&(several, text), |(spoiled, text)| {
            runtime.block_on(holds(text, &spoiled));
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("RELAY_TEST_SEED={seed} draws this again: {failure}"));
}
