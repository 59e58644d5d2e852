//! Storing a turn's progress. Every write first proves the lease, so that a
//! process that has lost a turn can't change it any more.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::journal::{set_holder, surviving};
use crate::conversation::Holder;
use crate::id::{AccountName, ConversationId, ItemId, ThreadId, TurnId};
use crate::outcome::Outcome;
use crate::store::{Checkpoint, NewPart, PartState, Repetition, Step, StoreError};

/// The turn that a checkpoint is for.
struct Owned {
    id: TurnId,
    account: AccountName,
    conversation_id: ConversationId,
}

pub(super) async fn apply(
    connection: &mut SqliteConnection,
    turn: TurnId,
    owner: String,
    checkpoint: Checkpoint,
    now: Timestamp,
) -> Result<(), StoreError> {
    let turn = prove_lease(connection, turn, &owner).await?;
    match checkpoint {
        Checkpoint::Gathered {
            contents,
            repetition,
            locale,
        } => gathered(connection, &turn, contents, repetition, locale).await,
        Checkpoint::Answered { answer, parts } => {
            sqlx::query("UPDATE turns SET answer = ? WHERE id = ?")
                .bind(answer)
                .bind(turn.id.0)
                .execute(&mut *connection)
                .await?;
            add_parts(connection, &turn, parts).await?;
            go_on(connection, &turn, Step::Deliver).await
        }
        Checkpoint::Thread(thread) => keep_thread(connection, &turn, thread).await,
        Checkpoint::HandingOff { reason, parts } => {
            sqlx::query("UPDATE turns SET handoff_reason = ? WHERE id = ?")
                .bind(reason.as_str())
                .bind(turn.id.0)
                .execute(&mut *connection)
                .await?;
            add_parts(connection, &turn, parts).await?;
            go_on(connection, &turn, Step::HandOff).await
        }
        Checkpoint::Part {
            position,
            state,
            item_id,
        } => set_part(connection, &turn, position, state, item_id, now).await,
        Checkpoint::Retry { at, failed } => retry(connection, &turn, at, failed, now).await,
        Checkpoint::Done { outcome, holder } => done(connection, &turn, outcome, holder, now).await,
    }
}

async fn prove_lease(
    connection: &mut SqliteConnection,
    turn: TurnId,
    owner: &str,
) -> Result<Owned, StoreError> {
    let row = sqlx::query(
        "SELECT account, conversation_id FROM turns WHERE id = ? AND lease_owner = ? AND outcome IS NULL",
    )
    .bind(turn.0)
    .bind(owner)
    .fetch_optional(connection)
    .await?
    .ok_or(StoreError::LeaseLost)?;
    let conversation_id: String = row.try_get(1)?;
    Ok(Owned {
        id: turn,
        account: AccountName::new(row.try_get(0)?),
        conversation_id: ConversationId::parse(&conversation_id)
            .map_err(|error| StoreError::Unavailable(error.to_string()))?,
    })
}

/// Moves to the next step, which ends a run of failures.
async fn go_on(
    connection: &mut SqliteConnection,
    turn: &Owned,
    step: Step,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE turns SET step = ?, attempts = 0, failing_since = NULL WHERE id = ?")
        .bind(step.as_str())
        .bind(turn.id.0)
        .execute(connection)
        .await?;
    Ok(())
}

async fn gathered(
    connection: &mut SqliteConnection,
    turn: &Owned,
    contents: Vec<(ItemId, String)>,
    repetition: Repetition,
    locale: Option<String>,
) -> Result<(), StoreError> {
    for (item, content) in contents {
        sqlx::query("UPDATE messages SET content = ? WHERE account = ? AND item_id = ?")
            .bind(content)
            .bind(turn.account.as_str())
            .bind(item.as_str())
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query(
        "UPDATE conversations SET repeated_digest = ?, repeated_count = ?, locale = coalesce(?, locale)
         WHERE account = ? AND conversation_id = ?",
    )
    .bind(repetition.digest)
    .bind(repetition.count)
    .bind(locale)
    .bind(turn.account.as_str())
    .bind(turn.conversation_id.as_str())
    .execute(&mut *connection)
    .await?;
    go_on(connection, turn, Step::Ask).await
}

/// A thread whose messages were written before the conversation closed is
/// forgotten already.
async fn keep_thread(
    connection: &mut SqliteConnection,
    turn: &Owned,
    thread: ThreadId,
) -> Result<(), StoreError> {
    let conversation = surviving(connection, &turn.account, &turn.conversation_id).await?;
    sqlx::query(
        "UPDATE conversations SET thread_id = ?1, thread_at = last.at
         FROM (SELECT max(occurred_at_us) / 1000 AS at FROM messages WHERE turn_id = ?2) AS last
         WHERE account = ?3 AND conversation_id = ?4 AND (closed_at IS NULL OR closed_at < last.at)",
    )
    .bind(thread.0)
    .bind(turn.id.0)
    .bind(turn.account.as_str())
    .bind(conversation.as_str())
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds parts after those that the turn has already.
async fn add_parts(
    connection: &mut SqliteConnection,
    turn: &Owned,
    parts: Vec<NewPart>,
) -> Result<(), StoreError> {
    for part in parts {
        sqlx::query(
            "INSERT INTO parts (turn_id, position, kind, body, body_plain)
             VALUES (?1, (SELECT coalesce(max(position) + 1, 0) FROM parts WHERE turn_id = ?1), ?2, ?3, ?4)",
        )
        .bind(turn.id.0)
        .bind(part.kind.as_str())
        .bind(part.body)
        .bind(part.body_plain)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// A part that is settled ends a run of failures; one that begins is an attempt.
async fn set_part(
    connection: &mut SqliteConnection,
    turn: &Owned,
    position: u32,
    state: PartState,
    item_id: Option<ItemId>,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE parts SET state = ?1, item_id = coalesce(?2, item_id),
             attempts = attempts + CASE WHEN ?1 = 'sending' THEN 1 ELSE 0 END,
             sending_at = CASE WHEN ?1 = 'sending' THEN ?5 ELSE sending_at END
         WHERE turn_id = ?3 AND position = ?4",
    )
    .bind(state.as_str())
    .bind(item_id.as_ref().map(ItemId::as_str))
    .bind(turn.id.0)
    .bind(position)
    .bind(now.as_millisecond())
    .execute(&mut *connection)
    .await?;
    if state == PartState::Sent {
        sqlx::query("UPDATE turns SET attempts = 0, failing_since = NULL WHERE id = ?")
            .bind(turn.id.0)
            .execute(connection)
            .await?;
    }
    Ok(())
}

async fn retry(
    connection: &mut SqliteConnection,
    turn: &Owned,
    at: Timestamp,
    failed: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE turns SET lease_owner = NULL, lease_until = NULL, next_attempt_at = ?1,
             attempts = attempts + ?2,
             failing_since = CASE WHEN ?2 THEN coalesce(failing_since, ?3) ELSE failing_since END
         WHERE id = ?4",
    )
    .bind(at.as_millisecond())
    .bind(failed)
    .bind(now.as_millisecond())
    .bind(turn.id.0)
    .execute(connection)
    .await?;
    Ok(())
}

async fn done(
    connection: &mut SqliteConnection,
    turn: &Owned,
    outcome: Outcome,
    holder: Option<Holder>,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE turns SET outcome = ?, reason = ?, finished_at = ?, lease_owner = NULL, lease_until = NULL,
             answer = NULL WHERE id = ?",
    )
    .bind(outcome.as_str())
    .bind(outcome.reason())
    .bind(now.as_millisecond())
    .bind(turn.id.0)
    .execute(&mut *connection)
    .await?;
    let erasures = [
        "UPDATE messages SET content = NULL WHERE turn_id = ?",
        "UPDATE parts SET body = '', body_plain = NULL WHERE turn_id = ?",
    ];
    for erasure in erasures {
        sqlx::query(erasure)
            .bind(turn.id.0)
            .execute(&mut *connection)
            .await?;
    }
    if let Some(holder) = holder {
        let conversation = surviving(connection, &turn.account, &turn.conversation_id).await?;
        set_holder(connection, &turn.account, &conversation, &holder, now).await?;
        let handed_off =
            "UPDATE conversations SET handed_off_at = ? WHERE account = ? AND conversation_id = ?";
        sqlx::query(handed_off)
            .bind(now.as_millisecond())
            .bind(turn.account.as_str())
            .bind(conversation.as_str())
            .execute(&mut *connection)
            .await?;
    }
    if let Outcome::Dead(error) = outcome {
        sqlx::query(
            "INSERT INTO dead_letters (account, turn_id, conversation_id, error, created_at) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(turn.account.as_str())
        .bind(turn.id.0)
        .bind(turn.conversation_id.as_str())
        .bind(error)
        .bind(now.as_millisecond())
        .execute(connection)
        .await?;
    }
    Ok(())
}
