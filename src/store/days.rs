//! What is counted of whole days (UTC): the totals of their hours, summed up once a day
//! is over, so that a report of months reads little. Pure but for [`read`].
//!
//! - Of a day and an account one value is kept. Its lengths of time stand apart from its
//!   other counts: so there are few of each.
//! - The hours stay, and hold what is true. Where one of a day gone by is added to, the
//!   day's value is taken away and summed up again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::history::History;
use super::totals::{
    ANSWER_TIMES, BUSIEST_HOUR, HUMAN_TIMES, OF_A_DAY, Total, TotalKey, hour_begins, hour_of,
};
use super::types::StoreError;
use crate::clock::earlier;
use crate::id::AccountName;

/// Hours of a day.
pub(super) const HOURS: i64 = 24;
/// A day is summed up so long after its end: the clocks of several relays may differ, and
/// what was counted at its end may be on its way.
const SETTLED_AFTER: Duration = Duration::from_hours(3);

/// Days since 1970 and an account.
pub(crate) type DayKey = (i64, AccountName);

/// The day of an hour.
pub(super) const fn day_of(hour: i64) -> i64 {
    hour.div_euclid(HOURS)
}

/// The first day that is not yet to be summed up.
pub(super) fn unsettled(now: Timestamp) -> i64 {
    day_of(hour_of(earlier(now, SETTLED_AFTER)))
}

/// The days gone by that were added to: their sums are not true any more.
pub(super) fn changed_days(totals: &[Total], now: Timestamp) -> BTreeSet<DayKey> {
    let today = day_of(hour_of(now));
    let days = totals
        .iter()
        .map(|total| (day_of(total.key.hour), &total.key.account));
    days.filter(|(day, _)| *day < today)
        .map(|(day, account)| (day, account.clone()))
        .collect()
}

/// Sums up hours: the totals of each day and account among them.
pub(crate) fn sum_up(hours: &[Total]) -> BTreeMap<DayKey, Vec<Total>> {
    let mut days: BTreeMap<DayKey, Sum> = BTreeMap::new();
    // Those of an hour and an account mostly stand together.
    for part in hours.chunk_by(|one, next| same_hour(&one.key, &next.key)) {
        let key = &part[0].key;
        let sum = days.entry((day_of(key.hour), key.account.clone()));
        sum.or_default().add(part);
    }
    let finish = |(key, sum): (DayKey, Sum)| {
        let totals = sum.totals(&key);
        (key, totals)
    };
    days.into_iter().map(finish).collect()
}

fn same_hour(one: &TotalKey, other: &TotalKey) -> bool {
    one.hour == other.hour && one.account == other.account
}

/// What is counted of one account in one day.
#[derive(Default)]
struct Sum {
    /// By `what`, `reason` and `firsts`.
    counts: BTreeMap<(String, String, u8), Total>,
    /// By whose time it is and bucket.
    times: BTreeMap<(&'static str, u16), i64>,
    /// Calls by hour.
    calls: BTreeMap<i64, i64>,
    per_second: u32,
}

impl Sum {
    fn add(&mut self, hour: &[Total]) {
        for total in hours_of(hour) {
            let key = &total.key;
            if let Some(bucket) = total.answer_time() {
                *self.times.entry((ANSWER_TIMES, bucket)).or_default() += total.count;
            }
            if let Some(bucket) = total.human_time() {
                *self.times.entry((HUMAN_TIMES, bucket)).or_default() += total.count;
            }
            *self.calls.entry(key.hour).or_default() += total.calls;
            self.per_second = self.per_second.max(total.per_second);
            let words = (key.what.clone(), key.reason.clone(), key.firsts);
            let sum = self.counts.entry(words);
            sum.and_modify(|sum| sum.add(total))
                .or_insert_with(|| total.clone());
        }
    }

    fn totals(self, (day, account): &DayKey) -> Vec<Total> {
        let first_hour = day * HOURS;
        let of_day = |total: Total| Total {
            key: TotalKey {
                hour: first_hour,
                bucket: OF_A_DAY,
                ..total.key
            },
            ..total
        };
        let mut totals: Vec<Total> = self.counts.into_values().map(of_day).collect();
        totals.extend(self.times.into_iter().map(|((what, bucket), count)| {
            let mut total = Total::one(account, what, hour_begins(first_hour));
            (total.key.bucket, total.count) = (bucket, count);
            total
        }));
        let busiest = self.calls.into_iter().max_by_key(|(_, calls)| *calls);
        totals.extend(busiest.map(|(hour, calls)| Total {
            count: calls,
            per_second: self.per_second,
            ..Total::one(account, BUSIEST_HOUR, hour_begins(hour))
        }));
        totals
    }
}

/// Totals that are not summed up already.
fn hours_of(totals: &[Total]) -> impl Iterator<Item = &Total> {
    totals.iter().filter(|total| !total.is_of_a_day())
}

/// A total as it stands in a day's value.
#[derive(Serialize, Deserialize)]
struct Stored(i64, String, String, u8, u16, i64, i64, i64, u32);

/// The totals of a day and an account as JSON.
pub(crate) fn value_of(totals: Vec<Total>) -> Result<String, StoreError> {
    let stored: Vec<Stored> = totals
        .into_iter()
        .map(|total| {
            let key = total.key;
            Stored(
                key.hour,
                key.what,
                key.reason,
                key.firsts,
                key.bucket,
                total.count,
                total.messages,
                total.calls,
                total.per_second,
            )
        })
        .collect();
    super::value::json(&stored)
}

/// Reads [`value_of`]; none if it can't be read, and is to be summed up again.
pub(crate) fn of_value(account: &AccountName, value: &str) -> Option<Vec<Total>> {
    let stored: Vec<Stored> = serde_json::from_str(value).ok()?;
    let total = |stored: Stored| {
        let Stored(hour, what, reason, firsts, bucket, count, messages, calls, per_second) = stored;
        Total {
            key: TotalKey {
                hour,
                account: account.clone(),
                what,
                reason,
                firsts,
                bucket,
            },
            count,
            messages,
            calls,
            per_second,
        }
    };
    Some(stored.into_iter().map(total).collect())
}

/// The totals of these hours, the last left out: of whole days as one, and of the hours
/// before the first midnight and after the last as they are.
///
/// # Errors
/// If they can't be read.
pub async fn read(
    history: &(impl History + ?Sized),
    from_hour: i64,
    until_hour: i64,
    account: Option<&AccountName>,
) -> Result<Vec<Total>, StoreError> {
    let until_day = day_of(until_hour);
    let from_day = day_of(from_hour.saturating_add(HOURS - 1));
    if from_day >= until_day {
        return history.totals(from_hour, until_hour, account).await;
    }
    let (from_midnight, until_midnight) = (from_day * HOURS, until_day * HOURS);
    let mut totals = history.totals(from_hour, from_midnight, account).await?;
    totals.extend(history.days(from_day, until_day, account).await?);
    totals.extend(history.totals(until_midnight, until_hour, account).await?);
    Ok(totals)
}
