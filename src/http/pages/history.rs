//! Charts of outcomes and answer times over hours or days, from the store's totals. Pure.

use super::chart::{Chart, Series, Unit};
use crate::report::Histogram;
use crate::store::Total;
use crate::store::totals::hour_begins;

/// The spans of a chart's bars.
pub(super) struct Buckets {
    first_hour: i64,
    /// How many hours each bar stands for.
    length: i64,
    count: i64,
}

impl Buckets {
    /// So many hours, up to this one.
    pub(super) const fn hours(until_hour: i64, count: i64) -> Self {
        Self {
            first_hour: until_hour - count,
            length: 1,
            count,
        }
    }

    /// So many days (UTC), today the last.
    pub(super) const fn days(until_hour: i64, count: i64) -> Self {
        let tomorrow = (until_hour - 1).div_euclid(24) * 24 + 24;
        Self {
            first_hour: tomorrow - count * 24,
            length: 24,
            count,
        }
    }

    /// The first hour of all.
    pub(super) const fn first_hour(&self) -> i64 {
        self.first_hour
    }

    fn label(&self, index: i64) -> String {
        let begins = hour_begins(self.first_hour + index * self.length);
        let format = if self.length == 1 { "%H:%M" } else { "%b %-d" };
        begins.strftime(format).to_string()
    }

    /// What each bar shows.
    fn bars(&self, totals: &[Total]) -> Vec<Bar> {
        let mut bars: Vec<Bar> = (0..self.count).map(|_| Bar::default()).collect();
        for total in totals {
            let index = (total.key.hour - self.first_hour).div_euclid(self.length);
            let index = usize::try_from(index).ok();
            if let Some(bar) = index.and_then(|index| bars.get_mut(index)) {
                bar.add(total);
            }
        }
        bars
    }
}

/// What is counted of the turns that ended in one span.
#[derive(Default)]
struct Bar {
    replied: i64,
    handed_off: i64,
    skipped: i64,
    dead: i64,
    to_answer: Histogram,
}

impl Bar {
    fn add(&mut self, total: &Total) {
        let count = total.count;
        if let Some(bucket) = total.answer_time() {
            self.to_answer.add(bucket, count);
        }
        match total.key.what.as_str() {
            "replied" => self.replied += count,
            "handed_off" => self.handed_off += count,
            "skipped" => self.skipped += count,
            "dead" => self.dead += count,
            _ => {}
        }
    }
}

/// One of outcomes, one of answer times.
pub(super) fn charts(totals: &[Total], buckets: &Buckets, ids: [&'static str; 2]) -> [Chart; 2] {
    let bars = buckets.bars(totals);
    let labels: Vec<String> = (0..buckets.count)
        .map(|index| buckets.label(index))
        .collect();
    let over = if buckets.length == 1 { "Hour" } else { "Day" };
    let [outcomes, times] = titles(buckets);
    [
        Chart::new(
            (ids[0], outcomes, over),
            &labels,
            &by_outcome(&bars),
            Unit::Count,
        ),
        Chart::new(
            (ids[1], times, over),
            &labels,
            &by_time(&bars),
            Unit::Seconds,
        ),
    ]
}

const fn titles(buckets: &Buckets) -> [&'static str; 2] {
    if buckets.length == 1 {
        ["Turns by hour", "Time to the bot's answer, by hour"]
    } else {
        ["Turns by day", "Time to the bot's answer, by day"]
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts that far")]
fn by_outcome(bars: &[Bar]) -> Vec<Series> {
    let series = |name, class, of: fn(&Bar) -> i64| Series {
        name,
        class,
        values: bars.iter().map(|bar| Some(of(bar) as f64)).collect(),
        reaches: false,
    };
    vec![
        series("answered", "s1", |bar| bar.replied),
        series("to humans", "s2", |bar| bar.handed_off),
        series("left alone", "s3", |bar| bar.skipped),
        series("dead letters", "s4", |bar| bar.dead),
    ]
}

fn by_time(bars: &[Bar]) -> Vec<Series> {
    let median = |bar: &Bar| Some(bar.to_answer.median()?.as_secs_f64());
    let rest = |bar: &Bar| {
        let slow = bar.to_answer.p95()?.as_secs_f64();
        Some((slow - median(bar)?).max(0.0))
    };
    vec![
        Series {
            name: "half within",
            class: "s1",
            values: bars.iter().map(median).collect(),
            reaches: false,
        },
        Series {
            name: "95 of 100 within",
            class: "s5",
            values: bars.iter().map(rest).collect(),
            reaches: true,
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_utc_and_today_is_the_last() {
        // 1970-01-03 05:00 is the last hour.
        let buckets = Buckets::days(54, 2);
        assert_eq!(buckets.first_hour(), 24);
        assert_eq!([buckets.label(0), buckets.label(1)], ["Jan 2", "Jan 3"]);
        let hours = Buckets::hours(54, 24);
        assert_eq!([hours.label(0), hours.label(23)], ["06:00", "05:00"]);
        assert_eq!(
            Buckets::days(48, 1).label(0),
            "Jan 2",
            "a day ends with its last hour"
        );
    }
}
