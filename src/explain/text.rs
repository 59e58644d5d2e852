//! An explanation on a terminal.

use std::fmt::{self, Write as _};
use std::time::Duration;

use jiff::Timestamp;

use super::{Explanation, ToldFacts};
use crate::id::{AccountName, ConversationId};

/// A time as people read it. All are UTC.
pub fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A length of time as people read it.
pub fn duration(length: Duration) -> String {
    let (seconds, ms) = (length.as_secs(), length.as_millis());
    match seconds {
        0 => format!("{ms} ms"),
        1..=59 => format!("{:.1} s", length.as_secs_f64()),
        60..=3_599 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..=172_799 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Without what does strange things to a terminal or a reader: control characters,
/// and those that turn the direction of what follows.
pub fn safe(text: &str) -> String {
    let is_strange = |c: char| {
        let turns = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        c.is_control() || turns
    };
    let shown = text.chars();
    shown
        .map(|c| if is_strange(c) { '\u{fffd}' } else { c })
        .collect()
}

/// What to say of a conversation of which nothing is remembered, and what that
/// may come from.
pub fn nothing(id: &ConversationId, account: Option<&AccountName>) -> String {
    let whose = account.map_or(String::new(), |account| format!(" of account {account}"));
    let whose = safe(&whose);
    format!(
        "Nothing is remembered of conversation {id}{whose}.\n\
         That may be because\n\
         - Gladly has told the relay nothing of it: `gladly-relay webhooks list` shows whether the webhook is on, `gladly-relay check` what is wrong;\n\
         - it was longer ago than ids are kept (RELAY_RETENTION, 7 days unless set);\n\
         - the id is that of something else, as of an item or a customer; it is the last part of the conversation's address in Gladly;\n\
         - it is another account's, or this is not the store of the relay that runs (RELAY_STORE)."
    )
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write_lines(&mut text)?;
        for line in text.lines() {
            writeln!(f, "{}", safe(line))?;
        }
        Ok(())
    }
}

impl Explanation {
    fn write_lines(&self, text: &mut String) -> fmt::Result {
        writeln!(
            text,
            "Conversation {} of account {}",
            self.conversation_id, self.account
        )?;
        writeln!(text, "{}", self.facts)?;
        writeln!(text)?;
        for entry in &self.timeline {
            let at = entry.at.strftime("%Y-%m-%d %H:%M:%S%.3fZ");
            let turn = entry.turn.map_or(String::new(), |id| format!("turn {id}"));
            writeln!(text, "{at}  {turn:<9} {}", entry.text)?;
        }
        writeln!(text)?;
        writeln!(text, "{}", self.summary)
    }
}

impl fmt::Display for ToldFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let as_of =
            |at: Option<Timestamp>| at.map_or(String::new(), |at| format!(" (as of {})", time(at)));
        match self.status {
            Some(status) => write!(f, "{status}{}", as_of(self.status_at))?,
            None => f.write_str("nobody told whether it is open")?,
        }
        if let (Some(inbox_id), Some(agent_id)) = (&self.inbox_id, &self.agent_id) {
            let as_of = as_of(self.holder_at);
            write!(f, "; inbox {inbox_id}, agent {agent_id}{as_of}")?;
        } else {
            f.write_str("; nobody told who has it")?;
        }
        if let Some(into) = &self.merged_into {
            write!(f, "; merged into {into}")?;
        }
        for from in &self.merged_from {
            write!(f, "; {from} was merged into it")?;
        }
        Ok(())
    }
}
