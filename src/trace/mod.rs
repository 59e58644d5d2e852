//! What happened in a turn, and when: small steps, kept with the turn for whoever
//! asks why it ended as it did. Pure.
//!
//! It holds ids, numbers and the relay's own words, never a customer's, an agent's
//! or the bot's, and no secret. It is bounded: of a turn that fails for hours the
//! first steps and the newest are kept, and how many lay between.

mod stored;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::conversation::{Holder, Status};
use crate::id::ConversationId;
use crate::outcome::{HandoffReason, Outcome};

/// The first steps that are kept.
const FIRST: usize = 30;
/// The most steps that are kept.
const MOST: usize = 100;
/// The longest text of an error or a cause, in characters.
const LONGEST_TEXT: usize = 200;
/// The longest id of somebody else's making, in characters.
const LONGEST_ID: usize = 64;

/// The steps of one turn, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    steps: Vec<Step>,
    /// Steps that are left out after the first [`FIRST`].
    left_out: u32,
}

/// One step. Written as JSON, with names, it is for those who read the timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// When it was; of a call, when it was begun.
    #[serde(with = "jiff::fmt::serde::timestamp::millisecond::required")]
    pub at: Timestamp,
    /// How long the call took, in milliseconds; none if it made none, or if nobody
    /// heard of its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
    /// How long the call waited for its turn before, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queued_ms: Option<u64>,
    /// What it was.
    #[serde(flatten)]
    pub what: What,
}

/// What a step was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// The turn was taken up: at its beginning, after a wait, or after a crash.
    Claimed,
    /// The relay looked who holds the conversation.
    Looked {
        /// The inbox, or `none` or `unreadable`.
        inbox_id: String,
        /// The agent, or `none` or `unreadable`.
        agent_id: String,
        /// `open`, `closed` or `unclear`.
        status: String,
    },
    /// A message was fetched.
    Fetched {
        /// Gladly's type of its content.
        kind: String,
        /// How long its text is, in characters.
        characters: usize,
        /// How many files are attached.
        attachments: usize,
    },
    /// The conversation's items were listed.
    Listed {
        /// What for.
        purpose: Purpose,
        /// How many there were.
        items: usize,
        /// Of a search: whether the part was there.
        #[serde(skip_serializing_if = "Option::is_none")]
        found: Option<Found>,
    },
    /// Another conversation was looked at, which an item seemed to be of.
    LookedElsewhere,
    /// The bot was asked.
    Asked {
        /// The how manieth time.
        attempt: u32,
        /// The thread it was asked on; none if it began one.
        #[serde(skip_serializing_if = "Option::is_none")]
        thread_id: Option<String>,
        /// What came of it; none if nobody heard.
        #[serde(skip_serializing_if = "Option::is_none")]
        answer: Option<Reply>,
    },
    /// Something was written into Gladly.
    Wrote {
        /// What.
        part: Part,
        /// The how manieth time.
        attempt: u32,
        /// What came of it; none if nobody heard.
        #[serde(skip_serializing_if = "Option::is_none")]
        came: Option<Came>,
    },
    /// A call that reads failed.
    Failed {
        /// Which.
        call: Call,
        /// How.
        error: String,
    },
    /// Too many calls went first for an answer in time.
    TooLate,
    /// The deadline passed meanwhile.
    DeadlinePassed,
    /// The conversation had been merged into this one.
    Merged {
        /// The one that is left.
        into: ConversationId,
    },
    /// A human was needed.
    Decided(Decision),
    /// The turn let go for a while.
    Waits {
        /// Until then.
        #[serde(with = "jiff::fmt::serde::timestamp::millisecond::required")]
        until: Timestamp,
        /// What for.
        why: String,
    },
    /// It ended.
    Ended(Ended),
}

/// Why a human was needed, and by which facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Why.
    pub reason: HandoffReason,
    /// What else the relay said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How many messages the customer had written.
    pub messages: usize,
    /// How many files were attached to them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attachments: usize,
    /// How often the same text had come in a row.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub same_text: u32,
    /// How often the bot had answered in the conversation since it was closed last.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub replies: u32,
    /// How often in the last hour.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub replies_last_hour: u32,
}

fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

/// How a turn ended, and who had the conversation then, as far as it was known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ended {
    /// [`Outcome::as_str`].
    pub outcome: String,
    /// [`Outcome::reason`], or the error of a dead letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The inbox, or `none` or `unreadable`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inbox_id: Option<String>,
    /// The agent, or `none` or `unreadable`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
}

impl Ended {
    /// So, while this was known of who had it.
    pub fn new(outcome: &Outcome, holder: Option<&Holder>) -> Self {
        Self {
            outcome: outcome.as_str().to_owned(),
            reason: outcome.reason().map(bounded),
            inbox_id: holder.map(|holder| holder.inbox_id.to_string()),
            agent_id: holder.map(|holder| holder.agent_id.to_string()),
        }
    }
}

/// What a listing was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To read several messages at once.
    Read,
    /// To find what waits in a conversation that came to the bot.
    Arrival,
    /// To see whether something that was written is there.
    Search,
}

/// What a search showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// It is there.
    There,
    /// It is not there.
    NotThere,
    /// Nobody can tell.
    Unclear,
}

/// A call that only reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// Who holds the conversation.
    Look,
    /// One message.
    Fetch,
    /// All items.
    List,
    /// Another conversation.
    LookElsewhere,
    /// None: it was not made.
    Permit,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A part of the bot's answer.
    Reply,
    /// The operator's message before a handoff.
    Message,
    /// The note for the agent.
    Note,
    /// The topic that marks a handoff.
    Topic,
    /// The move to the human inbox.
    Move,
}

/// What came of asking the bot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It answered.
    Answered {
        /// With so many characters.
        characters: usize,
        /// Written as so many messages.
        parts: usize,
        /// It asked for a human itself.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        wants_human: bool,
    },
    /// It failed.
    Failed {
        /// How.
        error: String,
    },
    /// The deadline passed first.
    TooLate,
    /// It was not asked after all: somebody had taken the conversation.
    NotMade,
}

/// What came of writing something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Came {
    /// It is in Gladly.
    Done,
    /// The call failed.
    Failed {
        /// How.
        error: String,
    },
    /// It was not made after all: what is known did not allow it.
    NotMade,
}

impl Trace {
    /// The first steps, how many are left out after them, and the newest.
    pub fn parts(&self) -> (&[Step], u32, &[Step]) {
        let first = self.steps.len().min(FIRST);
        let (first, newest) = self.steps.split_at(first);
        (first, self.left_out, newest)
    }

    /// All steps that are kept, oldest first.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Adds a step that made no call, or whose end nobody has heard of yet.
    pub fn push(&mut self, at: Timestamp, what: What) {
        self.push_step(Step {
            at,
            ms: None,
            queued_ms: None,
            what,
        });
    }

    /// Adds a step.
    pub fn push_step(&mut self, step: Step) {
        if self.steps.len() >= MOST {
            self.steps.remove(FIRST);
            self.left_out = self.left_out.saturating_add(1);
        }
        self.steps.push(step);
    }

    /// The last question, if nobody has heard of its end.
    pub fn open_question(&mut self) -> Option<&mut Step> {
        let open = |what: &What| matches!(what, What::Asked { answer: None, .. });
        self.last_mut(open)
    }

    /// The last write, if nobody has heard of its end.
    pub fn open_write(&mut self) -> Option<&mut Step> {
        let open = |what: &What| matches!(what, What::Wrote { came: None, .. });
        self.last_mut(open)
    }

    /// The last listing.
    pub fn last_listing(&mut self) -> Option<&mut Step> {
        let listing = |what: &What| matches!(what, What::Listed { .. });
        self.last_mut(listing)
    }

    /// The last answer.
    pub fn last_answer(&mut self) -> Option<&mut Step> {
        let answered = |what: &What| {
            matches!(
                what,
                What::Asked {
                    answer: Some(Reply::Answered { .. }),
                    ..
                }
            )
        };
        self.last_mut(answered)
    }

    fn last_mut(&mut self, is_it: impl Fn(&What) -> bool) -> Option<&mut Step> {
        self.steps.iter_mut().rev().find(|step| is_it(&step.what))
    }
}

/// An error or a cause, cut to what is worth keeping.
pub fn bounded(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}

/// Somebody else's id or word, cut to what is worth keeping, and without what does
/// strange things to a terminal.
pub fn tame(text: &str) -> String {
    let visible = text.chars().filter(|c| !c.is_control());
    visible.take(LONGEST_ID).collect()
}

/// The word for a status.
pub const fn status_word(status: Status) -> &'static str {
    match status {
        Status::Open => "open",
        Status::Closed => "closed",
        Status::Unclear => "unclear",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn waits(second: i64) -> What {
        What::Waits {
            until: at(second),
            why: "get_item: status 503".to_owned(),
        }
    }

    #[test]
    fn the_first_and_the_newest_steps_are_kept() {
        let mut trace = Trace::default();
        for second in 0..1_000 {
            trace.push(at(second), waits(second));
        }
        let (first, left_out, newest) = trace.parts();
        assert_eq!((first.len(), left_out, newest.len()), (30, 900, 70));
        assert_eq!((first[29].at, newest[0].at), (at(29), at(930)));
        assert_eq!(newest[69].at, at(999));
        assert!(trace.to_store().len() < 20_000);
    }

    #[test]
    fn what_others_say_is_cut_and_shows_on_one_line() {
        assert_eq!(tame("a\u{1b}[31m\nb"), "a[31mb");
        assert_eq!(tame(&"x".repeat(500)).len(), 64);
        assert_eq!(bounded(&"ä".repeat(500)).chars().count(), 200);
    }
}
