//! What must hold in every history, whatever fails.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::case::{Case, Op};
use super::player::Run;
use super::world::{Author, Event, State, Tells, World, Write, conversation_id, index_of};
use crate::conversation::{FRESH, Status};
use crate::id::TurnId;
use crate::outcome::{Outcome, SkipReason};
use crate::relay::turn::{PartKind, Turn};
use crate::store::Source;

/// The most questions of one turn of which nobody can tell whether Gleen took
/// them.
const MOST_UNCERTAIN: i32 = 2;

/// A message that the relay was told of.
#[derive(Debug, Default)]
struct Told {
    /// Its place among all that was told, and Gladly's time.
    order: usize,
    happened_at: Option<Timestamp>,
    /// How the turns that it was in ended, and when.
    outcomes: Vec<(TurnId, Outcome, u64)>,
}

/// What is kept of a turn.
#[derive(Debug, Default)]
struct Asked {
    /// Since when it exists, by the world's count.
    began: u64,
    /// It began without a message, and took up the last that waited.
    arrived: bool,
    /// So many events were heard of when it began.
    heard: usize,
    uncertain: i32,
    posted: Vec<usize>,
    retried: bool,
    note: String,
}

#[derive(Debug, Default)]
pub(super) struct Check {
    /// The first promise that was broken.
    pub(super) broken: Option<String>,
    told: HashMap<usize, Told>,
    /// Events in the order in which the relay was told of them.
    heard: Vec<Event>,
    /// Of each conversation: how much had happened when it was last looked at,
    /// and when that look began.
    looks: HashMap<usize, (u64, u64)>,
    turns: HashMap<TurnId, Asked>,
    /// Messages that a sweep found when their deadline had passed.
    overdue: HashSet<usize>,
    /// Conversations of which an event was lost, or that have a dead letter.
    lost: HashSet<usize>,
}

impl Check {
    pub(super) fn broken(&mut self, how: String) {
        self.broken.get_or_insert(how);
    }

    fn hold(&mut self, promise: bool, how: impl FnOnce() -> String) {
        if !promise {
            self.broken(how());
        }
    }

    pub(super) fn lose(&mut self, event: &Event, world: &World) {
        self.lost.insert(world.home(event.conversation));
        self.lost.insert(event.conversation);
    }

    pub(super) fn told(&mut self, event: &Event, happened_at: Timestamp) {
        if let Tells::Message(item, _) = event.tells {
            let order = self.heard.len();
            self.told.entry(item).or_insert(Told {
                order,
                happened_at: Some(happened_at),
                outcomes: Vec::new(),
            });
        }
        self.heard.push(event.clone());
    }

    pub(super) fn found(&mut self, event: &Event, source: Source) {
        if let (Tells::Message(item, _), Source::Sweep { overdue: true }) = (&event.tells, source) {
            self.overdue.insert(*item);
        }
    }

    pub(super) fn told_so_far(&self) -> usize {
        self.heard.len()
    }

    /// A look that this process knows of.
    pub(super) fn looked(&mut self, conversation: usize, seq: u64, began: u64) {
        self.looks.insert(conversation, (seq, began));
    }

    pub(super) fn forget_looks(&mut self) {
        self.looks.clear();
    }

    /// What was done last is not known any more: turns go on that had ended, ask again,
    /// or never were.
    pub(super) fn power_cut(&mut self, has_ended: impl Fn(TurnId) -> Option<bool>) {
        self.turns.retain(|turn, _| has_ended(*turn).is_some());
        for asked in self.turns.values_mut() {
            asked.uncertain = 0;
        }
        for told in self.told.values_mut() {
            told.outcomes
                .retain(|(turn, ..)| has_ended(*turn) == Some(true));
        }
    }

    pub(super) fn began(&mut self, turn: &Turn, seq: u64) {
        let asked = self.turns.entry(turn.id()).or_default();
        if asked.began == 0 {
            asked.began = seq + 1;
            asked.arrived = turn.messages().is_empty();
            asked.heard = self.heard.len();
        }
    }

    pub(super) fn retried(&mut self, turn: TurnId) {
        self.turns.entry(turn).or_default().retried = true;
    }

    pub(super) fn took_no_question(&mut self, turn: TurnId) {
        self.turns.entry(turn).or_default().uncertain -= 1;
    }

    /// Whether the relay could know that it is a human's, or closed: it looked
    /// since, or was told.
    fn known_since(
        &self,
        conversation: usize,
        since: u64,
        told: usize,
        world: &World,
    ) -> Option<String> {
        // After a merge two turns may run in one lane, and one may look while the other
        // goes on.
        if is_unmerged(world)
            && let Some((seq, _)) = self.looks.get(&conversation)
            && *seq >= since
        {
            return Some("it had looked".to_owned());
        }
        let about = |event: &&Event| event.conversation == conversation && event.seq >= since;
        let mut last: [Option<&Event>; 3] = [None; 3];
        for event in self.heard[..told].iter().filter(about) {
            let kind = match event.tells {
                Tells::Holder(_) => 0,
                Tells::Status(Status::Open | Status::Closed) => 1,
                Tells::Merge(_) => 2,
                Tells::Status(Status::Unclear) | Tells::Message(..) => continue,
            };
            if last[kind].is_none_or(|last| last.seq < event.seq) {
                last[kind] = Some(event);
            }
        }
        let told = last.into_iter().flatten().find(|event| match event.tells {
            Tells::Holder(state) => !state.is_held_by_bot(),
            Tells::Status(status) => status == Status::Closed,
            Tells::Merge(_) | Tells::Message(..) => true,
        });
        told.map(|event| format!("it was told by {event:?}"))
    }

    /// A write is about to be sent; the relay knew what was told so far.
    pub(super) fn posts(
        &mut self,
        run: &Run,
        write: &Write,
        world: &World,
        told: usize,
        case: &Case,
    ) {
        let kind = write.part.kind;
        let asked = self.turns.entry(write.turn).or_default();
        if kind == PartKind::Reply {
            asked.posted.push(write.index);
        }
        if kind == PartKind::Note {
            asked.note.clone_from(&write.part.body);
        }
        let arrived = asked.arrived;
        let home = write.reply_to.filter(|_| kind == PartKind::Reply);
        if let Some(item) = home {
            let (item, target) = (
                world.home(world.entries[item].home),
                world.home(write.target),
            );
            self.hold(item == target, || {
                "a reply goes into another conversation".to_owned()
            });
            if !arrived {
                self.in_order(run);
            }
        }
        let Some(since) = world.not_since(write.target, State::is_bots) else {
            return;
        };
        let after_move = kind == PartKind::Note && run.turn.has_moved();
        if after_move {
            return;
        }
        let which = format!("{kind:?} of turn {} over a human", write.turn);
        let unseen = kind == PartKind::Move && run.turn.is_moving_unseen();
        // After a merge two turns may run in one lane: one can move what the other saw
        // moved.
        if unseen && !is_unmerged(world) {
            return;
        }
        if let Some(how) = self.known_since(write.target, since, told, world) {
            return self.broken(format!("{which}: {how}"));
        }
        if unseen || !case.policy.recheck_before_reply {
            return;
        }
        let fresh = u64::try_from(FRESH.as_millis()).unwrap();
        let looked = self.looks.get(&write.target).copied();
        let recent = looked.is_some_and(|(_, began)| world.now - began <= fresh);
        self.hold(recent, || {
            format!("{which}: its look was too old ({looked:?})")
        });
    }

    /// Whatever was written before is dealt with.
    fn in_order(&mut self, run: &Run) {
        let items = run
            .turn
            .messages()
            .iter()
            .map(|m| index_of(m.item_id.as_str()));
        let items: HashSet<usize> = items.collect();
        let times = items.iter().filter_map(|item| self.told.get(item));
        let Some(first) = times
            .filter_map(|told| Some((told.happened_at?, told.order)))
            .min()
        else {
            return;
        };
        let conversation = run.turn.conversation_id();
        let earlier = self.heard[..first.1]
            .iter()
            .find_map(|event| match event.tells {
                Tells::Message(item, _)
                    if conversation_id(event.conversation) == *conversation
                        && !items.contains(&item) =>
                {
                    let told = self.told.get(&item)?;
                    (told.happened_at < Some(first.0) && told.outcomes.is_empty()).then_some(item)
                }
                _ => None,
            });
        let id = run.turn.id();
        self.hold(earlier.is_none(), || {
            format!("turn {id} answers before i{earlier:?} has an end")
        });
    }

    /// A question is about to be put.
    pub(super) fn asks(&mut self, run: &Run, text: &str, world: &World, told: usize) {
        let (id, target) = (
            run.turn.id(),
            index_of(run.turn.target(&run.standing).as_str()),
        );
        let asked = self.turns.entry(id).or_default();
        asked.uncertain += 1;
        let uncertain = asked.uncertain;
        self.hold(uncertain <= MOST_UNCERTAIN, || {
            format!("turn {id} asks once too often")
        });
        self.hold(!run.timed_out, || format!("turn {id} asks after a timeout"));
        let words: Vec<usize> = text
            .split_whitespace()
            .filter(|word| word.starts_with('q'))
            .filter_map(|word| {
                world
                    .entries
                    .iter()
                    .position(|e| e.text.split(' ').next() == Some(word))
            })
            .collect();
        let strange = words
            .iter()
            .find(|entry| world.entries[**entry].home != world.home(target));
        self.hold(strange.is_none(), || {
            format!("turn {id} asks with i{strange:?} of another")
        });
        let times: Vec<_> = words
            .iter()
            .filter_map(|e| self.told.get(e)?.happened_at)
            .collect();
        self.hold(times.is_sorted(), || {
            format!("turn {id} asks in another order: {words:?}")
        });
        if let Some(since) = world.not_since(target, State::is_bots)
            && let Some(how) = self.known_since(target, since, told, world)
        {
            self.broken(format!(
                "turn {id} asks about a human's conversation: {how}"
            ));
        }
    }

    /// A turn has ended.
    pub(super) fn ended(&mut self, turn: &Turn, outcome: &Outcome, world: &World, case: &Case) {
        let id = turn.id();
        let items: Vec<usize> = turn
            .messages()
            .iter()
            .map(|message| index_of(message.item_id.as_str()))
            .collect();
        for item in &items {
            let told = self.told.entry(*item).or_default();
            told.outcomes.push((id, outcome.clone(), world.now));
        }
        self.wrote_once(id, world);
        match outcome {
            Outcome::Replied => {
                let late = items
                    .iter()
                    .find(|item| self.overdue.contains(item) && !self.is_answered(**item, world));
                let late = late.copied();
                // Who came to the bot and was taken up was not too late then.
                let arrived = self.turns.get(&id).is_some_and(|asked| asked.arrived);
                self.hold(late.is_none() || arrived, || {
                    format!("turn {id} answers i{late:?}, which was found too late")
                });
                self.replied(turn, world);
            }
            Outcome::HandedOff(_) => self.handed_off(turn, world, case),
            Outcome::Skipped(reason) => {
                for item in &items {
                    self.may_skip(id, *item, *reason, world);
                }
            }
            Outcome::Dead(error) => {
                // Whoever looks at the dead letter sees the conversation.
                self.lost
                    .insert(world.home(index_of(turn.conversation_id().as_str())));
                let refused = case.refuses.is_some() || case.faults > 0;
                self.hold(refused, || format!("turn {id} died of {error}"));
            }
        }
    }

    /// No part is there twice, and a handoff moves once.
    fn wrote_once(&mut self, id: TurnId, world: &World) {
        let there = parts_of(id, world);
        let mut replies = there.iter().filter(|(_, kind)| *kind == PartKind::Reply);
        let sorted = replies
            .clone()
            .map(|(index, _)| index)
            .is_sorted_by(|a, b| a < b);
        self.hold(sorted, || {
            format!("turn {id} replied twice or out of order: {there:?}")
        });
        let asked = self.turns.entry(id).or_default();
        let retried = asked.retried;
        let told = there.iter().any(|(_, kind)| *kind == PartKind::Message);
        self.hold(!(told && replies.next().is_some()), || {
            format!("turn {id} answered and told of a human")
        });
        let notes = there
            .iter()
            .filter(|(_, kind)| *kind == PartKind::Note)
            .count();
        self.hold(notes <= 1 || retried, || {
            format!("turn {id} wrote {notes} notes")
        });
        let moves = world.moves.iter().filter(|turn| **turn == id).count();
        self.hold(moves <= 1 + world.given_back, || {
            format!("turn {id} moved {moves} times")
        });
    }

    fn replied(&mut self, turn: &Turn, world: &World) {
        let id = turn.id();
        let parts = turn
            .parts()
            .filter(|(_, part)| part.kind == PartKind::Reply)
            .count();
        let there = parts_of(id, world);
        let replies = there
            .iter()
            .filter(|(_, kind)| *kind == PartKind::Reply)
            .count();
        self.hold(parts > 0 && replies == parts, || {
            format!("turn {id} says that it replied, but {replies} of {parts} parts are there")
        });
        let handed = there.len() > replies || world.moves.contains(&id);
        self.hold(!handed, || format!("turn {id} replied and handed off"));
    }

    fn handed_off(&mut self, turn: &Turn, world: &World, case: &Case) {
        let id = turn.id();
        let asked = self.turns.entry(id).or_default();
        let (began, note, retried) = (
            asked.began.saturating_sub(1),
            asked.note.clone(),
            asked.retried,
        );
        let conversation = index_of(turn.conversation_id().as_str());
        // Where no look came through, what was told last counts, however old.
        let blind = turn.is_moving_unseen() || matches!(case.refuses, Some((Op::Look, _)));
        let began = if blind { 0 } else { began };
        let moved = world.was(conversation, began, |state| !state.ai_inbox);
        self.hold(moved, || {
            format!("turn {id} says that it handed off, but nobody moved it")
        });
        let parts = turn
            .parts()
            .filter(|(_, part)| part.kind == PartKind::Reply)
            .count();
        let there = parts_of(id, world);
        let replies = there
            .iter()
            .filter(|(_, kind)| *kind == PartKind::Reply)
            .count();
        let whole = parts > 0 && replies == parts && !retried && !note.is_empty();
        self.hold(!whole || note.contains("could not be checked"), || {
            format!("turn {id} handed off although its answer is there: {note}")
        });
    }

    /// Whether a human has written since. If it was found too late, what became of a later
    /// message counts as well.
    fn is_answered(&self, item: usize, world: &World) -> bool {
        let home = world.entries[item].home;
        let by_human = world.entries[item + 1..]
            .iter()
            .any(|later| later.home == home && later.author == Author::Human);
        let settled = |outcome: &Outcome| !matches!(outcome, Outcome::Skipped(_));
        let dealt_with = self.told.iter().any(|(later, told)| {
            let mut outcomes = told.outcomes.iter();
            *later > item
                && world.entries[*later].home == home
                && outcomes.any(|(_, outcome, _)| settled(outcome))
        });
        by_human || dealt_with && self.overdue.contains(&item)
    }

    /// A message may be left alone only if a human had it, or it was closed.
    fn may_skip(&mut self, id: TurnId, item: usize, reason: SkipReason, world: &World) {
        let test: fn(State) -> bool = match reason {
            SkipReason::Closed => |state| state.closed,
            SkipReason::HumanAssigned => |state| state.agent == super::world::Agent::Human,
            SkipReason::NotAiInbox | SkipReason::HandedOff => |state| !state.ai_inbox,
            // An agent has written after it, which is checked below.
            SkipReason::AlreadyAnswered => |_| true,
            SkipReason::NotCustomer => |_| false,
        };
        let agent_wrote = self.is_answered(item, world);
        self.hold(reason != SkipReason::AlreadyAnswered || agent_wrote, || {
            format!("turn {id} left i{item} as answered, but nobody wrote")
        });
        let entry = &world.entries[item];
        let was = world.was(entry.born, entry.seq, test);
        // A takeover that is told of late silences the bot until the giving back is.
        let order = self.told.get(&item).map_or(0, |told| told.order);
        // What an arrival takes up may be older than what was told since it began.
        let turn = self.turns.get(&id).filter(|turn| turn.arrived);
        let order = turn.map_or(order, |turn| turn.heard.min(order));
        let was = was
            || self.heard[order..].iter().any(|event| match event.tells {
                Tells::Holder(state) => world.home(event.conversation) == entry.home && test(state),
                _ => false,
            });
        self.hold(was, || {
            format!("turn {id} skipped i{item} as {reason}, but it never was so")
        });
    }

    /// Everything has come to rest.
    pub(super) fn at_the_end(&mut self, world: &World, case: &Case) {
        for (index, entry) in world.entries.iter().enumerate() {
            if entry.author != Author::Customer || !self.told.contains_key(&index) {
                continue;
            }
            let outcomes = &self.told[&index].outcomes;
            let retried = outcomes.iter().any(|(turn, ..)| self.turns[turn].retried);
            // An arrival lists what a merge brought together with it, from a lane in
            // which it is being answered: known, and not mended.
            let merged = world
                .conversations
                .iter()
                .any(|other| other.merged_into.is_some());
            let listed = merged && outcomes.iter().any(|(turn, ..)| self.turns[turn].arrived);
            let settles =
                |outcome: &Outcome| matches!(outcome, Outcome::Replied | Outcome::HandedOff(_));
            let settled = outcomes
                .iter()
                .filter(|(_, outcome, _)| settles(outcome))
                .count();
            let dead = outcomes
                .iter()
                .any(|(_, outcome, _)| matches!(outcome, Outcome::Dead(_)));
            let (none, outcomes) = (outcomes.is_empty(), format!("{outcomes:?}"));
            self.hold(!none, || format!("i{index} has no outcome"));
            self.hold(settled <= 1 || retried || listed, || {
                format!("i{index} was settled twice: {outcomes}")
            });
            if settled == 0 && !dead {
                self.is_not_left(index, world, case);
            }
        }
    }

    /// A message that the relay left alone waits for nobody but a human.
    fn is_not_left(&mut self, index: usize, world: &World, case: &Case) {
        let entry = &world.entries[index];
        let state = world.state(entry.home);
        let later = world.entries[index + 1..]
            .iter()
            .any(|other| other.home == entry.home && other.content_type != "CONVERSATION_NOTE");
        // A human who had it and merged it has seen it.
        let merged = entry.home != entry.born;
        let lost = self.lost.contains(&entry.home) || case.limited || merged;
        // Whoever closes a conversation has seen what waits in it.
        let closed = world.was(entry.born, entry.seq, |state| state.closed);
        self.hold(!state.is_bots() || closed || later || lost, || {
            format!("i{index} waits for the bot, and nobody answers it")
        });
    }
}

/// The parts of a turn that are in Gladly, in the order in which they came.
fn parts_of(turn: TurnId, world: &World) -> Vec<(usize, PartKind)> {
    let parts = world.entries.iter().filter_map(|entry| match entry.author {
        Author::Relay(by, index, kind) if by == turn => Some((index, kind)),
        _ => None,
    });
    parts.collect()
}

fn is_unmerged(world: &World) -> bool {
    world.conversations.iter().all(|c| c.merged_into.is_none())
}
