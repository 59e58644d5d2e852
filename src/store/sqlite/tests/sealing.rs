//! No words in any file, and keys that are gone once nobody needs them.

use std::fs;

use super::Folder;
use crate::outcome::Outcome;
use crate::store::conformance::bench::{at, claim, ended, message, save};
use crate::store::{Learnt, Progress, Sqlite, Store, StoredTurn};

const NEEDLE: &str = "my card number is needle-4711";
const HOUR: u64 = 3_600;

fn said(words: &str) -> Progress {
    Progress::Running {
        state: "asking".to_owned(),
        words: words.to_owned(),
    }
}

/// A turn in a conversation of its own.
async fn turn(store: &Sqlite, name: &str, second: u64) -> StoredTurn {
    store
        .record(message(name, name, name, second))
        .await
        .unwrap();
    store
        .claim(claim(1, second, 9))
        .await
        .unwrap()
        .turns
        .remove(0)
        .0
}

async fn words_after_restart(folder: &Folder) -> Option<String> {
    let store = folder.open().await;
    let turn = store
        .claim(claim(2, 9 * HOUR, 9))
        .await
        .unwrap()
        .turns
        .remove(0)
        .0;
    store.close().await;
    assert_eq!(turn.state.as_deref(), Some("asking"));
    turn.words
}

#[tokio::test]
async fn words_stand_in_no_file() {
    let folder = Folder::new();
    let store = folder.open().await;
    let turn = turn(&store, "a", 0).await;
    store
        .save(save(&turn, 1, 1, vec![], said(NEEDLE)))
        .await
        .unwrap();
    assert_eq!(folder.files_with(b"needle-4711"), Vec::<String>::new());
    assert_ne!(
        folder.files_with(b"asking"),
        Vec::<String>::new(),
        "the search finds what is there"
    );
    let learnt = vec![Learnt::Settled(vec![])];
    store
        .save(save(&turn, 1, 2, learnt, ended(Outcome::Replied)))
        .await
        .unwrap();
    assert_eq!(folder.files_with(b"needle-4711"), Vec::<String>::new());
    assert_eq!(
        folder.number("SELECT count(*) FROM turns WHERE words IS NULL AND key_id IS NULL"),
        1
    );
    store.purge(at(0)).await.unwrap();
    let key = fs::read(folder.file("-keys")).unwrap()[64..].to_vec();
    assert_ne!(key, [0; 64], "the present hour's is kept for the next turn");
    store.close().await;
    assert_eq!(folder.files_with(b"needle-4711"), Vec::<String>::new());
}

#[tokio::test]
async fn a_key_is_destroyed_once_nobody_needs_it() {
    let folder = Folder::new();
    let store = folder.open().await;
    let keys = || fs::read(folder.file("-keys")).unwrap();
    assert_eq!(keys().len(), 64, "no words, no key");
    let ends = turn(&store, "a", 0).await;
    store
        .save(save(&ends, 1, 1, vec![], said("one")))
        .await
        .unwrap();
    let first = keys()[64..128].to_vec();
    let stays = turn(&store, "b", HOUR).await;
    store
        .save(save(&stays, 1, HOUR, vec![], said("two")))
        .await
        .unwrap();
    let second = keys()[128..192].to_vec();
    store
        .save(save(&ends, 1, HOUR + 1, vec![], ended(Outcome::Replied)))
        .await
        .unwrap();
    store.purge(at(0)).await.unwrap();
    assert_eq!(&keys()[64..128], &[0; 64]);
    assert_eq!(keys()[128..], second[..], "of the present hour");
    store.claim(claim(1, 2 * HOUR, 9)).await.unwrap();
    store.purge(at(0)).await.unwrap();
    assert_eq!(keys()[128..], second[..], "needed");
    let third = turn(&store, "c", 2 * HOUR).await;
    store
        .save(save(&third, 1, 2 * HOUR, vec![], said("three")))
        .await
        .unwrap();
    assert_ne!(&keys()[64..128], &[0; 64], "the free slot is used again");
    store
        .save(save(&stays, 1, 2 * HOUR, vec![], ended(Outcome::Replied)))
        .await
        .unwrap();
    store
        .save(save(&third, 1, 2 * HOUR, vec![], ended(Outcome::Replied)))
        .await
        .unwrap();
    store.close().await;
    folder.open().await.close().await;
    assert!(
        keys()[64..].iter().all(|byte| *byte == 0),
        "destroyed at the start"
    );
    for key in [first, second] {
        assert_eq!(folder.files_with(&key[16..48]), Vec::<String>::new());
    }
}

#[tokio::test]
async fn words_last_over_a_restart_and_an_hour() {
    let folder = Folder::new();
    let store = folder.open().await;
    let turn = turn(&store, "a", 0).await;
    store
        .save(save(&turn, 1, 1, vec![], said(NEEDLE)))
        .await
        .unwrap();
    store.close().await;
    assert_eq!(words_after_restart(&folder).await.as_deref(), Some(NEEDLE));
}

#[tokio::test]
async fn without_its_keys_a_turn_has_no_words() {
    for lose in [lose as fn(&Folder), replace, damage, cut] {
        let folder = Folder::new();
        let store = folder.open().await;
        let turn = turn(&store, "a", 0).await;
        store
            .save(save(&turn, 1, 1, vec![], said(NEEDLE)))
            .await
            .unwrap();
        store.close().await;
        lose(&folder);
        assert_eq!(words_after_restart(&folder).await, None);
    }
}

fn lose(folder: &Folder) {
    fs::remove_file(folder.file("-keys")).unwrap();
}

fn replace(folder: &Folder) {
    let mut keys = fs::read(folder.file("-keys")).unwrap();
    keys.truncate(64);
    fs::write(folder.file("-keys"), keys).unwrap();
}

fn damage(folder: &Folder) {
    let mut keys = fs::read(folder.file("-keys")).unwrap();
    keys[100] ^= 1;
    fs::write(folder.file("-keys"), keys).unwrap();
}

fn cut(folder: &Folder) {
    fs::write(folder.file("-keys"), "rubbish").unwrap();
}

#[tokio::test]
async fn a_damaged_key_file_is_moved_aside() {
    let folder = Folder::new();
    folder.open().await.close().await;
    cut(&folder);
    folder.open().await.close().await;
    assert_eq!(fs::read(folder.file("-keys.damaged")).unwrap(), b"rubbish");
    assert_eq!(fs::read(folder.file("-keys")).unwrap().len(), 64);
}

#[tokio::test]
async fn the_words_of_one_turn_are_not_taken_for_anothers() {
    let folder = Folder::new();
    let store = folder.open().await;
    let one = turn(&store, "a", 0).await;
    let other = turn(&store, "b", 0).await;
    store
        .save(save(&one, 1, 1, vec![], said("one")))
        .await
        .unwrap();
    store
        .save(save(&other, 1, 1, vec![], said("two")))
        .await
        .unwrap();
    store.close().await;
    folder.sql("UPDATE turns SET words = (SELECT words FROM turns WHERE conversation_id = 'b')");
    let store = folder.open().await;
    let turns = store.claim(claim(2, 2, 9)).await.unwrap().turns;
    let words: Vec<_> = turns
        .iter()
        .map(|(turn, _)| turn.words.as_deref())
        .collect();
    assert_eq!(words, [None, Some("two")]);
}
