//! `gladly-relay demo`: try the relay without Gladly, Gleen or configuration.
//!
//! Both services are simulated on loopback; the relay between them is the real
//! one, with its own sockets, clients and store, set up as an operator would.
//! At a terminal one types as the customer ([`chat`]); anywhere else a story
//! is played whose every step waits for its effect ([`script`]). What is shown
//! is what the simulators saw and what the relay's metrics count.

mod chat;
mod note;
mod outcomes;
mod paint;
mod screen;
mod script;
mod session;
mod stage;
mod trace;

use std::io::{IsTerminal, stdin};
use std::process::ExitCode;

use anyhow::bail;

use super::serve::stop_on_signal;
use session::Session;
use stage::Stage;

/// Runs the chat or the story; a signal ends either.
pub(super) async fn demo() -> anyhow::Result<ExitCode> {
    let stop = stop_on_signal()?;
    let mut session = Session::new(Stage::start().await?)?;
    let played = if stdin().is_terminal() {
        let chat = stop.run_until_cancelled(chat::talk(&mut session));
        chat.await.unwrap_or(Ok(()))
    } else {
        match stop.run_until_cancelled(script::play(&mut session)).await {
            Some(played) => played,
            None => {
                return session
                    .stop()
                    .await
                    .and_then(|()| bail!("stopped by a signal"));
            }
        }
    };
    session.screen.clear_prompt();
    let stopped = session.stop().await;
    played.and(stopped)?;
    Ok(ExitCode::SUCCESS)
}
