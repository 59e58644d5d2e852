//! What goes wrong at random during a chaos run, each kind with its share of
//! the calls.
//!
//! A share is of all calls to a service that its limit admits, and the shares of
//! one service add up to the rate that was asked for: of Gladly's, three in five
//! fail and two in five are only slow; of Gleen's, it is about the same.

use std::time::Duration;

use crate::sim::{Fault, Gladly, Gleen, Reply, What, When};

/// Weights among the spoiled calls to Gladly.
fn gladly_faults() -> Vec<(f64, What)> {
    vec![
        (0.010, What::status(500)),
        (0.010, What::status(503)),
        (0.010, What::StatusAfter(502)),
        (0.010, What::CutBefore),
        (0.010, What::CutAfter),
        // Rare, for each stops all calls for a second, as it must.
        (0.001, What::too_many(1)),
        (0.010, What::Garbage),
        (0.020, What::Delay(Duration::from_millis(300))),
        (0.020, What::DelayAfter(Duration::from_millis(300))),
    ]
}

/// Weights among the spoiled questions to Gleen. The last is longer than its timeout.
fn gleen_faults() -> Vec<(f64, What)> {
    let refused = Reply {
        status: 422,
        ..Reply::default()
    };
    vec![
        (0.010, What::status(500)),
        (0.020, What::status(503)),
        (0.010, What::too_many(1)),
        (0.020, What::CutBefore),
        (0.010, What::CutAfter),
        (0.010, What::Garbage),
        (0.005, What::Status(refused)),
        (0.050, What::Delay(Duration::from_millis(800))),
        (0.005, What::Delay(Duration::from_secs(10))),
    ]
}

/// Lets both services spoil `rate` of their calls from now on.
pub(super) fn begin(gladly: &Gladly, gleen: &Gleen, rate: f64) {
    for fault in faults(gladly_faults(), rate) {
        gladly.fault(fault);
    }
    for fault in faults(gleen_faults(), rate) {
        gleen.fault(fault);
    }
}

/// The first rule that fires spoils a call, so each is asked only for what those
/// before it have left.
fn faults(weights: Vec<(f64, What)>, rate: f64) -> Vec<Fault> {
    let sum: f64 = weights.iter().map(|(weight, _)| weight).sum();
    let mut left = 1.0;
    let fault = |(weight, what)| {
        let share = weight / sum * rate;
        let probability = share / left;
        left -= share;
        Fault {
            operation: None,
            when: When::Probability(probability),
            what,
        }
    };
    weights.into_iter().map(fault).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_calls_are_spoiled_as_asked_for() {
        for rate in [0.0, 0.1, 0.5, 1.0] {
            for weights in [gladly_faults(), gleen_faults()] {
                let mut unspoiled = 1.0;
                for fault in faults(weights, rate) {
                    let When::Probability(probability) = fault.when else {
                        panic!("{fault:?}");
                    };
                    unspoiled *= 1.0 - probability;
                }
                assert!((1.0 - unspoiled - rate).abs() < 1e-9, "{rate}");
            }
        }
    }
}
