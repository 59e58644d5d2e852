//! A row that can't be read stops nothing but itself.

use super::Folder;
use crate::outcome::Outcome;
use crate::store::conformance::bench::{at, claim, ended, id, item, merge, message, running, save};
use crate::store::{Operations, Recorded, Store, StoreError};

#[tokio::test]
async fn a_conversation_is_rebuilt_from_its_turns() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.record(message("e1", "c", "i1", 0)).await.unwrap();
    let turn = store.claim(claim(1, 1, 9)).await.unwrap().turns.remove(0).0;
    store.record(message("e2", "c", "i2", 2)).await.unwrap();
    store.record(message("e3", "d", "i3", 3)).await.unwrap();
    folder.sql("UPDATE conversations SET value = '{\"known\":' WHERE conversation_id = 'c'");
    let refused = store.save(save(&turn, 1, 4, vec![], running("s"))).await;
    assert!(
        matches!(refused, Err(StoreError::NotRunning)),
        "it is claimed anew"
    );
    let claimed = store.claim(claim(1, 5, 9)).await.unwrap();
    assert_eq!(claimed.turns.len(), 2);
    let again = &claimed.turns[0].0;
    assert_eq!((again.id, &again.messages), (turn.id, &turn.messages));
    store
        .save(save(again, 1, 6, vec![], running("s")))
        .await
        .unwrap();
    let skipped = Outcome::Skipped(crate::outcome::SkipReason::NotCustomer);
    let told = store
        .save(save(again, 1, 7, vec![], ended(skipped)))
        .await
        .unwrap();
    assert_eq!(told.next_deadline_at, None);
}

#[tokio::test]
async fn messages_that_waited_in_it_are_looked_for() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.record(message("e1", "c", "i1", 0)).await.unwrap();
    folder.sql("UPDATE conversations SET value = 'rubbish'");
    let claimed = store.claim(claim(1, 5, 9)).await.unwrap();
    let turn = &claimed.turns[0].0;
    assert_eq!((&turn.conversation_id, turn.messages.len()), (&id("c"), 0));
    assert_eq!(
        turn.deadline_at,
        claim(1, 5 + 180, 9).now.at,
        "the usual time"
    );
    assert_eq!(claimed.next_due_at, None);
    store.record(message("e2", "c", "i2", 6)).await.unwrap();
    store
        .save(save(turn, 1, 7, vec![], ended(Outcome::Replied)))
        .await
        .unwrap();
    let next = store.claim(claim(1, 8, 9)).await.unwrap().turns.remove(0).0;
    assert_eq!(next.messages[0].item_id, item("i2"));
}

#[tokio::test]
async fn turns_that_began_before_a_merge_are_found() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.record(message("e1", "a", "i1", 0)).await.unwrap();
    let turn = store.claim(claim(1, 1, 9)).await.unwrap().turns.remove(0).0;
    store.record(merge("e2", "a", "b", 2)).await.unwrap();
    store.record(merge("e3", "b", "c", 3)).await.unwrap();
    folder.sql("UPDATE conversations SET value = ''");
    store.close().await;
    let store = folder.open().await;
    let (again, standing) = store.claim(claim(2, 4, 9)).await.unwrap().turns.remove(0);
    assert_eq!((again.id, standing.merged_into), (turn.id, Some(id("c"))));
    store
        .save(save(&again, 2, 5, vec![], ended(Outcome::Replied)))
        .await
        .unwrap();
    let claimed = store.claim(claim(2, 6, 9)).await.unwrap();
    assert_eq!((claimed.turns.len(), claimed.next_due_at), (0, None));
}

#[tokio::test]
async fn a_turn_becomes_a_dead_letter_and_the_others_go_on() {
    for damage in [
        "messages = '['",
        "conversation_id = '../'",
        "outcome = 'odd'",
        "began = -1",
    ] {
        let folder = Folder::new();
        let store = folder.open().await;
        store.record(message("e1", "c", "i1", 0)).await.unwrap();
        store.record(message("e2", "d", "i2", 0)).await.unwrap();
        assert_eq!(store.claim(claim(1, 1, 9)).await.unwrap().turns.len(), 2);
        store.record(message("e3", "c", "i3", 2)).await.unwrap();
        folder.sql(&format!(
            "UPDATE turns SET {damage} WHERE conversation_id = 'c'"
        ));
        store.close().await;
        let store = folder.open().await;
        let claimed = store.claim(claim(2, 3, 9)).await.unwrap();
        assert_eq!(claimed.turns.len(), 1, "{damage}");
        let letters = store.dead_letters().await.unwrap();
        assert_eq!(letters.len(), 1, "{damage}");
        assert!(letters[0].may_have_written);
        let next = store.claim(claim(2, 4, 9)).await.unwrap().turns.remove(0).0;
        assert_eq!(next.messages[0].item_id, item("i3"), "{damage}");
        let told = store.record(message("e4", "c", "i4", 5)).await.unwrap();
        assert_eq!(told, Recorded::Accepted);
    }
}

#[tokio::test]
async fn a_column_that_cannot_be_read_stops_nobody_else() {
    for damage in [
        "conversation_id = 'a b'",
        "conversation_id = CAST(x'ff' AS TEXT)",
        "due_at = 9223372036854775807",
        "waiting_since = 9223372036854775807",
        "waiting_since = -9223372036854775807",
        "value = '', waiting_since = -9223372036854775807",
        "value = '', touched_at = 9223372036854775807",
    ] {
        let folder = Folder::new();
        let store = folder.open().await;
        store.record(message("e1", "c", "i1", 0)).await.unwrap();
        store.record(message("e2", "d", "i2", 1)).await.unwrap();
        let sql = format!("UPDATE conversations SET {damage} WHERE conversation_id = 'c'");
        folder.sql(&sql);
        store.close().await;
        let store = folder.open().await;
        let backlog = store.backlog(at(3)).await.unwrap();
        assert_eq!(backlog[0].turns, 2, "{damage}");
        let mut others = Vec::new();
        for second in [3, 4] {
            let claimed = store.claim(claim(2, second, 1)).await.unwrap();
            let ids = claimed
                .turns
                .into_iter()
                .map(|(turn, _)| turn.conversation_id);
            others.extend(ids.filter(|found| *found == id("d")));
        }
        assert_eq!(others.len(), 1, "{damage}");
        store.purge(at(4)).await.unwrap();
    }
}

#[tokio::test]
async fn an_events_time_that_cannot_be_read_does_not_stop_the_purge() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.record(message("e1", "c", "i1", 0)).await.unwrap();
    store.record(message("e2", "c", "i2", 1)).await.unwrap();
    folder.sql("UPDATE events SET happened_at_us = 9223372036854775807 WHERE event_id = 'e1'");
    store.purge(at(9)).await.unwrap();
    assert_eq!(folder.number("SELECT count(*) FROM events"), 0);
    let again = store.record(message("e2", "c", "i2", 1)).await.unwrap();
    assert_eq!(again, Recorded::TooOld);
}
