//! Statements over arrays, sent together.
//!
//! None has a name and each brings the types of its parameters: nothing is kept in
//! the connection that a pooler between could lose (`PgBouncer` documentation,
//! "Transaction pooling"), and each is planned for the table as it is now.

use std::time::Duration;

use futures_util::future::join_all;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row};

/// One statement and what goes into it.
pub(super) struct Statement {
    sql: &'static str,
    parameters: Vec<(Box<dyn ToSql + Sync + Send>, Type)>,
}

impl Statement {
    /// Without parameters yet.
    pub(super) fn new(sql: &'static str) -> Self {
        Self {
            sql,
            parameters: Vec::new(),
        }
    }

    fn with(mut self, value: impl ToSql + Sync + Send + 'static, of: Type) -> Self {
        self.parameters.push((Box::new(value), of));
        self
    }

    /// A text.
    pub(super) fn text(self, text: &str) -> Self {
        self.with(storable(text), Type::TEXT)
    }

    /// A text, or null.
    pub(super) fn some_text(self, text: Option<&str>) -> Self {
        self.with(text.map(storable), Type::TEXT)
    }

    /// A number.
    pub(super) fn number(self, number: i64) -> Self {
        self.with(number, Type::INT8)
    }

    /// Yes or no.
    pub(super) fn flag(self, flag: bool) -> Self {
        self.with(flag, Type::BOOL)
    }

    /// A length of time, in seconds.
    pub(super) fn seconds(self, length: Duration) -> Self {
        self.with(length.as_secs_f64(), Type::FLOAT8)
    }

    /// Bytes.
    pub(super) fn bytes(self, bytes: Vec<u8>) -> Self {
        self.with(bytes, Type::BYTEA)
    }

    /// An array of texts.
    pub(super) fn texts<'a>(self, texts: impl IntoIterator<Item = &'a str>) -> Self {
        let texts: Vec<String> = texts.into_iter().map(storable).collect();
        self.with(texts, Type::TEXT_ARRAY)
    }

    /// An array of texts, of which some are null.
    pub(super) fn some_texts<'a>(self, texts: impl IntoIterator<Item = Option<&'a str>>) -> Self {
        let texts: Vec<Option<String>> = texts.into_iter().map(|text| text.map(storable)).collect();
        self.with(texts, Type::TEXT_ARRAY)
    }

    /// An array of numbers.
    pub(super) fn numbers(self, numbers: impl IntoIterator<Item = i64>) -> Self {
        self.with(numbers.into_iter().collect::<Vec<_>>(), Type::INT8_ARRAY)
    }

    /// An array of numbers, of which some are null.
    pub(super) fn some_numbers(self, numbers: impl IntoIterator<Item = Option<i64>>) -> Self {
        self.with(numbers.into_iter().collect::<Vec<_>>(), Type::INT8_ARRAY)
    }

    /// An array of yes and no.
    pub(super) fn flags(self, flags: impl IntoIterator<Item = bool>) -> Self {
        self.with(flags.into_iter().collect::<Vec<_>>(), Type::BOOL_ARRAY)
    }

    /// An array of bytes, of which some are null.
    pub(super) fn some_blobs(self, blobs: impl IntoIterator<Item = Option<Vec<u8>>>) -> Self {
        self.with(blobs.into_iter().collect::<Vec<_>>(), Type::BYTEA_ARRAY)
    }

    /// Runs it by itself.
    pub(super) async fn run(self, client: &Client) -> Result<Vec<Row>, Error> {
        let parameters: Vec<(&(dyn ToSql + Sync), Type)> = self
            .parameters
            .iter()
            .map(|(value, of)| (&**value as &(dyn ToSql + Sync), of.clone()))
            .collect();
        client.query_typed(self.sql, &parameters).await
    }
}

/// Runs them one after the other in one round trip, in a transaction that the first
/// begins or that goes on. The rows of each, or the first error.
pub(super) async fn run_all<const N: usize>(
    client: &Client,
    statements: [Statement; N],
) -> Result<[Vec<Row>; N], Error> {
    let rows = run_many(client, statements.into()).await?;
    Ok(rows
        .try_into()
        .unwrap_or_else(|_| std::array::from_fn(|_| Vec::new())))
}

/// As [`run_all`].
pub(super) async fn run_many(
    client: &Client,
    statements: Vec<Statement>,
) -> Result<Vec<Vec<Row>>, Error> {
    // Sent when they are first polled, which is in this order.
    let running = statements
        .into_iter()
        .map(|statement| statement.run(client));
    join_all(running).await.into_iter().collect()
}

/// PostgreSQL stores no NUL in a text (its documentation, "Character Types").
pub(super) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
