//! What an operator may decide about answering and handing off.

use std::time::Duration;

use super::duration::parse_duration;
use super::reader::{Section, Setting};
use crate::id::TopicId;
use crate::text::{self, Patterns};

/// What to do with a message that has both text and attachments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attachments {
    /// Ask the bot about the text.
    Ask,
    /// Hand off: the bot can't see the attachments.
    HandOff,
}

/// The policy of one account.
#[derive(Debug, Clone)]
pub struct Policy {
    /// From the webhook's arrival to an answer; past it, a human.
    pub answer_deadline: Duration,
    /// Regular expressions by which a customer asks for a human.
    pub ask_for_human: Patterns,
    /// Regular expressions by which an answer shows that the bot knew nothing.
    pub no_answer: Patterns,
    /// Sent to the customer before a handoff.
    pub handoff_message: Option<String>,
    /// Put on the conversation at a handoff.
    pub handoff_topic_id: Option<TopicId>,
    /// Bot answers in one conversation until a human must look; 0 = no limit.
    pub max_turns: u32,
    /// Bot answers in one conversation within an hour: a brake on loops.
    pub max_replies_per_hour: u32,
    /// What to do with attachments beside text.
    pub attachments: Attachments,
    /// Look at the conversation once more right before replying.
    pub recheck_before_reply: bool,
    /// The first wait after Gladly or Gleen failed; doubled each further time.
    pub first_retry_wait: Duration,
    /// How long a reply of unknown fate may take to show in the conversation.
    /// Only after that is one that does not show sent again.
    pub settle_time: Duration,
    /// The longest question that is asked, in characters.
    pub max_question_length: usize,
    /// Tell Gleen the customer's language when it can be told with confidence.
    pub detect_language: bool,
}

impl Default for Policy {
    /// The policy of an account that configures nothing.
    fn default() -> Self {
        Self {
            answer_deadline: Duration::from_mins(1),
            ask_for_human: Patterns::built_in(text::default_human_patterns()),
            no_answer: Patterns::default(),
            handoff_message: None,
            handoff_topic_id: None,
            max_turns: 0,
            max_replies_per_hour: 30,
            attachments: Attachments::Ask,
            recheck_before_reply: true,
            first_retry_wait: Duration::from_millis(500),
            settle_time: Duration::from_secs(20),
            max_question_length: 8_000,
            detect_language: true,
        }
    }
}

pub(super) const ANSWER_DEADLINE: Setting = Setting {
    key: "answer_deadline",
    variable: Some("RELAY_ANSWER_DEADLINE"),
    write: "a duration of at least 1s, such as 60s",
};
const ASK_FOR_HUMAN: Setting = Setting {
    key: "ask_for_human",
    variable: None,
    write: "a list of regular expressions",
};
const NO_ANSWER: Setting = Setting {
    key: "no_answer",
    variable: None,
    write: "a list of regular expressions",
};
const HANDOFF_MESSAGE: Setting = Setting {
    key: "handoff_message",
    variable: None,
    write: "a text for the customer, \"\" for none",
};
const HANDOFF_TOPIC_ID: Setting = Setting {
    key: "handoff_topic_id",
    variable: None,
    write: "a topic's id as Gladly shows it",
};
const MAX_TURNS: Setting = Setting {
    key: "max_turns",
    variable: None,
    write: "a whole number, 0 for no limit",
};
const MAX_REPLIES_PER_HOUR: Setting = Setting {
    key: "max_replies_per_hour",
    variable: None,
    write: "a whole number of at least 1",
};
const ATTACHMENTS: Setting = Setting {
    key: "attachments",
    variable: None,
    write: "\"ask\" or \"handoff\"",
};
const RECHECK: Setting = Setting {
    key: "recheck_before_reply",
    variable: None,
    write: "true or false",
};
const FIRST_RETRY_WAIT: Setting = Setting {
    key: "first_retry_wait",
    variable: None,
    write: "a duration from 10ms to 1m, such as 500ms",
};
const SETTLE_TIME: Setting = Setting {
    key: "settle_time",
    variable: None,
    write: "a duration from 10ms to 10m, such as 20s",
};
const MAX_QUESTION_LENGTH: Setting = Setting {
    key: "max_question_length",
    variable: None,
    write: "a number of characters of at least 100",
};
const DETECT_LANGUAGE: Setting = Setting {
    key: "detect_language",
    variable: None,
    write: "true or false",
};

/// Reads a policy table; what it doesn't say stays as in `base`.
pub(super) fn read_policy(section: &Section<'_>, base: &Policy) -> Policy {
    let policy = Policy {
        answer_deadline: section
            .get(&ANSWER_DEADLINE, |text| {
                parse_duration(text).filter(|deadline| *deadline >= Duration::from_secs(1))
            })
            .unwrap_or(base.answer_deadline),
        ask_for_human: read_patterns(section, &ASK_FOR_HUMAN)
            .unwrap_or_else(|| base.ask_for_human.clone()),
        no_answer: read_patterns(section, &NO_ANSWER).unwrap_or_else(|| base.no_answer.clone()),
        handoff_message: section
            .get(&HANDOFF_MESSAGE, |text| Some(text.to_owned()))
            .or_else(|| base.handoff_message.clone())
            .filter(|text| !text.is_empty()),
        handoff_topic_id: section
            .get(&HANDOFF_TOPIC_ID, |text| TopicId::parse(text).ok())
            .or_else(|| base.handoff_topic_id.clone()),
        max_turns: section
            .get(&MAX_TURNS, |text| text.parse().ok())
            .unwrap_or(base.max_turns),
        max_replies_per_hour: section
            .get(&MAX_REPLIES_PER_HOUR, |text| {
                text.parse().ok().filter(|limit| *limit > 0)
            })
            .unwrap_or(base.max_replies_per_hour),
        attachments: section
            .get(&ATTACHMENTS, parse_attachments)
            .unwrap_or(base.attachments),
        recheck_before_reply: section
            .get(&RECHECK, |text| text.parse().ok())
            .unwrap_or(base.recheck_before_reply),
        first_retry_wait: section
            .get(&FIRST_RETRY_WAIT, |text| {
                let sane = Duration::from_millis(10)..=Duration::from_mins(1);
                parse_duration(text).filter(|wait| sane.contains(wait))
            })
            .unwrap_or(base.first_retry_wait),
        settle_time: section
            .get(&SETTLE_TIME, |text| {
                let sane = Duration::from_millis(10)..=Duration::from_mins(10);
                parse_duration(text).filter(|time| sane.contains(time))
            })
            .unwrap_or(base.settle_time),
        max_question_length: section
            .get(&MAX_QUESTION_LENGTH, |text| {
                text.parse().ok().filter(|length| *length >= 100)
            })
            .unwrap_or(base.max_question_length),
        detect_language: section
            .get(&DETECT_LANGUAGE, |text| text.parse().ok())
            .unwrap_or(base.detect_language),
    };
    section.finish();
    policy
}

fn parse_attachments(text: &str) -> Option<Attachments> {
    match text {
        "ask" => Some(Attachments::Ask),
        "handoff" => Some(Attachments::HandOff),
        _ => None,
    }
}

fn read_patterns(section: &Section<'_>, setting: &Setting) -> Option<Patterns> {
    let texts = section.strings(setting)?;
    for (index, text) in texts.iter().enumerate() {
        let number = index + 1;
        match Patterns::new(&[text]) {
            Err(error) => section.wrong(
                setting,
                &format!(
                    "number {number} is not a regular expression: {}; write {}",
                    reason(&error),
                    setting.write
                ),
            ),
            Ok(pattern) if finds_nothing_everywhere(&pattern) => section.wrong(
                setting,
                &format!(
                    "number {number} is found in every text, even an empty one, so a human would get everything; take out its empty part, such as after a last |"
                ),
            ),
            Ok(_) => {}
        }
    }
    Patterns::new(&texts).ok()
}

/// Not one for blank texts alone.
fn finds_nothing_everywhere(pattern: &Patterns) -> bool {
    ["", "-", "1", "\u{e9}"]
        .iter()
        .all(|text| pattern.is_match(text))
}

/// The last line of the error, which says what is wrong without quoting the pattern.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}
