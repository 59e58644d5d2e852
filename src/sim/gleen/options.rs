//! How the simulated Gleen is set up, and where the real one is undocumented,
//! which of the possibilities it follows.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::world::Question;

/// The settings; all can be changed while it runs, but for `listen` and `seed`.
#[derive(Debug, Clone)]
pub struct GleenOptions {
    /// Where to serve; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Seeds the probability of faults.
    pub seed: u64,
    /// The key that callers must bear.
    pub api_key: String,
    /// The answer's field that holds the text.
    pub answer_field: String,
    /// Whether `thread_id` is a number in answers.
    pub thread_id_as_number: bool,
    /// The status for a thread that doesn't exist.
    pub unknown_thread_status: u16,
    /// What is answered when nothing is found.
    pub when_unknown: WhenUnknown,
    /// How long an answer takes.
    pub think_time: Duration,
    /// Answers instead of the built-in knowledge.
    pub responder: Option<Responder>,
}

/// What is answered when nothing is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenUnknown {
    /// An apology, and `"handoff": true`.
    HandOff,
    /// Empty text.
    Empty,
}

/// An answer to one question.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// This text, in the usual shape.
    Text(String),
    /// This text, and `"handoff": true`.
    HandOff(String),
    /// Exactly this JSON; nothing is added.
    Json(Value),
    /// Exactly this body, JSON or not.
    Raw(String),
}

/// A function that answers questions.
#[derive(Clone)]
pub struct Responder(pub Arc<dyn Fn(&Question) -> Answer + Send + Sync>);

impl Responder {
    /// Wraps a function.
    pub fn new(answer: impl Fn(&Question) -> Answer + Send + Sync + 'static) -> Self {
        Self(Arc::new(answer))
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Responder")
    }
}

impl From<&str> for Answer {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Value> for Answer {
    fn from(body: Value) -> Self {
        Self::Json(body)
    }
}

impl Default for GleenOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            seed: 1,
            api_key: "gleen-key".to_owned(),
            answer_field: "response".to_owned(),
            thread_id_as_number: false,
            unknown_thread_status: 404,
            when_unknown: WhenUnknown::HandOff,
            think_time: Duration::ZERO,
            responder: None,
        }
    }
}
