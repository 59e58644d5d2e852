//! `gladly-relay store`: what is done with the database as a whole.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;

use super::ConfigFile;
use super::output::say;
use crate::store::{self, BackupKeys, Copied, CopiedWords, Sqlite, StoreAddress};

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
    /// Copy everything into another, empty database, while no relay runs on either
    Copy {
        #[command(flatten)]
        file: ConfigFile,
        /// Where it is: as in `RELAY_STORE`, or @ and a file that holds that
        #[arg(value_name = "FROM")]
        from: String,
        /// Where it goes: as in `RELAY_STORE`, or @ and a file that holds that
        #[arg(value_name = "TO")]
        to: String,
        /// Leave the words of unfinished turns out
        #[arg(long)]
        without_words: bool,
    },
}

/// Runs one.
pub(super) async fn run(command: StoreCommand) -> anyhow::Result<ExitCode> {
    match command {
        StoreCommand::Backup {
            file,
            target,
            without_keys,
        } => backup(&file, &target, without_keys).await,
        StoreCommand::Copy {
            file,
            from,
            to,
            without_words,
        } => copy(&file, &from, &to, without_words).await,
    }
}

async fn backup(file: &ConfigFile, target: &Path, without_keys: bool) -> anyhow::Result<ExitCode> {
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
    let made = Sqlite::backup(path, target, keys).await?;
    for path in made {
        say(path.display())?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn copy(
    file: &ConfigFile,
    from: &str,
    to: &str,
    without_words: bool,
) -> anyhow::Result<ExitCode> {
    let words = if without_words {
        CopiedWords::LeftOut
    } else {
        CopiedWords::Kept
    };
    let (from, to) = (address(from)?, address(to)?);
    let copied = store::copy(&from, &to, file.key()?, words).await?;
    for Copied { table, rows } in copied {
        say(format_args!("{table:13} {rows:>12}"))?;
    }
    say(format_args!(
        "copied from {from} to {to}; both have these counts"
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// An address, or that in a file: what stands on a command line can be seen by others.
fn address(text: &str) -> anyhow::Result<StoreAddress> {
    let read;
    let text = match text.strip_prefix('@') {
        None => text,
        Some(path) => {
            read = std::fs::read_to_string(path).with_context(|| path.to_owned())?;
            read.trim()
        }
    };
    StoreAddress::parse(text).context(
        "an address was not understood; write sqlite:// and the path of a file, or postgres://user:password@host/database with the password percent-encoded, or @ and a file that holds that",
    )
}
