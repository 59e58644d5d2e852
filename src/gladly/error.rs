//! What went wrong with a call to Gladly, sorted by what to do next.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, LOCATION};
use serde_json::Value;

use crate::id::ConversationId;
use crate::upstream::{Cut, Effect, retry_after};

/// How long to wait after a call that timed out.
const AFTER_TIMEOUT: Duration = Duration::from_secs(10);

/// A call to Gladly that did not do what it was for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GladlyError {
    /// Gladly is out of reach, busy or broken: try again later.
    #[error("{operation}: {what}; trying again later")]
    RetryLater {
        /// The call.
        operation: &'static str,
        /// What happened.
        what: String,
        /// How long Gladly asked to wait.
        after: Option<Duration>,
        /// Whether the call may have had its effect all the same.
        effect: Effect,
    },
    /// The API user's credentials were refused (401), or its rights even to ask
    /// whose organization this is (403).
    #[error(
        "{operation}: Gladly refuses the API user; check GLADLY_USERNAME, GLADLY_API_TOKEN and its roles"
    )]
    Unauthorised {
        /// The call.
        operation: &'static str,
        /// When the next call may try whether they are accepted again.
        after: Duration,
    },
    /// The conversation was merged into this one (301).
    #[error("{operation}: merged into another conversation")]
    Moved {
        /// The call.
        operation: &'static str,
        /// The conversation that is left.
        to: ConversationId,
    },
    /// The clearance had grown old, so the call was not made.
    #[error("{operation}: not made, because what is known of the conversation had grown old")]
    Stale {
        /// The call.
        operation: &'static str,
    },
    /// There is no such thing (404).
    #[error("{operation}: not found")]
    NotFound {
        /// The call.
        operation: &'static str,
    },
    /// Gladly will not do it, however often it is asked (400 and its like, 403).
    #[error("{operation}: refused ({refusal}): {codes}")]
    Refused {
        /// The call.
        operation: &'static str,
        /// Why, as far as it is known.
        refusal: Refusal,
        /// Status and Gladly's codes. Its `detail` is left out: it may repeat
        /// what was sent.
        codes: String,
    },
}

/// Why Gladly refused, read from the details of its 400 (Gladly API
/// description, "Reply to conversation item", "Update conversation").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The conversation is closed.
    Closed,
    /// The agent, or its absence, was not accepted.
    Agent,
    /// Anything else.
    Other,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Closed => "conversation closed",
            Self::Agent => "agent not accepted",
            Self::Other => "request not accepted",
        })
    }
}

impl GladlyError {
    /// A call that got no answer. After a timeout Gladly may still be at it, so
    /// looking for its effect at once could miss it.
    pub(super) fn cut(operation: &'static str, cut: Cut, what: String) -> Self {
        Self::RetryLater {
            operation,
            what,
            after: (cut == Cut::Timeout).then_some(AFTER_TIMEOUT),
            effect: cut.effect(),
        }
    }

    /// An answer that says yes but can't be read.
    pub(super) fn garbage(operation: &'static str) -> Self {
        let what = "the answer is not what the API describes".to_owned();
        Self::RetryLater {
            operation,
            what,
            after: None,
            effect: Effect::Unknown,
        }
    }

    /// Sorts an answer that is not a 2xx.
    pub(super) fn of_answer(
        operation: &'static str,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Self {
        let later = |effect| Self::RetryLater {
            operation,
            what: format!("status {}", status.as_u16()),
            after: retry_after(headers),
            effect,
        };
        match status.as_u16() {
            // Nothing was done: the limiter, or the gate before it, answered.
            429 => later(Effect::None),
            301 => survivor(headers).map_or(Self::NotFound { operation }, |to| Self::Moved {
                operation,
                to,
            }),
            410 => Self::NotFound { operation },
            // Gladly's own 404 is JSON; any other page is something in between, as
            // is any other redirect.
            404 if body.is_empty() || is_json(body) => Self::NotFound { operation },
            300..=399 | 404 | 408 | 425 | 500..=599 => later(Effect::Unknown),
            _ => Self::refused(operation, status, body),
        }
    }

    fn refused(operation: &'static str, status: StatusCode, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let errors = body
            .get("errors")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let refusal = errors
            .iter()
            .map(refusal)
            .find(|refusal| *refusal != Refusal::Other);
        let named = errors
            .iter()
            .take(5)
            .map(|error| [word(error, "attr"), word(error, "code")].join(" "));
        let status = format!("status {}", status.as_u16());
        let codes: Vec<String> = std::iter::once(status).chain(named).collect();
        Self::Refused {
            operation,
            refusal: refusal.unwrap_or(Refusal::Other),
            codes: codes.join(", "),
        }
    }
}

/// The conversation at the end of `Location: /api/v1/conversations/{id}`.
fn survivor(headers: &HeaderMap) -> Option<ConversationId> {
    let location = headers.get(LOCATION)?.to_str().ok()?;
    let path = location.split(['?', '#']).next()?;
    let mut segments = path.trim_end_matches('/').rsplit('/');
    let id = ConversationId::parse(segments.next()?).ok()?;
    (segments.next() == Some("conversations")).then_some(id)
}

fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok()
}

fn refusal(error: &Value) -> Refusal {
    let lower = |name| {
        error
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_lowercase()
    };
    let (attribute, detail) = (lower("attr"), lower("detail"));
    if detail.contains("closed conversation") {
        Refusal::Closed
    } else if attribute.contains("agent") || detail.contains("agent") {
        Refusal::Agent
    } else {
        Refusal::Other
    }
}

/// A field of Gladly's error if it is one word, which `attr` and `code` are.
fn word<'a>(error: &'a Value, name: &str) -> &'a str {
    let text = error.get(name).and_then(Value::as_str).unwrap_or("-");
    let is_word = text.len() <= 64
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-[]".contains(&b));
    if is_word { text } else { "-" }
}
