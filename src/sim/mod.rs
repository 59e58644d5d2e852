//! Simulated Gladly and Gleen on real sockets: for `demo`, `simulate`, tests
//! and benches.
//!
//! [`Gladly`] and [`Gleen`] are handles on a running simulator each. Both keep
//! all they know in one world behind a lock, and every change of it wakes
//! whoever waits ([`Gladly::wait_until`]), so nothing that uses them sleeps.
//! Each call passes a front that records it and lets a [`Fault`] spoil it, with
//! or without its effect: what the relay must survive can be made to happen at
//! an exact moment.
//!
//! Nothing here is shared with the relay's own clients.

mod controls;
mod fault;
mod front;
mod hold;
mod operation;
mod sequence;
mod server;
mod watched;

mod gladly;
mod gleen;
mod standalone;

pub use fault::{Fault, Outage, Reply, What, When};
pub use front::RecordedRequest;
pub use gladly::{
    AgentNull, ApiInitiator, Channel, Chaos, ConversationStatus, ConversationView, Delivery,
    DeliveryOptions, Gladly, GladlyOptions, GladlyWorld, ItemView, Latency, Limiter, Message,
    MessageEvents, Role, UnknownEvents, WebhookSpec,
};
#[cfg(test)]
pub(crate) use gladly::{Pace as ServersPace, Rules};
pub use gleen::{
    Answer, Exchange, Gleen, GleenOptions, GleenWorld, Question, Responder, WhenUnknown,
};
pub use hold::{Gate, Hold};
pub use operation::Operation;
pub use standalone::{Standalone, StandaloneOptions, serve_standalone};
