//! Some of the dead letters.

use rusqlite::{Connection, params};

use super::rows;
use crate::id::AccountName;
use crate::store::{Cause, DeadLetter, DeadLetterId, LetterQuery, StoreError, value};

pub(super) const CAUSES: &str =
    "SELECT account, error, event_type, may_have_answered, count(*), count(turn_id)
    FROM dead_letters INDEXED BY dead_letters_alike GROUP BY 1, 2, 3, 4";
const OF_CAUSE: &str =
    "INDEXED BY dead_letters_alike WHERE account = ?1 AND error = ?2 AND event_type IS ?3
    AND may_have_answered = ?4 AND (turn_id IS NULL) = ?5 AND id < ?6 ORDER BY id DESC LIMIT ?7";
const SOME: &str = "WHERE id > ?1 AND (?2 IS NULL OR account = ?2) AND (?3 IS NULL OR error = ?3)
    ORDER BY id LIMIT ?4";
const NAMED: &str = "WHERE id IN (SELECT value FROM json_each(?1)) ORDER BY id";

/// See [`crate::store::Operations::causes`].
pub(super) fn causes(connection: &Connection) -> Result<Vec<(Cause, u64)>, StoreError> {
    let mut statement = connection.prepare_cached(CAUSES)?;
    let mut found = statement.query([])?;
    let mut causes = Vec::new();
    while let Some(row) = found.next()? {
        let account: String = row.get(0)?;
        let cause = Cause {
            account: AccountName::new(&account),
            error: row.get(1)?,
            event_type: row.get(2)?,
            is_turn: true,
            may_have_written: row.get(3)?,
        };
        causes.extend(cause.split(row.get(4)?, row.get(5)?));
    }
    Ok(causes)
}

/// See [`crate::store::Operations::letters_of`].
pub(super) fn of_cause(
    connection: &Connection,
    cause: &Cause,
    before: Option<DeadLetterId>,
    limit: usize,
) -> Result<Vec<DeadLetter>, StoreError> {
    let parameters = params![
        cause.account.as_str(),
        cause.error,
        cause.event_type,
        cause.may_have_written,
        !cause.is_turn,
        before.map_or(i64::MAX, |before| before.0),
        i64::try_from(limit).unwrap_or(i64::MAX),
    ];
    letters(connection, OF_CAUSE, parameters)
}

/// See [`crate::store::Operations::letters`].
pub(super) fn some(
    connection: &Connection,
    query: &LetterQuery,
) -> Result<Vec<DeadLetter>, StoreError> {
    let limit = query.limit.and_then(|limit| i64::try_from(limit).ok());
    let parameters = params![
        query.after.map_or(i64::MIN, |after| after.0),
        query.account.as_ref().map(AccountName::as_str),
        query.error,
        limit.unwrap_or(i64::MAX),
    ];
    letters(connection, SOME, parameters)
}

/// See [`crate::store::Operations::named_letters`].
pub(super) fn named(
    connection: &Connection,
    ids: &[DeadLetterId],
) -> Result<Vec<DeadLetter>, StoreError> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    letters(connection, NAMED, params![value::json(&ids)?])
}

/// The SQL that selects them, of [`OF_CAUSE`] and so on.
pub(super) fn letters(
    connection: &Connection,
    which: &str,
    parameters: impl rusqlite::Params,
) -> Result<Vec<DeadLetter>, StoreError> {
    let sql = format!("{} {which}", rows::DEAD_LETTER);
    let mut statement = connection.prepare_cached(&sql)?;
    let letters = statement.query_map(parameters, rows::dead_letter)?;
    Ok(letters.collect::<Result<_, _>>()?)
}
