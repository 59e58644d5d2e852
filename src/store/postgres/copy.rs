//! The ends of a copy that are in PostgreSQL, see [`crate::store::copy()`]. No relay that
//! shares the database may be alive, and none can begin: its tables are locked.

use std::collections::HashMap;

use jiff::Timestamp;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row as Found};

use super::connect::Connector;
use super::migrate;
use super::statement::{Statement, storable};
use crate::store::address::PostgresAddress;
use crate::store::copy::{Highest, Kind, Row, TABLES, TURNS, Table, Value, not_copied, turn_words};
use crate::store::leases::LEASE;
use crate::store::seal::{Cipher, MasterKey, hour};
use crate::store::{StoreError, postgres::keys};

/// Reads are of one moment; whoever copies may be slower than the limits of the role.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ;
    SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = 0;
    SET LOCAL idle_in_transaction_session_timeout = '10min';";
const ALIVE: &str = "SELECT name FROM relays
    WHERE seen_at > clock_timestamp() - make_interval(secs => $1) ORDER BY name LIMIT 1";
const KEYS: &str = "SELECT id, secret FROM keys";
/// A sequence tells the first of the block that it gave last.
const HIGHEST: &str = "SELECT greatest((SELECT max(id) FROM turns), (SELECT max(turn_id) FROM dead_letters),
        (SELECT CASE WHEN is_called THEN last_value + 999 ELSE last_value - 1 END FROM turn_ids)),
    greatest((SELECT max(id) FROM dead_letters),
        (SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM dead_letters_id_seq))";
const GO_ON: &str = "SELECT setval('turn_ids', $1 + 1, false),
    setval('dead_letters_id_seq', $2 + 1, false)";

/// A database to copy from, as it is at one moment.
pub(in crate::store) struct PostgresSource {
    client: Client,
    keys: HashMap<i64, Cipher>,
}

impl PostgresSource {
    /// Opens it, and changes nothing in it.
    pub(in crate::store) async fn open(
        address: &PostgresAddress,
        master: Option<&MasterKey>,
    ) -> Result<Self, StoreError> {
        let client = Connector::new(address)?.connect().await?;
        migrate::is_newest(&client).await?;
        take(&client, "SHARE").await?;
        let mut keys = HashMap::new();
        if let Some(master) = master {
            for row in Statement::new(KEYS).run(&client).await? {
                let cipher = Cipher::new(row.get(1), Some(master));
                keys.extend(cipher.ok().map(|cipher| (row.get(0), cipher)));
            }
        }
        Ok(Self { client, keys })
    }

    /// The rows that follow a key.
    pub(in crate::store) async fn page(
        &self,
        table: &Table,
        after: Option<&[Value]>,
        most: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let sql = table.page(after.is_some(), most, |number| format!("${number}"));
        let key: Vec<_> = after.unwrap_or_default().iter().map(parameter).collect();
        let key: Vec<(&(dyn ToSql + Sync), Type)> = key
            .iter()
            .map(|(value, of)| (&**value as &(dyn ToSql + Sync), of.clone()))
            .collect();
        let found = self.client.query_typed(&sql, &key).await?;
        Ok(found.iter().map(|row| read(table, row)).collect())
    }

    /// Tells of how many turns the words can't be opened.
    pub(in crate::store) fn open_words(&self, turns: &mut [Row]) -> usize {
        turn_words::open(turns, &|account, id, key_id, sealed| {
            self.keys.get(&key_id)?.open(account, id, sealed)
        })
    }

    pub(in crate::store) async fn count(&self, table: &Table) -> Result<i64, StoreError> {
        count(&self.client, table).await
    }

    pub(in crate::store) async fn highest(&self) -> Result<Highest, StoreError> {
        let found = self.client.query_typed_one(HIGHEST, &[]).await?;
        Ok(Highest {
            turn: found.get(0),
            dead_letter: found.get(1),
        })
    }

    /// Lets relays on it again.
    pub(in crate::store) async fn close(&self) {
        if let Err(error) = self.client.batch_execute("ROLLBACK").await {
            tracing::debug!(%error, "the source of the copy is gone already");
        }
    }
}

/// A database to copy into, which had nothing in it.
pub(in crate::store) struct PostgresTarget {
    client: Client,
    key_id: i64,
    cipher: Cipher,
}

impl PostgresTarget {
    /// Opens an empty one, and brings its schema up to date.
    pub(in crate::store) async fn open(
        address: &PostgresAddress,
        master: Option<MasterKey>,
    ) -> Result<Self, StoreError> {
        let master = master.ok_or_else(|| {
            not_copied("RELAY_KEY is missing, and with PostgreSQL it seals the words at rest")
        })?;
        let mut client = Connector::new(address)?.connect().await?;
        migrate::migrate(&mut client).await?;
        take(&client, "EXCLUSIVE").await?;
        for table in &TABLES {
            if count(&client, table).await? > 0 {
                let name = table.name;
                return Err(not_copied(format!(
                    "{address} is not empty (it has {name}); name an empty database"
                )));
            }
        }
        let (key_id, secret) = keys::of_hour(&client, hour(Timestamp::now())).await?;
        let cipher = Cipher::new(&secret, Some(&master))
            .map_err(|_| StoreError::Database("its key can't be used".to_owned()))?;
        Ok(Self {
            client,
            key_id,
            cipher,
        })
    }

    /// Adds rows; words are sealed.
    pub(in crate::store) async fn add(
        &self,
        table: &Table,
        mut rows: Vec<Row>,
    ) -> Result<(), StoreError> {
        if *table == TURNS {
            turn_words::seal(&mut rows, &mut |account, id, words| {
                let sealed = self.cipher.seal(account, id, words);
                let sealed = sealed.map_err(|error| StoreError::Database(error.to_string()))?;
                Ok((self.key_id, sealed))
            })?;
        }
        let names = table.names().collect::<Vec<_>>().join(", ");
        let kinds = table.columns.iter().map(|(_, kind)| *kind);
        let places = (1..).zip(kinds.clone());
        let arrays = places.map(|(place, kind)| format!("${place}::{}[]", kind.name()));
        let sql = format!(
            "INSERT INTO {} ({names}) SELECT * FROM unnest({})",
            table.name,
            arrays.collect::<Vec<_>>().join(", ")
        );
        let columns = kinds.enumerate();
        let columns: Vec<_> = columns
            .map(|(place, kind)| array(kind, rows.iter().map(|row| &row[place])))
            .collect();
        let columns: Vec<(&(dyn ToSql + Sync), Type)> = columns
            .iter()
            .map(|(values, of)| (&**values as &(dyn ToSql + Sync), of.clone()))
            .collect();
        self.client.query_typed(&sql, &columns).await?;
        Ok(())
    }

    pub(in crate::store) async fn count(&self, table: &Table) -> Result<i64, StoreError> {
        count(&self.client, table).await
    }

    /// Goes on counting after these, and keeps it all.
    pub(in crate::store) async fn finish(&self, highest: Highest) -> Result<(), StoreError> {
        Statement::new(GO_ON)
            .number(highest.turn)
            .number(highest.dead_letter)
            .run(&self.client)
            .await?;
        self.client.batch_execute("COMMIT").await?;
        let names = TABLES.map(|table| table.name).join(", ");
        let counted = self.client.batch_execute(&format!("ANALYZE {names}")).await;
        if let Err(error) = counted {
            tracing::debug!(%error, "the database counts its rows later");
        }
        Ok(())
    }
}

/// Keeps relays away from it, and sees that none was there.
async fn take(client: &Client, mode: &str) -> Result<(), StoreError> {
    // Before the lock, so that relays which are there don't wait for it.
    nobody_lives(client).await?;
    let names = TABLES.map(|table| table.name).join(", ");
    let sql = format!("{BEGIN} LOCK TABLE relays, leases, {names} IN {mode} MODE");
    client.batch_execute(&sql).await?;
    nobody_lives(client).await
}

async fn nobody_lives(client: &Client) -> Result<(), StoreError> {
    let alive = Statement::new(ALIVE).seconds(LEASE).run(client).await?;
    let Some(relay) = alive.first() else {
        return Ok(());
    };
    let name: &str = relay.get(0);
    Err(not_copied(format!(
        "the relay {name} uses the database; stop every relay on it (one that was killed counts as gone after {} s)",
        LEASE.as_secs()
    )))
}

async fn count(client: &Client, table: &Table) -> Result<i64, StoreError> {
    Ok(client.query_typed_one(&table.count(), &[]).await?.get(0))
}

fn read(table: &Table, row: &Found) -> Row {
    let columns = table.columns.iter().enumerate();
    let values = columns.map(|(place, (_, kind))| match kind {
        Kind::Text => row.get::<_, Option<String>>(place).map(Value::Text),
        Kind::Number => row.get::<_, Option<i64>>(place).map(Value::Number),
        Kind::Flag => row.get::<_, Option<bool>>(place).map(Value::Flag),
        Kind::Bytes => row.get::<_, Option<Vec<u8>>>(place).map(Value::Bytes),
    });
    values.map(|value| value.unwrap_or(Value::Null)).collect()
}

type Parameter = (Box<dyn ToSql + Sync + Send>, Type);

/// A column of a key.
fn parameter(value: &Value) -> Parameter {
    match value {
        Value::Null => (Box::new(None::<String>), Type::TEXT),
        Value::Text(text) => (Box::new(text.clone()), Type::TEXT),
        Value::Number(number) => (Box::new(*number), Type::INT8),
        Value::Flag(flag) => (Box::new(*flag), Type::BOOL),
        Value::Bytes(bytes) => (Box::new(bytes.clone()), Type::BYTEA),
    }
}

/// A column of many rows.
fn array<'a>(kind: Kind, values: impl Iterator<Item = &'a Value>) -> Parameter {
    match kind {
        Kind::Text => {
            let texts = values.map(|value| value.text().map(storable));
            (Box::new(texts.collect::<Vec<_>>()), Type::TEXT_ARRAY)
        }
        Kind::Number => {
            let numbers = values.map(Value::number);
            (Box::new(numbers.collect::<Vec<_>>()), Type::INT8_ARRAY)
        }
        Kind::Flag => {
            let flags = values.map(|value| match value {
                Value::Flag(flag) => Some(*flag),
                _ => None,
            });
            (Box::new(flags.collect::<Vec<_>>()), Type::BOOL_ARRAY)
        }
        Kind::Bytes => {
            let blobs = values.map(|value| match value {
                Value::Bytes(bytes) => Some(bytes.clone()),
                _ => None,
            });
            (Box::new(blobs.collect::<Vec<_>>()), Type::BYTEA_ARRAY)
        }
    }
}

impl Kind {
    /// As PostgreSQL calls it.
    const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "bigint",
            Self::Flag => "boolean",
            Self::Bytes => "bytea",
        }
    }
}
