//! What each action does, with whatever can become of it: `relay::run`'s calls
//! without a wire.

use std::time::Duration;

use super::case::{Fate, Op, Thing};
use super::player::{Killed, Player, Run};
use super::world::{Write, index_of, refused};
use crate::clock::{later, time_until};
use crate::conversation::{Clearance, FRESH, Look, Whose};
use crate::gladly::{GladlyError, Listed, Refusal};
use crate::gleen::{Answer, GleenError};
use crate::id::ThreadId;
use crate::relay::turn::{Action, Happened, PartKind, Question};
use crate::store::Learnt;

impl Player {
    pub(super) fn act(&mut self, run: &mut Run, action: Action) -> Result<Happened, Killed> {
        let calls = run.turn.calls_together(&action);
        if calls > 0 && run.turn.may_be_given_up() && self.rng.u8(..30) == 0 {
            return Ok(Happened::TooLate);
        }
        match action {
            Action::Look => self.look(run),
            Action::LookElsewhere(id) => {
                let index = index_of(id.as_str());
                self.get(
                    run,
                    Op::Look,
                    |player| player.world.look(index),
                    |_| Happened::LookedElsewhere,
                )
            }
            Action::Fetch(message) => {
                let Some(index) = run.turn.item_id(message).map(|id| index_of(id.as_str())) else {
                    return Ok(Happened::Claimed);
                };
                let read = |player: &mut Self| Ok(player.world.item(index));
                self.get(run, Op::Item, read, |item| {
                    Happened::Fetched(Box::new(item))
                })
            }
            Action::List(_) => {
                let index = Self::target(run);
                let complete = self.is_calm() || self.rng.u8(..20) != 0;
                self.case.limited |= !complete;
                let read = |player: &mut Self| player.world.items(index);
                let listed = |items| Happened::Listed(Listed { items, complete });
                self.get(run, Op::List, read, listed)
            }
            Action::Ask(question) => self.ask(run, &question),
            Action::Write(index) => self.write(run, index),
            Action::Merge(into) => {
                self.save_running(run, vec![Learnt::Merged(into)], false)?;
                Ok(Happened::Merged)
            }
            Action::Wait { .. } | Action::End(_) => Ok(Happened::Claimed),
        }
    }

    /// Waits so long, but no longer than the deadline where that counts.
    fn in_time(&mut self, run: &Run, ms: u64) -> Result<bool, Killed> {
        if run.turn.deadline_counts() {
            let left = time_until(run.turn.deadline_at(), self.now().at);
            let left = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
            if left <= ms {
                self.pass(left)?;
                return Ok(false);
            }
        }
        self.pass(ms)?;
        Ok(true)
    }

    /// Waits for a permit.
    fn permit(&mut self, run: &Run) -> Result<Option<Result<(), GladlyError>>, Killed> {
        let wait = self.case.permit(&mut self.rng, self.world.now);
        if !self.in_time(run, wait)? {
            return Ok(None);
        }
        Ok(Some(self.case.lockout(&mut self.rng, self.world.now)))
    }

    /// A call that only reads.
    fn get<T>(
        &mut self,
        run: &mut Run,
        op: Op,
        read: impl FnOnce(&mut Self) -> Result<T, GladlyError>,
        happened: impl FnOnce(T) -> Happened,
    ) -> Result<Happened, Killed> {
        match self.permit(run)? {
            None => return Ok(Happened::DeadlinePassed),
            Some(Err(error)) => return Ok(Happened::Failed(error)),
            Some(Ok(())) => {}
        }
        if matches!(op, Op::Item | Op::List) {
            run.turn.begin_read(self.now());
        }
        let (fate, before, after) = self.case.fate(&mut self.rng, self.world.now, op);
        if !self.in_time(run, before)? {
            return Ok(Happened::DeadlinePassed);
        }
        let came = match fate {
            Fate::Fine => read(self),
            Fate::Fails(error) | Fate::Unknown(error, _) => Err(error),
        };
        if !self.in_time(run, after)? {
            return Ok(Happened::DeadlinePassed);
        }
        Ok(came.map_or_else(Happened::Failed, happened))
    }

    fn look(&mut self, run: &mut Run) -> Result<Happened, Killed> {
        let index = Self::target(run);
        let base = run.revision;
        let mut seen = None;
        let mut begun = None;
        let read = |player: &mut Self| {
            seen = Some((player.world.seq, player.world.now));
            player.world.look(index)
        };
        // The permit comes first; the look is as old as its call.
        match self.permit(run)? {
            None => return Ok(Happened::DeadlinePassed),
            Some(Err(error)) => return Ok(Happened::Failed(error)),
            Some(Ok(())) => begun.replace((self.now(), self.world.now)),
        };
        let came = self.called(run, Op::Look, read)?;
        let (Some((at, true_time)), Some(came)) = (begun, came) else {
            return Ok(Happened::DeadlinePassed);
        };
        let conversation = match came {
            Ok(conversation) => conversation,
            Err(error) => return Ok(Happened::Failed(error)),
        };
        if let Some((seq, _)) = seen {
            run.looked = Some((index, seq, true_time));
        }
        let look = Look {
            base,
            holder: conversation.holder,
            status: conversation.status,
            at,
        };
        run.standing.known.facts.see(&self.bot, &look);
        run.turn.saw(look);
        Ok(Happened::Looked)
    }

    fn called<T>(
        &mut self,
        run: &Run,
        op: Op,
        read: impl FnOnce(&mut Self) -> Result<T, GladlyError>,
    ) -> Result<Option<Result<T, GladlyError>>, Killed> {
        let (fate, before, after) = self.case.fate(&mut self.rng, self.world.now, op);
        if !self.in_time(run, before)? {
            return Ok(None);
        }
        let came = match fate {
            Fate::Fine => read(self),
            Fate::Fails(error) | Fate::Unknown(error, _) => Err(error),
        };
        Ok(self.in_time(run, after)?.then_some(came))
    }

    fn clear(&mut self, run: &Run) -> Option<Clearance> {
        let (id, since) = (run.turn.target(&run.standing), run.turn.since());
        let facts = &run.standing.known.facts;
        let now = self.now();
        if !run.turn.has_look(facts, now) {
            return None;
        }
        let clear = || facts.clear(id, &self.bot, since, now).ok();
        if let Some(old) = clear() {
            let mut late = now;
            late.at = later(now.at, FRESH + Duration::from_millis(1));
            if old.spend(late).is_ok() {
                self.check
                    .broken("an old clearance was accepted".to_owned());
            }
        }
        clear()
    }

    fn clear_write(&mut self, run: &Run, index: usize) -> Option<Clearance> {
        let id = run.turn.target(&run.standing);
        let kind = run.turn.part(index).map(|part| part.kind);
        let facts = &run.standing.known.facts;
        match kind {
            Some(PartKind::Note) if run.turn.has_moved() => {
                facts.clear_note_after_move(id, self.now())
            }
            Some(PartKind::Move) if run.turn.is_moving_unseen() => {
                facts.clear_move_unseen(id, &self.bot, self.now())
            }
            _ => self.clear(run),
        }
    }

    fn write(&mut self, run: &mut Run, index: usize) -> Result<Happened, Killed> {
        match self.permit(run)? {
            None => return Ok(Happened::DeadlinePassed),
            Some(Err(error)) => return Ok(Happened::Failed(error)),
            Some(Ok(())) => {}
        }
        let begun = self.world.now;
        run.turn.begin_write(index, self.now());
        self.save_running(run, Vec::new(), true)?;
        let told = self.check.told_so_far();
        // What is recorded from here on comes too late to be known.
        let until_sent = self.rng.u64(..3);
        self.pass(until_sent)?;
        let Some(clearance) = self.clear_write(run, index) else {
            return Ok(Happened::NotMade);
        };
        let stale = |operation| Ok(Happened::Failed(GladlyError::Stale { operation }));
        let Some(part) = run.turn.part(index).cloned() else {
            return stale("write");
        };
        let kind = part.kind;
        let reply_to = run.turn.reply_to().map(|(item, _)| index_of(item.as_str()));
        if matches!(kind, PartKind::Reply | PartKind::Message) && reply_to.is_none() {
            return stale("reply");
        }
        let Ok(target) = clearance.spend(self.now()) else {
            return stale("spend");
        };
        let write = Write {
            turn: run.turn.id(),
            index,
            part,
            target: index_of(target.as_str()),
            reply_to,
        };
        self.check.posts(run, &write, &self.world, told, &self.case);
        let written = self.send(run, write, begun)?;
        Ok(written.map_or_else(Happened::Failed, Happened::Written))
    }

    fn send(
        &mut self,
        run: &Run,
        write: Write,
        begun: u64,
    ) -> Result<Result<Option<crate::id::ItemId>, GladlyError>, Killed> {
        let kind = write.part.kind;
        let op = Op::of(kind);
        let (fate, before, after) = self.case.fate(&mut self.rng, self.world.now, op);
        let call = self.case.landings;
        self.case.landings += 1;
        if kind == PartKind::Move && self.case.wants_no_agent && !run.turn.leaves_agent_out() {
            self.pass(before + after)?;
            return Ok(Err(refused("assign", Refusal::Agent)));
        }
        let settled = begun + u64::try_from(self.case.policy.settle_time.as_millis()).unwrap();
        let error = match fate {
            Fate::Fine => {
                let at = (self.world.now + before)
                    .min(settled - 1)
                    .max(self.world.now);
                self.case.put(at, Thing::Land(call, write));
                self.pass(before + 1)?;
                None
            }
            Fate::Fails(error) => Some(error),
            Fate::Unknown(error, lands) => {
                if let Some(delay) = lands {
                    let at = (self.world.now + delay)
                        .min(settled - 1)
                        .max(self.world.now);
                    self.case.put(at, Thing::Land(call, write));
                }
                Some(error)
            }
        };
        self.pass(after)?;
        if let Some(error) = error {
            return Ok(Err(error));
        }
        let found = self.case.landed.iter().position(|(id, _)| *id == call);
        Ok(self.case.landed.swap_remove(found.unwrap()).1)
    }

    fn ask(&mut self, run: &mut Run, question: &Question) -> Result<Happened, Killed> {
        let wait = if self.rng.u8(..20) == 0 {
            self.rng.u64(..20_000)
        } else {
            0
        };
        if !self.in_time(run, wait)? {
            return Ok(Happened::DeadlinePassed);
        }
        if !self.is_calm() && self.case.faults > 0 && self.rng.u8(..50) == 0 {
            return Ok(Happened::BreakerOpen);
        }
        run.turn.begin_question(self.now());
        self.save_running(run, Vec::new(), false)?;
        let told = self.check.told_so_far();
        self.pass(0)?;
        let facts = &run.standing.known.facts;
        if run.turn.whose_to_ask(facts, &self.bot, self.now()) != Whose::Bots {
            return Ok(Happened::NotMade);
        }
        self.check.asks(run, &question.text, &self.world, told);
        let id = run.turn.id();
        let (answer, takes) = self.case.answer(&mut self.rng, self.world.now, question);
        let certain = matches!(
            answer,
            Err(GleenError::NotTaken { .. } | GleenError::MaybeUnknownThread(_))
        );
        if certain {
            self.check.took_no_question(id);
        }
        if !self.in_time(run, takes)? {
            return Ok(Happened::DeadlinePassed);
        }
        run.timed_out |= matches!(answer, Err(GleenError::Timeout));
        Ok(match answer {
            Ok(text) => Happened::Answered(self.answer_of(text)),
            Err(error) => Happened::GleenFailed(error),
        })
    }

    fn answer_of(&mut self, text: Option<String>) -> Answer {
        self.case.threads += 1;
        Answer {
            thread_id: Some(ThreadId(format!("t{}", self.case.threads))),
            text,
            wants_human: self.rng.u8(..20) == 0,
        }
    }
}
