//! What operators read of what was.

use std::collections::HashSet;

use serde::de::IgnoredAny;
use tokio_postgres::Row;

use super::load::{TURNS, UNFINISHED};
use super::read::Desk;
use super::rows;
use super::statement::Statement;
use crate::id::{AccountName, ConversationId, TurnId};
use crate::store::history::FEW_ACCOUNTS;
use crate::store::picture::{Conversation, Key};
use crate::store::{
    Past, RUNNING, Remembered, StoreError, Total, TotalKey, TurnQuery, TurnRow, Unreadable,
};

/// Turns that have ended, newest first: what is filtered by stands in the index.
const ENDED: &str = "SELECT t.id, t.account, t.conversation_id, t.received_at, t.finished_at,
        t.outcome, t.reason, t.messages
    FROM turns t
    WHERE t.outcome IS NOT NULL AND t.received_at >= $1 AND (t.received_at, t.id) < ($2, $3)
        AND ($4::text IS NULL OR t.account = $4) AND ($5::text IS NULL OR t.outcome = $5)
        AND ($6::text IS NULL OR t.reason = $6)
    ORDER BY t.received_at DESC, t.id DESC LIMIT $7";
/// Of each account, or of one, the kinds of turns that have ended: outcome and reason as
/// the index holds them. Goes from one to the next in the index.
const KINDS: &str = "WITH RECURSIVE a (account) AS (
        (SELECT account FROM turns WHERE outcome <> 'dead' AND ($1::text IS NULL OR account = $1)
            ORDER BY account LIMIT 1)
        UNION ALL
        SELECT (SELECT t.account FROM turns t WHERE t.outcome <> 'dead' AND t.account > a.account
            ORDER BY t.account LIMIT 1) FROM a WHERE a.account IS NOT NULL AND $1 IS NULL
    ), few AS (SELECT account FROM a WHERE account IS NOT NULL LIMIT $2
    ), k (account, kind) AS (
        SELECT account, (SELECT outcome || ' ' || coalesce(reason, '') FROM turns t
            WHERE t.outcome <> 'dead' AND t.account = few.account
            ORDER BY outcome || ' ' || coalesce(reason, '') LIMIT 1) FROM few
        UNION ALL
        SELECT account, (SELECT outcome || ' ' || coalesce(reason, '') FROM turns t
            WHERE t.outcome <> 'dead' AND t.account = k.account
                AND outcome || ' ' || coalesce(reason, '') > k.kind
            ORDER BY outcome || ' ' || coalesce(reason, '') LIMIT 1) FROM k WHERE kind IS NOT NULL
    )
    SELECT account, kind FROM k WHERE kind IS NOT NULL";
/// The newest turns of some kinds.
const ALIKE: &str = "SELECT t.id, t.account, t.conversation_id, t.received_at, t.finished_at,
        t.outcome, t.reason, t.messages
    FROM unnest($1::text[], $2::text[]) k (account, kind) CROSS JOIN LATERAL (
        SELECT * FROM turns n WHERE n.outcome <> 'dead' AND n.account = k.account
            AND outcome || ' ' || coalesce(reason, '') = k.kind
            AND n.received_at >= $3 AND (n.received_at, n.id) < ($4, $5)
        ORDER BY n.received_at DESC, n.id DESC LIMIT $6) t
    ORDER BY t.received_at DESC, t.id DESC LIMIT $6";
/// The same of those that run or are dead, which are few among many.
const KEPT: &str =
    "SELECT id, account, conversation_id, received_at, finished_at, outcome, reason, messages
    FROM turns WHERE (outcome IS NULL OR outcome = 'dead')
        AND received_at >= $1 AND (received_at, id) < ($2, $3)
        AND ($4::text IS NULL OR account = $4) AND coalesce(outcome, 'running') = $5
        AND ($6::text IS NULL OR reason = $6)
    ORDER BY received_at DESC, id DESC LIMIT $7";
const SOME: &str =
    "SELECT id, account, conversation_id, received_at, finished_at, outcome, reason, messages
    FROM turns WHERE id = ANY($1)";
/// The accounts that have conversations, without reading these.
const ACCOUNTS: &str = "WITH RECURSIVE a (account) AS (
        SELECT min(account) FROM conversations UNION ALL
        SELECT (SELECT min(account) FROM conversations c WHERE c.account > a.account)
        FROM a WHERE a.account IS NOT NULL)
    SELECT account FROM a WHERE account IS NOT NULL";
const CONVERSATION: &str = "SELECT account, conversation_id, value, merged_into, due_at
    FROM conversations WHERE account = $1 AND conversation_id = $2";
const MERGED: &str = "SELECT conversation_id FROM conversations
    WHERE account = $1 AND merged_into = $2 ORDER BY conversation_id";
const DEAD_LETTERS: &str = "SELECT id, account, turn_id, conversation_id, event_type,
    may_have_answered, error, created_at FROM dead_letters
    WHERE account = $1 AND conversation_id = $2 ORDER BY id";
pub(super) const TOTALS: &str =
    "SELECT hour, account, what, reason, firsts, bucket, count, messages, calls, per_second
    FROM totals WHERE hour >= $1 AND hour < $2 AND ($3::text IS NULL OR account = $3)";

impl Desk {
    /// See [`crate::store::History::turns`].
    pub(super) async fn turns(&self, query: &TurnQuery) -> Result<Vec<TurnRow>, StoreError> {
        if let Some(id) = &query.conversation_id {
            return self.turns_of(id, query).await;
        }
        let outcome = query.outcome.as_deref();
        if let Some("dead" | RUNNING) = outcome {
            return self.list(KEPT, outcome, query).await;
        }
        let narrow = if query.is_narrow() {
            self.alike(query).await?
        } else {
            None
        };
        let is_narrow = narrow.is_some();
        let mut turns = match narrow {
            Some(turns) => turns,
            None => self.list(ENDED, outcome, query).await?,
        };
        if outcome.is_none() {
            turns.extend(self.list(KEPT, Some(RUNNING), query).await?);
            if is_narrow {
                turns.extend(self.list(KEPT, Some("dead"), query).await?);
            }
        }
        Ok(query.newest(turns))
    }

    /// Ended turns of the kinds that are asked for; none if there are very many accounts.
    async fn alike(&self, query: &TurnQuery) -> Result<Option<Vec<TurnRow>>, StoreError> {
        let account = query.account.as_ref().map(AccountName::as_str);
        let most = i64::try_from(FEW_ACCOUNTS + 1).unwrap_or(i64::MAX);
        let kinds = Statement::new(KINDS).some_text(account).number(most);
        let kinds = self.ask(kinds).await?;
        let kinds = kinds
            .iter()
            .map(|row| (row.get::<_, &str>(0), row.get::<_, &str>(1)));
        let accounts: HashSet<&str> = kinds.clone().map(|(account, _)| account).collect();
        if accounts.len() > FEW_ACCOUNTS {
            return Ok(None);
        }
        let kinds = kinds.filter(|(_, kind)| query.asks_for_kind(kind));
        let (since, before) = query.span();
        let statement = Statement::new(ALIKE)
            .texts(kinds.clone().map(|(account, _)| account))
            .texts(kinds.map(|(_, kind)| kind))
            .number(since.as_millisecond())
            .number(before.received_at.as_millisecond())
            .number(before.id.0)
            .number(i64::try_from(query.limit).unwrap_or(i64::MAX));
        let rows = self.ask(statement).await?;
        Ok(Some(rows.iter().filter_map(turn_row).collect()))
    }

    async fn list(
        &self,
        sql: &'static str,
        outcome: Option<&str>,
        query: &TurnQuery,
    ) -> Result<Vec<TurnRow>, StoreError> {
        let (since, before) = query.span();
        let statement = Statement::new(sql)
            .number(since.as_millisecond())
            .number(before.received_at.as_millisecond())
            .number(before.id.0)
            .some_text(query.account.as_ref().map(AccountName::as_str))
            .some_text(outcome)
            .some_text(query.reason.as_deref())
            .number(i64::try_from(query.limit).unwrap_or(i64::MAX));
        let rows = self.ask(statement).await?;
        Ok(rows.iter().filter_map(turn_row).collect())
    }

    /// The turns of a conversation are found through it.
    async fn turns_of(
        &self,
        id: &ConversationId,
        query: &TurnQuery,
    ) -> Result<Vec<TurnRow>, StoreError> {
        let mut turns = Vec::new();
        for key in self.keys(id, query.account.as_ref()).await? {
            let past = self
                .conversation(&key)
                .await?
                .map(|conversation| conversation.past);
            let ids = past.unwrap_or_default().turns;
            let statement = Statement::new(SOME).numbers(ids.iter().map(|id| id.0));
            let rows = self.ask(statement).await?;
            let asked_for = rows
                .iter()
                .filter_map(turn_row)
                .filter(|turn| query.asks_for(turn));
            turns.extend(asked_for);
        }
        Ok(query.newest(turns))
    }

    /// See [`crate::store::History::remembered`].
    pub(super) async fn remembered(
        &self,
        id: &ConversationId,
        account: Option<&AccountName>,
    ) -> Result<Vec<Remembered>, StoreError> {
        let mut found = Vec::new();
        for key in self.keys(id, account).await? {
            let letters = self.ask(of(DEAD_LETTERS, &key)).await?;
            let conversation = self.conversation(&key).await?;
            if conversation.is_none() && letters.is_empty() {
                continue;
            }
            let conversation = conversation.unwrap_or_default();
            let merged = self.ask(of(MERGED, &key)).await?;
            let merged_from = merged
                .iter()
                .filter_map(|row| rows::conversation_id(row, 0));
            let ids = &conversation.past.turns;
            let turns = self
                .ask(Statement::new(TURNS).numbers(ids.iter().map(|id| id.0)))
                .await?;
            let mut turns: Vec<_> = turns.iter().map(|row| rows::turn(row, None)).collect();
            turns.sort_by_key(|(id, _)| ids.iter().position(|other| other == id));
            let turns = turns.into_iter();
            found.push(Remembered {
                turns: turns
                    .map(|(id, turn)| turn.map_err(|error| (id, error)))
                    .collect(),
                merged_from: merged_from.collect(),
                dead_letters: letters.iter().map(rows::dead_letter).collect(),
                account: key.0,
                conversation_id: key.1,
                conversation,
            });
        }
        Ok(found)
    }

    /// Where a conversation with this id may be.
    async fn keys(
        &self,
        id: &ConversationId,
        account: Option<&AccountName>,
    ) -> Result<Vec<Key>, StoreError> {
        if let Some(account) = account {
            return Ok(vec![(account.clone(), id.clone())]);
        }
        let accounts = self.ask(Statement::new(ACCOUNTS)).await?;
        let key = |row| (rows::account(row, 0), id.clone());
        Ok(accounts.iter().map(key).collect())
    }

    /// A conversation's row. Of one that can't be read, its turns and that it is there.
    async fn conversation(&self, key: &Key) -> Result<Option<Conversation>, StoreError> {
        let found = self.ask(of(CONVERSATION, key)).await?;
        let Some(row) = found.first() else {
            return Ok(None);
        };
        if let Ok(conversation) = rows::conversation(row) {
            return Ok(Some(conversation));
        }
        let turns = self.ask(of(UNFINISHED, key)).await?;
        let past = Past {
            turns: turns.iter().map(|row| TurnId(row.get(0))).collect(),
            ..Past::default()
        };
        Ok(Some(Conversation {
            past,
            ..Conversation::default()
        }))
    }

    /// See [`crate::store::History::totals`].
    pub(super) async fn totals(
        &self,
        from_hour: i64,
        until_hour: i64,
        account: Option<&AccountName>,
    ) -> Result<Vec<Total>, StoreError> {
        let statement = Statement::new(TOTALS)
            .number(from_hour)
            .number(until_hour)
            .some_text(account.map(AccountName::as_str));
        totals(&self.ask(statement).await?)
    }
}

fn of(sql: &'static str, key: &Key) -> Statement {
    Statement::new(sql)
        .text(key.0.as_str())
        .text(key.1.as_str())
}

/// None if it can't be read: it is told of where it is worked on.
fn turn_row(row: &Row) -> Option<TurnRow> {
    let messages: Vec<IgnoredAny> = serde_json::from_str(row.get(7)).unwrap_or_default();
    let finished_at: Option<i64> = row.get(4);
    Some(TurnRow {
        id: TurnId(row.get(0)),
        account: rows::account(row, 1),
        conversation_id: rows::conversation_id(row, 2)?,
        received_at: rows::time(row.get(3)).ok()?,
        finished_at: finished_at.and_then(|at| rows::time(at).ok()),
        outcome: row.get(5),
        reason: row.get(6),
        messages: messages.len(),
    })
}

/// Those of an hour and an account stand together. Sorted here: by texts, the server
/// takes ten times as long to sort them as to find them.
pub(super) fn totals(rows: &[Row]) -> Result<Vec<Total>, StoreError> {
    let totals = rows.iter().map(total).collect::<Result<_, Unreadable>>();
    let mut totals: Vec<Total> = totals.map_err(|Unreadable(what)| StoreError::Database(what))?;
    totals.sort_by(|one, other| {
        let (one, other) = (&one.key, &other.key);
        (one.hour, &one.account).cmp(&(other.hour, &other.account))
    });
    Ok(totals)
}

fn total(row: &Row) -> Result<Total, Unreadable> {
    let number = |column: usize| -> i64 { row.get(column) };
    let unreadable = |_| Unreadable("a total can't be read".to_owned());
    Ok(Total {
        key: TotalKey {
            hour: number(0),
            account: rows::account(row, 1),
            what: row.get(2),
            reason: row.get(3),
            firsts: number(4).try_into().map_err(unreadable)?,
            bucket: number(5).try_into().map_err(unreadable)?,
        },
        count: number(6),
        messages: number(7),
        calls: number(8),
        per_second: number(9).try_into().map_err(unreadable)?,
    })
}
