//! The words: what customers and agents read, and what the bot is asked.
//!
//! Everything here is a pure function of its arguments (no I/O, no clock, no
//! async) and returns for any input; the property tests hold that. Nothing
//! here logs, and no type here shows a person's words in its `Debug` form.
//!
//! Outward, [`write`](fn@write) turns Gleen's Markdown into the parts of a
//! reply, [`note`](fn@note) explains a handoff to the agent, and
//! [`same_words`] finds both again in a conversation. Inward, [`question`](fn@question)
//! finds what the customer meant; [`asks_for_human`], [`is_automated_email`]
//! and [`locale`] say what kind of message it is.

mod channel;
mod part;
mod write;

mod markdown;
mod split;

mod note;
mod same;

mod automated;
mod email;
mod human;
mod language;
mod question;

mod cut;
mod escape;
mod pattern;

pub use automated::is_automated_email;
pub use channel::Channel;
pub use escape::escape_html;
pub use human::{asks_for_human, default_human_patterns};
pub use language::locale;
pub use note::{NoteFacts, note};
pub use part::{LONGEST_PART, MAX_PARTS, Part, TooLong};
pub use pattern::Patterns;
pub use question::question;
pub use same::{same_note, same_words};
pub use write::{write, write_plain};
