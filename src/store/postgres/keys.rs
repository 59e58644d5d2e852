//! The keys that words are sealed with: one an hour, in the database, of use only
//! with the master key. Once no unfinished turn needs one, its row is deleted.

use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::rand;
use tokio_postgres::{Client, Error};
use zeroize::Zeroizing;

use super::statement::{Statement, run_all};
use crate::id::{AccountName, TurnId};
use crate::store::seal::{Cipher, MasterKey, hour};
use crate::store::{Command, StoreError};

/// Whichever relay is first in an hour makes its key.
const ADD: &str = "INSERT INTO keys (hour, secret) VALUES ($1, $2) ON CONFLICT (hour) DO NOTHING";
const OF_HOUR: &str = "SELECT id, secret FROM keys WHERE hour = $1";

/// Seals with the present hour's key.
pub(super) struct Sealer {
    master: Option<MasterKey>,
    current: Mutex<Option<Arc<Current>>>,
}

struct Current {
    hour: i64,
    id: i64,
    cipher: Cipher,
}

impl Sealer {
    /// Seals nothing without a master key.
    pub(super) fn new(master: Option<MasterKey>) -> Self {
        Self {
            master,
            current: Mutex::default(),
        }
    }

    /// Gets the key of the hour in which these were given.
    pub(super) async fn renew(&self, client: &Client, commands: &[Command]) -> Result<(), Error> {
        let Some(hour) = commands.iter().filter_map(Command::now).max().map(hour) else {
            return Ok(());
        };
        if self
            .current()
            .as_ref()
            .is_some_and(|current| current.hour == hour)
        {
            return Ok(());
        }
        let found = add(client, hour).await?;
        let current = found.and_then(|(id, secret)| {
            let cipher = Cipher::new(&secret, self.master.as_ref()).ok()?;
            Some(Arc::new(Current { hour, id, cipher }))
        });
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = current;
        Ok(())
    }

    /// The words of a turn, sealed, and the id of the key.
    pub(super) fn seal(
        &self,
        account: Option<&AccountName>,
        id: TurnId,
        words: &str,
    ) -> Result<(i64, Vec<u8>), StoreError> {
        let can_not = |what: &str| StoreError::Database(format!("words can't be sealed: {what}"));
        let account = account.ok_or_else(|| can_not("nobody knows whose they are"))?;
        if self.master.is_none() {
            return Err(can_not("turns are not run beside the relay"));
        }
        let current = self.current().ok_or_else(|| can_not("there is no key"))?;
        let sealed = current.cipher.seal(account, id, words);
        Ok((
            current.id,
            sealed.map_err(|error| can_not(&error.to_string()))?,
        ))
    }

    fn current(&self) -> Option<Arc<Current>> {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The id of an hour's key and the key; none if none could be made.
pub(super) async fn of_hour(
    client: &Client,
    hour: i64,
) -> Result<(i64, Zeroizing<Vec<u8>>), StoreError> {
    let found = add(client, hour).await?;
    found.ok_or_else(|| StoreError::Database("there is no key".to_owned()))
}

async fn add(client: &Client, hour: i64) -> Result<Option<(i64, Zeroizing<Vec<u8>>)>, Error> {
    let mut secret = Zeroizing::new([0; 32]);
    if rand::fill(&mut *secret).is_err() {
        return Ok(None);
    }
    let [_, found] = run_all(
        client,
        [
            Statement::new(ADD).number(hour).bytes(secret.to_vec()),
            Statement::new(OF_HOUR).number(hour),
        ],
    )
    .await?;
    let found = found.first();
    Ok(found.map(|row| (row.get(0), Zeroizing::new(row.get(1)))))
}
