//! The note that a handed-over conversation carries: what an agent needs to
//! know, in their words, in Gladly's limited HTML.

use super::cut::cut;
use super::escape::{escape_html, escape_lines, is_visible, tidy};
use super::markdown::{parse, to_plain};
use crate::outcome::HandoffReason;

/// The longest excerpt of the customer's words, in characters.
const LONGEST_QUESTION: usize = 2_000;

/// The longest excerpt of the bot's answer: five full messages would be more,
/// but nobody reads that in a note.
const LONGEST_ANSWER: usize = 20_000;

/// The longest detail, and the longest name of an attachment.
const LONGEST_DETAIL: usize = 500;

/// The most attachments that are named.
const MOST_ATTACHMENTS: usize = 20;

/// What a note is made of. Everything is text, and is escaped here.
pub struct NoteFacts<'a> {
    /// Why the conversation was handed over.
    pub reason: HandoffReason,
    /// What the customer asked last.
    pub customer_asked: Option<&'a str>,
    /// What the bot would have said, if that is why: Gleen's Markdown, which the
    /// agent reads as the plain text a chat would have shown.
    pub bot_answer: Option<&'a str>,
    /// The names of the files the customer sent.
    pub attachments: &'a [String],
    /// One more line for the curious, such as what Gladly objected to.
    pub detail: Option<&'a str>,
    /// When it was handed over, as the agent should read it.
    pub at: &'a str,
}

/// The note's HTML. Long texts are cut and marked so.
pub fn note(facts: &NoteFacts<'_>) -> String {
    let mut html = format!(
        "<p><strong>Handed over by the bot.</strong> {}</p>",
        escape_html(explanation(facts.reason))
    );
    if let Some(asked) = facts.customer_asked {
        push_section(
            &mut html,
            "The customer's last message",
            asked,
            LONGEST_QUESTION,
        );
    }
    if let Some(answer) = facts.bot_answer {
        push_section(
            &mut html,
            "The bot would have answered",
            &to_plain(&parse(&tidy(answer))),
            LONGEST_ANSWER,
        );
    }
    push_section(
        &mut html,
        "Attachments",
        &names(facts.attachments),
        usize::MAX,
    );
    if let Some(detail) = facts.detail {
        push_section(&mut html, "Detail", detail, LONGEST_DETAIL);
    }
    push_section(&mut html, "Handed over at", facts.at, LONGEST_DETAIL);
    html
}

/// Why, in one sentence for someone who has never heard of the relay.
const fn explanation(reason: HandoffReason) -> &'static str {
    match reason {
        HandoffReason::BotError => "The bot could not answer because of a technical problem.",
        HandoffReason::BotTimeout => "The bot took too long to find an answer.",
        HandoffReason::BotNoAnswer => "The bot found no answer to this message.",
        HandoffReason::BotRequested => "The bot asked for a person to take over.",
        HandoffReason::BreakerOpen => "The bot is out of order at the moment, so it was not asked.",
        HandoffReason::CustomerRequested => "The customer asked for a person.",
        HandoffReason::UnsupportedContent => {
            "The message holds no text that the bot can read, such as a voicemail or only files."
        }
        HandoffReason::AutomatedEmail => {
            "The email looks forwarded or written by a machine (an out-of-office reply or a returned email, for example), so the bot did not answer it."
        }
        HandoffReason::ReplyRejected => {
            "The bot had an answer, but it could not be sent to the customer."
        }
        HandoffReason::TurnLimit => "The bot has answered as often in this conversation as it may.",
        HandoffReason::LoopSuspected => {
            "The conversation looks like two machines answering each other, so the bot stopped."
        }
        HandoffReason::Deadline => "The customer had waited too long for the bot.",
    }
}

fn names(attachments: &[String]) -> String {
    let mut names: Vec<&str> = attachments
        .iter()
        .map(|name| cut(name.trim(), LONGEST_DETAIL))
        .filter(|name| is_visible(name))
        .take(MOST_ATTACHMENTS)
        .collect();
    if attachments.len() > MOST_ATTACHMENTS {
        names.push("…");
    }
    names.join(", ")
}

/// A labelled paragraph, unless there is nothing to show in it.
fn push_section(html: &mut String, label: &str, text: &str, longest: usize) {
    let text = tidy(text);
    let text = text.trim();
    if !is_visible(text) {
        return;
    }
    let excerpt = cut(text, longest);
    let mark = if excerpt.len() < text.len() {
        " … <em>(shortened)</em>"
    } else {
        ""
    };
    let gap = if excerpt.contains('\n') || excerpt.len() > 60 {
        "<br>"
    } else {
        " "
    };
    html.push_str("<p><strong>");
    html.push_str(label);
    html.push_str(":</strong>");
    html.push_str(gap);
    html.push_str(&escape_lines(excerpt));
    html.push_str(mark);
    html.push_str("</p>");
}

#[cfg(test)]
mod tests;
