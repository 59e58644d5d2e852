//! Gladly: what its webhooks say, what its items hold, and the calls the
//! relay makes to its REST API, at the pace the organization allows.

mod client;
mod error;
mod event;
mod lockout;
mod model;
mod pace;
mod registration;
#[cfg(test)]
mod tests;

pub use client::{Client, Deed, Listed, NoAnswer, ReplyContent};
pub use error::{GladlyError, Refusal};
pub use event::{Events, Malformed, Webhook, WebhookContent, parse_events, parse_webhook};
pub use model::{Conversation, Initiator, Item, ItemContent};
pub use pace::{
    Admission, Ask, Effort, Engaged, Key, Member, Pace, Permit, Permits, Precedence, Queue, Slot,
    Window,
};
pub use registration::{MESSAGE_EVENTS, OTHER_EVENTS, Registration};
