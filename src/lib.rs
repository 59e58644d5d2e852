//! A webhook relay between Gladly, where a company's customers write, and
//! Gleen, the bot that answers them.
//!
//! The promise: **every customer message that reaches the AI inbox gets the
//! bot's answer or a human, exactly one of them, within its deadline, whatever
//! fails, and the bot never talks over a human.**
//!
//! # One message, end to end
//!
//! 1. Gladly posts a webhook. [`http`] finds the [`account`] by
//!    `X-Account-Identifier`, [`relay`] journals the event in the [`store`],
//!    and only then does Gladly get its 200.
//! 2. The account's dispatcher claims a *turn*: all messages that wait in one
//!    conversation. The conversation is the turn's *lane*; the store lets no
//!    second turn into it.
//! 3. *Gather*: [`gladly`] tells who holds the conversation and what the
//!    messages say.
//! 4. *Ask*: [`relay::policy`] decides; [`gleen`] answers; the policy judges
//!    the answer and [`text`] writes it for the channel.
//! 5. *Deliver*: each part is stored as *sending*, posted, stored as *sent*.
//! 6. Whatever fails becomes a *handoff*: a note to the agent and one move to
//!    the human inbox.
//! 7. The *outcome* is stored, and everybody's words are erased.
//!
//! Each step is stored before the next, so a process that is killed anywhere
//! leaves a turn that the next process takes up. What may or may not have
//! reached Gladly is looked for in the conversation before it is sent again.
//!
//! # What is deliberately absent
//!
//! No answer from memory: truth is in the store. No retry inside a client: a
//! reply has no idempotency key. No call to Gladly or Gleen inside a database
//! transaction. No text in a log, a metric or an error.
//!
//! # Modules, in reading order

pub mod config;

pub mod app;
pub mod http;

pub mod account;
pub mod relay;
pub mod store;

pub mod gladly;
pub mod gleen;
pub mod text;

pub mod clock;
pub mod conversation;
pub mod id;
pub mod outcome;
pub mod telemetry;
pub mod upstream;

pub mod bench;
pub mod cli;
pub mod sim;
