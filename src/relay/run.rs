//! Runs a turn: does one action, stores what came of it, asks for the next.
//!
//! What must not be done twice is stored before it is done. Everything else is
//! stored with the next such thing: a kill in between only repeats a look.

mod trace;

use std::future::Future;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::breaker::Breaker;
use super::driving::Driving;
use super::late_note::LateNote;
use super::news::{News, TurnNews};
use super::turn::{Action, Context, Happened, PartKind, Purpose, Question, Step, Turn};
use super::{Account, Shared};
use crate::clock::{later, time_until};
use crate::conversation::{Clearance, Holder, Look, Whose};
use crate::gladly::{
    Admission, Ask, Conversation, Effort, Engaged, GladlyError, Permit, Permits, Precedence,
    Refusal, ReplyContent,
};
use crate::gleen::{self, GleenError};
use crate::id::{ConversationId, ItemId, TopicId};
use crate::outcome::Outcome;
use crate::store::{Learnt, Progress, Save, Standing, StoreError};

/// Text of this length or more, in bytes, is read where nobody else waits.
const MUCH_TEXT: usize = 8 * 1024;
/// How long between two tries to store something.
const STORE_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// A healthy Gleen mostly answers within this time.
const LONG_ENOUGH: Duration = Duration::from_secs(10);

/// One run of a turn, from claiming it to letting it go.
pub(super) struct Run {
    pub(super) shared: Arc<Shared>,
    pub(super) account: Arc<Account>,
    turn: Turn,
    /// What is known of the conversation, with the looks since it was stored.
    standing: Standing,
    /// How much of it the store has counted.
    revision: u64,
    /// For the calls that belong to the last one.
    permits: Permits,
    /// What it needs, for those who want to know whether they can be served.
    engaged: Engaged,
    /// What it is run under.
    driving: Arc<Driving>,
    /// What is told of it.
    news: TurnNews,
}

/// The store was told to stop, or gave the turn to somebody else.
struct LetGo;

impl Run {
    pub(super) fn new(
        shared: Arc<Shared>,
        account: Arc<Account>,
        turn: Turn,
        standing: Standing,
        driving: Arc<Driving>,
        news: TurnNews,
    ) -> Self {
        let revision = standing.known.facts.revision();
        let engaged = account.gladly.engage();
        Self {
            shared,
            account,
            turn,
            standing,
            revision,
            permits: Permits::default(),
            engaged,
            driving,
            news,
        }
    }

    /// Runs the turn until it ends, waits, or is let go.
    pub(super) async fn run(mut self) {
        let mut happened = Happened::Claimed;
        while let Some(action) = self.next(happened).await {
            self.engaged.set(self.turn.calls_left(&self.account.policy));
            let done = match action {
                Action::Wait { until, why } => return self.put_off(until, &why).await,
                Action::End(outcome) => return self.end(outcome).await,
                action => self.act(action).await,
            };
            match done {
                Ok(came) => happened = came,
                Err(LetGo) => return,
            }
        }
    }

    /// What is next. Much text is read on a thread of its own.
    async fn next(&mut self, happened: Happened) -> Option<Action> {
        let (account, shared) = (self.account.clone(), self.shared.clone());
        let (standing, revision) = (self.standing.clone(), self.revision);
        let backlog = account.gladly.takes();
        let much = happened.weight() >= MUCH_TEXT;
        let next = move |turn: &mut Turn| {
            let context = Context {
                policy: &account.policy,
                bot: &account.bot,
                handoff_inbox_id: &account.handoff_inbox_id,
                standing: &standing,
                revision,
                now: shared.clock.now(),
                wall: shared.clock.wall(),
                backlog,
                random: fastrand::f64(),
            };
            turn.next(happened, &context)
        };
        if !much {
            return Some(next(&mut self.turn));
        }
        let mut turn = self.turn.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let action = next(&mut turn);
            (turn, action)
        });
        match reading.await {
            Ok((turn, action)) => {
                self.turn = turn;
                Some(action)
            }
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // Only a runtime that stops cancels it.
            Err(_) => None,
        }
    }

    async fn act(&mut self, action: Action) -> Result<Happened, LetGo> {
        let permit = match self.turn.calls_together(&action) {
            0 => None,
            calls => match self.permit(calls).await {
                Ok(permit) => Some(permit),
                Err(happened) => return Ok(happened),
            },
        };
        let began = self.shared.clock.now();
        if matches!(action, Action::Fetch(_) | Action::List(_)) {
            self.turn.begin_read(began);
        }
        if permit.is_some() && !matches!(action, Action::Write(_)) {
            self.turn.begin_call(began);
        }
        let name = self.name_of(&action);
        let happened = self.make(action, permit).await?;
        if let Some(name) = name {
            self.trace_call(name, began.at, &happened);
        }
        Ok(happened)
    }

    async fn make(&mut self, action: Action, permit: Option<Permit>) -> Result<Happened, LetGo> {
        let happened = match (action, permit) {
            (Action::Look, Some(permit)) => self.look(permit).await,
            (Action::Trace(id), Some(permit)) => self.trace(permit, &id).await,
            (Action::Fetch(index), Some(permit)) => self.fetch(permit, index).await,
            (Action::List(purpose), Some(permit)) => self.list(permit, purpose).await,
            (Action::Write(index), Some(permit)) => return self.write(permit, index).await,
            (Action::Ask(question), _) => return self.ask(&question).await,
            (Action::Merge(into), _) => return self.merge(into).await,
            _ => Happened::Claimed,
        };
        Ok(happened)
    }

    fn target(&self) -> ConversationId {
        self.turn.target(&self.standing).clone()
    }

    fn precedence(&self) -> Precedence {
        match self.turn.step() {
            Step::Gather => Precedence::Fetch,
            Step::Deliver => Precedence::Reply,
            Step::Ask | Step::HandOff => Precedence::Settle,
        }
    }

    /// The right to make a call: one that was granted together with the last, or
    /// one that is waited for with all that belongs to it.
    async fn permit(&mut self, calls: u32) -> Result<Permit, Happened> {
        loop {
            if let Some(permit) = self.permits.take()
                && !self.account.gladly.is_locked_out()
            {
                return Ok(permit);
            }
            if self.turn.may_be_given_up() {
                // Counted in the queue while it waits there.
                self.engaged.set(0);
            }
            let waited = self.in_time(self.wait_for(calls)).await;
            self.engaged.set(self.turn.calls_left(&self.account.policy));
            self.permits = match waited {
                None => return Err(Happened::DeadlinePassed),
                Some(Ok(Admission::TooLate)) => return Err(Happened::TooLate),
                Some(Err(error)) => return Err(Happened::Failed(error)),
                Some(Ok(Admission::Granted(permits))) => permits,
            };
        }
    }

    /// Waits for calls. A handoff's become urgent while it waits, as its deadline
    /// comes near; once that has passed, they wait for those who can still be in time,
    /// as do those of what was heard of too late.
    async fn wait_for(&self, calls: u32) -> Result<Admission, GladlyError> {
        let gladly = &self.account.gladly;
        let now = self.shared.clock.now().at;
        let left = time_until(self.turn.deadline_at(), now);
        let ask = self.ask_for(calls, left);
        let late = Ask {
            precedence: Precedence::Late,
            ..ask
        };
        if self.turn.waits_overdue() {
            return gladly.permits(late).await;
        }
        let Some(calm_for) = self.turn.calm_for(now) else {
            return gladly.permits(ask).await;
        };
        let hurry_for = left.saturating_sub(calm_for);
        for (precedence, time) in [(ask.precedence, calm_for), (Precedence::Urgent, hurry_for)] {
            // Even a timeout of nothing would take a place before others.
            if !time.is_zero() {
                let permits = gladly.permits(Ask { precedence, ..ask });
                if let Ok(permits) = tokio::time::timeout(time, permits).await {
                    return permits;
                }
            }
        }
        // It delays nobody any more.
        self.engaged.set(0);
        gladly.permits(late).await
    }

    fn ask_for(&self, calls: u32, left: Duration) -> Ask {
        let now = Instant::now();
        let deadline = now + left;
        let effort = || {
            let calls = self.turn.calls_left(&self.account.policy);
            Effort::before(deadline, calls, self.account.thinking.longish(), now)
        };
        Ask {
            calls,
            effort: self.turn.may_be_given_up().then(effort),
            ..Ask::one(self.precedence(), deadline)
        }
    }

    async fn look(&mut self, permit: Permit) -> Happened {
        let (id, account) = (self.target(), self.account.clone());
        let at = self.shared.clock.now();
        let looking = async { Ok((at, account.gladly.conversation(permit, &id).await?)) };
        let looked: Result<_, GladlyError> = match self.in_time(looking).await {
            None => return Happened::DeadlinePassed,
            Some(looked) => looked,
        };
        match looked {
            Err(error) => Happened::Failed(error),
            Ok((at, Conversation { holder, status })) => {
                let look = Look {
                    base: self.revision,
                    holder,
                    status,
                    at,
                };
                self.standing.known.facts.see(&self.account.bot, &look);
                self.turn.saw(look);
                Happened::Looked
            }
        }
    }

    async fn trace(&self, permit: Permit, id: &ConversationId) -> Happened {
        let tracing = self.account.gladly.conversation(permit, id);
        self.came_of(tracing, |_| Happened::Traced).await
    }

    async fn fetch(&self, permit: Permit, index: usize) -> Happened {
        let Some(item_id) = self.turn.item_id(index) else {
            return Happened::Claimed;
        };
        let fetching = self.account.gladly.item(permit, item_id);
        self.came_of(fetching, |item| Happened::Fetched(Box::new(item)))
            .await
    }

    async fn list(&self, permit: Permit, purpose: Purpose) -> Happened {
        tracing::debug!(?purpose, "listing the conversation's items");
        let id = self.target();
        let listing = self.account.gladly.items(permit, &id);
        self.came_of(listing, Happened::Listed).await
    }

    async fn came_of<T>(
        &self,
        call: impl Future<Output = Result<T, GladlyError>>,
        happened: impl FnOnce(T) -> Happened,
    ) -> Happened {
        match self.in_time(call).await {
            None => Happened::DeadlinePassed,
            Some(Ok(value)) => happened(value),
            Some(Err(error)) => Happened::Failed(error),
        }
    }

    /// Waits for `work`, but no longer than the deadline where that ends it. Only
    /// for work that may be dropped anywhere.
    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        if !self.turn.is_cut_by_deadline() {
            return Some(work.await);
        }
        let left = time_until(self.turn.deadline_at(), self.shared.clock.now().at);
        // A timeout of nothing still lets work through that is done at once.
        if left.is_zero() {
            return None;
        }
        tokio::time::timeout(left, work).await.ok()
    }

    /// Puts the question to the bot. That it is being asked is stored first, and
    /// what the store then knows decides whether it still may be.
    async fn ask(&mut self, question: &Question) -> Result<Happened, LetGo> {
        let account = self.account.clone();
        let Some(permit) = self.in_time(account.question_permits.acquire()).await else {
            return Ok(Happened::DeadlinePassed);
        };
        // Never closed, so this only ever waits.
        let Ok(_permit) = permit else {
            return Ok(Happened::BreakerOpen);
        };
        if !self.breaker().admit(Instant::now()) {
            return Ok(Happened::BreakerOpen);
        }
        self.turn.begin_question(self.shared.clock.now());
        self.save_running(Vec::new(), false).await?;
        if !self.may_ask() {
            return Ok(Happened::NotMade);
        }
        let asked = gleen::Question {
            text: &question.text,
            thread_id: question.thread_id.as_ref(),
            locale: question.locale.as_deref(),
        };
        self.turn.begin_asking(self.shared.clock.now());
        let started = Instant::now();
        let answer = self.in_time(account.gleen.ask(asked)).await;
        if matches!(answer, Some(Ok(_))) {
            account.thinking.took(started.elapsed());
        }
        let happened = match answer {
            None => {
                // A question that had little time says nothing about Gleen's health.
                if started.elapsed() >= LONG_ENOUGH {
                    self.gleen_failed(&GleenError::Timeout);
                }
                return Ok(Happened::DeadlinePassed);
            }
            Some(Ok(answer)) => {
                self.gleen_answered();
                Happened::Answered(answer)
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "Gleen did not answer");
                self.gleen_failed(&error);
                Happened::GleenFailed(error)
            }
        };
        Ok(happened)
    }

    /// Writes a part into Gladly. The permit came first: while it was waited for, a
    /// human may have taken over. Now it is stored that the part may be there; what
    /// the store knows at that moment must clear the call.
    async fn write(&mut self, permit: Permit, index: usize) -> Result<Happened, LetGo> {
        let now = self.shared.clock.now();
        self.turn.begin_write(index, now);
        self.save_running(Vec::new(), true).await?;
        let Ok(clearance) = self.clear_write(index) else {
            return Ok(Happened::NotMade);
        };
        self.turn.begin_call(self.shared.clock.now());
        let written = self.call(permit, clearance, index).await;
        Ok(written.map_or_else(Happened::Failed, Happened::Written))
    }

    /// The one place where a write is cleared.
    fn clear_write(&self, index: usize) -> Result<Clearance, ()> {
        let now = self.shared.clock.now();
        let target = self.target();
        let kind = self.turn.part(index).map(|part| part.kind);
        let (moved, unseen) = (self.turn.has_moved(), self.turn.is_moving_unseen());
        let facts = &self.standing.known.facts;
        match kind {
            Some(PartKind::Note) if moved => facts.clear_note_after_move(&target, now).ok_or(()),
            Some(PartKind::Move) if unseen => facts
                .clear_move_unseen(&target, &self.account.bot, now)
                .ok_or(()),
            _ => self.clear(),
        }
    }

    fn may_ask(&self) -> bool {
        let (facts, now) = (&self.standing.known.facts, self.shared.clock.now());
        self.turn.whose_to_ask(facts, &self.account.bot, now) == Whose::Bots
    }

    fn clear(&self) -> Result<Clearance, ()> {
        let (target, since) = (self.target(), self.turn.since());
        let now = self.shared.clock.now();
        let facts = &self.standing.known.facts;
        if !self.turn.has_look(facts, now) {
            return Err(());
        }
        facts
            .clear(&target, &self.account.bot, since, now)
            .map_err(drop)
    }

    async fn call(
        &self,
        permit: Permit,
        clearance: Clearance,
        index: usize,
    ) -> Result<Option<ItemId>, GladlyError> {
        let account = self.account.clone();
        let gladly = &account.gladly;
        let reply_to = self.turn.reply_to();
        let leave_out = self.turn.leaves_agent_out();
        let Some(part) = self.turn.part(index).cloned() else {
            return Err(impossible("write"));
        };
        match part.kind {
            PartKind::Reply | PartKind::Message => {
                let Some((item_id, channel)) = reply_to else {
                    return Err(impossible("reply"));
                };
                let words = part.words();
                let content = ReplyContent {
                    channel,
                    part: &words,
                };
                if part.kind == PartKind::Message {
                    gladly.message(permit, clearance, &item_id, content).await
                } else {
                    gladly.reply(permit, clearance, &item_id, content).await
                }
            }
            PartKind::Note => gladly.note(permit, clearance, &part.body).await,
            PartKind::Topic => match TopicId::parse(&part.body) {
                Ok(topic) => gladly
                    .add_topic(permit, clearance, &topic)
                    .await
                    .map(|()| None),
                Err(_) => Err(impossible("add_topic")),
            },
            PartKind::Move => gladly
                .assign(permit, clearance, &account.handoff_inbox_id, !leave_out)
                .await
                .map(|()| None),
        }
    }

    async fn merge(&mut self, into: ConversationId) -> Result<Happened, LetGo> {
        tracing::info!(%into, "the conversation was merged into another");
        self.save_running(vec![Learnt::Merged(into)], false).await?;
        Ok(Happened::Merged)
    }

    async fn put_off(mut self, until: jiff::Timestamp, why: &str) {
        let now = self.shared.clock.now().at;
        let in_ms = u64::try_from(time_until(until, now).as_millis()).unwrap_or(u64::MAX);
        let (step, failures) = (self.turn.step().as_str(), self.turn.failures());
        tracing::warn!(step, why, failures, in_ms, "the turn waits");
        let state = Some(self.turn.to_store());
        // Whoever could not be told any more finds the turn as it was.
        let _: Result<(), LetGo> = self
            .save(Vec::new(), Progress::PutOff { state, until }, false)
            .await;
    }

    async fn end(mut self, outcome: Outcome) {
        let holder = self.standing.known.facts.holder().cloned();
        let at = self.shared.clock.now().at;
        self.turn.tell_end(&outcome, holder.as_ref(), at);
        let progress = self
            .turn
            .ended(outcome.clone(), self.account.calls_per_second);
        let counts = progress != Progress::Forgotten;
        if self.save(Vec::new(), progress, false).await.is_ok() && counts {
            let now = self.shared.clock.now().at;
            let took = time_until(now, self.turn.received_at());
            self.shared.metrics.turn(&self.account.name, &outcome, took);
            let news = News::Turn(self.news.clone().ended(&outcome, now));
            self.shared.newsroom.tell(news);
            let left_to = matches!(outcome, Outcome::Skipped(_))
                .then(|| self.standing.known.facts.holder())
                .flatten();
            log_end(&outcome, took, left_to);
            if !matches!(outcome, Outcome::Skipped(_)) {
                self.account.late_notes.forget(&self.target());
            }
            self.write_note_later();
            self.trace_turn(&outcome);
        }
    }

    /// A note that was left out is written when there is room; a stop forgets it.
    fn write_note_later(&self) {
        let Some(note) = self.turn.note_left_out() else {
            return;
        };
        self.shared.metrics.note_left_out(&self.account.name);
        let late = LateNote {
            shared: self.shared.clone(),
            account: self.account.clone(),
            conversation_id: self.target(),
            note: note.to_owned(),
        };
        late.spawn(self.driving.clone());
    }

    async fn save_running(&mut self, learnt: Vec<Learnt>, lasting: bool) -> Result<(), LetGo> {
        let (state, words) = self.turn.to_store();
        let progress = Progress::Running { state, words };
        self.save(learnt, progress, lasting).await
    }

    /// Stores where the turn is, for as long as it takes, and learns what is
    /// known of the conversation then.
    async fn save(
        &mut self,
        more: Vec<Learnt>,
        progress: Progress,
        lasting: bool,
    ) -> Result<(), LetGo> {
        let mut learnt = self.turn.take_learnt();
        learnt.extend(more);
        let trace = self.turn.trace().to_store();
        loop {
            let turn = &self.turn;
            let (turn_id, conversation_id) = (turn.id(), turn.conversation_id().clone());
            let save = Save {
                turn_id,
                account: self.account.name.clone(),
                conversation_id,
                bot: self.account.bot.clone(),
                runner: self.driving.runner,
                now: self.shared.clock.now(),
                learnt: learnt.clone(),
                progress: progress.clone(),
                trace: Some(trace.clone()),
                lasting,
            };
            match self.shared.store.save(save).await {
                Ok(standing) => {
                    self.revision = standing.known.facts.revision();
                    self.standing = standing;
                    return Ok(());
                }
                Err(StoreError::NotRunning) => {
                    tracing::warn!("the turn is run elsewhere now; whoever has it goes on");
                    return Err(LetGo);
                }
                Err(error) => {
                    tracing::error!(%error, "the turn's progress could not be stored; trying again");
                }
            }
            let pause = tokio::time::sleep(STORE_AGAIN_AFTER);
            if self
                .driving
                .let_go
                .run_until_cancelled(pause)
                .await
                .is_none()
            {
                return Err(LetGo);
            }
        }
    }

    fn gleen_answered(&self) {
        if self.breaker().succeed() {
            self.shared.metrics.breaker(&self.account.name, false);
            self.tell_of_account();
            tracing::info!("Gleen answers again: the breaker is closed");
        }
    }

    fn gleen_failed(&self, error: &GleenError) {
        if matches!(
            error,
            GleenError::NotTaken {
                throttled: true,
                ..
            } | GleenError::MaybeUnknownThread(_)
        ) {
            return;
        }
        if self.breaker().fail(Instant::now()) {
            self.shared.metrics.breaker(&self.account.name, true);
            self.tell_of_account();
            tracing::error!(%error, "Gleen failed too often in a row: the breaker is open and humans get the conversations");
        }
    }

    fn tell_of_account(&self) {
        let news = News::Account(self.account.name.clone());
        self.shared.newsroom.tell(news);
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.account
            .breaker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that can't be made, however often: as if Gladly refused it.
fn impossible(operation: &'static str) -> GladlyError {
    GladlyError::Refused {
        operation,
        refusal: Refusal::Other,
        codes: "there is nothing to write, or nobody to write to".to_owned(),
    }
}

/// How a turn that panicked is stored: as it was, to be tried again.
pub(super) fn after_panic(now: jiff::Timestamp) -> Progress {
    Progress::PutOff {
        state: None,
        until: later(now, STORE_AGAIN_AFTER),
    }
}

/// `left_to` is who has it, where the relay left it alone.
fn log_end(outcome: &Outcome, took: Duration, left_to: Option<&Holder>) {
    let (word, reason) = (outcome.as_str(), outcome.reason().unwrap_or_default());
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    if matches!(outcome, Outcome::Dead(_)) {
        tracing::error!(
            outcome = word,
            reason,
            took_ms,
            "the turn is a dead letter: a person must look"
        );
    } else {
        let inbox_id = left_to.map(|holder| holder.inbox_id.to_string());
        let agent_id = left_to.map(|holder| holder.agent_id.to_string());
        tracing::info!(
            outcome = word,
            reason,
            took_ms,
            inbox_id,
            agent_id,
            "the turn ended"
        );
    }
}
