//! What operators read, and what is asked beside the batches: single statements on a
//! connection of their own.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio_postgres::{Client, Row};

use super::connect::Connector;
use super::rows;
use super::statement::Statement;
use super::writer::Backoff;
use crate::clock::time_until;
use crate::id::AccountName;
use crate::store::{Backlog, DeadLetter, StoreError};

/// How long one question may take.
const WITHIN: Duration = Duration::from_secs(20);

const BACKLOG: &str = "SELECT account, sum(turns)::bigint, min(since), sum(dead)::bigint FROM (
        SELECT account, backlog AS turns, waiting_since AS since, 0 AS dead
        FROM conversations WHERE waiting_since IS NOT NULL
        UNION ALL
        SELECT account, 0, NULL, 1 FROM dead_letters
    ) waiting GROUP BY account ORDER BY account";
const DEAD_LETTERS: &str = "SELECT id, account, turn_id, conversation_id, event_type,
    may_have_answered, error, created_at FROM dead_letters ORDER BY id";
const SWEPT: &str = "SELECT swept_until_us FROM sweeps WHERE account = $1";
/// That it can be written shows that it is no standby, and has room.
const PROBE: &str = "UPDATE probe SET count = count + 1 WHERE id = 1 RETURNING clock";

/// A connection that is opened when it is first needed, and anew once it is lost.
pub(super) struct Desk {
    connector: Connector,
    open: Mutex<(Option<Arc<Client>>, Backoff)>,
}

impl Desk {
    /// Not connected yet.
    pub(super) fn new(connector: Connector) -> Self {
        Self {
            connector,
            open: Mutex::default(),
        }
    }

    /// The connection. Statements of several tasks may be on their way at once.
    pub(super) async fn client(&self) -> Result<Arc<Client>, StoreError> {
        let mut open = self.open.lock().await;
        if let Some(client) = open.0.as_ref().filter(|client| !client.is_closed()) {
            return Ok(client.clone());
        }
        open.1.may_try()?;
        match self.connector.connect().await {
            Ok(client) => {
                let client = Arc::new(client);
                *open = (Some(client.clone()), Backoff::default());
                Ok(client)
            }
            Err(error) => Err(open.1.failed(error.into())),
        }
    }

    /// Asks one thing.
    pub(super) async fn ask(&self, statement: Statement) -> Result<Vec<Row>, StoreError> {
        let asking = async { Ok(statement.run(&*self.client().await?).await?) };
        if let Ok(answered) = tokio::time::timeout(WITHIN, asking).await {
            return answered;
        }
        self.close().await;
        let what = format!("it did not answer for {} s", WITHIN.as_secs());
        Err(StoreError::Database(what))
    }

    /// Lets go of the connection.
    pub(super) async fn close(&self) {
        self.open.lock().await.0 = None;
    }

    /// What waits, for every account that has anything waiting or dead.
    pub(super) async fn backlog(&self, now: Timestamp) -> Result<Vec<Backlog>, StoreError> {
        let rows = self.ask(Statement::new(BACKLOG)).await?;
        let backlog = rows.iter().map(|row| {
            let since: Option<i64> = row.get(2);
            let since = since
                .and_then(|since| rows::time(since).ok())
                .unwrap_or(now);
            Backlog {
                account: rows::account(row, 0),
                turns: row.get::<_, i64>(1).try_into().unwrap_or_default(),
                oldest_waiting: time_until(now, since),
                dead_letters: row.get::<_, i64>(3).try_into().unwrap_or_default(),
            }
        });
        Ok(backlog.collect())
    }

    /// The dead letters, oldest first.
    pub(super) async fn dead_letters(&self) -> Result<Vec<DeadLetter>, StoreError> {
        let rows = self.ask(Statement::new(DEAD_LETTERS)).await?;
        Ok(rows.iter().map(rows::dead_letter).collect())
    }

    /// How far an account's events were swept.
    pub(super) async fn swept_until(
        &self,
        account: &AccountName,
    ) -> Result<Option<Timestamp>, StoreError> {
        let rows = self
            .ask(Statement::new(SWEPT).text(account.as_str()))
            .await?;
        let until = rows.first().map(|row| row.get(0));
        Ok(until.and_then(|until| Timestamp::from_microsecond(until).ok()))
    }

    /// Writes something. Tells the number of the clock that all relays share.
    pub(super) async fn probe(&self) -> Result<u32, StoreError> {
        let rows = self.ask(Statement::new(PROBE)).await?;
        let clock = rows
            .first()
            .and_then(|row| u32::try_from(row.get::<_, i64>(0)).ok());
        clock.ok_or_else(|| StoreError::Database("its probe is gone".to_owned()))
    }
}
