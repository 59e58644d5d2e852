//! Loading what a command needs. Rows that can't be read stop nothing: a turn
//! is handed on as unreadable, a conversation is rebuilt.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::rows;
use crate::conversation::{Facts, Known};
use crate::id::{AccountName, EventId, ItemId, TurnId};
use crate::store::picture::{Conversation, Key, Needs, Picture};
use crate::store::seal::Keys;
use crate::store::{Arrival, ClaimRequest, DeadLetterId, Lane, LaneTurn, Past, Run, StoreError};

/// The account's lanes that are due from one time on and before another, the first to
/// be claimed first.
pub(super) const DUE: &str = "SELECT conversation_id, due_at, id FROM conversations
    WHERE account = ?1 AND due_at IS NOT NULL AND due_at >= ?3 AND due_at < ?4
    ORDER BY due_at, conversation_id LIMIT ?2";
const SET_ASIDE: &str = "UPDATE conversations SET due_at = NULL WHERE id = ?";

/// The unfinished turns of a conversation and of those merged into it.
pub(super) const UNFINISHED: &str = "WITH RECURSIVE gone (id) AS (
        SELECT ?2 UNION
        SELECT c.conversation_id FROM gone JOIN conversations c
        ON c.account = ?1 AND c.merged_into = gone.id AND c.merged_into IS NOT NULL)
    SELECT t.id, t.received_at, t.began FROM gone JOIN turns t
    ON t.account = ?1 AND t.conversation_id = gone.id
    WHERE (t.outcome IS NULL OR t.outcome = 'dead') AND t.outcome IS NULL ORDER BY t.id";

/// Where to load from.
pub(super) struct Loader<'a> {
    pub(super) connection: &'a Connection,
    /// None beside a relay that runs: words are not its business.
    pub(super) keys: Option<&'a Keys>,
    pub(super) forgotten_until: &'a HashMap<AccountName, Timestamp>,
}

impl Loader<'_> {
    /// Loads what `needs` asks for.
    pub(super) fn picture(&self, needs: &Needs, next_turn_id: i64) -> Result<Picture, StoreError> {
        let mut picture = Picture {
            next_turn_id,
            ..Picture::default()
        };
        for (account, event_id) in &needs.events {
            self.event(account, event_id, &mut picture)?;
        }
        for (account, item_id) in &needs.items {
            self.item(account, item_id, &mut picture)?;
        }
        for key in &needs.conversations {
            self.conversation(key, &mut picture)?;
        }
        if let Some(request) = &needs.due {
            self.due(request, &mut picture)?;
        }
        if let Some(id) = needs.dead_letter {
            self.dead_letter(id, &mut picture)?;
        }
        if let Some(account) = &needs.unusable_of {
            let count = "SELECT count(*) FROM dead_letters WHERE account = ? AND turn_id IS NULL";
            let mut statement = self.connection.prepare_cached(count)?;
            let count: i64 = statement.query_row([account.as_str()], |row| row.get(0))?;
            picture.unusable = usize::try_from(count).unwrap_or(usize::MAX);
        }
        Ok(picture)
    }

    fn event(
        &self,
        account: &AccountName,
        event_id: &EventId,
        picture: &mut Picture,
    ) -> Result<(), StoreError> {
        if let Some(until) = self.forgotten_until.get(account) {
            picture.forgotten_until.insert(account.clone(), *until);
        }
        let sql = "SELECT 1 FROM events WHERE account = ? AND event_id = ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        if statement.exists(params![account.as_str(), event_id.0])? {
            picture.events.insert((account.clone(), event_id.clone()));
        }
        Ok(())
    }

    fn item(
        &self,
        account: &AccountName,
        item_id: &ItemId,
        picture: &mut Picture,
    ) -> Result<(), StoreError> {
        let sql = "SELECT 1 FROM items WHERE account = ? AND item_id = ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        if statement.exists(params![account.as_str(), item_id.as_str()])? {
            picture.items.insert((account.clone(), item_id.clone()));
        }
        Ok(())
    }

    /// A conversation and those that it was merged into.
    fn conversation(&self, key: &Key, picture: &mut Picture) -> Result<(), StoreError> {
        let mut key = key.clone();
        while !picture.conversations.contains_key(&key) {
            let conversation = match rows::conversation(self.connection, &key)? {
                None => break,
                Some(Ok(conversation)) => conversation,
                Some(Err(unreadable)) => {
                    tracing::error!(
                        account = %key.0, conversation_id = %key.1, error = unreadable.0,
                        "a conversation's row can't be read; it is rebuilt from its turns"
                    );
                    self.rebuild(&key)?
                }
            };
            let into = conversation.merged_into.clone();
            picture.conversations.insert(key.clone(), conversation);
            match into {
                Some(into) => key.1 = into,
                None => break,
            }
        }
        Ok(())
    }

    /// The conversations that are due, and the turns that may go on in them.
    fn due(&self, request: &ClaimRequest, picture: &mut Picture) -> Result<(), StoreError> {
        let mut statement = self.connection.prepare_cached(DUE)?;
        let now = request.now.at.as_millisecond();
        let late_before = request.late_before().as_millisecond();
        let (mut due, mut unreadable) = (Vec::new(), Vec::new());
        for (from, before) in [(late_before, i64::MAX), (i64::MIN, late_before)] {
            let most = request.limit.saturating_sub(due.len()).saturating_add(1);
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            let mut found =
                statement.query(params![request.account.as_str(), most, from, before])?;
            while let Some(row) = found.next()? {
                let due_at: i64 = row.get(1)?;
                if due_at > now || due.len() >= request.limit {
                    let next = picture.next_due_at.into_iter();
                    picture.next_due_at = next.chain(rows::time(due_at).ok()).min();
                    break;
                }
                match rows::conversation_id(row.get_ref(0)?) {
                    Some(id) => due.push((request.account.clone(), id)),
                    None => unreadable.push(row.get(2)?),
                }
            }
        }
        for row in unreadable {
            self.set_aside(&request.account, row)?;
        }
        for key in due {
            self.conversation(&key, picture)?;
            let lane = picture.conversations.get(&key).map(|found| &found.lane);
            for id in lane.map_or_else(Vec::new, |lane| lane.claimable(request)) {
                self.turn(id, picture)?;
            }
            picture.due.push(key);
        }
        Ok(())
    }

    /// Nobody can be answered in a conversation whose id can't be read. It is
    /// told of once at each start, which makes it due again.
    fn set_aside(&self, account: &AccountName, row: i64) -> Result<(), StoreError> {
        tracing::error!(%account, row, "the id in this row of `conversations` can't be read; it is left aside");
        self.connection.prepare_cached(SET_ASIDE)?.execute([row])?;
        Ok(())
    }

    /// A turn, and the conversation in which it began.
    fn turn(&self, id: TurnId, picture: &mut Picture) -> Result<(), StoreError> {
        if let Some(turn) = rows::turn(self.connection, self.keys, id)? {
            if let Ok(turn) = &turn {
                let key = (turn.account.clone(), turn.conversation_id.clone());
                self.conversation(&key, picture)?;
            }
            picture.turns.insert(id, turn);
        }
        Ok(())
    }

    fn dead_letter(&self, id: DeadLetterId, picture: &mut Picture) -> Result<(), StoreError> {
        let sql = format!("{} WHERE id = ?", rows::DEAD_LETTER);
        let mut statement = self.connection.prepare_cached(&sql)?;
        let letter = statement.query_row([id.0], rows::dead_letter).optional()?;
        let Some(letter) = letter else { return Ok(()) };
        if let Some(conversation_id) = &letter.conversation_id {
            self.conversation(&(letter.account.clone(), conversation_id.clone()), picture)?;
        }
        if let Some(turn_id) = letter.turn_id {
            self.turn(turn_id, picture)?;
        }
        picture.dead_letter = Some(letter);
        Ok(())
    }

    /// What the columns and the turns still say of a conversation whose value
    /// can't be read: its unfinished turns go on, and for the messages that
    /// waited it counts as having come to the bot, so that they are looked for.
    fn rebuild(&self, key: &Key) -> Result<Conversation, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT merged_into, waiting_since, backlog, touched_at FROM conversations
             WHERE account = ?1 AND conversation_id = ?2",
        )?;
        let (merged_into, since, backlog, touched_at) =
            statement.query_row(params![key.0.as_str(), key.1.as_str()], |row| {
                let merged_into = rows::conversation_id(row.get_ref(0)?);
                let since: Option<i64> = row.get(1)?;
                Ok((merged_into, since, row.get::<_, i64>(2)?, row.get(3)?))
            })?;
        let (mut lane, mut known) = (Lane::default(), Known::default());
        if merged_into.is_none() {
            let began;
            (lane.turns, began) = unfinished(self.connection, key)?;
            // What is heard from now on is newer than the turns' messages.
            known.facts = Facts::lost(began);
            let turns = i64::try_from(lane.turns.len()).unwrap_or(i64::MAX);
            let waited = since.filter(|_| turns == 0 || backlog > turns);
            lane.arrival =
                waited.map(|since| Arrival::without_deadline(0, time_or_long_ago(since)));
        }
        let due_at = lane.waiting_since();
        let conversation = Conversation {
            known,
            past: Past {
                turns: lane.turns.iter().map(|turn| turn.id).collect(),
                ..Past::default()
            },
            lane,
            merged_into,
            due_at,
        };
        let touched_at = time_or_long_ago(touched_at);
        rows::put_conversation(self.connection, key, &conversation, due_at, touched_at)?;
        Ok(conversation)
    }
}

/// The unfinished turns of a conversation and of those merged into it, due at
/// once; and the revision of the facts by which the newest began.
pub(super) fn unfinished(
    connection: &Connection,
    key: &Key,
) -> Result<(Vec<LaneTurn>, u64), StoreError> {
    let mut statement = connection.prepare_cached(UNFINISHED)?;
    let mut found = statement.query(params![key.0.as_str(), key.1.as_str()])?;
    let (mut turns, mut newest) = (Vec::new(), 0);
    while let Some(row) = found.next()? {
        let received_at = time_or_long_ago(row.get(1)?);
        turns.push(LaneTurn {
            id: TurnId(row.get(0)?),
            received_at,
            run: Run::Until(received_at),
        });
        newest = newest.max(u64::try_from(row.get::<_, i64>(2)?).unwrap_or_default());
    }
    Ok((turns, newest))
}

/// A time of a row that is damaged anyway: what it tells of is not held up.
fn time_or_long_ago(stored: i64) -> Timestamp {
    rows::time(stored).unwrap_or(Timestamp::UNIX_EPOCH)
}
