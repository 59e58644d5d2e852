//! The tables that are copied, as both back ends have them. What is not here belongs to
//! one database alone: keys, leases, the relays that run, the probe.

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Kind {
    /// A text.
    Text,
    /// A whole number.
    Number,
    /// Yes or no.
    Flag,
    /// Bytes.
    Bytes,
}

/// A table.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) struct Table {
    /// Its name.
    pub(in crate::store) name: &'static str,
    /// Its columns, those of its key first.
    pub(in crate::store) columns: &'static [(&'static str, Kind)],
    /// How many of them are its key.
    pub(in crate::store) key: usize,
}

/// What stands in a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum Value {
    /// Nothing.
    Null,
    /// A text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// The columns of a row, in the table's order.
pub(in crate::store) type Row = Vec<Value>;

use Kind::{Bytes, Flag, Number, Text};

pub(in crate::store) const CONVERSATIONS: Table = Table {
    name: "conversations",
    columns: &[
        ("account", Text),
        ("conversation_id", Text),
        ("value", Text),
        ("merged_into", Text),
        ("due_at", Number),
        ("waiting_since", Number),
        ("backlog", Number),
        ("touched_at", Number),
    ],
    key: 2,
};

/// Words stand in their column as a text, opened, and its key nowhere, until the target
/// has sealed them.
pub(in crate::store) const TURNS: Table = Table {
    name: "turns",
    columns: &[
        ("id", Number),
        ("account", Text),
        ("conversation_id", Text),
        ("received_at", Number),
        ("deadline_at", Number),
        ("began", Number),
        ("messages", Text),
        ("state", Text),
        ("key_id", Number),
        ("words", Bytes),
        ("retried", Flag),
        ("overdue", Flag),
        ("trace", Text),
        ("outcome", Text),
        ("reason", Text),
        ("finished_at", Number),
    ],
    key: 1,
};

/// All of them.
pub(in crate::store) const TABLES: [Table; 8] = [
    Table {
        name: "accounts",
        columns: &[("account", Text), ("forgotten_until_us", Number)],
        key: 1,
    },
    Table {
        name: "events",
        columns: &[
            ("account", Text),
            ("event_id", Text),
            ("received_at", Number),
            ("happened_at_us", Number),
        ],
        key: 2,
    },
    Table {
        name: "items",
        columns: &[
            ("account", Text),
            ("item_id", Text),
            ("received_at", Number),
        ],
        key: 2,
    },
    CONVERSATIONS,
    TURNS,
    Table {
        name: "dead_letters",
        columns: &[
            ("id", Number),
            ("account", Text),
            ("turn_id", Number),
            ("conversation_id", Text),
            ("event_type", Text),
            ("may_have_answered", Flag),
            ("error", Text),
            ("created_at", Number),
        ],
        key: 1,
    },
    Table {
        name: "sweeps",
        columns: &[("account", Text), ("swept_until_us", Number)],
        key: 1,
    },
    Table {
        name: "totals",
        columns: &[
            ("hour", Number),
            ("account", Text),
            ("what", Text),
            ("reason", Text),
            ("firsts", Number),
            ("bucket", Number),
            ("count", Number),
            ("messages", Number),
            ("calls", Number),
            ("per_second", Number),
        ],
        key: 6,
    },
];

impl Table {
    /// Its columns' names.
    pub(in crate::store) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().map(|(name, _)| *name)
    }

    /// Selects a page of rows in the order of their keys: the first, or that after a key.
    /// `place` writes the place of a parameter.
    pub(in crate::store) fn page(
        &self,
        goes_on: bool,
        most: usize,
        place: impl Fn(usize) -> String,
    ) -> String {
        let all = self.names().collect::<Vec<_>>().join(", ");
        let key = self.names().take(self.key).collect::<Vec<_>>().join(", ");
        let places: Vec<String> = (1..=self.key).map(place).collect();
        let after = if goes_on {
            format!("WHERE ({key}) > ({})", places.join(", "))
        } else {
            String::new()
        };
        format!(
            "SELECT {all} FROM {} {after} ORDER BY {key} LIMIT {most}",
            self.name
        )
    }

    /// Counts its rows.
    pub(in crate::store) fn count(&self) -> String {
        format!("SELECT count(*) FROM {}", self.name)
    }

    /// What stands in the column of this name; nothing if there is none.
    pub(in crate::store) fn value<'a>(&self, row: &'a Row, column: &str) -> &'a Value {
        let place = self.names().position(|name| name == column);
        place
            .and_then(|place| row.get(place))
            .unwrap_or(&Value::Null)
    }

    /// Puts something into the column of this name.
    pub(in crate::store) fn set(&self, row: &mut Row, column: &str, value: Value) {
        let place = self.names().position(|name| name == column);
        if let Some(stands) = place.and_then(|place| row.get_mut(place)) {
            *stands = value;
        }
    }
}

impl Value {
    /// The text, if it is one.
    pub(in crate::store) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub(in crate::store) const fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }
}
