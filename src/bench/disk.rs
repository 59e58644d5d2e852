//! The baseline of what is durable: how often the disk can be synced.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// A page of the database.
const PAGE: [u8; 4096] = [7; 4096];
/// The pages are written over in turn, as those of a write-ahead log are.
const PAGES: u64 = 256;

/// Writes out what others left to be written: it must not burden the syncs that
/// are measured next.
pub(super) async fn settle() -> anyhow::Result<()> {
    Ok(tokio::task::spawn_blocking(rustix::fs::sync).await?)
}

/// `fdatasync`s a second, each after one page was written over.
pub(super) async fn sync_rate(folder: &Path, length: Duration) -> anyhow::Result<f64> {
    let mut file = File::create(folder.join("disk"))?;
    for _ in 0..PAGES {
        file.write_all(&PAGE)?;
    }
    file.sync_all()?;
    let measured = tokio::task::spawn_blocking(move || write_over(&mut file, length));
    Ok(measured.await??)
}

fn write_over(file: &mut File, length: Duration) -> std::io::Result<f64> {
    let (started, mut syncs) = (Instant::now(), 0_u32);
    while started.elapsed() < length {
        let page = u64::from(syncs) % PAGES;
        file.seek(SeekFrom::Start(page * PAGE.len() as u64))?;
        file.write_all(&PAGE)?;
        file.sync_data()?;
        syncs += 1;
    }
    Ok(f64::from(syncs) / started.elapsed().as_secs_f64())
}
