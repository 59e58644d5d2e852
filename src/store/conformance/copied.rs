//! A store that was copied goes on as the original does, whatever happened before.

use proptest::prelude::*;
use tempfile::TempDir;

use super::bench::Bench;
use super::equivalence::{Pair, Step, step};
use crate::store::copy::tests::content;
use crate::store::postgres::tests::{Own, key};
use crate::store::{CopiedWords, StoreAddress, copy};

/// Plays the steps, copies from SQLite to PostgreSQL and back, and plays more on one of
/// the copies: all answers are those of a store that was never copied.
async fn play(before: Vec<Step>, after: Vec<Step>, back: bool) {
    let Some(own) = Own::new() else { return };
    let mut pair = Pair::new(Bench::sqlite().await);
    for step in before {
        pair.step(step).await;
    }
    let folder = TempDir::new().unwrap();
    let there = StoreAddress::Postgres(own.address());
    let here = StoreAddress::Sqlite(folder.path().join("store.db"));
    let from = let_go_of(&pair).await;
    copy(&from, &there, key(), CopiedWords::Kept).await.unwrap();
    copy(&there, &here, key(), CopiedWords::Kept).await.unwrap();
    assert_eq!(content(&from).await, content(&here).await);
    pair.other = if back {
        Bench::sqlite_in(folder).await
    } else {
        Bench::Postgres(Box::new(own.open().await), own)
    };
    pair.step(Step::Restart).await;
    for step in after {
        // PostgreSQL forgets by the hour.
        if back || !matches!(step, Step::Purge(_)) {
            pair.step(step).await;
        }
    }
}

/// Where the original is, at rest.
async fn let_go_of(pair: &Pair) -> StoreAddress {
    let Bench::Sqlite(store, folder) = &pair.other else {
        panic!("it is in a file");
    };
    crate::store::Store::close(store).await;
    StoreAddress::Sqlite(folder.path().join("store.db"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_copy_answers_as_the_original(
        before in prop::collection::vec(step(), 1..50),
        after in prop::collection::vec(step(), 1..30),
        back in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(play(before, after, back));
        runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    }
}
