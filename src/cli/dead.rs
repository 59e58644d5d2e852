//! `gladly-relay dead`: what the relay could not finish.
//!
//! Works on the store beside a running relay, which finds what waits again
//! within seconds.

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::ConfigFile;
use super::output::say;
use crate::clock::{Clock, SystemClock};
use crate::store::{self, Database, DeadLetter, DeadLetterId, RetryRequest, StoreError};

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub(super) enum DeadCommand {
    /// List them, oldest first
    List {
        #[command(flatten)]
        file: ConfigFile,
        /// Print one JSON array instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Show one whole: what happened, and what to do
    Show {
        #[command(flatten)]
        file: ConfigFile,
        /// As `dead list` shows it
        id: i64,
        /// Print one JSON object instead of lines
        #[arg(long)]
        json: bool,
    },
    /// Let the messages of dead turns wait for an answer again
    Retry(Which),
    /// Forget them
    Drop(Which),
}

/// Some of them, or all.
#[derive(Debug, Args)]
pub(super) struct Which {
    #[command(flatten)]
    file: ConfigFile,
    /// As `dead list` shows them
    #[arg(required_unless_present = "all")]
    ids: Vec<i64>,
    /// All that this can be done with
    #[arg(long, conflicts_with = "ids")]
    all: bool,
}

/// Runs one. The exit code is 1 if an id could not be settled or is not there.
pub(super) async fn run(command: DeadCommand) -> anyhow::Result<ExitCode> {
    match command {
        DeadCommand::List { file, json } => list(&*open(&file).await?, json).await,
        DeadCommand::Show { file, id, json } => show(&*open(&file).await?, id, json).await,
        DeadCommand::Retry(which) => {
            let store = open(&which.file).await?;
            let ids = which.ids(&*store, DeadLetter::can_be_retried).await?;
            let otherwise = "not a dead turn's id, or its conversation has an unfinished turn; only `dead drop` settles a webhook";
            settle(&ids, "waits again", otherwise, async |id| {
                let request = RetryRequest {
                    id,
                    now: SystemClock::begin().now(),
                };
                store.retry_dead_letter(request).await
            })
            .await
        }
        DeadCommand::Drop(which) => {
            let store = open(&which.file).await?;
            let ids = which.ids(&*store, |_| true).await?;
            settle(&ids, "dropped", "no such id", async |id| {
                store.drop_dead_letter(id).await
            })
            .await
        }
    }
}

impl Which {
    async fn ids(
        &self,
        store: &dyn Database,
        fits: impl Fn(&DeadLetter) -> bool,
    ) -> Result<Vec<i64>, StoreError> {
        if !self.all {
            return Ok(self.ids.clone());
        }
        let letters = store.dead_letters().await?;
        let ids = letters.iter().filter(|letter| fits(letter));
        Ok(ids.map(|letter| letter.id.0).collect())
    }
}

/// Beside a relay or without one; no account's settings are needed.
async fn open(file: &ConfigFile) -> anyhow::Result<Arc<dyn Database>> {
    Ok(store::open_beside(&file.addresses()?.store).await?)
}

async fn list(store: &dyn Database, as_json: bool) -> anyhow::Result<ExitCode> {
    let letters = store.dead_letters().await?;
    if as_json {
        let shown: Vec<Value> = letters.iter().map(DeadLetter::to_json).collect();
        say(format_args!("{:#}", Value::Array(shown)))?;
    } else if letters.is_empty() {
        say("no dead letters")?;
    } else {
        say("id\ttime\taccount\tkind\tconversation\twhat happened\twhat to do")?;
        for letter in &letters {
            let cells = [
                letter.id.0.to_string(),
                letter.time(),
                letter.account.to_string(),
                letter.kind().to_owned(),
                conversation(letter),
                letter.error.clone(),
                letter.what_to_do().to_owned(),
            ];
            say(cells.join("\t"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(store: &dyn Database, id: i64, as_json: bool) -> anyhow::Result<ExitCode> {
    let letters = store.named_letters(&[DeadLetterId(id)]).await?;
    let Some(letter) = letters.first() else {
        anyhow::bail!("there is no dead letter {id}; see `gladly-relay dead list`");
    };
    if as_json {
        say(format_args!("{:#}", letter.to_json()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let lines = [
        ("id", id.to_string()),
        ("time", letter.time()),
        ("account", letter.account.to_string()),
        ("kind", letter.kind().to_owned()),
        ("conversation", conversation(letter)),
        ("what happened", letter.error.clone()),
        ("what to do", letter.what_to_do().to_owned()),
    ];
    for (name, value) in lines {
        say(format_args!("{:<15}{value}", format!("{name}:")))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn conversation(letter: &DeadLetter) -> String {
    let id = letter.conversation_id.as_ref();
    id.map_or_else(|| "-".to_owned(), ToString::to_string)
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
