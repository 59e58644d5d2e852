//! One step of a turn, in words.

use super::sentence::why_handed_off;
use super::text::{duration, time};
use crate::store::StoredTurn;
use crate::trace::{Call, Came, Found, Part, Purpose, Reply, Step, Trace, What};
use std::time::Duration;

/// Waits that are shorter are nobody's business.
const WORTH_TELLING: u64 = 100;

/// In words, and whether something went wrong. `is_last` is set if nothing came
/// after it so far.
pub(super) fn tell(step: &Step, turn: &StoredTurn, trace: &Trace, is_last: bool) -> (String, bool) {
    let (text, is_bad) = told(step, turn, trace, is_last);
    (format!("{text}{}", times(step)), is_bad)
}

fn times(step: &Step) -> String {
    let queued = step.queued_ms.filter(|ms| *ms >= WORTH_TELLING);
    let queued = queued.map(|ms| format!("after a wait of {}", millis(ms)));
    let took = step.ms.map(millis);
    let times: Vec<String> = took.into_iter().chain(queued).collect();
    if times.is_empty() {
        String::new()
    } else {
        format!(" ({})", times.join(", "))
    }
}

fn millis(ms: u64) -> String {
    duration(Duration::from_millis(ms))
}

fn told(step: &Step, turn: &StoredTurn, trace: &Trace, is_last: bool) -> (String, bool) {
    let fine = |text: String| (text, false);
    match &step.what {
        What::Claimed => fine(claimed(step, turn, trace)),
        What::Looked {
            inbox_id,
            agent_id,
            status,
        } => fine(format!(
            "looked: {status}, inbox {inbox_id}, agent {agent_id}"
        )),
        What::Fetched {
            kind,
            characters,
            attachments,
        } => fine(fetched(kind, *characters, *attachments)),
        What::Listed {
            purpose,
            items,
            found,
        } => fine(listed(*purpose, *items, *found)),
        What::LookedElsewhere => {
            fine("looked at another conversation, which a message seemed to be of".to_owned())
        }
        What::Asked {
            attempt,
            thread_id,
            answer,
        } => asked(*attempt, thread_id.as_deref(), answer.as_ref(), is_last),
        What::Wrote {
            part,
            attempt,
            came,
        } => wrote(*part, *attempt, came.as_ref(), is_last),
        What::Failed { call, error } => (failed(*call, error), true),
        What::TooLate => (
            "more calls to Gladly wait than fit before the deadline: it goes to a human in time"
                .to_owned(),
            true,
        ),
        What::DeadlinePassed => ("the deadline passed".to_owned(), true),
        What::Merged { into } => fine(format!("Gladly says that it was merged into {into}")),
        What::Decided(decision) => fine(format!(
            "a human is needed: {}",
            why_handed_off(decision.reason, trace)
        )),
        What::Waits { until, why } => (format!("waits until {}: {why}", time(*until)), true),
        // Told by whoever knows how it ended.
        What::Ended(_) => fine("the end".to_owned()),
    }
}

fn claimed(step: &Step, turn: &StoredTurn, trace: &Trace) -> String {
    let is_first = trace.steps().first() == Some(step);
    match (is_first, turn.messages.len()) {
        (false, _) => "taken up again".to_owned(),
        (true, 0) => "taken up: it came to the bot".to_owned(),
        (true, 1) => "taken up: one message".to_owned(),
        (true, more) => format!("taken up: {more} messages"),
    }
}

fn fetched(kind: &str, characters: usize, attachments: usize) -> String {
    let kind = if kind.is_empty() { "no kind" } else { kind };
    let files = match attachments {
        0 => String::new(),
        1 => ", one file attached".to_owned(),
        more => format!(", {more} files attached"),
    };
    format!("read the message: {kind}, {characters} characters{files}")
}

fn listed(purpose: Purpose, items: usize, found: Option<Found>) -> String {
    let what = match (purpose, found) {
        (Purpose::Read, _) => "listed the conversation to read the messages",
        (Purpose::Arrival, _) => "listed the conversation to find what waits in it",
        (Purpose::Search, Some(Found::There)) => "looked whether what was sent is there: it is",
        (Purpose::Search, Some(Found::NotThere)) => {
            "looked whether what was sent is there: it is not"
        }
        (Purpose::Search, _) => "looked whether what was sent is there: nobody can tell",
    };
    format!("{what}; {items} items")
}

fn asked(
    attempt: u32,
    thread_id: Option<&str>,
    answer: Option<&Reply>,
    is_last: bool,
) -> (String, bool) {
    let again = if attempt > 1 {
        format!(" once more (try {attempt})")
    } else {
        String::new()
    };
    let thread = thread_id.map_or("on a new thread".to_owned(), |id| format!("on thread {id}"));
    let (came, is_bad) = match answer {
        Some(Reply::Answered {
            wants_human: true, ..
        }) => ("it asked for a human itself".to_owned(), false),
        Some(Reply::Answered {
            characters, parts, ..
        }) => {
            let parts = match parts {
                0 => "not to be sent".to_owned(),
                1 => "in one message".to_owned(),
                more => format!("in {more} messages"),
            };
            (
                format!("it answered {characters} characters, {parts}"),
                false,
            )
        }
        Some(Reply::Failed { error }) => (error.clone(), true),
        Some(Reply::TooLate) => ("no answer by the deadline".to_owned(), true),
        Some(Reply::NotMade) => (
            "not asked after all, for the conversation had changed hands".to_owned(),
            false,
        ),
        None if is_last => ("no answer yet".to_owned(), false),
        None => ("the relay stopped before the answer came".to_owned(), true),
    };
    (format!("asked the bot{again} {thread}: {came}"), is_bad)
}

fn wrote(part: Part, attempt: u32, came: Option<&Came>, is_last: bool) -> (String, bool) {
    let (done, what) = match part {
        Part::Reply => ("sent the answer", "the answer"),
        Part::Message => (
            "told the customer of the handover",
            "the message to the customer",
        ),
        Part::Note => ("wrote the note for the agent", "the note for the agent"),
        Part::Topic => ("added the topic", "the topic"),
        Part::Move => (
            "moved it to the humans' inbox",
            "the move to the humans' inbox",
        ),
    };
    let again = if attempt > 1 {
        format!(", try {attempt}")
    } else {
        String::new()
    };
    match came {
        Some(Came::Done) => (format!("{done}{again}"), false),
        Some(Came::Failed { error }) => (format!("{what} failed{again}: {error}"), true),
        Some(Came::NotMade) => (
            format!("{what} was held back: what is known of the conversation did not allow it"),
            false,
        ),
        None if is_last => (format!("{what} is on its way{again}"), false),
        None => (
            format!("{what} was on its way{again} when the relay stopped"),
            true,
        ),
    }
}

fn failed(call: Call, error: &str) -> String {
    let what = match call {
        Call::Look => "looking who has it failed",
        Call::Fetch => "reading the message failed",
        Call::List => "listing the conversation failed",
        Call::LookElsewhere => "looking at another conversation failed",
        Call::Permit => "no call could be made",
    };
    format!("{what}: {error}")
}
