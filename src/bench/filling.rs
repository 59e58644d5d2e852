//! Fills a relay's database with finished turns, by the store's own commands: as the
//! relay would, only without the calls in between.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use futures_util::future::try_join_all;
use serde_json::json;

use super::progress;
use super::scratch::Scratch;
use super::stage::IDENTIFIER;
use crate::clock::{Clock, SystemClock};
use crate::conversation::{Bot, Written};
use crate::id::{
    AccountName, AgentId, ConversationId, EventId, InboxId, ItemId, NotAnId, ThreadId,
};
use crate::outcome::Outcome;
use crate::store::{
    self, Change, ClaimRequest, Database, Delivery, Learnt, Lease, Organization, Peer, Progress,
    Runner, Save, Source, StoredTurn, Tally,
};

/// Turns at a time: as many as the store takes in one batch.
const AT_ONCE: usize = 256;
const ANSWER_DEADLINE: Duration = Duration::from_mins(1);

/// Adds so many turns, each of one message in a conversation of its own; `half_way` is
/// called when half of them are there.
pub(super) async fn fill(
    database: &Scratch,
    turns: usize,
    mut half_way: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let filler = Filler::open(database).await?;
    let mut told = None;
    for first in (0..turns).step_by(AT_ONCE) {
        let tenth = first * 10 / turns;
        let before = told.replace(tenth);
        if before != Some(tenth) {
            progress::tell(&format!("filling a database, {first} of {turns} turns"));
        }
        if before.is_some_and(|before| before < 5) && tenth >= 5 {
            half_way()?;
        }
        let numbers = first..turns.min(first + AT_ONCE);
        try_join_all(numbers.clone().map(|number| filler.record(number))).await?;
        filler.keep_driving().await?;
        let claimed = filler.store.claim(filler.claim()).await?;
        ensure!(claimed.turns.len() == numbers.len(), "a turn did not begin");
        // As a relay stores a turn: before it asks, before it replies, at its end.
        for step in ["asks", "replies"] {
            let state = json!({ "step": step }).to_string();
            let words = WORDS.repeat(4);
            let went = Progress::Running { state, words };
            let saves = claimed.turns.iter();
            let saves = saves.map(|(turn, _)| filler.save(turn, Vec::new(), went.clone()));
            try_join_all(saves).await?;
        }
        let ended = claimed.turns.iter();
        try_join_all(ended.map(|(turn, _)| filler.end(turn))).await?;
    }
    filler.close().await
}

/// What a question and its answer may be, in part.
const WORDS: &str = "Where is my order? It was to be here on Monday, and today is Thursday. \
    It is on its way: the parcel was handed over yesterday, and it arrives tomorrow. ";
/// The organization that is filled, which nobody else drives.
const ORGANIZATION: &str = "filling";

struct Filler {
    clock: SystemClock,
    account: AccountName,
    bot: Bot,
    store: Arc<dyn Database>,
    peer: Peer,
    /// What the turns are run under, where that has to be taken.
    lease: Option<Lease>,
}

impl Filler {
    async fn open(database: &Scratch) -> anyhow::Result<Self> {
        let store = store::open(&database.address(), database.key()).await?;
        let account = AccountName::new(IDENTIFIER);
        let peer = Peer {
            id: ORGANIZATION.to_owned(),
            name: ORGANIZATION.to_owned(),
            organizations: vec![ORGANIZATION.to_owned()],
        };
        let lease = match store.leases() {
            None => None,
            Some(leases) => {
                leases.renew(&peer).await?;
                let organization = Organization {
                    name: ORGANIZATION.to_owned(),
                    accounts: vec![account.clone()],
                };
                leases.take(&peer, &organization).await?
            }
        };
        Ok(Self {
            clock: SystemClock::begin(),
            account,
            bot: Bot {
                ai_inbox_id: InboxId::parse("ai-inbox")?,
                agent_id: AgentId::parse("gleen-bot")?,
            },
            store,
            peer,
            lease,
        })
    }

    async fn keep_driving(&self) -> anyhow::Result<()> {
        if let Some(leases) = self.store.leases() {
            leases.renew(&self.peer).await?;
        }
        Ok(())
    }

    async fn close(self) -> anyhow::Result<()> {
        if let (Some(leases), Some(lease)) = (self.store.leases(), &self.lease) {
            leases.give_back(lease, Duration::ZERO).await?;
            leases.leave(&self.peer).await?;
        }
        self.store.close().await;
        Ok(())
    }

    fn runner(&self) -> Runner {
        let alone = Runner(1);
        self.lease.as_ref().map_or(alone, |lease| lease.runner)
    }

    async fn record(&self, number: usize) -> anyhow::Result<()> {
        let id = scattered(number);
        let received = self.clock.now();
        let delivery = Delivery {
            account: self.account.clone(),
            bot: self.bot.clone(),
            event_id: EventId(format!("event{id}")),
            event_type: "CONTACT/MESSAGE_RECEIVED",
            happened_at: Some(received.at),
            raised_at: Some(received.at),
            received,
            answer_deadline: ANSWER_DEADLINE,
            source: Source::Webhook,
            change: message(&id)?,
        };
        self.store.record(delivery).await?;
        Ok(())
    }

    fn claim(&self) -> ClaimRequest {
        ClaimRequest {
            account: self.account.clone(),
            runner: self.runner(),
            limit: AT_ONCE,
            now: self.clock.now(),
            answer_deadline: ANSWER_DEADLINE,
            running: HashSet::new(),
            letting_go: None,
            lost: false,
        }
    }

    async fn end(&self, turn: &StoredTurn) -> anyhow::Result<()> {
        let items = turn.messages.iter().map(|message| message.item_id.clone());
        let written = Written {
            heard: 1,
            happened_at: Some(turn.received_at),
        };
        let thread = ThreadId(turn.id.to_string());
        let learnt = vec![
            Learnt::Thread(thread, written),
            Learnt::Settled(items.collect()),
        ];
        let ended = Progress::Ended {
            outcome: Outcome::Replied,
            may_have_written: true,
            state: "{}".to_owned(),
            tally: Tally::default(),
        };
        self.save(turn, learnt, ended).await
    }

    async fn save(
        &self,
        turn: &StoredTurn,
        learnt: Vec<Learnt>,
        progress: Progress,
    ) -> anyhow::Result<()> {
        let save = Save {
            turn_id: turn.id,
            account: turn.account.clone(),
            conversation_id: turn.conversation_id.clone(),
            bot: self.bot.clone(),
            runner: self.runner(),
            now: self.clock.now(),
            learnt,
            progress,
            trace: None,
            lasting: false,
        };
        self.store.save(save).await?;
        Ok(())
    }
}

fn message(id: &str) -> Result<Change, NotAnId> {
    Ok(Change::Message {
        conversation_id: ConversationId::parse(&format!("conversation{id}"))?,
        item_id: ItemId::parse(&format!("item{id}"))?,
        context: None,
    })
}

/// Ids in no order, as Gladly's are: neighbours are not on one page.
fn scattered(number: usize) -> String {
    let high = number.wrapping_mul(0x9E37_79B1) % (1 << 32);
    format!("{high:08x}{number:08x}")
}
