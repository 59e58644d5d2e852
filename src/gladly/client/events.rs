//! `GET /events`: what Gladly raised in a span of time (Gladly API description,
//! "Events"). It keeps them for 24 hours, shows them up to 15 s late, and has no pages.

use std::time::Duration;

use jiff::Timestamp;

use super::{Client, Permit};
use crate::gladly::GladlyError;
use crate::gladly::event::{Events, parse_events};

/// A busy organization's hour is large, and nobody waits for it.
const EVENTS_TIMEOUT: Duration = Duration::from_mins(1);

impl Client {
    /// What was raised from `from` to `until`, by Gladly's clock: of contacts, which is
    /// where customers' messages are, and of conversations.
    pub async fn events(
        &self,
        permit: Permit,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Events, GladlyError> {
        let operation = "list_events";
        let mut url = self.address(&["events"]);
        url.query_pairs_mut()
            .append_pair("startAt", &from.to_string())
            .append_pair("endAt", &until.to_string())
            .append_pair("entities", "CONTACT")
            .append_pair("entities", "CONVERSATION");
        let request = self.http.get(url).timeout(EVENTS_TIMEOUT);
        let answer = self.call(permit, operation, request).await?;
        // Many lines are not read where others wait.
        let reading = tokio::task::spawn_blocking(move || parse_events(&answer.body));
        let read = reading.await.ok().flatten();
        read.ok_or_else(|| GladlyError::garbage(operation))
    }
}
