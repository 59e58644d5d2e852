//! Leasing turns: the account's next one that is due, whole.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::journal::surviving;
use crate::conversation::{AsOf, Holder, Known, Status};
use crate::id::{AccountName, AgentId, ConversationId, InboxId, ItemId, ThreadId, TurnId};
use crate::outcome::HandoffReason;
use crate::store::{
    Claim, ClaimedTurn, History, Lease, Message, NewPart, PartKind, PartState, Repetition, Step,
    StoreError, StoredPart, Turn,
};

/// The window of `max_replies_per_hour`.
const HOUR_MS: i64 = 3_600_000;

pub(super) async fn claim(
    connection: &mut SqliteConnection,
    account: AccountName,
    lease: Lease,
    now: Timestamp,
) -> Result<Claim, StoreError> {
    let id = match due_turn(connection, &account, now).await? {
        Some(id) => id,
        None => match begin_turn(connection, &account, now).await? {
            Some(id) => id,
            None => {
                return Ok(Claim::Nothing {
                    next_due_at: next_due(connection, &account).await?,
                });
            }
        },
    };
    sqlx::query("UPDATE turns SET lease_owner = ?, lease_until = ? WHERE id = ?")
        .bind(&lease.owner)
        .bind(lease.until.as_millisecond())
        .bind(id.0)
        .execute(&mut *connection)
        .await?;
    let (turn, epoch) = load_turn(connection, account, id).await?;
    let known = load_known(connection, &turn.account, &turn.conversation_id).await?;
    let history = load_history(connection, &turn, epoch, now).await?;
    Ok(Claim::Turn(Box::new(ClaimedTurn {
        turn,
        known,
        history,
    })))
}

pub(super) async fn renew(
    connection: &mut SqliteConnection,
    leases: Vec<(TurnId, String)>,
    until: Timestamp,
) -> Result<(), StoreError> {
    for (turn, owner) in leases {
        sqlx::query(
            "UPDATE turns SET lease_until = ? WHERE id = ? AND lease_owner = ? AND outcome IS NULL",
        )
        .bind(until.as_millisecond())
        .bind(turn.0)
        .bind(owner)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Ends every lease: for the start of the only process that runs turns.
pub(super) async fn free_all(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query("UPDATE turns SET lease_owner = NULL, lease_until = NULL WHERE outcome IS NULL")
        .execute(connection)
        .await?;
    Ok(())
}

/// An unfinished turn that is due and that nobody holds. A lease that has
/// ended means that whoever held it is gone.
async fn due_turn(
    connection: &mut SqliteConnection,
    account: &AccountName,
    now: Timestamp,
) -> Result<Option<TurnId>, StoreError> {
    let row = sqlx::query(
        "SELECT id FROM turns
         WHERE account = ?1 AND outcome IS NULL AND next_attempt_at <= ?2
           AND (lease_until IS NULL OR lease_until <= ?2)
         ORDER BY next_attempt_at, id LIMIT 1",
    )
    .bind(account.as_str())
    .bind(now.as_millisecond())
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.map(TurnId))
}

/// A new turn of all messages that wait in the free lane of the oldest.
async fn begin_turn(
    connection: &mut SqliteConnection,
    account: &AccountName,
    now: Timestamp,
) -> Result<Option<TurnId>, StoreError> {
    let row = sqlx::query(
        "SELECT m.conversation_id FROM messages m
         WHERE m.account = ?1 AND m.turn_id IS NULL AND NOT EXISTS (
             SELECT 1 FROM turns t
             WHERE t.account = m.account AND t.conversation_id = m.conversation_id AND t.outcome IS NULL)
         ORDER BY m.id LIMIT 1",
    )
    .bind(account.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let conversation: String = row.try_get(0)?;
    let row = sqlx::query(
        "INSERT INTO turns (account, conversation_id, epoch, received_at, deadline_at, next_attempt_at)
         SELECT account, conversation_id,
                coalesce((SELECT c.epoch FROM conversations c WHERE c.account = ?1 AND c.conversation_id = ?2), 0),
                min(received_at), min(deadline_at), ?3
         FROM messages WHERE account = ?1 AND conversation_id = ?2 AND turn_id IS NULL
         GROUP BY account, conversation_id
         RETURNING id",
    )
    .bind(account.as_str())
    .bind(&conversation)
    .bind(now.as_millisecond())
    .fetch_one(&mut *connection)
    .await?;
    let id: i64 = row.try_get(0)?;
    sqlx::query("UPDATE messages SET turn_id = ?3 WHERE account = ?1 AND conversation_id = ?2 AND turn_id IS NULL")
        .bind(account.as_str())
        .bind(&conversation)
        .bind(id)
        .execute(connection)
        .await?;
    Ok(Some(TurnId(id)))
}

async fn next_due(
    connection: &mut SqliteConnection,
    account: &AccountName,
) -> Result<Option<Timestamp>, StoreError> {
    let row = sqlx::query(
        "SELECT min(max(next_attempt_at, coalesce(lease_until, 0))) FROM turns WHERE account = ? AND outcome IS NULL",
    )
    .bind(account.as_str())
    .fetch_one(connection)
    .await?;
    let at: Option<i64> = row.try_get(0)?;
    at.map(timestamp).transpose()
}

async fn load_turn(
    connection: &mut SqliteConnection,
    account: AccountName,
    id: TurnId,
) -> Result<(Turn, i64), StoreError> {
    let row = sqlx::query("SELECT * FROM turns WHERE id = ?")
        .bind(id.0)
        .fetch_one(&mut *connection)
        .await?;
    let reason: Option<String> = row.try_get("handoff_reason")?;
    let turn = Turn {
        id,
        account,
        conversation_id: parsed(&row, "conversation_id", |text| {
            ConversationId::parse(text).ok()
        })?,
        step: parsed(&row, "step", step)?,
        received_at: timestamp(row.try_get("received_at")?)?,
        deadline_at: timestamp(row.try_get("deadline_at")?)?,
        attempts: row.try_get("attempts")?,
        failing_since: row
            .try_get::<Option<i64>, _>("failing_since")?
            .map(timestamp)
            .transpose()?,
        answer: row.try_get("answer")?,
        handoff_reason: reason.and_then(|word| HandoffReason::from_word(&word)),
        messages: load_messages(connection, id).await?,
        parts: load_parts(connection, id).await?,
    };
    Ok((turn, row.try_get("epoch")?))
}

async fn load_messages(
    connection: &mut SqliteConnection,
    turn: TurnId,
) -> Result<Vec<Message>, StoreError> {
    let rows = sqlx::query("SELECT item_id, occurred_at_us, content FROM messages WHERE turn_id = ? ORDER BY occurred_at_us, id")
        .bind(turn.0)
        .fetch_all(connection)
        .await?;
    let message = |row: &SqliteRow| {
        Ok(Message {
            item_id: parsed(row, "item_id", |text| ItemId::parse(text).ok())?,
            occurred_at: timestamp(row.try_get::<i64, _>("occurred_at_us")? / 1_000)?,
            content: row.try_get("content")?,
        })
    };
    rows.iter().map(message).collect()
}

async fn load_parts(
    connection: &mut SqliteConnection,
    turn: TurnId,
) -> Result<Vec<StoredPart>, StoreError> {
    let rows = sqlx::query("SELECT * FROM parts WHERE turn_id = ? ORDER BY position")
        .bind(turn.0)
        .fetch_all(connection)
        .await?;
    let part = |row: &SqliteRow| {
        let item_id: Option<String> = row.try_get("item_id")?;
        let sending_at: Option<i64> = row.try_get("sending_at")?;
        Ok(StoredPart {
            position: row.try_get("position")?,
            part: NewPart {
                kind: parsed(row, "kind", PartKind::from_word)?,
                body: row.try_get("body")?,
                body_plain: row.try_get("body_plain")?,
            },
            state: parsed(row, "state", PartState::from_word)?,
            attempts: row.try_get("attempts")?,
            sending_at: sending_at.map(timestamp).transpose()?,
            item_id: item_id.and_then(|id| ItemId::parse(&id).ok()),
        })
    };
    rows.iter().map(part).collect()
}

/// What is known of a conversation, or of the one that it was merged into.
pub(super) async fn load_known(
    connection: &mut SqliteConnection,
    account: &AccountName,
    conversation: &ConversationId,
) -> Result<Known, StoreError> {
    let survivor = surviving(connection, account, conversation).await?;
    let row = sqlx::query("SELECT * FROM conversations WHERE account = ? AND conversation_id = ?")
        .bind(account.as_str())
        .bind(survivor.as_str())
        .fetch_optional(connection)
        .await?;
    let merged_into = (survivor != *conversation).then_some(survivor);
    let Some(row) = row else {
        return Ok(Known {
            merged_into,
            ..Known::default()
        });
    };
    let text = |column| row.try_get::<Option<String>, _>(column);
    let time = |column| {
        row.try_get::<Option<i64>, _>(column)
            .map_err(StoreError::from)?
            .map(timestamp)
            .transpose()
    };
    let holder = Holder {
        inbox_id: text("inbox_id")?.and_then(|id| InboxId::parse(&id).ok()),
        agent_id: text("agent_id")?.and_then(|id| AgentId::parse(&id).ok()),
    };
    let status = text("status")?.and_then(|word| Status::from_word(&word));
    Ok(Known {
        holder: time("holder_at")?.map(|at| AsOf { value: holder, at }),
        status: status
            .zip(time("status_at")?)
            .map(|(value, at)| AsOf { value, at }),
        handed_off_at: time("handed_off_at")?,
        thread_id: text("thread_id")?.map(ThreadId),
        merged_into,
        locale: text("locale")?,
    })
}

async fn load_history(
    connection: &mut SqliteConnection,
    turn: &Turn,
    epoch: i64,
    now: Timestamp,
) -> Result<History, StoreError> {
    let (account, conversation) = (turn.account.as_str(), turn.conversation_id.as_str());
    let counts = sqlx::query(
        "SELECT count(*) FILTER (WHERE epoch = ?3), count(*) FILTER (WHERE finished_at > ?4)
         FROM turns WHERE account = ?1 AND conversation_id = ?2 AND outcome = 'replied'",
    )
    .bind(account)
    .bind(conversation)
    .bind(epoch)
    .bind(now.as_millisecond() - HOUR_MS)
    .fetch_one(&mut *connection)
    .await?;
    let repeated = sqlx::query(
        "SELECT repeated_digest, repeated_count FROM conversations WHERE account = ? AND conversation_id = ?",
    )
    .bind(account)
    .bind(conversation)
    .fetch_optional(&mut *connection)
    .await?;
    let repetition = match repeated {
        Some(row) => Repetition {
            digest: row.try_get(0)?,
            count: row.try_get(1)?,
        },
        None => Repetition::default(),
    };
    // Only recent turns: their items may stand after this turn's messages.
    let items = sqlx::query(
        "SELECT p.item_id FROM turns t JOIN parts p ON p.turn_id = t.id
         WHERE t.account = ? AND t.conversation_id = ? AND t.outcome IS NOT NULL AND p.item_id IS NOT NULL
         ORDER BY t.finished_at DESC LIMIT 100",
    )
    .bind(account)
    .bind(conversation)
    .fetch_all(connection)
    .await?;
    let own_item = |row: &SqliteRow| Ok::<_, StoreError>(ItemId::parse(row.try_get(0)?).ok());
    let own_items: Result<Vec<_>, _> = items.iter().map(own_item).collect();
    Ok(History {
        replies: counts.try_get(0)?,
        replies_last_hour: counts.try_get(1)?,
        repetition,
        own_items: own_items?.into_iter().flatten().collect(),
    })
}

fn step(word: &str) -> Option<Step> {
    [Step::Gather, Step::Ask, Step::Deliver, Step::HandOff]
        .into_iter()
        .find(|step| step.as_str() == word)
}

fn parsed<T>(
    row: &SqliteRow,
    column: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, StoreError> {
    let text: String = row.try_get(column)?;
    parse(&text).ok_or_else(|| {
        StoreError::Unavailable(format!("the column {column} holds an unknown value"))
    })
}

/// A stored time.
pub(super) fn timestamp(milliseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(milliseconds)
        .map_err(|_| StoreError::Unavailable(format!("{milliseconds} is not a time")))
}
