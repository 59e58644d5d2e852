//! What an operator is shown of an account beside what waits in the store: plain
//! values of this process.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Url;

use super::{Account, Relay};
use crate::id::{AccountName, ConversationId};

/// Whether Gladly's webhook brings what happens, as of the last look at it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WebhookState {
    /// It leads here and is on.
    Enabled,
    /// It is there, and off.
    Disabled,
    /// None leads here.
    Missing,
    /// Nobody has looked, or Gladly did not say.
    #[default]
    Unknown,
}

impl WebhookState {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        }
    }

    /// For the gauge; none while it is not known.
    pub const fn is_enabled(self) -> Option<bool> {
        match self {
            Self::Enabled => Some(true),
            Self::Disabled | Self::Missing => Some(false),
            Self::Unknown => None,
        }
    }
}

/// An account as this process knows it now.
#[derive(Debug, Clone)]
pub struct AccountState {
    /// Whose.
    pub name: AccountName,
    /// The relay that runs its turns, by its name.
    pub driven_by: Option<String>,
    /// Gleen failed too often and is not asked.
    pub breaker_open: bool,
    /// Gladly refuses the account's API user.
    pub locked_out: bool,
    /// Its webhook in Gladly.
    pub webhook: WebhookState,
    /// When Gladly's last webhook came; none since the start.
    pub last_event_at: Option<Timestamp>,
    /// How much of Gladly's limit its organization has used lately; 1 is all of it.
    pub limit_used: f64,
    /// From a message's arrival to an answer or a human.
    pub answer_deadline: Duration,
    /// Where its people work in Gladly.
    pub gladly_url: Url,
}

impl AccountState {
    /// The page of a conversation in Gladly.
    pub fn page_of(&self, conversation_id: &ConversationId) -> String {
        format!("{}conversation/{conversation_id}", self.gladly_url)
    }
}

/// What was seen of an account from outside.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<Sights>);

#[derive(Debug, Default)]
struct Sights {
    webhook: WebhookState,
    last_event_at: Option<Timestamp>,
}

impl Seen {
    /// A webhook came.
    pub(super) fn heard(&self, at: Timestamp) {
        self.sights().last_event_at = Some(at);
    }

    /// Somebody has looked at the webhook in Gladly. True if it was not so before.
    pub(super) fn webhook(&self, found: WebhookState) -> bool {
        std::mem::replace(&mut self.sights().webhook, found) != found
    }

    fn sights(&self) -> MutexGuard<'_, Sights> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    fn state(&self) -> AccountState {
        let driven_by = self.driven_by.lock();
        let driven_by = driven_by.unwrap_or_else(PoisonError::into_inner).clone();
        let breaker = self.breaker.lock();
        let breaker_open = breaker.unwrap_or_else(PoisonError::into_inner).is_open();
        let sights = self.seen.sights();
        AccountState {
            name: self.name.clone(),
            driven_by,
            breaker_open,
            locked_out: self.gladly.is_locked_out(),
            webhook: sights.webhook,
            last_event_at: sights.last_event_at,
            limit_used: self.gladly.used_ratio(),
            answer_deadline: self.policy.answer_deadline,
            gladly_url: self.gladly_url.clone(),
        }
    }
}

impl Relay {
    /// All accounts, by name.
    pub fn states(&self) -> Vec<AccountState> {
        let states = self.accounts.values();
        states.map(|account| account.state()).collect()
    }

    /// One account; none if it is not configured.
    pub fn state(&self, account: &AccountName) -> Option<AccountState> {
        Some(self.accounts.get(account)?.state())
    }
}
