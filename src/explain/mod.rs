//! Why did this customer get no answer? All that the store remembers of a
//! conversation, in order of time, in words for whoever has to tell the customer.
//! Pure: `gladly-relay explain`, the admin API and the pages show the same.

mod json;
mod sentence;
mod step;
#[cfg(test)]
mod tests;
mod text;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::clock::time_until;
use crate::conversation::Known;
use crate::id::{AccountName, ConversationId, TurnId};
use crate::store::{By, DeadLetter, Remembered, Run, StoredTurn, Unreadable};
use crate::trace::{Step, Trace, What};
pub use sentence::{why_handed_off, why_skipped};
pub use text::{duration, nothing, safe, time};

/// What is told of a conversation.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// Whose it is.
    pub account: AccountName,
    /// Its id.
    pub conversation_id: ConversationId,
    /// Who has it and whether it is open, as last told.
    pub facts: ToldFacts,
    /// Its turns, the first first.
    pub turns: Vec<ToldTurn>,
    /// All that happened, in order of time.
    pub timeline: Vec<Entry>,
    /// What there is to say in one sentence.
    pub summary: String,
}

/// What is known of a conversation itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToldFacts {
    /// `open`, `closed` or `unclear`; none if nobody told.
    pub status: Option<&'static str>,
    /// When that was told.
    pub status_at: Option<Timestamp>,
    /// The inbox, or `none` or `unreadable`; none if nobody told.
    pub inbox_id: Option<String>,
    /// The agent, likewise.
    pub agent_id: Option<String>,
    /// When that was told.
    pub holder_at: Option<Timestamp>,
    /// Bot answers since it was closed last.
    pub replies: u32,
    /// Messages that wait for a turn.
    pub waiting: usize,
    /// The conversation that a merge has left in its place.
    pub merged_into: Option<ConversationId>,
    /// Those that were merged into it.
    pub merged_from: Vec<ConversationId>,
}

/// A turn, in short.
#[derive(Debug, Clone)]
pub struct ToldTurn {
    /// Its id.
    pub id: TurnId,
    /// When its first message arrived; none if its row can't be read.
    pub received_at: Option<Timestamp>,
    /// When it had to have an answer or a human.
    pub deadline_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// How, as [`crate::outcome::Outcome::as_str`].
    pub outcome: Option<&'static str>,
    /// Why.
    pub reason: Option<String>,
    /// How many messages it has.
    pub messages: usize,
    /// Its dead letter, while that waits for a person.
    pub dead_letter: Option<i64>,
    /// What became of it, in one sentence.
    pub summary: String,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// In which turn.
    pub turn: Option<TurnId>,
    /// What, in one word: `event`, `dead_letter`, or as [`What`] names it.
    pub what: String,
    /// Its fields.
    pub fields: Map<String, Value>,
    /// In words.
    pub text: String,
    /// Whether something went wrong.
    pub is_bad: bool,
}

/// Tells all that is remembered of a conversation, as of `now`.
pub fn explain(remembered: &Remembered, now: Timestamp) -> Explanation {
    let mut timeline: Vec<Entry> = remembered
        .conversation
        .past
        .told
        .iter()
        .map(event)
        .collect();
    let mut turns = Vec::new();
    for turn in &remembered.turns {
        match turn {
            Ok(turn) => {
                let letter = letter_of(turn.id, &remembered.dead_letters);
                let told = tell_turn(turn, letter, remembered, now, &mut timeline);
                turns.push(told);
            }
            Err((id, unreadable)) => turns.push(tell_unreadable(*id, unreadable)),
        }
    }
    timeline.extend(remembered.dead_letters.iter().map(dead_letter));
    // What was told first stands first among what happened in one moment.
    timeline.sort_by_key(|entry| entry.at);
    let facts = facts(remembered);
    let summary = sentence::of_conversation(remembered, &facts, &turns, now);
    Explanation {
        account: remembered.account.clone(),
        conversation_id: remembered.conversation_id.clone(),
        facts,
        turns,
        timeline,
        summary,
    }
}

fn facts(remembered: &Remembered) -> ToldFacts {
    let conversation = &remembered.conversation;
    let known: &Known = &conversation.known;
    let holder = known.facts.holder();
    ToldFacts {
        status: known.facts.status().map(crate::trace::status_word),
        status_at: known.facts.status_told_at(),
        inbox_id: holder.map(|holder| holder.inbox_id.to_string()),
        agent_id: holder.map(|holder| holder.agent_id.to_string()),
        holder_at: known.facts.holder_told_at(),
        replies: known.replies(),
        waiting: conversation.lane.waiting.len(),
        merged_into: conversation.merged_into.clone(),
        merged_from: remembered.merged_from.clone(),
    }
}

fn letter_of(turn: TurnId, letters: &[DeadLetter]) -> Option<&DeadLetter> {
    letters.iter().find(|letter| letter.turn_id == Some(turn))
}

fn event(told: &crate::store::Told) -> Entry {
    let (what, by) = (&told.what, told.by.as_str());
    let text = match told.by {
        By::Webhook => format!("Gladly told by a webhook: {what}"),
        By::Sweep => format!("a sweep found what no webhook had brought: {what}"),
        By::Duplicate => format!("a second event about the same message, not counted: {what}"),
        By::Person => "a person retried it as a dead letter".to_owned(),
    };
    let fields = [("type", json!(what)), ("by", json!(by))];
    Entry {
        at: told.at,
        turn: None,
        what: "event".to_owned(),
        fields: map(fields),
        text,
        is_bad: false,
    }
}

fn dead_letter(letter: &DeadLetter) -> Entry {
    let id = letter.id.0;
    let fields = [("id", json!(id)), ("error", json!(letter.error))];
    Entry {
        at: letter.created_at,
        turn: letter.turn_id,
        what: "dead_letter".to_owned(),
        fields: map(fields),
        text: format!(
            "dead letter {id}, which waits for a person: {}",
            letter.error
        ),
        is_bad: true,
    }
}

fn map<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    let fields = fields.into_iter();
    fields
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn tell_turn(
    turn: &StoredTurn,
    letter: Option<&DeadLetter>,
    remembered: &Remembered,
    now: Timestamp,
    timeline: &mut Vec<Entry>,
) -> ToldTurn {
    let trace = turn.trace.as_deref().map(Trace::read).unwrap_or_default();
    let summary = sentence::of_turn(turn, &trace, letter, remembered, now);
    let (first, left_out, newest) = trace.parts();
    let tell = |step: &Step| entry(turn, step, &trace, &summary);
    timeline.extend(first.iter().map(tell));
    if let (true, Some(next)) = (left_out > 0, newest.first()) {
        timeline.push(Entry {
            at: next.at,
            turn: Some(turn.id),
            what: "left_out".to_owned(),
            fields: map([("steps", json!(left_out))]),
            text: format!("… {left_out} more steps, which are not kept"),
            is_bad: false,
        });
    }
    timeline.extend(newest.iter().map(tell));
    let is_told = trace
        .steps()
        .iter()
        .any(|step| matches!(step.what, What::Ended(_)));
    if let Some(end) = turn.end.as_ref().filter(|_| !is_told) {
        timeline.push(Entry {
            at: end.at,
            turn: Some(turn.id),
            what: "ended".to_owned(),
            fields: map([("outcome", json!(end.outcome.as_str()))]),
            text: format!("the end: {summary}"),
            is_bad: end.outcome.as_str() == "dead",
        });
    }
    let end = turn.end.as_ref();
    ToldTurn {
        id: turn.id,
        received_at: Some(turn.received_at),
        deadline_at: Some(turn.deadline_at),
        finished_at: end.map(|end| end.at),
        outcome: end.map(|end| end.outcome.as_str()),
        reason: end.and_then(|end| end.outcome.reason()).map(str::to_owned),
        messages: turn.messages.len(),
        dead_letter: letter.map(|letter| letter.id.0),
        summary,
    }
}

fn tell_unreadable(id: TurnId, unreadable: &Unreadable) -> ToldTurn {
    ToldTurn {
        id,
        received_at: None,
        deadline_at: None,
        finished_at: None,
        outcome: None,
        reason: None,
        messages: 0,
        dead_letter: None,
        summary: format!("Its stored row can't be read: {}.", unreadable.0),
    }
}

fn entry(turn: &StoredTurn, step: &Step, trace: &Trace, summary: &str) -> Entry {
    let fields = match serde_json::to_value(step) {
        Ok(Value::Object(mut fields)) => {
            fields.remove("at");
            fields
        }
        _ => Map::new(),
    };
    let (mut fields, mut what) = (fields, String::new());
    if let Some(Value::String(word)) = fields.remove("what") {
        what = word;
    }
    if let What::Waits { until, .. } = &step.what {
        fields.insert("until".to_owned(), json!(until.to_string()));
    }
    let is_last = trace.steps().last() == Some(step);
    let (text, is_bad) = match &step.what {
        What::Ended(ended) if is_last => (format!("the end: {summary}"), ended.outcome == "dead"),
        // A dead turn goes on once a person has retried it.
        What::Ended(ended) => {
            let error = ended.reason.as_deref().unwrap_or_default();
            (format!("it was given up: {error}"), true)
        }
        _ => step::tell(step, turn, trace, is_last && turn.end.is_none()),
    };
    Entry {
        at: step.at,
        turn: Some(turn.id),
        what,
        fields,
        text,
        is_bad,
    }
}

/// Until when nobody runs a turn, if it was put off.
fn put_off_until(remembered: &Remembered, turn: TurnId) -> Option<Timestamp> {
    let turns = &remembered.conversation.lane.turns;
    turns
        .iter()
        .find(|other| other.id == turn)
        .and_then(|turn| match turn.run {
            Run::Until(until) => Some(until),
            Run::By(_) => None,
        })
}

/// How long a turn took until it ended.
fn took(turn: &StoredTurn) -> std::time::Duration {
    let ended_at = turn.end.as_ref().map_or(turn.received_at, |end| end.at);
    time_until(ended_at, turn.received_at)
}
