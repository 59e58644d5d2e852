//! Conversations that become one, or the bot's.

use super::*;

cases! {
    a_merge_joins_what_waits,
    a_merge_keeps_a_running_turn_first,
    no_third_turn_begins_beside_two_that_a_merge_joined,
    merges_are_followed_in_whatever_order_they_are_told,
    any_number_of_merges_one_after_the_other_is_followed,
    a_turn_learns_of_a_merge,
    a_conversation_that_comes_to_the_bot_begins_a_turn,
}

async fn a_merge_joins_what_waits(bench: &mut Bench) {
    let store = bench.store();
    store.record(message("e1", "a", "i1", 0)).await.unwrap();
    store.record(message("e2", "b", "i2", 1)).await.unwrap();
    store.record(merge("e3", "a", "b", 2)).await.unwrap();
    store.record(message("e4", "a", "i3", 3)).await.unwrap();
    let turn = bench.claim_one(1, 9).await;
    assert_eq!(turn.conversation_id, id("b"));
    assert_eq!(turn.messages.len(), 3);
    assert_eq!(turn.deadline_at, at(DEADLINE));
}

async fn a_merge_keeps_a_running_turn_first(bench: &mut Bench) {
    let store = bench.store();
    store.record(message("e1", "a", "i1", 0)).await.unwrap();
    let turn = bench.claim_one(1, 1).await;
    let store = bench.store();
    store.record(message("e2", "b", "i2", 1)).await.unwrap();
    store.record(merge("e3", "a", "b", 2)).await.unwrap();
    assert!(store.claim(claim(1, 3, 10)).await.unwrap().turns.is_empty());
    let standing = store
        .save(save(&turn, 1, 4, vec![], running("s")))
        .await
        .unwrap();
    assert_eq!(standing.merged_into, Some(id("b")));
    assert_eq!(standing.next_deadline_at, Some(at(1 + DEADLINE)));
    bench.restart().await;
    let mut claimed = bench.store().claim(claim(2, 5, 10)).await.unwrap();
    let (again, standing) = claimed.turns.pop().unwrap();
    assert_eq!((again.id, again.conversation_id), (turn.id, id("a")));
    assert_eq!(standing.merged_into, Some(id("b")));
    bench
        .store()
        .save(save(&turn, 2, 6, vec![], ended(Outcome::Replied)))
        .await
        .unwrap();
    assert_eq!(bench.claim_one(2, 7).await.conversation_id, id("b"));
}

async fn no_third_turn_begins_beside_two_that_a_merge_joined(bench: &mut Bench) {
    let store = bench.store();
    store.record(message("e1", "a", "i1", 0)).await.unwrap();
    store.record(message("e2", "b", "i2", 0)).await.unwrap();
    let claimed = store.claim(claim(1, 1, 10)).await.unwrap();
    let [(first, _), (second, _)] = &claimed.turns[..] else {
        panic!()
    };
    store.record(merge("e3", "a", "b", 2)).await.unwrap();
    store.record(message("e4", "b", "i3", 3)).await.unwrap();
    store
        .save(save(first, 1, 4, vec![], ended(Outcome::Replied)))
        .await
        .unwrap();
    assert!(store.claim(claim(1, 5, 10)).await.unwrap().turns.is_empty());
    store
        .save(save(second, 1, 6, vec![], ended(Outcome::Replied)))
        .await
        .unwrap();
    assert_eq!(bench.claim_one(1, 7).await.messages[0].item_id, item("i3"));
}

async fn merges_are_followed_in_whatever_order_they_are_told(bench: &mut Bench) {
    let store = bench.store();
    store.record(message("e1", "a", "i1", 0)).await.unwrap();
    store.record(merge("e2", "b", "c", 1)).await.unwrap();
    store.record(merge("e3", "a", "b", 2)).await.unwrap();
    store.record(merge("e4", "c", "a", 3)).await.unwrap();
    let turn = bench.claim_one(1, 4).await;
    assert_eq!(
        turn.conversation_id,
        id("c"),
        "and a merge back changes nothing"
    );
}

async fn any_number_of_merges_one_after_the_other_is_followed(bench: &mut Bench) {
    let store = bench.store();
    let name = |number: u64| format!("c{number}");
    for number in 0..40 {
        let merge = merge(
            &format!("e{number}"),
            &name(number),
            &name(number + 1),
            number,
        );
        store.record(merge).await.unwrap();
    }
    store.record(message("e", "c0", "i1", 50)).await.unwrap();
    store.record(message("f", "c40", "i2", 51)).await.unwrap();
    let turn = bench.claim_one(1, 52).await;
    assert_eq!((turn.conversation_id, turn.messages.len()), (id("c40"), 2));
}

async fn a_turn_learns_of_a_merge(bench: &mut Bench) {
    let store = bench.store();
    store.record(message("e1", "a", "i1", 0)).await.unwrap();
    let turn = bench.claim_one(1, 1).await;
    let store = bench.store();
    let learnt = vec![Learnt::Merged(id("b")), Learnt::Wrote(item("own"))];
    let standing = store
        .save(save(&turn, 1, 2, learnt, running("s")))
        .await
        .unwrap();
    assert_eq!(standing.merged_into, Some(id("b")));
    assert_eq!(standing.known.own_items(), [item("own")]);
    store.record(message("e2", "b", "i2", 3)).await.unwrap();
    assert!(store.claim(claim(1, 4, 10)).await.unwrap().turns.is_empty());
}

async fn a_conversation_that_comes_to_the_bot_begins_a_turn(bench: &mut Bench) {
    let store = bench.store();
    let arrival = delivery("e1", 0, Change::Holder(id("c"), Some(the_bots())));
    store.record(arrival).await.unwrap();
    let turn = bench.claim_one(1, 1).await;
    assert_eq!(turn.messages, []);
    assert_eq!(turn.deadline_at, at(DEADLINE));
    let found = Message {
        item_id: item("i1"),
        written: written(turn.began, 0),
        received_at: at(1),
        deadline_at: at(1 + DEADLINE),
        overdue: false,
    };
    let learnt = vec![Learnt::TookUp(vec![found.clone()])];
    bench
        .store()
        .save(save(&turn, 1, 2, learnt, running("s")))
        .await
        .unwrap();
    let told = bench.record(message("e2", "c", "i1", 3)).await;
    assert_eq!(told, Recorded::Duplicate, "its own event comes late");
    bench.restart().await;
    assert_eq!(bench.claim_one(2, 4).await.messages, [found]);
}
