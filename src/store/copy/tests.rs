//! What is copied, and when nothing is.

use std::path::Path;

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::outcome::Outcome;
use crate::store::conformance::bench::{Bench, ended, message, running, save};
use crate::store::postgres::tests::{Own, key};
use crate::store::{Sqlite, Store as _};

/// All rows, words opened, and the highest numbers.
pub(in crate::store) async fn content(
    address: &StoreAddress,
) -> (Vec<(&'static str, Vec<Row>)>, Highest) {
    let mut source = Source::open(address, key().as_ref()).await.unwrap();
    let mut all = Vec::new();
    for table in &TABLES {
        let mut rows: Vec<Row> = Vec::new();
        loop {
            let after = rows.last().map(|row| row[..table.key].to_vec());
            let page = source.page(table, after.as_deref()).await.unwrap();
            if page.is_empty() {
                break;
            }
            rows.extend(page);
        }
        if *table == TURNS {
            assert_eq!(source.open_words(&mut rows), 0);
        }
        if *table == CONVERSATIONS {
            rows.iter_mut().try_for_each(let_go).unwrap();
        }
        all.push((table.name, rows));
    }
    let highest = source.highest().await.unwrap();
    source.close().await;
    (all, highest)
}

fn file(folder: &TempDir) -> StoreAddress {
    StoreAddress::Sqlite(folder.path().join("store.db"))
}

/// A file at rest in which one turn runs and one has ended.
async fn at_rest() -> TempDir {
    let bench = Bench::sqlite().await;
    let turn = bench.begin_one().await;
    let done = save(&turn, 1, 2, vec![], ended(Outcome::Replied));
    bench.store().save(done).await.unwrap();
    bench.record(message("e2", "d", "i2", 3)).await;
    let turn = bench.claim_one(1, 4).await;
    let runs = save(&turn, 1, 5, vec![], running("going on"));
    bench.store().save(runs).await.unwrap();
    bench.store().close().await;
    match bench {
        Bench::Sqlite(_, folder) => folder,
        _ => panic!("it is in a file"),
    }
}

async fn refusal(from: &StoreAddress, to: &StoreAddress) -> String {
    let copied = copy(from, to, key(), CopiedWords::Kept).await;
    copied.unwrap_err().to_string()
}

#[tokio::test]
async fn every_column_of_both_databases_is_copied() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store.db");
    Sqlite::open(&path).await.unwrap().close().await;
    let own = Own::new();
    if let Some(own) = &own {
        own.open().await.close().await;
    }
    let connection = Connection::open(path).unwrap();
    for table in &TABLES {
        let mut expected: Vec<_> = table.names().map(str::to_owned).collect();
        expected.sort();
        let mut found = connection
            .prepare("SELECT name FROM pragma_table_info(?) WHERE NOT (name = 'id' AND ?1 = 'conversations') ORDER BY name")
            .unwrap();
        let found = found.query_map([table.name], |row| row.get::<_, String>(0));
        let found: Vec<String> = found.unwrap().map(Result::unwrap).collect();
        assert_eq!(found, expected, "{}", table.name);
        if let Some(own) = &own {
            let found = own.sql(&format!(
                "SELECT column_name FROM information_schema.columns
                 WHERE table_name = '{}' ORDER BY column_name COLLATE \"C\"",
                table.name
            ));
            assert_eq!(found, expected.join("\n"), "{}", table.name);
        }
    }
}

#[tokio::test]
async fn tables_of_many_pages_are_copied_whole() {
    let Some(own) = Own::new() else { return };
    own.open().await.close().await;
    own.sql(
        "INSERT INTO events SELECT 'a' || n % 3, 'e' || n, n, n FROM generate_series(1, 1203) n;
         INSERT INTO totals SELECT n, 'a', 'b', 'c', 0, 0, n, n, n, n FROM generate_series(1, 1000) n;
         SELECT setval('turn_ids', 5001), setval('dead_letters_id_seq', 7)",
    );
    let (folder, from) = (
        TempDir::new().unwrap(),
        StoreAddress::Postgres(own.address()),
    );
    let to = file(&folder);
    let copied = copy(&from, &to, key(), CopiedWords::Kept).await.unwrap();
    let counts: Vec<_> = copied.iter().map(|copied| copied.rows).collect();
    assert_eq!(counts, [0, 1203, 0, 0, 0, 0, 0, 1000]);
    let (there, here) = (content(&from).await, content(&to).await);
    assert_eq!(there, here);
    let given = Highest {
        turn: 6_000,
        dead_letter: 7,
    };
    assert_eq!(here.1, given, "no number is given twice");
}

#[tokio::test]
async fn what_ran_runs_for_nobody_in_the_copy() {
    let Some(own) = Own::new() else { return };
    let (full, to) = (at_rest().await, StoreAddress::Postgres(own.address()));
    copy(&file(&full), &to, key(), CopiedWords::Kept)
        .await
        .unwrap();
    let bench = Bench::Postgres(Box::new(own.open().await), own);
    // The number by which it ran there is somebody else's here.
    let turn = bench.claim_one(1, 9).await;
    assert_eq!(turn.words.as_deref(), Some("words of going on"));
}

#[tokio::test]
async fn nothing_is_copied_from_or_to_a_file_in_use() {
    let (used, target) = (at_rest().await, TempDir::new().unwrap());
    let store = Sqlite::open(&used.path().join("store.db")).await.unwrap();
    let other = at_rest().await;
    for (from, to) in [(&used, &target), (&other, &used), (&other, &other)] {
        let told = refusal(&file(from), &file(to)).await;
        assert!(told.contains("in use"), "{told}");
    }
    store.close().await;
    let copied = copy(&file(&used), &file(&target), key(), CopiedWords::Kept).await;
    assert!(copied.is_ok(), "{copied:?}");
}

#[tokio::test]
async fn nothing_is_copied_while_a_relay_shares_the_database() {
    let Some(own) = Own::new() else { return };
    own.open().await.close().await;
    own.sql("INSERT INTO relays VALUES ('r1', 'relay-one', '{}', now())");
    let (database, full) = (StoreAddress::Postgres(own.address()), at_rest().await);
    let target = TempDir::new().unwrap();
    for (from, to) in [(&database, &file(&target)), (&file(&full), &database)] {
        let told = refusal(from, to).await;
        assert!(told.contains("the relay relay-one uses"), "{told}");
    }
    own.sql("UPDATE relays SET seen_at = now() - interval '9 seconds'");
    let copied = copy(&file(&full), &database, key(), CopiedWords::Kept).await;
    assert!(copied.is_ok(), "{copied:?}");
}

#[tokio::test]
async fn what_is_not_empty_is_left_alone() {
    let full = at_rest().await;
    let other = at_rest().await;
    let told = refusal(&file(&full), &file(&other)).await;
    assert!(told.contains("not empty"), "{told}");
    let Some(own) = Own::new() else { return };
    own.open().await.close().await;
    own.sql("INSERT INTO sweeps VALUES ('acme', 1)");
    let told = refusal(&file(&full), &StoreAddress::Postgres(own.address())).await;
    assert!(told.contains("not empty (it has sweeps)"), "{told}");
}

#[tokio::test]
async fn a_copy_that_fails_leaves_an_empty_target() {
    let full = at_rest().await;
    std::fs::remove_file(full.path().join("store.db-keys")).unwrap();
    let target = TempDir::new().unwrap();
    let mut targets = vec![file(&target)];
    let own = Own::new();
    targets.extend(own.iter().map(|own| StoreAddress::Postgres(own.address())));
    for to in &targets {
        let told = refusal(&file(&full), to).await;
        assert!(told.contains("the words of 1 unfinished turns"), "{told}");
        let rows = content(to).await.0.into_iter().flat_map(|(_, rows)| rows);
        assert_eq!(rows.count(), 0);
        let copied = copy(&file(&full), to, key(), CopiedWords::LeftOut).await;
        assert!(copied.is_ok(), "{copied:?}");
    }
}

#[tokio::test]
async fn words_of_a_file_without_a_master_key_are_sealed_with_it_from_then_on() {
    let (bench, folder) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let path = bench.path().join("store.db");
    let store = Sqlite::open(&path).await.unwrap();
    let bench_of = Bench::Sqlite(store, bench);
    let turn = bench_of.begin_one().await;
    let runs = save(&turn, 1, 2, vec![], running("going on"));
    bench_of.store().save(runs).await.unwrap();
    bench_of.store().close().await;
    let (from, to) = (StoreAddress::Sqlite(path), file(&folder));
    copy(&from, &to, key(), CopiedWords::Kept).await.unwrap();
    assert_eq!(content(&from).await, content(&to).await);
    assert_eq!(words(&folder.path().join("store.db"), None).await, None);
    let opened = words(&folder.path().join("store.db"), key()).await;
    assert_eq!(opened.as_deref(), Some("words of going on"));
}

/// The words of the one turn that is due.
async fn words(path: &Path, master: Option<MasterKey>) -> Option<String> {
    let folder = TempDir::new().unwrap();
    for suffix in ["", "-keys"] {
        let name = format!("{}{suffix}", path.display());
        std::fs::copy(name, folder.path().join(format!("store.db{suffix}"))).unwrap();
    }
    let copy = folder.path().join("store.db");
    let store = Sqlite::open_sealed(&copy, master).await.unwrap();
    let bench = Bench::Sqlite(store, folder);
    let words = bench.claim_one(2, 9).await.words;
    bench.store().close().await;
    words
}
