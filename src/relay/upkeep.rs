//! What runs beside the turns: deleting what is old, summing up days that are over.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::clock::earlier;

/// How often old rows are deleted, and keys that seal nothing any more.
const PURGE_EVERY: Duration = Duration::from_mins(1);

pub(super) async fn purge(shared: Arc<Shared>, retention: Duration, stop: CancellationToken) {
    let mut ticks = interval(PURGE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let before = earlier(shared.clock.now().at, retention);
        if let Err(error) = shared.store.purge(before).await {
            tracing::warn!(%error, "old rows could not be deleted; trying again in a minute");
        }
        if let Err(error) = shared.store.sum_up(shared.clock.now().at).await {
            tracing::warn!(%error, "a day could not be summed up for reports; trying again in a minute");
        }
    }
}
