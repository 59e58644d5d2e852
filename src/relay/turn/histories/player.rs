//! Plays one history: people act, webhooks arrive in any order, calls fail in
//! every way, the process is killed. What `relay::run` does between two actions
//! stands here once more, without waiting: what is stored when, and what is
//! asked before a call.

use std::fmt::Write as _;
use std::time::Duration;

use fastrand::Rng;
use futures_util::FutureExt;
use jiff::Timestamp;

use super::case::{Act, Case, Thing};
use super::check::Check;
use super::world::{Tells, World, index_of, shown};
use crate::clock::{Moment, later};
use crate::conversation::Bot;
use crate::id::{AccountName, AgentId, EventId, InboxId};
use crate::relay::intake::believed;
use crate::relay::turn::{Action, Context, Happened, Turn};
use crate::store::{
    Answer, ClaimRequest, Command, Delivery, Learnt, Memory, Operations, Progress, Recorded,
    RetryRequest, Runner, Save, Source, Standing, StoreError, StoredTurn,
};

/// Actions of one run that are too many for whatever it is about.
const MOST_ACTIONS: u32 = 300;
/// Actions of one history that are too many.
const MOST_STEPS: u32 = 5_000;
/// How long after the last fault everything must have an end: the longest wait
/// that is honoured, and then some.
const ALL_DONE_AFTER: u64 = 20 * 60 * 1_000;

/// A turn that runs.
pub(super) struct Run {
    pub(super) turn: Turn,
    pub(super) standing: Standing,
    pub(super) revision: u64,
    pub(super) actions: u32,
    /// What it looked at, and when, that is not stored yet.
    pub(super) looked: Option<(usize, u64, u64)>,
    /// The bot was late: what was told to this run, a kill forgets.
    pub(super) timed_out: bool,
    happened: Option<Happened>,
}

/// The process was killed meanwhile.
#[derive(Debug)]
pub(super) struct Killed;

/// How late what a sweep finds late is, in milliseconds: after the deadline.
const LATE_FIND: u64 = 70_000;

pub(super) struct Player {
    pub(super) rng: Rng,
    pub(super) case: Case,
    pub(super) world: World,
    pub(super) check: Check,
    pub(super) bot: Bot,
    pub(super) handoff_inbox_id: InboxId,
    account: AccountName,
    store: Memory,
    running: Vec<Option<Run>>,
    clock: u32,
    clock_ahead_ms: i64,
    runner: Runner,
    /// How deep one turn's action stands in another's.
    depth: u32,
    steps: u32,
    is_down: bool,
    /// Kills are power cuts, half of them: the last commits that did not sync are lost.
    power_cuts: bool,
    /// The store before each commit since the last that synced.
    unsynced: Vec<Memory>,
    /// Every third event is found by a sweep, half of them late.
    sweeps: bool,
    /// Of calls that wait.
    backlog: Duration,
    /// What happened, if somebody wants to read it.
    pub(super) log: Option<String>,
}

impl Player {
    pub(super) fn new(seed: u64, verbose: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let case = Case::draw(&mut rng);
        let world = case.world(&mut rng);
        let clock_ahead_ms = case.clock(&mut rng);
        Self {
            rng,
            case,
            world,
            check: Check::default(),
            bot: Bot {
                ai_inbox_id: InboxId::parse("ai").unwrap(),
                agent_id: AgentId::parse("bot").unwrap(),
            },
            handoff_inbox_id: InboxId::parse("people").unwrap(),
            account: AccountName::new("acme"),
            store: Memory::new(),
            running: Vec::new(),
            clock: 1,
            clock_ahead_ms,
            runner: Runner(1),
            depth: 0,
            steps: 0,
            is_down: false,
            power_cuts: seed % 4 == 3,
            unsynced: Vec::new(),
            sweeps: seed % 3 == 2,
            backlog: Duration::ZERO,
            log: verbose.then(String::new),
        }
    }

    /// Plays it to its end; says which promise was broken.
    pub(super) fn play(&mut self) -> Result<(), String> {
        self.tell(|player| format!("{:#?}", player.case));
        while self.check.broken.is_none() {
            self.claim();
            let runs = self.running.iter().filter(|run| run.is_some()).count();
            if runs > 0 {
                let chosen = self.rng.usize(..runs);
                let mut slots =
                    (0..self.running.len()).filter(|slot| self.running[*slot].is_some());
                let slot = slots.nth(chosen).unwrap();
                self.step(slot);
                continue;
            }
            self.running.clear();
            if !self.idle() {
                break;
            }
        }
        let calm = self.world.now.min(self.case.calm_at);
        if self.world.now > calm + ALL_DONE_AFTER {
            self.check.broken("it took too long".to_owned());
        }
        self.check.at_the_end(&self.world, &self.case);
        self.check.broken.take().map_or(Ok(()), Err)
    }

    pub(super) fn tell(&mut self, what: impl FnOnce(&Self) -> String) {
        if self.log.is_some() {
            let what = what(self);
            let now = self.world.now;
            if let Some(log) = &mut self.log {
                let _ = writeln!(log, "{:>9}.{:03} {what}", now / 1_000, now % 1_000);
            }
        }
    }

    pub(super) fn is_calm(&self) -> bool {
        self.world.now >= self.case.calm_at
    }

    pub(super) fn now(&self) -> Moment {
        Moment {
            clock: self.clock,
            at: self.relay_time(self.world.now),
        }
    }

    fn relay_time(&self, at: u64) -> Timestamp {
        shown(at, self.clock_ahead_ms)
    }

    /// Goes to when something is to happen; false if nothing is.
    fn idle(&mut self) -> bool {
        let queued = self.case.queue.iter().map(|(at, _, _)| *at).min();
        let start = self.relay_time(0);
        let due = self.claim().map(|at| {
            let until = at.duration_since(start).as_millis();
            u64::try_from(until).unwrap_or_default()
        });
        if self.running.iter().any(Option::is_some) {
            return true;
        }
        let Some(next) = queued.into_iter().chain(due).min() else {
            return false;
        };
        self.count();
        self.advance(next.max(self.world.now + u64::from(due == Some(next))));
        true
    }

    fn count(&mut self) {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            self.check.broken("it does not end".to_owned());
        }
    }

    /// Lets at least so much time pass, and whatever comes with it.
    pub(super) fn pass(&mut self, ms: u64) -> Result<(), Killed> {
        let runner = self.runner;
        let until = self.world.now + ms;
        if self.depth < 2 && self.rng.u8(..4) == 0 {
            if self.rng.bool() {
                self.claim();
            }
            let slot = self.rng.usize(..self.running.len().max(1));
            self.depth += 1;
            self.step(slot);
            self.depth -= 1;
        }
        self.advance(until);
        if self.case.kills && !self.is_calm() && self.rng.u8(..40) == 0 && runner == self.runner {
            self.kill();
        }
        if runner == self.runner {
            Ok(())
        } else {
            Err(Killed)
        }
    }

    fn advance(&mut self, until: u64) {
        loop {
            let queue = self.case.queue.iter().enumerate();
            let next = queue.min_by_key(|(_, (at, order, _))| (*at, *order));
            let Some((index, (at, _, _))) = next.filter(|(_, (at, _, _))| *at <= until) else {
                break;
            };
            self.world.now = self.world.now.max(*at);
            let (_, _, thing) = self.case.queue.swap_remove(index);
            self.happen(thing);
        }
        self.world.now = self.world.now.max(until);
    }

    fn happen(&mut self, thing: Thing) {
        match thing {
            Thing::Act(act) => self.people_act(act),
            Thing::Deliver(event) if self.is_down => {
                let again = self.world.now + self.rng.u64(1_000..30_000);
                self.case.put(again, Thing::Deliver(event));
            }
            Thing::Deliver(event) => self.deliver(event),
            Thing::Land(id, write) => {
                let landed = self.world.write(&write);
                self.tell(|_| {
                    let part = (write.index, write.part.kind);
                    format!(
                        "lands: {} {part:?} in c{}: {landed:?}",
                        write.turn, write.target
                    )
                });
                self.case.landed.push((id, landed));
                self.raise_all();
            }
        }
    }

    fn people_act(&mut self, act: Act) {
        self.tell(|_| format!("people: {act:?}"));
        let calm = self.is_calm();
        let world = &mut self.world;
        match act {
            Act::Says(conversation, text, content_type) => {
                world.customer_says(conversation, &text, content_type);
            }
            Act::Answers(conversation) => world.human_says(conversation),
            Act::Assign(conversation, ai_inbox, agent) => {
                world.assign(conversation, ai_inbox, agent);
            }
            Act::Close(conversation, closed) => world.set_status(conversation, closed),
            Act::Merge(source, destination) => world.merge(source, destination),
            Act::Kill if calm => {}
            Act::Kill => self.kill(),
            Act::Retry => self.retry(),
        }
        self.raise_all();
    }

    /// Sends out what was raised since.
    fn raise_all(&mut self) {
        while self.case.raised < self.world.events.len() {
            let event = self.case.raised;
            self.case.raised += 1;
            let message = matches!(self.world.events[event].tells, Tells::Message(..));
            let times = self.case.deliveries(&mut self.rng, self.world.now, message);
            if times.is_empty() {
                self.check.lose(&self.world.events[event], &self.world);
            }
            let found_after =
                u64::from(self.is_swept(event) && event.is_multiple_of(2)) * LATE_FIND;
            for at in times {
                self.case.put(at + found_after, Thing::Deliver(event));
            }
        }
    }

    const fn is_swept(&self, event: usize) -> bool {
        self.sweeps && event.is_multiple_of(3)
    }

    /// How the relay hears of an event now, and how soon it must be dealt with.
    fn heard(&self, event: usize) -> (Source, Duration) {
        let deadline = self.case.policy.answer_deadline;
        if !self.is_swept(event) {
            return (Source::Webhook, deadline);
        }
        let age = Duration::from_millis(self.world.now - self.world.events[event].at);
        let overdue = age >= deadline;
        let left = if overdue {
            deadline
        } else {
            deadline.saturating_sub(age)
        };
        (Source::Sweep { overdue }, left)
    }

    fn deliver(&mut self, event: usize) {
        let raised = self.world.events[event].clone();
        let (source, answer_deadline) = self.heard(event);
        let received = self.now();
        let raised_at = self.world.gladly_time(raised.at);
        let happened_at = believed(raised_at, received.at);
        let delivery = Delivery {
            account: self.account.clone(),
            bot: self.bot.clone(),
            event_id: EventId(format!("e{event}")),
            event_type: "EVENT",
            happened_at: Some(happened_at),
            raised_at: Some(raised_at),
            received,
            answer_deadline,
            source,
            change: World::change(&raised),
        };
        let recorded = match self.run(Command::Record(delivery)) {
            Answer::Recorded(recorded) => recorded,
            other => panic!("{other:?}"),
        };
        self.tell(|_| format!("told: e{event} of {raised:?}: {recorded:?}"));
        if recorded == Recorded::Accepted {
            self.check.told(&raised, happened_at);
            self.check.found(&raised, source);
        }
    }

    fn run(&mut self, command: Command) -> Answer {
        if command.is_lasting() {
            self.unsynced.clear();
        } else if self.power_cuts {
            self.unsynced.push(self.store.copy());
        }
        self.store.run(command)
    }

    /// A prefix of what was done is left, and in it all that had to last.
    fn cut_power(&mut self) {
        let lost = self.rng.usize(..=self.unsynced.len());
        let left = self.unsynced.len() - lost;
        if lost > 0 {
            self.store = self.unsynced.swap_remove(left);
            let store = &self.store;
            self.check.power_cut(|turn| store.has_ended(turn));
            self.tell(|_| format!("the power was cut: {lost} commits are lost"));
        }
    }

    fn kill(&mut self) {
        self.running.clear();
        self.check.forget_looks();
        if self.power_cuts && self.rng.bool() {
            self.cut_power();
        }
        self.unsynced.clear();
        self.clock += 1;
        self.runner = Runner(self.runner.0 + 1);
        self.is_down = true;
        let down = if self.rng.bool() {
            0
        } else {
            self.rng.u64(..30_000)
        };
        self.advance(self.world.now + down);
        self.is_down = false;
        self.clock_ahead_ms = self.case.clock(&mut self.rng);
        self.store.restart(self.now().at);
        self.tell(|player| format!("killed; the clock is {} ms ahead", player.clock_ahead_ms));
    }

    fn retry(&mut self) {
        let letters = self.store.dead_letters().now_or_never().unwrap().unwrap();
        for letter in letters {
            let request = RetryRequest {
                id: letter.id,
                now: self.now(),
            };
            let retried = self.run(Command::RetryDeadLetter(request));
            self.tell(|_| format!("retried {letter:?}: {retried:?}"));
            if let Some(turn) = letter.turn_id {
                self.check.retried(turn);
            }
        }
    }

    /// Claims what is due; tells when the next is.
    fn claim(&mut self) -> Option<Timestamp> {
        let request = ClaimRequest {
            account: self.account.clone(),
            runner: self.runner,
            running: std::collections::HashSet::new(),
            letting_go: None,
            lost: false,
            limit: 64,
            now: self.now(),
            answer_deadline: self.case.policy.answer_deadline,
        };
        let claimed = match self.run(Command::Claim(request)) {
            Answer::Claimed(claimed) => claimed,
            other => panic!("{other:?}"),
        };
        for (stored, standing) in claimed.turns {
            self.start(stored, standing);
        }
        claimed.next_due_at
    }

    fn start(&mut self, stored: StoredTurn, standing: Standing) {
        let turn = Turn::restore(stored).unwrap();
        self.check.began(&turn, self.world.seq);
        self.tell(|_| {
            let items: Vec<&str> = turn.messages().iter().map(|m| m.item_id.as_str()).collect();
            format!(
                "claimed: {} in {} {items:?}",
                turn.id(),
                turn.conversation_id()
            )
        });
        self.running.push(Some(Run {
            turn,
            revision: standing.known.facts.revision(),
            standing,
            actions: 0,
            looked: None,
            timed_out: false,
            happened: Some(Happened::Claimed),
        }));
    }

    /// Does a turn's next action.
    fn step(&mut self, slot: usize) {
        let Some(mut run) = self.running.get_mut(slot).and_then(Option::take) else {
            return;
        };
        self.count();
        run.actions += 1;
        if run.actions > MOST_ACTIONS {
            self.check
                .broken(format!("turn {} goes in circles", run.turn.id()));
            return;
        }
        let runner = self.runner;
        let went_on = self.go_on(&mut run);
        if runner != self.runner || self.check.broken.is_some() {
            return;
        }
        match went_on {
            Ok(Some(happened)) if self.case.panics && !self.is_calm() && self.rng.u8(..60) == 0 => {
                self.tell(|_| format!("  {} panics after {happened:?}", run.turn.id()));
                let until = later(self.now().at, Duration::from_secs(1));
                let _ = self.store_it(
                    &mut run,
                    None,
                    Progress::PutOff { state: None, until },
                    false,
                );
            }
            Ok(Some(happened)) => {
                run.happened = Some(happened);
                self.running[slot] = Some(run);
            }
            Ok(None) | Err(Killed) => {}
        }
    }

    fn go_on(&mut self, run: &mut Run) -> Result<Option<Happened>, Killed> {
        let happened = run.happened.take().unwrap_or(Happened::Claimed);
        if self.rng.u8(..8) == 0 {
            self.backlog = Duration::from_secs(self.rng.u64(..2) * 60);
        }
        let said = self.log.is_some().then(|| format!("{happened:?}"));
        let context = Context {
            policy: &self.case.policy,
            bot: &self.bot,
            handoff_inbox_id: &self.handoff_inbox_id,
            standing: &run.standing,
            revision: run.revision,
            now: self.now(),
            wall: self.now().at,
            backlog: self.backlog,
            random: self.rng.f64(),
        };
        let action = run.turn.next(happened, &context);
        let id = run.turn.id();
        self.tell(|_| format!("  {id}: {} → {action:?}", said.unwrap_or_default()));
        match action {
            Action::Wait { until, .. } => {
                let state = Some(run.turn.to_store());
                self.save(run, Vec::new(), Progress::PutOff { state, until }, false)?;
                Ok(None)
            }
            Action::End(outcome) => {
                let progress = run.turn.ended(outcome.clone(), 10);
                self.save(run, Vec::new(), progress, false)?;
                self.check
                    .ended(&run.turn, &outcome, &self.world, &self.case);
                Ok(None)
            }
            action => self.act(run, action).map(Some),
        }
    }

    /// Stores where a turn is, as `Run::save` does.
    pub(super) fn save(
        &mut self,
        run: &mut Run,
        more: Vec<Learnt>,
        progress: Progress,
        lasting: bool,
    ) -> Result<(), Killed> {
        let until_stored = self.rng.u64(..3);
        self.pass(until_stored)?;
        let mut learnt = run.turn.take_learnt();
        learnt.extend(more);
        self.store_it(run, Some(learnt), progress, lasting)
    }

    fn store_it(
        &mut self,
        run: &mut Run,
        learnt: Option<Vec<Learnt>>,
        progress: Progress,
        lasting: bool,
    ) -> Result<(), Killed> {
        let save = Save {
            turn_id: run.turn.id(),
            account: self.account.clone(),
            conversation_id: run.turn.conversation_id().clone(),
            bot: self.bot.clone(),
            runner: self.runner,
            now: self.now(),
            learnt: learnt.unwrap_or_default(),
            progress,
            trace: Some(run.turn.trace().to_store()),
            lasting,
        };
        if let Some((conversation, seq, began)) = run.looked.take_if(|_| !save.learnt.is_empty()) {
            self.check.looked(conversation, seq, began);
        }
        match self.run(Command::Save(save)) {
            Answer::Saved(standing) => {
                run.revision = standing.known.facts.revision();
                run.standing = standing;
                Ok(())
            }
            Answer::Refused(StoreError::NotRunning) => {
                self.check
                    .broken(format!("turn {} is run twice", run.turn.id()));
                Err(Killed)
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn save_running(
        &mut self,
        run: &mut Run,
        learnt: Vec<Learnt>,
        lasting: bool,
    ) -> Result<(), Killed> {
        let (state, words) = run.turn.to_store();
        self.save(run, learnt, Progress::Running { state, words }, lasting)
    }

    pub(super) fn target(run: &Run) -> usize {
        index_of(run.turn.target(&run.standing).as_str())
    }
}
