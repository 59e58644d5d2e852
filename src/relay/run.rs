//! Runs a turn: does one action, stores what came of it, asks for the next.
//!
//! What must not be done twice is stored before it is done, and what took long once it
//! is there. Everything else is stored with the next such thing: a kill in between
//! repeats a look, or a question that was answered at once.

mod ask;
mod end;
mod permits;
mod read;
mod save;
mod spans;
mod write;

use std::sync::Arc;

use super::driving::Driving;
use super::news::TurnNews;
use super::turn::{Action, Context, Happened, Turn};
use super::{Account, Shared};
use crate::gladly::{Engaged, Permit, Permits};
use crate::id::ConversationId;
use crate::store::{Learnt, Standing};

pub(super) use save::after_panic;

/// Text of this length or more, in bytes, is read where nobody else waits.
const MUCH_TEXT: usize = 8 * 1024;

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
    /// The bot thought long about an answer that the store does not have yet.
    answer_unstored: bool,
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
            answer_unstored: false,
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
        if self.answer_unstored {
            self.save_running(Vec::new(), false).await?;
        }
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
            self.tell_call(name, began.at, &happened);
        }
        Ok(happened)
    }

    async fn make(&mut self, action: Action, permit: Option<Permit>) -> Result<Happened, LetGo> {
        let happened = match (action, permit) {
            (Action::Look, Some(permit)) => self.look(permit).await,
            (Action::LookElsewhere(id), Some(permit)) => self.look_elsewhere(permit, &id).await,
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

    async fn merge(&mut self, into: ConversationId) -> Result<Happened, LetGo> {
        tracing::info!(%into, "the conversation was merged into another");
        self.save_running(vec![Learnt::Merged(into)], false).await?;
        Ok(Happened::Merged)
    }
}
