//! The chat at a terminal: the user types as the customer, commands play the
//! humans and the faults.

use std::io::stdin;
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::outcomes::Ending;
use super::session::Session;
use crate::sim::{Message, Outage};

/// How long Gleen takes when it is slow: time for `/takeover`, and within the
/// relay's patience.
const SLOW: Duration = Duration::from_secs(8);

const HELP: &str = "\
You are the customer. Write to the bot, or play the others:

/takeover     Ada, a human, takes the conversation
/agent TEXT   Ada writes
/close        Ada closes the conversation
/reopen       Ada opens it again

/gleen slow   the bot takes 8 s; try /takeover meanwhile
/gleen down   the bot fails
/gleen up     the bot is well again

/email        go on by email
/chat         go on in the chat
/new          begin a new conversation
/help         show this again
/quit         end";

const TRY: &str = "
Try: Where is my order?  then: 12345
     How do I return it?
     I want to talk to a human
";

/// Every email's subject line.
const SUBJECT: &str = "My question";

/// What a line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    Say(&'a str),
    TakeOver,
    Agent(&'a str),
    Close,
    Reopen,
    GleenDown,
    GleenUp,
    GleenSlow,
    Email,
    Chat,
    New,
    Help,
    Quit,
    Unknown(&'a str),
    Nothing,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Self {
        let line = line.trim();
        if !line.starts_with('/') {
            return if line.is_empty() {
                Self::Nothing
            } else {
                Self::Say(line)
            };
        }
        let (command, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match (command, rest.trim()) {
            ("/takeover", "") => Self::TakeOver,
            ("/agent", text) if !text.is_empty() => Self::Agent(text),
            ("/close", "") => Self::Close,
            ("/reopen", "") => Self::Reopen,
            ("/gleen", "down") => Self::GleenDown,
            ("/gleen", "up") => Self::GleenUp,
            ("/gleen", "slow") => Self::GleenSlow,
            ("/email", "") => Self::Email,
            ("/chat", "") => Self::Chat,
            ("/new", "") => Self::New,
            ("/help", _) => Self::Help,
            ("/quit" | "/exit", _) => Self::Quit,
            _ => Self::Unknown(line),
        }
    }
}

/// The conversations, and the one being typed in.
struct Talk<'a> {
    session: &'a mut Session,
    chat: String,
    email: Option<String>,
    by_email: bool,
}

/// Talks until `/quit` or the end of input.
pub(super) async fn talk(session: &mut Session) -> anyhow::Result<()> {
    session.introduce();
    session
        .screen
        .heading("A customer opens the chat on the website");
    session.screen.remark(HELP);
    session.screen.remark(TRY);
    let chat = session.stage.gladly.add_conversation("You");
    let mut talk = Talk {
        session,
        chat,
        email: None,
        by_email: false,
    };
    let mut lines = read_lines();
    loop {
        talk.show_news().await;
        tokio::select! {
            line = lines.recv() => {
                let Some(line) = line else { return Ok(()) };
                talk.session.screen.entered();
                match Line::parse(&line) {
                    Line::Quit => return Ok(()),
                    line => talk.obey(&line),
                }
            }
            () = talk.session.changed() => {}
        }
    }
}

/// A thread of its own: a blocked read must not keep the process from ending.
fn read_lines() -> UnboundedReceiver<String> {
    let (sender, lines) = unbounded_channel();
    thread::spawn(move || {
        // No more lines, or nobody who wants them: both are the end.
        for line in stdin().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

impl Talk<'_> {
    /// The conversation being typed in.
    fn current(&self) -> &str {
        let email = self.email.as_deref().filter(|_| self.by_email);
        email.unwrap_or(&self.chat)
    }

    fn obey(&mut self, line: &Line<'_>) {
        let gladly = self.session.stage.gladly.clone();
        let gleen = self.session.stage.gleen.clone();
        let current = self.current().to_owned();
        match line {
            Line::Say(text) => self.say(text),
            Line::TakeOver => gladly.take_over(&current),
            Line::Agent(text) => {
                gladly.agent_replies(&current, text);
            }
            Line::Close => gladly.close(&current),
            Line::Reopen => gladly.reopen(&current),
            Line::GleenDown => {
                gleen.down(Outage::Status(503));
                self.remark("Gleen answers every question with a 503 now.");
            }
            Line::GleenSlow => {
                gleen.configure(|options| options.think_time = SLOW);
                self.remark("Gleen takes 8 s for an answer now.");
            }
            Line::GleenUp => {
                gleen.up();
                gleen.configure(|options| options.think_time = Duration::ZERO);
                self.remark(
                    "Gleen is well again. After five failures in a row the relay asks nobody \
                     for 30 s, and then tries it with one question.",
                );
            }
            Line::Email => self.switch(true),
            Line::Chat => self.switch(false),
            Line::New => self.begin(),
            Line::Help => self.remark(HELP),
            Line::Unknown(command) => {
                self.remark(&format!("There is no {command}; /help lists the commands."));
            }
            Line::Nothing | Line::Quit => {}
        }
    }

    fn say(&mut self, text: &str) {
        let message = if self.by_email {
            self.session.screen.subject(SUBJECT);
            Message::email(SUBJECT, text)
        } else {
            Message::chat(text)
        };
        let current = self.current().to_owned();
        self.session.write(&current, &message);
    }

    fn switch(&mut self, by_email: bool) {
        self.by_email = by_email;
        if by_email && self.email.is_none() {
            self.begin();
        } else {
            self.remark(if by_email {
                "You write emails now."
            } else {
                "You write in the chat now."
            });
        }
    }

    /// Begins a new conversation on the same channel.
    fn begin(&mut self) {
        let conversation = self.session.stage.gladly.add_conversation("You");
        if self.by_email {
            self.email = Some(conversation);
            self.remark("A new conversation: each line you write is an email.");
        } else {
            self.chat = conversation;
            self.remark("A new conversation in the chat.");
        }
    }

    async fn show_news(&mut self) {
        for ending in self.session.show_news().await {
            match ending {
                Ending::HandedOff => self.remark(
                    "A human has this conversation now, and the bot stays out of it. \
                     /agent TEXT writes as the human, /new begins another conversation.",
                ),
                Ending::Skipped => self.remark("/new begins a conversation with the bot."),
                Ending::Replied | Ending::Dead => {}
            }
        }
        let who = if self.by_email { "you, email" } else { "you" };
        self.session.screen.prompt(who);
    }

    fn remark(&mut self, text: &str) {
        self.session.screen.remark(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_command_or_the_customers_words() {
        assert_eq!(Line::parse(" hello /quit "), Line::Say("hello /quit"));
        assert_eq!(Line::parse("/agent  Hi there"), Line::Agent("Hi there"));
        assert_eq!(Line::parse("/gleen slow"), Line::GleenSlow);
        for wrong in ["/gleen", "/agent", "/close it", "/nonsense"] {
            assert_eq!(Line::parse(wrong), Line::Unknown(wrong));
        }
        assert_eq!(Line::parse("  "), Line::Nothing);
    }
}
