//! A PostgreSQL server of one's own, for tests and benches: of the programs that are
//! installed here, in a folder that goes with it.
//!
//! A shell stands over it and does what it is told on its input. When that ends, be it
//! because this process was killed, the shell stops the server and takes the folder away.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use super::usage;

/// Debian puts the servers' programs here, in a folder for each version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// PostgreSQL refuses to run as root: then it runs as `nobody`.
const NOBODY: u32 = 65_534;
const USER: &str = "relay";
/// Percent-encoded in the address, as an operator's may have to be.
const PASSWORD: &str = "a/b@c d";
const PASSWORD_ENCODED: &str = "a%2Fb%40c%20d";

/// What the shell does. `crash` is a stop without a goodbye: nothing is written back, and
/// the next start has to recover from the log.
const SHELL: &str = r#"
cd "$FOLDER" || exit 1
ready() { for i in $(seq 600); do "$BIN/pg_isready" -q -h "$FOLDER" -p "$PORT" && return; kill -0 $pid || return 1; sleep 0.05; done; return 1; }
begin() { "$BIN/postgres" -D data -p "$PORT" -k "$FOLDER" $OPTIONS >>log 2>&1 & pid=$!; ready; }
end() { kill -s "$1" $pid; wait $pid; }
all() { echo $pid $(cat /proc/$pid/task/$pid/children); }
still() { for one; do while grep -q '^State:.[^TZ]' /proc/$one/status; do sleep 0.01; done; done 2>/dev/null; }
begin || exit 1
echo ok
while read -r what; do
  case "$what" in
    start) begin || exit 1 ;;
    crash) end QUIT ;;
    stop) end INT ;;
    # First the one that would make more of them.
    pause) kill -STOP $pid; still $pid; kill -STOP $(all); still $(all) ;;
    resume) kill -CONT $(all) ;;
  esac
  echo ok
done
kill -CONT $pid; end QUIT
cd / && rm -rf "$FOLDER"
"#;

/// A server that runs.
#[derive(Debug)]
pub struct OwnPostgres {
    shell: Mutex<Shell>,
    folder: PathBuf,
    programs: PathBuf,
    port: u16,
}

#[derive(Debug)]
struct Shell {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl OwnPostgres {
    /// Where the newest server's programs are; none if none is installed.
    pub fn programs() -> Option<PathBuf> {
        let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir(DEBIAN)
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let version = path.file_name()?.to_str()?.parse().ok()?;
                Some((version, path.join("bin")))
            })
            .collect();
        versions.sort();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let in_path = std::env::split_paths(&path);
        let mut folders = in_path.chain(versions.into_iter().rev().map(|(_, folder)| folder));
        let all = ["initdb", "pg_isready", "postgres", "psql"];
        folders.find(|folder| all.iter().all(|name| folder.join(name).is_file()))
    }

    /// Makes a server and starts it with these settings, such as `fsync=off`.
    ///
    /// # Errors
    /// Fails if it can't be made or does not start; its log tells why.
    pub fn start(programs: &Path, settings: &[&str]) -> io::Result<Self> {
        let port = free_port()?;
        let name = format!(
            "gladly-relay-pg-{}-{:08x}",
            std::process::id(),
            fastrand::u32(..)
        );
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder)?;
        std::fs::write(folder.join("password"), PASSWORD)?;
        if is_root() {
            chown(&folder, Some(NOBODY), Some(NOBODY))?;
            chown(folder.join("password"), Some(NOBODY), Some(NOBODY))?;
        }
        make(programs, &folder)?;
        let mut options = vec!["-c listen_addresses=127.0.0.1".to_owned()];
        options.extend(settings.iter().map(|setting| format!("-c {setting}")));
        let mut shell = command(Path::new("/bin/sh"));
        shell.args(["-c", SHELL]);
        shell.env("FOLDER", &folder).env("BIN", programs);
        shell
            .env("PORT", port.to_string())
            .env("OPTIONS", options.join(" "));
        shell
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        // A signal to this process's group, as by Ctrl-C, is not the server's.
        let mut child = shell.process_group(0).spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (input, output) = pipes.ok_or_else(|| io::Error::other("the shell has no pipes"))?;
        let mut shell = Shell {
            child,
            input: Some(input),
            output: BufReader::new(output),
        };
        shell.hear().map_err(|error| {
            let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
            io::Error::other(format!("PostgreSQL did not start: {error}: {log}"))
        })?;
        Ok(Self {
            shell: Mutex::new(shell),
            folder,
            programs: programs.to_owned(),
            port,
        })
    }

    /// The address of one of its databases, as `RELAY_STORE` has it.
    pub fn address(&self, database: &str) -> String {
        self.address_at(self.port, database)
    }

    /// The same through something that listens on another port.
    pub fn address_at(&self, port: u16, database: &str) -> String {
        format!("postgres://{USER}:{PASSWORD_ENCODED}@127.0.0.1:{port}/{database}?sslmode=disable")
    }

    /// Its TCP port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its folder, with `data` and `log` in it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its process, and those that it has for each connection and for itself.
    ///
    /// # Errors
    /// Fails while it doesn't run.
    pub fn processes(&self) -> io::Result<Vec<u32>> {
        let first = std::fs::read_to_string(self.folder.join("data/postmaster.pid"))?;
        let first = first.lines().next().unwrap_or_default().to_owned();
        let children = std::fs::read_to_string(format!("/proc/{first}/task/{first}/children"))?;
        let all = std::iter::once(&*first).chain(children.split_whitespace());
        Ok(all.filter_map(|id| id.parse().ok()).collect())
    }

    /// CPU time of all of it so far, in seconds; none where it can't be told.
    pub(super) fn cpu(&self) -> Option<f64> {
        let all = self.processes().ok()?;
        // Those that have ended are counted with the first, which started them.
        let (first, others) = all.split_first()?;
        let others = others.iter().filter_map(|id| usage::cpu_seconds(*id));
        Some(usage::cpu_seconds_with_ended(*first)? + others.sum::<f64>())
    }

    /// Runs SQL in a database as a person would, and tells what came out, a line a row.
    ///
    /// # Errors
    /// Fails with what `psql` says.
    pub fn sql(&self, database: &str, sql: &str) -> io::Result<String> {
        let output = Command::new(self.programs.join("psql"))
            .env("PGPASSWORD", PASSWORD)
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &self.port.to_string(),
                "-U",
                USER,
                "-d",
                database,
            ])
            .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql])
            .output()?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout)
                .trim_end()
                .to_owned())
        } else {
            Err(io::Error::other(
                String::from_utf8_lossy(&output.stderr).into_owned(),
            ))
        }
    }

    /// Ends it as a crash of its machine would, but for the disk.
    pub fn crash(&self) -> io::Result<()> {
        self.tell("crash")
    }

    /// Stops it as an administrator does: connections are ended.
    pub fn stop(&self) -> io::Result<()> {
        self.tell("stop")
    }

    /// Starts it again and waits until it can be used.
    pub fn start_again(&self) -> io::Result<()> {
        self.tell("start")
    }

    /// Lets all its processes stand still.
    pub fn pause(&self) -> io::Result<()> {
        self.tell("pause")
    }

    /// Lets them go on.
    pub fn resume(&self) -> io::Result<()> {
        self.tell("resume")
    }

    fn tell(&self, what: &str) -> io::Result<()> {
        let mut shell = self.shell.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(input) = &mut shell.input {
            writeln!(input, "{what}")?;
        }
        shell.hear()
    }
}

impl Shell {
    /// Waits for what it was told to be done.
    fn hear(&mut self) -> io::Result<()> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        if line.trim_end() == "ok" {
            Ok(())
        } else {
            Err(io::Error::other("the server is gone"))
        }
    }
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        let shell = self.shell.get_mut().unwrap_or_else(PoisonError::into_inner);
        drop(shell.input.take());
        if let Err(error) = shell.child.wait() {
            tracing::warn!(%error, "the PostgreSQL of a bench could not be stopped");
        }
        // Where only this process's user may change the folder above, the shell has left
        // an empty one.
        let left = std::fs::remove_dir_all(&self.folder);
        if let Err(error) = left
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "the folder of a bench's PostgreSQL could not be removed");
        }
    }
}

/// Makes the server's files.
fn make(programs: &Path, folder: &Path) -> io::Result<()> {
    let mut made = command(&programs.join("initdb"));
    made.current_dir(folder);
    made.args([
        "-D",
        "data",
        "-U",
        USER,
        "-A",
        "scram-sha-256",
        "--pwfile=password",
    ]);
    made.args(["-E", "UTF8", "--locale=C", "--no-sync"]);
    let made = made.output()?;
    if !made.status.success() {
        let said = String::from_utf8_lossy(&made.stderr).into_owned();
        std::fs::remove_dir_all(folder)?;
        return Err(io::Error::other(said));
    }
    Ok(())
}

/// A program that runs as somebody whom PostgreSQL accepts, with nothing of this
/// process's environment that would change what it does.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C");
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// One that the kernel gives to nobody by itself, so that it stays free between two
/// starts of the server.
fn free_port() -> io::Result<u16> {
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let ports = std::iter::repeat_with(|| fastrand::u16(20_000..32_000));
    let none = || io::Error::other("no port is free");
    ports.take(1_000).find(is_free).ok_or_else(none)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
