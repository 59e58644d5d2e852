//! A file is deleted, replaced, cut short or written over while it is open.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use super::super::watch::Watch;
use super::Folder;
use crate::store::conformance::bench::{at, claim, message, running, save};
use crate::store::{Operations, Recorded, Sqlite, Store, StoreError};

async fn opened() -> (Folder, Sqlite) {
    let folder = Folder::new();
    let store = folder.open().await;
    store.record(message("e1", "c", "i1", 0)).await.unwrap();
    // It would find damage where the file is cut.
    store.check.as_ref().unwrap().ended().await;
    (folder, store)
}

async fn assert_gone(store: &Sqlite) {
    let gone = |error| matches!(error, StoreError::Gone { .. });
    for _ in 0..2 {
        assert!(gone(
            store.record(message("e2", "c", "i2", 1)).await.unwrap_err()
        ));
        assert!(gone(store.probe().await.unwrap_err()));
        assert!(gone(store.purge(at(0)).await.unwrap_err()));
    }
}

#[tokio::test]
async fn a_deleted_file_is_noticed() {
    for suffix in ["", "-wal", "-shm", "-keys", "-lock"] {
        let (folder, store) = opened().await;
        fs::remove_file(folder.file(suffix)).unwrap();
        assert_gone(&store).await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_replaced_file_is_noticed_and_not_touched() {
    for suffix in ["", "-wal", "-shm", "-keys", "-lock"] {
        let (folder, store) = opened().await;
        let copy = fs::read(folder.file(suffix)).unwrap();
        fs::remove_file(folder.file(suffix)).unwrap();
        fs::write(folder.file(suffix), &copy).unwrap();
        assert_gone(&store).await;
        store.close().await;
        assert_eq!(fs::read(folder.file(suffix)).unwrap(), copy);
    }
}

#[tokio::test]
async fn whoever_lost_its_lock_leaves_the_file_to_the_next() {
    let (folder, store) = opened().await;
    fs::remove_file(folder.file("-lock")).unwrap();
    let next = folder.open().await;
    assert_gone(&store).await;
    record(&next, 10..11).await;
    assert_gone(&store).await;
    store.close().await;
    record(&next, 11..12).await;
}

#[tokio::test]
async fn a_file_cut_short_is_noticed() {
    for (suffix, length) in [
        ("", 4096),
        ("", 0),
        ("-wal", 5000),
        ("-wal", 0),
        ("-keys", 9),
    ] {
        let (folder, store) = opened().await;
        let file = fs::File::options()
            .write(true)
            .open(folder.file(suffix))
            .unwrap();
        file.set_len(length).unwrap();
        assert_gone(&store).await;
        store.close().await;
    }
}

/// As `cp` does it: the file stays the same, and gets a new time.
fn write_over(file: &Path, content: &[u8]) {
    let modified = || fs::metadata(file).unwrap().modified().unwrap();
    let before = modified();
    // Some systems' clocks for files go in steps of milliseconds.
    while modified() == before {
        let mut options = fs::File::options();
        let mut opened = options.write(true).truncate(true).open(file).unwrap();
        opened.write_all(content).unwrap();
    }
}

async fn record(store: &Sqlite, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let (event, item) = (format!("e{number}"), format!("i{number}"));
        let told = store.record(message(&event, "c", &item, number)).await;
        assert_eq!(told.unwrap(), Recorded::Accepted);
    }
}

#[tokio::test]
async fn a_database_that_a_backup_was_copied_over_is_noticed_and_the_backup_kept() {
    let (folder, store) = opened().await;
    let backup = folder.file("-backup");
    folder.sql(&format!("VACUUM INTO '{}'", backup.display()));
    let backup = fs::read(backup).unwrap();
    record(&store, 10..40).await;
    write_over(&folder.path(), &backup);
    assert_gone(&store).await;
    // Whoever looks by hand sees a mixture, and may be told that it is damaged.
    let by_hand = Connection::open(folder.path()).unwrap();
    drop(by_hand.execute_batch("PRAGMA wal_checkpoint(NOOP)"));
    drop(by_hand);
    store.close().await;
    assert_eq!(fs::read(folder.path()).unwrap(), backup);
    let store = folder.open().await;
    assert_eq!(folder.number("SELECT count(*) FROM events"), 1);
    record(&store, 10..40).await;
    let connection = Connection::open(folder.path()).unwrap();
    let verdict = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0));
    assert_eq!(verdict, Ok("ok".to_owned()));
}

#[tokio::test]
async fn a_database_that_its_own_older_content_was_copied_over_is_noticed() {
    let (folder, store) = opened().await;
    store.purge(at(0)).await.unwrap();
    let older = fs::read(folder.path()).unwrap();
    store.probe().await.unwrap();
    store.purge(at(0)).await.unwrap();
    assert_eq!(fs::read(folder.path()).unwrap().len(), older.len());
    write_over(&folder.path(), &older);
    assert_gone(&store).await;
    folder.sql("PRAGMA wal_checkpoint(TRUNCATE)");
    assert_gone(&store).await;
    store.close().await;
}

#[tokio::test]
async fn a_file_that_holds_again_what_it_held_is_used_again() {
    let (folder, store) = opened().await;
    let turn = store.claim(claim(1, 1, 9)).await.unwrap().turns.remove(0).0;
    let sealed = save(&turn, 1, 2, vec![], running("s"));
    store.save(sealed).await.unwrap();
    for suffix in ["", "-wal", "-keys"] {
        let held = fs::read(folder.file(suffix)).unwrap();
        assert!(held.len() > 64, "{suffix}");
        write_over(&folder.file(suffix), &held);
        store.probe().await.unwrap();
        let held = fs::read(folder.file(suffix)).unwrap();
        write_over(&folder.file(suffix), &vec![0; held.len()]);
        assert_gone(&store).await;
        write_over(&folder.file(suffix), &held);
        store.probe().await.unwrap();
    }
}

#[tokio::test]
async fn a_checkpoint_by_another_connection_is_not_taken_for_a_copy() {
    for mode in ["PASSIVE", "FULL", "RESTART", "TRUNCATE"] {
        let (folder, store) = opened().await;
        for round in 1..4 {
            let before = fs::read(folder.path()).unwrap();
            folder.sql(&format!("PRAGMA wal_checkpoint({mode})"));
            assert_ne!(fs::read(folder.path()).unwrap(), before, "{mode}");
            record(&store, round * 10..round * 10 + 5).await;
        }
        store.close().await;
    }
}

#[tokio::test]
async fn a_file_put_back_is_used_again() {
    let (folder, store) = opened().await;
    fs::rename(folder.path(), folder.file("-elsewhere")).unwrap();
    assert_gone(&store).await;
    fs::rename(folder.file("-elsewhere"), folder.path()).unwrap();
    let told = store.record(message("e2", "c", "i2", 1)).await.unwrap();
    assert_eq!(told, Recorded::Accepted);
    store.close().await;
    let store = folder.open().await;
    let told = store.record(message("e2", "c", "i2", 1)).await.unwrap();
    assert_eq!(told, Recorded::Duplicate);
}

#[tokio::test]
async fn a_log_that_a_checkpoint_emptied_is_not_gone() {
    let (folder, store) = opened().await;
    let other = Connection::open(folder.path()).unwrap();
    let busy: i64 = other
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        .unwrap();
    assert_eq!(
        (busy, fs::metadata(folder.file("-wal")).unwrap().len()),
        (0, 0)
    );
    let told = store.record(message("e2", "c", "i2", 1)).await.unwrap();
    assert_eq!(told, Recorded::Accepted);
}

#[tokio::test]
async fn a_log_that_was_emptied_and_written_to_between_two_looks_is_not_gone() {
    let (folder, store) = opened().await;
    let ours = Connection::open(folder.path()).unwrap();
    let mut watch = Watch::new(&folder.path(), 1, true);
    watch.look(None).unwrap();
    let before = fs::metadata(folder.file("-wal")).unwrap().len();
    folder.sql("PRAGMA wal_checkpoint(TRUNCATE)");
    ours.execute_batch("UPDATE probe SET count = count + 1; INSERT INTO probe VALUES (1, 1)")
        .unwrap();
    let after = fs::metadata(folder.file("-wal")).unwrap().len();
    assert!(0 < after && after < before, "{after} of {before}");
    watch.look(None).unwrap();
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn turns_that_were_claimed_as_the_file_went_are_not_lost() {
    for _ in 0..10 {
        let (folder, store) = opened().await;
        let store = Arc::new(store);
        let other = Connection::open(folder.path()).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let claiming = store.clone();
        let claiming = tokio::spawn(async move { claiming.claim(claim(1, 1, 9)).await });
        // It waits for the other to be done. Whether it has looked by now is chance.
        store.backlog(at(1)).await.unwrap();
        fs::rename(folder.path(), folder.file("-elsewhere")).unwrap();
        other.execute_batch("COMMIT").unwrap();
        let first = claiming.await.unwrap();
        fs::rename(folder.file("-elsewhere"), folder.path()).unwrap();
        let second = store.claim(claim(1, 2, 9)).await.unwrap();
        let first = first.map_or(0, |claimed| claimed.turns.len());
        assert_eq!(first + second.turns.len(), 1);
        store.close().await;
    }
}

#[tokio::test]
async fn a_file_that_a_vacuum_made_shorter_is_not_gone() {
    let (folder, store) = opened().await;
    folder.sql("CREATE TABLE filler (x BLOB); INSERT INTO filler VALUES (zeroblob(200000)); PRAGMA wal_checkpoint(TRUNCATE)");
    store.probe().await.unwrap();
    let before = fs::metadata(folder.path()).unwrap().len();
    folder.sql("DROP TABLE filler; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)");
    let after = fs::metadata(folder.path()).unwrap().len();
    assert!(after < before, "{after} of {before}");
    let told = store.record(message("e2", "c", "i2", 1)).await.unwrap();
    assert_eq!(told, Recorded::Accepted);
    fs::File::options()
        .write(true)
        .open(folder.path())
        .unwrap()
        .set_len(after - 4096)
        .unwrap();
    assert_gone(&store).await;
    store.close().await;
}
