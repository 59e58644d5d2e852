//! Recording webhook deliveries and looks: what happened to conversations.
//!
//! Facts arrive late and out of order, so each replaces only an older one.

use jiff::Timestamp;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Row, Sqlite};

use crate::conversation::{Holder, Status};
use crate::id::{AccountName, ConversationId, ItemId};
use crate::store::{Change, Delivery, Recorded, StoreError};

/// How far apart Gladly's webhooks of one message and its routing may be.
const REVIVED_MS: i64 = 10_000;

pub(super) async fn record(
    connection: &mut SqliteConnection,
    delivery: Delivery,
) -> Result<Recorded, StoreError> {
    if !is_new(connection, &delivery).await? {
        return Ok(Recorded::Duplicate);
    }
    apply(connection, delivery).await
}

/// Journals the event. False if it came before.
async fn is_new(
    connection: &mut SqliteConnection,
    delivery: &Delivery,
) -> Result<bool, StoreError> {
    let added = sqlx::query(
        "INSERT INTO events (account, event_id, received_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(delivery.account.as_str())
    .bind(&delivery.event_id.0)
    .bind(delivery.received_at.as_millisecond())
    .execute(connection)
    .await?;
    Ok(added.rows_affected() > 0)
}

async fn apply(
    connection: &mut SqliteConnection,
    delivery: Delivery,
) -> Result<Recorded, StoreError> {
    let received_at = delivery.received_at.as_millisecond();
    let (account, at) = (&delivery.account, delivery.occurred_at);
    match delivery.change {
        Change::Message {
            conversation_id,
            item_id,
            holder,
            deadline_at,
        } => {
            let conversation_id = surviving(connection, account, &conversation_id).await?;
            touch(connection, account, &conversation_id, delivery.received_at).await?;
            if let Some(holder) = holder {
                set_holder(connection, account, &conversation_id, &holder, at).await?;
            }
            let times = [at, delivery.received_at, deadline_at];
            return add_message(connection, account, &conversation_id, &item_id, times).await;
        }
        Change::Status(conversation_id, status) => {
            touch(connection, account, &conversation_id, delivery.received_at).await?;
            set_status(connection, account, &conversation_id, status, at).await?;
        }
        Change::Holder {
            conversation_id,
            holder,
            is_bots,
        } => {
            touch(connection, account, &conversation_id, delivery.received_at).await?;
            set_holder(connection, account, &conversation_id, &holder, at).await?;
            if is_bots {
                revive(connection, account, &conversation_id, delivery.received_at).await?;
            }
        }
        Change::Merge {
            source,
            destination,
        } => {
            touch(connection, account, &source, delivery.received_at).await?;
            touch(connection, account, &destination, delivery.received_at).await?;
            merge(connection, account, &source, &destination).await?;
        }
        Change::Unusable { error, payload } => {
            sqlx::query(
                "INSERT INTO dead_letters (account, event_type, error, payload, created_at) VALUES (?, ?, ?, ?, ?)",
            )
            .bind(account.as_str())
            .bind(delivery.event_type)
            .bind(error)
            .bind(payload)
            .bind(received_at)
            .execute(connection)
            .await?;
        }
    }
    Ok(Recorded::Accepted)
}

pub(super) async fn looked(
    connection: &mut SqliteConnection,
    account: AccountName,
    conversation: ConversationId,
    holder: Holder,
    status: Status,
    at: Timestamp,
) -> Result<(), StoreError> {
    touch(connection, &account, &conversation, at).await?;
    set_holder(connection, &account, &conversation, &holder, at).await?;
    set_status(connection, &account, &conversation, status, at).await
}

/// Lets messages wait again that were left to humans a moment before the
/// conversation became the bot's. Later than that, a human may have answered.
async fn revive(
    connection: &mut SqliteConnection,
    account: &AccountName,
    conversation: &ConversationId,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE messages SET turn_id = NULL
         WHERE account = ?1 AND conversation_id = ?2 AND received_at >= ?3 AND turn_id IN (
             SELECT id FROM turns WHERE account = ?1 AND conversation_id = ?2
                 AND outcome = 'skipped' AND reason IN ('not_ai_inbox', 'human_assigned'))",
    )
    .bind(account.as_str())
    .bind(conversation.as_str())
    .bind(now.as_millisecond() - REVIVED_MS)
    .execute(connection)
    .await?;
    Ok(())
}

/// The conversation that a merge has left in the place of this one.
pub(super) async fn surviving(
    connection: &mut SqliteConnection,
    account: &AccountName,
    conversation: &ConversationId,
) -> Result<ConversationId, StoreError> {
    let row = sqlx::query(
        "SELECT merged_into FROM conversations WHERE account = ? AND conversation_id = ?",
    )
    .bind(account.as_str())
    .bind(conversation.as_str())
    .fetch_optional(connection)
    .await?;
    let merged_into: Option<String> = row.map(|row| row.try_get(0)).transpose()?.flatten();
    let survivor = merged_into.and_then(|id| ConversationId::parse(&id).ok());
    Ok(survivor.unwrap_or_else(|| conversation.clone()))
}

/// Makes sure that there is a row, and that it is not purged as forgotten.
async fn touch(
    connection: &mut SqliteConnection,
    account: &AccountName,
    conversation: &ConversationId,
    at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO conversations (account, conversation_id, touched_at) VALUES (?, ?, ?)
         ON CONFLICT DO UPDATE SET touched_at = max(touched_at, excluded.touched_at)",
    )
    .bind(account.as_str())
    .bind(conversation.as_str())
    .bind(at.as_millisecond())
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn set_holder(
    connection: &mut SqliteConnection,
    account: &AccountName,
    conversation: &ConversationId,
    holder: &Holder,
    at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE conversations SET inbox_id = ?1, agent_id = ?2, holder_at = ?3
         WHERE account = ?4 AND conversation_id = ?5 AND (holder_at IS NULL OR holder_at <= ?3)",
    )
    .bind(holder.inbox_id.as_ref().map(ToString::to_string))
    .bind(holder.agent_id.as_ref().map(ToString::to_string))
    .bind(at.as_millisecond())
    .bind(account.as_str())
    .bind(conversation.as_str())
    .execute(connection)
    .await?;
    Ok(())
}

async fn set_status(
    connection: &mut SqliteConnection,
    account: &AccountName,
    conversation: &ConversationId,
    status: Status,
    at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE conversations SET status = ?1, status_at = ?2
         WHERE account = ?3 AND conversation_id = ?4 AND (status_at IS NULL OR status_at <= ?2)",
    )
    .bind(status.as_str())
    .bind(at.as_millisecond())
    .bind(account.as_str())
    .bind(conversation.as_str())
    .execute(&mut *connection)
    .await?;
    if status == Status::Closed {
        close(connection, account, conversation, at).await?;
    }
    Ok(())
}

/// A closing ends the thread: Gleen's memory is the conversation's. It does so
/// even if a later change of status was heard of first.
async fn close(
    connection: &mut SqliteConnection,
    account: &AccountName,
    conversation: &ConversationId,
    at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE conversations SET
             epoch = epoch + 1,
             closed_at = ?1,
             thread_id = CASE WHEN thread_at > ?1 THEN thread_id END
         WHERE account = ?2 AND conversation_id = ?3 AND (closed_at IS NULL OR closed_at < ?1)",
    )
    .bind(at.as_millisecond())
    .bind(account.as_str())
    .bind(conversation.as_str())
    .execute(connection)
    .await?;
    Ok(())
}

async fn add_message(
    connection: &mut SqliteConnection,
    account: &AccountName,
    conversation: &ConversationId,
    item: &ItemId,
    [occurred_at, received_at, deadline_at]: [Timestamp; 3],
) -> Result<Recorded, StoreError> {
    let added = sqlx::query(
        "INSERT INTO messages (account, item_id, conversation_id, occurred_at_us, received_at, deadline_at)
         VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(account.as_str())
    .bind(item.as_str())
    .bind(conversation.as_str())
    .bind(occurred_at.as_microsecond())
    .bind(received_at.as_millisecond())
    .bind(deadline_at.as_millisecond())
    .execute(connection)
    .await?;
    Ok(if added.rows_affected() == 0 {
        Recorded::Duplicate
    } else {
        Recorded::Accepted
    })
}

/// What waits in the source waits in the destination now, which also inherits
/// the thread unless it has its own. A turn that runs in the source finishes
/// there and reads `merged_into` for where to write.
async fn merge(
    connection: &mut SqliteConnection,
    account: &AccountName,
    source: &ConversationId,
    destination: &ConversationId,
) -> Result<(), StoreError> {
    // Merges may be told in any order: of the later one first.
    let destination = &surviving(connection, account, destination).await?;
    if source == destination {
        return Ok(());
    }
    let statements: [sqlx::query::Query<'_, Sqlite, _>; 4] = [
        sqlx::query(
            "UPDATE conversations SET
                 thread_at = CASE WHEN thread_id IS NULL THEN
                     (SELECT s.thread_at FROM conversations s WHERE s.account = ?1 AND s.conversation_id = ?2)
                     ELSE thread_at END,
                 thread_id = coalesce(thread_id, (SELECT s.thread_id FROM conversations s WHERE s.account = ?1 AND s.conversation_id = ?2)),
                 epoch = max(epoch, (SELECT s.epoch FROM conversations s WHERE s.account = ?1 AND s.conversation_id = ?2)),
                 merged_into = NULL
             WHERE account = ?1 AND conversation_id = ?3",
        ),
        sqlx::query(
            "UPDATE conversations SET merged_into = ?3, thread_id = NULL WHERE account = ?1 AND conversation_id = ?2",
        ),
        sqlx::query("UPDATE conversations SET merged_into = ?3 WHERE account = ?1 AND merged_into = ?2"),
        sqlx::query(
            "UPDATE messages SET conversation_id = ?3 WHERE account = ?1 AND conversation_id = ?2 AND turn_id IS NULL",
        ),
    ];
    for statement in statements {
        statement
            .bind(account.as_str())
            .bind(source.as_str())
            .bind(destination.as_str())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
