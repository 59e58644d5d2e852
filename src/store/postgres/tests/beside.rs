//! Several relays write into one database at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::outcome::Outcome;
use crate::store::conformance::bench::{claim, ended, merge, message, running, save};
use crate::store::{Delivery, Recorded, Store as _};

const EVENTS: u64 = 120;

/// Some events are told of twice, some items by two events, and conversations merge.
fn heard(round: u64, number: u64) -> Delivery {
    let event = format!("e{round}-{number}");
    let conversation = format!("c{}", number * 7 % 9);
    match number % 15 {
        0 => merge(
            &event,
            &conversation,
            &format!("c{}", number * 5 % 9),
            number,
        ),
        _ => message(
            &event,
            &conversation,
            &format!("i{round}-{}", number / 2),
            number,
        ),
    }
}

/// What is accepted once, by whichever event.
fn told_of(round: u64, number: u64) -> String {
    if number.is_multiple_of(15) {
        format!("merge {number}")
    } else {
        format!("i{round}-{}", number / 2)
    }
}

/// Records what `order` says, many at once: how often each event was accepted.
async fn record(store: Arc<Postgres>, round: u64, order: Vec<u64>) -> Vec<(u64, Recorded)> {
    let recording = order.into_iter().map(|number| {
        let store = store.clone();
        tokio::spawn(async move { (number, store.record(heard(round, number)).await.unwrap()) })
    });
    let recording: Vec<_> = recording.collect();
    let done = futures_util::future::join_all(recording).await;
    done.into_iter().map(Result::unwrap).collect()
}

/// Claims whatever is due and ends it in two steps, until nothing is left.
async fn drive(store: Arc<Postgres>, until: tokio::sync::watch::Receiver<bool>) -> Vec<String> {
    let mut items = Vec::new();
    loop {
        let over = *until.borrow();
        let claimed = store.claim(claim(1, 900, 50)).await.unwrap();
        if over && claimed.turns.is_empty() {
            return items;
        }
        for (turn, _) in claimed.turns {
            let went = save(&turn, 1, 901, vec![], running("going"));
            store.save(went).await.unwrap();
            items.extend(
                turn.messages
                    .iter()
                    .map(|message| message.item_id.to_string()),
            );
            let done = save(&turn, 1, 902, vec![], ended(Outcome::Replied));
            store.save(done).await.unwrap();
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_several_relays_hear_at_once_is_accepted_once_and_nothing_is_lost() {
    let Some(own) = Own::new() else { return };
    let [one, other, driver] = [own.open().await, own.open().await, own.open().await].map(Arc::new);
    for round in 0..3 {
        let mut orders: [Vec<u64>; 2] = std::array::from_fn(|_| (0..EVENTS).collect());
        for order in &mut orders {
            fastrand::shuffle(order);
        }
        let [first, second] = orders;
        let (end, until) = tokio::sync::watch::channel(false);
        let driving = tokio::spawn(drive(driver.clone(), until));
        let (first, second) = tokio::join!(
            tokio::spawn(record(one.clone(), round, first)),
            tokio::spawn(record(other.clone(), round, second))
        );
        end.send(true).unwrap();
        let mut accepted: BTreeMap<String, usize> = BTreeMap::new();
        for (number, recorded) in first.unwrap().into_iter().chain(second.unwrap()) {
            *accepted.entry(told_of(round, number)).or_default() +=
                usize::from(recorded == Recorded::Accepted);
        }
        assert!(
            accepted.values().all(|times| *times == 1),
            "{round}: {accepted:?}"
        );
        let mut items = driving.await.unwrap();
        items.sort();
        let expected: std::collections::BTreeSet<String> = (0..EVENTS)
            .filter(|number| number % 15 != 0)
            .map(|number| told_of(round, number))
            .collect();
        assert_eq!(
            items,
            expected.into_iter().collect::<Vec<_>>(),
            "{round}: each item once"
        );
    }
    let waits = "SELECT count(*) FROM conversations WHERE waiting_since IS NOT NULL";
    assert_eq!(own.sql(waits), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_belongs_to_one_of_those_that_claim_at_once() {
    let Some(own) = Own::new() else { return };
    let [one, other] = [own.open().await, own.open().await].map(Arc::new);
    for number in 0..40 {
        let delivery = message(
            &format!("e{number}"),
            &format!("c{number}"),
            &format!("i{number}"),
            0,
        );
        one.record(delivery).await.unwrap();
    }
    let claiming = |store: Arc<Postgres>| async move {
        let mut ids = Vec::new();
        for _ in 0..8 {
            let claimed = store.claim(claim(1, 5, 10)).await.unwrap();
            ids.extend(claimed.turns.into_iter().map(|(turn, _)| turn.id));
        }
        ids
    };
    let (mut all, others) = tokio::join!(claiming(one), claiming(other));
    all.extend(others);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 40);
    assert_eq!(own.sql("SELECT count(*) FROM turns"), "40");
}
