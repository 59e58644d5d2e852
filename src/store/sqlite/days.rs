//! Days that are summed up, see [`days`]. A row without an account tells that its day is
//! summed up, and every day before it.

use rusqlite::{Connection, OptionalExtension, params};

use super::history;
use crate::id::AccountName;
use crate::store::days::{self, DayKey, HOURS};
use crate::store::{StoreError, Total};

/// How many totals of hours one step reads, about: so few that nobody waits for the writer.
const STEP: usize = 2_000;

/// Takes a day's value away.
const CHANGED: &str = "INSERT INTO days (day, account, value) VALUES (?, ?, NULL)
    ON CONFLICT DO UPDATE SET value = NULL";
const SUM: &str = "INSERT INTO days (day, account, value) VALUES (?1, ?2, ?3)
    ON CONFLICT DO UPDATE SET value = ?3";
/// The last day that is summed up.
pub(super) const LAST: &str = "SELECT day FROM days WHERE account = '' ORDER BY day DESC LIMIT 1";
pub(super) const STALE: &str = "SELECT day, account FROM days INDEXED BY days_stale
    WHERE value IS NULL AND day < ? ORDER BY day LIMIT 1";
/// Those that are not over, by a clock that was set back since.
const AHEAD: &str = "DELETE FROM days WHERE day >= ?";
pub(super) const NEXT_HOUR: &str = "SELECT min(hour) FROM totals WHERE hour >= ?";
/// The last account of a day that is summed up.
pub(super) const DONE: &str = "SELECT max(account) FROM days WHERE day = ? AND value IS NOT NULL";
/// The account after another in the hours of a day.
pub(super) const NEXT_ACCOUNT: &str = "WITH RECURSIVE h (hour) AS (
        SELECT ?1 UNION ALL SELECT hour + 1 FROM h WHERE hour < ?1 + 23)
    SELECT min((SELECT min(account) FROM totals t WHERE t.hour = h.hour AND t.account > ?2)) FROM h";
pub(super) const DAYS: &str = "SELECT day, account, value FROM days
    WHERE day >= ?1 AND day < ?2 AND account <> '' AND (?3 IS NULL OR account = ?3)
    ORDER BY day, account";

/// Takes away what is not true any more.
pub(super) fn changed(
    connection: &Connection,
    days: impl IntoIterator<Item = DayKey>,
) -> Result<(), StoreError> {
    for (day, account) in days {
        let mut statement = connection.prepare_cached(CHANGED)?;
        statement.execute(params![day, account.as_str()])?;
    }
    Ok(())
}

/// One step of summing up the days before `until`. True if there may be more to do.
pub(super) fn step(connection: &Connection, until: i64) -> Result<bool, StoreError> {
    let last = last(connection)?;
    if last.is_some_and(|last| last >= until) {
        // What is added to them from now on is not told to be added to a day gone by.
        connection.prepare_cached(AHEAD)?.execute([until])?;
        return Ok(true);
    }
    // Of a day that is not through, accounts are summed up in the order of their names:
    // the last that has a sum tells how far that is, and none may have it out of turn.
    let through = last.map_or(i64::MIN, |day| day + 1);
    let stale = connection
        .prepare_cached(STALE)?
        .query_row([through], |row| {
            Ok((row.get(0)?, AccountName::new(row.get_ref(1)?.as_str()?)))
        });
    if let Some(stale) = stale.optional()? {
        sum(connection, &stale)?;
        return Ok(true);
    }
    let after = last.map_or(i64::MIN, |day| (day + 1) * HOURS);
    let next: Option<i64> = connection
        .prepare_cached(NEXT_HOUR)?
        .query_row([after], |row| row.get(0))?;
    let Some(day) = next.map(days::day_of).filter(|day| *day < until) else {
        return Ok(false);
    };
    let done: Option<String> = connection
        .prepare_cached(DONE)?
        .query_row([day], |row| row.get(0))?;
    let (mut account, mut read) = (done.unwrap_or_default(), 0);
    while read < STEP {
        let next: Option<String> = connection
            .prepare_cached(NEXT_ACCOUNT)?
            .query_row(params![day * HOURS, account], |row| row.get(0))?;
        let Some(next) = next else {
            put(connection, day, "", "[]")?;
            break;
        };
        read += sum(connection, &(day, AccountName::new(&next)))?;
        account = next;
    }
    Ok(true)
}

/// Sums up a day of an account. Tells how many totals it has read.
fn sum(connection: &Connection, key: &DayKey) -> Result<usize, StoreError> {
    let (from, until) = (key.0 * HOURS, (key.0 + 1) * HOURS);
    let hours = history::totals(connection, from, until, Some(&key.1))?;
    let mut days = days::sum_up(&hours);
    let value = days::value_of(days.remove(key).unwrap_or_default())?;
    put(connection, key.0, key.1.as_str(), &value)?;
    Ok(hours.len())
}

fn put(connection: &Connection, day: i64, account: &str, value: &str) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(SUM)?;
    statement.execute(params![day, account, value])?;
    Ok(())
}

fn last(connection: &Connection) -> Result<Option<i64>, StoreError> {
    let mut statement = connection.prepare_cached(LAST)?;
    Ok(statement.query_row([], |row| row.get(0)).optional()?)
}

/// See [`crate::store::History::days`]. What is not summed up yet is summed up here.
pub(super) fn read(
    connection: &Connection,
    from_day: i64,
    until_day: i64,
    account: Option<&AccountName>,
) -> Result<Vec<Total>, StoreError> {
    // Read first: a day that is summed up meanwhile is then read by its hours, which stay.
    let from_unsummed = last(connection)?.map_or(from_day, |day| day + 1);
    let from_unsummed = from_unsummed.clamp(from_day, until_day);
    let mut totals = Vec::new();
    let mut stale: Vec<DayKey> = Vec::new();
    let mut statement = connection.prepare_cached(DAYS)?;
    let account_name = account.map(AccountName::as_str);
    let mut found = statement.query(params![from_day, from_unsummed, account_name])?;
    while let Some(row) = found.next()? {
        let (account, value): (String, Option<String>) = (row.get(1)?, row.get(2)?);
        let account = AccountName::new(&account);
        match value.and_then(|value| days::of_value(&account, &value)) {
            Some(summed) => totals.extend(summed),
            None => stale.push((row.get(0)?, account)),
        }
    }
    for (day, account) in stale {
        let (from, until) = (day * HOURS, (day + 1) * HOURS);
        let hours = history::totals(connection, from, until, Some(&account))?;
        totals.extend(days::sum_up(&hours).into_values().flatten());
    }
    let (from, until) = (from_unsummed * HOURS, until_day * HOURS);
    let hours = history::totals(connection, from, until, account)?;
    totals.extend(days::sum_up(&hours).into_values().flatten());
    Ok(totals)
}
