//! What is counted, kept and forgotten.

use super::*;

cases! {
    the_backlog_counts_turns_lanes_and_dead_letters,
    a_purge_keeps_what_is_needed,
    nothing_is_done_once_it_is_closed,
}

async fn the_backlog_counts_turns_lanes_and_dead_letters(bench: &mut Bench) {
    let store = bench.store();
    assert_eq!(store.backlog(at(0)).await.unwrap(), []);
    for (event, conversation, item, second) in [
        ("e1", "a", "i1", 1),
        ("e2", "b", "i2", 2),
        ("e3", "b", "i3", 3),
    ] {
        store
            .record(message(event, conversation, item, second))
            .await
            .unwrap();
    }
    let theirs = Delivery {
        account: AccountName::new("other"),
        ..delivery("e1", 0, Change::Unusable("no id".to_owned()))
    };
    store.record(theirs).await.unwrap();
    let expected = |account, turns, seconds, dead_letters| Backlog {
        account,
        turns,
        oldest_waiting: Duration::from_secs(seconds),
        dead_letters,
    };
    let other = expected(AccountName::new("other"), 0, 0, 1);
    let waiting = expected(account(), 2, 9, 0);
    assert_eq!(
        store.backlog(at(10)).await.unwrap(),
        [waiting, other.clone()]
    );
    let claimed = store.claim(claim(1, 9, 10)).await.unwrap();
    store.record(message("e4", "a", "i4", 9)).await.unwrap();
    let running = expected(account(), 3, 9, 0);
    assert_eq!(
        store.backlog(at(10)).await.unwrap(),
        [running, other.clone()]
    );
    store
        .save(save(&claimed.turns[0].0, 1, 9, vec![], dead(false)))
        .await
        .unwrap();
    store
        .save(save(
            &claimed.turns[1].0,
            1,
            9,
            vec![],
            ended(Outcome::Replied),
        ))
        .await
        .unwrap();
    let left = expected(account(), 1, 1, 1);
    assert_eq!(store.backlog(at(10)).await.unwrap(), [left, other]);
}

async fn a_purge_keeps_what_is_needed(bench: &mut Bench) {
    bench.record(message("e1", "a", "i1", 0)).await;
    let turn = bench.claim_one(1, 1).await;
    let store = bench.store();
    store.record(merge("e2", "a", "b", 2)).await.unwrap();
    store.record(merge("e3", "b", "c", 2)).await.unwrap();
    store
        .save(save(&turn, 1, 3, vec![], dead(true)))
        .await
        .unwrap();
    store.record(message("e4", "d", "i2", 4)).await.unwrap();
    for _ in 0..2 {
        store.purge(at(1_000)).await.unwrap();
    }
    let letter = store.dead_letters().await.unwrap().remove(0);
    let request = retry(letter.id, 1_001);
    assert!(store.retry_dead_letter(request).await.unwrap());
    let claimed = store.claim(claim(1, 1_002, 10)).await.unwrap();
    let [(again, standing), (waited, _)] = &claimed.turns[..] else {
        panic!()
    };
    assert_eq!(waited.messages[0].item_id, item("i2"));
    assert_eq!((again.id, &standing.merged_into), (turn.id, &Some(id("c"))));
    store
        .save(save(again, 1, 1_003, vec![], ended(Outcome::Replied)))
        .await
        .unwrap();
}

async fn nothing_is_done_once_it_is_closed(bench: &mut Bench) {
    let store = bench.store();
    store.probe().await.unwrap();
    store.close().await;
    store.close().await;
    let closed = |error| matches!(error, StoreError::Unavailable(_));
    assert!(closed(
        store.record(message("e1", "c", "i1", 0)).await.unwrap_err()
    ));
    assert!(closed(store.claim(claim(1, 1, 1)).await.unwrap_err()));
    assert!(closed(store.probe().await.unwrap_err()));
    assert!(closed(store.purge(at(0)).await.unwrap_err()));
    assert!(closed(store.backlog(at(0)).await.unwrap_err()));
    assert!(closed(store.dead_letters().await.unwrap_err()));
}
