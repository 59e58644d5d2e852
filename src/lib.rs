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
//! 2. The account's *driver* claims a *turn*: all messages that wait in one
//!    conversation. The conversation is the turn's *lane*; turns in a lane run
//!    one after another.
//! 3. `relay::run` does one action after another and tells the turn what came of
//!    it; [`relay::turn`], pure, says what is next:
//!    - *Gather*: whose is the conversation, and what do the messages say?
//!    - *Ask*: [`relay::policy`] decides; [`gleen`] answers; the policy judges the
//!      answer and [`text`] writes it for the channel.
//!    - *Deliver*: each part is stored as *unsure*, posted, stored as *sent*.
//!    - *Hand off*, whatever fails: a note to the agent and one move to the human
//!      inbox.
//! 4. The *outcome* is stored, and everybody's words are erased. Beside an answer
//!    and a handoff it may be *skipped*: the conversation was not the bot's, or
//!    there was nothing to answer; or a *dead letter*: a day of failures, or a
//!    stored row that can't be read, for an operator to retry or drop.
//!
//! # What holds it together
//!
//! - *Is it still the bot's?* is asked in one place, [`conversation::Facts::whose`].
//!   Only from the same facts comes a [`conversation::Clearance`], and [`gladly`]
//!   writes nothing without one.
//! - What a turn does stands in [`relay::turn`] alone, what the store changes in
//!   [`store::apply`] alone; neither reads a clock or opens a socket, so random
//!   histories are played against both.
//! - A process that is killed anywhere leaves a turn that the next one takes up.
//!   What may have reached Gladly is looked for before it is sent again.
//! - What no webhook brought is found by a sweep, and goes through the same journal.
//! - Relays may share a database: an organization is driven under a lease, without
//!   which no step of a turn is made and none is stored.
//! - One steady clock: [`clock`] says how time is told.
//!
//! # What was
//!
//! With each turn the store keeps its [`trace`]: what happened and when, without
//! anybody's words, in the writes that are made anyway. [`explain`] tells it in plain
//! sentences, [`report`] sums up what the bot does, for a year. Both read the store's
//! [`History`](store::History) beside a relay that may be running, and the admin API
//! answers with the same.
//!
//! # What is deliberately absent
//!
//! No answer from memory: truth is in the store. No retry inside a client: a
//! reply has no idempotency key. No call to Gladly or Gleen inside a database
//! transaction. No rule in SQL. No text in a log, a metric or an error.
//!
//! # In which order to read
//!
//! [`relay`], [`relay::turn`], [`conversation`], [`store`], [`gladly`] and
//! [`gleen`]; the rest as needed.

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
pub mod dead_letter;
pub mod id;
pub mod outcome;
pub mod systemd;
pub mod telemetry;
pub mod trace;
pub mod upstream;

pub mod bench;
pub mod check;
pub mod cli;
pub mod explain;
pub mod report;
pub mod sim;
pub mod webhooks;
