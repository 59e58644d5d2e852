//! However much is stored, every statement finds its rows through an index.

use rusqlite::Connection;

use super::Folder;
use crate::store::Store;
use crate::store::sqlite::history::alike;
use crate::store::sqlite::{days, history, letters, load, purge, read};

/// Statements that find a few rows.
const NARROW: [&str; 19] = [
    load::DUE,
    load::UNFINISHED,
    purge::EVENTS,
    purge::ITEMS,
    purge::TURNS,
    purge::CONVERSATIONS,
    purge::NEEDED_KEYS,
    history::MERGED,
    history::KEPT,
    history::ACCOUNTS,
    alike::ACCOUNTS,
    alike::KINDS,
    alike::NEWEST,
    days::LAST,
    days::STALE,
    days::NEXT_HOUR,
    days::DONE,
    days::NEXT_ACCOUNT,
    days::DAYS,
];
/// Large tables, and as what statements name them.
const LARGE: [&str; 9] = [
    "events",
    "items",
    "turns",
    "conversations",
    "totals",
    "days",
    "c",
    "o",
    "t",
];

/// How SQLite would do it.
fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let explain = format!("EXPLAIN QUERY PLAN {sql}");
    let mut statement = connection.prepare(&explain).unwrap();
    let mut rows = statement.raw_query();
    let mut plan = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        plan.push(row.get::<_, String>(3).unwrap());
    }
    plan
}

/// Whether a large table is read from end to end. What is kept of turns is little.
fn is_whole(line: &str) -> bool {
    let reads = |table: &str| {
        let scan = format!("SCAN {table}");
        line == scan || line.starts_with(&format!("{scan} "))
    };
    LARGE.iter().any(|table| reads(table))
        && !line.contains("turns_kept")
        // From its end, as far as the first.
        && !line.contains("sqlite_autoindex_days")
}

#[tokio::test]
async fn finished_rows_cost_nothing() {
    let folder = Folder::new();
    folder.open().await.close().await;
    let connection = Connection::open(folder.path()).unwrap();
    for sql in NARROW {
        let plan = plan(&connection, sql);
        assert!(!plan.iter().any(|line| is_whole(line)), "{plan:#?}");
    }
    for (sql, covered) in [
        (
            history::ENDED,
            "SEARCH turns USING COVERING INDEX turns_newest",
        ),
        (alike::NEWEST, "SEARCH turns USING INDEX turns_alike"),
        (letters::CAUSES, "USING COVERING INDEX dead_letters_alike"),
        (read::BACKLOG, "USING COVERING INDEX conversations_waiting"),
    ] {
        let plan = plan(&connection, sql).join("\n");
        assert!(plan.contains(covered), "{plan}");
    }
    let causes = plan(&connection, letters::CAUSES).join("\n");
    assert!(!causes.contains("TEMP"), "{causes}");
}
