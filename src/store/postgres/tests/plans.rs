//! However much is stored, every statement finds its rows through an index. The server
//! itself tells how it did each (PostgreSQL documentation, "`auto_explain`").

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::id::TurnId;
use crate::outcome::Outcome;
use crate::store::conformance::bench::{
    account, at, claim, dead, ended, id, merge, message, retry, running, save,
};
use crate::store::{
    History as _, Lease, Operations as _, Organization, Peer, Runner, Store, Swept, TurnQuery,
};

/// Of ended turns, and ten times as many as lanes that wait.
const TURNS: u64 = 50_000;

/// What a year of work leaves, and a bad morning.
fn fill(own: &Own) {
    let ended = TURNS;
    let waiting = TURNS / 10;
    let start = at(0).as_millisecond();
    own.sql(&format!(
        "INSERT INTO events SELECT 'acme', md5('e' || n), {start} - n, ({start} - n) * 1000
            FROM generate_series(1, {ended}) n;
        INSERT INTO items SELECT 'acme', md5('i' || n), {start} - n FROM generate_series(1, {ended}) n;
        INSERT INTO turns SELECT n + 1000, 'acme', 'd' || n, {start} - n, {start}, 1, '[]', NULL, NULL, NULL,
            false, false, repeat('x', 700), 'replied', NULL, {start} - n FROM generate_series(1, {ended}) n;
        SELECT setval('turn_ids', {ended} + 2001), setval('terms', 100);
        CREATE TEMP TABLE one AS SELECT value FROM conversations WHERE conversation_id = 'c';
        INSERT INTO conversations SELECT 'acme', 'd' || n, value, NULL, NULL, NULL, 0, {start}
            FROM generate_series(1, {ended}) n, one;
        INSERT INTO conversations SELECT 'acme', 'w' || n, value, NULL, {start} + n, {start} + n, 1, {start}
            FROM generate_series(1, {waiting}) n, one;
        INSERT INTO totals SELECT {start} / 3600000 - n / 200, 'acme', 'replied', '', 0, n % 200, 1, 1, 1, 1
            FROM generate_series(1, {ended}) n;
        INSERT INTO dead_letters (account, turn_id, conversation_id, may_have_answered, error, created_at)
            SELECT 'acme', n + 1000, 'd' || n, false, 'e', 0 FROM generate_series(1, 2000) n;
        ANALYZE"
    ));
}

/// Does everything once that a relay and its operators do.
async fn do_everything(store: &Postgres) {
    for number in 0..20 {
        let name = |kind| format!("{kind}{number}");
        store
            .record(message(&name("e"), &name("w"), &name("i"), 1))
            .await
            .unwrap();
        store
            .record(message(&name("e"), &name("w"), &name("i"), 1))
            .await
            .unwrap();
    }
    store.record(merge("m", "w1", "w2", 2)).await.unwrap();
    let claimed = store.claim(claim(1, 300, 20)).await.unwrap();
    assert!(claimed.turns.len() >= 10);
    for (number, (turn, _)) in claimed.turns.iter().enumerate() {
        let went = save(turn, 1, 301, vec![], running("going"));
        store.save(went).await.unwrap();
        let end = if number % 2 == 0 {
            ended(Outcome::Replied)
        } else {
            dead(false)
        };
        store.save(save(turn, 1, 302, vec![], end)).await.unwrap();
    }
    let letters = store.dead_letters().await.unwrap();
    let [.., last, other] = &letters[..] else {
        panic!("some are dead");
    };
    store.retry_dead_letter(retry(other.id, 303)).await.unwrap();
    store.drop_dead_letter(last.id).await.unwrap();
    let (account, until) = (account(), at(300));
    store.swept(Swept { account, until }).await.unwrap();
    // The oldest one in a hundred.
    let oldest = Duration::from_millis(TURNS / 100 * 99);
    store
        .purge(crate::clock::earlier(at(0), oldest))
        .await
        .unwrap();
    store.probe().await.unwrap();
}

async fn ask_everything(store: &Postgres) {
    let (acme, now) = (account(), at(304));
    store.swept_until(&acme).await.unwrap();
    store.backlog(now).await.unwrap();
    for outcome in [
        None,
        Some("replied"),
        Some("skipped"),
        Some("dead"),
        Some("running"),
    ] {
        let query = TurnQuery {
            outcome: outcome.map(str::to_owned),
            limit: 20,
            ..TurnQuery::default()
        };
        store.turns(&query).await.unwrap();
    }
    let query = TurnQuery {
        conversation_id: Some(id("w5")),
        ..TurnQuery::default()
    };
    store.turns(&query).await.unwrap();
    store.remembered(&id("w5"), None).await.unwrap();
    store.totals(10, 12, Some(&acme)).await.unwrap();
    let peer = Peer {
        id: "r".to_owned(),
        name: "r".to_owned(),
        organizations: vec!["o".to_owned()],
    };
    let organization = Organization {
        name: "o".to_owned(),
        accounts: vec![acme.clone()],
    };
    let leases = store.leases().unwrap();
    leases.renew(&peer).await.unwrap();
    let lease: Option<Lease> = leases.take(&peer, &organization).await.unwrap();
    leases.due(&[acme], now).await.unwrap();
    leases.now().await.unwrap();
    let lease = lease.unwrap();
    assert_ne!(lease.runner, Runner(0));
    leases.give_back(&lease, Duration::ZERO).await.unwrap();
    leases.let_go(&lease).await.unwrap();
    leases.leave(&peer).await.unwrap();
}

/// Of the plans that the server has told, those that read a large table from end to end:
/// the table and the statement.
fn scans(log: &str) -> BTreeSet<(String, String)> {
    let mut scans = BTreeSet::new();
    for told in log.split("duration: ").skip(1) {
        let Some((_, told)) = told.split_once("Query Text: ") else {
            continue;
        };
        let statement: String = told
            .split_whitespace()
            .take(4)
            .collect::<Vec<_>>()
            .join(" ");
        for table in ["events", "items", "conversations", "turns", "totals"] {
            for scan in [
                format!("Seq Scan on {table}"),
                format!("Seq Scan on {table} "),
            ] {
                if told
                    .lines()
                    .any(|line| line.contains(&scan) && line.starts_with('\t'))
                {
                    scans.insert((table.to_owned(), statement.clone()));
                }
            }
        }
    }
    scans
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_statement_finds_its_rows_through_an_index() {
    let Some(programs) = OwnPostgres::programs() else {
        return;
    };
    let settings = [
        "fsync=off",
        "autovacuum=off",
        "shared_preload_libraries=auto_explain",
        "auto_explain.log_min_duration=0",
    ];
    // It ends with this process.
    let server = Box::leak(Box::new(OwnPostgres::start(&programs, &settings).unwrap()));
    let own = Own::on(server);
    let store = own.open().await;
    store.record(message("e", "c", "i", 0)).await.unwrap();
    let turn = store.claim(claim(1, 1, 1)).await.unwrap().turns.remove(0).0;
    assert_ne!(turn.id, TurnId(0));
    store
        .save(save(&turn, 1, 2, vec![], ended(Outcome::Replied)))
        .await
        .unwrap();
    fill(&own);
    let log = server.folder().join("log");
    let before = std::fs::read_to_string(&log).unwrap().len();
    do_everything(&store).await;
    ask_everything(&store).await;
    store.close().await;
    let log = std::fs::read_to_string(&log).unwrap();
    let told = &log[before..];
    assert!(
        told.matches("Query Text: ").count() > 100,
        "it tells of all"
    );
    // Dead letters are few: a person looks at each.
    assert_eq!(scans(told), BTreeSet::new());
}
