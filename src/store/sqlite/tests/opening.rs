//! Which files are opened, which are refused, and who may read them.

use std::os::unix::fs::PermissionsExt;

use rusqlite::Connection;

use super::Folder;

use crate::outcome::Outcome;
use crate::store::conformance::bench::{at, claim, ended, message, retry, save};
use crate::store::sqlite::open;
use crate::store::types::Progress;
use crate::store::{Operations, Sqlite, Store, StoreError, Tally};

#[tokio::test]
async fn a_second_relay_is_refused_whatever_the_path() {
    let folder = Folder::new();
    let store = folder.open().await;
    let link = folder.file("-link");
    std::os::unix::fs::symlink(folder.path(), &link).unwrap();
    for path in [folder.path(), link] {
        let refused = Sqlite::open(&path).await;
        assert!(matches!(refused, Err(StoreError::InUse { .. })));
    }
    store.close().await;
    folder.open().await.close().await;
}

#[tokio::test]
async fn nobody_else_may_read_the_files() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.record(message("e1", "c", "i1", 0)).await.unwrap();
    for suffix in ["", "-wal", "-shm", "-keys", "-lock"] {
        let mode = folder.file(suffix).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "store.db{suffix}");
    }
}

#[tokio::test]
async fn the_folder_is_made() {
    let folder = Folder::new();
    let path = folder.0.path().join("a/b/store.db");
    Sqlite::open(&path).await.unwrap().close().await;
    assert!(path.exists());
}

#[tokio::test]
async fn a_foreign_file_is_left_alone() {
    let folder = Folder::new();
    for content in [
        b"not a database, but somebody's only copy".as_slice(),
        &[0; 4096],
    ] {
        std::fs::write(folder.path(), content).unwrap();
        let refused = Sqlite::open(&folder.path()).await;
        assert!(matches!(refused, Err(StoreError::NotOurs { .. })));
        assert_eq!(std::fs::read(folder.path()).unwrap(), content);
    }
    std::fs::remove_file(folder.path()).unwrap();
    folder.sql("CREATE TABLE theirs (id INTEGER)");
    let refused = Sqlite::open(&folder.path()).await;
    assert!(matches!(refused, Err(StoreError::NotOurs { .. })));
}

#[tokio::test]
async fn a_newer_file_is_left_alone() {
    let folder = Folder::new();
    folder.open().await.close().await;
    folder.sql("PRAGMA user_version = 5");
    let newer = |refused| {
        matches!(
            refused,
            Err(StoreError::Newer {
                found: 5,
                known: 4,
                ..
            })
        )
    };
    assert!(newer(Sqlite::open(&folder.path()).await));
    assert!(newer(Sqlite::open_beside(&folder.path()).await));
}

/// A file with 200 messages, closed.
async fn filled(folder: &Folder) -> Vec<u8> {
    let store = folder.open().await;
    for number in 0..200 {
        let delivery = message(&format!("e{number}"), "c", &format!("i{number}"), number);
        store.record(delivery).await.unwrap();
    }
    store.close().await;
    std::fs::read(folder.path()).unwrap()
}

#[tokio::test]
async fn a_file_cut_short_is_refused() {
    let folder = Folder::new();
    let whole = filled(&folder).await;
    std::fs::write(folder.path(), &whole[..whole.len() - 1_000]).unwrap();
    let refused = Sqlite::open(&folder.path()).await;
    assert!(matches!(refused, Err(StoreError::NotOurs { .. })));
}

#[tokio::test]
async fn a_damaged_file_is_noticed_beside_the_work() {
    let folder = Folder::new();
    let mut holed = filled(&folder).await;
    // Events that nobody asks for again.
    let root = folder.number("SELECT rootpage FROM sqlite_schema WHERE name = 'events'");
    let root = usize::try_from(root - 1).unwrap() * 4096;
    holed[root..root + 4096].fill(0x5A);
    std::fs::write(folder.path(), holed).unwrap();
    let store = folder.open().await;
    store.check.as_ref().unwrap().ended().await;
    let probed = store.probe().await;
    assert!(
        matches!(probed, Err(StoreError::Damaged { .. })),
        "{probed:?}"
    );
    store.close().await;
}

#[tokio::test]
async fn a_file_that_is_damaged_where_the_start_reads_is_called_damaged() {
    for table in ["conversations", "turns", "accounts"] {
        let folder = Folder::new();
        let mut holed = filled(&folder).await;
        let root = folder.number(&format!(
            "SELECT rootpage FROM sqlite_schema WHERE name = '{table}'"
        ));
        let root = usize::try_from(root - 1).unwrap() * 4096;
        holed[root..root + 4096].fill(0x5A);
        std::fs::write(folder.path(), holed).unwrap();
        let refused = Sqlite::open(&folder.path()).await.err().unwrap();
        let said = refused.to_string();
        assert!(said.contains("malformed"), "{table}: {said}");
        assert!(said.contains("restore it from a backup"), "{table}: {said}");
        assert!(!said.contains("has room"), "{table}: {said}");
    }
}

#[tokio::test]
async fn a_whole_file_is_found_whole() {
    let folder = Folder::new();
    filled(&folder).await;
    let store = folder.open().await;
    store.check.as_ref().unwrap().ended().await;
    store.probe().await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_told() {
    let folder = Folder::new();
    std::fs::write(folder.file("-file"), "").unwrap();
    let refused = Sqlite::open(&folder.file("-file/store.db")).await;
    assert!(matches!(refused, Err(StoreError::CannotOpen { .. })));
    let refused = Sqlite::open_beside(&folder.path()).await;
    assert!(matches!(refused, Err(StoreError::CannotOpen { .. })));
    assert!(!folder.path().exists());
}

#[tokio::test]
async fn an_operator_sees_to_dead_letters_beside_the_relay() {
    let folder = Folder::new();
    let relay = folder.open().await;
    relay.record(message("e1", "c", "i1", 0)).await.unwrap();
    let turn = relay.claim(claim(1, 1, 9)).await.unwrap().turns.remove(0).0;
    let dead = Progress::Ended {
        outcome: Outcome::Dead("it broke".to_owned()),
        may_have_written: false,
        state: String::new(),
        tally: Tally::default(),
    };
    relay.save(save(&turn, 1, 2, vec![], dead)).await.unwrap();
    let operator = Sqlite::open_beside(&folder.path()).await.unwrap();
    assert_eq!(operator.backlog(at(3)).await.unwrap()[0].dead_letters, 1);
    let letter = operator.dead_letters().await.unwrap().remove(0);
    assert!(
        operator
            .retry_dead_letter(retry(letter.id, 4))
            .await
            .unwrap()
    );
    operator.close().await;
    let again = relay.claim(claim(1, 5, 9)).await.unwrap().turns.remove(0).0;
    relay
        .save(save(&again, 1, 6, vec![], ended(Outcome::Replied)))
        .await
        .unwrap();
    relay.close().await;
}

#[tokio::test]
async fn an_operator_alone_leaves_the_log_to_the_relay() {
    let folder = Folder::new();
    folder.open().await.close().await;
    let operator = Sqlite::open_beside(&folder.path()).await.unwrap();
    assert!(
        !operator
            .drop_dead_letter(crate::store::DeadLetterId(1))
            .await
            .unwrap()
    );
    operator.close().await;
    folder.open().await.close().await;
    assert!(
        !folder.file("-wal").exists(),
        "emptied and removed at the close"
    );
    let mode: String = Connection::open(folder.path())
        .unwrap()
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "wal");
}

#[test]
fn a_program_that_is_just_being_started_does_not_keep_a_file_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.db");
    let lock = open::lock(&path).unwrap();
    // What a program has between its being forked and its running.
    let _inherited = lock.0.try_clone().unwrap();
    assert!(open::lock(&path).is_err());
    drop(lock);
    assert!(open::lock(&path).is_ok());
}
