//! What a sweep reads, what it makes of what it finds, and when the next one is.
//! Pure. All times are Gladly's: of its events, and of its clock.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::Url;

use crate::check::find_ours;
use crate::clock::{earlier, later, time_until};
use crate::gladly::Registration;

/// How far a sweep reads back beyond the last: Gladly shows events up to 15 s late
/// (Gladly API description, "Events").
const OVERLAP: Duration = Duration::from_mins(2);
/// How far back Gladly answers: 24 h, less a minute for the call's way there.
const KEPT_FOR: Duration = Duration::from_mins(24 * 60 - 1);
/// What is younger is left to its webhook, which is on its way.
const ON_ITS_WAY: Duration = Duration::from_secs(10);
/// The longest and the shortest time that is asked about at once: there are no pages.
const LONGEST_SLICE: Duration = Duration::from_hours(1);
const SHORTEST_SLICE: Duration = Duration::from_mins(1);
/// When to look again after the webhook was switched on: what was raised right before
/// that shows by then.
const AFTER_REPAIR: Duration = Duration::from_secs(20);
/// When to try again after a failure; doubled each further time.
const AFTER_FAILURE: Duration = Duration::from_secs(15);

/// A span of Gladly's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
    /// How much before it can't be read any more, if some of that was never read.
    pub(super) lost: Option<Duration>,
}

/// What to read now. Who has never swept begins with the present: what was there
/// before the relay is not its own.
pub(super) fn span(swept_until: Option<Timestamp>, now: Timestamp) -> Span {
    let swept_until = swept_until.map_or(now, |until| until.min(now));
    let oldest = earlier(now, KEPT_FOR);
    let lost = time_until(oldest, swept_until);
    Span {
        from: earlier(swept_until, OVERLAP).max(oldest),
        until: now,
        lost: (!lost.is_zero()).then_some(lost),
    }
}

impl Span {
    /// How far to read at once from `from` on.
    pub(super) fn slice_from(&self, from: Timestamp, longest: Duration) -> Timestamp {
        later(from, longest).min(self.until)
    }
}

/// What to do with an event that a sweep found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Find {
    /// Leave it to its webhook; the next sweep finds it again.
    Leave,
    /// A message must have an answer or a human within this time.
    Within(Duration),
    /// A message should have had them by now.
    Overdue,
}

/// What to do with an event that was raised then. `all` takes also what a webhook may
/// be bringing.
pub(super) fn find(
    happened_at: Option<Timestamp>,
    now: Timestamp,
    answer_deadline: Duration,
    all: bool,
) -> Find {
    // Nobody knows how old it is.
    let Some(happened_at) = happened_at else {
        return Find::Overdue;
    };
    let age = time_until(now, happened_at);
    if age < ON_ITS_WAY && !all {
        Find::Leave
    } else if age < answer_deadline {
        Find::Within(answer_deadline.saturating_sub(age))
    } else {
        Find::Overdue
    }
}

/// What Gladly shows of the webhook that leads to this relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Webhook<'a> {
    /// It brings what happens.
    On,
    /// Gladly switched it off, because deliveries failed.
    SwitchedOff {
        /// Its id.
        id: &'a str,
        /// When.
        at: &'a str,
    },
    /// A person switched it off, and knows why.
    OffByHand,
    /// None leads here.
    Missing,
}

/// Judges Gladly's webhooks.
pub(super) fn webhook<'a>(all: &'a [Registration], url: &Url) -> Webhook<'a> {
    let Some(ours) = find_ours(all, url) else {
        return Webhook::Missing;
    };
    match &ours.switched_off_at {
        _ if ours.enabled => Webhook::On,
        Some(at) => Webhook::SwitchedOff { id: &ours.id, at },
        None => Webhook::OffByHand,
    }
}

/// How a sweep ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// All was read.
    Well,
    /// All was read, and the webhook has just been switched on.
    Repaired,
    /// Gladly or the store failed; it may go well soon.
    Failed,
    /// Gladly does not let the user read events.
    Refused,
}

impl Came {
    /// Its word in the metric.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Well | Self::Repaired => "ok",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}

/// When to sweep, and how much to ask for at once.
#[derive(Debug)]
pub(super) struct Rhythm {
    interval: Duration,
    slice: Duration,
    failures: u32,
    /// The last wait was short because of a repair.
    hurried: bool,
}

impl Rhythm {
    /// Sweeps every `interval`.
    pub(super) fn new(interval: Duration) -> Self {
        let mut rhythm = Self {
            interval,
            slice: Duration::ZERO,
            failures: 0,
            hurried: false,
        };
        rhythm.slice = rhythm.longest_slice();
        rhythm
    }

    /// When all is well, one call reads an interval.
    fn longest_slice(&self) -> Duration {
        LONGEST_SLICE.max(self.interval.saturating_mul(2).saturating_add(OVERLAP))
    }

    /// The most to ask for at once.
    pub(super) const fn slice(&self) -> Duration {
        self.slice
    }

    /// So much could be read: more may be.
    pub(super) fn read(&mut self) {
        self.slice = self.slice.saturating_mul(2).min(self.longest_slice());
    }

    /// So much could not be read: it may have been too much.
    pub(super) fn could_not_read(&mut self) {
        self.slice = (self.slice / 2).max(SHORTEST_SLICE);
    }

    /// How long until the next sweep; `random` from 0 to 1.
    pub(super) fn wait(&mut self, came: Came, random: f64) -> Duration {
        let failures = std::mem::take(&mut self.failures);
        let hurried = std::mem::take(&mut self.hurried);
        let usual = self.interval.mul_f64(1.0 + random / 10.0);
        match came {
            Came::Failed => {
                self.failures = failures.saturating_add(1);
                let wait = AFTER_FAILURE.saturating_mul(2_u32.saturating_pow(failures.min(20)));
                wait.mul_f64(1.0 + random / 2.0).min(usual)
            }
            Came::Repaired if !hurried => {
                self.hurried = true;
                AFTER_REPAIR.min(usual)
            }
            Came::Well | Came::Repaired | Came::Refused => usual,
        }
    }
}

#[cfg(test)]
mod tests;
