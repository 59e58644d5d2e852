//! The figures of some hours, and how each is counted.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::id::AccountName;
use crate::outcome::HandoffReason;
use crate::store::Total;
use crate::store::totals::{
    BUSIEST_HOUR, CONTAINED, FIRST_ANSWER, FIRST_MESSAGE, FIRST_QUESTION, RECOVERED, REOPENED,
    bucket_bounds,
};

/// A share of fewer than this tells nothing.
const ENOUGH: i64 = 20;
/// Half of fewer than this tells nothing.
const ENOUGH_FOR_MEDIAN: i64 = 5;
const SECONDS_PER_HOUR: i64 = 3_600;

/// What is counted of some hours.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Of how many hours.
    pub hours: i64,
    /// Messages of customers whose turns have ended.
    pub messages: i64,
    /// Turns that ended so.
    pub replied: i64,
    /// … by reason.
    pub handed_off: BTreeMap<String, i64>,
    /// … by reason.
    pub skipped: BTreeMap<String, i64>,
    /// …, but for those that a person has retried.
    pub dead: i64,
    /// Conversations with a message that the bot could answer, from opening to
    /// closing.
    pub with_a_message: i64,
    /// Of those, in which the bot was asked.
    pub involved: i64,
    /// Of those, that got its answer.
    pub answered: i64,
    /// Of those, closed before any human had them.
    pub contained: i64,
    /// Of those, that went on within seven days.
    pub reopened: i64,
    /// Messages that no webhook brought and a sweep found.
    pub recovered: i64,
    /// From a message's arrival to the bot's answer.
    pub to_answer: Histogram,
    /// From a message's arrival to the humans' inbox.
    pub to_human: Histogram,
    /// Calls to Gladly that turns made.
    pub calls: i64,
    /// Totals of one hour mostly come together: then it stands here once.
    by_hour: Vec<Calls>,
}

/// The calls of an account in an hour.
#[derive(Debug, Clone)]
struct Calls {
    account: AccountName,
    hour: i64,
    made: i64,
    /// As many a second as its organization allowed.
    per_second: i64,
}

/// Lengths of time, by bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram(BTreeMap<u16, i64>);

/// Some of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// So many.
    pub numerator: i64,
    /// Of so many.
    pub denominator: i64,
}

/// Whether a handoff is what the bot is for, and no fault of anybody's.
pub const fn is_expected(reason: HandoffReason) -> bool {
    match reason {
        HandoffReason::BotNoAnswer
        | HandoffReason::BotRequested
        | HandoffReason::CustomerRequested
        | HandoffReason::UnsupportedContent
        | HandoffReason::AutomatedEmail
        | HandoffReason::TurnLimit => true,
        HandoffReason::BotError
        | HandoffReason::BotTimeout
        | HandoffReason::BreakerOpen
        | HandoffReason::ReplyRejected
        | HandoffReason::LoopSuspected
        | HandoffReason::Deadline => false,
    }
}

impl Figures {
    pub(super) fn add(&mut self, total: &Total) {
        let (key, count) = (&total.key, total.count);
        self.messages += total.messages;
        self.calls += total.calls;
        self.add_calls(total);
        for (bit, sum) in [
            (FIRST_MESSAGE, &mut self.with_a_message),
            (FIRST_QUESTION, &mut self.involved),
            (FIRST_ANSWER, &mut self.answered),
        ] {
            if key.firsts & bit != 0 {
                *sum += count;
            }
        }
        if let Some(bucket) = total.answer_time() {
            self.to_answer.add(bucket, count);
        }
        if let Some(bucket) = total.human_time() {
            self.to_human.add(bucket, count);
        }
        match key.what.as_str() {
            "replied" => self.replied += count,
            "handed_off" => add_to(&mut self.handed_off, &key.reason, count),
            "skipped" => add_to(&mut self.skipped, &key.reason, count),
            "dead" => self.dead += count,
            CONTAINED => self.contained += count,
            REOPENED => self.reopened += count,
            RECOVERED => self.recovered += count,
            // Times of a day, its busiest hour, and what a newer version counts.
            _ => {}
        }
    }

    fn add_calls(&mut self, total: &Total) {
        let key = &total.key;
        let calls = match key.what.as_str() {
            BUSIEST_HOUR => total.count,
            // Its busiest hour stands apart.
            _ if total.is_of_a_day() => return,
            _ => total.calls,
        };
        let per_second = i64::from(total.per_second);
        let last = self.by_hour.last_mut();
        if let Some(hour) = last.filter(|hour| hour.hour == key.hour && hour.account == key.account)
        {
            hour.made += calls;
            hour.per_second = hour.per_second.max(per_second);
        } else {
            self.by_hour.push(Calls {
                account: key.account.clone(),
                hour: key.hour,
                made: calls,
                per_second,
            });
        }
    }

    /// What each account's organization allowed a second.
    fn allowed(&self) -> HashMap<&AccountName, i64> {
        let mut allowed = HashMap::new();
        for hour in &self.by_hour {
            let per_second: &mut i64 = allowed.entry(&hour.account).or_default();
            *per_second = hour.per_second.max(*per_second);
        }
        allowed
    }

    /// All turns that have ended.
    pub fn turns(&self) -> i64 {
        self.replied + self.handovers() + self.left_alone() + self.dead
    }

    /// All turns that ended with the humans.
    pub fn handovers(&self) -> i64 {
        self.handed_off.values().sum()
    }

    /// Of those, the ones that are what the bot is for.
    pub fn expected_handovers(&self) -> i64 {
        let expected = |word: &str| HandoffReason::from_word(word).is_some_and(is_expected);
        let handed_off = self.handed_off.iter().filter(|(word, _)| expected(word));
        handed_off.map(|(_, count)| count).sum()
    }

    /// All turns that the relay left alone.
    pub fn left_alone(&self) -> i64 {
        self.skipped.values().sum()
    }

    /// Conversations in which the bot was asked, of those with a message for it.
    pub const fn involvement(&self) -> Share {
        Share::of(self.involved, self.with_a_message)
    }

    /// … that got its answer, of those in which it was asked.
    pub const fn answer_rate(&self) -> Share {
        Share::of(self.answered, self.involved)
    }

    /// … that were closed after its answer, before any human had them.
    pub const fn containment(&self) -> Share {
        Share::of(self.contained, self.involved)
    }

    /// … and did not go on within seven days.
    pub const fn durable_containment(&self) -> Share {
        Share::of(self.contained - self.reopened, self.involved)
    }

    /// Contained conversations, of all with a message for the bot.
    pub const fn automation(&self) -> Share {
        Share::of(self.contained, self.with_a_message)
    }

    /// The share of Gladly's limit that turns' calls took on average; none if nobody
    /// told what it is.
    pub fn limit_used(&self) -> Option<f64> {
        let allowed: i64 = self.allowed().values().sum();
        ratio(self.calls, allowed * SECONDS_PER_HOUR * self.hours)
    }

    /// The same in the busiest hour of the busiest account.
    pub fn limit_used_at_most(&self) -> Option<f64> {
        let (allowed, mut by_hour) = (self.allowed(), HashMap::new());
        for hour in &self.by_hour {
            let calls: &mut i64 = by_hour.entry((&hour.account, hour.hour)).or_default();
            *calls += hour.made;
        }
        let used = by_hour.iter().filter_map(|((account, _), calls)| {
            let allowed = allowed.get(account)? * SECONDS_PER_HOUR;
            ratio(*calls, allowed)
        });
        used.reduce(f64::max)
    }
}

impl Share {
    const fn of(numerator: i64, denominator: i64) -> Self {
        Self {
            numerator,
            denominator,
        }
    }

    /// From 0 to 1; none if they are too few to tell.
    pub fn rate(self) -> Option<f64> {
        ratio(self.numerator, self.denominator).filter(|_| self.denominator >= ENOUGH)
    }
}

impl Histogram {
    /// Counts so many more in a bucket.
    pub fn add(&mut self, bucket: u16, count: i64) {
        *self.0.entry(bucket).or_default() += count;
    }

    /// How many there are.
    pub fn count(&self) -> i64 {
        self.0.values().sum()
    }

    /// Half of them took no longer; none if they are too few to tell.
    pub fn median(&self) -> Option<Duration> {
        self.quantile(0.5)
            .filter(|_| self.count() >= ENOUGH_FOR_MEDIAN)
    }

    /// 95 of 100 took no longer; none if they are too few to tell.
    pub fn p95(&self) -> Option<Duration> {
        self.quantile(0.95).filter(|_| self.count() >= ENOUGH)
    }

    /// Exact to a tenth or so: where in its bucket it lies is not known.
    #[expect(clippy::cast_precision_loss, reason = "nobody counts that far")]
    fn quantile(&self, part: f64) -> Option<Duration> {
        let wanted = part * self.count() as f64;
        let mut before = 0.0;
        for (bucket, count) in self.0.iter().filter(|(_, count)| **count > 0) {
            let count = *count as f64;
            if before + count >= wanted {
                let (from, to) = bucket_bounds(*bucket);
                let within = ((wanted - before) / count).clamp(0.0, 1.0);
                return Some(from + to.saturating_sub(from).mul_f64(within));
            }
            before += count;
        }
        None
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts that far")]
fn ratio(some: i64, all: i64) -> Option<f64> {
    (all > 0).then(|| some as f64 / all as f64)
}

fn add_to(counts: &mut BTreeMap<String, i64>, word: &str, count: i64) {
    if let Some(sum) = counts.get_mut(word) {
        *sum += count;
    } else {
        counts.insert(word.to_owned(), count);
    }
}
