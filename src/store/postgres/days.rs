//! Days that are summed up, see [`days`]. A row without an account tells that its day is
//! summed up, and every day before it.

use std::collections::BTreeMap;

use tokio_postgres::Client;

use super::connect::Connector;
use super::history::{TOTALS, totals};
use super::read::Desk;
use super::rows;
use super::statement::Statement;
use crate::id::AccountName;
use crate::store::days::{self, DayKey, HOURS};
use crate::store::{StoreError, Total};

/// Takes days' values away. In the order of their keys, for other relays do the same.
pub(super) const CHANGED: &str = "INSERT INTO days (day, account, value)
    SELECT d.day, d.account, NULL FROM unnest($1::bigint[], $2::text[]) d (day, account)
    ON CONFLICT (day, account) DO UPDATE SET value = NULL";
const SUM: &str = "INSERT INTO days (day, account, value)
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[])
    ON CONFLICT (day, account) DO UPDATE SET value = excluded.value";
/// The last day that is summed up.
const LAST: &str = "SELECT day FROM days WHERE account = '' ORDER BY day DESC LIMIT 1";
const STALE: &str = "SELECT day, account FROM days WHERE value IS NULL AND day < $1
    ORDER BY day LIMIT 1";
/// Those that are not over, by a clock that was set back since.
const AHEAD: &str = "DELETE FROM days WHERE day >= $1";
const NEXT_HOUR: &str = "SELECT min(hour) FROM totals WHERE hour >= $1";
/// The last account of a day that is summed up, and the accounts after another in its hours.
const DONE: &str = "SELECT coalesce(max(account), '') FROM days
    WHERE day = $1 AND value IS NOT NULL";
const NEXT_ACCOUNTS: &str = "SELECT DISTINCT n.account
    FROM generate_series($1::bigint, $1 + 23) h (hour) CROSS JOIN LATERAL (
        SELECT DISTINCT t.account FROM totals t WHERE t.hour = h.hour AND t.account > $2
        ORDER BY t.account LIMIT $3) n
    ORDER BY n.account LIMIT $3";
const HOURS_OF_SOME: &str =
    "SELECT hour, account, what, reason, firsts, bucket, count, messages, calls, per_second
    FROM totals WHERE hour >= $1 AND hour < $1 + 24 AND account > $2 AND account <= $3";
const DAYS: &str = "SELECT day, account, value FROM days
    WHERE day >= $1 AND day < $2 AND account <> '' AND ($3::text IS NULL OR account = $3)
    ORDER BY day, account";
/// Whoever adds to a day gone by takes its value away in the same transaction, and so
/// either has ended before this begins or waits until it is through: nothing that is added
/// can be missed.
const ALONE: &str = "BEGIN;
    SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '20s';
    LOCK TABLE days IN EXCLUSIVE MODE";

/// How many accounts of a day are summed up at once: so few that what they counted
/// takes little memory, and nobody waits long.
const AT_ONCE: usize = 100;

/// What is to be summed up next.
enum Next {
    /// Some more accounts of a day.
    Day(i64),
    /// One of them, once more.
    Again(DayKey),
    /// Those from this on once more, when they are over: what is added to them until then
    /// is not told to be added to a day gone by.
    NotYet(i64),
}

/// Sums up the days before `until`, on a connection of its own.
pub(super) async fn sum_up(
    desk: &Desk,
    connector: &Connector,
    until: i64,
) -> Result<(), StoreError> {
    if next(&*desk.client().await?, until).await?.is_none() {
        return Ok(());
    }
    let client = connector.connect().await?;
    loop {
        client.batch_execute(ALONE).await?;
        let Some(next) = next(&client, until).await? else {
            return Ok(client.batch_execute("COMMIT").await?);
        };
        sum(&client, next).await?;
        client.batch_execute("COMMIT").await?;
    }
}

async fn next(client: &Client, until: i64) -> Result<Option<Next>, StoreError> {
    let last = Statement::new(LAST).run(client).await?;
    let last = last.first().map(|row| row.get::<_, i64>(0));
    if last.is_some_and(|last| last >= until) {
        return Ok(Some(Next::NotYet(until)));
    }
    // In a day that is not through, the last account that has a sum tells how far that is.
    let after = last.map_or(i64::MIN, |day| day + 1);
    let stale = Statement::new(STALE).number(after).run(client).await?;
    if let Some(row) = stale.first() {
        return Ok(Some(Next::Again((row.get(0), rows::account(row, 1)))));
    }
    let after = after.saturating_mul(HOURS);
    let found = Statement::new(NEXT_HOUR).number(after).run(client).await?;
    let hour: Option<i64> = found.first().and_then(|row| row.get(0));
    let day = hour.map(days::day_of).filter(|day| *day < until);
    Ok(day.map(Next::Day))
}

async fn sum(client: &Client, next: Next) -> Result<(), StoreError> {
    let mut sums: BTreeMap<DayKey, Vec<Total>> = BTreeMap::new();
    match next {
        Next::Day(day) => {
            let first_hour = day * HOURS;
            let done = Statement::new(DONE).number(day).run(client).await?;
            let done: &str = done.first().map_or("", |row| row.get(0));
            let most = i64::try_from(AT_ONCE).unwrap_or(i64::MAX);
            let accounts = Statement::new(NEXT_ACCOUNTS).number(first_hour);
            let accounts = accounts.text(done).number(most).run(client).await?;
            if let Some(last) = accounts.last() {
                let hours = Statement::new(HOURS_OF_SOME).number(first_hour);
                let hours = hours.text(done).text(last.get(0)).run(client).await?;
                sums = days::sum_up(&totals(&hours)?);
            }
            if accounts.len() < AT_ONCE {
                // With a name that no account has.
                sums.insert((day, AccountName::new("")), Vec::new());
            }
        }
        Next::Again(key) => {
            let hours = hours(key.0, key.0 + 1, Some(&key.1)).run(client).await?;
            sums = days::sum_up(&totals(&hours)?);
            sums.entry(key).or_default();
        }
        Next::NotYet(from_day) => {
            let ahead = Statement::new(AHEAD).number(from_day);
            ahead.run(client).await?;
        }
    }
    let values = sums.values_mut().map(std::mem::take).map(days::value_of);
    let values: Vec<String> = values.collect::<Result<_, _>>()?;
    let put = Statement::new(SUM)
        .numbers(sums.keys().map(|(day, _)| *day))
        .texts(sums.keys().map(|(_, account)| account.as_str()))
        .texts(values.iter().map(String::as_str));
    put.run(client).await?;
    Ok(())
}

fn hours(from_day: i64, until_day: i64, account: Option<&AccountName>) -> Statement {
    Statement::new(TOTALS)
        .number(from_day * HOURS)
        .number(until_day * HOURS)
        .some_text(account.map(AccountName::as_str))
}

impl Desk {
    /// See [`crate::store::History::days`]. What is not summed up yet is summed up here.
    pub(super) async fn days(
        &self,
        from_day: i64,
        until_day: i64,
        account: Option<&AccountName>,
    ) -> Result<Vec<Total>, StoreError> {
        // Asked first: a day that is summed up meanwhile is then read by its hours, which
        // stay.
        let last = self.ask(Statement::new(LAST)).await?;
        let last = last.first().map(|row| row.get::<_, i64>(0));
        let from_unsummed = last.map_or(from_day, |day| day + 1);
        let from_unsummed = from_unsummed.clamp(from_day, until_day);
        let summed = Statement::new(DAYS)
            .number(from_day)
            .number(from_unsummed)
            .some_text(account.map(AccountName::as_str));
        let mut all = Vec::new();
        for row in self.ask(summed).await? {
            let (day, account) = (row.get(0), rows::account(&row, 1));
            let value: Option<&str> = row.get(2);
            match value.and_then(|value| days::of_value(&account, value)) {
                Some(summed) => all.extend(summed),
                None => all.extend(self.unsummed(day, day + 1, Some(&account)).await?),
            }
        }
        all.extend(self.unsummed(from_unsummed, until_day, account).await?);
        Ok(all)
    }

    async fn unsummed(
        &self,
        from_day: i64,
        until_day: i64,
        account: Option<&AccountName>,
    ) -> Result<Vec<Total>, StoreError> {
        if from_day >= until_day {
            return Ok(Vec::new());
        }
        let rows = self.ask(hours(from_day, until_day, account)).await?;
        let hours = totals(&rows)?;
        Ok(days::sum_up(&hours).into_values().flatten().collect())
    }
}
