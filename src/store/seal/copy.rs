//! Keys for a backup: slots as they stand in the file, without opening any.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use zeroize::Zeroizing;

use super::{Found, SLOT, header_slot, parse, read};

/// Slots by the id of their key.
pub(in crate::store) type Slots = HashMap<i64, Zeroizing<[u8; SLOT]>>;

/// The keys that are in the file now; none if there is no such file.
pub(in crate::store) fn read_slots(path: &Path) -> io::Result<Slots> {
    let bytes = match read(path, None)? {
        Found::Keys(..) => Zeroizing::new(std::fs::read(path)?),
        Found::Nothing => return Ok(Slots::new()),
        Found::Damaged => {
            return Err(io::Error::other(
                "the key file is damaged; back up without the keys",
            ));
        }
    };
    let (slots, _) = bytes.as_chunks::<SLOT>();
    let keys = slots.iter().skip(1).filter_map(|slot| {
        let key = parse(slot, None)?;
        Some((key.id, Zeroizing::new(*slot)))
    });
    Ok(keys.collect())
}

/// Makes a key file of these.
pub(in crate::store) fn copy_keys(path: &Path, slots: &Slots) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(&header_slot())?;
    for slot in slots.values() {
        file.write_all(&**slot)?;
    }
    file.sync_all()
}
