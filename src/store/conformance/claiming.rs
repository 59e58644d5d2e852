//! Who is claimed when, with which messages.

use super::*;

cases! {
    a_burst_is_one_turn_in_gladlys_order,
    the_longest_waiting_go_first_and_no_more_than_asked_for,
    whoever_is_late_goes_after_all_who_can_be_in_time,
    accounts_are_apart,
    a_lane_runs_one_turn_at_a_time,
    a_turn_put_off_goes_on_when_it_said,
    a_turn_put_off_that_is_in_hand_still_is_not_claimed,
    the_next_messages_deadline_wakes_a_turn_put_off,
    deadlines_that_a_clock_ahead_told_are_believed_no_further,
}

async fn a_burst_is_one_turn_in_gladlys_order(bench: &mut Bench) {
    let store = bench.store();
    for (event, item, received, happened) in
        [("e1", "i1", 5, 2), ("e2", "i2", 6, 1), ("e3", "i3", 7, 3)]
    {
        let delivery = Delivery {
            happened_at: Some(at(happened)),
            ..message(event, "c", item, received)
        };
        store.record(delivery).await.unwrap();
    }
    let mut claimed = store.claim(claim(1, 9, 10)).await.unwrap();
    let (turn, standing) = claimed.turns.pop().unwrap();
    assert!(claimed.turns.is_empty());
    let items: Vec<&str> = turn
        .messages
        .iter()
        .map(|message| message.item_id.as_str())
        .collect();
    assert_eq!(items, ["i2", "i1", "i3"]);
    assert_eq!(
        (turn.received_at, turn.deadline_at),
        (at(5), at(5 + DEADLINE))
    );
    assert_eq!(turn.began, 3);
    assert_eq!((turn.state, turn.words, turn.retried), (None, None, false));
    assert_eq!(standing.known.facts.revision(), 3);
    assert_eq!(standing.next_deadline_at, None);
}

async fn the_longest_waiting_go_first_and_no_more_than_asked_for(bench: &mut Bench) {
    let store = bench.store();
    for (event, conversation, item, second) in [
        ("e1", "c", "i1", 3),
        ("e2", "b", "i2", 1),
        ("e3", "a", "i3", 2),
    ] {
        store
            .record(message(event, conversation, item, second))
            .await
            .unwrap();
    }
    let claimed = store.claim(claim(1, 9, 2)).await.unwrap();
    let conversations: Vec<&str> = claimed
        .turns
        .iter()
        .map(|(turn, _)| turn.conversation_id.as_str())
        .collect();
    assert_eq!(conversations, ["b", "a"]);
    assert_eq!(claimed.next_due_at, Some(at(3)));
    let claimed = store.claim(claim(1, 9, 2)).await.unwrap();
    assert_eq!(claimed.turns.len(), 1);
    assert_eq!(claimed.next_due_at, None);
}

async fn whoever_is_late_goes_after_all_who_can_be_in_time(bench: &mut Bench) {
    let store = bench.store();
    // The first two are late, or nearly so, when the turns are claimed.
    for (number, second) in [(1, 0), (2, DEADLINE / 9), (3, DEADLINE / 2), (4, DEADLINE)] {
        let [event, conversation, item] = ["e", "c", "i"].map(|name| format!("{name}{number}"));
        let message = message(&event, &conversation, &item, second);
        store.record(message).await.unwrap();
    }
    let mut order = Vec::new();
    for (limit, next_due_at) in [(1, Some(at(0))), (2, Some(at(DEADLINE / 9))), (2, None)] {
        let claimed = store.claim(claim(1, DEADLINE + 5, limit)).await.unwrap();
        assert_eq!(claimed.next_due_at, next_due_at);
        let ids = claimed.turns.into_iter();
        order.extend(ids.map(|(turn, _)| turn.conversation_id.to_string()));
    }
    assert_eq!(order, ["c3", "c4", "c1", "c2"]);
}

async fn accounts_are_apart(bench: &mut Bench) {
    let store = bench.store();
    let theirs = AccountName::new("other");
    store.record(message("e1", "c", "i1", 0)).await.unwrap();
    let same_ids = Delivery {
        account: theirs.clone(),
        ..message("e1", "c", "i1", 0)
    };
    assert_eq!(store.record(same_ids).await.unwrap(), Recorded::Accepted);
    let mut request = claim(1, 9, 10);
    request.account = theirs.clone();
    let claimed = store.claim(request).await.unwrap();
    assert_eq!(claimed.turns.len(), 1);
    assert_eq!(claimed.turns[0].0.account, theirs);
    assert_eq!(store.claim(claim(1, 9, 10)).await.unwrap().turns.len(), 1);
}

async fn a_lane_runs_one_turn_at_a_time(bench: &mut Bench) {
    let store = bench.store();
    store.record(message("e1", "c", "i1", 0)).await.unwrap();
    let turn = bench.claim_one(1, 1).await;
    let store = bench.store();
    store.record(message("e2", "c", "i2", 2)).await.unwrap();
    let claimed = store.claim(claim(1, 3, 10)).await.unwrap();
    assert_eq!((claimed.turns.len(), claimed.next_due_at), (0, None));
    let standing = store
        .save(save(&turn, 1, 4, vec![], running("s")))
        .await
        .unwrap();
    assert_eq!(standing.next_deadline_at, Some(at(2 + DEADLINE)));
    store
        .save(save(&turn, 1, 5, vec![], ended(Outcome::Replied)))
        .await
        .unwrap();
    let next = bench.claim_one(1, 6).await;
    assert_eq!(next.messages[0].item_id, item("i2"));
    assert!(next.id > turn.id);
}

async fn a_turn_put_off_goes_on_when_it_said(bench: &mut Bench) {
    let turn = bench.begin_one().await;
    let store = bench.store();
    let put_off = |until, state| Progress::PutOff {
        state,
        until: at(until),
    };
    let progress = put_off(50, Some(("s".to_owned(), "w".to_owned())));
    store
        .save(save(&turn, 1, 2, vec![], progress))
        .await
        .unwrap();
    let refused = store.save(save(&turn, 1, 3, vec![], running("s"))).await;
    assert!(matches!(refused, Err(StoreError::NotRunning)));
    let claimed = store.claim(claim(1, 49, 10)).await.unwrap();
    assert_eq!(
        (claimed.turns.len(), claimed.next_due_at),
        (0, Some(at(50)))
    );
    let again = bench.claim_one(1, 50).await;
    assert_eq!(again.id, turn.id);
    assert_eq!(
        (again.state.as_deref(), again.words.as_deref()),
        (Some("s"), Some("w"))
    );
    bench
        .store()
        .save(save(&turn, 1, 51, vec![], put_off(60, None)))
        .await
        .unwrap();
    let again = bench.claim_one(1, 60).await;
    assert_eq!(
        (again.state.as_deref(), again.words.as_deref()),
        (Some("s"), Some("w"))
    );
}

async fn a_turn_put_off_that_is_in_hand_still_is_not_claimed(bench: &mut Bench) {
    let store = bench.store();
    store.record(message("e1", "c", "i1", 0)).await.unwrap();
    let turn = bench.claim_one(1, 1).await;
    let store = bench.store();
    let put_off = Progress::PutOff {
        state: None,
        until: at(3),
    };
    store
        .save(save(&turn, 1, 2, vec![], put_off))
        .await
        .unwrap();
    let mut request = claim(1, 4, 10);
    request.running.insert(turn.id);
    assert_eq!(store.claim(request).await.unwrap().turns.len(), 0);
    assert_eq!(bench.claim_one(1, 5).await.id, turn.id);
}

async fn the_next_messages_deadline_wakes_a_turn_put_off(bench: &mut Bench) {
    let turn = bench.begin_one().await;
    let store = bench.store();
    let progress = Progress::PutOff {
        state: None,
        until: at(10_000),
    };
    store
        .save(save(&turn, 1, 2, vec![], progress))
        .await
        .unwrap();
    store.record(message("e2", "c", "i2", 3)).await.unwrap();
    let deadline = 3 + DEADLINE;
    let claimed = store.claim(claim(1, deadline - 1, 10)).await.unwrap();
    assert_eq!(
        (claimed.turns.len(), claimed.next_due_at),
        (0, Some(at(deadline)))
    );
    let mut claimed = store.claim(claim(1, deadline, 10)).await.unwrap();
    let (again, standing) = claimed.turns.pop().unwrap();
    assert_eq!(again.id, turn.id);
    assert_eq!(standing.next_deadline_at, Some(at(deadline)));
}

async fn deadlines_that_a_clock_ahead_told_are_believed_no_further(bench: &mut Bench) {
    let hour = 3_600;
    let store = bench.store();
    store.record(message("e1", "c", "i1", hour)).await.unwrap();
    let stuck = bench.claim_one(1, hour).await;
    let store = bench.store();
    store.record(message("e2", "c", "i2", hour)).await.unwrap();
    let given = Change::Holder(id("c"), Some(the_bots()));
    store.record(delivery("e3", hour, given)).await.unwrap();
    let put_off = Progress::PutOff {
        state: None,
        until: at(1),
    };
    let put_off = save(&stuck, 1, hour, vec![], put_off);
    store.save(put_off).await.unwrap();
    let claimed = store.claim(claim(2, 5, 10)).await.unwrap();
    let (turn, standing) = &claimed.turns[0];
    assert_eq!(turn.deadline_at, at(5 + DEADLINE));
    assert_eq!(standing.next_deadline_at, Some(at(5 + DEADLINE)));
    let skipped = ended(Outcome::Skipped(SkipReason::NotCustomer));
    bench
        .store()
        .save(save(turn, 2, 60, vec![], skipped))
        .await
        .unwrap();
    let next = bench.claim_one(2, 61).await;
    assert_eq!(
        (next.received_at, next.deadline_at),
        (at(5), at(5 + DEADLINE))
    );
    assert_eq!(next.messages[0].deadline_at, at(5 + DEADLINE));
}
