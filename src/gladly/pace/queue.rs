//! Who waits for calls, and who is next. Pure.
//!
//! Accounts take turns, so none waits for another's backlog. Within an account
//! the most urgent goes first: by rank, then by the nearest deadline. Whoever is
//! late already waits for those who can still be in time, whatever their account,
//! but for one call in [`LATE_EVERY`]: after a flood or an outage everybody else
//! would be late too. What only fills gaps waits until nobody else does.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::plan::{self, Waiting};

/// Of so many calls in a row, one is for those who are late.
const LATE_EVERY: u32 = 5;
/// The most time that is kept for what can't be foreseen.
const LONGEST_RESERVE: Duration = Duration::from_secs(2);

/// Which calls go first when there are more than the rate allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precedence {
    /// A handoff whose deadline is near. While a 429 stops all calls, one of these
    /// passes each second: a human is waited for.
    Urgent,
    /// A reply, and the look before it.
    Reply,
    /// What else ends a turn: handoffs, looking for a lost reply.
    Settle,
    /// What begins one: fetching messages.
    Fetch,
    /// What begins or ends a turn whose deadline has passed. It passes a stop as an
    /// urgent handoff does, when none of those waits.
    Late,
    /// What nobody waits for: a note that was left out.
    Later,
}

/// Asks for calls.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// What they are for.
    pub precedence: Precedence,
    /// When the customer must have an answer or a human.
    pub deadline: Instant,
    /// How many calls belong together.
    pub calls: u32,
    /// For a turn that has cost no call yet and may be given up.
    pub effort: Option<Effort>,
}

/// What it takes to answer.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Calls, all in all.
    pub calls: u32,
    /// When the last of them must go, if nothing but calls took time.
    pub by: Instant,
}

impl Effort {
    /// For a turn that has to be answered by `deadline`, by a bot that thinks for
    /// so long. A tenth of the time is kept for what can't be foreseen.
    pub fn before(deadline: Instant, calls: u32, thinking: Duration, now: Instant) -> Self {
        let left = deadline.saturating_duration_since(now);
        let reserve = (left / 10).min(LONGEST_RESERVE);
        let by = deadline.checked_sub(thinking + reserve).unwrap_or(now);
        Self { calls, by }
    }
}

impl Ask {
    /// For one call.
    pub const fn one(precedence: Precedence, deadline: Instant) -> Self {
        Self {
            precedence,
            deadline,
            calls: 1,
            effort: None,
        }
    }

    fn late_calls(&self) -> u32 {
        match self.precedence {
            Precedence::Late => self.calls,
            _ => 0,
        }
    }
}

/// One of an organization's accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member(usize);

/// A place in an account's line: by rank, by the nearest deadline, by arrival.
type Place = (Precedence, Instant, u64);

/// A place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(Member, Place);

#[derive(Debug)]
struct Line<T> {
    waiting: BTreeMap<Place, (Ask, T)>,
    /// Calls that it takes to answer those who have cost none.
    efforts: u32,
    /// Calls that turns which have begun still need.
    owed: u32,
    /// Calls that are late: they keep nobody waiting.
    late: u32,
    /// When it was last its turn, counted in turns.
    served: u64,
}

/// Those who wait, each with what it takes to tell them.
#[derive(Debug)]
pub struct Queue<T> {
    lines: Vec<Line<T>>,
    count: u64,
    served: u64,
    /// Calls since one was late.
    before_late: u32,
    /// The first that somebody went before.
    overtaken: Option<Key>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            lines: Vec::new(),
            count: 0,
            served: 0,
            before_late: 0,
            overtaken: None,
        }
    }
}

impl<T> Queue<T> {
    /// One more account.
    pub fn join(&mut self) -> Member {
        self.lines.push(Line {
            waiting: BTreeMap::new(),
            efforts: 0,
            owed: 0,
            late: 0,
            served: 0,
        });
        Member(self.lines.len() - 1)
    }

    /// Takes a place.
    pub fn push(&mut self, member: Member, ask: Ask, who: T) -> Key {
        self.count += 1;
        let place = (ask.precedence, ask.deadline, self.count);
        if let Some(line) = self.lines.get_mut(member.0) {
            line.efforts += ask.effort.map_or(0, |effort| effort.calls);
            line.late += ask.late_calls();
            line.waiting.insert(place, (ask, who));
        }
        Key(member, place)
    }

    /// Gives a place up, if it is still held.
    pub fn leave(&mut self, key: Key) -> Option<T> {
        let line = self.lines.get_mut(key.0.0)?;
        let (ask, who) = line.waiting.remove(&key.1)?;
        line.efforts -= ask.effort.map_or(0, |effort| effort.calls);
        line.late -= ask.late_calls();
        Some(who)
    }

    /// Nobody waits any more.
    pub fn clear(&mut self) {
        for line in &mut self.lines {
            line.waiting.clear();
            line.efforts = 0;
            line.late = 0;
        }
    }

    /// Who is next.
    pub fn first(&self) -> Option<(Key, Ask)> {
        if self.before_late + 1 >= LATE_EVERY
            && self.lines.iter().any(|line| line.late > 0)
            && let Some(late) = self.first_of(Precedence::Late)
        {
            return Some(late);
        }
        let next = self.firsts().min_by_key(|(served, _, ask)| {
            let waits_for_all = ask.precedence.max(Precedence::Fetch);
            (waits_for_all, *served)
        });
        next.map(|(_, key, ask)| (key, ask))
    }

    /// Who is next while only what is urgent or late may go, if that is anybody.
    pub fn first_urgent(&self) -> Option<(Key, Ask)> {
        let urgent = self.first_of(Precedence::Urgent);
        urgent.or_else(|| self.first_of(Precedence::Late))
    }

    /// Who is next of this rank.
    fn first_of(&self, precedence: Precedence) -> Option<(Key, Ask)> {
        let lines = self.lines.iter().enumerate();
        let firsts = lines.filter_map(|(index, line)| {
            let waiting = line.waiting.iter();
            let mut waiting = waiting.skip_while(|(place, _)| place.0 < precedence);
            let (place, (ask, _)) = waiting.next()?;
            let is_first = place.0 == precedence;
            is_first.then_some((line.served, Key(Member(index), *place), *ask))
        });
        let next = firsts.min_by_key(|(served, _, _)| *served);
        next.map(|(_, key, ask)| (key, ask))
    }

    /// Each account's first, with when it was last the account's turn.
    fn firsts(&self) -> impl Iterator<Item = (u64, Key, Ask)> {
        self.lines.iter().enumerate().filter_map(|(index, line)| {
            let (place, (ask, _)) = line.waiting.first_key_value()?;
            Some((line.served, Key(Member(index), *place), *ask))
        })
    }

    /// Who asks for a single call, while the first waits for room for several: room
    /// that is left until then would be lost. Only once for each first, so that it
    /// doesn't wait for all the others.
    pub fn filler(&self, first: Key) -> Option<Key> {
        if self.overtaken == Some(first) {
            return None;
        }
        let lines = self.lines.iter().enumerate();
        let singles = lines.filter_map(|(index, line)| {
            let mut waiting = line.waiting.iter();
            let (place, _) = waiting.find(|(_, (ask, _))| ask.calls == 1)?;
            Some((line.served, Key(Member(index), *place)))
        });
        let next = singles.min_by_key(|(served, _)| *served);
        next.map(|(_, key)| key)
    }

    /// Somebody goes before the first.
    pub const fn overtake(&mut self, first: Key) {
        self.overtaken = Some(first);
    }

    /// It is the turn of whoever holds this place.
    pub fn serve(&mut self, key: Key) -> Option<T> {
        self.served += 1;
        self.before_late = match key.1.0 {
            Precedence::Late => 0,
            _ => self.before_late.saturating_add(1),
        };
        if let Some(line) = self.lines.get_mut(key.0.0) {
            line.served = self.served;
        }
        self.leave(key)
    }

    /// Changes how many calls an account's begun turns still need.
    pub fn owe(&mut self, member: Member, before: u32, after: u32) {
        if let Some(line) = self.lines.get_mut(member.0) {
            line.owed = line.owed.saturating_sub(before).saturating_add(after);
        }
    }

    /// How long it takes until an account has made all its calls, late ones too.
    pub fn takes(&self, member: Member, per_second: f64) -> Duration {
        let calls = |line: &Line<T>| line.calls().saturating_add(line.late);
        let own = self.lines.get(member.0).map_or(0, calls);
        plan::takes(own, &self.others(member.0), per_second)
    }

    /// Those who can't be answered in time any more.
    pub fn too_late(&self, now: Instant, per_second: f64) -> Vec<Key> {
        let mut keys = Vec::new();
        for (index, line) in self.lines.iter().enumerate() {
            let waiting: Vec<(Place, Waiting)> = match line.first_effort() {
                Some(first) if !self.fits(index, first, now, per_second) => line.efforts_left(now),
                _ => continue,
            };
            let turns: Vec<Waiting> = waiting.iter().map(|(_, turn)| *turn).collect();
            let late = plan::given_up(&turns, line.owed, &self.others(index), per_second);
            keys.extend(late.iter().map(|late| Key(Member(index), waiting[*late].0)));
        }
        keys
    }

    /// Whether all that an account has to do is done before its first turn is late.
    fn fits(&self, index: usize, first: Effort, now: Instant, per_second: f64) -> bool {
        let calls = self.lines.get(index).map_or(0, Line::calls);
        plan::takes(calls, &self.others(index), per_second)
            <= first.by.saturating_duration_since(now)
    }

    fn others(&self, index: usize) -> Vec<u32> {
        let others = self.lines.iter().enumerate();
        let others = others.filter(|(other, _)| *other != index);
        others.map(|(_, line)| line.calls()).collect()
    }
}

impl<T> Line<T> {
    const fn calls(&self) -> u32 {
        self.owed.saturating_add(self.efforts)
    }

    fn first_effort(&self) -> Option<Effort> {
        self.waiting.values().find_map(|(ask, _)| ask.effort)
    }

    fn efforts_left(&self, now: Instant) -> Vec<(Place, Waiting)> {
        let waiting = self.waiting.iter().filter_map(|(place, (ask, _))| {
            let effort = ask.effort?;
            let turn = Waiting {
                calls: effort.calls,
                left: effort.by.saturating_duration_since(now),
            };
            Some((*place, turn))
        });
        waiting.collect()
    }
}

#[cfg(test)]
mod tests;
