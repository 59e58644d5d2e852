//! What the cases are run on, and short ways to say what they need.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;

use crate::clock::{Moment, later};
use crate::conversation::{Bot, Holder, Look, Named, Status, Written};
use crate::id::{AccountName, AgentId, ConversationId, EventId, InboxId, ItemId};
use crate::outcome::Outcome;
use crate::store::postgres::tests::{Own, key};
use crate::store::{
    Change, ClaimRequest, Database, DeadLetterId, Delivery, Learnt, Memory, Organization, Postgres,
    Progress, Recorded, RetryRequest, Runner, Save, Source, Sqlite, Store, StoredTurn, Tally,
};

/// The account's answer deadline, in seconds.
pub(in crate::store) const DEADLINE: u64 = 180;

/// What every turn tells of what it took.
pub(in crate::store) const TALLY: Tally = Tally {
    messages: 1,
    asked: true,
    calls: 3,
    per_second: 10,
};

/// A store that can be started anew.
pub(in crate::store) enum Bench {
    Memory(Box<Memory>),
    Sqlite(Sqlite, TempDir),
    Postgres(Box<Postgres>, Own),
}

impl Bench {
    pub(in crate::store) fn memory() -> Self {
        Self::Memory(Box::default())
    }

    pub(in crate::store) async fn sqlite() -> Self {
        Self::sqlite_in(tempfile::tempdir().unwrap()).await
    }

    pub(in crate::store) async fn sqlite_in(folder: TempDir) -> Self {
        let store = Sqlite::open_sealed(&folder.path().join("store.db"), key()).await;
        Self::Sqlite(store.unwrap(), folder)
    }

    /// None if PostgreSQL is not installed.
    pub(in crate::store) async fn postgres() -> Option<Self> {
        let own = Own::new()?;
        Some(Self::Postgres(Box::new(own.open().await), own))
    }

    pub(in crate::store) fn store(&self) -> &dyn Database {
        match self {
            Self::Memory(memory) => &**memory,
            Self::Sqlite(sqlite, _) => sqlite,
            Self::Postgres(postgres, _) => &**postgres,
        }
    }

    /// As after a kill: what ran goes on running for nobody.
    pub(in crate::store) async fn restart(&mut self) {
        match self {
            Self::Memory(memory) => memory.restart(Timestamp::now()),
            Self::Sqlite(sqlite, folder) => {
                sqlite.close().await;
                let path = folder.path().join("store.db");
                *sqlite = Sqlite::open_sealed(&path, key()).await.unwrap();
            }
            Self::Postgres(postgres, own) => {
                postgres.close().await;
                **postgres = own.open().await;
                let organization = Organization {
                    name: "test".to_owned(),
                    accounts: vec![account()],
                };
                postgres
                    .leases()
                    .unwrap()
                    .take_up(&organization)
                    .await
                    .unwrap();
                // There what was put off stays so, for the clock is the same.
                own.sql(
                    "UPDATE conversations SET due_at = waiting_since
                     WHERE waiting_since IS NOT NULL",
                );
            }
        }
    }

    /// Journals a delivery.
    pub(in crate::store) async fn record(&self, delivery: Delivery) -> Recorded {
        self.store().record(delivery).await.unwrap()
    }

    /// A customer writes in "c", and the turn begins a second later.
    pub(in crate::store) async fn begin_one(&self) -> StoredTurn {
        self.record(message("e1", "c", "i1", 0)).await;
        self.claim_one(1, 1).await
    }

    /// Claims the one turn that is due.
    pub(in crate::store) async fn claim_one(&self, runner: u32, second: u64) -> StoredTurn {
        let claimed = self.store().claim(claim(runner, second, 10)).await.unwrap();
        let mut turns = claimed.turns;
        assert_eq!(turns.len(), 1, "{turns:?}");
        turns.remove(0).0
    }
}

/// Seconds after the beginning of 2026.
pub(in crate::store) fn at(second: u64) -> Timestamp {
    let start = Timestamp::from_second(1_767_225_600).unwrap();
    later(start, Duration::from_secs(second))
}

pub(in crate::store) fn moment(second: u64) -> Moment {
    Moment {
        clock: 7,
        at: at(second),
    }
}

pub(in crate::store) fn account() -> AccountName {
    AccountName::new("acme")
}

pub(in crate::store) fn id(id: &str) -> ConversationId {
    ConversationId::parse(id).unwrap()
}

pub(in crate::store) fn item(id: &str) -> ItemId {
    ItemId::parse(id).unwrap()
}

pub(in crate::store) fn bot() -> Bot {
    Bot {
        ai_inbox_id: InboxId::parse("ai").unwrap(),
        agent_id: AgentId::parse("bot").unwrap(),
    }
}

pub(in crate::store) fn the_bots() -> Holder {
    Holder::inbox(bot().ai_inbox_id)
}

pub(in crate::store) fn human() -> Holder {
    Holder {
        agent_id: Named::This(AgentId::parse("human").unwrap()),
        ..the_bots()
    }
}

pub(in crate::store) fn look(base: u64, holder: Holder, second: u64) -> Look {
    Look {
        base,
        holder,
        status: Status::Open,
        at: moment(second),
    }
}

pub(in crate::store) fn written(heard: u64, second: u64) -> Written {
    Written {
        heard,
        happened_at: Some(at(second)),
    }
}

pub(in crate::store) fn delivery(event: &str, second: u64, change: Change) -> Delivery {
    Delivery {
        account: account(),
        bot: bot(),
        event_id: EventId(event.to_owned()),
        event_type: "TEST",
        happened_at: Some(at(second)),
        raised_at: Some(at(second)),
        received: moment(second),
        answer_deadline: Duration::from_secs(DEADLINE),
        source: Source::Webhook,
        change,
    }
}

pub(in crate::store) fn message(
    event: &str,
    conversation: &str,
    item_id: &str,
    second: u64,
) -> Delivery {
    let change = Change::Message {
        conversation_id: id(conversation),
        item_id: item(item_id),
        context: None,
    };
    delivery(event, second, change)
}

pub(in crate::store) fn merge(
    event: &str,
    source: &str,
    destination: &str,
    second: u64,
) -> Delivery {
    let change = Change::Merge {
        source: id(source),
        destination: id(destination),
    };
    delivery(event, second, change)
}

pub(in crate::store) fn claim(runner: u32, second: u64, limit: usize) -> ClaimRequest {
    ClaimRequest {
        account: account(),
        runner: Runner(runner),
        running: HashSet::new(),
        letting_go: None,
        lost: false,
        limit,
        now: moment(second),
        answer_deadline: Duration::from_secs(DEADLINE),
    }
}

pub(in crate::store) fn retry(id: DeadLetterId, second: u64) -> RetryRequest {
    RetryRequest {
        id,
        now: moment(second),
    }
}

pub(in crate::store) fn save(
    turn: &StoredTurn,
    runner: u32,
    second: u64,
    learnt: Vec<Learnt>,
    progress: Progress,
) -> Save {
    Save {
        turn_id: turn.id,
        account: turn.account.clone(),
        conversation_id: turn.conversation_id.clone(),
        bot: bot(),
        runner: Runner(runner),
        now: moment(second),
        learnt,
        progress,
        trace: None,
        lasting: false,
    }
}

pub(in crate::store) fn running(state: &str) -> Progress {
    Progress::Running {
        state: state.to_owned(),
        words: format!("words of {state}"),
    }
}

pub(in crate::store) fn ended(outcome: Outcome) -> Progress {
    Progress::Ended {
        outcome,
        may_have_written: false,
        state: "last".to_owned(),
        tally: TALLY,
    }
}

pub(in crate::store) fn dead(may_have_written: bool) -> Progress {
    Progress::Ended {
        outcome: Outcome::Dead("it broke".to_owned()),
        may_have_written,
        state: "last".to_owned(),
        tally: TALLY,
    }
}
