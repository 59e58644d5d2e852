//! One count for everything that happens in any simulator of this process, so
//! that a question to Gleen can be ordered against a reply in Gladly.

use std::sync::atomic::{AtomicU64, Ordering};

static LAST: AtomicU64 = AtomicU64::new(0);

/// The next number; never twice the same, always growing.
pub(crate) fn next() -> u64 {
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}
