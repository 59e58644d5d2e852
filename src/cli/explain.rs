//! `gladly-relay explain`: why did this customer get no answer?
//!
//! Works on the store beside a running relay, and needs nothing but its address.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::ConfigFile;
use super::output::say;
use crate::clock::{Clock, SystemClock};
use crate::explain::{explain, nothing, safe};
use crate::id::{AccountName, ConversationId};
use crate::store;

/// What to explain.
#[derive(Debug, Args)]
pub(super) struct ExplainArguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Its id: the last part of its address in Gladly
    conversation: String,
    /// Of this account alone
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl ExplainArguments {
    /// Tells it. The exit code is 1 if nothing is remembered.
    pub(super) async fn run(&self) -> anyhow::Result<ExitCode> {
        let id = ConversationId::parse(self.conversation.trim())
            .context("that is no conversation's id")?;
        let account = self.account.as_deref().map(AccountName::new);
        let store = store::open_beside(&self.file.addresses()?.store).await?;
        let found = store.remembered(&id, account.as_ref()).await?;
        let now = SystemClock::begin().now().at;
        let told: Vec<_> = found.iter().map(|one| explain(one, now)).collect();
        if told.is_empty() {
            let nothing = nothing(&id, account.as_ref());
            anyhow::ensure!(!self.json, nothing);
            say(nothing)?;
            return Ok(ExitCode::FAILURE);
        }
        if self.json {
            let [one] = &told[..] else {
                let accounts: Vec<&str> = found.iter().map(|one| one.account.as_str()).collect();
                let accounts = safe(&accounts.join(", "));
                anyhow::bail!("several accounts have it: {accounts}; name one with --account");
            };
            say(format_args!("{:#}", one.to_json()))?;
        } else {
            let told: Vec<String> = told.iter().map(ToString::to_string).collect();
            say(told.join("\n").trim_end())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
