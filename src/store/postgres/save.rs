//! Saving what a batch has changed: a handful of statements, whatever its size.
//!
//! What is new is inserted plainly. Where another relay was first, the unique key
//! says so, and the batch is done again with what that one has stored.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;

use super::days::CHANGED;
use super::statement::Statement;
use crate::id::{AccountName, ConversationId, TurnId};
use crate::outcome::Outcome;
use crate::store::days;
use crate::store::picture::{Changes, Conversation, Key, TurnChange};
use crate::store::value;
use crate::store::{DeadLetter, Message, StoreError, StoredTurn, Total, TotalKey, TurnEnd};

/// What seals words, and the id of its key.
pub(super) type Seal<'a> = dyn Fn(TurnId, &str) -> Result<(i64, Vec<u8>), StoreError> + 'a;

const EVENTS: &str = "INSERT INTO events (account, event_id, received_at, happened_at_us)
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[])";
const ITEMS: &str = "INSERT INTO items (account, item_id, received_at)
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])";
const NEW_CONVERSATIONS: &str = "INSERT INTO conversations
        (account, conversation_id, value, merged_into, due_at, waiting_since, backlog, touched_at)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[],
        $7::bigint[], $8::bigint[])";
const CONVERSATIONS: &str =
    "UPDATE conversations c SET value = v.value, merged_into = v.merged_into,
        due_at = v.due_at, waiting_since = v.waiting_since, backlog = v.backlog,
        touched_at = v.touched_at
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[],
        $7::bigint[], $8::bigint[]) v (account, conversation_id, value, merged_into, due_at,
        waiting_since, backlog, touched_at)
    WHERE c.account = v.account AND c.conversation_id = v.conversation_id";
const BEGAN: &str = "INSERT INTO turns (id, account, conversation_id, received_at, deadline_at, began,
        messages, overdue, outcome, reason, finished_at, state, retried, trace)
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[],
        $7::text[], $8::boolean[], $9::text[], $10::text[], $11::bigint[], $12::text[], $13::boolean[],
        $14::text[])";
const TOOK_UP: &str = "UPDATE turns t SET messages = v.messages
    FROM unnest($1::bigint[], $2::text[]) v (id, messages) WHERE t.id = v.id";
const WENT: &str = "UPDATE turns t SET state = v.state, key_id = v.key_id, words = v.words,
        trace = coalesce(v.trace, t.trace)
    FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bytea[], $5::text[])
        v (id, state, key_id, words, trace)
    WHERE t.id = v.id";
const ENDED: &str = "UPDATE turns t SET outcome = v.outcome, reason = v.reason,
        finished_at = v.finished_at, state = v.state, key_id = NULL, words = NULL,
        trace = coalesce(v.trace, t.trace)
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[])
        v (id, outcome, reason, finished_at, state, trace)
    WHERE t.id = v.id";
const REOPENED: &str = "UPDATE turns SET outcome = NULL, reason = NULL, finished_at = NULL,
    retried = true WHERE id = ANY($1)";
const FORGOTTEN: &str = "DELETE FROM turns WHERE id = ANY($1)";
const DEAD_LETTERS: &str = "INSERT INTO dead_letters (account, turn_id, conversation_id, event_type,
        may_have_answered, error, created_at)
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::boolean[], $6::text[],
        $7::bigint[])";
const SETTLED: &str = "DELETE FROM dead_letters WHERE id = ANY($1)";
/// In the order of their keys, for other relays add to the same.
const TOTALS: &str = "INSERT INTO totals AS t (hour, account, what, reason, firsts, bucket,
        count, messages, calls, per_second)
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[],
        $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[])
    ON CONFLICT (hour, account, what, reason, firsts, bucket) DO UPDATE SET
        count = t.count + excluded.count, messages = t.messages + excluded.messages,
        calls = t.calls + excluded.calls,
        per_second = greatest(t.per_second, excluded.per_second)";
const SWEPT: &str = "INSERT INTO sweeps (account, swept_until_us)
    SELECT DISTINCT ON (account) * FROM unnest($1::text[], $2::bigint[]) s (account, swept_until_us)
    ORDER BY account, swept_until_us DESC
    ON CONFLICT (account) DO UPDATE SET swept_until_us = excluded.swept_until_us";

/// The statements that save `changes`; `existing` are the conversations with a row.
/// Every batch writes its tables in this order, each in the order of its keys.
pub(super) fn statements(
    changes: Changes,
    existing: &HashSet<Key>,
    seal: &Seal<'_>,
) -> Result<Vec<Statement>, StoreError> {
    let touched_at = changes.now.unwrap_or(Timestamp::MIN);
    let (known, new): (Vec<_>, Vec<_>) = changes
        .conversations
        .iter()
        .partition(|(key, _)| existing.contains(*key));
    let mut all = Vec::new();
    all.extend(conversations(CONVERSATIONS, &known, touched_at)?);
    all.extend(conversations(NEW_CONVERSATIONS, &new, touched_at)?);
    all.extend(events(changes.events));
    all.extend(items(changes.items));
    all.extend(turns(&changes.turns, seal)?);
    all.extend(dead_letters(DEAD_LETTERS, &changes.dead_letters));
    if !changes.settled.is_empty() {
        all.push(Statement::new(SETTLED).numbers(changes.settled.iter().map(|id| id.0)));
    }
    let now = changes.now.unwrap_or(Timestamp::MAX);
    let stale = days::changed_days(&changes.totals, now);
    all.extend(totals(changes.totals));
    if !stale.is_empty() {
        all.push(
            Statement::new(CHANGED)
                .numbers(stale.iter().map(|(day, _)| *day))
                .texts(stale.iter().map(|(_, account)| account.as_str())),
        );
    }
    if !changes.swept.is_empty() {
        let swept = &changes.swept;
        all.push(
            Statement::new(SWEPT)
                .texts(swept.iter().map(|swept| swept.account.as_str()))
                .numbers(swept.iter().map(|swept| swept.until.as_microsecond())),
        );
    }
    Ok(all)
}

type Changed<'a> = (&'a Key, &'a (Conversation, Option<Timestamp>));

fn conversations(
    sql: &'static str,
    changed: &[Changed<'_>],
    touched_at: Timestamp,
) -> Result<Option<Statement>, StoreError> {
    if changed.is_empty() {
        return Ok(None);
    }
    let values = changed
        .iter()
        .map(|(_, (conversation, _))| value::of_conversation(conversation));
    let values: Vec<String> = values.collect::<Result<_, _>>()?;
    let merged = |conversation: &Conversation| conversation.merged_into.clone();
    let merged: Vec<_> = changed
        .iter()
        .map(|(_, (conversation, _))| merged(conversation))
        .collect();
    let since = changed
        .iter()
        .map(|(_, (conversation, _))| conversation.lane.waiting_since());
    let backlog = changed
        .iter()
        .map(|(_, (conversation, _))| conversation.lane.backlog());
    Ok(Some(
        Statement::new(sql)
            .texts(changed.iter().map(|(key, _)| key.0.as_str()))
            .texts(changed.iter().map(|(key, _)| key.1.as_str()))
            .texts(values.iter().map(String::as_str))
            .some_texts(
                merged
                    .iter()
                    .map(|id| id.as_ref().map(ConversationId::as_str)),
            )
            .some_numbers(
                changed
                    .iter()
                    .map(|(_, (_, due_at))| due_at.map(Timestamp::as_millisecond)),
            )
            .some_numbers(since.map(|since| since.map(Timestamp::as_millisecond)))
            .numbers(backlog.map(|backlog| i64::try_from(backlog).unwrap_or(i64::MAX)))
            .numbers(changed.iter().map(|_| end_of_hour(touched_at))),
    ))
}

/// By the hour, so that a row changes in no index while its turn runs.
fn end_of_hour(at: Timestamp) -> i64 {
    const HOUR: i64 = 3_600_000;
    at.as_millisecond().div_euclid(HOUR).saturating_add(1) * HOUR
}

fn events(
    mut events: Vec<(
        AccountName,
        crate::id::EventId,
        Timestamp,
        Option<Timestamp>,
    )>,
) -> Option<Statement> {
    events.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
    (!events.is_empty()).then(|| {
        Statement::new(EVENTS)
            .texts(events.iter().map(|event| event.0.as_str()))
            .texts(events.iter().map(|event| event.1.0.as_str()))
            .numbers(events.iter().map(|event| event.2.as_millisecond()))
            .some_numbers(
                events
                    .iter()
                    .map(|event| event.3.map(Timestamp::as_microsecond)),
            )
    })
}

fn items(mut items: Vec<(AccountName, crate::id::ItemId, Timestamp)>) -> Option<Statement> {
    items.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
    (!items.is_empty()).then(|| {
        Statement::new(ITEMS)
            .texts(items.iter().map(|item| item.0.as_str()))
            .texts(items.iter().map(|item| item.1.as_str()))
            .numbers(items.iter().map(|item| item.2.as_millisecond()))
    })
}

/// A turn, its state, its words and its trace.
type Went<'a> = (TurnId, &'a str, &'a str, Option<&'a str>);
/// A turn, how it ended, its state and its trace.
type Ended<'a> = (TurnId, &'a TurnEnd, Option<&'a str>, Option<&'a str>);

/// What became of turns, by kind. Of one turn a batch holds no more than one step,
/// for whoever runs it waits for each.
#[derive(Default)]
struct ByKind<'a> {
    began: Vec<&'a StoredTurn>,
    took_up: Vec<(TurnId, &'a [Message])>,
    went: Vec<Went<'a>>,
    ended: Vec<Ended<'a>>,
    reopened: Vec<TurnId>,
    forgotten: Vec<TurnId>,
}

impl<'a> ByKind<'a> {
    fn of(changes: &'a [TurnChange]) -> Self {
        let mut kinds = Self::default();
        for change in changes {
            match change {
                TurnChange::Began(turn) => kinds.began.push(turn),
                TurnChange::TookUp { id, messages } => kinds.took_up.push((*id, messages)),
                TurnChange::Went {
                    id,
                    state,
                    words,
                    trace,
                } => kinds.went.push((*id, state, words, trace.as_deref())),
                TurnChange::Ended {
                    id,
                    end,
                    state,
                    trace,
                } => {
                    kinds
                        .ended
                        .push((*id, end, state.as_deref(), trace.as_deref()));
                }
                TurnChange::Reopened { id } => kinds.reopened.push(*id),
                TurnChange::Forgotten { id } => kinds.forgotten.push(*id),
            }
        }
        kinds
    }
}

fn turns(changes: &[TurnChange], seal: &Seal<'_>) -> Result<Vec<Statement>, StoreError> {
    let kinds = ByKind::of(changes);
    let mut all = Vec::new();
    all.extend(began(&kinds.began)?);
    if !kinds.took_up.is_empty() {
        let messages = kinds
            .took_up
            .iter()
            .map(|(_, messages)| value::json(messages));
        let messages: Vec<String> = messages.collect::<Result<_, _>>()?;
        all.push(
            Statement::new(TOOK_UP)
                .numbers(kinds.took_up.iter().map(|(id, _)| id.0))
                .texts(messages.iter().map(String::as_str)),
        );
    }
    all.extend(went(&kinds.went, seal)?);
    all.extend(ended(&kinds.ended));
    for (sql, ids) in [(REOPENED, kinds.reopened), (FORGOTTEN, kinds.forgotten)] {
        if !ids.is_empty() {
            all.push(Statement::new(sql).numbers(ids.into_iter().map(|id| id.0)));
        }
    }
    Ok(all)
}

/// Adds turns, also those that ended before.
fn began(began: &[&StoredTurn]) -> Result<Option<Statement>, StoreError> {
    if began.is_empty() {
        return Ok(None);
    }
    let messages = began.iter().map(|turn| value::json(&turn.messages));
    let messages: Vec<String> = messages.collect::<Result<_, _>>()?;
    let end = |turn: &&StoredTurn| turn.end.clone();
    let ends: Vec<Option<TurnEnd>> = began.iter().map(end).collect();
    let outcomes = ends.iter().map(|end| end.as_ref().map(|end| &end.outcome));
    Ok(Some(
        Statement::new(BEGAN)
            .numbers(began.iter().map(|turn| turn.id.0))
            .texts(began.iter().map(|turn| turn.account.as_str()))
            .texts(began.iter().map(|turn| turn.conversation_id.as_str()))
            .numbers(began.iter().map(|turn| turn.received_at.as_millisecond()))
            .numbers(began.iter().map(|turn| turn.deadline_at.as_millisecond()))
            .numbers(
                began
                    .iter()
                    .map(|turn| i64::try_from(turn.began).unwrap_or(i64::MAX)),
            )
            .texts(messages.iter().map(String::as_str))
            .flags(began.iter().map(|turn| turn.overdue))
            .some_texts(outcomes.clone().map(|outcome| outcome.map(Outcome::as_str)))
            .some_texts(outcomes.map(|outcome| outcome.and_then(Outcome::reason)))
            .some_numbers(
                ends.iter()
                    .map(|end| end.as_ref().map(|end| end.at.as_millisecond())),
            )
            .some_texts(began.iter().map(|turn| turn.state.as_deref()))
            .flags(began.iter().map(|turn| turn.retried))
            .some_texts(began.iter().map(|turn| turn.trace.as_deref())),
    ))
}

fn went(went: &[Went<'_>], seal: &Seal<'_>) -> Result<Option<Statement>, StoreError> {
    if went.is_empty() {
        return Ok(None);
    }
    let sealed = went.iter().map(|(id, _, words, _)| seal(*id, words));
    let sealed: Vec<(i64, Vec<u8>)> = sealed.collect::<Result<_, _>>()?;
    let (keys, words): (Vec<i64>, Vec<Vec<u8>>) = sealed.into_iter().unzip();
    Ok(Some(
        Statement::new(WENT)
            .numbers(went.iter().map(|(id, ..)| id.0))
            .texts(went.iter().map(|(_, state, ..)| *state))
            .numbers(keys)
            .some_blobs(words.into_iter().map(Some))
            .some_texts(went.iter().map(|(.., trace)| *trace)),
    ))
}

fn ended(ended: &[Ended<'_>]) -> Option<Statement> {
    (!ended.is_empty()).then(|| {
        Statement::new(ENDED)
            .numbers(ended.iter().map(|(id, ..)| id.0))
            .texts(ended.iter().map(|(_, end, ..)| end.outcome.as_str()))
            .some_texts(ended.iter().map(|(_, end, ..)| end.outcome.reason()))
            .numbers(ended.iter().map(|(_, end, ..)| end.at.as_millisecond()))
            .some_texts(ended.iter().map(|(_, _, state, _)| *state))
            .some_texts(ended.iter().map(|(.., trace)| *trace))
    })
}

fn dead_letters(sql: &'static str, letters: &[DeadLetter]) -> Option<Statement> {
    let conversation = |letter: &DeadLetter| letter.conversation_id.clone();
    let conversations: Vec<_> = letters.iter().map(conversation).collect();
    (!letters.is_empty()).then(|| {
        Statement::new(sql)
            .texts(letters.iter().map(|letter| letter.account.as_str()))
            .some_numbers(letters.iter().map(|letter| letter.turn_id.map(|id| id.0)))
            .some_texts(
                conversations
                    .iter()
                    .map(|id| id.as_ref().map(ConversationId::as_str)),
            )
            .some_texts(letters.iter().map(|letter| letter.event_type.as_deref()))
            .flags(letters.iter().map(|letter| letter.may_have_written))
            .texts(letters.iter().map(|letter| letter.error.as_str()))
            .numbers(
                letters
                    .iter()
                    .map(|letter| letter.created_at.as_millisecond()),
            )
    })
}

/// Each total once: a statement can't add to one twice.
fn totals(totals: Vec<Total>) -> Option<Statement> {
    let mut summed: BTreeMap<TotalKey, Total> = BTreeMap::new();
    for total in totals {
        match summed.get_mut(&total.key) {
            Some(sum) => sum.add(&total),
            None => drop(summed.insert(total.key.clone(), total)),
        }
    }
    let all = || summed.values();
    (!summed.is_empty()).then(|| {
        Statement::new(TOTALS)
            .numbers(all().map(|total| total.key.hour))
            .texts(all().map(|total| total.key.account.as_str()))
            .texts(all().map(|total| total.key.what.as_str()))
            .texts(all().map(|total| total.key.reason.as_str()))
            .numbers(all().map(|total| i64::from(total.key.firsts)))
            .numbers(all().map(|total| i64::from(total.key.bucket)))
            .numbers(all().map(|total| total.count))
            .numbers(all().map(|total| total.messages))
            .numbers(all().map(|total| total.calls))
            .numbers(all().map(|total| i64::from(total.per_second)))
    })
}
