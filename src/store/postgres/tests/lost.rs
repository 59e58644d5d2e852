//! Connections that are lost in the midst of commits: each answer agrees with what is
//! stored.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::store::conformance::bench::{claim, message};
use crate::store::{Recorded, Store as _};

const MESSAGES: usize = 400;

/// Ends all connections of relays to this database, again and again.
async fn end_connections(own: &Own, until: impl Future<Output = ()>) {
    let (client, connection) = own
        .address()
        .config
        .connect(tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'gladly-relay'";
    tokio::pin!(until);
    loop {
        client.batch_execute(end).await.unwrap();
        let wait = std::time::Duration::from_millis(fastrand::u64(5..40));
        tokio::select! {
            () = &mut until => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_answer_agrees_with_what_is_stored_though_connections_are_lost() {
    let Some(own) = Own::new() else { return };
    let store = Arc::new(own.open().await);
    let recording = async {
        let mut told = Vec::new();
        for chunk in (0..MESSAGES).collect::<Vec<_>>().chunks(8) {
            let asked = chunk.iter().map(|number| {
                let store = store.clone();
                let name = move |kind| format!("{kind}{number}");
                let delivery = message(&name("e"), &name("c"), &name("i"), 0);
                async move { (name("e"), store.record(delivery).await) }
            });
            told.extend(futures_util::future::join_all(asked).await);
        }
        told
    };
    let (done, is_done) = tokio::sync::oneshot::channel::<()>();
    let (told, ()) = tokio::join!(
        async {
            let told = recording.await;
            done.send(()).unwrap();
            told
        },
        end_connections(&own, async { is_done.await.unwrap() })
    );
    let stored = own.sql("SELECT event_id FROM events");
    let stored: BTreeSet<&str> = stored.lines().collect();
    let mut failed = 0;
    for (event, recorded) in &told {
        match recorded {
            Ok(Recorded::Accepted) => assert!(stored.contains(&**event), "{event} is lost"),
            Err(_) => {
                failed += 1;
                assert!(!stored.contains(&**event), "{event} is there");
            }
            Ok(other) => panic!("{event}: {other:?}, and it came once"),
        }
    }
    assert!(failed > 0, "connections were lost");
    assert!(failed < MESSAGES, "some came through");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn of_a_claim_that_may_be_lost_the_next_one_finds_what_nobody_has_in_hand_and_only_that() {
    let Some(own) = Own::new() else { return };
    let store = own.open().await;
    for name in ["a", "b"] {
        let delivery = message(&format!("e{name}"), name, &format!("i{name}"), 0);
        store.record(delivery).await.unwrap();
    }
    let claimed = store.claim(claim(1, 1, 10)).await.unwrap();
    let ids: Vec<_> = claimed.turns.iter().map(|(turn, _)| turn.id).collect();
    assert_eq!(ids.len(), 2);
    let in_hand = || {
        let mut request = claim(1, 2, 10);
        request.running.insert(ids[0]);
        request
    };
    let claims_again = async || {
        let claimed = store.claim(in_hand()).await.unwrap().turns;
        let ids = claimed.into_iter().map(|(turn, _)| turn.id);
        ids.collect::<Vec<_>>()
    };
    assert!(claims_again().await.is_empty(), "nothing is in doubt");
    // As after a commit whose answer was lost.
    let account = claim(1, 2, 10).account;
    crate::store::postgres::writer::lock(&store.register.shared.doubtful).insert(account);
    assert_eq!(claims_again().await, [ids[1]]);
    assert!(claims_again().await.is_empty(), "the doubt is settled");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn turns_whose_claim_was_never_heard_of_are_claimed_again() {
    let Some(own) = Own::new() else { return };
    let store = Arc::new(own.open().await);
    for number in 0..MESSAGES {
        let name = move |kind| format!("{kind}{number}");
        let delivery = message(&name("e"), &name("c"), &name("i"), 0);
        store.record(delivery).await.unwrap();
    }
    let mut running = BTreeSet::new();
    let claiming = async {
        while running.len() < MESSAGES {
            let mut request = claim(1, 5, 7);
            request.running = running.iter().copied().collect();
            if let Ok(claimed) = store.claim(request).await {
                for (turn, _) in claimed.turns {
                    assert!(running.insert(turn.id), "it was claimed already");
                }
            }
        }
    };
    let claiming = async {
        let within = std::time::Duration::from_mins(1);
        let claimed = tokio::time::timeout(within, claiming).await;
        claimed.expect("all turns are claimed in the end");
    };
    end_connections(&own, claiming).await;
    assert_eq!(own.sql("SELECT count(*) FROM turns"), MESSAGES.to_string());
    store.close().await;
}
