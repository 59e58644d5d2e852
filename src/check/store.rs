//! Whether the database can be written, and whether its disk has room.

use std::path::{Path, PathBuf};

use super::finding::{Category, Finding};
use crate::store::{self, Database, StoreAddress, StoreError};

/// Below this a few busy hours could fill the disk.
const LITTLE_ROOM: u64 = 1024 * 1024 * 1024;
/// Below this it may be full at any moment.
const NO_ROOM: u64 = 64 * 1024 * 1024;

/// What was seen of the database.
#[derive(Debug)]
pub struct StoreLook {
    /// Which.
    pub address: StoreAddress,
    /// Whether it can be written.
    pub state: StoreState,
    /// How much room its disk has, in bytes; none if the system doesn't say.
    pub room: Option<u64>,
}

/// Whether the database can be written.
#[derive(Debug)]
pub enum StoreState {
    /// It can.
    Writable,
    /// There is none yet, but one can be made.
    CanBeMade,
    /// It can't, or is not the relay's.
    Unusable(String),
}

/// Looks at the database of a relay that may be running.
pub async fn look_beside(address: &StoreAddress) -> StoreLook {
    let missing = address.path().filter(|path| !path.exists());
    let state = match missing {
        Some(path) => look_for_place(path),
        None => match probe_beside(address).await {
            Ok(()) => StoreState::Writable,
            Err(error) => StoreState::Unusable(error.to_string()),
        },
    };
    StoreLook {
        address: address.clone(),
        state,
        room: address.path().and_then(room),
    }
}

fn look_for_place(path: &Path) -> StoreState {
    let folder = existing_folder(path);
    match try_folder(&folder) {
        Ok(()) => StoreState::CanBeMade,
        Err(error) => StoreState::Unusable(format!(
            "{} cannot be written: {error}; let the relay's user write there, or set RELAY_STORE",
            folder.display()
        )),
    }
}

/// Looks at the database that this process has open.
pub async fn look_within(address: &StoreAddress, store: &dyn Database) -> StoreLook {
    let state = match store.probe().await {
        Ok(()) => StoreState::Writable,
        Err(error) => StoreState::Unusable(error.to_string()),
    };
    StoreLook {
        address: address.clone(),
        state,
        room: address.path().and_then(room),
    }
}

async fn probe_beside(address: &StoreAddress) -> Result<(), StoreError> {
    let store = match address {
        // As a relay's first start would make its tables, so may this.
        StoreAddress::Postgres(_) => store::open(address, None).await?,
        StoreAddress::Sqlite(_) => store::open_beside(address).await?,
    };
    let probed = store.probe().await;
    store.close().await;
    probed
}

/// The folder that the file is in, or that its folder will be made in.
fn existing_folder(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folders = absolute.ancestors().skip(1);
    let existing = folders.into_iter().find(|folder| folder.exists());
    existing.map_or_else(|| PathBuf::from("/"), Path::to_owned)
}

/// Makes a file there and takes it away.
fn try_folder(folder: &Path) -> std::io::Result<()> {
    let probe = folder.join(format!(".gladly-relay-check-{:016x}", fastrand::u64(..)));
    std::fs::File::create_new(&probe)?;
    std::fs::remove_file(&probe)
}

fn room(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(existing_folder(path)).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Says what was seen of the database.
pub fn judge_store(look: &StoreLook) -> Vec<Finding> {
    let about = Category::Store;
    let path = &look.address;
    let state = match &look.state {
        StoreState::Writable => Finding::ok(about, format!("{path} can be written")),
        StoreState::CanBeMade => Finding::ok(
            about,
            format!("{path} does not exist yet; the relay will make it"),
        ),
        StoreState::Unusable(what) => Finding::failure(
            about,
            what.clone(),
            "until then the relay does not start, or answers Gladly 503",
        ),
    };
    let mut findings = vec![state];
    findings.extend(look.room.map(judge_room));
    findings
}

fn judge_room(room: u64) -> Finding {
    let about = Category::Store;
    let what = format!("its disk has {} MiB of room", room / (1024 * 1024));
    let mend = "make room: without any, webhooks are answered 503 and Gladly switches them off";
    match room {
        0..NO_ROOM => Finding::failure(about, what, mend),
        NO_ROOM..LITTLE_ROOM => Finding::warning(about, what, mend),
        LITTLE_ROOM.. => Finding::ok(about, what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;

    #[test]
    fn a_disk_that_fills_up_is_told_in_time() {
        for (room, verdict) in [
            (10 * 1024 * 1024 * 1024, Verdict::Ok),
            (500 * 1024 * 1024, Verdict::Warning),
            (1024 * 1024, Verdict::Failure),
        ] {
            assert_eq!(judge_room(room).verdict, verdict, "{room}");
        }
    }
}
