//! What keeps the store in order: gauges, dead letters, deletion of what is old.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::claim::timestamp;
use crate::clock::time_until;
use crate::id::{AccountName, TurnId};
use crate::store::{DeadLetter, DeadLetterId, StoreError};
use crate::telemetry::Backlog;

pub(super) async fn backlog(
    connection: &mut SqliteConnection,
    now: Timestamp,
) -> Result<Vec<Backlog>, StoreError> {
    let rows = sqlx::query(
        "SELECT account, sum(turns), min(received_at), sum(dead) FROM (
             SELECT account, 1 AS turns, received_at, 0 AS dead FROM turns WHERE outcome IS NULL
             UNION ALL
             SELECT account, 1, min(received_at), 0 FROM messages WHERE turn_id IS NULL GROUP BY account, conversation_id
             UNION ALL
             SELECT account, 0, NULL, 1 FROM dead_letters
         ) GROUP BY account",
    )
    .fetch_all(connection)
    .await?;
    let backlog = |row: &SqliteRow| {
        let oldest: Option<i64> = row.try_get(2)?;
        let oldest = oldest.map(timestamp).transpose()?.unwrap_or(now);
        Ok(Backlog {
            account: AccountName::new(row.try_get(0)?),
            turns: row.try_get(1)?,
            oldest_waiting: time_until(now, oldest),
            dead_letters: row.try_get(3)?,
        })
    };
    rows.iter().map(backlog).collect()
}

pub(super) async fn dead_letters(
    connection: &mut SqliteConnection,
) -> Result<Vec<DeadLetter>, StoreError> {
    let rows = sqlx::query("SELECT * FROM dead_letters ORDER BY id")
        .fetch_all(connection)
        .await?;
    let letter = |row: &SqliteRow| {
        Ok(DeadLetter {
            id: DeadLetterId(row.try_get("id")?),
            account: row.try_get("account")?,
            turn_id: row.try_get::<Option<i64>, _>("turn_id")?.map(TurnId),
            conversation_id: row.try_get("conversation_id")?,
            event_type: row.try_get("event_type")?,
            error: row.try_get("error")?,
            created_at: timestamp(row.try_get("created_at")?)?,
        })
    };
    rows.iter().map(letter).collect()
}

/// The messages wait again, for a new turn. But a turn that may have answered
/// goes on itself, with the handoff: asking the bot again would answer twice.
pub(super) async fn retry_dead_letter(
    connection: &mut SqliteConnection,
    id: DeadLetterId,
    now: Timestamp,
    deadline_at: Timestamp,
) -> Result<bool, StoreError> {
    let row = sqlx::query(
        "SELECT turn_id, EXISTS (SELECT 1 FROM parts p WHERE p.turn_id = d.turn_id
             AND p.kind = 'reply' AND p.state IN ('sending', 'sent'))
         FROM dead_letters d WHERE id = ? AND turn_id IS NOT NULL",
    )
    .bind(id.0)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(false) };
    let (turn, may_have_answered): (i64, bool) = (row.try_get(0)?, row.try_get(1)?);
    if may_have_answered {
        if !reopen_for_handoff(connection, turn, now).await? {
            return Ok(false);
        }
    } else {
        sqlx::query("UPDATE messages SET turn_id = NULL, received_at = ?, deadline_at = ? WHERE turn_id = ?")
            .bind(now.as_millisecond())
            .bind(deadline_at.as_millisecond())
            .bind(turn)
            .execute(&mut *connection)
            .await?;
    }
    drop_dead_letter(connection, id).await
}

/// False while another turn is in its lane.
async fn reopen_for_handoff(
    connection: &mut SqliteConnection,
    turn: i64,
    now: Timestamp,
) -> Result<bool, StoreError> {
    sqlx::query("DELETE FROM parts WHERE turn_id = ? AND kind <> 'reply'")
        .bind(turn)
        .execute(&mut *connection)
        .await?;
    let reopened = sqlx::query(
        "UPDATE turns SET outcome = NULL, reason = NULL, finished_at = NULL, step = 'hand_off',
             next_attempt_at = ?2, attempts = 0, failing_since = NULL
         WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM turns t WHERE t.outcome IS NULL
             AND t.account = turns.account AND t.conversation_id = turns.conversation_id)",
    )
    .bind(turn)
    .bind(now.as_millisecond())
    .execute(connection)
    .await?;
    Ok(reopened.rows_affected() > 0)
}

pub(super) async fn drop_dead_letter(
    connection: &mut SqliteConnection,
    id: DeadLetterId,
) -> Result<bool, StoreError> {
    let dropped = sqlx::query("DELETE FROM dead_letters WHERE id = ?")
        .bind(id.0)
        .execute(connection)
        .await?;
    Ok(dropped.rows_affected() > 0)
}

pub(super) async fn probe(
    connection: &mut SqliteConnection,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO probe (id, written_at) VALUES (1, ?) ON CONFLICT DO UPDATE SET written_at = excluded.written_at")
        .bind(now.as_millisecond())
        .execute(connection)
        .await?;
    Ok(())
}

/// Rows of turns whose dead letter still waits are kept with it.
pub(super) async fn purge(
    connection: &mut SqliteConnection,
    before: Timestamp,
) -> Result<(), StoreError> {
    let statements = [
        "DELETE FROM events WHERE received_at < ?",
        "DELETE FROM messages WHERE turn_id IN (SELECT id FROM turns WHERE finished_at < ?
             AND id NOT IN (SELECT turn_id FROM dead_letters WHERE turn_id IS NOT NULL))",
        "DELETE FROM turns WHERE finished_at < ? AND id NOT IN (SELECT turn_id FROM messages WHERE turn_id IS NOT NULL)",
        "DELETE FROM conversations WHERE touched_at < ? AND NOT EXISTS (
             SELECT 1 FROM turns t WHERE t.account = conversations.account
             AND t.conversation_id = conversations.conversation_id AND t.outcome IS NULL)",
    ];
    for statement in statements {
        sqlx::query(statement)
            .bind(before.as_millisecond())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
