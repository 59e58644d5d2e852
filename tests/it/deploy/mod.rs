//! What `deploy/` ships does what it says, tried with the real programs.

mod containers;
mod monitoring;
mod proxies;
mod proxy;
mod several;
mod unit;

use std::path::PathBuf;

/// A file of `deploy/`.
fn shipped(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(shipped(name)).unwrap()
}

/// The text with each of these replaced, which must be there.
fn replaced(text: &str, replacements: &[(&str, &str)]) -> String {
    let replace = |text: String, (old, new): &(&str, &str)| {
        assert!(text.contains(old), "{old}");
        text.replace(old, new)
    };
    replacements.iter().fold(text.to_owned(), replace)
}
