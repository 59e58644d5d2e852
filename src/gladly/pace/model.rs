//! The pace in virtual time: customers write, a bot thinks, a server far away
//! counts calls in one of three ways. What `Pace` and `relay::run` do stands here
//! once more, without waiting.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

use super::{Ask, Effort, Key, Member, Precedence, Queue, Slot, Window};
use crate::sim::{Limiter, Rules, ServersPace};

const LIMIT: u32 = 10;
/// A handoff is urgent this long before its deadline.
const NEAR: Duration = Duration::from_secs(15);
const ALL: [Limiter; 3] = [
    Limiter::SlidingSecond,
    Limiter::WholeSeconds,
    Limiter::TokenBucket,
];

/// What is played.
#[derive(Debug, Clone, Copy)]
struct Case {
    limiter: Limiter,
    /// There and back, and how much more at most.
    latency_ms: u64,
    jitter_ms: u64,
    others: u32,
    /// Messages, and how many come in a second.
    messages: usize,
    rate: u64,
    deadline_s: u64,
    thinking_ms: u64,
    /// One more message, of another account, at this time.
    visitor_at_ms: Option<u64>,
    /// Calls that an earlier process made in the second before.
    used_before: u32,
}

const CASE: Case = Case {
    limiter: Limiter::SlidingSecond,
    latency_ms: 20,
    jitter_ms: 0,
    others: 0,
    messages: 0,
    rate: 40,
    deadline_s: 60,
    thinking_ms: 1_000,
    visitor_at_ms: None,
    used_before: 0,
};

/// What a message's turn does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Fetch,
    Look,
    Reply,
    Move,
    /// Answered, or with a human.
    Ended(bool),
}

#[derive(Debug)]
struct Turn {
    member: Member,
    came: Instant,
    deadline: Instant,
    step: Step,
    key: Option<Key>,
    slots: Vec<Slot>,
    owed: u32,
    ended: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Comes(usize),
    /// Asks for what its step needs.
    Asks(usize),
    /// Time to look whether somebody may go.
    Poll,
    /// A call reaches the server.
    Arrives(usize, Instant),
    /// Its answer is here: what is left, or none if it was refused.
    Answered(usize, Instant, Option<u32>),
    IsNear(usize),
}

struct World {
    case: Case,
    rng: Rng,
    now: Instant,
    start: Instant,
    window: Window,
    queue: Queue<usize>,
    server: ServersPace,
    turns: Vec<Turn>,
    events: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    count: u64,
    polls_at: Option<Instant>,
    calls: usize,
    refused: usize,
}

/// What came of it.
#[derive(Debug)]
struct Seen {
    answered: usize,
    in_time: usize,
    last_ms: u128,
    calls: usize,
    refused: usize,
    refused_permille: usize,
    /// Of what others leave, while there was work.
    used_percent: usize,
    visitor_ms: Option<u128>,
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn play(case: Case, seed: u64) -> Seen {
    let mut world = World::new(case, seed);
    while let Some(Reverse((at, _, event))) = world.events.pop() {
        world.now = at;
        world.happen(event);
        world.let_through();
    }
    world.seen()
}

impl World {
    fn new(case: Case, seed: u64) -> Self {
        let start = Instant::now();
        let mut queue = Queue::default();
        let (member, visitor) = (queue.join(), queue.join());
        let mut world = Self {
            case,
            rng: Rng::with_seed(seed),
            now: start,
            start,
            window: Window::new(LIMIT),
            queue,
            server: ServersPace::default(),
            turns: Vec::new(),
            events: BinaryHeap::new(),
            count: 0,
            polls_at: None,
            calls: 0,
            refused: 0,
        };
        // The phase of the server's clock is anyone's guess.
        let phase = world.rng.u64(..1_000);
        world.reach(start - ms(2_000 + phase));
        for index in 0..u64::from(case.used_before) {
            world.reach(start - ms(900) + ms(50 * index));
        }
        let times = (0..case.messages as u64).map(|index| index * 1_000 / case.rate);
        let times: Vec<(u64, Member)> = times.map(|at| (at, member)).collect();
        let visitor = case.visitor_at_ms.map(|at| (at, visitor));
        for (at, member) in times.into_iter().chain(visitor) {
            world.add(member, start + ms(at));
        }
        world
    }

    fn add(&mut self, member: Member, came: Instant) {
        self.turns.push(Turn {
            member,
            came,
            deadline: came + Duration::from_secs(self.case.deadline_s),
            step: Step::Fetch,
            key: None,
            slots: Vec::new(),
            owed: 0,
            ended: None,
        });
        self.at(came, Event::Comes(self.turns.len() - 1));
    }

    fn at(&mut self, at: Instant, event: Event) {
        self.count += 1;
        self.events.push(Reverse((at, self.count, event)));
    }

    fn after(&mut self, wait: Duration, event: Event) {
        self.at(self.now + wait, event);
    }

    fn reach(&mut self, at: Instant) -> Option<u32> {
        let rules = Rules {
            limiter: self.case.limiter,
            limit: LIMIT,
            window: ms(1_000),
            others: self.case.others,
        };
        let admission = self.server.admit(rules, at.into_std());
        let left = admission.headers.get("Ratelimit-Remaining-Second")?;
        let left = left.to_str().ok()?.parse().ok();
        left.filter(|_| admission.admitted)
    }

    fn way(&mut self) -> Duration {
        let jitter = self.rng.u64(..=self.case.jitter_ms * 500);
        Duration::from_micros(self.case.latency_ms * 500 + jitter)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Poll => self.polls_at = None,
            Event::Comes(turn) => {
                let near = self.turns[turn].deadline - NEAR;
                self.at(near.max(self.now), Event::IsNear(turn));
                self.at(self.turns[turn].deadline, Event::IsNear(turn));
                self.ask(turn);
            }
            Event::Asks(turn) => self.ask(turn),
            Event::Arrives(turn, sent_at) => {
                self.calls += 1;
                let left = self.reach(self.now);
                self.refused += usize::from(left.is_none());
                let back = self.way();
                self.after(back, Event::Answered(turn, sent_at, left));
            }
            Event::Answered(turn, sent_at, left) => self.answered(turn, sent_at, left),
            Event::IsNear(turn) => self.is_near(turn),
        }
    }

    /// A handoff that waits becomes urgent; at its deadline whoever waits is
    /// handed off.
    fn is_near(&mut self, turn: usize) {
        let late = self.now >= self.turns[turn].deadline;
        let step = self.turns[turn].step;
        let waits = self.turns[turn].key.take();
        if let Some(key) = waits {
            self.queue.leave(key);
            if late && step != Step::Move {
                self.turns[turn].step = Step::Move;
            }
            self.ask(turn);
        }
    }

    fn owes(&mut self, turn: usize, calls: u32) {
        let turn = &mut self.turns[turn];
        self.queue.owe(turn.member, turn.owed, calls);
        turn.owed = calls;
    }

    fn ask(&mut self, index: usize) {
        if let Some(slot) = self.turns[index].slots.pop() {
            return self.send(index, slot);
        }
        let turn = &self.turns[index];
        let near = self.now + NEAR >= turn.deadline;
        let (precedence, calls, owed) = match turn.step {
            Step::Fetch => (Precedence::Fetch, 1, 0),
            Step::Look => (Precedence::Reply, 2, 2),
            Step::Reply => (Precedence::Reply, 1, 1),
            Step::Move if self.now >= turn.deadline => (Precedence::Late, 1, 0),
            Step::Move if near => (Precedence::Urgent, 1, 1),
            Step::Move => (Precedence::Settle, 1, 1),
            Step::Ended(_) => return,
        };
        let thinking = ms(self.case.thinking_ms);
        let ask = Ask {
            precedence,
            deadline: turn.deadline,
            calls,
            effort: (turn.step == Step::Fetch)
                .then(|| Effort::before(turn.deadline, 3, thinking, self.now)),
        };
        let key = self.queue.push(turn.member, ask, index);
        self.turns[index].key = Some(key);
        self.owes(index, owed);
    }

    fn let_through(&mut self) {
        for key in self.queue.too_late(self.now, self.window.per_second()) {
            let Some(turn) = self.queue.leave(key) else {
                continue;
            };
            self.turns[turn].step = Step::Move;
            self.ask(turn);
        }
        while let Some((key, ask)) = self.queue.first() {
            let admitted = match ask.precedence {
                Precedence::Urgent | Precedence::Late => {
                    self.window.admit_urgent(ask.calls, self.now)
                }
                _ => self.window.admit(ask.calls, self.now),
            };
            match admitted {
                Err(next) => {
                    if ask.calls > 1
                        && let Some(filler) = self.queue.filler(key)
                        && let Ok(slots) = self.window.admit(1, self.now)
                    {
                        self.queue.overtake(key);
                        self.go(filler, slots);
                        continue;
                    }
                    if self.polls_at.is_none_or(|at| next < at) {
                        self.polls_at = Some(next);
                        self.at(next, Event::Poll);
                    }
                    return;
                }
                Ok(slots) => self.go(key, slots),
            }
        }
    }

    fn go(&mut self, key: Key, mut slots: Vec<Slot>) {
        let turn = self.queue.serve(key).unwrap();
        self.turns[turn].key = None;
        slots.reverse();
        self.turns[turn].slots = slots;
        let slot = self.turns[turn].slots.pop().unwrap();
        self.send(turn, slot);
    }

    fn send(&mut self, turn: usize, slot: Slot) {
        self.window.spend(slot, self.now);
        let way = self.way();
        self.after(way, Event::Arrives(turn, self.now));
    }

    fn answered(&mut self, turn: usize, sent_at: Instant, left: Option<u32>) {
        let Some(left) = left else {
            let jitter = self.rng.f64();
            self.window.throttle(None, jitter, sent_at, self.now);
            for slot in std::mem::take(&mut self.turns[turn].slots) {
                self.window.give_back(slot);
            }
            let wait = ms(self.rng.u64(500..1_000));
            return self.after(wait, Event::Asks(turn));
        };
        self.window
            .observe(Some(LIMIT), Some(left), sent_at, self.now);
        let (step, wait) = match self.turns[turn].step {
            Step::Fetch => (Step::Look, ms(self.case.thinking_ms)),
            Step::Look => (Step::Reply, ms(2)),
            Step::Reply => (Step::Ended(true), ms(0)),
            Step::Move => (Step::Ended(false), ms(0)),
            Step::Ended(answer) => (Step::Ended(answer), ms(0)),
        };
        self.turns[turn].step = step;
        if matches!(step, Step::Ended(_)) {
            self.owes(turn, 0);
            self.turns[turn].ended = Some(self.now);
        } else {
            self.owes(turn, 2);
            self.after(wait, Event::Asks(turn));
        }
    }

    fn seen(&self) -> Seen {
        let turns = &self.turns[..self.case.messages];
        let ended = |turn: &Turn| turn.ended.unwrap();
        let last = turns.iter().map(ended).max().unwrap() - self.start;
        let answered = |turn: &&Turn| turn.step == Step::Ended(true);
        let in_time = |turn: &&Turn| ended(turn) <= turn.deadline + ms(1_000);
        let both = |turn: &&Turn| answered(turn) && in_time(turn);
        let room = u128::from(LIMIT - self.case.others) * last.as_millis();
        let accepted = (self.calls - self.refused) as u128;
        let visitor = self.turns.get(self.case.messages);
        Seen {
            answered: turns.iter().filter(both).count(),
            in_time: turns.iter().filter(in_time).count(),
            last_ms: last.as_millis(),
            calls: self.calls,
            refused: self.refused,
            refused_permille: self.refused * 1_000 / self.calls,
            used_percent: usize::try_from(accepted * 100_000 / room).unwrap(),
            visitor_ms: visitor.map(|turn| (ended(turn) - turn.came).as_millis()),
        }
    }
}

/// Each of these is one round.
const SEEDS: std::ops::Range<u64> = 0..5;

fn steady(messages: usize, rate: u64, limiter: Limiter) -> Seen {
    let case = Case {
        limiter,
        messages,
        rate,
        deadline_s: 20,
        thinking_ms: 2_000,
        latency_ms: 50,
        jitter_ms: 10,
        ..CASE
    };
    play(case, 1)
}

#[test]
fn the_limit_is_used_and_hardly_met_whoever_counts_and_however_far_away() {
    for limiter in ALL {
        for (latency_ms, jitter_ms) in [(1, 0), (20, 5), (100, 20), (200, 20), (110, 90)] {
            for seed in SEEDS {
                let case = Case {
                    limiter,
                    latency_ms,
                    jitter_ms,
                    messages: 200,
                    deadline_s: 600,
                    ..CASE
                };
                let seen = play(case, seed);
                let told = format!("{case:?}: {seen:?}");
                // The last answer is thought about while there is nothing to call.
                assert!(seen.used_percent >= 91, "{told}");
                assert!(seen.refused_permille < 10, "{told}");
                // Where calls overtake each other, the span stays longer than a second.
                let last_ms = if jitter_ms < 90 { 65_000 } else { 67_500 };
                assert!(seen.last_ms <= last_ms, "{told}");
                assert!(seen.calls <= 620, "three calls an answer: {told}");
            }
        }
    }
}

#[test]
fn what_others_use_is_left_to_them() {
    // What a bucket has left tells of the past too, so less is learnt from it.
    for (limiter, most_refused) in [
        (Limiter::SlidingSecond, 8),
        (Limiter::WholeSeconds, 13),
        (Limiter::TokenBucket, 20),
    ] {
        for others in 1..=5 {
            let case = Case {
                limiter,
                others,
                messages: 200,
                deadline_s: 600,
                latency_ms: 20,
                jitter_ms: 5,
                ..CASE
            };
            for seed in SEEDS {
                let seen = play(case, seed);
                let told = format!("{case:?}: {seen:?}");
                assert!(seen.used_percent >= 85, "{told}");
                assert!(seen.refused_permille <= most_refused, "{told}");
            }
        }
    }
}

#[test]
fn a_start_meets_the_limit_once_at_most_whatever_was_used_before() {
    for limiter in ALL {
        for used_before in [3, 10] {
            let case = Case {
                limiter,
                used_before,
                messages: 20,
                ..CASE
            };
            for seed in SEEDS {
                let seen = play(case, seed);
                assert!(seen.refused <= 1, "{case:?}: {seen:?}");
            }
        }
    }
}

#[test]
fn above_capacity_as_many_are_answered_as_arithmetic_allows_and_all_are_served() {
    for limiter in ALL {
        for (messages, rate, answers, last_s) in
            [(150, 40, 150, 65), (300, 60, 140, 70), (600, 120, 0, 80)]
        {
            let case = Case {
                limiter,
                messages,
                rate,
                latency_ms: 50,
                jitter_ms: 10,
                thinking_ms: 2_000,
                ..CASE
            };
            let seen = play(case, 1);
            let told = format!("{case:?}: {seen:?}");
            assert!(seen.answered >= answers, "{told}");
            assert!(seen.last_ms <= last_s * 1_000, "{told}");
            assert!(seen.refused_permille < 10, "{told}");
            assert!(seen.in_time * 100 >= messages * 95, "{told}");
        }
    }
}

#[test]
fn kept_up_for_minutes_it_degrades_and_does_not_collapse() {
    for limiter in ALL {
        for (messages, rate, answers) in [(720, 4, 450), (1_080, 6, 270)] {
            let seen = steady(messages, rate, limiter);
            let told = format!("{rate} a second, {limiter:?}: {seen:?}");
            assert!(seen.answered >= answers, "2.5 and 1.5 a second: {told}");
            assert!(seen.in_time * 100 >= messages * 95, "{told}");
            assert!(seen.refused_permille < 10, "{told}");
        }
    }
}

#[test]
fn one_accounts_burst_delays_anothers_customer_by_under_two_seconds() {
    for deadline_s in [20, 60] {
        for at in [3_000, 6_000, 15_000] {
            let case = Case {
                messages: 250,
                rate: 50,
                deadline_s,
                visitor_at_ms: Some(at),
                ..CASE
            };
            let seen = play(case, 1);
            let alone = u128::from(case.thinking_ms) + 100;
            assert!(
                seen.visitor_ms.unwrap() < alone + 2_000,
                "{case:?}: {seen:?}"
            );
        }
    }
}
