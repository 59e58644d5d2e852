//! Words are sealed before they are stored, with a key that changes hourly and
//! is destroyed once no unfinished turn needs it. What is left of ended turns
//! in pages, logs and backups is noise then.
//!
//! The keys live in a file of their own beside the database, in slots of one
//! size: a key is destroyed by writing zeros over it in place. A backup of the
//! database alone holds no words.
//!
//! - A new key is on disk before anything is sealed with it.
//! - With `RELAY_KEY` set, they open nothing without it.

mod cipher;
mod copy;

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::{digest, rand};
use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::id::{AccountName, TurnId};
pub(super) use cipher::Cipher;
pub use cipher::MasterKey;
pub(super) use copy::{Slots, copy_keys, read_slots};

/// Header and slots are of this size, so a slot never straddles a disk sector.
const SLOT: usize = 64;
const HEADER: &[u8] = b"gladly-relay keys 1\n";
/// A slot: the key's id, its hour, the key, and the beginning of a digest of
/// these. All zeros if it is free.
const HOUR_AT: usize = 8;
const KEY_AT: usize = 16;
const CHECK_AT: usize = 48;

/// The keys, and the file that holds them.
pub(super) struct Keys {
    file: File,
    /// As in the file.
    slots: Vec<Option<Key>>,
    /// Without it, the file's keys open nothing.
    master: Option<MasterKey>,
    /// The present hour, since 1970.
    hour: i64,
}

struct Key {
    id: i64,
    hour: i64,
    cipher: Cipher,
    /// As in its slot.
    check: [u8; SLOT - CHECK_AT],
}

/// Sealed words.
pub(super) struct Sealed {
    /// The key's id.
    pub(super) key_id: i64,
    /// Nonce, words and tag.
    pub(super) bytes: Vec<u8>,
}

impl Keys {
    /// Opens the key file, making it if there is none. One that can't be read
    /// is moved aside: the words of the turns that ran are lost then, and
    /// nothing else.
    pub(super) fn open(path: &Path, master: Option<MasterKey>) -> io::Result<Self> {
        let (file, slots) = match read(path, master.as_ref())? {
            Found::Keys(file, slots) => (file, slots),
            Found::Nothing => (create(path)?, Vec::new()),
            Found::Damaged => {
                let aside = with_suffix(path, ".damaged");
                tracing::error!(
                    file = %path.display(), moved_to = %aside.display(),
                    "the key file is damaged: turns that ran lose their words and begin again; delete what was moved aside"
                );
                std::fs::rename(path, aside)?;
                (create(path)?, Vec::new())
            }
        };
        Ok(Self {
            file,
            slots,
            master,
            hour: i64::MIN,
        })
    }

    /// Opens the key file to open words with it, and changes nothing; none if there is
    /// no such file.
    pub(super) fn open_to_read(path: &Path, master: Option<MasterKey>) -> io::Result<Option<Self>> {
        let (file, slots) = match read(path, master.as_ref())? {
            Found::Keys(file, slots) => (file, slots),
            Found::Nothing => return Ok(None),
            Found::Damaged => return Err(io::Error::other("it is damaged")),
        };
        Ok(Some(Self {
            file,
            slots,
            master,
            hour: i64::MIN,
        }))
    }

    /// Takes note of the present moment: words are sealed with its hour's key.
    pub(super) fn tick(&mut self, now: Timestamp) {
        self.hour = hour(now);
    }

    /// Seals the words of a turn.
    pub(super) fn seal(
        &mut self,
        account: &AccountName,
        turn: TurnId,
        words: &str,
    ) -> io::Result<Sealed> {
        let key = match self.current() {
            Some(index) => index,
            None => self.add()?,
        };
        let Some(Some(key)) = self.slots.get(key) else {
            return Err(io::Error::other("the key is gone"));
        };
        Ok(Sealed {
            key_id: key.id,
            bytes: key.cipher.seal(account, turn, words)?,
        })
    }

    /// Opens the words of a turn; none if their key is gone or they are not its.
    pub(super) fn unseal(
        &self,
        account: &AccountName,
        turn: TurnId,
        key_id: i64,
        sealed: &[u8],
    ) -> Option<String> {
        let key = self.slots.iter().flatten().find(|key| key.id == key_id)?;
        key.cipher.open(account, turn, sealed)
    }

    /// Destroys the keys that are not of the present hour and that no stored
    /// words need.
    pub(super) fn destroy_unused(&mut self, needed: &HashSet<i64>) -> io::Result<()> {
        let mut destroyed = false;
        for index in 0..self.slots.len() {
            let unused = self.slots.get(index).is_some_and(|key| {
                key.as_ref()
                    .is_some_and(|key| key.hour != self.hour && !needed.contains(&key.id))
            });
            if unused {
                self.file.write_all_at(&[0; SLOT], offset(index))?;
                self.slots[index] = None;
                destroyed = true;
            }
        }
        if destroyed {
            self.file.sync_all()?;
        }
        Ok(())
    }

    /// Whether each of them still stands in the file.
    pub(super) fn are_in_the_file(&self) -> bool {
        let stands = |expected: &dyn Fn(&[u8; SLOT]) -> bool, at| {
            let mut slot = Zeroizing::new([0; SLOT]);
            self.file.read_exact_at(&mut *slot, at).is_ok() && expected(&slot)
        };
        let mut keys = self.slots.iter().enumerate();
        stands(&|header| *header == header_slot(), 0)
            && keys.all(|(index, key)| match key {
                None => true,
                Some(key) => stands(
                    &|slot| slot[CHECK_AT..] == key.check && check_of(slot) == key.check,
                    offset(index),
                ),
            })
    }

    fn current(&self) -> Option<usize> {
        let is_current = |key: &Option<Key>| key.as_ref().is_some_and(|key| key.hour == self.hour);
        self.slots.iter().position(is_current)
    }

    /// Makes the present hour's key, and has it on disk.
    fn add(&mut self) -> io::Result<usize> {
        let mut slot = Zeroizing::new([0; SLOT]);
        rand::fill(&mut slot[..CHECK_AT]).map_err(|_| io::Error::other("no randomness"))?;
        slot[HOUR_AT..KEY_AT].copy_from_slice(&self.hour.to_le_bytes());
        let check = check_of(&slot);
        slot[CHECK_AT..].copy_from_slice(&check);
        let key = parse(&slot, self.master.as_ref())
            .ok_or_else(|| io::Error::other("the new key can't be used"))?;
        let free = self.slots.iter().position(Option::is_none);
        let index = free.unwrap_or(self.slots.len());
        self.file.write_all_at(&*slot, offset(index))?;
        self.file.sync_all()?;
        match self.slots.get_mut(index) {
            Some(free) => *free = Some(key),
            None => self.slots.push(Some(key)),
        }
        Ok(index)
    }
}

/// What stands in the place of the key file.
enum Found {
    Keys(File, Vec<Option<Key>>),
    Nothing,
    Damaged,
}

fn read(path: &Path, master: Option<&MasterKey>) -> io::Result<Found> {
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        opened => opened?,
    };
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    if length > 1024 * SLOT {
        return Ok(Found::Damaged);
    }
    // Sized beforehand: a buffer that grows leaves copies of the keys behind.
    let mut bytes = Zeroizing::new(vec![0; length]);
    file.read_exact(&mut bytes)?;
    let (slots, rest) = bytes.as_chunks::<SLOT>();
    let Some((_, slots)) = slots
        .split_first()
        .filter(|(header, _)| **header == header_slot() && rest.is_empty())
    else {
        return Ok(Found::Damaged);
    };
    let mut keys = Vec::with_capacity(slots.len());
    for slot in slots {
        let key = parse(slot, master);
        if key.is_none() && *slot != [0; SLOT] {
            return Ok(Found::Damaged);
        }
        keys.push(key);
    }
    Ok(Found::Keys(file, keys))
}

/// The file appears with its header, or not at all.
fn create(path: &Path) -> io::Result<File> {
    let unfinished = with_suffix(path, ".new");
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true);
    let file = options.mode(0o600).open(&unfinished)?;
    file.write_all_at(&header_slot(), 0)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    if let Some(folder) = path.parent() {
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        File::open(folder)?.sync_all()?;
    }
    Ok(file)
}

fn parse(slot: &[u8; SLOT], master: Option<&MasterKey>) -> Option<Key> {
    if slot[CHECK_AT..] != check_of(slot) {
        return None;
    }
    let number = |at: usize| Some(i64::from_le_bytes(slot.get(at..at + 8)?.try_into().ok()?));
    Some(Key {
        id: number(0)?,
        hour: number(HOUR_AT)?,
        cipher: Cipher::new(&slot[KEY_AT..CHECK_AT], master).ok()?,
        check: check_of(slot),
    })
}

fn check_of(slot: &[u8; SLOT]) -> [u8; SLOT - CHECK_AT] {
    let mut check = [0; SLOT - CHECK_AT];
    let digest = digest::digest(&digest::SHA256, &slot[..CHECK_AT]);
    check.copy_from_slice(&digest.as_ref()[..SLOT - CHECK_AT]);
    check
}

fn header_slot() -> [u8; SLOT] {
    let mut slot = [0; SLOT];
    slot[..HEADER.len()].copy_from_slice(HEADER);
    slot
}

fn offset(slot: usize) -> u64 {
    u64::try_from((slot + 1) * SLOT).unwrap_or(u64::MAX)
}

/// The hour since 1970.
pub(super) fn hour(now: Timestamp) -> i64 {
    now.as_second().div_euclid(3_600)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
