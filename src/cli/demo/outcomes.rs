//! How turns end, read off the relay's `GET /metrics` as an operator would:
//! that a turn ended without a word shows nowhere else.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

/// How often the metrics are read. They have no way to tell of a change.
const EVERY: Duration = Duration::from_millis(20);

/// How a turn ended, in the metrics' words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The bot's answer is in the conversation.
    Replied,
    /// A human has the conversation.
    HandedOff,
    /// The relay left the messages alone.
    Skipped,
    /// The relay gave up.
    Dead,
}

impl Ending {
    /// Every ending.
    pub(super) const ALL: [Self; 4] = [Self::Replied, Self::HandedOff, Self::Skipped, Self::Dead];

    /// The value of the metric's label.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Replied => "replied",
            Self::HandedOff => "handed_off",
            Self::Skipped => "skipped",
            Self::Dead => "dead",
        }
    }
}

/// How many turns have ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts([u64; Ending::ALL.len()]);

impl Counts {
    /// The turns that ended so.
    pub(super) const fn of(&self, ending: Ending) -> u64 {
        self.0[ending as usize]
    }

    /// One more.
    pub(super) const fn add(&mut self, ending: Ending) {
        self.0[ending as usize] += 1;
    }

    fn parse(metrics: &str) -> Self {
        Self(Ending::ALL.map(|ending| {
            let label = format!("outcome=\"{}\"", ending.as_str());
            let samples = metrics.lines().filter(|line| {
                line.starts_with("gladly_relay_turns_total{") && line.contains(&label)
            });
            let values = samples.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
            values.sum()
        }))
    }
}

/// The running relay's counts.
pub(super) struct Outcomes {
    http: reqwest::Client,
    url: String,
    ticks: Interval,
    latest: Counts,
}

impl Outcomes {
    /// Reads them at the relay's admin listener.
    ///
    /// # Errors
    /// If no HTTP client can be made.
    pub(super) fn new(admin: SocketAddr) -> anyhow::Result<Self> {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            // A proxy has no business on loopback.
            http: reqwest::Client::builder().no_proxy().build()?,
            url: format!("http://{admin}/metrics"),
            ticks,
            latest: Counts::default(),
        })
    }

    /// The counts as they were last read.
    pub(super) const fn latest(&self) -> Counts {
        self.latest
    }

    /// Returns once the counts have changed. May be dropped while it waits.
    pub(super) async fn changed(&mut self) {
        loop {
            self.ticks.tick().await;
            // A relay that does not answer has no news; whoever waits for some
            // does so under a time limit.
            if let Ok(counts) = self.read().await
                && counts != self.latest
            {
                self.latest = counts;
                return;
            }
        }
    }

    async fn read(&self) -> reqwest::Result<Counts> {
        let response = self.http.get(&self.url).send().await?;
        Ok(Counts::parse(&response.error_for_status()?.text().await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_counted_by_their_outcome() {
        let counts = Counts::parse(concat!(
            "# TYPE gladly_relay_turns counter\n",
            "gladly_relay_turns_total{account=\"demo\",outcome=\"replied\"} 3\n",
            "gladly_relay_turns_total{account=\"demo\",outcome=\"skipped\"} 1\n",
            "gladly_relay_webhooks_total{outcome=\"replied\"} 9\n",
        ));
        assert_eq!(counts, Counts([3, 0, 1, 0]));
    }
}
