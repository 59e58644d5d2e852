//! `gladly-relay store backup`: a copy of one moment, while the relay runs, that
//! a restored relay goes on from.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use gladly_relay::sim::{GladlyWorld, Operation};
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::{RelayProcess, Setup, TestRelay, soon};

const NEEDLE: &str = "needle-backed-up";

/// Backs up: the exit code and what was said.
async fn backup(database: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gladly-relay"));
    // No account: whoever backs up needs no secret.
    let output = command
        .args(["store", "backup"])
        .args(arguments)
        .env_clear()
        .env("RELAY_STORE", format!("sqlite://{}", database.display()))
        .kill_on_drop(true)
        .output();
    let output = soon(output).await.unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.code(), said)
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

fn files(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// A relay whose turn has the customer's words and waits for Gleen.
async fn in_the_middle_of_a_turn() -> (TestRelay, RelayProcess, String, gladly_relay::sim::Hold) {
    let mut relay = Setup::default().start_without_relay().await;
    let process = RelayProcess::start(&relay.config_file()).await;
    relay.point_webhook_to(&process.url);
    let held = relay.gleen.hold_next(Operation::SendMessage);
    let conversation = relay.conversation();
    relay.says(&conversation, NEEDLE);
    soon(held.reached()).await;
    (relay, process, conversation, held)
}

/// Puts the copy in the place of a database that is lost, for everybody to read, as `cp`
/// may.
fn restore(relay: &mut TestRelay, folder: &Path, copies: &[PathBuf]) -> PathBuf {
    let database = folder.join("restored.db");
    for copy in copies {
        let keys = copy.to_str().unwrap().ends_with("-keys");
        let place = folder.join(if keys {
            "restored.db-keys"
        } else {
            "restored.db"
        });
        std::fs::copy(copy, &place).unwrap();
        std::fs::set_permissions(&place, Permissions::from_mode(0o644)).unwrap();
    }
    let lost = relay.database().display().to_string();
    relay.toml = relay.toml.replace(&lost, database.to_str().unwrap());
    database
}

/// Gleen is asked no second time for what it has answered; without the words, it is
/// seen to in another way.
async fn goes_on_from_a_copy(arguments: &[&str], with_keys: bool) {
    let (mut relay, process, conversation, held) = in_the_middle_of_a_turn().await;
    let folder = TempDir::new().unwrap();
    let target = folder.path().join("copy.db");

    let arguments = [&[target.to_str().unwrap()], arguments].concat();
    let (code, said) = backup(&relay.database(), &arguments).await;

    assert_eq!(code, Some(0), "{said}");
    let copies: Vec<PathBuf> = said.lines().map(PathBuf::from).collect();
    let names: &[&str] = if with_keys {
        &["copy.db", "copy.db-keys"]
    } else {
        &["copy.db"]
    };
    assert_eq!(files(folder.path()), names);
    assert_eq!(copies.len(), names.len());
    for copy in &copies {
        assert_eq!(mode(copy), 0o600, "{}", copy.display());
        let content = std::fs::read(copy).unwrap();
        let found = content
            .windows(NEEDLE.len())
            .any(|part| part == NEEDLE.as_bytes());
        assert!(!found, "words are in {}", copy.display());
    }
    process.kill().await;
    held.release();
    let place = TempDir::new().unwrap();
    let database = restore(&mut relay, place.path(), &copies);
    let process = RelayProcess::start(&relay.config_file()).await;
    let is_settled = |world: &GladlyWorld| {
        let view = world.conversation(&conversation).unwrap();
        !view.replies().is_empty() || view.inbox_id == "human-inbox"
    };
    soon(relay.gladly.wait_for(is_settled)).await;
    assert_eq!(process.terminate().await, Some(0));
    let once =
        relay.replies(&conversation).len() + usize::from(relay.is_with_humans(&conversation));
    assert_eq!(once, 1);
    for suffix in ["", "-keys"] {
        let mut file = database.clone().into_os_string();
        file.push(suffix);
        assert_eq!(mode(Path::new(&file)), 0o600, "{suffix}");
    }
}

#[tokio::test]
async fn a_restored_relay_goes_on_and_keeps_its_files_to_itself() {
    goes_on_from_a_copy(&[], true).await;
}

#[tokio::test]
async fn a_copy_without_keys_does_as_well() {
    goes_on_from_a_copy(&["--without-keys"], false).await;
}

#[tokio::test]
async fn the_keys_that_go_with_a_copy_open_its_words() {
    let (relay, process, _, held) = in_the_middle_of_a_turn().await;
    let folder = TempDir::new().unwrap();
    let target = folder.path().join("copy.db");
    let (code, said) = backup(&relay.database(), &[target.to_str().unwrap()]).await;
    assert_eq!(code, Some(0), "{said}");
    let keys = std::fs::read(folder.path().join("copy.db-keys")).unwrap();
    let original = relay.database().with_file_name("relay.db-keys");
    // The one key of this hour.
    assert_eq!(keys, std::fs::read(original).unwrap());
    assert_eq!(keys.len(), 128);
    held.release();
    process.terminate().await;

    // Nothing is unfinished any more, so no key is needed.
    let target = folder.path().join("later.db");
    let (code, said) = backup(&relay.database(), &[target.to_str().unwrap()]).await;
    assert_eq!(code, Some(0), "{said}");
    let keys = std::fs::read(folder.path().join("later.db-keys")).unwrap();
    assert_eq!(keys.len(), 64);
}

#[tokio::test]
async fn a_file_that_is_there_is_left_alone() {
    let relay = TestRelay::start().await;
    for taken in ["copy.db", "copy.db-keys"] {
        let folder = TempDir::new().unwrap();
        let target = folder.path().join("copy.db");
        std::fs::write(folder.path().join(taken), "precious").unwrap();

        let (code, said) = backup(&relay.database(), &[target.to_str().unwrap()]).await;

        assert_eq!(code, Some(1), "{said}");
        assert!(
            said.contains(&format!("{taken} cannot be made: it exists already")),
            "{said}"
        );
        assert_eq!(files(folder.path()), [taken]);
        let content = std::fs::read(folder.path().join(taken)).unwrap();
        assert_eq!(content, b"precious");
    }
    relay.finish().await;
}

#[tokio::test]
async fn a_backup_that_fails_leaves_nothing_behind() {
    let folder = TempDir::new().unwrap();
    let target = folder.path().join("copy.db");
    let missing = folder.path().join("none.db");
    let (code, said) = backup(&missing, &[target.to_str().unwrap()]).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("there is no such file"), "{said}");
    assert_eq!(files(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_copy_made_while_webhooks_arrive_is_whole() {
    let relay = TestRelay::start().await;
    let conversations: Vec<String> = (0..30).map(|_| relay.conversation()).collect();
    let folder = TempDir::new().unwrap();
    let target = folder.path().join("copy.db");
    let writing = async {
        for conversation in &conversations {
            relay.says(conversation, "hello");
            tokio::task::yield_now().await;
        }
    };
    let arguments = [target.to_str().unwrap()];
    let database = relay.database();
    let ((), (code, said)) = tokio::join!(writing, backup(&database, &arguments));
    assert_eq!(code, Some(0), "{said}");
    let copy = rusqlite::Connection::open(&target).unwrap();
    let number = |sql: &str| copy.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let whole = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
    assert_eq!(
        copy.query_row("PRAGMA integrity_check", [], whole).unwrap(),
        "ok"
    );
    assert_eq!(number("PRAGMA application_id"), 0x474C_524C);
    // A message and its turn's place in the queue are one write.
    let in_work = "SELECT count(*) FROM conversations c WHERE waiting_since IS NOT NULL OR EXISTS
        (SELECT 1 FROM turns t WHERE t.account = c.account AND t.conversation_id = c.conversation_id)";
    assert_eq!(number("SELECT count(*) FROM items"), number(in_work));
    relay.outcomes(30).await;
    relay.finish().await;
}

#[tokio::test]
async fn a_backup_leaves_another_into_the_same_file_alone() {
    let relay = TestRelay::start().await;
    let folder = TempDir::new().unwrap();
    let target = folder.path().join("copy.db");
    let others = folder.path().join("copy.db.unfinished");
    let other = std::fs::File::create(&others).unwrap();
    std::fs::write(&others, "half of it").unwrap();
    other.lock().unwrap();
    let (code, said) = backup(&relay.database(), &[target.to_str().unwrap()]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("another backup writes it"), "{said}");
    assert_eq!(files(folder.path()), ["copy.db.unfinished"]);
    assert_eq!(std::fs::read(&others).unwrap(), b"half of it");

    // It was killed: what it left is in nobody's way.
    drop(other);
    let (code, said) = backup(&relay.database(), &[target.to_str().unwrap()]).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(files(folder.path()), ["copy.db", "copy.db-keys"]);
    assert_eq!(mode(&target), 0o600);
    relay.finish().await;
}
