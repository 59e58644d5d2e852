//! Days are summed up while other relays add to them.

use std::sync::Arc;

use super::*;
use crate::conversation::Status;
use crate::outcome::Outcome;
use crate::store::conformance::bench::{at, claim, delivery, ended, id, message, save};
use crate::store::totals::hour_of;
use crate::store::{Change, History as _, Store as _, Total, days};

const CONVERSATIONS: usize = 60;
const A_DAY: u64 = 24 * 3_600;

/// Conversations that the bot answered, closed an hour or more after each other.
async fn closed_conversations(store: &Postgres) {
    for number in 0..CONVERSATIONS {
        let (name, second) = (format!("c{number}"), number as u64 * 4_000);
        store
            .record(message(&name, &name, &name, second))
            .await
            .unwrap();
        let claimed = store.claim(claim(1, second + 1, 1)).await.unwrap();
        let end = save(
            &claimed.turns[0].0,
            1,
            second + 2,
            vec![],
            ended(Outcome::Replied),
        );
        store.save(end).await.unwrap();
        let closed = Change::Status(id(&name), Status::Closed);
        let closed = delivery(&format!("closed {number}"), second + 3, closed);
        store.record(closed).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_added_while_a_day_is_summed_up_is_missed() {
    let Some(own) = Own::new() else { return };
    let [one, other] = [own.open().await, own.open().await].map(Arc::new);
    closed_conversations(&one).await;
    let adding = tokio::spawn({
        let one = one.clone();
        async move {
            for number in 0..CONVERSATIONS {
                let again = format!("again-{number}");
                let again = message(&again, &format!("c{number}"), &again, 5 * A_DAY);
                one.record(again).await.unwrap();
            }
        }
    });
    while !adding.is_finished() {
        other.sum_up(at(5 * A_DAY)).await.unwrap();
        // So that every day is summed up anew.
        own.sql("DELETE FROM days WHERE day % 2 = 0 AND account = ''");
    }
    adding.await.unwrap();
    let first = hour_of(at(0)).div_euclid(24);
    for _ in 0..2 {
        let mut summed: Vec<Total> = other.days(first, first + 5, None).await.unwrap();
        let hours = other.totals(first * 24, (first + 5) * 24, None).await;
        let mut by_hours: Vec<Total> = days::sum_up(&hours.unwrap())
            .into_values()
            .flatten()
            .collect();
        summed.sort();
        by_hours.sort();
        let reopened = by_hours.iter().filter(|total| total.key.what == "reopened");
        let reopened: i64 = reopened.map(|total| total.count).sum();
        assert_eq!(usize::try_from(reopened), Ok(CONVERSATIONS));
        assert_eq!(summed, by_hours);
        other.sum_up(at(5 * A_DAY)).await.unwrap();
    }
    one.close().await;
    other.close().await;
}
