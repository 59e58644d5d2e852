//! What is printed: who speaks on the left, what is said on the right, and the
//! relay's steps between, with the time since the customer wrote.

use std::io::{IsTerminal, Write, stdout};
use std::time::Instant;

use super::note;
use super::outcomes::Ending;
use super::paint::{Ink, Paint, wrap};
use super::trace::News;
use crate::sim::ItemView;

/// Columns of the left margin, where the speakers stand.
const MARGIN: usize = 11;

/// The terminal, or whatever else standard output is.
pub(super) struct Screen {
    paint: Paint,
    /// When the customer wrote last.
    since: Instant,
    /// Whether the cursor stands behind a prompt.
    prompting: bool,
}

impl Screen {
    /// For standard output.
    pub(super) fn new() -> Self {
        Self {
            paint: Paint::for_stdout(),
            since: Instant::now(),
            prompting: false,
        }
    }

    /// Times count from now.
    pub(super) fn start_clock(&mut self) {
        self.since = Instant::now();
    }

    /// A heading.
    pub(super) fn heading(&mut self, text: &str) {
        self.print(&format!("\n{}", self.paint.ink(Ink::Bold, text)));
    }

    /// Something beside the conversation.
    pub(super) fn remark(&mut self, text: &str) {
        for line in wrap(text) {
            let line = format!("{:MARGIN$}  {line}", "");
            self.print(&self.paint.ink(Ink::Faint, line.trim_end()));
        }
    }

    /// A fact of the setting.
    pub(super) fn fact(&mut self, name: &str, value: &str) {
        self.said(name, Ink::Faint, value);
    }

    /// The customer writes.
    pub(super) fn customer(&mut self, text: &str) {
        self.said("customer", Ink::Cyan, text);
    }

    /// An email's subject line.
    pub(super) fn subject(&mut self, text: &str) {
        self.said("subject", Ink::Faint, text);
    }

    /// What a part of the story has shown.
    pub(super) fn shown(&mut self, text: &str) {
        self.said("✓", Ink::Green, &self.paint.ink(Ink::Green, text));
    }

    /// How a turn ended; `asked` if Gleen was asked in it.
    pub(super) fn ending(&mut self, ending: Ending, asked: bool) {
        let (ink, text) = match ending {
            // The answer itself has just been shown.
            Ending::Replied => return,
            Ending::HandedOff => (Ink::Yellow, "handed over to a human"),
            Ending::Skipped if asked => (
                Ink::Yellow,
                "answer dropped: the bot no longer has the conversation",
            ),
            Ending::Skipped => (
                Ink::Faint,
                "left alone: the bot does not have the conversation",
            ),
            Ending::Dead => (Ink::Red, "given up: a dead letter for the operator"),
        };
        self.said("outcome", Ink::Faint, &self.paint.ink(ink, text));
    }

    /// What is new.
    pub(super) fn news(&mut self, news: &News) {
        match news {
            News::Step { at, what, fine } => self.step(*at, what, *fine),
            News::Bot(item) => self.bot(item),
            News::Human { name, text } => self.said(name, Ink::Yellow, text),
            News::Note(html) => self.said("note", Ink::Yellow, &note::plain(html)),
            News::Changed(what) => self.said("→", Ink::Yellow, &self.paint.ink(Ink::Yellow, what)),
        }
    }

    fn step(&mut self, at: Instant, what: &str, fine: bool) {
        let after = at.saturating_duration_since(self.since).as_millis();
        let line = format!("{:MARGIN$}  {after:>5} ms  {what}", "");
        self.print(
            &self
                .paint
                .ink(if fine { Ink::Faint } else { Ink::Red }, &line),
        );
    }

    fn bot(&mut self, item: &ItemView) {
        let text = item.text().unwrap_or_default();
        let html = item
            .sent
            .as_ref()
            .filter(|_| item.content["type"] == "EMAIL");
        let Some(sent) = html else {
            self.said("bot", Ink::Green, text);
            return;
        };
        self.subject(item.content["subject"].as_str().unwrap_or_default());
        self.said(
            "bot, HTML",
            Ink::Green,
            sent["body"].as_str().unwrap_or_default(),
        );
        self.said("bot, plain", Ink::Green, text);
    }

    fn said(&mut self, who: &str, ink: Ink, text: &str) {
        let mut who = who;
        for line in wrap(text) {
            let margin = self.paint.ink(ink, &format!("{who:>MARGIN$}"));
            self.print(format!("{margin}  {line}").trim_end());
            who = "";
        }
    }

    /// Asks for input, unless it does so already. Only a terminal needs that.
    pub(super) fn prompt(&mut self, who: &str) {
        if !self.prompting && stdout().is_terminal() {
            let who = self.paint.ink(Ink::Cyan, &format!("{who:>MARGIN$}"));
            write(&format!("{who}  "));
            self.prompting = true;
        }
    }

    /// The user has ended the line with the prompt.
    pub(super) const fn entered(&mut self) {
        self.prompting = false;
    }

    /// Takes the prompt away; what was typed so far is not lost to the program.
    pub(super) fn clear_prompt(&mut self) {
        if self.prompting {
            write("\r\x1b[K");
            self.prompting = false;
        }
    }

    fn print(&mut self, line: &str) {
        self.clear_prompt();
        write(&format!("{line}\n"));
    }
}

fn write(text: &str) {
    let mut out = stdout().lock();
    // A reader who has left, such as `head`, has seen enough.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
