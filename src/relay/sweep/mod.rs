//! Sweep and self-repair: looks for events that no webhook brought, feeds them through
//! the same journal, and switches on a webhook that Gladly switched off.
//!
//! One for each account. Its calls wait until nobody else needs one; when all is well
//! there are two an interval. How far it has read is stored once what it found is in
//! the journal, so what is cut short anywhere is read again.

mod plan;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use reqwest::Url;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::intake::Heard;
use super::news::News;
use super::state::WebhookState;
use super::{Account, Shared};
use crate::gladly::{
    Admission, Ask, Events, GladlyError, Permit, Precedence, Webhook, WebhookContent,
};
use crate::store::{Source, StoreError, Swept};
use crate::telemetry::WebhookResult;
use crate::webhooks::{look_up, switch_on};
use plan::{Came, Find, Rhythm, Span};

/// How many events are handed to the store at once, in the order of Gladly's time.
const AT_ONCE: usize = 30;
/// A place among the calls for which nobody waits.
const OF_USE_FOR: Duration = Duration::from_mins(1);

/// What sweeps one account.
pub(super) struct Sweeper {
    shared: Arc<Shared>,
    account: Arc<Account>,
    public_url: Option<Url>,
    rhythm: Rhythm,
    /// Nothing was read yet since the start.
    is_first: bool,
    /// What the log was told last: it hears of each trouble once.
    webhook_trouble: Option<String>,
    events_trouble: Option<String>,
}

/// Why a sweep ended early.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Gladly(#[from] GladlyError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a sweep found that was new.
#[derive(Debug, Default)]
struct Found {
    messages: u64,
    events: u64,
}

impl Sweeper {
    pub(super) fn new(
        shared: Arc<Shared>,
        account: Arc<Account>,
        interval: Duration,
        public_url: Option<Url>,
    ) -> Self {
        Self {
            shared,
            account,
            public_url,
            rhythm: Rhythm::new(interval),
            is_first: true,
            webhook_trouble: None,
            events_trouble: None,
        }
    }

    /// Sweeps at once, for the time in which the relay was down, and every interval
    /// until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        if self.public_url.is_none() {
            tracing::warn!(account = %self.account.name, "RELAY_PUBLIC_URL is not set: missed events are looked for, but a webhook that Gladly switches off can't be switched on");
        }
        while let Some(came) = stop.run_until_cancelled(self.sweep()).await {
            self.shared.metrics.sweep(&self.account.name, came.as_str());
            let wait = self.rhythm.wait(came, fastrand::f64());
            let sleep = tokio::time::sleep(wait);
            if stop.run_until_cancelled(sleep).await.is_none() {
                return;
            }
        }
    }

    async fn sweep(&mut self) -> Came {
        let repaired = self.see_to_webhook().await;
        // Before any answer of Gladly's the relay's own clock has to do.
        let told_the_time = self.account.gladly.gladly_now().is_some();
        let (came, trouble) = match self.read(self.is_first || repaired).await {
            Ok(()) if repaired => (Came::Repaired, None),
            Ok(()) => (Came::Well, None),
            Err(trouble) => (came_of(&trouble, told_the_time), Some(in_words(&trouble))),
        };
        self.is_first &= trouble.is_some();
        tell(
            &self.account,
            "missed events can't be looked for",
            "missed events are looked for again",
            &mut self.events_trouble,
            trouble,
        );
        came
    }

    /// Switches the webhook on if Gladly switched it off; true if it did.
    async fn see_to_webhook(&mut self) -> bool {
        let Some(url) = self.public_url.clone() else {
            return false;
        };
        let (found, trouble) = self.look_at_webhook(&url).await;
        let name = &self.account.name;
        self.shared
            .metrics
            .webhook_enabled(name, found.is_enabled());
        if self.account.seen.webhook(found) {
            self.shared.newsroom.tell(News::Account(name.clone()));
        }
        let repaired = found == WebhookState::Enabled && trouble.is_some();
        tell(
            &self.account,
            "the webhook can't be seen to",
            "the webhook is seen to again",
            &mut self.webhook_trouble,
            trouble.filter(|_| !repaired),
        );
        repaired
    }

    /// Whether the webhook brings what happens, as far as that is known, and what was
    /// wrong with it.
    async fn look_at_webhook(&self, url: &Url) -> (WebhookState, Option<String>) {
        let gladly = &self.account.gladly;
        let all = match look_up(gladly, Precedence::Later).await {
            Ok(all) => all,
            Err(error) => return (WebhookState::Unknown, Some(error)),
        };
        match plan::webhook(&all, url) {
            plan::Webhook::On => (WebhookState::Enabled, None),
            plan::Webhook::Missing => {
                let what = format!("none leads to {url}; run `gladly-relay webhooks sync`");
                (WebhookState::Missing, Some(what))
            }
            plan::Webhook::OffByHand => {
                let what = "a person switched it off in Gladly; that is left alone".to_owned();
                (WebhookState::Disabled, Some(what))
            }
            plan::Webhook::SwitchedOff { id, at } => match switch_on(gladly, id, url).await {
                Ok(()) => {
                    tracing::warn!(account = %self.account.name, %url, switched_off_at = printable(at), "Gladly had switched the webhook off because deliveries failed; it is on again");
                    (WebhookState::Enabled, Some(String::new()))
                }
                Err(error) => (
                    WebhookState::Disabled,
                    Some(format!("Gladly switched it off, and not on: {error}")),
                ),
            },
        }
    }

    /// Reads what was raised since the last sweep, slice by slice. With `all`, also what
    /// webhooks may be bringing.
    async fn read(&mut self, all: bool) -> Result<(), Trouble> {
        let account = self.account.clone();
        let swept_until = self.shared.store.swept_until(&account.name).await?;
        let mut permit = self.permit().await?;
        let span = plan::span(swept_until, self.gladly_now());
        let (mut from, mut lost) = (span.from, span.lost);
        loop {
            let until = span.slice_from(from, self.rhythm.slice());
            let read = account.gladly.events(permit, from, until).await;
            let events = read.inspect_err(|_| self.rhythm.could_not_read())?;
            self.rhythm.read();
            self.tell_of_lost(lost.take());
            let found = self.feed(events, all).await?;
            self.tell_of_found(&found, Span { from, until, lost });
            // The relay's clock may have been ahead of Gladly's.
            let swept = Swept {
                account: account.name.clone(),
                until: until.min(self.gladly_now()),
            };
            self.shared.store.swept(swept).await?;
            if until >= span.until {
                return Ok(());
            }
            from = until;
            permit = self.permit().await?;
        }
    }

    /// The right to one call, once nobody else needs it.
    async fn permit(&self) -> Result<Permit, GladlyError> {
        let ask = Ask::one(Precedence::Later, Instant::now() + OF_USE_FOR);
        let admission = self.account.gladly.permits(ask).await?;
        let permit = match admission {
            Admission::Granted(mut permits) => permits.take(),
            Admission::TooLate => None,
        };
        let operation = "list_events";
        permit.ok_or(GladlyError::Stale { operation })
    }

    fn gladly_now(&self) -> Timestamp {
        let told = self.account.gladly.gladly_now();
        told.unwrap_or_else(|| self.shared.clock.now().at)
    }

    /// Puts what was found into the journal, which knows what came before.
    async fn feed(&self, events: Events, all: bool) -> Result<Found, StoreError> {
        if events.malformed > 0 {
            let lines = events.malformed;
            tracing::warn!(account = %self.account.name, lines, "lines of Gladly's events can't be read");
        }
        let (mut found, now) = (Found::default(), self.gladly_now());
        let mut told = events.told.into_iter().peekable();
        while told.peek().is_some() {
            let some = told.by_ref().take(AT_ONCE);
            let journaled = join_all(some.map(|(webhook, line)| async move {
                let is_message = matches!(webhook.content, WebhookContent::Message { .. });
                (is_message, self.journal(webhook, &line, now, all).await)
            }));
            for (is_message, journaled) in journaled.await {
                if journaled? == Some(WebhookResult::Accepted) {
                    found.events += 1;
                    found.messages += u64::from(is_message);
                }
            }
        }
        Ok(found)
    }

    async fn journal(
        &self,
        webhook: Webhook,
        line: &[u8],
        now: Timestamp,
        all: bool,
    ) -> Result<Option<WebhookResult>, StoreError> {
        let deadline = self.account.policy.answer_deadline;
        let (overdue, within) = match plan::find(webhook.happened_at, now, deadline, all) {
            Find::Leave => return Ok(None),
            Find::Within(within) => (false, within),
            Find::Overdue => (true, deadline),
        };
        let heard = Heard {
            source: Source::Sweep { overdue },
            within,
        };
        let journaled = self.account.journal(&self.shared, webhook, line, heard);
        journaled.await.map(Some)
    }

    fn tell_of_found(&self, found: &Found, span: Span) {
        let account = &self.account.name;
        self.shared.metrics.recovered(account, found.messages);
        let (messages, events) = (found.messages, found.events);
        let Span { from, until, .. } = span;
        if messages > 0 {
            tracing::warn!(%account, messages, events, %from, %until, "the sweep found messages that no webhook had brought; they are being seen to");
        } else if events > 0 {
            tracing::debug!(%account, events, %from, %until, "the sweep found events that no webhook had brought");
        }
    }

    fn tell_of_lost(&self, lost: Option<Duration>) {
        if let Some(lost) = lost {
            let minutes = lost.as_secs().div_ceil(60);
            tracing::error!(account = %self.account.name, minutes, "Gladly tells of the last 24 hours alone: what customers wrote in so many minutes before, while nothing was delivered, is not known; look in the AI inbox");
        }
    }
}

fn came_of(trouble: &Trouble, told_the_time: bool) -> Came {
    match trouble {
        // A span by a wrong clock may be refused; the refusal told the time.
        Trouble::Gladly(GladlyError::Refused { .. }) if !told_the_time => Came::Failed,
        Trouble::Gladly(
            GladlyError::Refused { .. }
            | GladlyError::NotFound { .. }
            | GladlyError::Unauthorised { .. },
        ) => Came::Refused,
        Trouble::Gladly(_) | Trouble::Store(_) => Came::Failed,
    }
}

/// The same words however often it happens.
fn in_words(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Gladly(GladlyError::Unauthorised { .. }) => {
            "Gladly refuses the API user".to_owned()
        }
        trouble => trouble.to_string(),
    }
}

/// Tells the log of a trouble when it begins or changes, and when it ends.
fn tell(
    account: &Account,
    what: &str,
    ended: &str,
    before: &mut Option<String>,
    trouble: Option<String>,
) {
    let account = &account.name;
    match &trouble {
        Some(error) if *before != trouble => tracing::warn!(%account, error, "{what}"),
        None if before.is_some() => tracing::info!(%account, "{ended}"),
        _ => {}
    }
    *before = trouble;
}

/// Gladly's word for a time, as far as it is one.
fn printable(text: &str) -> &str {
    let is_sane = text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_sane { text } else { "-" }
}
