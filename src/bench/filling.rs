//! Fills a relay's file with finished turns, by the store's own commands: as the
//! relay would, only without the calls in between.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use futures_util::future::try_join_all;

use super::progress;
use super::stage::{IDENTIFIER, database_in};
use crate::clock::{Clock, SystemClock};
use crate::conversation::{Bot, Written};
use crate::id::{
    AccountName, AgentId, ConversationId, EventId, InboxId, ItemId, NotAnId, ThreadId,
};
use crate::outcome::Outcome;
use crate::store::{
    Change, ClaimRequest, Delivery, Learnt, Progress, Runner, Save, Source, Sqlite, Store,
    StoredTurn, Tally,
};

/// Turns at a time: as many as the store takes in one batch.
const AT_ONCE: usize = 256;
const ANSWER_DEADLINE: Duration = Duration::from_mins(1);
const RUNNER: Runner = Runner(1);

/// Adds so many turns, each of one message in a conversation of its own.
pub(super) async fn fill(folder: &Path, turns: usize) -> anyhow::Result<()> {
    let store = Sqlite::open(&database_in(folder)).await?;
    let filler = Filler {
        clock: SystemClock::begin(),
        account: AccountName::new(IDENTIFIER),
        bot: Bot {
            ai_inbox_id: InboxId::parse("ai-inbox")?,
            agent_id: AgentId::parse("gleen-bot")?,
        },
        store,
    };
    let mut told = None;
    for first in (0..turns).step_by(AT_ONCE) {
        let tenth = first * 10 / turns;
        if told.replace(tenth) != Some(tenth) {
            progress::tell(&format!("filling a file, {first} of {turns} turns"));
        }
        let numbers = first..turns.min(first + AT_ONCE);
        try_join_all(numbers.clone().map(|number| filler.record(number))).await?;
        let claimed = filler.store.claim(filler.claim()).await?;
        ensure!(claimed.turns.len() == numbers.len(), "a turn did not begin");
        let ended = claimed.turns.iter();
        try_join_all(ended.map(|(turn, _)| filler.end(turn))).await?;
    }
    filler.store.close().await;
    Ok(())
}

struct Filler {
    clock: SystemClock,
    account: AccountName,
    bot: Bot,
    store: Sqlite,
}

impl Filler {
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
            runner: RUNNER,
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
        let save = Save {
            turn_id: turn.id,
            account: turn.account.clone(),
            conversation_id: turn.conversation_id.clone(),
            bot: self.bot.clone(),
            runner: RUNNER,
            now: self.clock.now(),
            learnt: vec![
                Learnt::Thread(thread, written),
                Learnt::Settled(items.collect()),
            ],
            progress: Progress::Ended {
                outcome: Outcome::Replied,
                may_have_written: true,
                state: "{}".to_owned(),
                tally: Tally::default(),
            },
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
