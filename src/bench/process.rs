//! The relay under test: the real binary as a process of its own, killed
//! without warning and started again on the same file and port.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// How long a start may take.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A relay that runs. Dropping it kills it.
pub(super) struct RelayProcess {
    binary: PathBuf,
    config: PathBuf,
    url: String,
    admin_url: String,
    child: Child,
}

/// Two ports that are free now. Somebody else could take them before the relay
/// does; then its start fails and says so.
pub(super) fn free_ports() -> std::io::Result<[u16; 2]> {
    let listeners = [
        TcpListener::bind("127.0.0.1:0")?,
        TcpListener::bind("127.0.0.1:0")?,
    ];
    Ok([
        listeners[0].local_addr()?.port(),
        listeners[1].local_addr()?.port(),
    ])
}

impl RelayProcess {
    /// Starts the relay and waits until it is ready.
    pub(super) async fn start(
        binary: &Path,
        config: &Path,
        ports: [u16; 2],
    ) -> anyhow::Result<Self> {
        let mut relay = Self {
            binary: binary.to_owned(),
            config: config.to_owned(),
            url: format!("http://127.0.0.1:{}", ports[0]),
            admin_url: format!("http://127.0.0.1:{}", ports[1]),
            child: spawn(binary, config)?,
        };
        relay.wait_until_ready().await?;
        Ok(relay)
    }

    /// SIGKILL, and a new start at once.
    pub(super) async fn kill_and_restart(&mut self) -> anyhow::Result<()> {
        self.child
            .kill()
            .await
            .context("the relay could not be killed")?;
        self.child = spawn(&self.binary, &self.config)?;
        self.wait_until_ready().await
    }

    /// The number of turns that have not ended, from the relay's own gauge.
    pub(super) async fn backlog(&self) -> anyhow::Result<u64> {
        let text = reqwest::get(format!("{}/metrics", self.admin_url))
            .await?
            .text()
            .await?;
        let line = text
            .lines()
            .find(|line| line.starts_with("gladly_relay_backlog_turns{"));
        let count = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
        count.context("the metrics have no backlog")
    }

    /// Ends it.
    pub(super) async fn stop(mut self) {
        // It may have ended by itself; either way it is gone.
        let _: std::io::Result<()> = self.child.kill().await;
    }

    async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        while started.elapsed() < START_LIMIT {
            if let Some(status) = self.child.try_wait()? {
                bail!("the relay did not start: {status}; see its log");
            }
            let answer = reqwest::get(format!("{}/readyz", self.url)).await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!("the relay was not ready in time")
    }
}

fn spawn(binary: &Path, config: &Path) -> anyhow::Result<Child> {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(config.with_extension("log"))?;
    Command::new(binary)
        .args(["serve", "--config"])
        .arg(config)
        // A variable wins over the file: the caller's would send the load to a
        // real Gladly, or write it into a real database.
        .env_clear()
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{} could not be started", binary.display()))
}
