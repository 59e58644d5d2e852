//! Where a bench keeps its files.

use std::path::{Path, PathBuf};

/// A folder that goes with all in it when it is dropped, unless it is to be kept.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    /// A new one in the system's folder for temporary files, which `TMPDIR` names.
    pub fn temporary() -> std::io::Result<Self> {
        let name = format!(
            "gladly-relay-bench-{}-{:08x}",
            std::process::id(),
            fastrand::u32(..)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path)?;
        Ok(Self { path, keep: false })
    }

    /// This one, which stays.
    pub fn kept(path: PathBuf) -> std::io::Result<Self> {
        std::fs::create_dir_all(&path)?;
        Ok(Self { path, keep: true })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A store that is being closed may still take a file away meanwhile.
        let gone = |_| self.keep || std::fs::remove_dir_all(&self.path).is_ok();
        if !(0..10).any(gone) {
            tracing::warn!(path = %self.path.display(), "the bench's folder could not be removed");
        }
    }
}
