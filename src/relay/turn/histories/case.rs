//! What is drawn for a history: who does what and when, how webhooks arrive, and
//! which calls fail how.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use fastrand::Rng;

use super::world::{Agent, State, World, Write, refused};
use crate::config::Policy;
use crate::gladly::{GladlyError, Refusal};
use crate::gleen::GleenError;
use crate::id::{ItemId, TopicId};
use crate::relay::turn::{PartKind, Question};
use crate::text::Patterns;
use crate::upstream::Effect;

const MINUTE: u64 = 60_000;
const HOUR: i64 = 3_600_000;

/// What people do.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Says(usize, String, &'static str),
    Answers(usize),
    Assign(usize, bool, Agent),
    Close(usize, bool),
    Merge(usize, usize),
    Kill,
    Retry,
}

/// What is to happen at a time.
#[derive(Debug, Clone)]
pub(super) enum Thing {
    Act(Act),
    Deliver(usize),
    /// A call that was sent takes effect.
    Land(u64, Write),
}

/// The calls that can be refused for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Look,
    Item,
    List,
    Reply,
    Note,
    Topic,
    Move,
}

impl Op {
    const ALL: [Self; 7] = [
        Self::Look,
        Self::Item,
        Self::List,
        Self::Reply,
        Self::Note,
        Self::Topic,
        Self::Move,
    ];

    pub(super) fn of(kind: PartKind) -> Self {
        match kind {
            PartKind::Reply | PartKind::Message => Self::Reply,
            PartKind::Note => Self::Note,
            PartKind::Topic => Self::Topic,
            PartKind::Move => Self::Move,
        }
    }
}

/// What becomes of a call.
pub(super) enum Fate {
    Fine,
    /// Surely without effect.
    Fails(GladlyError),
    /// Nobody can tell; it takes effect after so many milliseconds, or never.
    Unknown(GladlyError, Option<u64>),
}

#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and any may hold together with any other"
)]
pub(super) struct Case {
    pub(super) policy: Arc<Policy>,
    /// Of a hundred calls, so many fail.
    pub(super) faults: u8,
    pub(super) kills: bool,
    pub(super) panics: bool,
    /// Clocks of processes are off by up to an hour.
    clocks: bool,
    /// Webhooks come within so many milliseconds.
    late_ms: u64,
    twice: bool,
    /// Some webhooks never come.
    pub(super) loses: bool,
    /// This is refused, until then.
    pub(super) refuses: Option<(Op, u64)>,
    /// The user is refused from then until then.
    locked: Option<(u64, u64)>,
    pub(super) wants_no_agent: bool,
    same_answers: bool,
    /// When faults end.
    pub(super) calm_at: u64,
    conversations: usize,
    gladly_ahead_ms: i64,
    pub(super) queue: Vec<(u64, u64, Thing)>,
    queued: u64,
    pub(super) raised: usize,
    pub(super) landings: u64,
    pub(super) landed: Vec<(u64, Result<Option<ItemId>, GladlyError>)>,
    pub(super) threads: u32,
    answers: u32,
    /// A list was limited.
    pub(super) limited: bool,
}

static POLICIES: LazyLock<Vec<Arc<Policy>>> = LazyLock::new(|| {
    let drawn = (0..8).map(|bits: u8| {
        Arc::new(Policy {
            ask_for_human: Patterns::new(&["human please"]).unwrap(),
            detect_language: false,
            recheck_before_reply: bits & 1 == 0,
            handoff_message: (bits & 2 != 0).then(|| "A human comes.".to_owned()),
            handoff_topic_id: (bits & 4 != 0).then(|| TopicId::parse("topic").unwrap()),
            ..Policy::default()
        })
    });
    drawn.collect()
});

impl Case {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let one_in = |rng: &mut Rng, n: u32| rng.u32(..n) == 0;
        let calm_at = rng.u64(MINUTE..5 * MINUTE);
        let faults = *rng.choice(&[0, 0, 5, 20, 50]).unwrap();
        let policy = POLICIES[rng.usize(..8) & !usize::from(!one_in(rng, 4))].clone();
        let refuses = one_in(rng, 8).then(|| {
            let until = if rng.bool() { u64::MAX } else { calm_at };
            (*rng.choice(&Op::ALL).unwrap(), until)
        });
        let locked = one_in(rng, 12).then(|| {
            let from = rng.u64(..MINUTE);
            (from, (from + rng.u64(..2 * MINUTE)).min(calm_at))
        });
        let clocks = one_in(rng, 4);
        let gladly_ahead_ms = if clocks {
            rng.i64(-HOUR..HOUR)
        } else {
            rng.i64(-2000..2000)
        };
        let conversations = if one_in(rng, 3) { rng.usize(2..4) } else { 1 };
        let mut case = Self {
            policy,
            faults,
            kills: one_in(rng, 4),
            panics: one_in(rng, 10),
            clocks,
            late_ms: *rng.choice(&[1, 300, 300, 3_000, 40_000]).unwrap(),
            twice: one_in(rng, 4),
            loses: one_in(rng, 8),
            refuses,
            locked,
            wants_no_agent: one_in(rng, 6),
            // A merge of two that wait for the same words leaves nothing to tell.
            same_answers: conversations == 1 && one_in(rng, 6),
            calm_at,
            conversations,
            gladly_ahead_ms,
            queue: Vec::new(),
            queued: 0,
            raised: 0,
            landings: 0,
            landed: Vec::new(),
            threads: 0,
            answers: 0,
            limited: false,
        };
        case.draw_acts(rng);
        case
    }

    fn draw_acts(&mut self, rng: &mut Rng) {
        let count = self.conversations;
        let span = *rng.choice(&[3_000, 15_000, MINUTE]).unwrap();
        let repeats = rng.u8(..10) == 0;
        for number in 0..rng.usize(1..5) {
            let conversation = rng.usize(..count);
            let (text, kind) = match rng.u8(..25) {
                0 => (format!("q{number} human please"), "CHAT_MESSAGE"),
                1 => (String::new(), "CHAT_MESSAGE"),
                2 => (String::new(), "VOICEMAIL"),
                _ if repeats => ("hello".to_owned(), "CHAT_MESSAGE"),
                _ => (format!("q{number}"), "CHAT_MESSAGE"),
            };
            let at = rng.u64(..span);
            self.put(at, Thing::Act(Act::Says(conversation, text, kind)));
        }
        let acts = *rng.choice(&[0, 0, 1, 2, 4]).unwrap();
        for _ in 0..acts {
            let conversation = rng.usize(..count);
            let act = match rng.u8(..12) {
                0 | 1 => Act::Assign(conversation, true, Agent::Human),
                2 => Act::Assign(conversation, false, Agent::Nobody),
                3 => Act::Assign(conversation, false, Agent::Human),
                4 | 5 => Act::Assign(conversation, true, Agent::Nobody),
                6 => Act::Assign(conversation, true, Agent::Bot),
                7 => Act::Close(conversation, true),
                8 => Act::Close(conversation, false),
                9 => Act::Answers(conversation),
                _ if count > 1 => Act::Merge(conversation, (conversation + 1) % count),
                _ => Act::Close(conversation, true),
            };
            let at = rng.u64(..span + 15_000);
            self.put(at, Thing::Act(act));
        }
        if self.kills {
            let at = rng.u64(..span + 15_000);
            self.put(at, Thing::Act(Act::Kill));
        }
        if rng.u8(..6) == 0 {
            self.put(self.calm_at + 10 * MINUTE, Thing::Act(Act::Retry));
        }
    }

    pub(super) fn world(&self, rng: &mut Rng) -> World {
        let mut world = World {
            gladly_ahead_ms: self.gladly_ahead_ms,
            ..World::default()
        };
        for _ in 0..self.conversations {
            let human = rng.u8(..12) == 0;
            let agent = if rng.bool() {
                Agent::Nobody
            } else {
                Agent::Bot
            };
            world.add_conversation(State {
                ai_inbox: true,
                agent: if human { Agent::Human } else { agent },
                closed: rng.u8(..12) == 0,
            });
        }
        world
    }

    /// How far the clock of the next process is ahead.
    pub(super) fn clock(&self, rng: &mut Rng) -> i64 {
        if self.clocks { rng.i64(-HOUR..HOUR) } else { 0 }
    }

    pub(super) fn put(&mut self, at: u64, thing: Thing) {
        self.queued += 1;
        self.queue.push((at, self.queued, thing));
    }

    /// When an event is delivered: at least once, unless it is lost.
    pub(super) fn deliveries(&self, rng: &mut Rng, now: u64, message: bool) -> Vec<u64> {
        if self.loses && !message && rng.u8(..3) == 0 {
            return Vec::new();
        }
        let times = if self.twice { rng.usize(1..3) } else { 1 };
        (0..times).map(|_| now + rng.u64(..self.late_ms)).collect()
    }

    pub(super) fn permit(&self, rng: &mut Rng, now: u64) -> u64 {
        match rng.u8(..100) {
            0 if now < self.calm_at => rng.u64(..30_000),
            1..6 => rng.u64(..2_000),
            _ => 0,
        }
    }

    /// Whether the user is accepted.
    pub(super) fn lockout(&self, rng: &mut Rng, now: u64) -> Result<(), GladlyError> {
        match self.locked {
            Some((from, until)) if (from..until).contains(&now) => Err(GladlyError::Unauthorised {
                operation: "permit",
                after: Duration::from_millis(rng.u64(..MINUTE)),
            }),
            _ => Ok(()),
        }
    }

    /// What becomes of a call, and how long it takes before and after its effect.
    pub(super) fn fate(&self, rng: &mut Rng, now: u64, op: Op) -> (Fate, u64, u64) {
        let (before, after) = (rng.u64(1..150), rng.u64(1..150));
        if let Some((refused_op, until)) = self.refuses
            && refused_op == op
            && now < until
        {
            return (Fate::Fails(refused("call", Refusal::Other)), before, after);
        }
        if now >= self.calm_at || rng.u8(..100) >= self.faults {
            let after = if rng.u8(..60) == 0 {
                rng.u64(..14_000)
            } else {
                after
            };
            return (Fate::Fine, before, after);
        }
        let asked = (rng.u8(..4) == 0).then(|| Duration::from_millis(rng.u64(..40_000)));
        let later = |effect| GladlyError::RetryLater {
            operation: "call",
            what: "a fault".to_owned(),
            after: asked,
            effect,
        };
        match rng.u8(..10) {
            0..4 => (Fate::Fails(later(Effect::None)), before, after),
            4 if op == Op::Item => (
                Fate::Fails(GladlyError::NotFound { operation: "call" }),
                before,
                after,
            ),
            4 if rng.bool() => (Fate::Fails(refused("call", Refusal::Other)), before, after),
            _ => {
                let after = if rng.bool() { after } else { 15_000 };
                let lands = match rng.u8(..4) {
                    0 => None,
                    // A move that lands late takes it from whoever has it by then,
                    // whatever the relay does: one that is sent can't be called back.
                    1 if op != Op::Move => Some(rng.u64(..20_000)),
                    _ => Some(before),
                };
                (Fate::Unknown(later(Effect::Unknown), lands), before, after)
            }
        }
    }

    /// What the bot says, and how long it takes.
    pub(super) fn answer(
        &mut self,
        rng: &mut Rng,
        now: u64,
        question: &Question,
    ) -> (Result<Option<String>, GleenError>, u64) {
        let takes = if rng.u8(..20) == 0 {
            rng.u64(..70_000)
        } else {
            rng.u64(100..6_000)
        };
        let faulty = now < self.calm_at && rng.u8(..100) < self.faults;
        let after = (rng.u8(..3) == 0).then(|| Duration::from_millis(rng.u64(..20_000)));
        let what = "a fault".to_owned();
        let answer = if faulty {
            Err(match rng.u8(..10) {
                0 => GleenError::Timeout,
                1..4 => GleenError::NotTaken {
                    what,
                    after,
                    throttled: rng.bool(),
                },
                4..8 => GleenError::Uncertain { what, after },
                8 if question.thread_id.is_some() => GleenError::MaybeUnknownThread(404),
                _ => GleenError::Failed(what),
            })
        } else {
            Ok(self.text(rng))
        };
        (answer, takes)
    }

    fn text(&mut self, rng: &mut Rng) -> Option<String> {
        // Two that wait in one merged lane for the same words can't be told apart.
        self.answers += 1;
        let number = self.answers;
        match rng.u8(..60) {
            0 | 1 => None,
            2 | 3 => Some(format!(
                "First {number} {}\n\n{}",
                "a b ".repeat(400),
                "c d ".repeat(300)
            )),
            _ if self.same_answers => Some("Always the same.".to_owned()),
            _ => Some(format!("Answer {number}")),
        }
    }
}
