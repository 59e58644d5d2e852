//! What Gleen's answer to a harmless question means.

use super::finding::{Category, Finding};
use super::words::in_plain_words;
use crate::config::GleenConfig;
use crate::gleen::Answer;
use crate::upstream::Seen;

/// How far the looks outside go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// One question to Gleen, which shows the key and where the answer's text stands.
    Everything,
    /// No question: of Gleen only the address is tried.
    NoQuestion,
    /// Nothing but what can be read: at each start of a relay.
    ReadOnly,
}

/// Judges the answer to a greeting.
pub(super) fn judge_answer(answer: &Result<Seen, String>, config: &GleenConfig) -> Finding {
    let about = Category::Gleen;
    let url = &config.url;
    let seen = match answer {
        Ok(seen) => seen,
        Err(what) => return unreachable(what, config),
    };
    match seen.status {
        200..=299 => judge_text(seen, config),
        401 | 403 => Finding::failure(
            about,
            format!("{url} refuses the key ({})", seen.status),
            "set GLEEN_API_KEY (`api_key`) to the bot's key; newer accounts need GLEEN_URL=https://api.alhena.ai",
        ),
        404 => Finding::failure(
            about,
            format!("{url} has no such API (404)"),
            "set GLEEN_URL (`url`) to https://api.gleen.ai or https://api.alhena.ai",
        ),
        429 => Finding::warning(
            about,
            format!("{url} takes no question at present (429)"),
            "try again; if it stays so, ask Gleen for a higher limit",
        ),
        status => Finding::failure(
            about,
            format!("{url} answered a question with status {status}"),
            "ask Gleen; until it works, every customer is handed to a human",
        ),
    }
}

fn judge_text(seen: &Seen, config: &GleenConfig) -> Finding {
    let about = Category::Gleen;
    let (reply, handoff) = (&config.reply_pointer, &config.handoff_pointer);
    let answer = Answer::read(&seen.body, reply.as_deref(), handoff.as_deref());
    if answer.text.is_some() || answer.wants_human {
        return Finding::ok(about, format!("{} takes the key and answers", config.url));
    }
    Finding::warning(
        about,
        format!("{} answers, but no text is found in its answer", config.url),
        "if that is so for every question, name the text's field in GLEEN_REPLY_POINTER (`reply_pointer`)",
    )
}

/// Judges whether the address answers at all.
pub(super) fn judge_reach(answer: &Result<Seen, String>, config: &GleenConfig) -> Finding {
    match answer {
        Ok(_) => Finding::ok(
            Category::Gleen,
            format!("{} answers; its key was not tried", config.url),
        ),
        Err(what) => unreachable(what, config),
    }
}

fn unreachable(what: &str, config: &GleenConfig) -> Finding {
    Finding::failure(
        Category::Gleen,
        format!("{} gives no answer: {}", config.url, in_plain_words(what)),
        "mend it, or set GLEEN_URL (`url`); GLEEN_TIMEOUT is how long is waited",
    )
}
