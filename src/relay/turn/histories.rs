//! Random histories: each is played against a small Gladly and a small Gleen, in
//! which anything may fail at any time, and the north star is checked on it.
//!
//! `RELAY_TEST_CASES` says how many, `RELAY_TEST_SEED` where to begin. A history
//! that breaks a promise is told with its seed; that seed alone is played again
//! with `RELAY_TEST_CASES=1`.

mod calls;
mod case;
mod check;
mod player;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use player::Player;

const CASES: u64 = 100_000;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn play(seed: u64, verbose: bool) -> (Result<(), String>, String) {
    let mut player = Player::new(seed, verbose);
    let outcome = catch_unwind(AssertUnwindSafe(|| player.play()));
    let result = outcome.unwrap_or_else(|_| Err("it panicked".to_owned()));
    (result, player.log.unwrap_or_default())
}

#[test]
fn no_history_breaks_a_promise() {
    let cases = number("RELAY_TEST_CASES").unwrap_or(CASES);
    let first = number("RELAY_TEST_SEED").unwrap_or(0);
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let failed = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= cases {
                        break;
                    }
                    let seed = first.wrapping_add(index);
                    if play(seed, false).0.is_err() {
                        failed.lock().unwrap().push(seed);
                        stop.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    if let Some(seed) = failed.into_inner().unwrap().into_iter().min() {
        let (result, log) = play(seed, true);
        panic!("seed {seed}: {result:?}\n{log}");
    }
}
