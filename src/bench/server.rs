//! A server under test: this program once more, as a process of its own on
//! loopback, with nothing of the caller's environment.
//!
//! Dropping one kills it by its id and waits until it is gone; should the bench
//! itself be killed, the server ends too ([`confine`](super::confine)).

use std::ffi::OsString;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::{Instant, sleep};

/// How long a start may take.
const START_LIMIT: Duration = Duration::from_mins(1);

/// What to start, and how to see that it serves.
#[derive(Debug)]
pub(super) struct Launch {
    /// This program.
    pub(super) binary: PathBuf,
    /// Its arguments.
    pub(super) arguments: Vec<OsString>,
    /// Where its output goes.
    pub(super) log: PathBuf,
    /// Where it serves; `GET /readyz` is asked.
    pub(super) port: u16,
    /// Where to write the syncs that it makes, if they are to be counted.
    pub(super) trace: Option<PathBuf>,
}

/// A server that runs.
pub(super) struct Server {
    launch: Launch,
    child: Child,
    http: reqwest::Client,
}

/// Ports that are free now. Somebody else could take them before the server
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

impl Server {
    /// Starts it and waits until it is ready.
    pub(super) async fn start(launch: Launch) -> anyhow::Result<Self> {
        let mut server = Self {
            child: spawn(&launch)?,
            // A proxy has no business on loopback.
            http: reqwest::Client::builder().no_proxy().build()?,
            launch,
        };
        server.wait_until_ready().await?;
        Ok(server)
    }

    /// Its process.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and returns when it is gone.
    pub(super) fn kill(&mut self) -> std::io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Starts it again after a [`kill`](Self::kill), on the same port.
    pub(super) async fn start_again(&mut self) -> anyhow::Result<()> {
        self.child = spawn(&self.launch)?;
        self.wait_until_ready().await
    }

    /// Reads one of its pages.
    pub(super) async fn read(&self, port: u16, path: &str) -> anyhow::Result<String> {
        let url = format!("http://127.0.0.1:{port}{path}");
        let answer = self.http.get(url).send().await?.error_for_status()?;
        Ok(answer.text().await?)
    }

    async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        while started.elapsed() < START_LIMIT {
            if let Some(status) = self.child.try_wait()? {
                let said = std::fs::read_to_string(&self.launch.log).unwrap_or_default();
                let last = said.lines().last().unwrap_or_default();
                bail!("the server did not start: {status}; {last}");
            }
            if self.read(self.launch.port, "/readyz").await.is_ok() {
                return Ok(());
            }
            sleep(Duration::from_millis(2)).await;
        }
        bail!("the server was not ready in time")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            tracing::warn!(%error, "the server could not be killed");
        }
    }
}

fn spawn(launch: &Launch) -> anyhow::Result<Child> {
    let mut log = std::fs::OpenOptions::new();
    let log = log.create(true).append(true).open(&launch.log)?;
    command(launch)
        .args(&launch.arguments)
        // A variable wins over the file: the caller's would send the load to a
        // real Gladly, or write it into a real database.
        .env_clear()
        // A terminal's Ctrl-C is for the bench, which then sees to its servers.
        .process_group(0)
        // It ends when this end of the pipe is gone.
        .stdin(Stdio::piped())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("{} could not be started", launch.binary.display()))
}

/// The program itself, or the tracer, which leaves the child's id to it.
fn command(launch: &Launch) -> Command {
    let Some(trace) = &launch.trace else {
        return Command::new(&launch.binary);
    };
    let mut command = Command::new(STRACE);
    command
        .args(["-D", "-f", "--seccomp-bpf", "-s", "0"])
        .args(["-e", "trace=fdatasync,fsync", "-e", "signal=none", "-o"])
        .arg(trace)
        .arg(&launch.binary);
    command
}

const STRACE: &str = "/usr/bin/strace";

/// Whether syncs can be counted here.
pub(super) fn can_trace() -> bool {
    Path::new(STRACE).exists()
}
