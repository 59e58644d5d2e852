//! Saving what a command has changed.

use rusqlite::{Connection, params};

use super::rows;
use crate::id::{AccountName, TurnId};
use crate::store::days;
use crate::store::picture::{Changes, TurnChange};
use crate::store::seal::Keys;
use crate::store::value;
use crate::store::{DeadLetter, StoreError, StoredTurn, Total};

/// Where to save to.
pub(super) struct Saver<'a> {
    pub(super) connection: &'a Connection,
    /// None beside a relay that runs: words are not its business.
    pub(super) keys: Option<&'a mut Keys>,
    /// Whose turn's words these are.
    pub(super) account: Option<AccountName>,
}

impl Saver<'_> {
    /// Saves it all.
    pub(super) fn changes(&mut self, changes: Changes) -> Result<(), StoreError> {
        for (account, event_id, received_at, happened_at) in changes.events {
            self.connection
                .prepare_cached("INSERT INTO events (account, event_id, received_at, happened_at_us) VALUES (?, ?, ?, ?)")?
                .execute(params![
                    account.as_str(),
                    event_id.0,
                    received_at.as_millisecond(),
                    happened_at.map(jiff::Timestamp::as_microsecond),
                ])?;
        }
        for (account, item_id, received_at) in changes.items {
            self.connection
                .prepare_cached(
                    "INSERT INTO items (account, item_id, received_at) VALUES (?, ?, ?)",
                )?
                .execute(params![
                    account.as_str(),
                    item_id.as_str(),
                    received_at.as_millisecond(),
                ])?;
        }
        let touched_at = changes.now.unwrap_or(jiff::Timestamp::MIN);
        for (key, (conversation, due_at)) in &changes.conversations {
            rows::put_conversation(self.connection, key, conversation, *due_at, touched_at)?;
        }
        for change in changes.turns {
            self.turn(change)?;
        }
        for letter in &changes.dead_letters {
            add_dead_letter(self.connection, letter)?;
        }
        for id in changes.settled {
            self.connection
                .prepare_cached("DELETE FROM dead_letters WHERE id = ?")?
                .execute([id.0])?;
        }
        for total in &changes.totals {
            add_total(self.connection, total)?;
        }
        let now = changes.now.unwrap_or(jiff::Timestamp::MAX);
        let stale = days::changed_days(&changes.totals, now);
        super::days::changed(self.connection, stale)?;
        for swept in &changes.swept {
            self.connection
                .prepare_cached(
                    "INSERT INTO sweeps (account, swept_until_us) VALUES (?1, ?2)
                     ON CONFLICT DO UPDATE SET swept_until_us = ?2",
                )?
                .execute(params![
                    swept.account.as_str(),
                    swept.until.as_microsecond()
                ])?;
        }
        Ok(())
    }

    fn turn(&mut self, change: TurnChange) -> Result<(), StoreError> {
        let prepared = |sql| self.connection.prepare_cached(sql);
        match change {
            TurnChange::Began(turn) => begin_turn(self.connection, &turn)?,
            TurnChange::Went {
                id,
                state,
                words,
                trace,
            } => self.went(id, &state, &words, trace.as_deref())?,
            TurnChange::TookUp { id, messages } => {
                prepared("UPDATE turns SET messages = ? WHERE id = ?")?
                    .execute(params![value::json(&messages)?, id.0])?;
            }
            TurnChange::Ended {
                id,
                end,
                state,
                trace,
            } => {
                prepared(
                    "UPDATE turns SET outcome = ?, reason = ?, finished_at = ?, state = ?,
                         key_id = NULL, words = NULL, trace = coalesce(?, trace) WHERE id = ?",
                )?
                .execute(params![
                    end.outcome.as_str(),
                    end.outcome.reason(),
                    end.at.as_millisecond(),
                    state,
                    trace,
                    id.0,
                ])?;
            }
            TurnChange::Forgotten { id } => {
                prepared("DELETE FROM turns WHERE id = ?")?.execute([id.0])?;
            }
            TurnChange::Reopened { id } => {
                prepared(
                    "UPDATE turns SET outcome = NULL, reason = NULL, finished_at = NULL, retried = 1
                     WHERE id = ?",
                )?
                .execute([id.0])?;
            }
        }
        Ok(())
    }

    fn went(
        &mut self,
        id: TurnId,
        state: &str,
        words: &str,
        trace: Option<&str>,
    ) -> Result<(), StoreError> {
        let (Some(keys), Some(account)) = (self.keys.as_mut(), &self.account) else {
            let what = "turns are not run beside the relay".to_owned();
            return Err(StoreError::Unavailable(what));
        };
        let sealed = keys
            .seal(account, id, words)
            .map_err(|error| StoreError::Unavailable(format!("its key file: {error}")))?;
        self.connection
            .prepare_cached(
                "UPDATE turns SET state = ?, key_id = ?, words = ?, trace = coalesce(?, trace)
                 WHERE id = ?",
            )?
            .execute(params![state, sealed.key_id, sealed.bytes, trace, id.0])?;
        Ok(())
    }
}

/// Adds a turn, also one that ended before.
pub(super) fn begin_turn(connection: &Connection, turn: &StoredTurn) -> Result<(), StoreError> {
    let outcome = turn.end.as_ref().map(|end| &end.outcome);
    connection
        .prepare_cached(
            "INSERT INTO turns (id, account, conversation_id, received_at, deadline_at, began,
                 messages, overdue, outcome, reason, finished_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            turn.id.0,
            turn.account.as_str(),
            turn.conversation_id.as_str(),
            turn.received_at.as_millisecond(),
            turn.deadline_at.as_millisecond(),
            i64::try_from(turn.began).unwrap_or(i64::MAX),
            value::json(&turn.messages)?,
            turn.overdue,
            outcome.map(crate::outcome::Outcome::as_str),
            outcome.and_then(crate::outcome::Outcome::reason),
            turn.end.as_ref().map(|end| end.at.as_millisecond()),
        ])?;
    Ok(())
}

/// Adds a dead letter, with a new id unless it has one.
pub(super) fn add_dead_letter(
    connection: &Connection,
    letter: &DeadLetter,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO dead_letters (id, account, turn_id, conversation_id, event_type,
                 may_have_answered, error, created_at) VALUES (nullif(?, 0), ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            letter.id.0,
            letter.account.as_str(),
            letter.turn_id.map(|id| id.0),
            letter
                .conversation_id
                .as_ref()
                .map(crate::id::ConversationId::as_str),
            letter.event_type,
            letter.may_have_written,
            letter.error,
            letter.created_at.as_millisecond(),
        ])?;
    Ok(())
}

/// Adds to a total.
fn add_total(connection: &Connection, total: &Total) -> Result<(), StoreError> {
    let key = &total.key;
    connection
        .prepare_cached(
            "INSERT INTO totals (hour, account, what, reason, firsts, bucket,
                 count, messages, calls, per_second) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET
                 count = count + excluded.count, messages = messages + excluded.messages,
                 calls = calls + excluded.calls,
                 per_second = max(per_second, excluded.per_second)",
        )?
        .execute(params![
            key.hour,
            key.account.as_str(),
            key.what,
            key.reason,
            key.firsts,
            key.bucket,
            total.count,
            total.messages,
            total.calls,
            total.per_second,
        ])?;
    Ok(())
}
