//! What a command says on stdout. A reader who has left, such as `head`, has seen
//! enough: the command does what it was told all the same.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write as _};

/// Says it, on a line of its own.
///
/// # Errors
/// If it can't be written though somebody reads, as on a full disk.
pub(super) fn say(text: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}
