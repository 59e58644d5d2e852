//! The real binary as a process of its own, to be killed without warning.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot, watch};
use tokio::task::JoinHandle;

use super::soon;

/// How far a start is waited for.
#[derive(PartialEq)]
enum Started {
    Serving,
    Checked,
}

fn serve(config: &Path) -> Command {
    let mut serve = Command::new(env!("CARGO_BIN_EXE_gladly-relay"));
    serve.arg("serve").arg("--config").arg(config);
    serve
}

/// A relay in a process of its own. Dropping it kills it.
pub(crate) struct RelayProcess {
    child: Child,
    /// Reads all that it logs: a full pipe would hold it.
    log: JoinHandle<String>,
    /// What it has logged so far.
    logged: watch::Receiver<String>,
    /// Where it takes webhooks.
    pub(crate) url: String,
    /// Where it tells operators.
    pub(crate) admin_url: String,
    /// Whoever holds it keeps the log from being read.
    reading: Arc<Mutex<()>>,
}

impl RelayProcess {
    /// Starts `serve` with a configuration file and waits until it serves and has
    /// looked at its set-up: every further call is for a customer.
    pub(crate) async fn start(config: &Path) -> Self {
        Self::spawn(serve(config), Started::Checked).await
    }

    /// As [`RelayProcess::start`], but while it still looks at its set-up.
    pub(crate) async fn start_unchecked(config: &Path) -> Self {
        Self::spawn(serve(config), Started::Serving).await
    }

    /// As [`RelayProcess::start`], but a file that reaches its size limit is an
    /// error of the write, as a full disk is, and not a signal that kills.
    pub(crate) async fn start_on_a_small_disk(config: &Path) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' XFSZ; exec \"$0\" serve --config \"$1\""]);
        shell.arg(env!("CARGO_BIN_EXE_gladly-relay")).arg(config);
        Self::spawn(shell, Started::Checked).await
    }

    /// As [`RelayProcess::start_unchecked`], with the public socket handed in and held
    /// by somebody else too, as systemd does it.
    pub(crate) async fn start_on(
        config: &Path,
        socket: &TcpListener,
        environment: &[(&str, &str)],
    ) -> Self {
        let mut shell = Command::new("sh");
        shell.args([
            "-c",
            "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" serve --config \"$1\"",
        ]);
        shell.arg(env!("CARGO_BIN_EXE_gladly-relay")).arg(config);
        shell.stdin(OwnedFd::from(socket.try_clone().unwrap()));
        Self::spawn_with(shell, Started::Serving, environment).await
    }

    /// As [`RelayProcess::start`], with every system call written into a file.
    pub(crate) async fn start_traced(strace: &Path, config: &Path, trace: &Path) -> Self {
        let mut traced = Command::new(strace);
        // The tracer beside it, so that it is still this process's child.
        traced.args(["-D", "-f", "-qq", "-o"]).arg(trace);
        traced.arg(env!("CARGO_BIN_EXE_gladly-relay"));
        traced.arg("serve").arg("--config").arg(config);
        Self::spawn(traced, Started::Checked).await
    }

    /// As [`RelayProcess::start_unchecked`], with these variables.
    pub(crate) async fn start_with(config: &Path, environment: &[(&str, &str)]) -> Self {
        Self::spawn_with(serve(config), Started::Serving, environment).await
    }

    async fn spawn(command: Command, until: Started) -> Self {
        Self::spawn_with(command, until, &[]).await
    }

    async fn spawn_with(
        mut command: Command,
        until: Started,
        environment: &[(&str, &str)],
    ) -> Self {
        let mut child = command
            .env_clear()
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (serving, is_serving) = oneshot::channel();
        let reading = Arc::new(Mutex::new(()));
        let may_read = reading.clone();
        let (telling, logged) = watch::channel(String::new());
        let log = tokio::spawn(async move {
            let mut serving = Some(serving);
            let (mut listen, mut checked) = (None, until == Started::Serving);
            while let Ok(Some(line)) = lines.next_line().await {
                drop(may_read.lock().await);
                let fields: Value = serde_json::from_str(&line).expect("each line is JSON");
                match fields["message"].as_str() {
                    Some("serving") => {
                        let address = |name: &str| fields[name].as_str().map(str::to_owned);
                        listen = address("listen").zip(address("admin_listen"));
                    }
                    Some("the set-up was checked") => checked = true,
                    _ => {}
                }
                if checked && let Some(listen) = listen.take() {
                    let serving = serving.take().expect("it serves once");
                    serving.send(listen).unwrap();
                }
                telling.send_modify(|log| {
                    log.push_str(&line);
                    log.push('\n');
                });
            }
            telling.borrow().clone()
        });
        let (listen, admin) = soon(is_serving).await.expect("the relay serves");
        Self {
            child,
            log,
            logged,
            url: format!("http://{listen}"),
            admin_url: format!("http://{admin}"),
            reading,
        }
    }

    /// Nobody reads the log until the answer is dropped.
    pub(crate) async fn stall_log(&self) -> OwnedMutexGuard<()> {
        self.reading.clone().lock_owned().await
    }

    /// Waits until it has logged this.
    pub(crate) async fn logs(&self, text: &str) {
        let mut logged = self.logged.clone();
        let found = soon(logged.wait_for(|log| log.contains(text))).await;
        assert!(found.is_ok(), "it ended and never said {text}");
    }

    /// The process's id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// SIGKILL: no warning, no farewell.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Lets it stand still, or go on.
    pub(crate) async fn signal(&self, signal: &str) {
        let id = self.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().await;
        assert!(sent.unwrap().success());
    }

    /// The exit code, once it has ended by itself or by a signal that was sent.
    pub(crate) async fn wait(mut self) -> Option<i32> {
        soon(self.child.wait()).await.unwrap().code()
    }

    /// SIGTERM, and the exit code.
    pub(crate) async fn terminate(self) -> Option<i32> {
        self.terminate_and_read().await.0
    }

    /// SIGTERM, the exit code, and all that it has logged.
    pub(crate) async fn terminate_and_read(mut self) -> (Option<i32>, String) {
        self.signal("-TERM").await;
        let status = soon(self.child.wait()).await.unwrap();
        (status.code(), soon(self.log).await.unwrap())
    }
}
