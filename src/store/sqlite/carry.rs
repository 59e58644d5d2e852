//! From schema 1 to schema 2. Words are not carried over: whatever had not
//! begun to answer is read again, and whatever may have answered goes to a
//! person.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::{rows, save};
use crate::clock::Moment;
use crate::conversation::{Closing, Repetition, Status, Written};
use crate::id::{AccountName, ConversationId, InboxId, ItemId, ThreadId, TurnId};
use crate::outcome::{HandoffReason, Outcome, SkipReason};
use crate::store::picture::{Conversation, Key};
use crate::store::{DeadLetter, DeadLetterId, Message, StoreError, StoredTurn, TurnEnd};

/// Marks a file from which dropped words have not been wiped yet.
pub(super) const UNWIPED: &str = "unwiped";

const TABLES: [&str; 7] = [
    "probe",
    "parts",
    "messages",
    "dead_letters",
    "turns",
    "conversations",
    "events",
];

/// Renames the tables of schema 1, to make room.
pub(super) fn set_aside(connection: &Connection) -> rusqlite::Result<()> {
    for table in TABLES {
        connection.execute_batch(&format!("ALTER TABLE {table} RENAME TO old_{table}"))?;
    }
    // Their names are taken again; `old_` tables are read from end to end.
    connection.execute_batch(
        "DROP INDEX events_by_age; DROP INDEX conversations_by_age; DROP INDEX turns_by_age;",
    )
}

/// Carries everything over and drops the tables of schema 1.
pub(super) fn carry_over(connection: &Connection) -> Result<(), StoreError> {
    // Ids that were given before are not given again.
    connection.execute_batch(
        "INSERT INTO sqlite_sequence (name, seq)
             SELECT substr(name, 5), seq FROM sqlite_sequence WHERE name IN ('old_turns', 'old_dead_letters');
         INSERT INTO events (account, event_id, received_at)
             SELECT account, event_id, received_at FROM old_events;
         INSERT INTO items (account, item_id, received_at)
             SELECT account, item_id, received_at FROM old_messages;",
    )?;
    carry_dead_letters(connection)?;
    let mut conversations = load_conversations(connection)?;
    let mut messages = load_messages(connection, &mut conversations)?;
    carry_turns(connection, &mut conversations, &mut messages)?;
    for (key, (conversation, touched_at)) in &conversations {
        let due_at = conversation.lane.waiting_since();
        rows::put_conversation(connection, key, conversation, due_at, *touched_at)?;
    }
    for table in TABLES {
        connection.execute_batch(&format!("DROP TABLE old_{table}"))?;
    }
    connection.execute_batch(&format!("CREATE TABLE {UNWIPED} (id INTEGER) STRICT"))?;
    Ok(())
}

type Conversations = BTreeMap<Key, (Conversation, Timestamp)>;
type Messages = HashMap<i64, Vec<Message>>;

fn load_conversations(connection: &Connection) -> Result<Conversations, StoreError> {
    let mut statement = connection.prepare("SELECT * FROM old_conversations")?;
    let mut found = statement.query([])?;
    let mut conversations = Conversations::new();
    while let Some(row) = found.next()? {
        let Some(key) = key(row)? else { continue };
        let touched_at = rows::time(row.get("touched_at")?)?;
        conversations.insert(key, (known(row)?, touched_at));
    }
    Ok(conversations)
}

fn known(row: &Row<'_>) -> Result<Conversation, StoreError> {
    let time = |column| -> Result<Option<Timestamp>, StoreError> {
        let stored: Option<i64> = row.get(column)?;
        stored.map(rows::time).transpose()
    };
    let mut conversation = Conversation {
        merged_into: rows::conversation_id(row.get_ref("merged_into")?),
        ..Conversation::default()
    };
    let known = &mut conversation.known;
    known.locale = row.get("locale")?;
    known.repetition = Repetition {
        digest: row.get("repeated_digest")?,
        count: row.get("repeated_count")?,
        item_id: None,
    };
    // The holder is looked up again, unless the relay itself gave it to humans.
    let moved =
        time("handed_off_at")?.filter(|at| time("holder_at").is_ok_and(|held| held <= Some(*at)));
    let inbox_id: Option<String> = row.get("inbox_id")?;
    let inbox_id = inbox_id.and_then(|id| InboxId::parse(&id).ok());
    if let (Some(at), Some(inbox_id)) = (moved, inbox_id) {
        known
            .facts
            .moved(inbox_id, u64::MAX, Moment { clock: 0, at });
    }
    let status: Option<String> = row.get("status")?;
    if let (Some("closed"), Some(at)) = (status.as_deref(), time("status_at")?) {
        let now = Moment { clock: 0, at };
        known.facts.hear_status(Status::Closed, Some(at), now);
    }
    let heard = known.facts.revision();
    if let Some(closed_at) = time("closed_at")? {
        known.close(Closing {
            heard,
            happened_at: Some(closed_at),
        });
    }
    let thread_id: Option<String> = row.get("thread_id")?;
    let thread_id = thread_id.and_then(|id| ThreadId::believed(&id));
    if let Some(thread_id) = thread_id {
        let last = Written {
            heard,
            happened_at: time("thread_at")?,
        };
        known.keep_thread(thread_id, last);
    }
    Ok(conversation)
}

/// Messages that waited wait again; those of turns are returned.
fn load_messages(
    connection: &Connection,
    conversations: &mut Conversations,
) -> Result<Messages, StoreError> {
    let mut statement = connection.prepare("SELECT * FROM old_messages ORDER BY id")?;
    let mut found = statement.query([])?;
    let mut of_turns = Messages::new();
    while let Some(row) = found.next()? {
        let (Some(key), Some(message)) = (key(row)?, message(row)?) else {
            continue;
        };
        let turn_id: Option<i64> = row.get("turn_id")?;
        match turn_id {
            Some(turn_id) => of_turns.entry(turn_id).or_default().push(message),
            None => wait(&key, message, conversations),
        }
    }
    Ok(of_turns)
}

fn message(row: &Row<'_>) -> Result<Option<Message>, StoreError> {
    let item_id: String = row.get("item_id")?;
    let Ok(item_id) = ItemId::parse(&item_id) else {
        return Ok(None);
    };
    Ok(Some(Message {
        item_id,
        written: Written {
            heard: 0,
            happened_at: Timestamp::from_microsecond(row.get("occurred_at_us")?).ok(),
        },
        received_at: rows::time(row.get("received_at")?)?,
        deadline_at: rows::time(row.get("deadline_at")?)?,
        overdue: false,
    }))
}

fn wait(key: &Key, mut message: Message, conversations: &mut Conversations) {
    let key = survivor(key, conversations);
    let received_at = message.received_at;
    let (conversation, touched_at) = conversations
        .entry(key)
        .or_insert_with(|| (Conversation::default(), received_at));
    message.written.heard = conversation.known.facts.revision();
    conversation.lane.wait(message);
    *touched_at = received_at.max(*touched_at);
}

fn survivor(key: &Key, conversations: &Conversations) -> Key {
    let found = conversations.get(key);
    let into = found.and_then(|(conversation, _)| conversation.merged_into.clone());
    (key.0.clone(), into.unwrap_or_else(|| key.1.clone()))
}

/// Ended turns are kept for what they tell; the others begin again, but for
/// those that may have answered.
fn carry_turns(
    connection: &Connection,
    conversations: &mut Conversations,
    messages: &mut Messages,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare(
        "SELECT t.*, c.epoch AS present_epoch, EXISTS (SELECT 1 FROM old_parts p WHERE p.turn_id = t.id
             AND p.kind = 'reply' AND p.state IN ('sending', 'sent')) AS may_have_answered
         FROM old_turns t LEFT JOIN old_conversations c USING (account, conversation_id)
         ORDER BY t.finished_at, t.id",
    )?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let Some(key) = key(row)? else { continue };
        let mut turn = turn(row, &key)?;
        turn.messages = messages.remove(&turn.id.0).unwrap_or_default();
        if let Some(end) = &turn.end {
            let survivor = survivor(&key, conversations);
            if let Some((conversation, _)) = conversations.get_mut(&survivor) {
                let known = &mut conversation.known;
                known.add_own_items(own_items(connection, turn.id)?);
                let present = row.get::<_, Option<i64>>("present_epoch")? == row.get("epoch")?;
                if end.outcome == Outcome::Replied && present {
                    known.count_reply(end.at);
                }
                if matches!(end.outcome, Outcome::Replied | Outcome::HandedOff(_)) {
                    known.settle(turn.messages.iter().map(|message| message.item_id.clone()));
                }
            }
        } else if row.get("may_have_answered")? {
            bury(connection, &mut turn)?;
        } else {
            for message in std::mem::take(&mut turn.messages) {
                wait(&key, message, conversations);
            }
            continue;
        }
        save::begin_turn(connection, &turn)?;
    }
    Ok(())
}

fn turn(row: &Row<'_>, key: &Key) -> Result<StoredTurn, StoreError> {
    let word: Option<String> = row.get("outcome")?;
    let reason: Option<String> = row.get("reason")?;
    let end = word.map(|word| -> Result<TurnEnd, StoreError> {
        Ok(TurnEnd {
            outcome: outcome(&word, reason.unwrap_or_default()),
            at: rows::time(row.get("finished_at")?)?,
        })
    });
    Ok(StoredTurn {
        id: TurnId(row.get("id")?),
        account: key.0.clone(),
        conversation_id: key.1.clone(),
        received_at: rows::time(row.get("received_at")?)?,
        deadline_at: rows::time(row.get("deadline_at")?)?,
        messages: Vec::new(),
        began: 0,
        state: None,
        words: None,
        retried: false,
        overdue: false,
        trace: None,
        end: end.transpose()?,
    })
}

/// A word that is not known any more ended a turn all the same.
fn outcome(word: &str, reason: String) -> Outcome {
    let known = match word {
        "replied" => Some(Outcome::Replied),
        "handed_off" => HandoffReason::from_word(&reason).map(Outcome::HandedOff),
        "skipped" => SkipReason::from_word(&reason).map(Outcome::Skipped),
        _ => None,
    };
    known.unwrap_or(Outcome::Dead(reason))
}

/// Nobody knows any more what it was about to say.
fn bury(connection: &Connection, turn: &mut StoredTurn) -> Result<(), StoreError> {
    let error = "it was answering while the relay was brought up to date; a part of its answer may be in the conversation, and its words are gone";
    let now = Timestamp::now();
    turn.end = Some(TurnEnd {
        outcome: Outcome::Dead(error.to_owned()),
        at: now,
    });
    let letter = DeadLetter {
        id: DeadLetterId(0),
        account: turn.account.clone(),
        turn_id: Some(turn.id),
        conversation_id: Some(turn.conversation_id.clone()),
        event_type: None,
        may_have_written: true,
        error: error.to_owned(),
        created_at: now,
    };
    save::add_dead_letter(connection, &letter)
}

fn own_items(connection: &Connection, turn: TurnId) -> Result<Vec<ItemId>, StoreError> {
    let sql =
        "SELECT item_id FROM old_parts WHERE turn_id = ? AND item_id IS NOT NULL ORDER BY position";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_map([turn.0], |row| row.get::<_, String>(0))?;
    let mut items = Vec::new();
    for id in found {
        items.extend(ItemId::parse(&id?).ok());
    }
    Ok(items)
}

/// With their ids, so that an operator who has noted one finds it.
fn carry_dead_letters(connection: &Connection) -> Result<(), StoreError> {
    connection.execute(
        "INSERT INTO dead_letters (id, account, turn_id, conversation_id, event_type, may_have_answered, error, created_at)
         SELECT id, account, turn_id, conversation_id, event_type,
             EXISTS (SELECT 1 FROM old_parts p WHERE p.turn_id = d.turn_id
                 AND p.kind = 'reply' AND p.state IN ('sending', 'sent')),
             error, created_at FROM old_dead_letters d",
        params![],
    )?;
    Ok(())
}

/// Which conversation a row is of; none if its id can't be read.
fn key(row: &Row<'_>) -> Result<Option<Key>, StoreError> {
    let account: String = row.get("account")?;
    let id = rows::conversation_id(row.get_ref("conversation_id")?);
    Ok(id.map(|id: ConversationId| (AccountName::new(&account), id)))
}
