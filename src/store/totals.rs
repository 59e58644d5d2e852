//! What is counted of turns and conversations, by the hour and without ids, for
//! reports that reach further back than the turns do.
//!
//! Counts are added in the transaction of what they count. A dead turn that is
//! retried is taken out again, for it will end otherwise.

use std::time::Duration;

use jiff::Timestamp;

use crate::id::AccountName;
use crate::outcome::Outcome;

/// What is counted beside turns, whose word is [`Outcome::as_str`]: a conversation
/// that was closed after the bot's answer and before any human had it.
pub const CONTAINED: &str = "contained";
/// One of those that went on within [`REOPENED_WITHIN`], in the hour of its closing.
pub const REOPENED: &str = "reopened";
/// A message that no webhook brought and a sweep found.
pub const RECOVERED: &str = "recovered";

/// Of a whole day: how long it took to the bot's answer, by bucket.
pub const ANSWER_TIMES: &str = "replied_in";
/// Of a whole day: how long it took to the humans' inbox, by bucket.
pub const HUMAN_TIMES: &str = "handed_off_in";
/// Of a whole day: as many calls as its busiest hour, which the key names.
pub const BUSIEST_HOUR: &str = "busiest_hour";
/// The bucket of what is summed up over a day (see [`days`]): its times stand apart.
///
/// [`days`]: super::days
pub(super) const OF_A_DAY: u16 = u16::MAX;

/// A conversation that goes on later than this was solved all the same.
pub const REOPENED_WITHIN: Duration = Duration::from_hours(7 * 24);
/// How long totals are kept beyond the turns: a year.
pub(super) const KEPT: Duration = Duration::from_hours(365 * 24);

/// The turn was the first that the bot could answer in its conversation, since that
/// was opened.
pub const FIRST_MESSAGE: u8 = 1;
/// … the first for which the bot was asked.
pub const FIRST_QUESTION: u8 = 2;
/// … the first that got the bot's answer.
pub const FIRST_ANSWER: u8 = 4;

/// How many buckets lie between a time and twice the time.
const BUCKETS_PER_OCTAVE: f64 = 4.0;

/// A count, or what is to be added to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Total {
    /// Which.
    pub key: TotalKey,
    /// How many.
    pub count: i64,
    /// How many messages of customers they were about.
    pub messages: i64,
    /// How many calls to Gladly they took.
    pub calls: i64,
    /// How many calls a second Gladly allowed, as configured; zero if nobody said.
    pub per_second: u32,
}

/// What a count is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TotalKey {
    /// Hours since 1970, UTC.
    pub hour: i64,
    /// Whose.
    pub account: AccountName,
    /// An outcome's word, or one of those above.
    pub what: String,
    /// The reason's word; empty if there is none.
    pub reason: String,
    /// What the turn was the first of, as bits: [`FIRST_MESSAGE`] and so on.
    pub firsts: u8,
    /// How long it took from arrival to outcome, see [`bucket_of`].
    pub bucket: u16,
}

/// What a turn tells at its end of what it took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Its messages.
    pub messages: u32,
    /// Whether the bot was asked.
    pub asked: bool,
    /// Calls to Gladly.
    pub calls: u32,
    /// How many of those a second Gladly allows, as configured.
    pub per_second: u32,
}

impl Total {
    /// One turn that has ended.
    pub(super) fn of_turn(
        account: &AccountName,
        outcome: &Outcome,
        at: Timestamp,
        took: Duration,
        firsts: u8,
        tally: Tally,
    ) -> Self {
        // How long it took to leave something alone is nobody's waiting.
        let timed = matches!(outcome, Outcome::Replied | Outcome::HandedOff(_));
        let reason = match outcome {
            Outcome::Replied | Outcome::Dead(_) => "",
            Outcome::HandedOff(reason) => reason.as_str(),
            Outcome::Skipped(reason) => reason.as_str(),
        };
        Self {
            key: TotalKey {
                firsts,
                bucket: if timed { bucket_of(took) } else { 0 },
                ..TotalKey::of(account, outcome.as_str(), reason, at)
            },
            count: 1,
            messages: tally.messages.into(),
            calls: tally.calls.into(),
            per_second: tally.per_second,
        }
    }

    /// One of something else.
    pub(super) fn one(account: &AccountName, what: &str, at: Timestamp) -> Self {
        Self {
            key: TotalKey::of(account, what, "", at),
            count: 1,
            messages: 0,
            calls: 0,
            per_second: 0,
        }
    }

    /// Takes out a dead turn that goes on.
    pub(super) fn undo_dead(account: &AccountName, died_at: Timestamp, messages: usize) -> Self {
        Self {
            count: -1,
            messages: -i64::try_from(messages).unwrap_or_default(),
            ..Self::one(account, "dead", died_at)
        }
    }

    /// Whether it is the sum of a day, in whose first hour it stands then.
    pub const fn is_of_a_day(&self) -> bool {
        self.key.bucket == OF_A_DAY
    }

    /// If it tells how long the bot's answer took: the bucket.
    pub fn answer_time(&self) -> Option<u16> {
        self.time("replied", ANSWER_TIMES)
    }

    /// If it tells how long it took until humans had it: the bucket.
    pub fn human_time(&self) -> Option<u16> {
        self.time("handed_off", HUMAN_TIMES)
    }

    fn time(&self, of_hour: &str, of_day: &str) -> Option<u16> {
        let what = self.key.what.as_str();
        let told = what == of_day || (what == of_hour && !self.is_of_a_day());
        told.then_some(self.key.bucket)
    }

    /// Adds another count of the same.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.messages += other.messages;
        self.calls += other.calls;
        self.per_second = self.per_second.max(other.per_second);
    }
}

impl TotalKey {
    fn of(account: &AccountName, what: &str, reason: &str, at: Timestamp) -> Self {
        Self {
            hour: hour_of(at),
            account: account.clone(),
            what: what.to_owned(),
            reason: reason.to_owned(),
            firsts: 0,
            bucket: 0,
        }
    }
}

/// The hour of a time, counted from 1970, UTC.
pub fn hour_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(3_600)
}

/// When an hour begins.
pub fn hour_begins(hour: i64) -> Timestamp {
    Timestamp::from_second(hour.saturating_mul(3_600)).unwrap_or(Timestamp::MIN)
}

/// The bucket of a length of time: each is a fifth longer than the one before.
pub fn bucket_of(length: Duration) -> u16 {
    let ms = length.as_secs_f64() * 1_000.0;
    if ms < 1.0 {
        return 0;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 1 to 300 for every length of time there is"
    )]
    let bucket = (ms.log2() * BUCKETS_PER_OCTAVE).floor() as u16;
    bucket + 1
}

/// From where to where a bucket reaches.
pub fn bucket_bounds(bucket: u16) -> (Duration, Duration) {
    let edge = |index: u16| {
        let ms = (f64::from(index) / BUCKETS_PER_OCTAVE).exp2();
        Duration::try_from_secs_f64(ms / 1_000.0).unwrap_or(Duration::MAX)
    };
    match bucket {
        0 => (Duration::ZERO, Duration::from_millis(1)),
        bucket => (edge(bucket - 1), edge(bucket)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_lies_within_its_bucket() {
        for ms in [0, 1, 2, 3, 999, 1_000, 1_234, 60_000, 86_400_000] {
            let length = Duration::from_millis(ms);
            let (from, to) = bucket_bounds(bucket_of(length));
            let near = Duration::from_nanos(10 + ms);
            assert!(from <= length + near && length < to + near, "{ms}");
            assert!(ms < 2 || to.as_secs_f64() / from.as_secs_f64() < 1.2);
        }
        assert!(bucket_of(Duration::MAX) < 400);
    }

    #[test]
    fn hours_begin_on_the_hour_before_and_after_1970() {
        for (second, hour) in [(0, 0), (3_599, 0), (3_600, 1), (-1, -1)] {
            assert_eq!(hour_of(Timestamp::from_second(second).unwrap()), hour);
        }
        assert_eq!(hour_begins(2), Timestamp::from_second(7_200).unwrap());
    }
}
