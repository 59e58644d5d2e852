//! How values stand in rows, see [`value`].

use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::id::{AccountName, ConversationId, TurnId};
use crate::store::picture::{Conversation, Key};
use crate::store::seal::Keys;
use crate::store::value;
use crate::store::{DeadLetter, DeadLetterId, StoreError, StoredTurn, TurnEnd, Unreadable};

/// A stored time.
pub(super) fn time(milliseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(milliseconds)
        .map_err(|_| StoreError::Unavailable(format!("{milliseconds} is not a time")))
}

/// Saves a conversation.
pub(super) fn put_conversation(
    connection: &Connection,
    key: &Key,
    conversation: &Conversation,
    due_at: Option<Timestamp>,
    touched_at: Timestamp,
) -> Result<(), StoreError> {
    let value = value::of_conversation(conversation)?;
    let lane = &conversation.lane;
    let merged_into = conversation.merged_into.as_ref();
    connection
        .prepare_cached(
            "INSERT INTO conversations
                 (account, conversation_id, value, merged_into, due_at, waiting_since, backlog, touched_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (account, conversation_id) DO UPDATE SET
                 value = ?3, merged_into = ?4, due_at = ?5, waiting_since = ?6, backlog = ?7, touched_at = ?8",
        )?
        .execute(params![
            key.0.as_str(),
            key.1.as_str(),
            value,
            merged_into.map(ConversationId::as_str),
            due_at.map(Timestamp::as_millisecond),
            lane.waiting_since().map(Timestamp::as_millisecond),
            i64::try_from(lane.backlog()).unwrap_or(i64::MAX),
            touched_at.as_millisecond(),
        ])?;
    Ok(())
}

/// A conversation; none if there is no row. Says what is wrong if its value
/// can't be read.
pub(super) fn conversation(
    connection: &Connection,
    key: &Key,
) -> Result<Option<Result<Conversation, Unreadable>>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT value, merged_into, due_at FROM conversations WHERE account = ? AND conversation_id = ?",
    )?;
    let read = |row: &Row<'_>| {
        let merged_into = conversation_id(row.get_ref(1)?);
        let due_at: Option<i64> = row.get(2)?;
        let value = match row.get_ref(0)? {
            ValueRef::Text(value) => value,
            _ => b"",
        };
        let due_at = due_at.and_then(|at| Timestamp::from_millisecond(at).ok());
        Ok(value::conversation(value, merged_into, due_at))
    };
    let found = statement.query_row(params![key.0.as_str(), key.1.as_str()], read);
    Ok(found.optional()?)
}

/// The conversation that a column names, if it can be read.
pub(super) fn conversation_id(column: ValueRef<'_>) -> Option<ConversationId> {
    ConversationId::parse(column.as_str().ok()?).ok()
}

/// A turn; none if there is no row. Says what is wrong if it can't be read, and
/// leaves its words out if only they can't.
pub(super) fn turn(
    connection: &Connection,
    keys: Option<&Keys>,
    id: TurnId,
) -> Result<Option<Result<StoredTurn, Unreadable>>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT account, conversation_id, received_at, deadline_at, began, messages, state, key_id,
                words, retried, outcome, reason, finished_at, overdue, trace
         FROM turns WHERE id = ?",
    )?;
    let found = statement.query_row([id.0], |row| {
        Ok(read_turn(row, keys, id).map_err(|error| Unreadable(error.to_string())))
    });
    Ok(found.optional()?)
}

type Unread = Box<dyn std::error::Error>;

fn read_turn(row: &Row<'_>, keys: Option<&Keys>, id: TurnId) -> Result<StoredTurn, Unread> {
    let account = AccountName::new(row.get_ref(0)?.as_str()?);
    let sealed: Option<(i64, &[u8])> = match (row.get(7)?, row.get_ref(8)?) {
        (Some(key_id), ValueRef::Blob(words)) => Some((key_id, words)),
        _ => None,
    };
    let words = keys
        .zip(sealed)
        .and_then(|(keys, (key_id, words))| keys.unseal(&account, id, key_id, words));
    let end = match row.get_ref(10)?.as_str_or_null()? {
        Some(word) => Some(TurnEnd {
            outcome: value::outcome(word, row.get(11)?).map_err(|Unreadable(what)| what)?,
            at: time(row.get(12)?)?,
        }),
        None => None,
    };
    Ok(StoredTurn {
        id,
        account,
        conversation_id: ConversationId::parse(row.get_ref(1)?.as_str()?)?,
        received_at: time(row.get(2)?)?,
        deadline_at: time(row.get(3)?)?,
        began: u64::try_from(row.get::<_, i64>(4)?)?,
        messages: serde_json::from_slice(row.get_ref(5)?.as_bytes()?)?,
        state: row.get(6)?,
        words,
        retried: row.get(9)?,
        overdue: row.get(13)?,
        trace: row.get(14)?,
        end,
    })
}

/// A dead letter from a row of [`DEAD_LETTER`]'s columns.
pub(super) fn dead_letter(row: &Row<'_>) -> rusqlite::Result<DeadLetter> {
    Ok(DeadLetter {
        id: DeadLetterId(row.get(0)?),
        account: AccountName::new(row.get_ref(1)?.as_str()?),
        turn_id: row.get::<_, Option<i64>>(2)?.map(TurnId),
        conversation_id: conversation_id(row.get_ref(3)?),
        event_type: row.get(4)?,
        may_have_written: row.get(5)?,
        error: row.get(6)?,
        created_at: Timestamp::from_millisecond(row.get(7)?).unwrap_or(Timestamp::MIN),
    })
}

/// Selects dead letters.
pub(super) const DEAD_LETTER: &str = "SELECT id, account, turn_id, conversation_id, event_type,
    may_have_answered, error, created_at FROM dead_letters";
