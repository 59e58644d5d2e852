//! The words of unfinished turns on their way: opened with the source's keys, sealed
//! anew with the target's.

use super::table::{Row, TURNS, Value};
use crate::id::{AccountName, TurnId};
use crate::store::StoreError;

/// Opens a turn's words, by the id of their key; none if that can't be.
pub(in crate::store) type Open<'a> =
    dyn Fn(&AccountName, TurnId, i64, &[u8]) -> Option<String> + 'a;
/// Seals a turn's words: the id of the key, and what is sealed.
pub(in crate::store) type Seal<'a> =
    dyn FnMut(&AccountName, TurnId, &str) -> Result<(i64, Vec<u8>), StoreError> + 'a;

/// Opens the words of these turns. Tells of how many that can't be: they have none then.
pub(in crate::store) fn open(turns: &mut [Row], open: &Open<'_>) -> usize {
    let mut closed = 0;
    for row in turns {
        let Value::Bytes(sealed) = TURNS.value(row, "words") else {
            continue;
        };
        let key_id = TURNS.value(row, "key_id").number();
        let (account, id) = whose(row);
        let words = key_id.and_then(|key_id| open(&account, id, key_id, sealed));
        closed += usize::from(words.is_none());
        TURNS.set(row, "key_id", Value::Null);
        TURNS.set(row, "words", words.map_or(Value::Null, Value::Text));
    }
    closed
}

/// Seals the words of these turns.
pub(in crate::store) fn seal(turns: &mut [Row], seal: &mut Seal<'_>) -> Result<(), StoreError> {
    for row in turns {
        let (account, id) = whose(row);
        let Value::Text(words) = TURNS.value(row, "words") else {
            continue;
        };
        let (key_id, sealed) = seal(&account, id, words)?;
        TURNS.set(row, "key_id", Value::Number(key_id));
        TURNS.set(row, "words", Value::Bytes(sealed));
    }
    Ok(())
}

/// Forgets the words of these turns.
pub(in crate::store) fn leave_out(turns: &mut [Row]) {
    for row in turns {
        TURNS.set(row, "key_id", Value::Null);
        TURNS.set(row, "words", Value::Null);
    }
}

fn whose(row: &Row) -> (AccountName, TurnId) {
    let account = TURNS.value(row, "account").text().unwrap_or_default();
    let id = TURNS.value(row, "id").number().unwrap_or_default();
    (AccountName::new(account), TurnId(id))
}
