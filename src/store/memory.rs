//! The store in memory: for tests in which no file matters. It keeps to what
//! [`Store`] and [`Operations`] promise, but for what a restart would survive.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;

use super::apply::apply;
use super::lane::Lane;
use super::picture::{Changes, Conversation, Key, Needs, Picture, TurnChange};
use super::totals::{self, Total, TotalKey, hour_of};
use super::types::{
    Answer, Backlog, ClaimRequest, Claimed, Command, DeadLetter, DeadLetterId, Delivery, Recorded,
    RetryRequest, Save, Standing, StoreError, StoredTurn, Swept,
};
use super::{History, Operations, Remembered, Store, TurnQuery, TurnRow};
use crate::clock::{earlier, time_until};
use crate::id::{AccountName, ConversationId, EventId, ItemId, TurnId};

/// A store that is gone with its process.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Tables>);

#[derive(Debug, Default, Clone)]
struct Tables {
    closed: bool,
    /// From when on the age of each counts, and when it was raised.
    events: HashMap<(AccountName, EventId), (Timestamp, Option<Timestamp>)>,
    /// From when on the age of each counts.
    items: HashMap<(AccountName, ItemId), Timestamp>,
    forgotten_until: HashMap<AccountName, Timestamp>,
    conversations: HashMap<Key, Row>,
    due: HashMap<AccountName, BTreeSet<(Timestamp, ConversationId)>>,
    turns: BTreeMap<TurnId, StoredTurn>,
    dead_letters: BTreeMap<DeadLetterId, DeadLetter>,
    swept_until: HashMap<AccountName, Timestamp>,
    totals: BTreeMap<TotalKey, Total>,
    last_turn_id: i64,
    last_dead_letter_id: i64,
}

#[derive(Debug, Clone)]
struct Row {
    conversation: Conversation,
    due_at: Option<Timestamp>,
    touched_at: Timestamp,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Does one command at once.
    pub fn run(&self, command: Command) -> Answer {
        let mut tables = self.tables();
        if tables.closed {
            return Answer::Refused(closed());
        }
        let mut picture = tables.load(&Needs::of(&command));
        let answer = apply(command, &mut picture);
        tables.last_turn_id = picture.next_turn_id - 1;
        tables.save(picture.changes);
        answer
    }

    /// Opens it anew, as a process does that starts after another was killed:
    /// every lane that has work is due at once, whatever clock told of it.
    pub fn restart(&self, now: Timestamp) {
        let mut tables = self.tables();
        let tables = &mut *tables;
        tables.closed = false;
        for (key, row) in &mut tables.conversations {
            let due_at = row
                .conversation
                .lane
                .waiting_since()
                .map(|since| since.min(now));
            row.conversation.due_at = due_at;
            set_due(&mut tables.due, key, row.due_at, due_at);
            row.due_at = due_at;
        }
    }

    /// As it is now: what a power cut may leave of it later.
    #[cfg(test)]
    pub(crate) fn copy(&self) -> Self {
        Self(Mutex::new(self.tables().clone()))
    }

    /// Whether a turn has ended; none if there is no such turn.
    #[cfg(test)]
    pub(crate) fn has_ended(&self, turn: TurnId) -> Option<bool> {
        let tables = self.tables();
        tables.turns.get(&turn).map(|turn| turn.end.is_some())
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        // A test that panicked elsewhere has left whole values behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> Result<MutexGuard<'_, Tables>, StoreError> {
        let tables = self.tables();
        if tables.closed {
            Err(closed())
        } else {
            Ok(tables)
        }
    }
}

impl Tables {
    fn load(&self, needs: &Needs) -> Picture {
        let mut picture = Picture {
            next_turn_id: self.last_turn_id + 1,
            ..Picture::default()
        };
        for event in &needs.events {
            if self.events.contains_key(event) {
                picture.events.insert(event.clone());
            }
            if let Some(until) = self.forgotten_until.get(&event.0) {
                picture.forgotten_until.insert(event.0.clone(), *until);
            }
        }
        for item in &needs.items {
            if self.items.contains_key(item) {
                picture.items.insert(item.clone());
            }
        }
        for key in &needs.conversations {
            self.load_conversation(key, &mut picture);
        }
        if let Some(request) = &needs.due {
            self.load_due(request, &mut picture);
        }
        if let Some(letter) = needs.dead_letter.and_then(|id| self.dead_letters.get(&id)) {
            if let Some(conversation_id) = &letter.conversation_id {
                let key = (letter.account.clone(), conversation_id.clone());
                self.load_conversation(&key, &mut picture);
            }
            if let Some(turn_id) = letter.turn_id {
                self.load_turn(turn_id, &mut picture);
            }
            picture.dead_letter = Some(letter.clone());
        }
        if let Some(account) = &needs.unusable_of {
            let letters = self.dead_letters.values();
            let unusable =
                letters.filter(|letter| letter.account == *account && letter.turn_id.is_none());
            picture.unusable = unusable.count();
        }
        picture
    }

    fn load_conversation(&self, key: &Key, picture: &mut Picture) {
        let mut key = key.clone();
        while !picture.conversations.contains_key(&key) {
            let Some(row) = self.conversations.get(&key) else {
                return;
            };
            let conversation = row.conversation.clone();
            let into = conversation.merged_into.clone();
            picture.conversations.insert(key.clone(), conversation);
            match into {
                Some(into) => key.1 = into,
                None => return,
            }
        }
    }

    fn load_due(&self, request: &ClaimRequest, picture: &mut Picture) {
        let Some(due) = self.due.get(&request.account) else {
            return;
        };
        let late_before = request.late_before();
        let (late, in_time): (Vec<_>, Vec<_>) =
            due.iter().partition(|(due_at, _)| *due_at < late_before);
        for range in [in_time, late] {
            for (due_at, conversation_id) in range {
                if *due_at > request.now.at || picture.due.len() >= request.limit {
                    let next = picture.next_due_at.into_iter().chain([*due_at]).min();
                    picture.next_due_at = next;
                    break;
                }
                let key = (request.account.clone(), conversation_id.clone());
                self.load_conversation(&key, picture);
                for turn_id in picture.conversation(&key).lane.claimable(request) {
                    self.load_turn(turn_id, picture);
                }
                picture.due.push(key);
            }
        }
    }

    fn load_turn(&self, id: TurnId, picture: &mut Picture) {
        if let Some(turn) = self.turns.get(&id) {
            let key = (turn.account.clone(), turn.conversation_id.clone());
            self.load_conversation(&key, picture);
            picture.turns.insert(id, Ok(turn.clone()));
        }
    }

    fn save(&mut self, changes: Changes) {
        for (account, event_id, received_at, happened_at) in changes.events {
            self.events
                .insert((account, event_id), (received_at, happened_at));
        }
        for (account, item_id, received_at) in changes.items {
            self.items.insert((account, item_id), received_at);
        }
        let touched_at = changes.now.unwrap_or(Timestamp::MIN);
        for (key, (conversation, due_at)) in changes.conversations {
            let row = Row {
                conversation,
                due_at,
                touched_at,
            };
            let before = self.conversations.insert(key.clone(), row);
            let before = before.and_then(|row| row.due_at);
            set_due(&mut self.due, &key, before, due_at);
        }
        for change in changes.turns {
            self.change_turn(change);
        }
        for mut letter in changes.dead_letters {
            self.last_dead_letter_id += 1;
            letter.id = DeadLetterId(self.last_dead_letter_id);
            self.dead_letters.insert(letter.id, letter);
        }
        for id in changes.settled {
            self.dead_letters.remove(&id);
        }
        for total in changes.totals {
            match self.totals.get_mut(&total.key) {
                Some(sum) => sum.add(&total),
                None => {
                    self.totals.insert(total.key.clone(), total);
                }
            }
        }
        for swept in changes.swept {
            self.swept_until.insert(swept.account, swept.until);
        }
    }

    fn change_turn(&mut self, what: TurnChange) {
        let turns = &mut self.turns;
        match what {
            TurnChange::Began(turn) => {
                turns.insert(turn.id, turn);
            }
            TurnChange::Went {
                id,
                state,
                words,
                trace,
            } => change(turns, id, |turn| {
                turn.state = Some(state);
                turn.words = Some(words);
                turn.trace = trace.or(turn.trace.take());
            }),
            TurnChange::TookUp { id, messages } => {
                change(turns, id, |turn| turn.messages = messages);
            }
            TurnChange::Ended {
                id,
                end,
                state,
                trace,
            } => change(turns, id, |turn| {
                turn.end = Some(end);
                turn.state = state;
                turn.trace = trace.or(turn.trace.take());
                turn.words = None;
            }),
            TurnChange::Forgotten { id } => {
                turns.remove(&id);
            }
            TurnChange::Reopened { id } => change(turns, id, |turn| {
                turn.end = None;
                turn.retried = true;
            }),
        }
    }

    fn purge(&mut self, before: Timestamp) {
        let forgotten_until = &mut self.forgotten_until;
        self.events
            .retain(|(account, _), (received_at, happened_at)| {
                let keep = *received_at >= before;
                if let (false, Some(happened_at)) = (keep, *happened_at) {
                    let until = forgotten_until
                        .entry(account.clone())
                        .or_insert(happened_at);
                    *until = happened_at.max(*until);
                }
                keep
            });
        self.items.retain(|_, received_at| *received_at >= before);
        let dead: BTreeSet<TurnId> = self
            .dead_letters
            .values()
            .filter_map(|letter| letter.turn_id)
            .collect();
        self.turns.retain(|id, turn| {
            let ended = turn.end.as_ref().is_some_and(|end| end.at < before);
            !ended || dead.contains(id)
        });
        self.purge_conversations(before);
        let forgotten_hour = hour_of(earlier(before, totals::KEPT));
        self.totals.retain(|key, _| key.hour >= forgotten_hour);
    }

    /// A conversation that others were merged into goes after them, and one in
    /// which a turn began that is kept goes after that.
    fn purge_conversations(&mut self, before: Timestamp) {
        loop {
            let rows = &self.conversations;
            let merged = rows.iter().filter_map(|((account, _), row)| {
                let into = row.conversation.merged_into.clone()?;
                Some((account.clone(), into))
            });
            let turns = self.turns.values().filter(|turn| {
                let dead = |end: &super::TurnEnd| end.outcome.as_str() == "dead";
                turn.end.as_ref().is_none_or(dead)
            });
            let begun = turns.map(|turn| (turn.account.clone(), turn.conversation_id.clone()));
            let kept: BTreeSet<Key> = merged.chain(begun).collect();
            let count = rows.len();
            self.conversations.retain(|key, row| {
                let idle = row.conversation.lane == Lane::default();
                !idle || row.touched_at >= before || kept.contains(key)
            });
            if self.conversations.len() == count {
                return;
            }
        }
    }

    fn backlog(&self, now: Timestamp) -> Vec<Backlog> {
        let mut accounts: BTreeMap<AccountName, (u64, Timestamp, u64)> = BTreeMap::new();
        for ((account, _), row) in &self.conversations {
            let lane = &row.conversation.lane;
            if let Some(since) = lane.waiting_since() {
                let entry = accounts.entry(account.clone()).or_insert((0, now, 0));
                entry.0 += u64::try_from(lane.backlog()).unwrap_or(u64::MAX);
                entry.1 = entry.1.min(since);
            }
        }
        for letter in self.dead_letters.values() {
            let entry = accounts
                .entry(letter.account.clone())
                .or_insert((0, now, 0));
            entry.2 += 1;
        }
        let backlog = |(account, (turns, oldest, dead_letters))| Backlog {
            account,
            turns,
            oldest_waiting: time_until(now, oldest),
            dead_letters,
        };
        accounts.into_iter().map(backlog).collect()
    }
}

fn change(
    turns: &mut BTreeMap<TurnId, StoredTurn>,
    id: TurnId,
    change: impl FnOnce(&mut StoredTurn),
) {
    if let Some(turn) = turns.get_mut(&id) {
        change(turn);
    }
}

fn set_due(
    due: &mut HashMap<AccountName, BTreeSet<(Timestamp, ConversationId)>>,
    key: &Key,
    before: Option<Timestamp>,
    now: Option<Timestamp>,
) {
    if before == now {
        return;
    }
    let due = due.entry(key.0.clone()).or_default();
    if let Some(before) = before {
        due.remove(&(before, key.1.clone()));
    }
    if let Some(now) = now {
        due.insert((now, key.1.clone()));
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

#[async_trait]
impl Store for Memory {
    async fn record(&self, delivery: Delivery) -> Result<Recorded, StoreError> {
        self.run(Command::Record(delivery)).recorded()
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Claimed, StoreError> {
        self.run(Command::Claim(request)).claimed()
    }

    async fn save(&self, save: Save) -> Result<Standing, StoreError> {
        self.run(Command::Save(save)).saved()
    }

    async fn swept_until(&self, account: &AccountName) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.open()?.swept_until.get(account).copied())
    }

    async fn swept(&self, swept: Swept) -> Result<(), StoreError> {
        self.run(Command::Swept(swept)).settled().map(drop)
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.open().map(drop)
    }

    async fn purge(&self, before: Timestamp) -> Result<(), StoreError> {
        self.open()?.purge(before);
        Ok(())
    }

    async fn close(&self) {
        self.tables().closed = true;
    }
}

#[async_trait]
impl Operations for Memory {
    async fn backlog(&self, now: Timestamp) -> Result<Vec<Backlog>, StoreError> {
        Ok(self.open()?.backlog(now))
    }

    async fn free_bytes(&self) -> Option<u64> {
        None
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, StoreError> {
        Ok(self.open()?.dead_letters.values().cloned().collect())
    }

    async fn retry_dead_letter(&self, request: RetryRequest) -> Result<bool, StoreError> {
        self.run(Command::RetryDeadLetter(request)).settled()
    }

    async fn drop_dead_letter(&self, id: DeadLetterId) -> Result<bool, StoreError> {
        self.run(Command::DropDeadLetter(id)).settled()
    }
}

#[async_trait]
impl History for Memory {
    async fn turns(&self, query: &TurnQuery) -> Result<Vec<TurnRow>, StoreError> {
        let tables = self.open()?;
        let mut turns: Vec<TurnRow> = tables.turns.values().map(turn_row).collect();
        turns.retain(|turn| query.asks_for(turn));
        turns.sort_by_key(|turn| std::cmp::Reverse(turn.place()));
        turns.truncate(query.limit);
        Ok(turns)
    }

    async fn remembered(
        &self,
        id: &ConversationId,
        account: Option<&AccountName>,
    ) -> Result<Vec<Remembered>, StoreError> {
        let tables = self.open()?;
        let all = || tables.conversations.keys().map(|key| &key.0).collect();
        let accounts: BTreeSet<&AccountName> = account.map_or_else(all, |it| [it].into());
        let accounts = accounts.into_iter();
        let keys = accounts.map(|account| (account.clone(), id.clone()));
        Ok(keys.filter_map(|key| tables.remembered(key)).collect())
    }

    async fn totals(
        &self,
        from_hour: i64,
        until_hour: i64,
        account: Option<&AccountName>,
    ) -> Result<Vec<Total>, StoreError> {
        let tables = self.open()?;
        let wanted = |key: &TotalKey| {
            (from_hour..until_hour).contains(&key.hour)
                && account.is_none_or(|account| *account == key.account)
        };
        let totals = tables.totals.values().filter(|total| wanted(&total.key));
        Ok(totals.cloned().collect())
    }
}

impl Tables {
    fn remembered(&self, key: Key) -> Option<Remembered> {
        let about = |letter: &&DeadLetter| {
            letter.account == key.0 && letter.conversation_id.as_ref() == Some(&key.1)
        };
        let dead_letters: Vec<_> = self.dead_letters.values().filter(about).cloned().collect();
        let row = self.conversations.get(&key);
        if row.is_none() && dead_letters.is_empty() {
            return None;
        }
        let conversation = row.map(|row| row.conversation.clone()).unwrap_or_default();
        let into = Some(&key.1);
        let merged_from = self.conversations.iter().filter_map(|(other, row)| {
            let merged = other.0 == key.0 && row.conversation.merged_into.as_ref() == into;
            merged.then(|| other.1.clone())
        });
        let mut merged_from: Vec<ConversationId> = merged_from.collect();
        merged_from.sort();
        let turns = conversation.past.turns.iter();
        let turns = turns.filter_map(|id| self.turns.get(id));
        let without_words = |turn: &StoredTurn| {
            Ok(StoredTurn {
                words: None,
                ..turn.clone()
            })
        };
        Some(Remembered {
            turns: turns.map(without_words).collect(),
            account: key.0,
            conversation_id: key.1,
            conversation,
            merged_from,
            dead_letters,
        })
    }
}

fn turn_row(turn: &StoredTurn) -> TurnRow {
    let outcome = turn.end.as_ref().map(|end| &end.outcome);
    TurnRow {
        id: turn.id,
        account: turn.account.clone(),
        conversation_id: turn.conversation_id.clone(),
        received_at: turn.received_at,
        finished_at: turn.end.as_ref().map(|end| end.at),
        outcome: outcome.map(|outcome| outcome.as_str().to_owned()),
        reason: outcome
            .and_then(crate::outcome::Outcome::reason)
            .map(str::to_owned),
        messages: turn.messages.len(),
    }
}
