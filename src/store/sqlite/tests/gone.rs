//! The file or its log is deleted, replaced or cut short while it is open.

use std::fs;
use std::sync::Arc;

use rusqlite::Connection;

use super::super::watch::Watch;
use super::Folder;
use crate::store::conformance::bench::{at, claim, message};
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
    for suffix in ["", "-wal", "-shm", "-keys"] {
        let (folder, store) = opened().await;
        fs::remove_file(folder.file(suffix)).unwrap();
        assert_gone(&store).await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_replaced_file_is_noticed_and_not_touched() {
    for suffix in ["", "-wal", "-shm", "-keys"] {
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
    let mut watch = Watch::new(&folder.path(), true);
    watch.look(&ours).unwrap();
    let before = fs::metadata(folder.file("-wal")).unwrap().len();
    folder.sql("PRAGMA wal_checkpoint(TRUNCATE)");
    ours.execute_batch("UPDATE probe SET count = count + 1; INSERT INTO probe VALUES (1, 1)")
        .unwrap();
    let after = fs::metadata(folder.file("-wal")).unwrap().len();
    assert!(0 < after && after < before, "{after} of {before}");
    watch.look(&ours).unwrap();
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
