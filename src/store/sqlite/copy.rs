//! The ends of a copy that are files, see [`crate::store::copy()`]. A file's lock says
//! that no relay runs on it, and that none begins before the copy has ended.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::types::{Value as Stored, ValueRef};
use rusqlite::{Connection, Row as Found, params_from_iter};

use super::{next_turn_id, open};
use crate::store::StoreError;
use crate::store::copy::{Highest, Kind, Row, TABLES, TURNS, Table, Value, not_copied, turn_words};
use crate::store::seal::{Keys, MasterKey};

const LAST_LETTER: &str = "SELECT max(
    coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'dead_letters'), 0),
    coalesce((SELECT max(id) FROM dead_letters), 0))";

/// A file to copy from, as it is at one moment.
pub(in crate::store) struct SqliteSource {
    connection: Connection,
    /// With the master key, and without it: it may be new.
    keys: Vec<Keys>,
    _lock: open::Lock,
}

impl SqliteSource {
    /// Opens an existing file, and changes nothing in it.
    pub(in crate::store) fn open(
        path: &Path,
        master: Option<&MasterKey>,
    ) -> Result<Self, StoreError> {
        if !path.exists() {
            return Err(open::cannot_open(path, "there is no such file".to_owned()));
        }
        let lock = open::lock(path)?;
        let connection = open::open_beside(path)?;
        connection.execute_batch("BEGIN")?;
        let key_path = open::beside(&open::real_path(path), "-keys");
        let masters = [master.cloned(), None];
        let keys = masters
            .into_iter()
            .map(|master| Keys::open_to_read(&key_path, master));
        let keys: Result<Vec<_>, _> = keys.collect();
        let keys = keys.map_err(|error| open::cannot_open(&key_path, error.to_string()))?;
        Ok(Self {
            connection,
            keys: keys.into_iter().flatten().collect(),
            _lock: lock,
        })
    }

    /// The rows that follow a key.
    pub(in crate::store) fn page(
        &self,
        table: &Table,
        after: Option<&[Value]>,
        most: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let sql = table.page(after.is_some(), most, |number| format!("?{number}"));
        let mut statement = self.connection.prepare_cached(&sql)?;
        let key = after.unwrap_or_default().iter().cloned().map(stored);
        let mut found = statement.query(params_from_iter(key))?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            rows.push(read(table, row)?);
        }
        Ok(rows)
    }

    /// Tells of how many turns the words can't be opened.
    pub(in crate::store) fn open_words(&self, turns: &mut [Row]) -> usize {
        turn_words::open(turns, &|account, id, key_id, sealed| {
            let mut keys = self.keys.iter();
            keys.find_map(|keys| keys.unseal(account, id, key_id, sealed))
        })
    }

    pub(in crate::store) fn count(&self, table: &Table) -> Result<i64, StoreError> {
        count(&self.connection, table)
    }

    pub(in crate::store) fn highest(&self) -> Result<Highest, StoreError> {
        let letter = self
            .connection
            .query_row(LAST_LETTER, [], |row| row.get(0))?;
        Ok(Highest {
            turn: next_turn_id(&self.connection)? - 1,
            dead_letter: letter,
        })
    }
}

/// A file to copy into, which had nothing in it.
pub(in crate::store) struct SqliteTarget {
    connection: Connection,
    keys: Keys,
    _lock: open::Lock,
}

impl SqliteTarget {
    /// Makes it, or opens an empty one.
    pub(in crate::store) fn open(
        path: &Path,
        master: Option<MasterKey>,
    ) -> Result<Self, StoreError> {
        let lock = open::lock(path)?;
        let connection = open::open(path)?;
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for table in &TABLES {
            if count(&connection, table)? > 0 {
                return Err(not_copied(format!(
                    "{} is not empty (it has {}); name a new file",
                    path.display(),
                    table.name
                )));
            }
        }
        let key_path = open::beside(&open::real_path(path), "-keys");
        let mut keys = Keys::open(&key_path, master)
            .map_err(|error| open::cannot_open(&key_path, error.to_string()))?;
        keys.tick(Timestamp::now());
        Ok(Self {
            connection,
            keys,
            _lock: lock,
        })
    }

    /// Adds rows; words are sealed.
    pub(in crate::store) fn add(
        &mut self,
        table: &Table,
        mut rows: Vec<Row>,
    ) -> Result<(), StoreError> {
        if *table == TURNS {
            turn_words::seal(&mut rows, &mut |account, id, words| {
                let sealed = self.keys.seal(account, id, words);
                let sealed = sealed.map_err(|error| StoreError::Unavailable(error.to_string()))?;
                Ok((sealed.key_id, sealed.bytes))
            })?;
        }
        let names = table.names().collect::<Vec<_>>().join(", ");
        let places = vec!["?"; table.columns.len()].join(", ");
        let sql = format!("INSERT INTO {} ({names}) VALUES ({places})", table.name);
        let mut statement = self.connection.prepare_cached(&sql)?;
        for row in rows {
            statement.execute(params_from_iter(row.into_iter().map(stored)))?;
        }
        Ok(())
    }

    pub(in crate::store) fn count(&self, table: &Table) -> Result<i64, StoreError> {
        count(&self.connection, table)
    }

    /// Goes on counting after these, and keeps it all.
    pub(in crate::store) fn finish(self, highest: Highest) -> Result<(), StoreError> {
        let numbers = [
            ("turns", highest.turn),
            ("dead_letters", highest.dead_letter),
        ];
        for (table, highest) in numbers {
            self.connection
                .execute("DELETE FROM sqlite_sequence WHERE name = ?", [table])?;
            self.connection.execute(
                "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)",
                rusqlite::params![table, highest],
            )?;
        }
        self.connection.execute_batch("COMMIT")?;
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }
}

fn count(connection: &Connection, table: &Table) -> Result<i64, StoreError> {
    Ok(connection.query_row(&table.count(), [], |row| row.get(0))?)
}

fn read(table: &Table, row: &Found<'_>) -> Result<Row, StoreError> {
    let columns = table.columns.iter().enumerate();
    let values = columns.map(|(place, (_, kind))| {
        let found = row.get_ref(place)?;
        Ok(match (found, kind) {
            (ValueRef::Integer(number), Kind::Flag) => Value::Flag(number != 0),
            (ValueRef::Integer(number), _) => Value::Number(number),
            (ValueRef::Text(text), _) => Value::Text(String::from_utf8_lossy(text).into_owned()),
            (ValueRef::Blob(bytes), _) => Value::Bytes(bytes.to_vec()),
            (ValueRef::Null | ValueRef::Real(_), _) => Value::Null,
        })
    });
    values.collect()
}

fn stored(value: Value) -> Stored {
    match value {
        Value::Null => Stored::Null,
        Value::Text(text) => Stored::Text(text),
        Value::Number(number) => Stored::Integer(number),
        Value::Flag(flag) => Stored::Integer(flag.into()),
        Value::Bytes(bytes) => Stored::Blob(bytes),
    }
}
