//! Logging, metrics and traces: what the relay tells about itself.
//!
//! None of them ever holds a secret, a customer's words or the bot's: what is
//! logged is named field by field, and metric labels are names and words from
//! fixed lists.

mod log;
mod metrics;
mod seldom;
mod traces;

pub use log::{Logging, start_logging};
pub use metrics::{Metrics, Upstream, WebhookResult};
pub use seldom::Seldom;
pub use traces::{Kind, Span, SpanContext, Traces};
