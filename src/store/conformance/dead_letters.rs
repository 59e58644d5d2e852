//! What was given up: kept, retried, dropped.

use super::*;
use crate::store::{Cause, DeadLetter, DeadLetterId, LetterQuery};

cases! {
    a_dead_turns_messages_wait_again,
    a_dead_turn_without_a_message_comes_again_as_it_came,
    what_was_settled_since_does_not_wait_again,
    a_dead_turn_that_may_have_written_goes_on_itself,
    a_retry_by_a_clock_ahead_or_behind_is_due_at_once,
    a_dead_turn_is_not_reopened_beside_another,
    a_dead_letter_is_dropped_once,
    an_unusable_event_is_a_dead_letter,
    of_a_flood_of_unusable_events_so_many_are_kept,
    dead_letters_are_counted_by_cause_and_read_by_the_page,
    some_dead_letters_are_read_without_the_others,
}

async fn a_dead_turns_messages_wait_again(bench: &mut Bench) {
    let turn = bench.begin_one().await;
    let store = bench.store();
    store
        .save(save(&turn, 1, 2, vec![], dead(false)))
        .await
        .unwrap();
    assert!(store.claim(claim(1, 3, 10)).await.unwrap().turns.is_empty());
    let letters = store.dead_letters().await.unwrap();
    let [letter] = &letters[..] else { panic!() };
    assert_eq!(
        (letter.turn_id, letter.may_have_written),
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

async fn a_dead_turn_without_a_message_comes_again_as_it_came(bench: &mut Bench) {
    let arrival = Change::Holder(id("c"), Some(the_bots()));
    bench.record(delivery("e1", 0, arrival)).await;
    let turn = bench.claim_one(1, 1).await;
    assert!(turn.messages.is_empty());
    let store = bench.store();
    store
        .save(save(&turn, 1, 2, vec![], dead(false)))
        .await
        .unwrap();
    let letter = store.dead_letters().await.unwrap().remove(0);
    assert!(store.retry_dead_letter(retry(letter.id, 50)).await.unwrap());
    let again = bench.claim_one(1, 51).await;
    assert_eq!(
        (again.messages.len(), again.deadline_at),
        (0, at(51 + DEADLINE))
    );
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

async fn a_dead_turn_that_may_have_written_goes_on_itself(bench: &mut Bench) {
    let turn = bench.begin_one().await;
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
    assert!(letter.may_have_written);
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
        for may_have_written in [false, true] {
            let name = format!("{number}-{may_have_written}");
            let store = bench.store();
            store
                .record(message(&name, &name, &name, 5_000))
                .await
                .unwrap();
            let turn = bench.claim_one(1, 5_001).await;
            let store = bench.store();
            let dead = save(&turn, 1, 5_002, vec![], dead(may_have_written));
            store.save(dead).await.unwrap();
            let letters = store.dead_letters().await.unwrap();
            let retry = retry(letters[0].id, their_second);
            assert!(store.retry_dead_letter(retry).await.unwrap());
            let again = bench.claim_one(1, 5_003).await;
            if !may_have_written {
                assert_eq!(again.deadline_at, at(5_003 + DEADLINE), "{name}");
            }
            assert!(again.received_at <= at(5_003), "{name}");
            let ended = save(&again, 1, 5_004, vec![], ended(Outcome::Replied));
            bench.store().save(ended).await.unwrap();
        }
    }
}

async fn a_dead_turn_is_not_reopened_beside_another(bench: &mut Bench) {
    let turn = bench.begin_one().await;
    bench
        .store()
        .save(save(&turn, 1, 2, vec![], dead(true)))
        .await
        .unwrap();
    bench.record(message("e2", "c", "i2", 3)).await;
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
    let turn = bench.begin_one().await;
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

/// So many dead turns and webhooks that could not be used, of two accounts.
async fn many_dead_letters(bench: &Bench) -> Vec<DeadLetter> {
    let store = bench.store();
    for number in 0..12 {
        let name = format!("u{number}");
        let error = ["no id", "too long"][number % 2].to_owned();
        let account = [account(), AccountName::new("other")][number % 3 / 2].clone();
        let unusable = Delivery {
            account,
            ..delivery(&name, 0, Change::Unusable(error))
        };
        store.record(unusable).await.unwrap();
    }
    for number in 0..4 {
        let name = format!("i{number}");
        bench.record(message(&name, &name, &name, 1)).await;
        let turn = bench.claim_one(1, 2).await;
        let died = save(&turn, 1, 3, vec![], dead(number % 2 == 0));
        store.save(died).await.unwrap();
    }
    store.dead_letters().await.unwrap()
}

async fn dead_letters_are_counted_by_cause_and_read_by_the_page(bench: &mut Bench) {
    let all = many_dead_letters(bench).await;
    assert_eq!(all.len(), 16);
    let store = bench.store();
    let mut causes = store.causes().await.unwrap();
    causes.sort();
    assert_eq!(causes, Cause::count(&all));
    assert_eq!(causes.len(), 6);
    for (cause, count) in causes {
        let mut seen = Vec::new();
        while let Some(last) = {
            let before = seen.last().map(|letter: &DeadLetter| letter.id);
            let page = store.letters_of(&cause, before, 2).await.unwrap();
            assert!(page.len() <= 2);
            seen.extend(page.clone());
            page.last().cloned()
        } {
            assert_eq!(Cause::of(&last), cause);
        }
        assert_eq!(u64::try_from(seen.len()).unwrap(), count);
        assert!(seen.is_sorted_by_key(|letter| std::cmp::Reverse(letter.id)));
        assert!(seen.iter().all(|letter| all.contains(letter)));
    }
}

async fn some_dead_letters_are_read_without_the_others(bench: &mut Bench) {
    let all = many_dead_letters(bench).await;
    let (other, long) = (AccountName::new("other"), "too long".to_owned());
    let queries = [
        LetterQuery::default(),
        LetterQuery {
            account: Some(other.clone()),
            ..LetterQuery::default()
        },
        LetterQuery {
            error: Some(long.clone()),
            after: Some(all[3].id),
            ..LetterQuery::default()
        },
        LetterQuery {
            account: Some(other),
            error: Some(long),
            limit: Some(1),
            ..LetterQuery::default()
        },
    ];
    for query in queries {
        let mut wanted = all.clone();
        wanted.retain(|letter| query.asks_for(letter));
        wanted.truncate(query.limit.unwrap_or(usize::MAX));
        assert!(!wanted.is_empty() && wanted.len() < 17);
        let found = bench.store().letters(&query).await.unwrap();
        assert_eq!(found, wanted, "{query:?}");
    }
    let ids = [all[7].id, DeadLetterId(9_999), all[2].id];
    let found = bench.store().named_letters(&ids).await.unwrap();
    assert_eq!(found, [all[2].clone(), all[7].clone()]);
    assert_eq!(bench.store().named_letters(&[]).await.unwrap(), []);
}
