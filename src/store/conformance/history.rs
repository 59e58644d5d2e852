//! What operators read of what was: turns in pages, one conversation, totals.

use std::collections::BTreeSet;

use super::bench::TALLY;
use super::*;
use crate::store::totals::{FIRST_ANSWER, FIRST_MESSAGE, FIRST_QUESTION, hour_of};
use crate::store::{By, Place, Save, StoredTurn, Total, TurnQuery};

cases! {
    turns_are_listed_newest_first_a_page_at_a_time,
    turns_of_one_moment_are_each_listed_once,
    turns_are_found_by_whose_and_how_they_ended,
    a_trace_is_kept_with_its_turn,
    a_conversation_is_remembered_with_all_that_told_of_it,
    the_newest_of_many_events_are_remembered,
    a_conversation_is_found_in_whatever_account,
    a_dead_turn_that_goes_on_is_counted_once,
    a_conversation_that_the_bot_solved_is_counted_when_it_closes,
    totals_are_kept_for_a_year,
    few_of_many_turns_are_found_a_page_at_a_time,
    days_that_are_over_are_summed_up_and_tell_the_same,
    what_is_added_to_a_day_gone_by_is_in_its_sum,
    what_is_added_after_the_clock_was_set_back_is_in_its_day_s_sum,
}

/// A customer writes, and the turn ends three seconds later.
async fn turn(bench: &Bench, name: &str, conversation: &str, second: u64, outcome: Outcome) {
    bench
        .record(message(name, conversation, name, second))
        .await;
    let turn = bench.claim_one(1, second + 1).await;
    end(bench, &turn, second + 3, outcome).await;
}

async fn end(bench: &Bench, turn: &StoredTurn, second: u64, outcome: Outcome) {
    let ended = save(turn, 1, second, vec![], ended(outcome));
    bench.store().save(ended).await.unwrap();
}

fn ids(turns: &[crate::store::TurnRow]) -> Vec<i64> {
    turns.iter().map(|turn| turn.id.0).collect()
}

async fn list(bench: &Bench, query: TurnQuery) -> Vec<i64> {
    ids(&bench.store().turns(&query).await.unwrap())
}

async fn totals(bench: &Bench) -> Vec<Total> {
    let hours = (hour_of(at(0)), hour_of(at(0)) + 24);
    bench.store().totals(hours.0, hours.1, None).await.unwrap()
}

/// How many of this there are, in all.
async fn count(bench: &Bench, what: &str) -> (i64, i64) {
    let totals = totals(bench).await;
    let of_it = totals.iter().filter(|total| total.key.what == what);
    of_it.fold((0, 0), |sum, total| {
        (sum.0 + total.count, sum.1 + total.messages)
    })
}

async fn turns_are_listed_newest_first_a_page_at_a_time(bench: &mut Bench) {
    for number in 0..7 {
        let name = format!("i{number}");
        turn(bench, &name, &name, number * 10, Outcome::Replied).await;
    }
    let mut query = TurnQuery {
        limit: 3,
        ..TurnQuery::default()
    };
    let mut seen = Vec::new();
    loop {
        let page = bench.store().turns(&query).await.unwrap();
        let Some(last) = page.last() else { break };
        query.before = Some(last.place());
        seen.extend(ids(&page));
    }
    assert_eq!(seen, [7, 6, 5, 4, 3, 2, 1]);
    let row = bench.store().turns(&TurnQuery::default()).await.unwrap();
    let row = &row[0];
    assert_eq!((row.received_at, row.finished_at), (at(60), Some(at(63))));
    assert_eq!(row.outcome.as_deref(), Some("replied"));
    assert_eq!((row.messages, row.reason.as_deref()), (1, None));
    let since = TurnQuery {
        since: Some(at(40)),
        ..TurnQuery::default()
    };
    assert_eq!(list(bench, since).await, [7, 6, 5]);
}

async fn turns_of_one_moment_are_each_listed_once(bench: &mut Bench) {
    for number in 0..5 {
        let name = format!("i{number}");
        bench.record(message(&name, &name, &name, 0)).await;
    }
    let claimed = bench.store().claim(claim(1, 1, 10)).await.unwrap();
    assert_eq!(claimed.turns.len(), 5);
    let mut query = TurnQuery {
        limit: 2,
        ..TurnQuery::default()
    };
    assert_eq!(list(bench, query.clone()).await, [5, 4]);
    query.before = Some(Place {
        received_at: at(0),
        id: crate::id::TurnId(4),
    });
    assert_eq!(list(bench, query.clone()).await, [3, 2]);
    query.conversation_id = Some(id("i1"));
    assert_eq!(list(bench, query).await, [2]);
}

/// What to ask for.
type Ask<'a> = &'a dyn Fn(&mut TurnQuery);

async fn turns_are_found_by_whose_and_how_they_ended(bench: &mut Bench) {
    let deadline = Outcome::HandedOff(HandoffReason::Deadline);
    turn(bench, "i1", "a", 0, Outcome::Replied).await;
    turn(bench, "i2", "b", 10, deadline).await;
    turn(bench, "i3", "a", 20, Outcome::Skipped(SkipReason::Closed)).await;
    bench.record(message("i4", "a", "i4", 30)).await;
    bench.claim_one(1, 31).await;
    let word = |word: &str| Some(word.to_owned());
    let (in_a, others) = (Some(id("a")), Some(AccountName::new("other")));
    let queries: [(Ask<'_>, &[i64]); 7] = [
        (&|query| query.outcome = word("replied"), &[1]),
        (&|query| query.outcome = word("running"), &[4]),
        (&|query| query.reason = word("deadline"), &[2]),
        (&|query| query.conversation_id = in_a.clone(), &[4, 3, 1]),
        (
            &|query| (query.conversation_id, query.outcome) = (in_a.clone(), word("skipped")),
            &[3],
        ),
        (&|query| query.account = others.clone(), &[]),
        (
            &|query| (query.account, query.limit) = (Some(account()), 2),
            &[4, 3],
        ),
    ];
    for (ask, found) in queries {
        let mut query = TurnQuery::default();
        ask(&mut query);
        assert_eq!(list(bench, query.clone()).await, found, "{query:?}");
    }
}

async fn a_trace_is_kept_with_its_turn(bench: &mut Bench) {
    let traced = |save: Save, trace: &str| Save {
        trace: Some(trace.to_owned()),
        ..save
    };
    let turn = bench.begin_one().await;
    let first = save(&turn, 1, 2, vec![], running("s"));
    bench.store().save(traced(first, "one")).await.unwrap();
    bench.restart().await;
    let again = bench.claim_one(2, 3).await;
    assert_eq!(again.trace.as_deref(), Some("one"));
    // A turn that panicked says nothing of itself.
    let panicked = Progress::PutOff {
        state: None,
        until: at(4),
    };
    let store = bench.store();
    store
        .save(save(&again, 2, 3, vec![], panicked))
        .await
        .unwrap();
    let again = bench.claim_one(2, 4).await;
    assert_eq!(again.trace.as_deref(), Some("one"));
    let more = save(&again, 2, 4, vec![], running("t"));
    let store = bench.store();
    store.save(traced(more, "two")).await.unwrap();
    let ended = save(&again, 2, 5, vec![], ended(Outcome::Replied));
    store.save(ended).await.unwrap();
    let found = bench.store().remembered(&id("c"), None).await.unwrap();
    let turn = found[0].turns[0].as_ref().unwrap();
    assert_eq!(turn.trace.as_deref(), Some("two"));
    assert_eq!((&turn.words, turn.messages.len()), (&None, 1));
    assert_eq!(turn.end.as_ref().map(|end| end.at), Some(at(5)));
}

async fn a_conversation_is_remembered_with_all_that_told_of_it(bench: &mut Bench) {
    bench.record(message("e1", "c", "i1", 0)).await;
    let told = bench.record(message("e2", "c", "i1", 1)).await;
    assert_eq!(told, Recorded::Duplicate);
    let found = Delivery {
        source: Source::Sweep { overdue: false },
        ..message("e3", "c", "i2", 2)
    };
    bench.record(found).await;
    bench.record(message("e4", "d", "i3", 3)).await;
    bench.record(merge("e5", "d", "c", 4)).await;
    let turn = bench.claim_one(1, 5).await;
    let store = bench.store();
    store
        .save(save(&turn, 1, 6, vec![], dead(false)))
        .await
        .unwrap();
    let found = store.remembered(&id("c"), Some(&account())).await.unwrap();
    let [one] = &found[..] else {
        panic!("{found:?}")
    };
    let past = &one.conversation.past;
    let told: Vec<_> = past.told.iter().map(|told| (told.at, told.by)).collect();
    let expected = [
        (at(0), By::Webhook),
        (at(1), By::Duplicate),
        (at(2), By::Sweep),
        (at(3), By::Webhook),
    ];
    assert_eq!(told, expected);
    assert_eq!(past.told[0].what, "TEST");
    assert_eq!(one.merged_from, [id("d")]);
    assert_eq!((one.turns.len(), one.dead_letters.len()), (1, 1));
    let letter = one.dead_letters[0].id;
    assert!(store.retry_dead_letter(retry(letter, 7)).await.unwrap());
    let found = store.remembered(&id("c"), None).await.unwrap();
    let told = found[0].conversation.past.told.last().unwrap();
    assert_eq!((told.at, told.by), (at(7), By::Person));
    assert_eq!(found[0].dead_letters, []);
    let gone = store.remembered(&id("d"), None).await.unwrap();
    assert_eq!(gone[0].conversation.merged_into, Some(id("c")));
}

async fn the_newest_of_many_events_are_remembered(bench: &mut Bench) {
    for second in 0..50 {
        let name = format!("i{second}");
        bench.record(message(&name, "c", &name, second)).await;
    }
    let found = bench.store().remembered(&id("c"), None).await.unwrap();
    let told = &found[0].conversation.past.told;
    assert_eq!((told.len(), told[19].at), (20, at(49)));
}

async fn a_conversation_is_found_in_whatever_account(bench: &mut Bench) {
    let store = bench.store();
    assert_eq!(store.remembered(&id("c"), None).await.unwrap(), []);
    for name in ["one", "two"] {
        let delivery = Delivery {
            account: AccountName::new(name),
            ..message("e", "c", "i", 0)
        };
        store.record(delivery).await.unwrap();
    }
    let found = store.remembered(&id("c"), None).await.unwrap();
    let names: Vec<_> = found.iter().map(|one| one.account.as_str()).collect();
    assert_eq!(names, ["one", "two"]);
    let two = AccountName::new("two");
    let found = store.remembered(&id("c"), Some(&two)).await.unwrap();
    assert_eq!(found.len(), 1);
    let nobody = AccountName::new("nobody");
    let found = store.remembered(&id("c"), Some(&nobody)).await.unwrap();
    assert_eq!(found, []);
}

async fn a_dead_turn_that_goes_on_is_counted_once(bench: &mut Bench) {
    for may_have_written in [false, true] {
        let name = format!("i-{may_have_written}");
        bench.record(message(&name, &name, &name, 0)).await;
        let turn = bench.claim_one(1, 1).await;
        let store = bench.store();
        store
            .save(save(&turn, 1, 2, vec![], dead(may_have_written)))
            .await
            .unwrap();
        assert_eq!(count(bench, "dead").await, (1, 1));
        let letter = store.dead_letters().await.unwrap().remove(0);
        assert!(store.retry_dead_letter(retry(letter.id, 3)).await.unwrap());
        assert_eq!(count(bench, "dead").await, (0, 0));
        let again = bench.claim_one(1, 4).await;
        let outcome = Outcome::HandedOff(HandoffReason::Deadline);
        end(bench, &again, 5, outcome).await;
        assert_eq!(count(bench, "dead").await, (0, 0));
    }
    assert_eq!(count(bench, "handed_off").await, (2, 2));
    // One that is dropped stays what it was.
    turn(bench, "i3", "c", 10, Outcome::Dead("x".to_owned())).await;
    let letter = bench.store().dead_letters().await.unwrap().remove(0);
    assert!(bench.store().drop_dead_letter(letter.id).await.unwrap());
    assert_eq!(count(bench, "dead").await, (1, 1));
}

async fn a_conversation_that_the_bot_solved_is_counted_when_it_closes(bench: &mut Bench) {
    turn(bench, "i1", "c", 0, Outcome::Replied).await;
    turn(bench, "i2", "c", 10, Outcome::Replied).await;
    let all = FIRST_MESSAGE | FIRST_QUESTION | FIRST_ANSWER;
    let found = totals(bench).await;
    let firsts: BTreeSet<u8> = found.iter().map(|total| total.key.firsts).collect();
    assert_eq!(firsts, BTreeSet::from([0, all]));
    let sums = |total: &Total| (total.count, total.messages, total.calls, total.per_second);
    assert!(found.iter().all(|total| sums(total) == (1, 1, 3, 10)));
    assert_eq!(TALLY.calls, 3);
    for (event, contained) in [("e1", 1), ("e2", 1)] {
        let closed = Change::Status(id("c"), Status::Closed);
        bench.record(delivery(event, 20, closed)).await;
        assert_eq!(count(bench, "contained").await, (contained, 0));
    }
    assert_eq!(count(bench, "reopened").await, (0, 0));
    bench.record(message("i3", "c", "i3", 30)).await;
    assert_eq!(count(bench, "reopened").await, (1, 0));
    let again = bench.claim_one(1, 31).await;
    end(bench, &again, 32, Outcome::Replied).await;
    // One that a human takes is not the bot's any more.
    turn(bench, "i4", "d", 40, Outcome::Replied).await;
    let taken = Change::Holder(id("d"), Some(human()));
    bench.record(delivery("e4", 50, taken)).await;
    let closed = Change::Status(id("d"), Status::Closed);
    bench.record(delivery("e5", 51, closed)).await;
    assert_eq!(count(bench, "contained").await, (1, 0));
    let found = Delivery {
        source: Source::Sweep { overdue: true },
        ..message("i9", "f", "i9", 60)
    };
    bench.record(found).await;
    assert_eq!(count(bench, "recovered").await, (1, 0));
}

async fn totals_are_kept_for_a_year(bench: &mut Bench) {
    turn(bench, "i1", "c", 0, Outcome::Replied).await;
    let days = |days: u64| at(days * 24 * 3_600);
    bench.store().purge(days(365)).await.unwrap();
    assert_eq!(list(bench, TurnQuery::default()).await, Vec::<i64>::new());
    assert_eq!(count(bench, "replied").await, (1, 1));
    bench.store().purge(days(366)).await.unwrap();
    assert_eq!(count(bench, "replied").await, (0, 0));
}

async fn few_of_many_turns_are_found_a_page_at_a_time(bench: &mut Bench) {
    let outcomes = [
        Outcome::Replied,
        Outcome::HandedOff(HandoffReason::Deadline),
        Outcome::Skipped(SkipReason::Closed),
        Outcome::Skipped(SkipReason::HumanAssigned),
        Outcome::Dead("closed".to_owned()),
    ];
    for number in 0..20 {
        let name = format!("i{number}");
        let outcome = outcomes[number % 5].clone();
        turn(bench, &name, &name, number as u64 % 7 * 10, outcome).await;
    }
    bench.record(message("i20", "i20", "i20", 5)).await;
    bench.claim_one(1, 90).await;
    let all = TurnQuery {
        limit: 100,
        ..TurnQuery::default()
    };
    let all = bench.store().turns(&all).await.unwrap();
    assert_eq!(all.len(), 21);
    let word = |word: &str| Some(word.to_owned());
    let mut queries = vec![];
    for outcome in [None, word("skipped"), word("replied"), word("nothing")] {
        for reason in [None, word("closed"), word("deadline"), word("")] {
            for account in [None, Some(account()), Some(AccountName::new("nobody"))] {
                queries.push(TurnQuery {
                    account,
                    outcome: outcome.clone(),
                    reason: reason.clone(),
                    since: Some(at(10)),
                    limit: 3,
                    ..TurnQuery::default()
                });
            }
        }
    }
    for mut query in queries {
        let wanted = all.iter().filter(|turn| query.asks_for(turn));
        let wanted: Vec<i64> = wanted.map(|turn| turn.id.0).collect();
        let mut seen = Vec::new();
        loop {
            let page = bench.store().turns(&query).await.unwrap();
            let Some(last) = page.last() else { break };
            query.before = Some(last.place());
            seen.extend(ids(&page));
        }
        query.before = None;
        assert_eq!(seen, wanted, "{query:?}");
    }
}

/// The days of the hours in which the bench plays, and what is told of them.
async fn days(bench: &Bench) -> Vec<Total> {
    let first = hour_of(at(0)).div_euclid(24);
    let days = bench.store().days(first, first + 5, None).await.unwrap();
    let mut days: Vec<Total> = days;
    days.sort();
    days
}

async fn days_by_hours(bench: &Bench) -> Vec<Total> {
    let first = hour_of(at(0)).div_euclid(24) * 24;
    let store = bench.store();
    let hours = store.totals(first, first + 5 * 24, None).await.unwrap();
    let days = crate::store::days::sum_up(&hours);
    let mut days: Vec<Total> = days.into_values().flatten().collect();
    days.sort();
    days
}

const A_DAY: u64 = 24 * 3_600;

async fn days_that_are_over_are_summed_up_and_tell_the_same(bench: &mut Bench) {
    for day in 0..3 {
        for number in 0..6 {
            let name = format!("i{day}-{number}");
            let outcome = match number % 3 {
                0 => Outcome::Replied,
                1 => Outcome::HandedOff(HandoffReason::Deadline),
                _ => Outcome::Skipped(SkipReason::Closed),
            };
            turn(bench, &name, &name, day * A_DAY + number * 3_000, outcome).await;
        }
    }
    let before = days(bench).await;
    assert_eq!(before, days_by_hours(bench).await);
    assert!(before.iter().any(|total| total.answer_time().is_some()));
    for second in [A_DAY, 2 * A_DAY, 2 * A_DAY, 5 * A_DAY] {
        bench.store().sum_up(at(second)).await.unwrap();
        assert_eq!(days(bench).await, before);
    }
    let other = AccountName::new("other");
    let first = hour_of(at(0)).div_euclid(24);
    let store = bench.store();
    let of_others = store.days(first, first + 5, Some(&other)).await;
    assert_eq!(of_others.unwrap(), []);
    let one = store.days(first + 1, first + 2, Some(&account())).await;
    let mut one = one.unwrap();
    one.sort();
    let day = |total: &Total| total.key.hour.div_euclid(24) - first;
    let of_it: Vec<Total> = before.into_iter().filter(|it| day(it) == 1).collect();
    assert_eq!(one, of_it);
    store.purge(at(500 * A_DAY)).await.unwrap();
    assert_eq!(days(bench).await, []);
}

async fn what_is_added_to_a_day_gone_by_is_in_its_sum(bench: &mut Bench) {
    turn(bench, "i1", "c", 0, Outcome::Replied).await;
    let closed = Change::Status(id("c"), Status::Closed);
    bench.record(delivery("e1", 20, closed)).await;
    turn(bench, "i2", "d", 30, Outcome::Dead("x".to_owned())).await;
    let store = bench.store();
    store.sum_up(at(3 * A_DAY)).await.unwrap();
    let before = days(bench).await;
    // It goes on, days after it was closed; and a person retries what died.
    bench.record(message("i3", "c", "i3", 2 * A_DAY)).await;
    let letter = store.dead_letters().await.unwrap().remove(0);
    let retried = store.retry_dead_letter(retry(letter.id, 2 * A_DAY)).await;
    assert!(retried.unwrap());
    let after = days(bench).await;
    let count = |totals: &[Total], what: &str| -> i64 {
        let of_it = totals.iter().filter(|total| total.key.what == what);
        of_it.map(|total| total.count).sum()
    };
    assert_eq!((count(&before, "reopened"), count(&before, "dead")), (0, 1));
    assert_eq!((count(&after, "reopened"), count(&after, "dead")), (1, 0));
    assert_eq!(after, days_by_hours(bench).await);
    let store = bench.store();
    store.sum_up(at(3 * A_DAY)).await.unwrap();
    assert_eq!(days(bench).await, after);
}

async fn what_is_added_after_the_clock_was_set_back_is_in_its_day_s_sum(bench: &mut Bench) {
    turn(bench, "i1", "c", 0, Outcome::Replied).await;
    bench.store().sum_up(at(3 * A_DAY)).await.unwrap();
    for (name, second) in [("i2", 3_600), ("i3", A_DAY)] {
        bench.store().sum_up(at(second)).await.unwrap();
        turn(bench, name, name, second, Outcome::Replied).await;
    }
    bench.store().sum_up(at(3 * A_DAY)).await.unwrap();
    let days = days(bench).await;
    assert_eq!(days, days_by_hours(bench).await);
}
