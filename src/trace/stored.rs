//! A trace as the store keeps it: short, for it is written with each step of the turn
//! that must last, and read by hardly anybody.
//!
//! `{"at":…,"left_out":…,"steps":[…]}`, and each step
//! `[after, ms, queued_ms, word, [fields]]`: the milliseconds since `at`, how long the
//! call took and how long it waited, and what is known of it, in the order in which
//! [`What`] has it.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Result, Value, from_value};

use super::{Ended, Step, Trace, What};

/// As long as most are, so that it is not moved while it grows.
const USUAL_LENGTH: usize = 512;

/// What [`Trace::to_store`] writes and [`Trace::read`] reads.
#[derive(Deserialize)]
struct Stored {
    at: i64,
    left_out: u32,
    steps: Vec<(i64, u64, u64, String, Value)>,
}

impl Trace {
    /// For the store.
    pub fn to_store(&self) -> String {
        let mut stored = Vec::with_capacity(USUAL_LENGTH);
        // Strings and numbers: nothing in it can fail to be written.
        let written = write(self, &mut stored).ok();
        let stored = written.and_then(|()| String::from_utf8(stored).ok());
        stored.unwrap_or_default()
    }

    /// Reads what was stored. What can't be read is no reason to stop a turn.
    pub fn read(stored: &str) -> Self {
        let stored = serde_json::from_str(stored);
        stored.and_then(read).unwrap_or_default()
    }
}

fn write(trace: &Trace, out: &mut Vec<u8>) -> Result<()> {
    let first = trace.steps.first();
    let at = first.map_or(0, |step| step.at.as_millisecond());
    let head = format!(r#"{{"at":{at},"left_out":{},"steps":["#, trace.left_out);
    out.extend_from_slice(head.as_bytes());
    for (index, step) in trace.steps.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_step(step, at, out)?;
    }
    out.extend_from_slice(b"]}");
    Ok(())
}

fn read(stored: Stored) -> Result<Trace> {
    let steps = stored.steps.into_iter();
    let steps = steps.map(|(after, ms, queued_ms, word, fields)| {
        let at = Timestamp::from_millisecond(stored.at.saturating_add(after));
        Ok(Step {
            at: at.map_err(serde::de::Error::custom)?,
            ms: Some(ms).filter(|ms| *ms > 0),
            queued_ms: Some(queued_ms).filter(|ms| *ms > 0),
            what: read_what(&word, fields)?,
        })
    });
    Ok(Trace {
        steps: steps.collect::<Result<_>>()?,
        left_out: stored.left_out,
    })
}

fn write_step(step: &Step, since: i64, out: &mut Vec<u8>) -> Result<()> {
    let mut writer = Writer { step, since, out };
    match &step.what {
        What::Claimed => writer.put("claimed", [(); 0]),
        What::Looked {
            inbox_id,
            agent_id,
            status,
        } => writer.put("looked", (inbox_id, agent_id, status)),
        What::Fetched {
            kind,
            characters,
            attachments,
        } => writer.put("fetched", (kind, characters, attachments)),
        What::Listed {
            purpose,
            items,
            found,
        } => writer.put("listed", (purpose, items, found)),
        What::LookedElsewhere => writer.put("looked_elsewhere", [(); 0]),
        What::Asked {
            attempt,
            thread_id,
            answer,
        } => writer.put("asked", (attempt, thread_id, answer)),
        What::Wrote {
            part,
            attempt,
            came,
        } => writer.put("wrote", (part, attempt, came)),
        What::Failed { call, error } => writer.put("failed", (call, error)),
        What::TooLate => writer.put("too_late", [(); 0]),
        What::DeadlinePassed => writer.put("deadline_passed", [(); 0]),
        What::Merged { into } => writer.put("merged", [into]),
        What::Decided(decision) => writer.put("decided", [decision]),
        What::Waits { until, why } => writer.put("waits", (until.as_millisecond(), why)),
        What::Ended(Ended {
            outcome,
            reason,
            inbox_id,
            agent_id,
        }) => writer.put("ended", (outcome, reason, inbox_id, agent_id)),
    }
}

struct Writer<'a> {
    step: &'a Step,
    since: i64,
    out: &'a mut Vec<u8>,
}

impl Writer<'_> {
    fn put(&mut self, word: &str, fields: impl Serialize) -> Result<()> {
        let after = self.step.at.as_millisecond() - self.since;
        let ms = self.step.ms.unwrap_or_default();
        let queued_ms = self.step.queued_ms.unwrap_or_default();
        serde_json::to_writer(&mut *self.out, &(after, ms, queued_ms, word, fields))
    }
}

#[expect(clippy::too_many_lines, reason = "an arm for each word")]
fn read_what(word: &str, fields: Value) -> Result<What> {
    Ok(match word {
        "claimed" => What::Claimed,
        "looked" => {
            let (inbox_id, agent_id, status) = from_value(fields)?;
            What::Looked {
                inbox_id,
                agent_id,
                status,
            }
        }
        "fetched" => {
            let (kind, characters, attachments) = from_value(fields)?;
            What::Fetched {
                kind,
                characters,
                attachments,
            }
        }
        "listed" => {
            let (purpose, items, found) = from_value(fields)?;
            What::Listed {
                purpose,
                items,
                found,
            }
        }
        "looked_elsewhere" => What::LookedElsewhere,
        "asked" => {
            let (attempt, thread_id, answer) = from_value(fields)?;
            What::Asked {
                attempt,
                thread_id,
                answer,
            }
        }
        "wrote" => {
            let (part, attempt, came) = from_value(fields)?;
            What::Wrote {
                part,
                attempt,
                came,
            }
        }
        "failed" => {
            let (call, error) = from_value(fields)?;
            What::Failed { call, error }
        }
        "too_late" => What::TooLate,
        "deadline_passed" => What::DeadlinePassed,
        "merged" => What::Merged { into: one(fields)? },
        "decided" => What::Decided(one(fields)?),
        "waits" => {
            let (until, why) = from_value(fields)?;
            let until = Timestamp::from_millisecond(until).map_err(serde::de::Error::custom)?;
            What::Waits { until, why }
        }
        "ended" => {
            let (outcome, reason, inbox_id, agent_id) = from_value(fields)?;
            What::Ended(Ended {
                outcome,
                reason,
                inbox_id,
                agent_id,
            })
        }
        _ => return Err(serde::de::Error::custom("a step of a newer relay")),
    })
}

fn one<T: DeserializeOwned>(fields: Value) -> Result<T> {
    let [field] = from_value(fields)?;
    Ok(field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ConversationId;
    use crate::outcome::HandoffReason;
    use crate::trace::{Call, Came, Decision, Found, Part, Purpose, Reply};

    fn at(millisecond: i64) -> Timestamp {
        Timestamp::from_millisecond(millisecond).unwrap()
    }

    fn answered(wants_human: bool) -> Reply {
        Reply::Answered {
            characters: 120,
            parts: 1,
            wants_human,
        }
    }

    fn asked(answer: Option<Reply>) -> What {
        What::Asked {
            attempt: 1,
            thread_id: Some("thread-1".to_owned()),
            answer,
        }
    }

    fn wrote(came: Option<Came>) -> What {
        What::Wrote {
            part: Part::Reply,
            attempt: 2,
            came,
        }
    }

    fn looked() -> What {
        What::Looked {
            inbox_id: "ai-inbox".to_owned(),
            agent_id: "none".to_owned(),
            status: "open".to_owned(),
        }
    }

    fn fetched() -> What {
        What::Fetched {
            kind: "CHAT_MESSAGE".to_owned(),
            characters: 20,
            attachments: 0,
        }
    }

    fn ended(reason: Option<&str>) -> What {
        What::Ended(Ended {
            outcome: "replied".to_owned(),
            reason: reason.map(str::to_owned),
            inbox_id: Some("ai-inbox".to_owned()),
            agent_id: None,
        })
    }

    fn every_kind() -> Vec<What> {
        let error = || "get_item: status 503 \"\u{1f600}\"".to_owned();
        vec![
            What::Claimed,
            looked(),
            fetched(),
            What::Listed {
                purpose: Purpose::Search,
                items: 3,
                found: Some(Found::NotThere),
            },
            What::LookedElsewhere,
            asked(None),
            asked(Some(answered(true))),
            asked(Some(Reply::Failed { error: error() })),
            asked(Some(Reply::TooLate)),
            wrote(None),
            wrote(Some(Came::Done)),
            wrote(Some(Came::Failed { error: error() })),
            What::Failed {
                call: Call::LookElsewhere,
                error: error(),
            },
            What::TooLate,
            What::DeadlinePassed,
            What::Merged {
                into: ConversationId::parse("conversation-2").unwrap(),
            },
            What::Decided(Decision {
                reason: HandoffReason::Deadline,
                detail: Some(error()),
                messages: 2,
                attachments: 0,
                same_text: 1,
                replies: 0,
                replies_last_hour: 4,
            }),
            What::Waits {
                until: at(5_000),
                why: error(),
            },
            ended(None),
            ended(Some("deadline")),
        ]
    }

    #[test]
    fn every_kind_of_step_is_read_back_as_it_was() {
        let mut trace = Trace::default();
        for (index, what) in (0_i64..).zip(every_kind()) {
            trace.push_step(Step {
                // Time may run backwards where the clock is set.
                at: at(1_767_225_600_000 + if index == 3 { -50 } else { 7 * index }),
                ms: (index % 3 == 0).then_some(21),
                queued_ms: (index % 5 == 0).then_some(3),
                what,
            });
        }
        assert_eq!(Trace::read(&trace.to_store()), trace);
        for second in 0..1_000 {
            trace.push(at(second * 1_000), What::TooLate);
        }
        assert_eq!(Trace::read(&trace.to_store()), trace, "with steps left out");
    }

    #[test]
    fn an_answered_messages_trace_is_short() {
        let mut trace = Trace::default();
        let call = |ms, what| Step {
            at: at(1_767_225_600_000 + i64::try_from(ms).unwrap()),
            ms: Some(ms),
            queued_ms: None,
            what,
        };
        trace.push(at(1_767_225_600_000), What::Claimed);
        trace.push_step(call(31, fetched()));
        trace.push_step(call(812, asked(Some(answered(false)))));
        trace.push_step(call(45, looked()));
        trace.push_step(call(52, wrote(Some(Came::Done))));
        trace.push(at(1_767_225_601_000), ended(None));
        assert_eq!(
            trace.to_store(),
            concat!(
                r#"{"at":1767225600000,"left_out":0,"steps":[[0,0,0,"claimed",[]],"#,
                r#"[31,31,0,"fetched",["CHAT_MESSAGE",20,0]],"#,
                r#"[812,812,0,"asked",[1,"thread-1",{"answered":{"characters":120,"parts":1}}]],"#,
                r#"[45,45,0,"looked",["ai-inbox","none","open"]],"#,
                r#"[52,52,0,"wrote",["reply",2,"done"]],"#,
                r#"[1000,0,0,"ended",["replied",null,"ai-inbox",null]]]}"#
            )
        );
    }

    #[test]
    fn what_cannot_be_read_is_no_trace() {
        let newer = r#"{"at":0,"left_out":0,"steps":[[0,0,0,"new",[]]]}"#;
        for stored in [newer, "", "{}", r#"{"at":9e18,"left_out":0,"steps":[]}"#] {
            assert!(Trace::read(stored).is_empty(), "{stored}");
        }
        let far = r#"{"at":9223372036854775807,"left_out":0,"steps":[[1,0,0,"claimed",[]]]}"#;
        assert!(Trace::read(far).is_empty());
    }
}
