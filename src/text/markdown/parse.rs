//! Markdown text into [`Block`]s, by recursive descent over the parser's events.

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag};

use super::address::Address;
use super::tags::{self, push_raw_html};
use super::{Block, Inline, Table};
use crate::text::escape::is_writable;

/// How deep containers may nest. What is nested deeper keeps its words and
/// loses its dress, so that no text can exhaust the stack of the writers.
const DEEPEST: usize = 24;

/// Reads Markdown: `CommonMark` with tables, strikethrough, task lists and
/// footnotes.
pub(in crate::text) fn parse(markdown: &str) -> Vec<Block> {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_FOOTNOTES;
    let mut reader = Reader {
        events: Parser::new_ext(markdown, options),
        depth: 0,
        inside_link: false,
    };
    reader.blocks()
}

/// Reads plain text: blank lines part paragraphs, every other line end stays.
pub(in crate::text) fn paragraphs(text: &str) -> Vec<Block> {
    text.split("\n\n")
        .map(|paragraph| paragraph.trim_matches('\n'))
        .filter(|paragraph| !paragraph.trim().is_empty())
        .map(|paragraph| {
            let mut inlines = Vec::new();
            for (index, line) in paragraph.lines().enumerate() {
                if index > 0 {
                    inlines.push(Inline::Break);
                }
                push_text(&mut inlines, line.trim_end());
            }
            Block::Paragraph(inlines)
        })
        .collect()
}

/// Appends text, joined to the text before it: the parser cuts at characters
/// that might have meant something, and addresses must be found whole. What
/// must not be written is left out, as character references may bring it in.
pub(super) fn push_text(inlines: &mut Vec<Inline>, text: &str) {
    let text = text.chars().filter(|character| is_writable(*character));
    if let Some(Inline::Text(before)) = inlines.last_mut() {
        before.extend(text);
        return;
    }
    let text: String = text.collect();
    if !text.is_empty() {
        inlines.push(Inline::Text(text));
    }
}

struct Reader<'a> {
    events: Parser<'a>,
    depth: usize,
    inside_link: bool,
}

impl<'a> Reader<'a> {
    /// The blocks up to the end of the container that was last entered.
    fn blocks(&mut self) -> Vec<Block> {
        let mut blocks = Vec::new();
        // Words directly in a container, as in the items of a tight list.
        let mut loose = Vec::new();
        while let Some(event) = self.events.next() {
            match event {
                Event::End(_) => break,
                Event::Rule => {
                    flush(&mut blocks, &mut loose);
                    blocks.push(Block::Rule);
                }
                Event::Start(tag) if is_block(&tag) => {
                    flush(&mut blocks, &mut loose);
                    self.enter(|reader| reader.block(tag, &mut blocks), &mut loose);
                }
                event => self.inline(event, &mut loose),
            }
        }
        flush(&mut blocks, &mut loose);
        blocks
    }

    /// The words up to the end of the container that was last entered.
    fn inlines(&mut self) -> Vec<Inline> {
        let mut inlines = Vec::new();
        while let Some(event) = self.events.next() {
            if matches!(event, Event::End(_)) {
                break;
            }
            self.inline(event, &mut inlines);
        }
        inlines
    }

    /// Reads the container just started with `read`, or only its words if it
    /// is nested too deep.
    fn enter(&mut self, read: impl FnOnce(&mut Self), words: &mut Vec<Inline>) {
        if self.depth < DEEPEST {
            self.depth += 1;
            read(self);
            self.depth -= 1;
        } else {
            push_text(words, &self.words());
            words.push(Inline::Break);
        }
    }

    fn block(&mut self, tag: Tag<'a>, blocks: &mut Vec<Block>) {
        match tag {
            Tag::Heading { level, .. } => {
                blocks.push(Block::Heading(number(level), self.inlines()));
            }
            Tag::BlockQuote(_) => blocks.push(Block::Quote(self.blocks())),
            Tag::CodeBlock(_) => {
                let code = self.words();
                blocks.push(Block::Code(code.trim_end_matches('\n').to_owned()));
            }
            Tag::HtmlBlock => {
                blocks.push(Block::Paragraph(tags::block_words(&self.words())));
            }
            Tag::List(start) => {
                let items = self.items();
                blocks.push(Block::List { start, items });
            }
            Tag::Table(_) => blocks.push(Block::Table(self.table())),
            Tag::FootnoteDefinition(label) => {
                let mut note = self.blocks();
                prefix(&mut note, &format!("[{label}] "));
                blocks.append(&mut note);
            }
            // A paragraph, and containers that no enabled option produces.
            _ => blocks.push(Block::Paragraph(self.inlines())),
        }
    }

    fn items(&mut self) -> Vec<Vec<Block>> {
        let mut items = Vec::new();
        while let Some(Event::Start(_)) = self.events.next() {
            items.push(self.blocks());
        }
        items
    }

    fn table(&mut self) -> Table {
        let mut table = Table::default();
        while let Some(Event::Start(tag)) = self.events.next() {
            let mut cells = Vec::new();
            while let Some(Event::Start(_)) = self.events.next() {
                cells.push(self.inlines());
            }
            if matches!(tag, Tag::TableHead) {
                table.head = cells;
            } else {
                table.rows.push(cells);
            }
        }
        table
    }

    fn inline(&mut self, event: Event<'a>, inlines: &mut Vec<Inline>) {
        match event {
            Event::Text(text)
            | Event::Code(text)
            | Event::InlineMath(text)
            | Event::DisplayMath(text) => push_text(inlines, &text),
            Event::Html(raw) | Event::InlineHtml(raw) => push_raw_html(inlines, &raw),
            // A bot's line ends where it meant it to: nothing wrapped it.
            Event::SoftBreak | Event::HardBreak => inlines.push(Inline::Break),
            Event::FootnoteReference(label) => push_text(inlines, &format!("[{label}]")),
            Event::TaskListMarker(done) => {
                push_text(inlines, if done { "[x] " } else { "[ ] " });
            }
            Event::Rule | Event::End(_) => {}
            Event::Start(tag) => {
                let mut inner = Vec::new();
                self.enter(|reader| inner = reader.container(tag), inlines);
                for inline in inner {
                    match inline {
                        Inline::Text(text) => push_text(inlines, &text),
                        inline => inlines.push(inline),
                    }
                }
            }
        }
    }

    fn container(&mut self, tag: Tag<'a>) -> Vec<Inline> {
        match tag {
            Tag::Strong => vec![Inline::Strong(self.inlines())],
            Tag::Emphasis => vec![Inline::Emphasis(self.inlines())],
            Tag::Link {
                dest_url,
                link_type,
                ..
            } => {
                let outside = std::mem::replace(&mut self.inside_link, true);
                let content = self.inlines();
                self.inside_link = outside;
                let destination = match link_type {
                    pulldown_cmark::LinkType::Email => format!("mailto:{dest_url}"),
                    _ => dest_url.into_string(),
                };
                self.link(&destination, content)
            }
            Tag::Image { dest_url, .. } => {
                let mut alt = Vec::new();
                push_text(&mut alt, &self.words());
                self.link(&dest_url, alt)
            }
            // Neither Gladly's HTML nor plain text can strike words through. A
            // tilde on each side is what people type, and WhatsApp strikes it.
            Tag::Strikethrough => {
                let mut inlines = vec![Inline::Text("~".to_owned())];
                inlines.append(&mut self.inlines());
                push_text(&mut inlines, "~");
                inlines
            }
            _ => self.inlines(),
        }
    }

    /// A link, or only its words where it leads nowhere safe or another link
    /// around it leads elsewhere.
    fn link(&self, destination: &str, content: Vec<Inline>) -> Vec<Inline> {
        match Address::parse(destination) {
            Some(address) if !self.inside_link => vec![Inline::Link { address, content }],
            _ => content,
        }
    }

    /// Only the words, up to the end of the container that was last entered,
    /// whatever is nested in it.
    fn words(&mut self) -> String {
        let mut words = String::new();
        let mut open = 1_usize;
        for event in self.events.by_ref() {
            match event {
                Event::Start(_) => open += 1,
                Event::End(_) if open == 1 => break,
                Event::End(_) => open -= 1,
                Event::Text(text)
                | Event::Code(text)
                | Event::Html(text)
                | Event::InlineHtml(text) => {
                    words.push_str(&text);
                }
                Event::SoftBreak | Event::HardBreak => words.push('\n'),
                _ => {}
            }
        }
        words
    }
}

/// Makes a paragraph of the words collected so far.
fn flush(blocks: &mut Vec<Block>, loose: &mut Vec<Inline>) {
    if !loose.is_empty() {
        blocks.push(Block::Paragraph(std::mem::take(loose)));
    }
}

/// Puts words in front of the first paragraph.
fn prefix(blocks: &mut Vec<Block>, words: &str) {
    let words = Inline::Text(words.to_owned());
    match blocks.first_mut() {
        Some(Block::Paragraph(inlines)) => inlines.insert(0, words),
        _ => blocks.insert(0, Block::Paragraph(vec![words])),
    }
}

fn is_block(tag: &Tag<'_>) -> bool {
    !matches!(
        tag,
        Tag::Emphasis
            | Tag::Strong
            | Tag::Strikethrough
            | Tag::Superscript
            | Tag::Subscript
            | Tag::Link { .. }
            | Tag::Image { .. }
    )
}

fn number(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}
