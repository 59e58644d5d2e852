//! Ended turns by account, outcome and reason: the newest of each kind, merged. However
//! few of very many turns a filter lets pass, nothing else is read.

use rusqlite::{Connection, params};

use crate::id::TurnId;
use crate::store::history::FEW_ACCOUNTS;
use crate::store::{StoreError, TurnQuery, TurnRow};

/// The accounts with turns that have ended, from one to the next in the index.
pub(in crate::store::sqlite) const ACCOUNTS: &str = "WITH RECURSIVE a (account) AS (
        SELECT (SELECT account FROM turns INDEXED BY turns_alike
            WHERE outcome <> 'dead' AND account > '' ORDER BY account LIMIT 1)
        UNION ALL
        SELECT (SELECT t.account FROM turns t INDEXED BY turns_alike
            WHERE t.outcome <> 'dead' AND t.account > a.account ORDER BY t.account LIMIT 1)
        FROM a WHERE a.account IS NOT NULL)
    SELECT account FROM a WHERE account IS NOT NULL LIMIT ?";
/// The kinds of an account's turns: outcome and reason as the index holds them.
pub(in crate::store::sqlite) const KINDS: &str = "WITH RECURSIVE k (kind) AS (
        SELECT (SELECT outcome || ' ' || coalesce(reason, '') FROM turns INDEXED BY turns_alike
            WHERE outcome <> 'dead' AND account = ?1
            ORDER BY outcome || ' ' || coalesce(reason, '') LIMIT 1)
        UNION ALL
        SELECT (SELECT outcome || ' ' || coalesce(reason, '') FROM turns INDEXED BY turns_alike
            WHERE outcome <> 'dead' AND account = ?1
                AND outcome || ' ' || coalesce(reason, '') > k.kind
            ORDER BY outcome || ' ' || coalesce(reason, '') LIMIT 1)
        FROM k WHERE kind IS NOT NULL)
    SELECT kind FROM k WHERE kind IS NOT NULL";
/// The newest of a kind.
pub(in crate::store::sqlite) const NEWEST: &str =
    "SELECT received_at, id FROM turns INDEXED BY turns_alike
    WHERE outcome <> 'dead' AND account = ?1 AND outcome || ' ' || coalesce(reason, '') = ?2
        AND received_at >= ?3 AND (received_at, id) < (?4, ?5)
    ORDER BY received_at DESC, id DESC LIMIT ?6";

/// Turns that are not dead; none if there are very many accounts.
pub(super) fn turns(
    connection: &Connection,
    query: &TurnQuery,
) -> Result<Option<Vec<TurnRow>>, StoreError> {
    let accounts = match &query.account {
        Some(account) => vec![account.as_str().to_owned()],
        None => words(
            connection,
            ACCOUNTS,
            i64::try_from(FEW_ACCOUNTS + 1).unwrap_or(i64::MAX),
        )?,
    };
    if accounts.len() > FEW_ACCOUNTS {
        return Ok(None);
    }
    let mut newest: Vec<(i64, i64)> = Vec::new();
    for account in accounts {
        let kinds = words(connection, KINDS, &account)?;
        for kind in kinds.iter().filter(|kind| query.asks_for_kind(kind)) {
            newest.extend(places(connection, &account, kind, query)?);
        }
    }
    newest.sort_unstable_by_key(|place| std::cmp::Reverse(*place));
    newest.truncate(query.limit);
    let mut turns = Vec::with_capacity(newest.len());
    for (_, id) in newest {
        turns.extend(super::one(connection, TurnId(id))?);
    }
    Ok(Some(turns))
}

fn places(
    connection: &Connection,
    account: &str,
    kind: &str,
    query: &TurnQuery,
) -> Result<Vec<(i64, i64)>, StoreError> {
    let (since, before) = query.span();
    let mut statement = connection.prepare_cached(NEWEST)?;
    let found = statement.query_map(
        params![
            account,
            kind,
            since.as_millisecond(),
            before.received_at.as_millisecond(),
            before.id.0,
            i64::try_from(query.limit).unwrap_or(i64::MAX),
        ],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn words(
    connection: &Connection,
    sql: &str,
    parameter: impl rusqlite::ToSql,
) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_map([parameter], |row| row.get(0))?;
    Ok(found.collect::<Result<_, _>>()?)
}
