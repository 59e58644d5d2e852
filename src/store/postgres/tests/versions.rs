//! Relays of different versions, and relays that start at once.

use super::*;
use crate::store::{Store as _, StoreError};

#[tokio::test(flavor = "multi_thread")]
async fn relays_that_start_at_once_migrate_once() {
    let Some(own) = Own::new() else { return };
    let opening = (0..4).map(|_| {
        let address = own.address();
        tokio::spawn(async move { Postgres::open(&address, key()).await.map(drop) })
    });
    for opened in futures_util::future::join_all(opening.collect::<Vec<_>>()).await {
        opened.unwrap().unwrap();
    }
    assert_eq!(own.sql("SELECT count(*) FROM gladly_relay_schema"), "1");
}

#[tokio::test]
async fn a_newer_schema_is_used_if_it_lets_this_version_write() {
    let Some(own) = Own::new() else { return };
    own.open().await.close().await;
    own.sql("INSERT INTO gladly_relay_schema SELECT 99, max(writable_by) FROM gladly_relay_schema");
    assert!(Postgres::open(&own.address(), key()).await.is_ok());
    own.sql("INSERT INTO gladly_relay_schema VALUES (100, 99)");
    let refused = Postgres::open(&own.address(), key()).await.map(drop);
    let expected = |error: &StoreError| matches!(error, StoreError::NewerDatabase { found: 100, known } if *known < 99);
    assert!(refused.as_ref().is_err_and(expected), "{refused:?}");
    assert_eq!(
        own.sql("SELECT max(version) FROM gladly_relay_schema"),
        "100"
    );
}

#[tokio::test]
async fn tables_of_somebody_else_are_left_alone() {
    let Some(own) = Own::new() else { return };
    own.sql("CREATE TABLE events (theirs int)");
    let refused = Postgres::open(&own.address(), key()).await.map(drop);
    let told = refused.unwrap_err().to_string();
    assert!(told.contains("a database of its own"), "{told}");
    let tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'";
    assert_eq!(own.sql(tables), "1");
}
