//! What became of a turn, or of a conversation, in one plain sentence.

use jiff::Timestamp;

use super::text::{duration, time};
use super::{ToldFacts, ToldTurn, put_off_until, took};
use crate::clock::time_until;
use crate::outcome::{HandoffReason, Outcome, SkipReason};
use crate::store::{DeadLetter, Remembered, StoredTurn};
use crate::trace::{Came, Decision, Ended, Part, Reply, Trace, What};

/// What there is to say of a conversation: of what waits, else of its last turn.
pub(super) fn of_conversation(
    remembered: &Remembered,
    facts: &ToldFacts,
    turns: &[ToldTurn],
    now: Timestamp,
) -> String {
    if let Some(into) = &facts.merged_into {
        let before = turns
            .last()
            .map(|turn| format!(" Before: {}", turn.summary));
        let before = before.unwrap_or_default();
        return format!("It was merged into {into}: what came since stands there.{before}");
    }
    let lane = &remembered.conversation.lane;
    if let Some(turn) = turns.iter().rev().find(|turn| turn.outcome.is_none()) {
        return match facts.waiting {
            0 => turn.summary.clone(),
            waiting => format!("{} {} behind it.", turn.summary, wait(waiting)),
        };
    }
    if let Some(message) = lane.waiting.first() {
        let waited = duration(time_until(now, message.received_at));
        let waiting = wait(lane.waiting.len());
        return format!(
            "{waiting} for the relay to take it up, for {waited} by now; see that the relay runs."
        );
    }
    if lane.arrival.is_some() {
        return "It came to the bot, and waits for the relay to look what is in it.".to_owned();
    }
    let last = turns.last().map(|turn| turn.summary.clone());
    last.unwrap_or_else(|| match remembered.dead_letters.last() {
        Some(letter) => format!("A dead letter is about it: {}.", letter.error),
        None => "Gladly told of it, but of no message of a customer that was new: there was nothing to do."
            .to_owned(),
    })
}

fn wait(messages: usize) -> String {
    match messages {
        1 => "A message waits".to_owned(),
        more => format!("{more} messages wait"),
    }
}

/// What became of a turn.
pub(super) fn of_turn(
    turn: &StoredTurn,
    trace: &Trace,
    letter: Option<&DeadLetter>,
    remembered: &Remembered,
    now: Timestamp,
) -> String {
    let Some(end) = &turn.end else {
        return unfinished(turn, trace, remembered, now);
    };
    let after = duration(took(turn));
    match &end.outcome {
        Outcome::Replied => format!("Answered by the bot {after} after the message came."),
        Outcome::HandedOff(reason) => format!(
            "Handed to the humans {after} after the message came: {}.",
            why_handed_off(*reason, trace)
        ),
        Outcome::Skipped(reason) => why_skipped(*reason, trace),
        Outcome::Dead(error) => given_up(error, letter),
    }
}

fn given_up(error: &str, letter: Option<&DeadLetter>) -> String {
    match letter {
        Some(letter) => format!(
            "Given up: {error}. It waits for a person as dead letter {id}: `gladly-relay dead show {id}` says what to do.",
            id = letter.id.0
        ),
        None => format!("Given up: {error}. A person has retried or dropped it since."),
    }
}

fn unfinished(turn: &StoredTurn, trace: &Trace, remembered: &Remembered, now: Timestamp) -> String {
    let deadline = match time_until(turn.deadline_at, now) {
        left if left.is_zero() => "its deadline has passed".to_owned(),
        left => format!("its deadline is in {}", duration(left)),
    };
    let cause = trace
        .steps()
        .iter()
        .rev()
        .find_map(|step| match &step.what {
            What::Waits { why, .. } => Some(why.as_str()),
            _ => None,
        });
    match (put_off_until(remembered, turn.id), cause) {
        (Some(until), Some(why)) if until > now => {
            format!(
                "It waits until {}, because of this: {why}; {deadline}.",
                time(until)
            )
        }
        (Some(_), Some(why)) => format!(
            "It is due and waits for the relay to go on, after this: {why}; {deadline}. See that the relay runs."
        ),
        (Some(_), None) => format!(
            "It is due and waits for the relay to go on; {deadline}. See that the relay runs."
        ),
        (None, Some(why)) => {
            format!("It is being worked on again, after this: {why}; {deadline}.")
        }
        (None, None) => format!("It is being worked on; {deadline}."),
    }
}

/// Why a human was needed, as the end of a sentence.
pub fn why_handed_off(reason: HandoffReason, trace: &Trace) -> String {
    let decision = trace
        .steps()
        .iter()
        .rev()
        .find_map(|step| match &step.what {
            What::Decided(decision) => Some(decision),
            _ => None,
        });
    let why = plain(reason, trace, decision);
    match decision.and_then(|decision| decision.detail.as_deref()) {
        // It ends the sentence.
        Some(detail) => format!("{why}. {}", detail.trim_end_matches('.')),
        None => why,
    }
}

fn plain(reason: HandoffReason, trace: &Trace, decision: Option<&Decision>) -> String {
    let facts = |text: &dyn Fn(&Decision) -> String| decision.map(text).unwrap_or_default();
    match reason {
        HandoffReason::BotError => match bot_error(trace) {
            Some(error) => format!("the bot failed ({error})"),
            None => "the bot failed, or nobody could tell whether it had been asked".to_owned(),
        },
        HandoffReason::BotTimeout => "the bot did not answer in time".to_owned(),
        HandoffReason::BotNoAnswer => "the bot had no answer".to_owned(),
        HandoffReason::BotRequested => "the bot itself asked for a human".to_owned(),
        HandoffReason::BreakerOpen => {
            "the bot had failed too often just before, so it was not asked".to_owned()
        }
        HandoffReason::CustomerRequested => "the customer asked for a human".to_owned(),
        HandoffReason::UnsupportedContent => {
            let attached = facts(&|decision| match decision.attachments {
                0 => String::new(),
                1 => " (a file is attached)".to_owned(),
                more => format!(" ({more} files are attached)"),
            });
            format!("the message holds nothing that the bot can read{attached}")
        }
        HandoffReason::AutomatedEmail => "a machine wrote the mail, not a person".to_owned(),
        HandoffReason::ReplyRejected => "the bot's answer could not be delivered".to_owned(),
        HandoffReason::TurnLimit => {
            let often = facts(&|decision| format!(" ({} times)", decision.replies));
            format!("the bot had answered in it as often as it may{often}")
        }
        HandoffReason::LoopSuspected => {
            let often = facts(&|decision| {
                format!(
                    " (the same text {} times running, {} bot answers within the hour)",
                    decision.same_text, decision.replies_last_hour
                )
            });
            format!("it looked like two machines talking{often}")
        }
        HandoffReason::Deadline => {
            let cause = held_up_by(trace).map(|why| format!(" (held up by this: {why})"));
            let cause = cause.unwrap_or_default();
            format!("there was no answer by the deadline{cause}")
        }
    }
}

fn bot_error(trace: &Trace) -> Option<&str> {
    trace
        .steps()
        .iter()
        .rev()
        .find_map(|step| match &step.what {
            What::Asked {
                answer: Some(Reply::Failed { error }),
                ..
            } => Some(error.as_str()),
            _ => None,
        })
}

/// What the turn waited for before its deadline passed.
fn held_up_by(trace: &Trace) -> Option<&str> {
    let steps = trace.steps();
    let decided = steps
        .iter()
        .position(|step| matches!(step.what, What::Decided(_)));
    let before = &steps[..decided.unwrap_or(steps.len())];
    before.iter().rev().find_map(|step| match &step.what {
        What::Waits { why, .. } => Some(why.as_str()),
        What::Failed { error, .. } => Some(error.as_str()),
        _ => None,
    })
}

/// Why a turn was left alone.
pub fn why_skipped(reason: SkipReason, trace: &Trace) -> String {
    let holder = holder(trace);
    let was_answered = was_answered(trace);
    let has_sent = has_sent(trace);
    let dropped = match (was_answered, has_sent) {
        (true, true) => "The rest of the bot's answer was dropped",
        (true, false) => "The bot's answer was dropped",
        (false, _) => "Left alone",
    };
    let while_thinking = if was_answered { " by then" } else { "" };
    match reason {
        SkipReason::NotCustomer => {
            "Left alone: nothing in it was written by a customer.".to_owned()
        }
        SkipReason::NotAiInbox if was_answered => {
            format!("{dropped}: another inbox had it by then{holder}.")
        }
        SkipReason::NotAiInbox => {
            format!("{dropped}: another inbox held it{holder} when the message came.")
        }
        SkipReason::HumanAssigned if was_answered => {
            format!("{dropped}: an agent had taken it by then{holder}.")
        }
        SkipReason::HumanAssigned => {
            format!("{dropped}: an agent held it{holder} when the message came.")
        }
        SkipReason::Closed => format!("{dropped}: the conversation was closed{while_thinking}."),
        SkipReason::HandedOff => {
            format!("{dropped}: the relay had given it to the humans already{holder}.")
        }
        SkipReason::AlreadyAnswered => {
            "Left alone: somebody had answered it before the relay got to it.".to_owned()
        }
    }
}

/// Who had it at the end of the turn.
fn holder(trace: &Trace) -> String {
    let holder = trace
        .steps()
        .iter()
        .rev()
        .find_map(|step| match &step.what {
            What::Ended(Ended {
                inbox_id: Some(inbox_id),
                agent_id: Some(agent_id),
                ..
            }) => Some(format!(" (inbox {inbox_id}, agent {agent_id})")),
            _ => None,
        });
    holder.unwrap_or_default()
}

fn was_answered(trace: &Trace) -> bool {
    trace.steps().iter().any(|step| {
        matches!(
            step.what,
            What::Asked {
                answer: Some(Reply::Answered { .. }),
                ..
            }
        )
    })
}

fn has_sent(trace: &Trace) -> bool {
    trace.steps().iter().any(|step| {
        matches!(
            step.what,
            What::Wrote {
                part: Part::Reply,
                came: Some(Came::Done),
                ..
            }
        )
    })
}
