//! A day is summed up while another relay adds to it.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::outcome::Outcome;
use crate::store::conformance::bench::{at, claim, ended, message, save};
use crate::store::totals::{hour_begins, hour_of};
use crate::store::{History as _, Store as _};

/// What a relay does that adds to an hour gone by.
const ADD: &str = "BEGIN;
    UPDATE totals SET count = count + 10 WHERE what = 'replied';
    INSERT INTO days SELECT hour / 24, account, NULL FROM totals
        ON CONFLICT (day, account) DO UPDATE SET value = NULL";
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_being_added_while_a_day_is_summed_up_is_not_missed() {
    let Some(own) = Own::new() else { return };
    let store = Arc::new(own.open().await);
    store.record(message("e", "c", "i", 0)).await.unwrap();
    let claimed = store.claim(claim(1, 1, 1)).await.unwrap();
    let end = ended(Outcome::Replied);
    let end = save(&claimed.turns[0].0, 1, 2, vec![], end);
    store.save(end).await.unwrap();
    let other = super::super::connect::Connector::new(&own.address()).unwrap();
    let other = other.connect().await.unwrap();
    other.batch_execute(ADD).await.unwrap();
    let summing = tokio::spawn({
        let store = store.clone();
        async move { store.sum_up(at(3 * 24 * 3_600)).await }
    });
    while own.sql(WAITING).trim() == "0" {
        assert!(!summing.is_finished(), "it waits for who adds");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    other.batch_execute("COMMIT").await.unwrap();
    summing.await.unwrap().unwrap();
    let stored = own.sql("SELECT count(*) FROM days WHERE value IS NOT NULL");
    assert_eq!(stored.trim(), "2");
    let day = hour_of(at(0)).div_euclid(24);
    let day = store.days(day, day + 1, None).await.unwrap();
    let replied = day.iter().find(|total| total.key.what == "replied");
    assert_eq!(replied.map(|total| total.count), Some(11));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_of_very_many_accounts_is_summed_up_some_at_a_time() {
    let Some(own) = Own::new() else { return };
    let store = own.open().await;
    own.sql(
        "INSERT INTO totals SELECT hour, 'account' || number, 'replied', '', 0, 1, 1, 1, 3, 10
         FROM generate_series(240, 263) hour, generate_series(1, 250) number
         WHERE (hour + number) % 5 = 0;
         INSERT INTO days VALUES (10, 'account99', NULL)",
    );
    let read = async || {
        let mut totals = store.days(10, 11, None).await.unwrap();
        totals.sort();
        totals
    };
    let before = read().await;
    store.sum_up(hour_begins(11 * 24 + 3)).await.unwrap();
    let stored = own.sql("SELECT count(value), count(*) FROM days");
    assert_eq!(stored.trim(), "251|251");
    assert_eq!(read().await, before);
    store.close().await;
}
