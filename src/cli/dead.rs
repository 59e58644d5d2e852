//! `gladly-relay dead`: what the relay could not finish.
//!
//! Works on the store beside a running relay, which finds what waits again
//! within seconds.

use std::process::ExitCode;

use clap::Subcommand;

use super::ConfigFile;
use super::output::say;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::store::{DeadLetterId, Operations, RetryRequest, Sqlite};

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub(super) enum DeadCommand {
    /// List them, oldest first
    List {
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Let the messages of dead turns wait for an answer again
    Retry {
        #[command(flatten)]
        file: ConfigFile,
        /// As `dead list` shows them
        #[arg(required = true)]
        ids: Vec<i64>,
    },
    /// Forget them
    Drop {
        #[command(flatten)]
        file: ConfigFile,
        /// As `dead list` shows them
        #[arg(required = true)]
        ids: Vec<i64>,
    },
}

/// Runs one. The exit code is 1 if an id could not be settled.
pub(super) async fn run(command: DeadCommand) -> anyhow::Result<ExitCode> {
    match command {
        DeadCommand::List { file } => list(&open(&file.load()?).await?).await,
        DeadCommand::Retry { file, ids } => {
            let store = open(&file.load()?).await?;
            settle(
                &ids,
                "waits again",
                "not a dead turn's id; only `dead drop` settles a webhook",
                async |id| {
                    let request = RetryRequest {
                        id,
                        now: SystemClock::begin().now(),
                    };
                    store.retry_dead_letter(request).await
                },
            )
            .await
        }
        DeadCommand::Drop { file, ids } => {
            let store = open(&file.load()?).await?;
            settle(&ids, "dropped", "no such id", async |id| {
                store.drop_dead_letter(id).await
            })
            .await
        }
    }
}

async fn open(config: &Config) -> anyhow::Result<Sqlite> {
    Ok(Sqlite::open_beside(&config.store).await?)
}

async fn list(store: &Sqlite) -> anyhow::Result<ExitCode> {
    let letters = store.dead_letters().await?;
    if letters.is_empty() {
        say("no dead letters")?;
    }
    for letter in letters {
        let kind = letter.event_type.unwrap_or_else(|| "turn".to_owned());
        let conversation = letter
            .conversation_id
            .map_or_else(|| "-".to_owned(), |id| id.to_string());
        let at = letter.created_at.strftime("%Y-%m-%dT%H:%M:%SZ");
        say(format_args!(
            "{}\t{at}\t{}\t{kind}\t{conversation}\t{}",
            letter.id.0, letter.account, letter.error
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn settle(
    ids: &[i64],
    done: &str,
    otherwise: &str,
    settle: impl AsyncFn(DeadLetterId) -> Result<bool, crate::store::StoreError>,
) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for id in ids {
        if settle(DeadLetterId(*id)).await? {
            say(format_args!("{id}\t{done}"))?;
        } else {
            say(format_args!("{id}\t{otherwise}"))?;
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}
