//! What the bot does for the business: figures of a span of hours, beside those of
//! the span before. Pure, from the store's totals.
//!
//! Each figure says what the relay itself did, with what it is a share of; whether a
//! customer's question was solved is not the relay's to know. What the bot never had
//! is in no denominator. Days and hours are UTC.

mod csv;
mod figures;
mod json;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::time_until;
use crate::id::AccountName;
use crate::store::totals::{hour_begins, hour_of};
use crate::store::{History, StoreError, Total, days};
pub use figures::{Figures, Histogram, Share, is_expected};

const SECONDS_PER_HOUR: u64 = 3_600;
const HOURS_OF_A_DAY: i64 = 24;

/// Figures of a span, of the span before, of each account and of each day.
#[derive(Debug, Clone)]
pub struct Report {
    /// Of which hours.
    pub span: Span,
    /// Of this account alone.
    pub account: Option<AccountName>,
    /// Of all of it.
    pub all: Figures,
    /// Of the span of the same length before.
    pub before: Figures,
    /// Of each account.
    pub accounts: BTreeMap<AccountName, Figures>,
    /// Of each day (`2026-11-21`, UTC) and account.
    pub days: BTreeMap<(String, AccountName), Figures>,
}

/// Whole hours, the present one among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub from_hour: i64,
    /// The first that does not belong to it.
    pub until_hour: i64,
}

impl Span {
    /// So much time until now, in whole hours and at least one.
    pub fn until(now: Timestamp, length: Duration) -> Self {
        let hours = length.as_secs().div_ceil(SECONDS_PER_HOUR).max(1);
        let until_hour = hour_of(now) + 1;
        let hours = i64::try_from(hours).unwrap_or(i64::MAX);
        Self {
            from_hour: until_hour.saturating_sub(hours),
            until_hour,
        }
    }

    /// From then until now.
    pub fn since(now: Timestamp, since: Timestamp) -> Self {
        let until_hour = hour_of(now) + 1;
        Self {
            from_hour: hour_of(since).min(until_hour - 1),
            until_hour,
        }
    }

    /// Reads a length (`7d`) or a time (RFC 3339); none for anything else.
    pub fn parse(text: &str, now: Timestamp) -> Option<Self> {
        let length = crate::config::parse_duration(text);
        let span = length.map(|length| Self::until(now, length));
        span.or_else(|| Some(Self::since(now, text.parse().ok()?)))
    }

    /// How many hours.
    pub const fn hours(self) -> i64 {
        self.until_hour - self.from_hour
    }

    /// When it begins.
    pub fn begins(self) -> Timestamp {
        hour_begins(self.from_hour)
    }

    const fn first_hour_before(self) -> i64 {
        self.from_hour.saturating_sub(self.hours())
    }
}

/// Reads when something is to begin: a length of time until now (`7d`), or a time
/// (RFC 3339). None for anything else.
pub fn parse_since(text: &str, now: Timestamp) -> Option<Timestamp> {
    let length = crate::config::parse_duration(text);
    let since = length.map(|length| crate::clock::earlier(now, length));
    since.or_else(|| text.parse().ok())
}

/// Reads the totals of a span and of the one before, and sums them up.
///
/// # Errors
/// If they can't be read.
pub async fn read(
    history: &(impl History + ?Sized),
    span: Span,
    account: Option<AccountName>,
) -> Result<Report, StoreError> {
    let totals = totals(history, span, account.as_ref()).await?;
    Ok(report(&totals, span, account))
}

/// The totals of a span and of the one before; of those longer than a day, whole days
/// are summed up.
///
/// # Errors
/// If they can't be read.
pub async fn totals(
    history: &(impl History + ?Sized),
    span: Span,
    account: Option<&AccountName>,
) -> Result<Vec<Total>, StoreError> {
    let (before, from, until) = (span.first_hour_before(), span.from_hour, span.until_hour);
    if span.hours() <= HOURS_OF_A_DAY {
        return history.totals(before, until, account).await;
    }
    let mut totals = days::read(history, before, from, account).await?;
    totals.extend(days::read(history, from, until, account).await?);
    Ok(totals)
}

/// Sums up totals of a span and of the one before.
pub fn report(totals: &[Total], span: Span, account: Option<AccountName>) -> Report {
    let mut report = Report {
        span,
        account,
        all: Figures::default(),
        before: Figures::default(),
        accounts: BTreeMap::new(),
        days: BTreeMap::new(),
    };
    // Totals of one hour mostly stand together, and there are very many.
    let mut day = (i64::MIN, String::new());
    for total in totals {
        let (hour, account) = (total.key.hour, &total.key.account);
        if hour < span.from_hour {
            report.before.add(total);
            continue;
        }
        report.all.add(total);
        let of_account = report.accounts.entry(account.clone());
        of_account.or_default().add(total);
        if day.0 != hour {
            day = (hour, hour_begins(hour).strftime("%Y-%m-%d").to_string());
        }
        let of_day = report.days.entry((day.1.clone(), account.clone()));
        of_day.or_default().add(total);
    }
    for figures in report.accounts.values_mut() {
        figures.hours = span.hours();
    }
    for figures in report.days.values_mut() {
        figures.hours = 24;
    }
    report.all.hours = span.hours();
    report.before.hours = span.hours();
    report
}

impl Report {
    /// From when to when, for people.
    fn title(&self) -> String {
        let (from, until) = (self.span.begins(), hour_begins(self.span.until_hour));
        let whose = match &self.account {
            Some(account) => format!("account {account}"),
            None => "all accounts".to_owned(),
        };
        let length = time_until(until, from);
        let length = match length.as_secs() / SECONDS_PER_HOUR {
            hours if hours % 24 == 0 && hours > 24 => format!("{} days", hours / 24),
            1 => "1 hour".to_owned(),
            hours => format!("{hours} hours"),
        };
        format!(
            "{} to {} UTC ({length}), {whose}",
            from.strftime("%Y-%m-%d %H:%M"),
            until.strftime("%Y-%m-%d %H:%M"),
        )
    }
}
