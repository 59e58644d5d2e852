//! Batches: one bad command fails alone, and nothing hangs.

use std::sync::Arc;

use futures_util::future::try_join_all;
use rusqlite::Connection;

use super::Folder;
use crate::outcome::Outcome;
use crate::store::conformance::bench::{at, claim, ended, message, save};
use crate::store::sqlite::writer::Task;
use crate::store::sqlite::{open, tables};
use crate::store::{Command, Operations, Recorded, Store, StoreError};

#[tokio::test]
async fn one_that_fails_fails_alone() {
    let folder = Folder::new();
    let store = Arc::new(folder.open().await);
    folder.sql(
        "CREATE TRIGGER refuse BEFORE INSERT ON events WHEN new.event_id = 'e7'
         BEGIN SELECT RAISE(ABORT, 'as asked'); END",
    );
    // While somebody else writes, all of them wait and become one batch.
    let other = Connection::open(folder.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut tasks = Vec::new();
    for number in 0..20 {
        let store = store.clone();
        let delivery = message(
            &format!("e{number}"),
            &format!("c{number}"),
            &format!("i{number}"),
            0,
        );
        tasks.push(tokio::spawn(async move { store.record(delivery).await }));
    }
    tokio::task::yield_now().await;
    other.execute_batch("COMMIT").unwrap();
    for (number, task) in tasks.into_iter().enumerate() {
        let told = task.await.unwrap();
        if number == 7 {
            assert!(matches!(told, Err(StoreError::Unavailable(_))));
        } else {
            assert_eq!(told.unwrap(), Recorded::Accepted, "{number}");
        }
    }
    assert_eq!(store.claim(claim(1, 1, 99)).await.unwrap().turns.len(), 19);
}

#[tokio::test]
async fn a_mistake_in_the_program_stops_nothing() {
    let folder = Folder::new();
    let store = folder.open().await;
    let (one, other) = tokio::join!(
        store.writer.run(Task::Panic),
        store.record(message("e1", "c", "i1", 0))
    );
    assert!(matches!(one, Err(StoreError::Unavailable(_))));
    assert_eq!(other.unwrap(), Recorded::Accepted);
}

#[tokio::test]
async fn what_somebody_else_holds_too_long_fails_and_goes_on_after() {
    let folder = Folder::new();
    let store = folder.open().await;
    let other = Connection::open(folder.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (one, two) = tokio::join!(
        store.record(message("e1", "c", "i1", 0)),
        store.record(message("e2", "c", "i2", 0))
    );
    assert!(one.is_err() && two.is_err());
    other.execute_batch("ROLLBACK").unwrap();
    let told = store.record(message("e1", "c", "i1", 0)).await.unwrap();
    assert_eq!(told, Recorded::Accepted, "nothing of it was kept");
}

#[tokio::test]
async fn a_turns_id_is_not_given_twice() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.record(message("e1", "c", "i1", 0)).await.unwrap();
    let turn = store.claim(claim(1, 1, 9)).await.unwrap().turns.remove(0).0;
    store
        .save(save(&turn, 1, 2, vec![], ended(Outcome::Replied)))
        .await
        .unwrap();
    store.purge(at(100)).await.unwrap();
    assert_eq!(folder.number("SELECT count(*) FROM turns"), 0);
    assert_eq!(folder.number("SELECT count(*) FROM conversations"), 0);
    store.close().await;
    let store = folder.open().await;
    store.record(message("e2", "c", "i2", 200)).await.unwrap();
    let next = store
        .claim(claim(2, 201, 9))
        .await
        .unwrap()
        .turns
        .remove(0)
        .0;
    assert!(next.id > turn.id);
}

#[tokio::test]
async fn a_purge_of_many_goes_in_steps_and_misses_nothing() {
    let folder = Folder::new();
    let store = folder.open().await;
    folder.sql(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3500)
         INSERT INTO events SELECT 'acme', 'old' || i, i, i * 1000 FROM n;
         INSERT INTO items SELECT account, event_id, received_at FROM events;
         INSERT INTO turns (account, conversation_id, received_at, deadline_at, began, messages, outcome, finished_at)
             SELECT account, event_id, 1, 1, 1, '[]', 'replied', received_at FROM events;
         INSERT INTO conversations (account, conversation_id, value, backlog, touched_at)
             SELECT account, event_id, '{}', 0, received_at FROM events",
    );
    store.record(message("e1", "c", "i1", 9)).await.unwrap();
    store.purge(at(9)).await.unwrap();
    for (table, left) in [
        ("events", 1),
        ("items", 1),
        ("turns", 0),
        ("conversations", 1),
    ] {
        let sql = format!("SELECT count(*) FROM {table}");
        assert_eq!(folder.number(&sql), left, "{table}");
    }
    assert_eq!(
        folder.number("SELECT forgotten_until_us FROM accounts"),
        3_500_000
    );
    assert_eq!(store.backlog(at(9)).await.unwrap()[0].turns, 1);
}

#[test]
fn a_batch_syncs_if_anything_in_it_must_outlast_a_power_cut() {
    let folder = Folder::new();
    let connection = open::open(&folder.path()).unwrap();
    let mut tables = tables(&folder.path(), connection, None, None).unwrap();
    let task = |command| Task::Command(Box::new(command));
    let record = || task(Command::Record(message("e1", "c", "i1", 0)));
    let claim = || task(Command::Claim(claim(1, 1, 99)));
    let cases: [(&[Task], bool); 5] = [
        (&[record()], true),
        (&[claim()], false),
        (&[claim(), record()], true),
        (&[Task::Probe], true),
        (&[Task::DestroyKeys], true),
    ];
    for (index, (tasks, syncs)) in cases.into_iter().enumerate() {
        assert!(tables.run(tasks).iter().all(Result::is_ok), "{index}");
        let read = |row: &rusqlite::Row<'_>| row.get::<_, u32>(0);
        let connection = &tables.connection;
        let mode = connection.query_row("PRAGMA synchronous", [], read);
        let (normal, full) = (1, 2);
        assert_eq!(mode, Ok(if syncs { full } else { normal }), "{index}");
    }
}

/// How often the log began anew (sqlite.org, "WAL-mode File Format").
fn beginnings_of_log(folder: &Folder) -> u32 {
    let log = std::fs::read(open::beside(&folder.path(), "-wal")).unwrap();
    u32::from_be_bytes(log[12..16].try_into().unwrap())
}

#[tokio::test]
async fn the_log_begins_anew_however_much_is_written() {
    let folder = Folder::new();
    let store = Arc::new(folder.open().await);
    store.record(message("e", "c", "i", 0)).await.unwrap();
    let before = beginnings_of_log(&folder);
    for batch in 0..200 {
        let deliveries = (0..256).map(|number| {
            let id = |what| format!("{what}{batch}-{number}");
            let delivery = message(&id("e"), &id("c"), &id("i"), 0);
            store.record(delivery)
        });
        try_join_all(deliveries).await.unwrap();
        if beginnings_of_log(&folder) > before {
            return;
        }
    }
    panic!("51,200 messages were appended to one log");
}
