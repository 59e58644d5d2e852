//! Through the real pgbouncer in transaction pooling: each message has one outcome, and
//! who can't be woken looks.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::*;
use crate::support::{free_port, program};

/// It refuses to run as root.
const NOBODY: u32 = 65_534;

/// A pooler before a server. Dropping it kills it.
struct Pooler {
    port: u16,
    _folder: TempDir,
    _child: Child,
}

impl Pooler {
    async fn before(server: &OwnPostgres) -> Option<Self> {
        let pgbouncer = program("pgbouncer")?;
        let (folder, port) = (TempDir::new().unwrap(), free_port());
        let (users, config) = (folder.path().join("users"), folder.path().join("config"));
        std::fs::write(&users, "\"relay\" \"a/b@c d\"\n").unwrap();
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\n\
             pool_mode = transaction\ndefault_pool_size = 5\nmax_client_conn = 100\n",
            server.port(),
            users.display()
        );
        std::fs::write(&config, settings).unwrap();
        let mut command = std::process::Command::new(pgbouncer);
        command
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if chown(folder.path(), Some(NOBODY), Some(NOBODY)).is_ok() {
            let readable = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(folder.path(), readable).unwrap();
            command.uid(NOBODY).gid(NOBODY);
        }
        let child = Command::from(command).kill_on_drop(true).spawn().unwrap();
        let listens = async {
            while tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .is_err()
            {}
        };
        soon(listens).await;
        Some(Self {
            port,
            _folder: folder,
            _child: child,
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn relays_behind_a_pooler_answer_everything_once_and_say_that_they_hear_nothing() {
    let Some(server) = server() else { return };
    let Some(pooler) = Pooler::before(server).await else {
        return;
    };
    let mut several = Several::none(server, Setup::default()).await;
    let direct = format!(":{}/", server.port());
    several.address = several
        .address
        .replace(&direct, &format!(":{}/", pooler.port));
    several.add().await;
    several.add().await;
    several.answer_each_of_twelve_once().await;

    // Only the relay that doesn't drive hears of this one: nobody wakes the other.
    let deaf = "notifications don't come through";
    for relay in &several.relays {
        relay.logs(deaf).await;
    }
    let driver = several.take_driver().await;
    for webhook in &several.webhooks {
        several.world.lose_webhook(webhook);
    }
    several.world.point_webhook_to(&several.relays[0].url);
    let unheard = several.world.conversation();
    several.world.says(&unheard, "hello");
    answered(&several.world, std::slice::from_ref(&unheard)).await;
    several.relays.push(driver);
    for relay in several.relays {
        let (code, log) = relay.terminate_and_read().await;
        assert_eq!(code, Some(0));
        assert_eq!(log.matches(deaf).count(), 1, "once: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn relays_without_a_pooler_hear_each_other_and_say_nothing_of_it() {
    let Some(server) = server() else { return };
    let several = Several::two(server).await;
    let conversation = several.world.conversation();
    several.world.says(&conversation, "hello");
    answered(&several.world, std::slice::from_ref(&conversation)).await;
    for relay in several.relays {
        let (_, log) = relay.terminate_and_read().await;
        assert!(!log.contains("don't come through"), "{log}");
    }
}
