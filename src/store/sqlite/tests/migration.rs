//! From older schemas, with rows as the relay of then wrote them.

use rusqlite::Connection;

use super::Folder;
use crate::conversation::Status;
use crate::id::ThreadId;
use crate::outcome::Outcome;
use crate::store::conformance::bench::{account, claim, ended, id, item, message, retry, save};
use crate::store::{DeadLetterId, Operations, Recorded, Sqlite, Store, StoreError};

const JOURNAL: &str = include_str!("../../migrations/0001_journal.sql");
const LANES: &str = include_str!("../../migrations/0002_lanes.sql");
const LANES_ROWS: &str = r#"
    INSERT INTO conversations (account, conversation_id, value, due_at, waiting_since, backlog, touched_at)
    VALUES ('acme', 'c', '{"known":{"facts":{"revision":1,"holder":null,"doubted":null,"status":null,"holder_event_at":null,"status_event_at":null,"handed_off":false},"locale":null,"thread":null,"closing":null,"replies":0,"recent_replies":[],"own_items":[],"settled_items":[]},"lane":{"waiting":[{"item_id":"i1","written":{"heard":1,"happened_at":null},"received_at":1767225600000,"deadline_at":1767225660000}],"arrival":null,"turns":[]}}', 1, 1767225600000, 1, 1767225600000);
    PRAGMA application_id = 0x474C524C;
    PRAGMA user_version = 2;
    PRAGMA journal_mode = WAL;"#;
/// 2026-01-01, in milliseconds.
const ROWS: &str = "
    INSERT INTO events VALUES ('acme', 'e1', 1767225600000), ('acme', 'e2', 1767225600000);
    INSERT INTO conversations
        (account, conversation_id, inbox_id, holder_at, status, status_at, thread_id, thread_at, closed_at,
         epoch, handed_off_at, merged_into, locale, repeated_digest, repeated_count, touched_at)
    VALUES
        ('acme', 'waits', 'ai', 1, 'open', 1, 'thread', 1767225600000, 1767225599000, 1, NULL, NULL, 'de', 'd', 2, 1767225600000),
        ('acme', 'moved', 'humans', 1767225600000, 'closed', 1767225600000, NULL, NULL, 1767225600000, 2, 1767225600000, NULL, NULL, NULL, 0, 1767225600000),
        ('acme', 'gone', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, 'left', NULL, NULL, 0, 1767225600000),
        ('acme', 'left', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, 0, 1767225600000),
        ('acme', 'sent', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, 0, 1767225600000);
    INSERT INTO turns
        (id, account, conversation_id, epoch, step, received_at, deadline_at, next_attempt_at, answer, outcome, reason, finished_at)
    VALUES
        (1, 'acme', 'waits', 1, 'deliver', 1, 2, 1, NULL, 'replied', NULL, 1767225600000),
        (2, 'acme', 'gone', 0, 'deliver', 1, 2, 1, 'needle-answer', NULL, NULL, NULL),
        (3, 'acme', 'sent', 0, 'deliver', 1, 2, 1, 'needle-answer', NULL, NULL, NULL),
        (4, 'acme', 'waits', 1, 'deliver', 1, 2, 1, NULL, 'dead', 'it broke', 1767225600000),
        (9, 'acme', 'moved', 2, 'hand_off', 1, 2, 1, NULL, 'handed_off', 'deadline', 1767225600000);
    INSERT INTO messages (account, item_id, conversation_id, occurred_at_us, received_at, deadline_at, turn_id, content)
    VALUES
        ('acme', 'i1', 'waits', 1767225600000000, 1767225600000, 1767225780000, 1, NULL),
        ('acme', 'i2', 'waits', 1767225601000000, 1767225601000, 1767225781000, NULL, NULL),
        ('acme', 'i3', 'gone', 1767225602000000, 1767225602000, 1767225782000, 2, 'needle-question'),
        ('acme', 'i4', 'sent', 1767225603000000, 1767225603000, 1767225783000, 3, 'needle-question'),
        ('acme', 'i5', 'waits', 1767225600000000, 1767225600000, 1767225780000, 4, NULL);
    INSERT INTO parts (turn_id, position, kind, body, state, item_id)
    VALUES
        (1, 0, 'reply', '', 'sent', 'own'),
        (2, 0, 'reply', 'needle-answer', 'pending', NULL),
        (3, 0, 'reply', 'needle-answer', 'sending', NULL),
        (4, 0, 'reply', '', 'sent', NULL);
    INSERT INTO dead_letters (id, account, turn_id, conversation_id, event_type, error, payload, created_at)
    VALUES (5, 'acme', 4, 'waits', NULL, 'it broke', NULL, 1767225600000),
           (7, 'acme', NULL, NULL, 'X', 'no id', '{}', 1767225600000);
    PRAGMA application_id = 0x474C524C;
    PRAGMA user_version = 1;
    PRAGMA journal_mode = WAL;";

fn old() -> Folder {
    let folder = Folder::new();
    let connection = Connection::open(folder.path()).unwrap();
    connection.execute_batch(JOURNAL).unwrap();
    connection.execute_batch(ROWS).unwrap();
    folder
}

#[tokio::test]
async fn what_waited_waits_again() {
    let folder = old();
    assert_ne!(folder.files_with(b"needle-"), Vec::<String>::new());
    let store = folder.open().await;
    assert_eq!(
        folder.files_with(b"needle-"),
        Vec::<String>::new(),
        "words are wiped"
    );
    let claimed = store.claim(claim(1, 10, 9)).await.unwrap();
    let [(waits, standing), (left, _)] = &claimed.turns[..] else {
        panic!("{claimed:?}")
    };
    assert_eq!(
        (&waits.conversation_id, &waits.messages[0].item_id),
        (&id("waits"), &item("i2"))
    );
    assert_eq!(waits.messages.len(), 1);
    assert!(waits.id.0 > 9);
    let known = &standing.known;
    assert_eq!(known.thread_id(), Some(&ThreadId("thread".to_owned())));
    assert_eq!(
        (known.locale.as_deref(), known.repetition.count),
        (Some("de"), 2)
    );
    assert_eq!(
        (known.replies(), known.own_items()),
        (1, &[item("own")][..])
    );
    assert!(known.is_settled(&item("i1")));
    assert_eq!(
        (&left.conversation_id, &left.messages[0].item_id),
        (&id("left"), &item("i3"))
    );
    for (event, item) in [("e1", "new"), ("new1", "i1"), ("new2", "i4")] {
        let told = store.record(message(event, "c", item, 20)).await.unwrap();
        assert_eq!(told, Recorded::Duplicate, "{event} {item}");
    }
}

#[tokio::test]
async fn what_may_have_written_goes_to_a_person() {
    let folder = old();
    let store = folder.open().await;
    let letters = store.dead_letters().await.unwrap();
    let told: Vec<_> = letters
        .iter()
        .map(|letter| {
            (
                letter.id.0,
                letter.turn_id.map(|id| id.0),
                letter.may_have_written,
            )
        })
        .collect();
    assert_eq!(
        told,
        [(5, Some(4), true), (7, None, false), (8, Some(3), true)]
    );
    assert!(letters[2].error.contains("words are gone"));
    assert!(
        store
            .retry_dead_letter(retry(DeadLetterId(8), 10))
            .await
            .unwrap()
    );
    let claimed = store.claim(claim(1, 10, 9)).await.unwrap();
    let sent = claimed.turns.iter().find(|(turn, _)| turn.id.0 == 3);
    assert!(sent.unwrap().0.retried);
    assert_eq!(sent.unwrap().0.messages[0].item_id, item("i4"));
}

#[tokio::test]
async fn what_was_handed_off_stays_so() {
    let folder = old();
    let store = folder.open().await;
    store
        .record(message("e9", "moved", "i9", 10))
        .await
        .unwrap();
    let claimed = store.claim(claim(1, 11, 9)).await.unwrap();
    let (turn, standing) = claimed
        .turns
        .iter()
        .find(|(turn, _)| turn.conversation_id == id("moved"))
        .unwrap();
    assert_eq!(standing.known.facts.status(), Some(Status::Closed));
    assert!(standing.known.facts.holder().is_some());
    store
        .save(save(turn, 1, 12, vec![], ended(Outcome::Replied)))
        .await
        .unwrap();
}

#[tokio::test]
async fn from_schema_2_everything_goes_on_where_it_was() {
    let folder = Folder::new();
    let connection = Connection::open(folder.path()).unwrap();
    connection.execute_batch(LANES).unwrap();
    connection.execute_batch(LANES_ROWS).unwrap();
    drop(connection);
    let store = folder.open().await;
    assert_eq!(folder.number("PRAGMA user_version"), 4);
    assert_eq!(store.swept_until(&account()).await.unwrap(), None);
    let turn = store
        .claim(claim(1, 10, 9))
        .await
        .unwrap()
        .turns
        .remove(0)
        .0;
    assert_eq!((turn.messages.len(), turn.overdue), (1, false));
    assert!(!turn.messages[0].overdue);
}

#[tokio::test]
async fn it_is_done_once_and_a_wipe_that_was_cut_short_again() {
    let folder = old();
    let beside = Sqlite::open_beside(&folder.path()).await;
    assert!(
        matches!(beside, Err(StoreError::CannotOpen { .. })),
        "not by an operator"
    );
    folder.open().await.close().await;
    assert_eq!(folder.number("PRAGMA user_version"), 4);
    let tables =
        "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'old%' OR name IN ('unwiped', 'parts')";
    assert_eq!(folder.number(tables), 0);
    folder.sql("CREATE TABLE unwiped (id INTEGER) STRICT");
    let store = folder.open().await;
    assert_eq!(folder.number(tables), 0);
    assert_eq!(store.dead_letters().await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_thread_id_that_is_too_long_to_be_one_is_left_behind() {
    let folder = old();
    folder.sql("UPDATE conversations SET thread_id = hex(zeroblob(450000))");
    folder.open().await.close().await;
    let longest = folder.number("SELECT max(length(value)) FROM conversations");
    assert!(longest < 10_000, "{longest} bytes");
}
