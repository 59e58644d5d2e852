//! All that the simulated organization holds, behind one lock, and how to find
//! things in it.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use serde_json::Value;

use super::conversation::{Conversation, ConversationView, Item};
use super::delivery::Delivery;
use super::event::{Dispatch, Event};
use super::options::{GladlyOptions, Latency};
use super::pace::{Pace, Rules};
use super::problem::Problem;
use super::webhook::Webhook;
use crate::clock::later;
use crate::sim::front::{Fronted, Ledger};

/// What the simulated organization holds; see [`Gladly::wait_until`](super::Gladly::wait_until).
#[derive(Debug)]
pub struct World {
    pub(crate) options: GladlyOptions,
    pub(crate) url: String,
    pub(crate) rng: fastrand::Rng,
    pub(crate) ledger: Ledger,
    pub(crate) pace: Pace,
    pub(crate) rate_limited: usize,
    pub(crate) conversations: BTreeMap<String, Conversation>,
    /// Which conversation an item is in.
    pub(crate) item_homes: HashMap<String, String>,
    /// Where a merged conversation went.
    pub(crate) merged: HashMap<String, String>,
    pub(crate) webhooks: Vec<Webhook>,
    pub(crate) events: Vec<Event>,
    /// Deliveries to start once the lock is free.
    pub(crate) dispatches: Vec<Dispatch>,
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) undelivered: usize,
}

impl World {
    pub(crate) fn new(options: GladlyOptions, url: String) -> Self {
        Self {
            url,
            rng: fastrand::Rng::with_seed(options.seed),
            ledger: Ledger::new(options.seed),
            pace: Pace::default(),
            rate_limited: 0,
            conversations: BTreeMap::new(),
            item_homes: HashMap::new(),
            merged: HashMap::new(),
            webhooks: Vec::new(),
            events: Vec::new(),
            dispatches: Vec::new(),
            deliveries: Vec::new(),
            undelivered: 0,
            options,
        }
    }

    /// A conversation as it is now. One that was merged is where it went.
    pub fn conversation(&self, id: &str) -> Option<ConversationView> {
        let id = self.merged.get(id).map_or(id, String::as_str);
        self.conversations.get(id).map(Conversation::view)
    }

    /// All conversations as they are now, in no order that means anything.
    pub fn conversations(&self) -> Vec<ConversationView> {
        self.conversations
            .values()
            .map(Conversation::view)
            .collect()
    }

    /// The attempts to deliver webhooks so far, in the order in which they ended.
    pub fn deliveries(&self) -> &[Delivery] {
        &self.deliveries
    }

    /// How many events are on their way to a webhook, or wait for another attempt.
    pub fn undelivered(&self) -> usize {
        self.undelivered
    }

    /// How many calls were over the rate limit.
    pub fn rate_limited(&self) -> usize {
        self.rate_limited
    }

    /// The webhook bodies of the events raised so far.
    pub fn events(&self) -> impl Iterator<Item = &Value> {
        self.events.iter().map(|event| &event.payload)
    }

    /// A webhook as `GET /webhooks/{id}` shows it.
    pub fn webhook(&self, id: &str) -> Option<Value> {
        self.webhooks
            .iter()
            .find(|webhook| webhook.id == id)
            .map(Webhook::to_json)
    }

    /// What the organization's clock shows.
    pub(crate) fn now(&self) -> Timestamp {
        later(Timestamp::now(), self.options.clock_ahead)
    }

    /// A new id like Gladly's.
    pub(crate) fn new_id(&mut self) -> String {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        (0..22)
            .map(|_| char::from(ALPHABET[self.rng.usize(..64)]))
            .collect()
    }

    /// The conversation that a call names.
    pub(crate) fn called_conversation(&mut self, id: &str) -> Result<&mut Conversation, Problem> {
        if let Some(destination) = self.merged.get(id) {
            return Err(Problem::moved(format!(
                "/api/v1/conversations/{destination}"
            )));
        }
        self.conversations
            .get_mut(id)
            .ok_or_else(|| Problem::not_found("conversation"))
    }

    /// The item that a call names, and its conversation.
    pub(crate) fn called_item(&self, id: &str) -> Result<(&Conversation, &Item), Problem> {
        let conversation = self
            .item_homes
            .get(id)
            .and_then(|home| self.conversations.get(home));
        conversation
            .and_then(|conversation| Some((conversation, conversation.item(id)?)))
            .ok_or_else(|| Problem::not_found("conversation item"))
    }
}

impl Fronted for World {
    fn ledger(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    fn latency(&mut self) -> [Duration; 2] {
        let Latency { least, jitter } = self.options.latency;
        if least.is_zero() && jitter.is_zero() {
            return [Duration::ZERO; 2];
        }
        [(); 2].map(|()| least / 2 + jitter.mul_f64(self.rng.f64() / 2.0))
    }

    fn admit(&mut self) -> (HeaderMap, Option<Response>) {
        let date = self.date();
        let (mut headers, refusal) = self.admit_by_pace();
        headers.extend(date.map(|date| (header::DATE, date)));
        (headers, refusal)
    }
}

impl World {
    /// What the clock shows, as a header (RFC 9110, `Date`).
    fn date(&self) -> Option<HeaderValue> {
        let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&self.now());
        HeaderValue::try_from(date.ok()?).ok()
    }

    fn admit_by_pace(&mut self) -> (HeaderMap, Option<Response>) {
        let Some(limit) = self.options.requests_per_second else {
            return (HeaderMap::new(), None);
        };
        let rules = Rules {
            limiter: self.options.limiter,
            limit,
            window: self.options.rate_window,
            others: self.options.others_per_second,
        };
        let mut admission = self.pace.admit(rules, Instant::now());
        if admission.admitted {
            return (admission.headers, None);
        }
        self.rate_limited += 1;
        if let Some(seconds) = self.options.retry_after_seconds {
            admission
                .headers
                .insert("Retry-After", HeaderValue::from(seconds));
        }
        (
            admission.headers,
            Some(Problem::too_many_requests().into_response()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_takes_its_half_of_the_latency_and_at_most_half_of_the_jitter_more() {
        let milliseconds = Duration::from_millis;
        let options = GladlyOptions {
            latency: Latency {
                least: milliseconds(100),
                jitter: milliseconds(40),
            },
            ..GladlyOptions::default()
        };
        let mut world = World::new(options, String::new());
        let ways: Vec<Duration> = (0..100).flat_map(|_| world.latency()).collect();
        let expected = milliseconds(50)..=milliseconds(70);
        assert!(ways.iter().all(|way| expected.contains(way)), "{ways:?}");
        assert!(ways.iter().any(|way| *way != ways[0]), "{ways:?}");
    }
}
