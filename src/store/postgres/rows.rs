//! How values stand in rows, see [`value`].

use jiff::Timestamp;
use tokio_postgres::Row;

use crate::id::{AccountName, ConversationId, TurnId};
use crate::store::picture::Conversation;
use crate::store::seal::{Cipher, MasterKey};
use crate::store::value;
use crate::store::{DeadLetter, DeadLetterId, StoreError, StoredTurn, TurnEnd, Unreadable};

/// A stored time.
pub(super) fn time(milliseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(milliseconds)
        .map_err(|_| StoreError::Database(format!("{milliseconds} is not a time")))
}

/// The account that a column names.
pub(super) fn account(row: &Row, column: usize) -> AccountName {
    AccountName::new(row.get(column))
}

/// The conversation that a column names, if it can be read.
pub(super) fn conversation_id(row: &Row, column: usize) -> Option<ConversationId> {
    let id: Option<&str> = row.get(column);
    ConversationId::parse(id?).ok()
}

/// A conversation from a row of its columns.
pub(super) fn conversation(row: &Row) -> Result<Conversation, Unreadable> {
    let value: &str = row.get(2);
    let due_at: Option<i64> = row.get(4);
    let due_at = due_at.and_then(|at| Timestamp::from_millisecond(at).ok());
    value::conversation(value.as_bytes(), conversation_id(row, 3), due_at)
}

/// A turn, or why it can't be read. Its words are left out if only they can't.
pub(super) fn turn(
    row: &Row,
    master: Option<&MasterKey>,
) -> (TurnId, Result<StoredTurn, Unreadable>) {
    let id = TurnId(row.get(0));
    let turn = read_turn(row, id, master);
    (id, turn.map_err(|error| Unreadable(error.to_string())))
}

type Unread = Box<dyn std::error::Error>;

fn read_turn(row: &Row, id: TurnId, master: Option<&MasterKey>) -> Result<StoredTurn, Unread> {
    let account = account(row, 1);
    let sealed: Option<&[u8]> = row.get(8);
    let secret: Option<&[u8]> = row.get(9);
    let words = secret.zip(sealed).and_then(|(secret, words)| {
        let cipher = Cipher::new(secret, Some(master?)).ok()?;
        cipher.open(&account, id, words)
    });
    let outcome: Option<&str> = row.get(12);
    let end = match outcome {
        Some(word) => Some(TurnEnd {
            outcome: value::outcome(word, row.get(13)).map_err(|Unreadable(what)| what)?,
            at: time(row.get::<_, Option<i64>>(14).unwrap_or_default())?,
        }),
        None => None,
    };
    Ok(StoredTurn {
        id,
        account,
        conversation_id: ConversationId::parse(row.get(2))?,
        received_at: time(row.get(3))?,
        deadline_at: time(row.get(4))?,
        began: u64::try_from(row.get::<_, i64>(5))?,
        messages: serde_json::from_str(row.get(6))?,
        state: row.get(7),
        words,
        retried: row.get(10),
        overdue: row.get(11),
        trace: row.get(15),
        end,
    })
}

/// A dead letter from a row of its columns.
pub(super) fn dead_letter(row: &Row) -> DeadLetter {
    DeadLetter {
        id: DeadLetterId(row.get(0)),
        account: account(row, 1),
        turn_id: row.get::<_, Option<i64>>(2).map(TurnId),
        conversation_id: conversation_id(row, 3),
        event_type: row.get(4),
        may_have_written: row.get(5),
        error: row.get(6),
        created_at: Timestamp::from_millisecond(row.get(7)).unwrap_or(Timestamp::MIN),
    }
}
