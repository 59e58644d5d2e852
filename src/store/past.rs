//! What the store remembers of a conversation beside what is known of it: the
//! events that told of it, its turns, and how far it is counted. Pure.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::totals::{
    CONTAINED, FIRST_ANSWER, FIRST_MESSAGE, FIRST_QUESTION, REOPENED, REOPENED_WITHIN, Tally, Total,
};
use super::types::Source;
use crate::id::{AccountName, TurnId};
use crate::outcome::{Outcome, SkipReason};

/// The events of a conversation that are remembered: the newest.
const MOST_TOLD: usize = 20;
/// The turns of a conversation that are found through it: the newest.
const MOST_TURNS: usize = 100;

/// What happened in a conversation before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Past {
    /// The newest events, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<Told>,
    /// The newest turns that began in it, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<TurnId>,
    /// How far it is counted since it was opened last.
    #[serde(skip_serializing_if = "Episode::is_new")]
    pub episode: Episode,
}

/// An event that told of a conversation. Stored as `[at, what, by]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(i64, String, By)", into = "(i64, String, By)")]
pub struct Told {
    /// When the relay heard of it.
    pub at: Timestamp,
    /// Its type, as Gladly names it.
    pub what: String,
    /// What brought it.
    pub by: By,
}

impl From<(i64, String, By)> for Told {
    fn from((at, what, by): (i64, String, By)) -> Self {
        let at = Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH);
        Self { at, what, by }
    }
}

impl From<Told> for (i64, String, By) {
    fn from(told: Told) -> Self {
        (told.at.as_millisecond(), told.what, told.by)
    }
}

/// What brought an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// A webhook.
    #[serde(rename = "w")]
    Webhook,
    /// A sweep.
    #[serde(rename = "s")]
    Sweep,
    /// A webhook or a sweep, of a message that was known by another event.
    #[serde(rename = "d")]
    Duplicate,
    /// A person, who retried a dead letter.
    #[serde(rename = "p")]
    Person,
}

impl By {
    /// The word for people and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Sweep => "sweep",
            Self::Duplicate => "duplicate",
            Self::Person => "person",
        }
    }
}

impl From<Source> for By {
    fn from(source: Source) -> Self {
        match source {
            Source::Webhook => Self::Webhook,
            Source::Sweep { .. } => Self::Sweep,
        }
    }
}

/// How far a conversation is counted, from its opening to its closing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Episode {
    /// [`FIRST_MESSAGE`] and so on.
    #[serde(skip_serializing_if = "is_zero")]
    counted: u8,
    /// A human had it since the bot was first asked.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    humans: bool,
    /// When the episode before was closed, if that counts as contained.
    #[serde(
        skip_serializing_if = "Option::is_none",
        with = "jiff::fmt::serde::timestamp::millisecond::optional"
    )]
    contained_at: Option<Timestamp>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(number: &u8) -> bool {
    *number == 0
}

impl Past {
    /// Remembers an event.
    pub(super) fn hear(&mut self, at: Timestamp, what: &str, by: By) {
        keep_newest(&mut self.told, MOST_TOLD - 1);
        let what = what.to_owned();
        self.told.push(Told { at, what, by });
    }

    /// Remembers a turn.
    pub(super) fn begin(&mut self, turn: TurnId) {
        keep_newest(&mut self.turns, MOST_TURNS - 1);
        self.turns.push(turn);
    }

    /// Forgets a turn that was none.
    pub(super) fn forget(&mut self, turn: TurnId) {
        self.turns.retain(|other| *other != turn);
    }

    /// The events of a conversation that was merged into this one; its turns are
    /// found through it.
    pub(super) fn merge(&mut self, gone: &mut Self) {
        self.told.extend(gone.told.iter().cloned());
        self.told.sort_by_key(|told| told.at);
        keep_newest(&mut self.told, MOST_TOLD);
        let gone = std::mem::take(&mut gone.episode);
        self.episode.counted |= gone.counted;
        self.episode.humans |= gone.humans;
        self.episode.contained_at = self.episode.contained_at.max(gone.contained_at);
    }
}

fn keep_newest<T>(list: &mut Vec<T>, most: usize) {
    let forgotten = list.len().saturating_sub(most);
    list.drain(..forgotten);
}

impl Episode {
    fn is_new(&self) -> bool {
        *self == Self::default()
    }

    const fn was_asked(self) -> bool {
        self.counted & FIRST_QUESTION != 0
    }

    /// A turn has ended: what it was the first of.
    pub(super) fn end(&mut self, outcome: &Outcome, tally: Tally) -> u8 {
        let answered = matches!(outcome, Outcome::Replied);
        let the_bots = tally.asked || !matches!(outcome, Outcome::Skipped(_));
        let is = [
            (FIRST_MESSAGE, the_bots),
            (FIRST_QUESTION, tally.asked || answered),
            (FIRST_ANSWER, answered),
        ];
        let is = is.into_iter().filter(|(_, is)| *is);
        let is = is.fold(0, |bits, (bit, _)| bits | bit);
        let firsts = is & !self.counted;
        self.counted |= is;
        self.humans |= match outcome {
            Outcome::HandedOff(_) => true,
            Outcome::Skipped(reason) => match reason {
                SkipReason::HumanAssigned | SkipReason::AlreadyAnswered => true,
                SkipReason::NotAiInbox | SkipReason::HandedOff => self.was_asked(),
                SkipReason::NotCustomer | SkipReason::Closed => false,
            },
            Outcome::Replied | Outcome::Dead(_) => false,
        };
        firsts
    }

    /// Somebody else than the bot has it.
    pub(super) fn taken(&mut self) {
        self.humans |= self.was_asked();
    }

    /// It was closed: one more that the bot has contained, or not.
    pub(super) fn close(&mut self, account: &AccountName, now: Timestamp) -> Option<Total> {
        let contained = self.counted & FIRST_ANSWER != 0 && !self.humans;
        let contained_at = if contained {
            Some(now)
        } else {
            // Closed once more: the closing that was counted still stands.
            self.contained_at
        };
        *self = Self {
            contained_at,
            ..Self::default()
        };
        contained.then(|| Total::one(account, CONTAINED, now))
    }

    /// It goes on: one that was contained may not have been solved.
    pub(super) fn go_on(&mut self, account: &AccountName, now: Timestamp) -> Option<Total> {
        let closed_at = self.contained_at.take()?;
        let after = Duration::try_from(now.duration_since(closed_at)).unwrap_or_default();
        (after < REOPENED_WITHIN).then(|| Total::one(account, REOPENED, closed_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::HandoffReason;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn acme() -> AccountName {
        AccountName::new("acme")
    }

    const ASKED: Tally = Tally {
        messages: 1,
        asked: true,
        calls: 3,
        per_second: 10,
    };

    fn word(total: Option<Total>) -> Option<(String, i64)> {
        total.map(|total| (total.key.what, total.key.hour))
    }

    #[test]
    fn each_first_is_counted_once_an_episode() {
        let mut episode = Episode::default();
        let firsts = episode.end(&Outcome::Replied, ASKED);
        assert_eq!(firsts, FIRST_MESSAGE | FIRST_QUESTION | FIRST_ANSWER);
        assert_eq!(episode.end(&Outcome::Replied, ASKED), 0);
        let closed = episode.close(&acme(), at(3_600));
        assert_eq!(word(closed), Some(("contained".to_owned(), 1)));
        assert_eq!(word(episode.close(&acme(), at(3_601))), None, "once");
        let reopened = episode.go_on(&acme(), at(9_999));
        assert_eq!(word(reopened), Some(("reopened".to_owned(), 1)));
        assert_eq!(word(episode.go_on(&acme(), at(9_999))), None, "once");
        assert_ne!(episode.end(&Outcome::Replied, ASKED), 0, "a new episode");
    }

    #[test]
    fn what_a_human_had_is_not_contained() {
        let handed_off = Outcome::HandedOff(HandoffReason::Deadline);
        let taken = Outcome::Skipped(SkipReason::HumanAssigned);
        for outcome in [handed_off, taken] {
            let mut episode = Episode::default();
            episode.end(&Outcome::Replied, ASKED);
            episode.end(&outcome, Tally::default());
            assert_eq!(word(episode.close(&acme(), at(1))), None, "{outcome:?}");
        }
        let mut episode = Episode::default();
        episode.end(&Outcome::Replied, ASKED);
        episode.taken();
        assert_eq!(word(episode.close(&acme(), at(1))), None);
        let mut episode = Episode::default();
        episode.taken();
        episode.end(&Outcome::Skipped(SkipReason::NotAiInbox), Tally::default());
        episode.end(&Outcome::Replied, ASKED);
        assert!(episode.close(&acme(), at(1)).is_some(), "routed to the bot");
    }

    #[test]
    fn what_the_bot_never_had_is_in_no_denominator() {
        for reason in SkipReason::ALL {
            let mut episode = Episode::default();
            let skipped = Outcome::Skipped(*reason);
            assert_eq!(episode.end(&skipped, Tally::default()), 0, "{reason}");
        }
    }

    #[test]
    fn what_goes_on_after_a_week_was_solved() {
        let mut episode = Episode::default();
        episode.end(&Outcome::Replied, ASKED);
        episode.close(&acme(), at(0));
        assert_eq!(word(episode.go_on(&acme(), at(7 * 24 * 3_600))), None);
    }

    #[test]
    fn the_newest_are_remembered() {
        let mut past = Past::default();
        for number in 0..1_000 {
            past.hear(at(number), "MESSAGE/RECEIVED", By::Webhook);
            past.begin(TurnId(number));
        }
        assert_eq!((past.told.len(), past.turns.len()), (20, 100));
        assert_eq!(past.told[19].at, at(999));
        let json = serde_json::to_string(&past).unwrap();
        assert!(json.len() < 2_000, "{json}");
        assert_eq!(serde_json::from_str::<Past>(&json).unwrap(), past);
        assert_eq!(serde_json::to_string(&Past::default()).unwrap(), "{}");
    }
}
