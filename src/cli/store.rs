//! `gladly-relay store`: what is done with the database as a whole.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::ConfigFile;
use super::output::say;
use crate::store::{BackupKeys, Sqlite};

/// What to do with the database.
#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Copy it as it is at one moment, while the relay runs
    Backup {
        #[command(flatten)]
        file: ConfigFile,
        /// The copy; its keys go beside it, into the same name and `-keys`
        #[arg(value_name = "FILE")]
        target: PathBuf,
        /// Leave the keys out: nobody can read the words of unfinished turns then
        #[arg(long)]
        without_keys: bool,
    },
}

/// Runs one.
pub(super) async fn run(command: StoreCommand) -> anyhow::Result<ExitCode> {
    let StoreCommand::Backup {
        file,
        target,
        without_keys,
    } = command;
    let keys = if without_keys {
        BackupKeys::LeftOut
    } else {
        BackupKeys::Needed
    };
    let store = file.addresses()?.store;
    let Some(path) = store.path() else {
        anyhow::bail!(
            "{store} is PostgreSQL: back it up with pg_dump, or with what your provider offers"
        );
    };
    let made = Sqlite::backup(path, &target, keys).await?;
    for path in made {
        say(path.display())?;
    }
    Ok(ExitCode::SUCCESS)
}
