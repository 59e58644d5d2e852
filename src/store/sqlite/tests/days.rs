//! Days that are summed up are what is read.

use super::Folder;
use crate::id::AccountName;
use crate::outcome::Outcome;
use crate::store::conformance::bench::{at, claim, ended, message, save};
use crate::store::totals::hour_of;
use crate::store::{History, Sqlite, Store};

#[tokio::test]
async fn a_day_is_read_as_it_was_summed_up_until_that_is_taken_away() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.record(message("e", "c", "i", 0)).await.unwrap();
    let turn = store.claim(claim(1, 1, 1)).await.unwrap().turns.remove(0).0;
    let end = save(&turn, 1, 2, vec![], ended(Outcome::Replied));
    store.save(end).await.unwrap();
    let day = hour_of(at(0)).div_euclid(24);
    let count = async || store.days(day, day + 1, None).await.unwrap().len();
    let a_day = 24 * 3_600;
    // Another relay's clock may be behind.
    store.sum_up(at(a_day + 3_600)).await.unwrap();
    assert_eq!(folder.number("SELECT count(*) FROM days"), 0);
    store.sum_up(at(2 * a_day)).await.unwrap();
    assert_eq!(folder.number("SELECT count(*) FROM days"), 2);
    assert_eq!(count().await, 3, "counts, times and the busiest hour");
    folder.sql("UPDATE days SET value = '[]' WHERE account <> ''");
    assert_eq!(count().await, 0);
    for gone in ["NULL", "'{'"] {
        folder.sql(&format!(
            "UPDATE days SET value = {gone} WHERE account <> ''"
        ));
        assert_eq!(count().await, 3, "{gone}");
    }
    store.close().await;
}

/// A turn of this account begins and ends.
async fn turn_of(store: &Sqlite, name: &str, second: u64) {
    let account = AccountName::new(name);
    let event = format!("{name}-{second}");
    let mut heard = message(&event, &event, &event, second);
    heard.account = account.clone();
    store.record(heard).await.unwrap();
    let mut request = claim(1, second, 1);
    request.account = account;
    let turn = store.claim(request).await.unwrap().turns.remove(0).0;
    let end = save(&turn, 1, second, vec![], ended(Outcome::Replied));
    store.save(end).await.unwrap();
}

#[tokio::test]
async fn what_is_added_to_a_day_before_it_is_summed_up_hides_no_other_account() {
    let folder = Folder::new();
    let store = folder.open().await;
    let a_day = 24 * 3_600;
    for name in ["acme", "beta", "zeta"] {
        turn_of(&store, name, 60).await;
    }
    // As when a conversation of the day before goes on after midnight.
    folder.sql(
        "INSERT INTO days SELECT DISTINCT hour / 24, account, NULL FROM totals
         WHERE account = 'zeta'",
    );
    let day = hour_of(at(0)).div_euclid(24);
    let read = async || store.days(day, day + 1, None).await.unwrap().len();
    let before = read().await;
    store.sum_up(at(2 * a_day)).await.unwrap();
    assert_eq!(read().await, before);
    store.close().await;
}
