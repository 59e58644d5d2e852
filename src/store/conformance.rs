//! One suite for every back end: the same cases, the same answers.

pub(super) mod bench;
mod equivalence;

use std::time::Duration;

use bench::{
    Bench, DEADLINE, account, at, bot, claim, delivery, ended, human, id, item, look, merge,
    message, moment, retry, running, save, the_bots, written,
};

use super::types::MOST_UNUSABLE;
use super::{
    Backlog, Change, Delivery, Learnt, Message, Progress, Recorded, Source, StoreError, Swept,
};
use crate::conversation::{Repetition, Status, Whose};
use crate::id::{AccountName, InboxId, ThreadId};
use crate::outcome::{HandoffReason, Outcome, SkipReason};

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&mut super::Bench::memory()).await;
            })*
        }
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&mut super::Bench::sqlite().await).await;
            })*
        }
    };
}

cases! {
    a_message_is_taken_once_however_often_it_is_delivered,
    what_is_forgotten_is_refused,
    what_came_while_the_clock_was_behind_is_remembered_as_long_as_the_rest,
    a_burst_is_one_turn_in_gladlys_order,
    the_longest_waiting_go_first_and_no_more_than_asked_for,
    accounts_are_apart,
    a_lane_runs_one_turn_at_a_time,
    a_turn_put_off_goes_on_when_it_said,
    a_turn_put_off_that_is_in_hand_still_is_not_claimed,
    the_next_messages_deadline_wakes_a_turn_put_off,
    deadlines_that_a_clock_ahead_told_are_believed_no_further,
    progress_is_there_after_a_restart,
    a_merge_joins_what_waits,
    what_was_swept_is_remembered_for_each_account,
    what_a_sweep_found_too_late_stays_so,
    what_a_sweep_tells_licenses_nothing_and_takes_up_what_waits,
    a_merge_keeps_a_running_turn_first,
    no_third_turn_begins_beside_two_that_a_merge_joined,
    merges_are_followed_in_whatever_order_they_are_told,
    any_number_of_merges_one_after_the_other_is_followed,
    a_turn_learns_of_a_merge,
    a_conversation_that_comes_to_the_bot_begins_a_turn,
    nothing_is_kept_of_a_forgotten_turn,
    nobody_else_saves_a_turn,
    what_is_known_is_kept,
    an_event_during_a_look_wins,
    a_dead_turns_messages_wait_again,
    what_was_settled_since_does_not_wait_again,
    a_dead_turn_that_may_have_answered_goes_on_itself,
    a_retry_by_a_clock_ahead_or_behind_is_due_at_once,
    a_dead_turn_is_not_reopened_beside_another,
    a_dead_letter_is_dropped_once,
    an_unusable_event_is_a_dead_letter,
    of_a_flood_of_unusable_events_so_many_are_kept,
    the_backlog_counts_turns_lanes_and_dead_letters,
    a_purge_keeps_what_is_needed,
    nothing_is_done_once_it_is_closed,
}

async fn a_message_is_taken_once_however_often_it_is_delivered(bench: &mut Bench) {
    let store = bench.store();
    let first = message("e1", "c", "i1", 0);
    assert_eq!(
        store.record(first.clone()).await.unwrap(),
        Recorded::Accepted
    );
    assert_eq!(store.record(first).await.unwrap(), Recorded::Duplicate);
    let other_event = message("e2", "c", "i1", 1);
    assert_eq!(
        store.record(other_event).await.unwrap(),
        Recorded::Duplicate
    );
    let claimed = store.claim(claim(1, 9, 10)).await.unwrap();
    assert_eq!(claimed.turns.len(), 1);
    assert_eq!(claimed.turns[0].0.messages.len(), 1);
}

async fn what_is_forgotten_is_refused(bench: &mut Bench) {
    bench
        .store()
        .record(message("e1", "c", "i1", 10))
        .await
        .unwrap();
    bench
        .store()
        .record(message("e2", "d", "i2", 20))
        .await
        .unwrap();
    bench.store().purge(at(15)).await.unwrap();
    bench.restart().await;
    let store = bench.store();
    let late = |event, item, raised_at| Delivery {
        raised_at,
        ..message(event, "x", item, 30)
    };
    let mut told = Vec::new();
    for delivery in [
        late("e1", "i1", Some(at(10))),
        late("e3", "i3", Some(at(9))),
        late("e4", "i4", Some(at(11))),
        late("e2", "i2", Some(at(20))),
        late("e5", "i5", None),
    ] {
        told.push(store.record(delivery).await.unwrap());
    }
    let expected = [
        Recorded::TooOld,
        Recorded::TooOld,
        Recorded::Accepted,
        Recorded::Duplicate,
        Recorded::Accepted,
    ];
    assert_eq!(told, expected);
}

async fn what_came_while_the_clock_was_behind_is_remembered_as_long_as_the_rest(bench: &mut Bench) {
    let raised_at = |second| Some(at(second));
    let behind = Delivery {
        raised_at: raised_at(1_000),
        ..message("e1", "c", "i1", 10)
    };
    let far_ahead = Delivery {
        raised_at: raised_at(900_000),
        ..message("e2", "c", "i2", 10)
    };
    let store = bench.store();
    store.record(behind.clone()).await.unwrap();
    store.record(far_ahead).await.unwrap();
    store.purge(at(1_000)).await.unwrap();
    let told = store.record(behind.clone()).await.unwrap();
    assert_eq!(told, Recorded::Duplicate, "the clock has been set right");
    store.purge(at(1_001)).await.unwrap();
    let told = store.record(behind).await.unwrap();
    assert_eq!(told, Recorded::TooOld);
    let next = message("e3", "c", "i3", 1_002);
    let told = store.record(next).await.unwrap();
    assert_eq!(told, Recorded::Accepted, "the one far ahead refuses nobody");
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
    bench
        .store()
        .record(message("e1", "c", "i1", 0))
        .await
        .unwrap();
    let turn = bench.claim_one(1, 1).await;
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
    bench
        .store()
        .record(message("e1", "c", "i1", 0))
        .await
        .unwrap();
    let turn = bench.claim_one(1, 1).await;
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

async fn progress_is_there_after_a_restart(bench: &mut Bench) {
    bench
        .store()
        .record(message("e1", "c", "i1", 0))
        .await
        .unwrap();
    let turn = bench.claim_one(1, 1).await;
    bench
        .store()
        .save(save(&turn, 1, 2, vec![], running("first")))
        .await
        .unwrap();
    bench
        .store()
        .save(save(&turn, 1, 3, vec![], running("second")))
        .await
        .unwrap();
    bench.restart().await;
    let again = bench.claim_one(2, 4).await;
    assert_eq!(again.id, turn.id);
    assert_eq!(again.state.as_deref(), Some("second"));
    assert_eq!(again.words.as_deref(), Some("words of second"));
    assert_eq!(
        (again.messages, again.began),
        (turn.messages.clone(), turn.began)
    );
    let refused = bench
        .store()
        .save(save(&turn, 1, 5, vec![], running("third")))
        .await;
    assert!(
        matches!(refused, Err(StoreError::NotRunning)),
        "the earlier start"
    );
    bench
        .store()
        .save(save(&turn, 2, 5, vec![], ended(Outcome::Replied)))
        .await
        .unwrap();
    bench.restart().await;
    let claimed = bench.store().claim(claim(3, 9, 10)).await.unwrap();
    assert_eq!((claimed.turns.len(), claimed.next_due_at), (0, None));
}

async fn what_was_swept_is_remembered_for_each_account(bench: &mut Bench) {
    let store = bench.store();
    assert_eq!(store.swept_until(&account()).await.unwrap(), None);
    // Set right, it may lie before.
    for second in [20, 10] {
        let (account, until) = (account(), at(second));
        store.swept(Swept { account, until }).await.unwrap();
    }
    bench.restart().await;
    let store = bench.store();
    let until = store.swept_until(&account()).await.unwrap();
    assert_eq!(until, Some(at(10)));
    let other = AccountName::new("other");
    assert_eq!(store.swept_until(&other).await.unwrap(), None);
}

fn found(overdue: bool, delivery: Delivery) -> Delivery {
    let source = Source::Sweep { overdue };
    Delivery { source, ..delivery }
}

async fn what_a_sweep_found_too_late_stays_so(bench: &mut Bench) {
    let store = bench.store();
    let arrival = |event, conversation| {
        delivery(event, 2, Change::Holder(id(conversation), Some(the_bots())))
    };
    let told = [
        (message("e1", "late", "i1", 1), true),
        (message("e2", "in-time", "i2", 1), false),
        (arrival("e3", "came-late"), true),
        (arrival("e4", "in-time"), true),
    ];
    for (delivery, overdue) in told {
        store.record(found(overdue, delivery)).await.unwrap();
    }
    for runner in 1..3 {
        let store = bench.store();
        let claimed = store.claim(claim(runner, 9, 10)).await.unwrap();
        let mut turns: Vec<_> = claimed
            .turns
            .iter()
            .map(|(turn, _)| (turn.conversation_id.as_str(), turn.overdue))
            .collect();
        turns.sort_unstable();
        let expected = [("came-late", true), ("in-time", false), ("late", true)];
        assert_eq!(turns, expected);
        bench.restart().await;
    }
}

async fn what_a_sweep_tells_licenses_nothing_and_takes_up_what_waits(bench: &mut Bench) {
    let store = bench.store();
    let context = Change::Message {
        conversation_id: id("c"),
        item_id: item("i1"),
        context: Some(the_bots()),
    };
    let told = [
        delivery("e1", 1, context),
        delivery("e2", 1, Change::Holder(id("d"), Some(the_bots()))),
        delivery("e3", 1, Change::Holder(id("e"), Some(human()))),
    ];
    for delivery in told {
        store.record(found(false, delivery)).await.unwrap();
    }
    let claimed = store.claim(claim(1, 2, 10)).await.unwrap();
    assert_eq!(claimed.turns.len(), 2, "a human's is nothing to take up");
    for (turn, standing) in claimed.turns {
        let facts = standing.known.facts;
        let whose = facts.whose(&bot(), turn.began, moment(2));
        assert_eq!(whose, Whose::Unclear, "{}", turn.conversation_id);
    }
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
    let told = bench
        .store()
        .record(message("e2", "c", "i1", 3))
        .await
        .unwrap();
    assert_eq!(told, Recorded::Duplicate, "its own event comes late");
    bench.restart().await;
    assert_eq!(bench.claim_one(2, 4).await.messages, [found]);
}

async fn nothing_is_kept_of_a_forgotten_turn(bench: &mut Bench) {
    let arrival = delivery("e1", 0, Change::Holder(id("c"), Some(the_bots())));
    bench.store().record(arrival).await.unwrap();
    let turn = bench.claim_one(1, 1).await;
    let store = bench.store();
    store
        .save(save(&turn, 1, 2, vec![], Progress::Forgotten))
        .await
        .unwrap();
    let refused = store.save(save(&turn, 1, 3, vec![], running("s"))).await;
    assert!(matches!(refused, Err(StoreError::NotRunning)));
    assert_eq!(store.backlog(at(4)).await.unwrap(), []);
    store.record(message("e2", "c", "i1", 5)).await.unwrap();
    assert!(bench.claim_one(1, 6).await.id > turn.id);
}

async fn nobody_else_saves_a_turn(bench: &mut Bench) {
    bench
        .store()
        .record(message("e1", "c", "i1", 0))
        .await
        .unwrap();
    let turn = bench.claim_one(1, 1).await;
    let store = bench.store();
    let mut unknown = turn.clone();
    unknown.id.0 += 1;
    for refused in [
        save(
            &turn,
            2,
            2,
            vec![Learnt::Wrote(item("x"))],
            ended(Outcome::Replied),
        ),
        save(&unknown, 1, 2, vec![], ended(Outcome::Replied)),
    ] {
        let refused = store.save(refused).await;
        assert!(matches!(refused, Err(StoreError::NotRunning)));
    }
    let standing = store
        .save(save(&turn, 1, 3, vec![], running("s")))
        .await
        .unwrap();
    assert_eq!(standing.known.own_items(), [], "nothing of it was kept");
    store
        .save(save(&turn, 1, 4, vec![], ended(Outcome::Replied)))
        .await
        .unwrap();
    let refused = store.save(save(&turn, 1, 5, vec![], running("s"))).await;
    assert!(matches!(refused, Err(StoreError::NotRunning)), "it ended");
}

async fn what_is_known_is_kept(bench: &mut Bench) {
    bench
        .store()
        .record(message("e1", "c", "i1", 0))
        .await
        .unwrap();
    let turn = bench.claim_one(1, 1).await;
    let repetition = Repetition {
        digest: Some("d".to_owned()),
        count: 2,
        item_id: None,
    };
    let learnt = vec![
        Learnt::Looked(look(turn.began, the_bots(), 1)),
        Learnt::Thread(ThreadId("t".to_owned()), turn.messages[0].written),
        Learnt::Read {
            repetition: repetition.clone(),
            locale: Some("de".to_owned()),
        },
        Learnt::Wrote(item("own")),
        Learnt::Settled(vec![item("i1")]),
    ];
    let told = bench
        .store()
        .save(save(&turn, 1, 2, learnt, running("s")))
        .await
        .unwrap();
    assert_eq!(
        told.known.facts.whose(&bot(), turn.began, moment(2)),
        Whose::Bots
    );
    bench.restart().await;
    let claimed = bench.store().claim(claim(2, 3, 10)).await.unwrap();
    assert_eq!(claimed.turns[0].1, told);
    let known = &told.known;
    assert_eq!(known.thread_id(), Some(&ThreadId("t".to_owned())));
    assert_eq!(
        (&known.repetition, known.locale.as_deref()),
        (&repetition, Some("de"))
    );
    assert!(known.is_settled(&item("i1")));
    let moved = vec![Learnt::Moved(InboxId::parse("humans").unwrap(), u64::MAX)];
    let outcome = Outcome::HandedOff(HandoffReason::Deadline);
    let told = bench
        .store()
        .save(save(&turn, 2, 4, moved, ended(outcome)))
        .await
        .unwrap();
    assert_eq!(
        told.known.facts.whose(&bot(), turn.began, moment(5)),
        Whose::Others(SkipReason::HandedOff)
    );
}

async fn an_event_during_a_look_wins(bench: &mut Bench) {
    bench
        .store()
        .record(message("e1", "c", "i1", 0))
        .await
        .unwrap();
    let turn = bench.claim_one(1, 1).await;
    let store = bench.store();
    let taken = delivery("e2", 2, Change::Holder(id("c"), Some(human())));
    store.record(taken).await.unwrap();
    let learnt = vec![Learnt::Looked(look(turn.began, the_bots(), 1))];
    let standing = store
        .save(save(&turn, 1, 3, learnt, running("s")))
        .await
        .unwrap();
    assert_eq!(
        standing.known.facts.whose(&bot(), turn.began, moment(3)),
        Whose::Others(SkipReason::HumanAssigned)
    );
    let closed = delivery("e3", 4, Change::Status(id("c"), Status::Closed));
    store.record(closed).await.unwrap();
    let standing = store
        .save(save(&turn, 1, 5, vec![], running("s")))
        .await
        .unwrap();
    assert_eq!(standing.known.facts.status(), Some(Status::Closed));
}

fn dead(may_have_answered: bool) -> Progress {
    Progress::Ended {
        outcome: Outcome::Dead("it broke".to_owned()),
        may_have_answered,
        state: "last".to_owned(),
    }
}

async fn a_dead_turns_messages_wait_again(bench: &mut Bench) {
    bench
        .store()
        .record(message("e1", "c", "i1", 0))
        .await
        .unwrap();
    let turn = bench.claim_one(1, 1).await;
    let store = bench.store();
    store
        .save(save(&turn, 1, 2, vec![], dead(false)))
        .await
        .unwrap();
    assert!(store.claim(claim(1, 3, 10)).await.unwrap().turns.is_empty());
    let letters = store.dead_letters().await.unwrap();
    let [letter] = &letters[..] else { panic!() };
    assert_eq!(
        (letter.turn_id, letter.may_have_answered),
        (Some(turn.id), false)
    );
    assert_eq!(
        (letter.error.as_str(), letter.created_at),
        ("it broke", at(2))
    );
    assert!(store.retry_dead_letter(retry(letter.id, 50)).await.unwrap());
    assert!(!store.retry_dead_letter(retry(letter.id, 50)).await.unwrap());
    assert_eq!(store.dead_letters().await.unwrap(), []);
    let again = bench.claim_one(1, 51).await;
    assert!(again.id > turn.id);
    assert_eq!(
        (again.retried, again.deadline_at),
        (false, at(51 + DEADLINE))
    );
    assert_eq!(again.messages[0].item_id, item("i1"));
}

async fn what_was_settled_since_does_not_wait_again(bench: &mut Bench) {
    let store = bench.store();
    for (event, item_id) in [("e1", "i1"), ("e2", "i2")] {
        store.record(message(event, "c", item_id, 0)).await.unwrap();
    }
    let turn = bench.claim_one(1, 1).await;
    let store = bench.store();
    store
        .save(save(&turn, 1, 2, vec![], dead(false)))
        .await
        .unwrap();
    let settle = async |event, items: &[&str], second| {
        store
            .record(message(event, "c", event, second))
            .await
            .unwrap();
        let later = bench.claim_one(1, second).await;
        let items = items.iter().map(|id| item(id)).collect();
        let learnt = vec![Learnt::Settled(items)];
        let replied = save(&later, 1, second, learnt, ended(Outcome::Replied));
        store.save(replied).await.unwrap();
    };
    settle("e3", &["i1"], 3).await;
    let letter = store.dead_letters().await.unwrap().remove(0);
    assert!(store.retry_dead_letter(retry(letter.id, 4)).await.unwrap());
    let again = bench.claim_one(1, 5).await;
    assert_eq!(
        (again.messages.len(), &again.messages[0].item_id),
        (1, &item("i2"))
    );
    store
        .save(save(&again, 1, 6, vec![], dead(false)))
        .await
        .unwrap();
    settle("e4", &["i2"], 7).await;
    let letter = store.dead_letters().await.unwrap().remove(0);
    assert!(store.retry_dead_letter(retry(letter.id, 8)).await.unwrap());
    assert_eq!(store.dead_letters().await.unwrap(), []);
    assert!(store.claim(claim(1, 9, 10)).await.unwrap().turns.is_empty());
}

async fn a_dead_turn_that_may_have_answered_goes_on_itself(bench: &mut Bench) {
    bench
        .store()
        .record(message("e1", "c", "i1", 0))
        .await
        .unwrap();
    let turn = bench.claim_one(1, 1).await;
    let store = bench.store();
    store
        .save(save(&turn, 1, 2, vec![], running("s")))
        .await
        .unwrap();
    store
        .save(save(&turn, 1, 3, vec![], dead(true)))
        .await
        .unwrap();
    let letter = store.dead_letters().await.unwrap().remove(0);
    assert!(letter.may_have_answered);
    assert!(store.retry_dead_letter(retry(letter.id, 50)).await.unwrap());
    let again = bench.claim_one(1, 50).await;
    assert_eq!((again.id, again.retried), (turn.id, true));
    assert_eq!(
        (again.state.as_deref(), again.words, again.end),
        (Some("last"), None, None)
    );
}

async fn a_retry_by_a_clock_ahead_or_behind_is_due_at_once(bench: &mut Bench) {
    for (number, their_second) in [(1, 9_000), (2, 1_000)] {
        for may_have_answered in [false, true] {
            let name = format!("{number}-{may_have_answered}");
            let store = bench.store();
            store
                .record(message(&name, &name, &name, 5_000))
                .await
                .unwrap();
            let turn = bench.claim_one(1, 5_001).await;
            let store = bench.store();
            let dead = save(&turn, 1, 5_002, vec![], dead(may_have_answered));
            store.save(dead).await.unwrap();
            let letters = store.dead_letters().await.unwrap();
            let retry = retry(letters[0].id, their_second);
            assert!(store.retry_dead_letter(retry).await.unwrap());
            let again = bench.claim_one(1, 5_003).await;
            if !may_have_answered {
                assert_eq!(again.deadline_at, at(5_003 + DEADLINE), "{name}");
            }
            assert!(again.received_at <= at(5_003), "{name}");
            let ended = save(&again, 1, 5_004, vec![], ended(Outcome::Replied));
            bench.store().save(ended).await.unwrap();
        }
    }
}

async fn a_dead_turn_is_not_reopened_beside_another(bench: &mut Bench) {
    bench
        .store()
        .record(message("e1", "c", "i1", 0))
        .await
        .unwrap();
    let turn = bench.claim_one(1, 1).await;
    bench
        .store()
        .save(save(&turn, 1, 2, vec![], dead(true)))
        .await
        .unwrap();
    bench
        .store()
        .record(message("e2", "c", "i2", 3))
        .await
        .unwrap();
    let other = bench.claim_one(1, 4).await;
    let store = bench.store();
    let letter = store.dead_letters().await.unwrap().remove(0);
    assert!(!store.retry_dead_letter(retry(letter.id, 5)).await.unwrap());
    assert_eq!(store.dead_letters().await.unwrap().len(), 1);
    store
        .save(save(&other, 1, 6, vec![], ended(Outcome::Replied)))
        .await
        .unwrap();
    assert!(store.retry_dead_letter(retry(letter.id, 7)).await.unwrap());
    assert_eq!(bench.claim_one(1, 8).await.id, turn.id);
}

async fn a_dead_letter_is_dropped_once(bench: &mut Bench) {
    bench
        .store()
        .record(message("e1", "c", "i1", 0))
        .await
        .unwrap();
    let turn = bench.claim_one(1, 1).await;
    let store = bench.store();
    store
        .save(save(&turn, 1, 2, vec![], dead(false)))
        .await
        .unwrap();
    let letter = store.dead_letters().await.unwrap().remove(0);
    assert!(store.drop_dead_letter(letter.id).await.unwrap());
    assert!(!store.drop_dead_letter(letter.id).await.unwrap());
    assert!(!store.retry_dead_letter(retry(letter.id, 3)).await.unwrap());
    store
        .record(delivery("e2", 4, Change::Unusable("no id".to_owned())))
        .await
        .unwrap();
    let next = store.dead_letters().await.unwrap().remove(0);
    assert!(next.id > letter.id, "ids are not given twice");
}

async fn of_a_flood_of_unusable_events_so_many_are_kept(bench: &mut Bench) {
    let store = bench.store();
    let unusable = |name: &str| delivery(name, 0, Change::Unusable("no id".to_owned()));
    for number in 0..MOST_UNUSABLE {
        store.record(unusable(&format!("e{number}"))).await.unwrap();
    }
    let kept = store.dead_letters().await.unwrap();
    assert_eq!(kept.len(), MOST_UNUSABLE);
    let told = store.record(unusable("one more")).await.unwrap();
    assert_eq!(told, Recorded::Accepted);
    let other = Delivery {
        account: AccountName::new("other"),
        ..unusable("another's")
    };
    store.record(other).await.unwrap();
    let letters = store.dead_letters().await.unwrap();
    assert_eq!(letters[..MOST_UNUSABLE], kept, "the first are kept");
    assert_eq!(
        letters.len(),
        MOST_UNUSABLE + 1,
        "each account's for itself"
    );
    store.drop_dead_letter(kept[0].id).await.unwrap();
    store.record(unusable("another")).await.unwrap();
    assert_eq!(store.dead_letters().await.unwrap().len(), MOST_UNUSABLE + 1);
}

async fn an_unusable_event_is_a_dead_letter(bench: &mut Bench) {
    let store = bench.store();
    let unusable = delivery("e1", 0, Change::Unusable("no id".to_owned()));
    assert_eq!(
        store.record(unusable.clone()).await.unwrap(),
        Recorded::Accepted
    );
    assert_eq!(store.record(unusable).await.unwrap(), Recorded::Duplicate);
    let letters = store.dead_letters().await.unwrap();
    let [letter] = &letters[..] else { panic!() };
    assert_eq!(
        (letter.turn_id, letter.event_type.as_deref()),
        (None, Some("TEST"))
    );
    assert!(!store.retry_dead_letter(retry(letter.id, 1)).await.unwrap());
    assert!(store.drop_dead_letter(letter.id).await.unwrap());
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
    bench
        .store()
        .record(message("e1", "a", "i1", 0))
        .await
        .unwrap();
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
