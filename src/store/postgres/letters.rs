//! Some of the dead letters.

use tokio_postgres::Row;

use super::read::Desk;
use super::rows;
use super::statement::Statement;
use crate::id::AccountName;
use crate::store::{Cause, DeadLetter, DeadLetterId, LetterQuery, StoreError};

const CAUSES: &str =
    "SELECT account, error, event_type, may_have_answered, count(*), count(turn_id)
    FROM dead_letters GROUP BY 1, 2, 3, 4";
const OF_CAUSE: &str = "SELECT id, account, turn_id, conversation_id, event_type,
        may_have_answered, error, created_at FROM dead_letters
    WHERE account = $1 AND left(error, 500) = left($2, 500) AND error = $2 AND event_type IS NOT DISTINCT FROM $3
        AND (turn_id IS NULL) = $4 AND may_have_answered = $5 AND id < $6
    ORDER BY id DESC LIMIT $7";
const SOME: &str = "SELECT id, account, turn_id, conversation_id, event_type,
        may_have_answered, error, created_at FROM dead_letters
    WHERE id > $1 AND ($2::text IS NULL OR account = $2) AND ($3::text IS NULL OR error = $3)
    ORDER BY id LIMIT $4";
const NAMED: &str = "SELECT id, account, turn_id, conversation_id, event_type,
        may_have_answered, error, created_at FROM dead_letters
    WHERE id = ANY($1) ORDER BY id";

impl Desk {
    /// See [`crate::store::Operations::causes`].
    pub(super) async fn causes(&self) -> Result<Vec<(Cause, u64)>, StoreError> {
        let rows = self.ask(Statement::new(CAUSES)).await?;
        let causes = |row: &Row| {
            let cause = Cause {
                account: rows::account(row, 0),
                error: row.get(1),
                event_type: row.get(2),
                is_turn: true,
                may_have_written: row.get(3),
            };
            cause.split(row.get(4), row.get(5))
        };
        Ok(rows.iter().flat_map(causes).collect())
    }

    /// See [`crate::store::Operations::letters_of`].
    pub(super) async fn letters_of(
        &self,
        cause: &Cause,
        before: Option<DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let statement = Statement::new(OF_CAUSE)
            .text(cause.account.as_str())
            .text(&cause.error)
            .some_text(cause.event_type.as_deref())
            .flag(!cause.is_turn)
            .flag(cause.may_have_written)
            .number(before.map_or(i64::MAX, |before| before.0))
            .number(i64::try_from(limit).unwrap_or(i64::MAX));
        self.read_letters(statement).await
    }

    /// See [`crate::store::Operations::letters`].
    pub(super) async fn letters(&self, query: &LetterQuery) -> Result<Vec<DeadLetter>, StoreError> {
        let limit = query.limit.and_then(|limit| i64::try_from(limit).ok());
        let statement = Statement::new(SOME)
            .number(query.after.map_or(i64::MIN, |after| after.0))
            .some_text(query.account.as_ref().map(AccountName::as_str))
            .some_text(query.error.as_deref())
            .number(limit.unwrap_or(i64::MAX));
        self.read_letters(statement).await
    }

    /// See [`crate::store::Operations::named_letters`].
    pub(super) async fn named_letters(
        &self,
        ids: &[DeadLetterId],
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let ids = Statement::new(NAMED).numbers(ids.iter().map(|id| id.0));
        self.read_letters(ids).await
    }

    async fn read_letters(&self, statement: Statement) -> Result<Vec<DeadLetter>, StoreError> {
        let rows = self.ask(statement).await?;
        Ok(rows.iter().map(rows::dead_letter).collect())
    }
}
