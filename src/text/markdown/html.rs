//! Blocks as the HTML that Gladly keeps in an email.
//!
//! Only these tags are ever written: `a[href,target] br dd div dl em h1 h2 h3
//! hr li ol p strong table tbody td th thead tr ul`. Every word passes
//! through [`escape_html`].

use super::address::{Address, Stretch, find_addresses};
use super::plain::inline_text;
use super::{Block, Cell, Inline, Table};
use crate::text::escape::{escape_html, is_visible};

/// The document as HTML.
pub(in crate::text) fn to_html(blocks: &[Block]) -> String {
    let mut html = String::new();
    for block in blocks {
        write_block(&mut html, block);
    }
    html
}

fn write_block(html: &mut String, block: &Block) {
    match block {
        Block::Paragraph(words) => wrap(html, "p", |html| write_inlines(html, words)),
        Block::Heading(level, words) => write_heading(html, *level, words),
        // Gladly knows no block quote; a definition is indented like one.
        Block::Quote(blocks) => wrap(html, "dl", |html| {
            wrap(html, "dd", |html| html.push_str(&to_html(blocks)));
        }),
        Block::List { start: None, items } => write_list(html, "ul", items),
        Block::List {
            start: Some(1),
            items,
        } => write_list(html, "ol", items),
        Block::List {
            start: Some(start),
            items,
        } => write_numbered(html, *start, items),
        Block::Code(code) => wrap(html, "p", |html| write_code(html, code)),
        Block::Table(table) => write_table(html, table),
        Block::Rule => html.push_str("<hr>"),
    }
}

fn wrap(html: &mut String, tag: &str, content: impl FnOnce(&mut String)) {
    html.push('<');
    html.push_str(tag);
    html.push('>');
    content(html);
    html.push_str("</");
    html.push_str(tag);
    html.push('>');
}

/// Gladly's headings end at the third level.
fn write_heading(html: &mut String, level: u8, words: &[Inline]) {
    match level {
        1 => wrap(html, "h1", |html| write_inlines(html, words)),
        2 => wrap(html, "h2", |html| write_inlines(html, words)),
        3 => wrap(html, "h3", |html| write_inlines(html, words)),
        _ => wrap(html, "p", |html| {
            wrap(html, "strong", |html| write_inlines(html, words));
        }),
    }
}

fn write_list(html: &mut String, tag: &str, items: &[Vec<Block>]) {
    wrap(html, tag, |html| {
        for item in items {
            wrap(html, "li", |html| write_item(html, item));
        }
    });
}

/// A list that does not start at 1, as when text interrupts the steps. Gladly
/// keeps no `start` attribute, so the numbers are words.
fn write_numbered(html: &mut String, start: u64, items: &[Vec<Block>]) {
    for (number, item) in (start..).zip(items) {
        wrap(html, "div", |html| {
            html.push_str(&number.to_string());
            html.push_str(". ");
            write_item(html, item);
        });
    }
}

/// An item's first paragraph stands without `<p>`, as mail programs would
/// otherwise part the items with blank lines.
fn write_item(html: &mut String, blocks: &[Block]) {
    match blocks {
        [Block::Paragraph(words), rest @ ..] => {
            write_inlines(html, words);
            html.push_str(&to_html(rest));
        }
        blocks => html.push_str(&to_html(blocks)),
    }
}

/// There is no `<pre>`: lines and runs of spaces are kept by hand.
fn write_code(html: &mut String, code: &str) {
    for (index, line) in code.lines().enumerate() {
        if index > 0 {
            html.push_str("<br>");
        }
        let words = line.trim_start_matches(' ');
        html.push_str(&"&nbsp;".repeat(line.len() - words.len()));
        html.push_str(&escape_html(words).replace("  ", " &nbsp;"));
    }
}

fn write_table(html: &mut String, table: &Table) {
    wrap(html, "table", |html| {
        if !table.head.iter().all(Vec::is_empty) {
            wrap(html, "thead", |html| write_row(html, "th", &table.head));
        }
        wrap(html, "tbody", |html| {
            for row in &table.rows {
                write_row(html, "td", row);
            }
        });
    });
}

fn write_row(html: &mut String, tag: &str, cells: &[Cell]) {
    wrap(html, "tr", |html| {
        for cell in cells {
            wrap(html, tag, |html| write_inlines(html, cell));
        }
    });
}

fn write_inlines(html: &mut String, inlines: &[Inline]) {
    for inline in inlines {
        match inline {
            Inline::Text(text) => write_text(html, text),
            Inline::Break => html.push_str("<br>"),
            Inline::Strong(words) => wrap(html, "strong", |html| write_inlines(html, words)),
            Inline::Emphasis(words) => wrap(html, "em", |html| write_inlines(html, words)),
            Inline::Link { address, content } => write_link(html, address, content),
        }
    }
}

/// A link, which shows its address where its words are none or name another.
fn write_link(html: &mut String, address: &Address, content: &[Inline]) {
    let words = inline_text(content);
    let shown = escape_html(address.shown());
    open_link(html, address.as_str());
    if is_visible(&words) {
        write_link_words(html, content);
        if address.is_belied_by(&words) {
            html.push_str(" (");
            html.push_str(&shown);
            html.push(')');
        }
    } else {
        html.push_str(&shown);
    }
    html.push_str("</a>");
}

/// What stands inside a link, where an address is no second link.
fn write_link_words(html: &mut String, inlines: &[Inline]) {
    for inline in inlines {
        match inline {
            Inline::Text(text) => html.push_str(&escape_html(text)),
            Inline::Break => html.push_str("<br>"),
            Inline::Strong(words) => wrap(html, "strong", |html| write_link_words(html, words)),
            Inline::Emphasis(words) => wrap(html, "em", |html| write_link_words(html, words)),
            Inline::Link { content, .. } => write_link_words(html, content),
        }
    }
}

/// Running text, with its bare web addresses made clickable.
fn write_text(html: &mut String, text: &str) {
    for stretch in find_addresses(text) {
        match stretch {
            Stretch::Words(words) => html.push_str(&escape_html(words)),
            Stretch::Web(address) => {
                open_link(html, address.as_str());
                html.push_str(&escape_html(address.as_str()));
                html.push_str("</a>");
            }
        }
    }
}

fn open_link(html: &mut String, address: &str) {
    html.push_str("<a href=\"");
    html.push_str(&escape_html(address));
    html.push_str("\" target=\"_blank\">");
}
