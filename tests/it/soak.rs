//! Short runs of `bench chaos`: relays are killed at random while both services fail
//! and webhooks come twice and late, and nobody is forgotten.

use std::path::PathBuf;
use std::sync::Arc;

use gladly_relay::bench::chaos::{Plan, Verdict, run};
use gladly_relay::bench::{Databases, OwnPostgres};

use crate::support::skipped;

#[tokio::test]
async fn killed_and_failing_at_random_nothing_is_lost_twice_or_out_of_order() {
    play(400, 1, 5, Databases::Files).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_relays_and_their_database_may_be_killed_at_random_too() {
    if OwnPostgres::programs().is_none() {
        return skipped("PostgreSQL");
    }
    play(200, 2, 3, Databases::parse("postgres").unwrap()).await;
}

async fn play(messages: usize, relays: usize, kills: usize, databases: Databases) {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan {
        binary: PathBuf::from(env!("CARGO_BIN_EXE_gladly-relay")),
        folder: folder.path().to_owned(),
        messages,
        conversations: 40,
        messages_per_second: 50.0 / f64::from(u32::try_from(relays).unwrap()),
        kills,
        relays,
        database_crashes: relays - 1,
        databases: Arc::new(databases),
        faults: 0.1,
        seed: 20_261_121,
    };
    let result = run(plan).await.unwrap();
    // How late is measured by the bench, on a quiet machine; not asserted here.
    let verdict = Verdict {
        late: 0,
        ..result.verdict.clone()
    };
    assert!(
        verdict.holds() && result.dead == 0,
        "repeat with this seed:\n{result}"
    );
    assert_eq!(verdict.accepted, messages, "{result}");
    assert_eq!(
        verdict.replied + verdict.handed_off + verdict.skipped,
        messages,
        "{result}"
    );
}
