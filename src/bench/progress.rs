//! Tells on stderr what a bench is doing, for it takes minutes.

/// Says what is being measured now.
#[expect(clippy::print_stderr, reason = "stdout holds the result alone")]
pub(super) fn tell(what: &str) {
    eprintln!("bench: {what} …");
}
