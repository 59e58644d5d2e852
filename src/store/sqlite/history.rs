//! What operators read of what was.

pub(super) mod alike;

use rusqlite::{Connection, OptionalExtension, params};
use serde::de::IgnoredAny;

use super::{load, rows};
use crate::id::{AccountName, ConversationId, TurnId};
use crate::store::picture::{Conversation, Key, Unreadable};
use crate::store::{
    DeadLetter, Past, RUNNING, Remembered, StoreError, Total, TotalKey, TurnQuery, TurnRow,
};

/// Turns that have ended, newest first: what is filtered by stands in the index.
pub(super) const ENDED: &str =
    "SELECT t.id, t.account, t.conversation_id, t.received_at, t.finished_at,
        t.outcome, t.reason, t.messages
    FROM (SELECT id FROM turns INDEXED BY turns_newest
        WHERE outcome IS NOT NULL AND received_at >= ?1 AND (received_at, id) < (?2, ?3)
        AND (?4 IS NULL OR account = ?4) AND (?5 IS NULL OR outcome = ?5)
        AND (?6 IS NULL OR reason = ?6)
        ORDER BY received_at DESC, id DESC LIMIT ?7) n
    JOIN turns t ON t.id = n.id ORDER BY t.received_at DESC, t.id DESC";
/// The same of those that run or are dead, which are few among many.
pub(super) const KEPT: &str =
    "SELECT id, account, conversation_id, received_at, finished_at, outcome, reason, messages
    FROM turns INDEXED BY turns_kept WHERE (outcome IS NULL OR outcome = 'dead')
        AND received_at >= ?1 AND (received_at, id) < (?2, ?3)
        AND (?4 IS NULL OR account = ?4) AND coalesce(outcome, 'running') = ?5
        AND (?6 IS NULL OR reason = ?6)
    ORDER BY received_at DESC, id DESC LIMIT ?7";
const ONE: &str =
    "SELECT id, account, conversation_id, received_at, finished_at, outcome, reason, messages
    FROM turns WHERE id = ?";
/// The accounts that have conversations, without reading these.
pub(super) const ACCOUNTS: &str = "WITH RECURSIVE a (account) AS (
        SELECT min(account) FROM conversations UNION ALL
        SELECT (SELECT min(account) FROM conversations c WHERE c.account > a.account)
        FROM a WHERE a.account IS NOT NULL)
    SELECT account FROM a WHERE account IS NOT NULL";
pub(super) const MERGED: &str = "SELECT conversation_id FROM conversations
    WHERE account = ? AND merged_into = ? AND merged_into IS NOT NULL ORDER BY conversation_id";
pub(super) const TOTALS: &str =
    "SELECT hour, account, what, reason, firsts, bucket, count, messages, calls, per_second
    FROM totals WHERE hour >= ?1 AND hour < ?2 AND (?3 IS NULL OR account = ?3)
    ORDER BY hour, account, what, reason, firsts, bucket";

/// See [`crate::store::History::turns`].
pub(super) fn turns(
    connection: &Connection,
    query: &TurnQuery,
) -> Result<Vec<TurnRow>, StoreError> {
    if let Some(id) = &query.conversation_id {
        return turns_of(connection, id, query);
    }
    let outcome = query.outcome.as_deref();
    if let Some("dead" | RUNNING) = outcome {
        return list(connection, KEPT, outcome, query);
    }
    let narrow = if query.is_narrow() {
        alike::turns(connection, query)?
    } else {
        None
    };
    let is_narrow = narrow.is_some();
    let mut turns = narrow.map_or_else(|| list(connection, ENDED, outcome, query), Ok)?;
    if outcome.is_none() {
        turns.extend(list(connection, KEPT, Some(RUNNING), query)?);
        if is_narrow {
            turns.extend(list(connection, KEPT, Some("dead"), query)?);
        }
    }
    Ok(query.newest(turns))
}

fn list(
    connection: &Connection,
    sql: &str,
    outcome: Option<&str>,
    query: &TurnQuery,
) -> Result<Vec<TurnRow>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let (since, before) = query.span();
    let mut found = statement.query(params![
        since.as_millisecond(),
        before.received_at.as_millisecond(),
        before.id.0,
        query.account.as_ref().map(AccountName::as_str),
        outcome,
        query.reason,
        i64::try_from(query.limit).unwrap_or(i64::MAX),
    ])?;
    let mut turns = Vec::new();
    while let Some(row) = found.next()? {
        turns.extend(turn_row(row));
    }
    Ok(turns)
}

/// The turns of a conversation are found through it.
fn turns_of(
    connection: &Connection,
    id: &ConversationId,
    query: &TurnQuery,
) -> Result<Vec<TurnRow>, StoreError> {
    let mut turns = Vec::new();
    for key in keys(connection, id, query.account.as_ref())? {
        let past = conversation(connection, &key)?.map(|conversation| conversation.past);
        for turn in past.unwrap_or_default().turns {
            turns.extend(one(connection, turn)?.filter(|turn| query.asks_for(turn)));
        }
    }
    Ok(query.newest(turns))
}

/// None if it is gone, or can't be read.
fn one(connection: &Connection, id: TurnId) -> Result<Option<TurnRow>, StoreError> {
    let mut statement = connection.prepare_cached(ONE)?;
    let found = statement.query_row([id.0], |row| Ok(turn_row(row)));
    Ok(found.optional()?.flatten())
}

/// None if it can't be read: it is told of where it is worked on.
fn turn_row(row: &rusqlite::Row<'_>) -> Option<TurnRow> {
    let messages = row.get_ref(7).ok()?.as_bytes().ok()?;
    let messages: Vec<IgnoredAny> = serde_json::from_slice(messages).unwrap_or_default();
    let finished_at: Option<i64> = row.get(4).ok()?;
    Some(TurnRow {
        id: TurnId(row.get(0).ok()?),
        account: AccountName::new(row.get_ref(1).ok()?.as_str().ok()?),
        conversation_id: rows::conversation_id(row.get_ref(2).ok()?)?,
        received_at: rows::time(row.get(3).ok()?).ok()?,
        finished_at: finished_at.and_then(|at| rows::time(at).ok()),
        outcome: row.get(5).ok()?,
        reason: row.get(6).ok()?,
        messages: messages.len(),
    })
}

/// See [`crate::store::History::remembered`].
pub(super) fn remembered(
    connection: &Connection,
    id: &ConversationId,
    account: Option<&AccountName>,
) -> Result<Vec<Remembered>, StoreError> {
    let mut found = Vec::new();
    for key in keys(connection, id, account)? {
        let dead_letters = dead_letters(connection, &key)?;
        let Some(conversation) = conversation(connection, &key)? else {
            if !dead_letters.is_empty() {
                let turns = Vec::new();
                found.push(remember(key, Conversation::default(), turns, dead_letters));
            }
            continue;
        };
        let mut turns = Vec::new();
        for turn_id in &conversation.past.turns {
            let turn = rows::turn(connection, None, *turn_id)?;
            turns.extend(turn.map(|turn| turn.map_err(|error| (*turn_id, error))));
        }
        let mut one = remember(key, conversation, turns, dead_letters);
        one.merged_from = merged_from(connection, &one.account, &one.conversation_id)?;
        found.push(one);
    }
    Ok(found)
}

fn remember(
    key: Key,
    conversation: Conversation,
    turns: Vec<Result<crate::store::StoredTurn, (TurnId, Unreadable)>>,
    dead_letters: Vec<DeadLetter>,
) -> Remembered {
    Remembered {
        account: key.0,
        conversation_id: key.1,
        conversation,
        merged_from: Vec::new(),
        turns,
        dead_letters,
    }
}

/// Where a conversation with this id may be.
fn keys(
    connection: &Connection,
    id: &ConversationId,
    account: Option<&AccountName>,
) -> Result<Vec<Key>, StoreError> {
    if let Some(account) = account {
        return Ok(vec![(account.clone(), id.clone())]);
    }
    let mut statement = connection.prepare_cached(ACCOUNTS)?;
    let accounts =
        statement.query_map([], |row| Ok(AccountName::new(row.get_ref(0)?.as_str()?)))?;
    let mut keys = Vec::new();
    for account in accounts {
        keys.push((account?, id.clone()));
    }
    Ok(keys)
}

/// A conversation's row. Of one that can't be read, its turns and that it is there.
fn conversation(connection: &Connection, key: &Key) -> Result<Option<Conversation>, StoreError> {
    Ok(match rows::conversation(connection, key)? {
        None => None,
        Some(Ok(conversation)) => Some(conversation),
        Some(Err(_)) => {
            let loader = load::unfinished(connection, key)?;
            let turns = loader.0.iter().map(|turn| turn.id).collect();
            let past = Past {
                turns,
                ..Past::default()
            };
            Some(Conversation {
                past,
                ..Conversation::default()
            })
        }
    })
}

fn merged_from(
    connection: &Connection,
    account: &AccountName,
    id: &ConversationId,
) -> Result<Vec<ConversationId>, StoreError> {
    let mut statement = connection.prepare_cached(MERGED)?;
    let mut found = statement.query(params![account.as_str(), id.as_str()])?;
    let mut ids = Vec::new();
    while let Some(row) = found.next()? {
        ids.extend(rows::conversation_id(row.get_ref(0)?));
    }
    Ok(ids)
}

fn dead_letters(connection: &Connection, key: &Key) -> Result<Vec<DeadLetter>, StoreError> {
    let sql = format!(
        "{} WHERE account = ? AND conversation_id = ? ORDER BY id",
        rows::DEAD_LETTER
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let letters =
        statement.query_map(params![key.0.as_str(), key.1.as_str()], rows::dead_letter)?;
    Ok(letters.collect::<Result<_, _>>()?)
}

/// See [`crate::store::History::totals`].
pub(super) fn totals(
    connection: &Connection,
    from_hour: i64,
    until_hour: i64,
    account: Option<&AccountName>,
) -> Result<Vec<Total>, StoreError> {
    let mut statement = connection.prepare_cached(TOTALS)?;
    let account = account.map(AccountName::as_str);
    // There are very many rows, and few accounts.
    let mut last = AccountName::new("");
    let found = statement.query_map(params![from_hour, until_hour, account], |row| {
        let account = row.get_ref(1)?.as_str()?;
        if last.as_str() != account {
            last = AccountName::new(account);
        }
        Ok(Total {
            key: TotalKey {
                hour: row.get(0)?,
                account: last.clone(),
                what: row.get(2)?,
                reason: row.get(3)?,
                firsts: row.get(4)?,
                bucket: row.get(5)?,
            },
            count: row.get(6)?,
            messages: row.get(7)?,
            calls: row.get(8)?,
            per_second: row.get(9)?,
        })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}
