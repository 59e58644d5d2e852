//! Ask: decide what to do about the messages, put the question to the bot,
//! judge its answer.

use std::time::Duration;

use super::{Action, Context, Part, PartKind, Question, Step, Turn};
use crate::clock::{later, time_until};
use crate::conversation::Whose;
use crate::gleen::{Answer, GleenError};
use crate::outcome::HandoffReason;
use crate::relay::policy::{Decision, Verdict, decide, judge, wait_after};
use crate::store::Learnt;
use crate::text::Channel;

/// The most times a question is put that the bot surely did not take.
const MOST_REFUSED: u32 = 3;
/// The most times a question is put in a way that may have reached the bot: a
/// second copy in its memory costs the customer nothing, a third is a storm.
const MOST_UNCERTAIN: u32 = 2;

impl Turn {
    pub(super) fn ask(&mut self, context: &Context<'_>) -> Action {
        let facts = &context.known().facts;
        match self.whose_to_ask(facts, context.bot, context.now) {
            Whose::Others(reason) => return self.leave(reason),
            Whose::Unclear => return Action::Look,
            Whose::Bots => {}
        }
        if self.state.uncertain_questions >= MOST_UNCERTAIN {
            self.hand_off(HandoffReason::BotError, None, context);
            return self.choose(context);
        }
        match self.decision(context) {
            Decision::Skip(reason) => self.leave(reason),
            Decision::HandOff(reason) => {
                self.hand_off(reason, None, context);
                self.choose(context)
            }
            Decision::Ask { .. } if self.waits_overdue() => {
                self.hand_off(HandoffReason::Deadline, None, context);
                self.choose(context)
            }
            Decision::Ask { question, .. } => Action::Ask(self.question(question, context)),
        }
    }

    fn decision(&self, context: &Context<'_>) -> Decision {
        let (contents, known) = (self.contents(), context.known());
        // Until it is stored, what was read counts beside what is known.
        let unstored = self.learnt.iter().find_map(|learnt| match learnt {
            Learnt::Read { repetition, .. } => Some(repetition),
            _ => None,
        });
        let repetition = unstored.unwrap_or(&known.repetition);
        decide(context.policy, &contents, known, repetition, context.now.at)
    }

    fn question(&self, text: String, context: &Context<'_>) -> Question {
        let known = context.known();
        let mut contents = self.words.contents.iter().flatten().rev();
        let locale = contents
            .find_map(|content| content.locale.clone())
            .or_else(|| known.locale.clone());
        Question {
            text,
            thread_id: known
                .thread_id()
                .filter(|_| !self.state.thread_forgotten)
                .cloned(),
            locale: locale.filter(|_| context.policy.detect_language),
        }
    }

    pub(super) fn answered(&mut self, answer: Answer, context: &Context<'_>) {
        self.succeed();
        if let Some(thread_id) = answer.thread_id {
            self.learnt
                .push(Learnt::Thread(thread_id, self.last_written()));
        }
        let channel = self
            .reply_to()
            .map_or(Channel::Chat, |(_, channel)| channel);
        let verdict = judge(
            context.policy,
            channel,
            answer.text.as_deref(),
            answer.wants_human,
        );
        self.words.answer = answer.text;
        match verdict {
            Verdict::HandOff(reason) => {
                let detail = (reason == HandoffReason::ReplyRejected)
                    .then_some("The answer is too long for this channel.");
                self.hand_off(reason, detail, context);
            }
            Verdict::Deliver(parts) => {
                let reply = |part| Part::of_text(PartKind::Reply, part);
                self.tell_parts(parts.len());
                self.add_parts(parts.into_iter().map(reply));
                self.state.step = Step::Deliver;
                self.state.look_wanted = context
                    .policy
                    .recheck_before_reply
                    .then_some(context.revision);
            }
        }
    }

    pub(super) fn gleen_failed(&mut self, error: &GleenError, context: &Context<'_>) {
        let (again, after) = match error {
            GleenError::Timeout => return self.hand_off(HandoffReason::BotTimeout, None, context),
            GleenError::Failed(_) => return self.hand_off(HandoffReason::BotError, None, context),
            GleenError::MaybeUnknownThread(_) => {
                // It surely did not take the question on that thread.
                self.took_no_question();
                self.state.thread_forgotten = true;
                return;
            }
            GleenError::NotTaken { after, .. } => {
                self.took_no_question();
                self.state.refused_questions += 1;
                (self.state.refused_questions < MOST_REFUSED, after)
            }
            GleenError::Uncertain { after, .. } => {
                (self.state.uncertain_questions < MOST_UNCERTAIN, after)
            }
        };
        let tries = self.state.refused_questions + self.state.uncertain_questions;
        let wait = wait_after(
            context.policy,
            tries.saturating_sub(1),
            *after,
            context.random,
        );
        if again && wait < self.time_left(context) {
            self.wait = Some((later(context.now.at, wait), error.to_string()));
        } else {
            self.hand_off(HandoffReason::BotError, None, context);
        }
    }

    pub(super) fn took_no_question(&mut self) {
        self.state.uncertain_questions = self.state.uncertain_questions.saturating_sub(1);
    }

    fn time_left(&self, context: &Context<'_>) -> Duration {
        time_until(self.deadline_at, context.now.at)
    }
}
