//! The log's index, as it stands in its file (sqlite.org, "WAL-mode File
//! Format", "The WAL-Index File Format"): which frames of the log count, and how
//! many of them a checkpoint has brought into the database.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Two copies of a header, and what checkpoints note.
const LENGTH: usize = 136;
const HEADER: usize = 48;
/// Before the frames of a log, and before the page of each.
const LOG_HEADER: u64 = 32;
const FRAME_HEADER: u64 = 24;

/// The index, open. It must stay open for as long as the connection: closing any
/// handle of the file ends all locks that the process holds on it, those of
/// `SQLite` as well.
pub(super) struct Index(File);

/// How far checkpoints have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    /// Changes whenever the log begins anew.
    salt: [u8; 8],
    copied: u32,
    /// Noted before the first of these frames is copied.
    copying: u32,
}

impl Progress {
    /// A checkpoint is on its way, or was broken off.
    pub(super) const fn is_unfinished(&self) -> bool {
        self.copied != self.copying
    }
}

/// What the index says of the log.
struct Frames {
    count: u64,
    page_size: u64,
    salt: [u8; 8],
    /// Of the last one.
    checksum: [u8; 8],
}

impl Index {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        File::open(path).map(Self)
    }

    /// None if it can't be read.
    pub(super) fn progress(&self) -> Option<Progress> {
        let bytes = self.read()?;
        Some(Progress {
            salt: array_at(&bytes, 32)?,
            copied: number_at(&bytes, 96)?,
            copying: number_at(&bytes, 128)?,
        })
    }

    /// Whether the log holds the last frame that counts.
    pub(super) fn fits(&self, log: &File) -> bool {
        // Somebody may write between the two questions.
        (0..3).any(|_| self.try_fits(log).unwrap_or(false))
    }

    fn try_fits(&self, log: &File) -> Option<bool> {
        let frames = self.frames()?;
        let Some(before) = frames.count.checked_sub(1) else {
            return Some(true);
        };
        let at = LOG_HEADER + before * (FRAME_HEADER + frames.page_size);
        let mut last = [0; 24];
        log.read_exact_at(&mut last, at).ok()?;
        Some(last[8..16] == frames.salt && last[16..24] == frames.checksum)
    }

    /// None if it can't be read or is just being written.
    fn frames(&self) -> Option<Frames> {
        let bytes = self.read()?;
        if bytes[..HEADER] != bytes[HEADER..2 * HEADER] {
            return None;
        }
        let page_size = match u16::from_ne_bytes(array_at(&bytes, 14)?) {
            1 => 65_536,
            size => u64::from(size),
        };
        // The log holds it in network order.
        let mut checksum = [0; 8];
        checksum[..4].copy_from_slice(&number_at(&bytes, 24)?.to_be_bytes());
        checksum[4..].copy_from_slice(&number_at(&bytes, 28)?.to_be_bytes());
        Some(Frames {
            count: number_at(&bytes, 16)?.into(),
            page_size,
            salt: array_at(&bytes, 32)?,
            checksum,
        })
    }

    fn read(&self) -> Option<[u8; LENGTH]> {
        let mut bytes = [0; LENGTH];
        self.0.read_exact_at(&mut bytes, 0).ok()?;
        Some(bytes)
    }
}

/// In the machine's own order, unlike what stands in the log.
fn number_at(bytes: &[u8], offset: usize) -> Option<u32> {
    array_at(bytes, offset).map(u32::from_ne_bytes)
}

fn array_at<const LENGTH: usize>(bytes: &[u8], offset: usize) -> Option<[u8; LENGTH]> {
    bytes.get(offset..offset + LENGTH)?.try_into().ok()
}
