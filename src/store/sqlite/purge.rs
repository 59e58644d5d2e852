//! Deleting what is old, in steps so short that nobody waits for the writer.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use rusqlite::{Connection, params};

use crate::clock::earlier;
use crate::id::AccountName;
use crate::store::StoreError;
use crate::store::days::day_of;
use crate::store::totals::{self, hour_of};

/// How many rows one step deletes.
const STEP: usize = 1_000;

/// The first two parameters of each are the age and the most to delete.
pub(super) const EVENTS: &str = "DELETE FROM events WHERE (account, event_id) IN
        (SELECT account, event_id FROM events WHERE received_at < ? LIMIT ?)
    RETURNING account, happened_at_us";
pub(super) const ITEMS: &str = "DELETE FROM items WHERE (account, item_id) IN
    (SELECT account, item_id FROM items WHERE received_at < ? LIMIT ?)";
/// A turn is kept for as long as its dead letter waits.
pub(super) const TURNS: &str = "DELETE FROM turns WHERE id IN (
    SELECT id FROM turns INDEXED BY turns_newest
    WHERE outcome IS NOT NULL AND received_at < ?1 AND finished_at < ?1
    AND NOT EXISTS (SELECT 1 FROM dead_letters d WHERE d.turn_id = turns.id) LIMIT ?2)";
/// A conversation is kept for turns that began in it, and for those that were
/// merged into it: through it their turns are found.
pub(super) const CONVERSATIONS: &str = "DELETE FROM conversations WHERE id IN (
    SELECT id FROM conversations c WHERE waiting_since IS NULL AND touched_at < ?
    AND NOT EXISTS (SELECT 1 FROM turns t WHERE t.account = c.account
        AND t.conversation_id = c.conversation_id AND (t.outcome IS NULL OR t.outcome = 'dead'))
    AND NOT EXISTS (SELECT 1 FROM conversations o WHERE o.account = c.account
        AND o.merged_into = c.conversation_id AND o.merged_into IS NOT NULL) LIMIT ?)";
const TOTALS: &str = "DELETE FROM totals WHERE (hour, account, what, reason, firsts, bucket) IN
    (SELECT hour, account, what, reason, firsts, bucket FROM totals WHERE hour < ? LIMIT ?)";
const DAYS: &str = "DELETE FROM days WHERE (day, account) IN
    (SELECT day, account FROM days WHERE day < ? LIMIT ?)";
/// Words are erased when a turn ends.
pub(super) const NEEDED_KEYS: &str = "SELECT DISTINCT key_id FROM turns
    WHERE (outcome IS NULL OR outcome = 'dead') AND key_id IS NOT NULL";

/// What is deleted, in this order: a conversation outlives its turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Events,
    Items,
    Turns,
    Conversations,
    Totals,
    Days,
}

impl Kind {
    pub(super) const ALL: [Self; 6] = [
        Self::Events,
        Self::Items,
        Self::Turns,
        Self::Conversations,
        Self::Totals,
        Self::Days,
    ];
}

/// One step. True if there may be more to delete.
pub(super) fn step(
    connection: &Connection,
    kind: Kind,
    before: Timestamp,
    forgotten_until: &mut HashMap<AccountName, Timestamp>,
) -> Result<bool, StoreError> {
    let forgotten_hour = hour_of(earlier(before, totals::KEPT));
    let before = before.as_millisecond();
    let deleted = match kind {
        Kind::Events => events(connection, before, forgotten_until)?,
        Kind::Items => delete(connection, ITEMS, before)?,
        Kind::Turns => delete(connection, TURNS, before)?,
        Kind::Conversations => delete(connection, CONVERSATIONS, before)?,
        Kind::Totals => delete(connection, TOTALS, forgotten_hour)?,
        Kind::Days => delete(connection, DAYS, day_of(forgotten_hour))?,
    };
    // Conversations that were merged go one after the other.
    Ok(deleted >= STEP || (kind == Kind::Conversations && deleted > 0))
}

/// The keys that stored words need.
pub(super) fn needed_keys(connection: &Connection) -> Result<HashSet<i64>, StoreError> {
    let mut statement = connection.prepare_cached(NEEDED_KEYS)?;
    let keys = statement.query_map([], |row| row.get(0))?;
    Ok(keys.collect::<Result<_, _>>()?)
}

/// Until when each account's events are forgotten.
pub(super) fn load_forgotten(
    connection: &Connection,
) -> Result<HashMap<AccountName, Timestamp>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT account, forgotten_until_us FROM accounts")?;
    let found = statement.query_map([], |row| {
        let account = AccountName::new(row.get_ref(0)?.as_str()?);
        Ok((account, Timestamp::from_microsecond(row.get(1)?).ok()))
    })?;
    let mut forgotten = HashMap::new();
    for row in found {
        let (account, until) = row?;
        forgotten.extend(until.map(|until| (account, until)));
    }
    Ok(forgotten)
}

fn delete(connection: &Connection, sql: &str, before: i64) -> Result<usize, StoreError> {
    let most = i64::try_from(STEP).unwrap_or(i64::MAX);
    Ok(connection
        .prepare_cached(sql)?
        .execute(params![before, most])?)
}

/// Whoever comes with one of these again is refused.
fn events(
    connection: &Connection,
    before: i64,
    forgotten_until: &mut HashMap<AccountName, Timestamp>,
) -> Result<usize, StoreError> {
    let mut statement = connection.prepare_cached(EVENTS)?;
    let most = i64::try_from(STEP).unwrap_or(i64::MAX);
    let mut found = statement.query(params![before, most])?;
    let mut deleted = 0;
    let mut raised: HashMap<AccountName, Timestamp> = HashMap::new();
    while let Some(row) = found.next()? {
        deleted += 1;
        let happened_at: Option<i64> = row.get(1)?;
        let happened_at = happened_at.and_then(|at| Timestamp::from_microsecond(at).ok());
        if let (Some(happened_at), Ok(account)) = (happened_at, row.get_ref(0)?.as_str()) {
            let account = AccountName::new(account);
            let until = raised.entry(account).or_insert(happened_at);
            *until = happened_at.max(*until);
        }
    }
    for (account, until) in raised {
        connection
            .prepare_cached(
                "INSERT INTO accounts (account, forgotten_until_us) VALUES (?1, ?2)
                 ON CONFLICT DO UPDATE SET forgotten_until_us = max(forgotten_until_us, ?2)",
            )?
            .execute(params![account.as_str(), until.as_microsecond()])?;
        let known = forgotten_until.entry(account).or_insert(until);
        *known = until.max(*known);
    }
    Ok(deleted)
}
