//! The store's files are deleted, replaced or cut short while the relay runs:
//! Gladly is told to come again, the log says why, and once the file is back
//! everything goes on.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use gladly_relay::sim::Operation;
use serde_json::json;

use crate::support::{IDENTIFIER, RelayProcess, Setup, soon};

#[derive(Debug, Clone, Copy)]
enum Loss {
    Deleted,
    Replaced,
    CutShort,
    Emptied,
}

/// What was done to a file, and how it is put back.
struct Lost {
    file: PathBuf,
    aside: PathBuf,
    was: Vec<u8>,
}

impl Lost {
    fn new(file: &Path, loss: Loss) -> Self {
        let (file, aside) = (file.to_owned(), file.with_extension("aside"));
        let was = fs::read(&file).unwrap();
        let cut_to = |length| {
            let open = fs::File::options().write(true).open(&file).unwrap();
            open.set_len(length).unwrap();
        };
        match loss {
            Loss::Deleted => fs::rename(&file, &aside).unwrap(),
            Loss::Replaced => {
                fs::rename(&file, &aside).unwrap();
                fs::write(&file, &was).unwrap();
            }
            Loss::CutShort => cut_to(4096),
            Loss::Emptied => cut_to(0),
        }
        Self { file, aside, was }
    }

    fn put_back(self) {
        if self.aside.exists() {
            fs::rename(&self.aside, &self.file).unwrap();
        } else {
            let mut file = fs::File::options().write(true).open(&self.file).unwrap();
            file.write_all(&self.was).unwrap();
        }
    }
}

fn event(number: usize) -> String {
    json!({"id": format!("event-{number}"), "type": "CONVERSATION/CLOSED",
        "content": {"conversationId": format!("c{number}")}})
    .to_string()
}

async fn post(url: &str, number: usize) -> (u16, String) {
    let request = reqwest::Client::new()
        .post(format!("{url}/webhooks/gladly"))
        .header("X-Account-Identifier", IDENTIFIER);
    let answer = soon(request.body(event(number)).send()).await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.text().await.unwrap())
}

async fn get(url: &str, path: &str) -> u16 {
    let answer = soon(reqwest::get(format!("{url}{path}"))).await.unwrap();
    answer.status().as_u16()
}

async fn lose_and_put_back(suffix: &str, loss: Loss) {
    let case = format!("relay.db{suffix} {loss:?}");
    let mut relay = Setup::default().start_without_relay().await;
    let process = RelayProcess::start(&relay.config_file()).await;
    let url = process.url.clone();
    relay.point_webhook_to(&url);
    let conversation = relay.conversation();
    let held = relay.gleen.hold_next(Operation::SendMessage);
    relay.says(&conversation, "hello");
    soon(held.reached()).await;
    relay.all_told().await;
    assert_eq!(post(&url, 1).await.0, 200, "{case}");

    let mut file = relay.database().into_os_string();
    file.push(suffix);
    let missing = Lost::new(Path::new(&file), loss);
    held.release();
    assert_eq!(post(&url, 2).await.0, 503, "{case}");
    assert_eq!(get(&url, "/readyz").await, 503, "{case}");
    assert_eq!(get(&url, "/healthz").await, 200, "{case}");

    missing.put_back();
    assert_eq!(get(&url, "/readyz").await, 200, "{case}");
    let duplicate = r#"{"status":"duplicate"}"#.to_owned();
    assert_eq!(post(&url, 1).await, (200, duplicate), "{case}");
    assert_eq!(post(&url, 2).await.0, 200, "{case}");
    let replied = |world: &gladly_relay::sim::GladlyWorld| {
        let view = world.conversation(&conversation).unwrap();
        !view.replies().is_empty()
    };
    soon(relay.gladly.wait_for(replied)).await;
    let (code, log) = process.terminate_and_read().await;
    assert_eq!(code, Some(0), "{case}");
    assert_eq!(relay.replies(&conversation).len(), 1, "{case}");
    let told = log.lines().find(|line| line.contains("the store is gone"));
    let told = told.unwrap_or_else(|| panic!("{case}: nothing in the log"));
    assert!(told.contains("ERROR"), "{case}: {told}");
    assert!(
        told.contains("deleted, replaced, cut short or written over"),
        "{told}"
    );
}

#[tokio::test]
async fn a_database_that_is_lost_and_put_back_is_noticed_and_used_again() {
    for loss in [Loss::Deleted, Loss::Replaced, Loss::CutShort, Loss::Emptied] {
        lose_and_put_back("", loss).await;
    }
}

#[tokio::test]
async fn a_log_that_is_lost_and_put_back_is_noticed_and_used_again() {
    for loss in [Loss::Deleted, Loss::Replaced, Loss::CutShort, Loss::Emptied] {
        lose_and_put_back("-wal", loss).await;
    }
}

#[tokio::test]
async fn keys_lock_and_the_logs_index_that_are_lost_and_put_back_are_noticed_and_used_again() {
    for loss in [Loss::Deleted, Loss::Replaced] {
        lose_and_put_back("-shm", loss).await;
        lose_and_put_back("-keys", loss).await;
        lose_and_put_back("-lock", loss).await;
    }
    lose_and_put_back("-keys", Loss::Emptied).await;
}
