//! The real binary as a process of its own, to be killed without warning.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::soon;

/// A relay in a process of its own. Dropping it kills it.
pub struct RelayProcess {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// Where it takes webhooks.
    pub url: String,
}

impl RelayProcess {
    /// Starts `serve` with a configuration file and waits until it serves.
    pub async fn start(config: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_gladly-relay"))
            .arg("serve")
            .arg("--config")
            .arg(config)
            .env_clear()
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let listen = soon(async {
            loop {
                let line = lines.next_line().await.unwrap().expect("the relay serves");
                let line: Value = serde_json::from_str(&line).unwrap();
                if line["message"] == "serving" {
                    return line["listen"].as_str().unwrap().to_owned();
                }
            }
        })
        .await;
        Self {
            child,
            lines,
            url: format!("http://{listen}"),
        }
    }

    /// SIGKILL: no warning, no farewell.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// SIGTERM, and the exit code.
    pub async fn terminate(mut self) -> Option<i32> {
        let id = self.child.id().expect("it runs").to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .await
                .unwrap()
                .success()
        );
        // Read on, or a full pipe would hold it.
        while let Ok(Some(_)) = soon(self.lines.next_line()).await {}
        soon(self.child.wait()).await.unwrap().code()
    }
}
