//! Stopping one call in its tracks until a test lets it go, so that a test can
//! act at an exact moment without a sleep.

use tokio_util::sync::CancellationToken;

/// The call's side of a hold.
#[derive(Debug, Clone)]
pub struct Gate {
    reached: CancellationToken,
    released: CancellationToken,
}

/// The test's side of a hold. Dropping it releases the call.
#[derive(Debug)]
#[must_use = "dropping it releases the call at once"]
pub struct Hold {
    gate: Gate,
}

impl Gate {
    /// Makes both sides.
    pub fn new() -> (Self, Hold) {
        // Tokens, because they remember: either side may come first.
        let gate = Self {
            reached: CancellationToken::new(),
            released: CancellationToken::new(),
        };
        let hold = Hold { gate: gate.clone() };
        (gate, hold)
    }

    /// Announces the call and waits for its release.
    pub(crate) async fn pass(&self) {
        self.reached.cancel();
        self.released.cancelled().await;
    }
}

impl Hold {
    /// Waits until a call is held.
    pub async fn reached(&self) {
        self.gate.reached.cancelled().await;
    }

    /// Lets the call go on.
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.gate.released.cancel();
    }
}
