//! A short run of `bench chaos`: the relay is killed at random while both
//! services fail and webhooks come twice and late, and nobody is forgotten.

use std::path::PathBuf;

use gladly_relay::bench::chaos::{Plan, Verdict, run};

#[tokio::test]
async fn killed_and_failing_at_random_nothing_is_lost_twice_or_out_of_order() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan {
        binary: PathBuf::from(env!("CARGO_BIN_EXE_gladly-relay")),
        folder: folder.path().to_owned(),
        messages: 400,
        conversations: 40,
        messages_per_second: 50.0,
        kills: 5,
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
    assert_eq!(verdict.accepted, 400, "{result}");
    assert_eq!(
        verdict.replied + verdict.handed_off + verdict.skipped,
        400,
        "{result}"
    );
}
