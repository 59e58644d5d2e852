//! Blocks as plain text that reads well in a chat, a text message, or the
//! plain half of an email.

use super::address::Address;
use super::{Block, Cell, Inline, Table};
use crate::text::escape::is_visible;

/// Rows with more cells than this are written as `header: value` lines: a
/// phone wraps longer lines, and the eye then loses the column.
const WIDEST_ROW: usize = 3;

/// A header with more characters than this is no label: repeated with every
/// row, it would soon be most of the text.
const LONGEST_LABEL: usize = 60;

/// The document as plain text, without trailing white space.
pub(in crate::text) fn to_plain(blocks: &[Block]) -> String {
    let mut lines = block_lines(blocks, true);
    for line in &mut lines {
        line.truncate(line.trim_end().len());
    }
    lines.join("\n").trim_matches('\n').to_owned()
}

/// The lines of blocks, with a blank line between them where `airy`.
fn block_lines(blocks: &[Block], airy: bool) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut above: Option<&Block> = None;
    for block in blocks {
        let mut own = lines_of(block);
        if own.is_empty() {
            continue;
        }
        let leads_on = above.is_some_and(|above| leads_on(above, &lines, block));
        if airy && !lines.is_empty() && !leads_on {
            lines.push(String::new());
        }
        lines.append(&mut own);
        above = Some(block);
    }
    lines
}

/// Whether `above`, the last of `lines`, introduces `block`: a heading what
/// stands under it, a colon what it announces.
fn leads_on(above: &Block, lines: &[String], block: &Block) -> bool {
    match above {
        Block::Heading(..) => true,
        Block::Paragraph(_) => {
            let announced = matches!(block, Block::List { .. } | Block::Code(_) | Block::Table(_));
            announced && lines.last().is_some_and(|line| line.ends_with([':', '：']))
        }
        _ => false,
    }
}

fn lines_of(block: &Block) -> Vec<String> {
    match block {
        Block::Paragraph(words) | Block::Heading(_, words) => paragraph_lines(words),
        Block::Quote(blocks) => block_lines(blocks, true)
            .into_iter()
            .map(|line| format!("> {line}"))
            .collect(),
        Block::List { start, items } => list_lines(*start, items),
        Block::Code(code) => code.lines().map(str::to_owned).collect(),
        Block::Table(table) => table_lines(table),
        // The blank line between blocks does its work.
        Block::Rule => Vec::new(),
    }
}

fn paragraph_lines(words: &[Inline]) -> Vec<String> {
    let text = inline_text(words);
    if is_visible(&text) {
        text.trim()
            .lines()
            .map(|line| line.trim().to_owned())
            .collect()
    } else {
        Vec::new()
    }
}

fn list_lines(start: Option<u64>, items: &[Vec<Block>]) -> Vec<String> {
    // Items of several paragraphs need air between them, one-liners don't.
    let airy = items.iter().any(|item| has_two_paragraphs(item));
    let mut lines = Vec::new();
    let mut number = start;
    for item in items {
        let marker = match &mut number {
            Some(number) => {
                let marker = format!("{number}. ");
                *number = number.saturating_add(1);
                marker
            }
            None => "- ".to_owned(),
        };
        let mut own = item_lines(&marker, item);
        if airy && !lines.is_empty() && !own.is_empty() {
            lines.push(String::new());
        }
        lines.append(&mut own);
    }
    lines
}

fn has_two_paragraphs(item: &[Block]) -> bool {
    item.windows(2)
        .any(|pair| matches!(pair, [_, Block::Paragraph(_)]))
}

/// The marker in front of the first line, the rest indented to match; nothing
/// at all for an empty item.
fn item_lines(marker: &str, item: &[Block]) -> Vec<String> {
    let mut lines = block_lines(item, has_two_paragraphs(item));
    let indent = " ".repeat(marker.len());
    for (index, line) in lines.iter_mut().enumerate() {
        line.insert_str(0, if index == 0 { marker } else { &indent });
    }
    lines
}

fn table_lines(table: &Table) -> Vec<String> {
    let head: Vec<String> = table.head.iter().map(cell_text).collect();
    let rows = table
        .rows
        .iter()
        .map(|row| row.iter().map(cell_text).collect());
    let headless = head.iter().all(String::is_empty);
    let labels = head
        .iter()
        .all(|header| header.chars().nth(LONGEST_LABEL).is_none());
    if head.len() > WIDEST_ROW && !headless && labels {
        return rows
            .enumerate()
            .flat_map(|(index, row)| record_lines(index, &head, row))
            .collect();
    }
    let joint = if headless && head.len() == 2 {
        ": "
    } else {
        " | "
    };
    let head_line = (!headless).then(|| row_line(head.clone(), joint));
    head_line
        .into_iter()
        .chain(rows.map(|row| row_line(row, joint)))
        .collect()
}

/// A wide row as one `header: value` line for each cell that holds something.
fn record_lines(index: usize, head: &[String], row: Vec<String>) -> Vec<String> {
    let gap = (index > 0).then(String::new);
    let cells = head.iter().zip(row).filter(|(_, value)| !value.is_empty());
    let lines = cells.map(|(header, value)| match header.as_str() {
        "" => value,
        header => format!("{header}: {value}"),
    });
    gap.into_iter().chain(lines).collect()
}

/// A row on one line; a dash keeps an empty cell's place.
fn row_line(cells: Vec<String>, joint: &str) -> String {
    let cells: Vec<String> = cells
        .into_iter()
        .map(|cell| {
            if cell.is_empty() {
                "-".to_owned()
            } else {
                cell
            }
        })
        .collect();
    cells.join(joint)
}

fn cell_text(cell: &Cell) -> String {
    let text = inline_text(cell);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The words of a line; breaks as line ends.
pub(super) fn inline_text(inlines: &[Inline]) -> String {
    let mut text = String::new();
    for inline in inlines {
        match inline {
            Inline::Text(words) => text.push_str(words),
            Inline::Break => text.push('\n'),
            Inline::Strong(words) | Inline::Emphasis(words) => text.push_str(&inline_text(words)),
            Inline::Link { address, content } => text.push_str(&link_text(address, content)),
        }
    }
    text
}

/// `text (https://…)`, or the bare address when the text says nothing more.
fn link_text(address: &Address, content: &[Inline]) -> String {
    let words = inline_text(content);
    let shown = address.shown();
    if address.says_the_same_as(&words) || !is_visible(&words) {
        shown.to_owned()
    } else {
        format!("{words} ({shown})")
    }
}
