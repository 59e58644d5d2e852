//! Tells on stderr what a bench is doing, for it takes minutes.

use std::io::Write as _;

/// Says what is being measured now.
pub(super) fn tell(what: &str) {
    // Nobody may be there to read it.
    let _: std::io::Result<()> = writeln!(std::io::stderr(), "bench: {what} …");
}
