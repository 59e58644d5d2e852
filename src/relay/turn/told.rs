//! What a turn tells of itself: each thing that happened becomes a step of its
//! [`Trace`], when it happens. Nothing that the turn does depends on it.

use jiff::Timestamp;

use super::{Action, Context, Happened, PartKind, Purpose, Turn};
use crate::clock::{Moment, time_until};
use crate::conversation::{Holder, Look};
use crate::outcome::{HandoffReason, Outcome};
use crate::store::{Learnt, Tally};
use crate::trace::{self, Call, Came, Decision, Ended, Found, Part, Reply, Step, Trace, What};

impl Turn {
    /// What happened in it so far.
    pub const fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Notes that a call to Gladly begins now.
    pub fn begin_call(&mut self, now: Moment) {
        self.state.calls = self.state.calls.saturating_add(1);
        self.call_begun = Some(now.at);
        self.queued(now.at);
    }

    /// Notes that the question goes to the bot now.
    pub fn begin_asking(&mut self, now: Moment) {
        self.call_begun = Some(now.at);
        self.queued(now.at);
    }

    /// A write or a question that was announced waited until now.
    fn queued(&mut self, now: Timestamp) {
        let since = self.doing_since;
        let waited = since.and_then(|since| millis(since, now));
        let open = match self.doing {
            Some(Action::Ask(_)) => self.trace.open_question(),
            Some(Action::Write(_)) => self.trace.open_write(),
            _ => None,
        };
        if let Some(step) = open {
            step.queued_ms = waited;
        }
    }

    /// What is counted of it; `per_second` is how many calls Gladly allows.
    pub fn tally(&self, outcome: &Outcome, per_second: u32) -> Tally {
        // What a retry lets wait again includes what was of other conversations.
        let strangers = match outcome {
            Outcome::Dead(_) => self.state.strangers.len(),
            _ => 0,
        };
        let messages = self.messages.len() + strangers;
        Tally {
            messages: u32::try_from(messages).unwrap_or(u32::MAX),
            asked: self.state.asked,
            calls: self.state.calls,
            per_second,
        }
    }

    /// It ends so, while this was known of who has the conversation.
    pub fn tell_end(&mut self, outcome: &Outcome, holder: Option<&Holder>, now: Timestamp) {
        let ended = Ended::new(outcome, holder);
        self.trace.push(now, What::Ended(ended));
    }

    /// It is about to write this, or has written it for all that anybody knows.
    pub(super) fn tell_write(&mut self, index: usize, now: Timestamp) {
        let Some(part) = self.part(index).map(|part| part_of(part.kind)) else {
            return;
        };
        let attempt = self.part_state(index).tries;
        let came = None;
        let wrote = What::Wrote {
            part,
            attempt,
            came,
        };
        self.trace.push(now, wrote);
    }

    /// It is about to put the question.
    pub(super) fn tell_question(&mut self, now: Timestamp) {
        let thread_id = match &self.doing {
            Some(Action::Ask(question)) => question.thread_id.as_ref(),
            _ => None,
        };
        let asked = What::Asked {
            attempt: self.state.uncertain_questions + self.state.refused_questions,
            thread_id: thread_id.map(|id| trace::tame(&id.0)),
            answer: None,
        };
        self.trace.push(now, asked);
    }

    /// A human is needed, for this reason.
    pub(super) fn tell_decision(
        &mut self,
        reason: HandoffReason,
        detail: Option<&str>,
        context: &Context<'_>,
    ) {
        let known = context.known();
        let contents = self.words.contents.iter().flatten();
        let read = self.learnt.iter().find_map(|learnt| match learnt {
            Learnt::Read { repetition, .. } => Some(repetition),
            _ => None,
        });
        let decision = Decision {
            reason,
            detail: detail.map(str::to_owned),
            messages: self.messages.len(),
            attachments: contents.map(|content| content.attachments.len()).sum(),
            same_text: read.unwrap_or(&known.repetition).count,
            replies: known.replies(),
            replies_last_hour: known.replies_last_hour(context.now.at),
        };
        self.trace.push(context.now.at, What::Decided(decision));
    }

    /// What the bot's answer was written as.
    pub(super) fn tell_parts(&mut self, count: usize) {
        if let Some(What::Asked {
            answer: Some(Reply::Answered { parts, .. }),
            ..
        }) = self.trace.last_answer().map(|step| &mut step.what)
        {
            *parts = count;
        }
    }

    /// What a search showed.
    pub(super) fn tell_found(&mut self, seen: Found) {
        if let Some(What::Listed { found, .. }) =
            self.trace.last_listing().map(|step| &mut step.what)
        {
            *found = Some(seen);
        }
    }

    /// What came of the last action.
    pub(super) fn tell_happened(
        &mut self,
        doing: Option<&Action>,
        happened: &Happened,
        context: &Context<'_>,
    ) {
        let now = context.now.at;
        let begun = self.call_begun.take();
        match (doing, happened) {
            (None, Happened::Claimed) => self.trace.push(now, What::Claimed),
            (Some(Action::Ask(_)), _) => self.close_question(happened, begun, now),
            (Some(Action::Write(_)), _) if self.closes_write(happened, begun, now) => {}
            (_, Happened::DeadlinePassed) => self.trace.push(now, What::DeadlinePassed),
            (_, Happened::TooLate) => self.trace.push(now, What::TooLate),
            (Some(action), _) => {
                if let Some(what) = self.step_of(action, happened, begun.is_some()) {
                    let queued = self.doing_since.zip(begun);
                    self.trace.push_step(Step {
                        at: begun.unwrap_or(now),
                        ms: begun.and_then(|begun| millis(begun, now)),
                        queued_ms: queued.and_then(|(since, begun)| millis(since, begun)),
                        what,
                    });
                }
            }
            _ => {}
        }
    }

    /// What is to be done next, where that is a step by itself.
    pub(super) fn tell_chosen(&mut self, action: &Action, now: Timestamp) {
        match action {
            Action::Merge(into) => self.trace.push(now, What::Merged { into: into.clone() }),
            Action::Wait { until, why } => {
                let (until, why) = (*until, trace::bounded(why));
                self.trace.push(now, What::Waits { until, why });
            }
            _ => {}
        }
    }

    fn step_of(&self, action: &Action, happened: &Happened, called: bool) -> Option<What> {
        Some(match (action, happened) {
            (Action::Look, Happened::Looked) => looked(self.learnt.last()?)?,
            (Action::LookElsewhere(_), Happened::LookedElsewhere) => What::LookedElsewhere,
            (Action::Fetch(_), Happened::Fetched(item)) => What::Fetched {
                kind: trace::tame(&item.content.content_type),
                characters: item.content.text.chars().count(),
                attachments: item.content.attachments.len(),
            },
            (Action::List(purpose), Happened::Listed(listed)) => What::Listed {
                purpose: match purpose {
                    Purpose::Fetch => trace::Purpose::Read,
                    Purpose::Arrival => trace::Purpose::Arrival,
                    Purpose::Search(_) => trace::Purpose::Search,
                },
                items: listed.items.len(),
                found: None,
            },
            (action, Happened::Failed(error)) => What::Failed {
                call: match action {
                    _ if !called => Call::Permit,
                    Action::Fetch(_) => Call::Fetch,
                    Action::List(_) => Call::List,
                    Action::LookElsewhere(_) => Call::LookElsewhere,
                    _ => Call::Look,
                },
                error: trace::bounded(&error.to_string()),
            },
            _ => return None,
        })
    }

    fn close_question(&mut self, happened: &Happened, begun: Option<Timestamp>, now: Timestamp) {
        let came = match happened {
            Happened::Answered(answer) => Reply::Answered {
                characters: answer.text.as_ref().map_or(0, |text| text.chars().count()),
                parts: 0,
                wants_human: answer.wants_human,
            },
            Happened::GleenFailed(error) => Reply::Failed {
                error: trace::bounded(&error.to_string()),
            },
            Happened::NotMade => Reply::NotMade,
            Happened::DeadlinePassed if begun.is_some() => Reply::TooLate,
            Happened::DeadlinePassed => return self.trace.push(now, What::DeadlinePassed),
            _ => return,
        };
        let Some(step) = self.trace.open_question() else {
            return;
        };
        step.ms = begun.and_then(|begun| millis(begun, now));
        if let What::Asked { answer, .. } = &mut step.what {
            *answer = Some(came);
        }
    }

    /// True if it is what came of a write that was begun.
    fn closes_write(
        &mut self,
        happened: &Happened,
        begun: Option<Timestamp>,
        now: Timestamp,
    ) -> bool {
        let of_call = match happened {
            Happened::Written(_) => Came::Done,
            Happened::Failed(error) => Came::Failed {
                error: trace::bounded(&error.to_string()),
            },
            Happened::NotMade => Came::NotMade,
            _ => return false,
        };
        let was_begun = begun.is_some() || of_call == Came::NotMade;
        let Some(step) = self.trace.open_write().filter(|_| was_begun) else {
            return false;
        };
        step.ms = begun.and_then(|begun| millis(begun, now));
        if let What::Wrote { came, .. } = &mut step.what {
            *came = Some(of_call);
        }
        true
    }
}

fn looked(learnt: &Learnt) -> Option<What> {
    let Learnt::Looked(Look { holder, status, .. }) = learnt else {
        return None;
    };
    Some(What::Looked {
        inbox_id: holder.inbox_id.to_string(),
        agent_id: holder.agent_id.to_string(),
        status: trace::status_word(*status).to_owned(),
    })
}

const fn part_of(kind: PartKind) -> Part {
    match kind {
        PartKind::Reply => Part::Reply,
        PartKind::Message => Part::Message,
        PartKind::Note => Part::Note,
        PartKind::Topic => Part::Topic,
        PartKind::Move => Part::Move,
    }
}

/// None for what took no time.
fn millis(since: Timestamp, until: Timestamp) -> Option<u64> {
    let passed = time_until(until, since).as_millis();
    u64::try_from(passed).ok().filter(|passed| *passed > 0)
}
