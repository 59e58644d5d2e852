//! Deleting what is old, in steps so short that nobody waits. Rows that another
//! relay deletes at the moment, or a batch holds, are left for later.

use jiff::Timestamp;
use tokio_postgres::Client;

use super::statement::Statement;
use crate::clock::earlier;
use crate::store::StoreError;
use crate::store::days::day_of;
use crate::store::seal::hour;
use crate::store::totals::{self, hour_of};

/// How many rows one step deletes.
const STEP: i64 = 1_000;

/// Whoever comes with one of these again is refused.
const EVENTS: &str = "WITH gone AS (
        DELETE FROM events WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM events WHERE received_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))
        RETURNING account, happened_at_us
    ), told AS (
        INSERT INTO accounts (account, forgotten_until_us)
        SELECT account, max(happened_at_us) FROM gone
        WHERE happened_at_us IS NOT NULL GROUP BY account ORDER BY account
        ON CONFLICT (account) DO UPDATE SET forgotten_until_us =
            greatest(accounts.forgotten_until_us, excluded.forgotten_until_us)
    )
    SELECT count(*) FROM gone";
const ITEMS: &str = "WITH gone AS (
        DELETE FROM items WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM items WHERE received_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))
        RETURNING 1
    )
    SELECT count(*) FROM gone";
/// A turn is kept for as long as its dead letter waits.
const TURNS: &str = "WITH gone AS (
        DELETE FROM turns WHERE id = ANY(ARRAY(
            SELECT id FROM turns
            WHERE outcome IS NOT NULL AND received_at < $1 AND finished_at < $1
            AND NOT EXISTS (SELECT 1 FROM dead_letters d WHERE d.turn_id = turns.id)
            LIMIT $2 FOR UPDATE SKIP LOCKED))
        RETURNING 1
    )
    SELECT count(*) FROM gone";
/// A conversation is kept for turns that began in it, and for those that were merged
/// into it: through it their turns are found.
const CONVERSATIONS: &str = "WITH gone AS (
        DELETE FROM conversations WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM conversations c WHERE waiting_since IS NULL AND touched_at < $1
            AND NOT EXISTS (SELECT 1 FROM turns t WHERE t.account = c.account
                AND t.conversation_id = c.conversation_id
                AND (t.outcome IS NULL OR t.outcome = 'dead'))
            AND NOT EXISTS (SELECT 1 FROM conversations o WHERE o.account = c.account
                AND o.merged_into = c.conversation_id)
            LIMIT $2 FOR UPDATE SKIP LOCKED))
        RETURNING 1
    )
    SELECT count(*) FROM gone";
/// Not the hour before either: another relay's clock may be a little behind.
const KEYS: &str = "DELETE FROM keys k WHERE hour < $1 - 1 AND NOT EXISTS (
    SELECT 1 FROM turns t WHERE t.key_id = k.id AND (t.outcome IS NULL OR t.outcome = 'dead'))";

const TOTALS: &str = "WITH gone AS (
        DELETE FROM totals WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM totals WHERE hour < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))
        RETURNING 1
    )
    SELECT count(*) FROM gone";

const DAYS: &str = "WITH gone AS (
        DELETE FROM days WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM days WHERE day < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))
        RETURNING 1
    )
    SELECT count(*) FROM gone";

/// Of relays that are gone. One that runs and writes nothing for days enters anew.
const WRITERS: &str = "DELETE FROM writers WHERE seen_on < current_date - 7";

/// Deletes what ended before `before`, and the keys that nothing needs.
pub(super) async fn purge(
    client: &Client,
    before: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    let at = before.as_millisecond();
    let forgotten_hour = hour_of(earlier(before, totals::KEPT));
    // A conversation outlives its turns.
    for (sql, before) in [
        (EVENTS, at),
        (ITEMS, at),
        (TURNS, at),
        (CONVERSATIONS, at),
        (TOTALS, forgotten_hour),
        (DAYS, day_of(forgotten_hour)),
    ] {
        // Conversations that were merged go one after the other.
        let enough = if sql == CONVERSATIONS { 1 } else { STEP };
        loop {
            let statement = Statement::new(sql).number(before).number(STEP);
            let found = statement.run(client).await?;
            let deleted: i64 = found.first().map_or(0, |row| row.get(0));
            if deleted < enough {
                break;
            }
        }
    }
    Statement::new(KEYS).number(hour(now)).run(client).await?;
    Statement::new(WRITERS).run(client).await?;
    Ok(())
}
