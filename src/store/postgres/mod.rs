//! The store in a PostgreSQL database that several relays share.
//!
//! Any relay records any account's webhooks. Whose turns a relay runs is said by
//! leases ([`Leases`]), and every write of a turn must hold its term.
//!
//! - [`batch`]: what waits is one transaction of a handful of statements over arrays.
//! - Rows are locked in the order of their keys. Where two relays meet all the same,
//!   one of them does its batch again.
//! - Nothing is kept in a connection, so a pooler may stand between.
//!
//! [`Leases`]: super::Leases

mod batch;
mod connect;
mod copy;
mod days;
mod history;
mod keys;
mod leases;
mod letters;
mod load;
mod migrate;
mod purge;
mod read;
mod rows;
mod save;
mod statement;
#[cfg(test)]
pub(super) mod tests;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::address::PostgresAddress;
use super::seal::MasterKey;
use super::{
    Answer, Backlog, Cause, ClaimRequest, Claimed, Command, DeadLetter, DeadLetterId, Delivery,
    History, Leases, LetterQuery, Operations, Recorded, Remembered, RetryRequest, Save, Standing,
    Store, StoreError, Swept, Total, TurnQuery, TurnRow,
};
use crate::id::{AccountName, ConversationId};
use connect::Connector;
pub(super) use copy::{PostgresSource, PostgresTarget};
use keys::Sealer;
use leases::Register;
use read::Desk;
use writer::{Shared, Writer};

/// A database, open.
pub struct Postgres {
    writer: Writer,
    desk: Desk,
    register: Register,
    connector: Connector,
}

impl Postgres {
    /// Opens the database for a relay, bringing its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Database`] if it can't be reached or refuses the relay,
    /// [`StoreError::NewerDatabase`] if this version can't write to it.
    pub async fn open(
        address: &PostgresAddress,
        master: Option<MasterKey>,
    ) -> Result<Self, StoreError> {
        let connector = Connector::new(address)?;
        let mut client = connector.connect().await?;
        migrate::migrate(&mut client).await?;
        Ok(Self::start(connector, master))
    }

    /// Opens it beside the relays, to see to dead letters.
    ///
    /// # Errors
    /// As [`Postgres::open`], or no relay has used it yet.
    pub async fn open_beside(address: &PostgresAddress) -> Result<Self, StoreError> {
        let connector = Connector::new(address)?;
        migrate::look(&connector.connect().await?).await?;
        Ok(Self::start(connector, None))
    }

    /// Runs a statement on the server, such as one that makes a database.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn execute(address: &PostgresAddress, sql: &str) -> Result<(), StoreError> {
        let client = Connector::new(address)?.connect().await?;
        Ok(client.batch_execute(sql).await?)
    }

    fn start(connector: Connector, master: Option<MasterKey>) -> Self {
        let shared = Arc::new(Shared {
            connector: connector.clone(),
            sealer: Sealer::new(master.clone()),
            master,
            driven: std::sync::Mutex::default(),
            doubtful: std::sync::Mutex::default(),
        });
        Self {
            writer: Writer::start(&shared),
            desk: Desk::new(connector.clone()),
            register: Register::new(connector.clone(), &shared),
            connector,
        }
    }

    async fn command(&self, command: Command) -> Result<Answer, StoreError> {
        self.writer.run(command).await
    }

    fn open_desk(&self) -> Result<&Desk, StoreError> {
        if self.writer.is_closed() {
            Err(writer::closed())
        } else {
            Ok(&self.desk)
        }
    }
}

#[async_trait]
impl Store for Postgres {
    async fn record(&self, delivery: Delivery) -> Result<Recorded, StoreError> {
        self.command(Command::Record(delivery)).await?.recorded()
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Claimed, StoreError> {
        self.command(Command::Claim(request)).await?.claimed()
    }

    async fn save(&self, save: Save) -> Result<Standing, StoreError> {
        self.command(Command::Save(save)).await?.saved()
    }

    async fn swept_until(&self, account: &AccountName) -> Result<Option<Timestamp>, StoreError> {
        self.open_desk()?.swept_until(account).await
    }

    async fn swept(&self, swept: Swept) -> Result<(), StoreError> {
        self.command(Command::Swept(swept))
            .await?
            .settled()
            .map(drop)
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.open_desk()?.probe().await.map(drop)
    }

    async fn purge(&self, before: Timestamp) -> Result<(), StoreError> {
        let client = self.open_desk()?.client().await?;
        purge::purge(&client, before, Timestamp::now()).await
    }

    async fn sum_up(&self, now: Timestamp) -> Result<(), StoreError> {
        let desk = self.open_desk()?;
        days::sum_up(desk, &self.connector, super::days::unsettled(now)).await
    }

    fn leases(&self) -> Option<&dyn Leases> {
        Some(&self.register)
    }

    async fn close(&self) {
        self.writer.close().await;
        self.desk.close().await;
        self.register.close().await;
    }
}

#[async_trait]
impl History for Postgres {
    async fn turns(&self, query: &TurnQuery) -> Result<Vec<TurnRow>, StoreError> {
        self.open_desk()?.turns(query).await
    }

    async fn remembered(
        &self,
        id: &ConversationId,
        account: Option<&AccountName>,
    ) -> Result<Vec<Remembered>, StoreError> {
        self.open_desk()?.remembered(id, account).await
    }

    async fn totals(
        &self,
        from_hour: i64,
        until_hour: i64,
        account: Option<&AccountName>,
    ) -> Result<Vec<Total>, StoreError> {
        self.open_desk()?
            .totals(from_hour, until_hour, account)
            .await
    }

    async fn days(
        &self,
        from_day: i64,
        until_day: i64,
        account: Option<&AccountName>,
    ) -> Result<Vec<Total>, StoreError> {
        self.open_desk()?.days(from_day, until_day, account).await
    }
}

#[async_trait]
impl Operations for Postgres {
    async fn backlog(&self, now: Timestamp) -> Result<Vec<Backlog>, StoreError> {
        self.open_desk()?.backlog(now).await
    }

    async fn free_bytes(&self) -> Option<u64> {
        None
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, StoreError> {
        self.open_desk()?.dead_letters().await
    }

    async fn causes(&self) -> Result<Vec<(Cause, u64)>, StoreError> {
        self.open_desk()?.causes().await
    }

    async fn letters_of(
        &self,
        cause: &Cause,
        before: Option<DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        self.open_desk()?.letters_of(cause, before, limit).await
    }

    async fn letters(&self, query: &LetterQuery) -> Result<Vec<DeadLetter>, StoreError> {
        self.open_desk()?.letters(query).await
    }

    async fn named_letters(&self, ids: &[DeadLetterId]) -> Result<Vec<DeadLetter>, StoreError> {
        self.open_desk()?.named_letters(ids).await
    }

    async fn retry_dead_letter(&self, request: RetryRequest) -> Result<bool, StoreError> {
        self.command(Command::RetryDeadLetter(request))
            .await?
            .settled()
    }

    async fn drop_dead_letter(&self, id: DeadLetterId) -> Result<bool, StoreError> {
        self.command(Command::DropDeadLetter(id)).await?.settled()
    }
}
