//! Sends events to webhooks, as Gladly does: again after a while if the answer
//! is not a 2xx in time, and no more once a webhook was switched off.
//!
//! Every event is a task of its own, so events overtake one another.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Shared;
use super::event::Dispatch;
use super::webhook::Webhook;
use super::world::World;
use crate::sim::sequence;

/// One attempt to deliver one event.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its place among all that happened in this process's simulators.
    pub sequence: u64,
    /// When it ended.
    pub at: Timestamp,
    /// The webhook.
    pub webhook_id: String,
    /// The event.
    pub event_id: String,
    /// The event's type.
    pub event_type: String,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// What was answered; `None` if nothing was, in time.
    pub status: Option<u16>,
}

impl Delivery {
    /// Whether Gladly counts it as delivered.
    pub fn succeeded(&self) -> bool {
        self.status
            .is_some_and(|status| (200..300).contains(&status))
    }
}

/// Delivers one event to one webhook, until it is taken, given up, or `stop`.
pub(crate) async fn deliver(shared: Arc<Shared>, dispatch: Dispatch) {
    shared
        .stop
        .run_until_cancelled(attempt_all(&shared, &dispatch))
        .await;
    shared.world.change(|world| world.undelivered -= 1);
}

async fn attempt_all(shared: &Arc<Shared>, dispatch: &Dispatch) {
    // A timer is a millisecond late, which no delivery without delay should cost.
    if !dispatch.delay.is_zero() {
        tokio::time::sleep(dispatch.delay).await;
    }
    for attempt in 1.. {
        let target = shared
            .world
            .read(|world| world.enabled_webhook(&dispatch.webhook_id));
        let Some((webhook, timeout)) = target else {
            return;
        };
        let status = post(&shared.http, &webhook, &dispatch.body, timeout).await;
        let delivery = Delivery {
            sequence: sequence::next(),
            at: Timestamp::now(),
            webhook_id: dispatch.webhook_id.clone(),
            event_id: dispatch.event_id.clone(),
            event_type: dispatch.event_type.clone(),
            attempt,
            status,
        };
        let next_after = shared.world.change(|world| world.record_delivery(delivery));
        let Some(delay) = next_after else { return };
        tokio::time::sleep(delay).await;
    }
}

/// Asks a webhook that is to be enabled whether it is there.
pub(crate) async fn ping(shared: &Shared, webhook: &Webhook) -> bool {
    let (body, timeout) = shared.world.change(|world| {
        (
            json!({ "id": world.new_id(), "type": "PING" }),
            world.options.delivery.timeout,
        )
    });
    post(&shared.http, webhook, &body, timeout).await == Some(200)
}

async fn post(
    http: &reqwest::Client,
    webhook: &Webhook,
    body: &Value,
    timeout: Duration,
) -> Option<u16> {
    let mut request = http.post(&webhook.url).timeout(timeout).json(body);
    for (name, value) in &webhook.headers {
        request = request.header(name, value);
    }
    if let Some((username, password)) = &webhook.credentials {
        request = request.basic_auth(username, Some(password));
    }
    match request.send().await {
        Ok(response) => Some(response.status().as_u16()),
        Err(error) => {
            tracing::debug!(%error, "a simulated webhook delivery failed");
            None
        }
    }
}

impl World {
    fn enabled_webhook(&self, id: &str) -> Option<(Webhook, Duration)> {
        let webhook = self
            .webhooks
            .iter()
            .find(|webhook| webhook.id == id && webhook.enabled)?;
        Some((webhook.clone(), self.options.delivery.timeout))
    }

    /// Keeps the attempt; returns after what time to try again, if at all.
    fn record_delivery(&mut self, delivery: Delivery) -> Option<Duration> {
        let (attempt, succeeded) = (delivery.attempt, delivery.succeeded());
        let webhook_id = delivery.webhook_id.clone();
        self.deliveries.push(delivery);
        if succeeded {
            return None;
        }
        let now = self.now();
        let options = &self.options.delivery;
        if options
            .disable_after_failures
            .is_some_and(|most| attempt >= most)
        {
            let webhook = self
                .webhooks
                .iter_mut()
                .find(|webhook| webhook.id == webhook_id)?;
            webhook.enabled = false;
            webhook.disabled_at = Some(now.to_string());
            return None;
        }
        let index = usize::try_from(attempt - 1).ok()?;
        options.retry_delays.get(index).copied()
    }
}
