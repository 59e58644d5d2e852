//! What tests share: the relay with its simulators, and a store that tells
//! what happens in it.

mod browser;
mod door;
mod observed;
mod process;
mod program;
mod relay;

use std::future::Future;
use std::time::Duration;

pub(crate) use browser::{Browser, Page};
pub(crate) use door::Door;
pub(crate) use observed::Observed;
pub(crate) use process::RelayProcess;
pub(crate) use program::{free_port, program, succeed};
pub(crate) use relay::{IDENTIFIER, Setup, TestRelay};

/// Says that a test needs a program that is not here, and fails where the
/// environment says that everything is.
#[expect(
    clippy::print_stderr,
    reason = "what a test run leaves out must be seen"
)]
pub(crate) fn skipped(program: &str) {
    assert!(
        std::env::var_os("RELAY_TEST_REQUIRE").is_none(),
        "{program} is required here"
    );
    eprintln!("skipped: no {program}");
}

/// Waits for what must happen; a test that would hang fails instead.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, work)
        .await
        .expect("what the test waits for did not happen")
}

/// Lets this much of Tokio's time pass at once: timeouts, waits for a probe.
/// The relay's calendar time is the business of `TestRelay::clock`.
pub(crate) async fn let_pass(length: Duration) {
    tokio::time::pause();
    tokio::time::advance(length).await;
    tokio::time::resume();
}

/// How many questions were customers', and not the relay's look at its set-up.
pub(crate) fn asked_by_customers(questions: &[gladly_relay::sim::Question]) -> usize {
    let customers = questions
        .iter()
        .filter(|question| question.text != gladly_relay::gleen::GREETING);
    customers.count()
}

/// An answer that a chat takes in two parts.
pub(crate) fn two_parts() -> String {
    let words = "words ".repeat(300);
    let words = words.trim_end();
    format!("Part 1: {words}\n\nPart 2: {words}")
}
