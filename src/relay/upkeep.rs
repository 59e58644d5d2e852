//! What runs beside the turns: renewing their leases and deleting what is old.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::dispatcher::LEASE;
use crate::clock::later;

/// How often old rows are deleted and erased text is wiped from the log of the
/// database. Words that a turn has erased are on disk no longer than this.
const PURGE_EVERY: Duration = Duration::from_mins(1);

pub(super) async fn renew_leases(shared: Arc<Shared>, stop: CancellationToken) {
    let mut ticks = interval(LEASE / 4);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let leases = shared.lanes.leases();
        if leases.is_empty() {
            continue;
        }
        if let Err(error) = shared
            .store
            .renew(leases, later(shared.clock.now(), LEASE))
            .await
        {
            tracing::warn!(%error, "leases could not be renewed; trying again");
        }
    }
}

pub(super) async fn purge(shared: Arc<Shared>, retention: Duration, stop: CancellationToken) {
    let mut ticks = interval(PURGE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let before = earlier(shared.clock.now(), retention);
        if let Err(error) = shared.store.purge(before).await {
            tracing::warn!(%error, "old rows could not be deleted; trying again in a minute");
        }
    }
}

fn earlier(now: Timestamp, length: Duration) -> Timestamp {
    let length = SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX);
    now.checked_sub(length).unwrap_or(Timestamp::MIN)
}
