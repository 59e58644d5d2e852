//! What goes wrong at random during a chaos run, each kind with its share of
//! the calls.

use std::time::Duration;

use crate::sim::{Fault, Gladly, Gleen, Reply, What, When};

/// Shares of all calls to Gladly.
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

/// Shares of all questions to Gleen. The last is longer than its timeout.
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

/// Lets both services fail from now on.
pub(super) fn begin(gladly: &Gladly, gleen: &Gleen) {
    for (share, what) in gladly_faults() {
        gladly.fault(Fault {
            operation: None,
            when: When::Probability(share),
            what,
        });
    }
    for (share, what) in gleen_faults() {
        gleen.fault(Fault {
            operation: None,
            when: When::Probability(share),
            what,
        });
    }
}
