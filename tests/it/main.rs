//! The tests of the whole: the real relay over real sockets against the
//! simulators. One binary, one file per promise.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed setup fails the test"
)]

mod support;

mod answer;
mod anywhere;
mod arrivals;
mod asked_again;
mod backup;
mod bench;
mod breaker;
mod check;
mod cli;
mod clocks;
mod connections;
mod damage;
mod dead;
mod decisions;
mod demo;
mod deploy;
mod flood;
mod fuzz;
mod handoff;
mod health;
mod history;
mod language;
mod merges;
mod note;
mod operators;
#[cfg(feature = "otlp")]
mod otlp;
mod pace;
mod privacy;
mod readme;
mod refused;
mod restart;
mod soak;
mod somebody;
mod store_failures;
mod store_gone;
mod strangers;
mod stuck;
mod sweep;
mod thread;
mod too_old;
mod uncertain;
mod webhook;
mod webhooks;

mod several;
mod sim_control;
mod sim_faults;
mod sim_gladly;
mod sim_gleen;
mod sim_support;
mod sim_webhooks;
