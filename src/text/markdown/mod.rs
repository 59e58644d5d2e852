//! Gleen's Markdown, read once into a small tree and written from it for the
//! two kinds of channel: limited HTML for email, plain text for the rest.
//!
//! The tree holds only what both can show, so neither writer can let through
//! what the other would not: raw HTML is text here, a link has an address that
//! is safe to show, a picture is a link to it (fetching it would tell a stranger
//! who reads the message), and nesting is bounded.

mod address;
mod host;
mod html;
mod parse;
mod plain;
mod tags;

pub(super) use html::to_html;
pub(super) use parse::{paragraphs, parse};
pub(super) use plain::to_plain;

use address::Address;

/// A piece of a document that starts on its own line.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Block {
    Paragraph(Vec<Inline>),
    /// Level 1 to 6.
    Heading(u8, Vec<Inline>),
    Quote(Vec<Block>),
    List {
        /// The first number of an ordered list.
        start: Option<u64>,
        items: Vec<Vec<Block>>,
    },
    /// Preformatted text: its lines and spaces count.
    Code(String),
    Table(Table),
    Rule,
}

/// A table; every row has as many cells as the head.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Table {
    head: Vec<Cell>,
    rows: Vec<Vec<Cell>>,
}

type Cell = Vec<Inline>;

/// A piece of a line.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Inline {
    Text(String),
    Break,
    Strong(Vec<Inline>),
    Emphasis(Vec<Inline>),
    /// A link, in whose words there is no other.
    Link {
        address: Address,
        content: Vec<Inline>,
    },
}

#[cfg(test)]
mod tests;
