//! What is to be done so that Gladly's webhook leads to this relay. Pure.
//!
//! Only a webhook with exactly our address is touched. What Gladly does not show
//! (headers' values, credentials) can't be compared, so it is written each time.

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::check::{IDENTIFIER_HEADER, find_ours};
use crate::config::{AccountConfig, WebhookCredentials};
use crate::gladly::{MESSAGE_EVENTS, OTHER_EVENTS, Registration};

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A webhook is made.
    Create,
    /// The webhook with this id is changed.
    Repair(String),
    /// The one with this id is right as far as Gladly shows it; what it does not
    /// show is written again.
    Confirm(String),
}

impl Step {
    /// Its word.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Repair(_) => "repair",
            Self::Confirm(_) => "confirm",
        }
    }
}

/// What is to be done for one account. Holds secrets, so it has no `Debug`.
#[derive(Clone)]
pub struct Plan {
    /// What is done.
    pub step: Step,
    /// It in words, one for each change.
    pub changes: Vec<String>,
    /// The events to subscribe to, as far as Gladly takes them, those first that
    /// are subscribed already. None if they stay as they are.
    pub events: Option<Vec<String>>,
    /// How many of them are subscribed already.
    pub subscribed: usize,
    /// What only a person can do, in words.
    pub by_hand: Option<String>,
    name: Option<String>,
    url: Url,
    enable: bool,
    identifier: Option<SecretString>,
    credentials: Option<WebhookCredentials>,
}

impl Plan {
    /// The body of the call that carries it out, with these events.
    pub fn body(&self, events: Option<&[String]>) -> Value {
        let mut body = json!({});
        if let Some(name) = &self.name {
            body["name"] = json!(name);
            body["url"] = json!(self.url.as_str());
        }
        if let Some(events) = events {
            body["events"] = json!(events);
        }
        if let Some(identifier) = &self.identifier {
            body["headers"] = json!({ IDENTIFIER_HEADER: identifier.expose_secret() });
        }
        if let Some(WebhookCredentials { username, password }) = &self.credentials {
            body["credentials"] =
                json!({ "username": username, "password": password.expose_secret() });
        }
        if self.enable {
            body["enabled"] = json!(true);
        }
        body
    }
}

/// Plans for one account, whose Gladly has these webhooks.
pub fn plan(existing: &[Registration], url: &Url, account: &AccountConfig) -> Plan {
    match find_ours(existing, url) {
        Some(webhook) => plan_repair(webhook, url, account),
        None => plan_creation(url, account),
    }
}

fn plan_creation(url: &Url, account: &AccountConfig) -> Plan {
    let name = format!("gladly-relay ({})", account.name);
    let mut changes = vec![
        format!("make the webhook \"{name}\" for {url}, switched on"),
        format!("header {IDENTIFIER_HEADER}"),
    ];
    if account.webhook_credentials.is_some() {
        changes.push("user name and password".to_owned());
    }
    changes.push(format!("events {}", in_words(&all_events())));
    Plan {
        step: Step::Create,
        changes,
        events: Some(all_events()),
        subscribed: 0,
        name: Some(name),
        url: url.clone(),
        enable: true,
        by_hand: None,
        identifier: account.identifiers.first().cloned(),
        credentials: account.webhook_credentials.clone(),
    }
}

fn plan_repair(webhook: &Registration, url: &Url, account: &AccountConfig) -> Plan {
    let mut visible = Vec::new();
    if !webhook.enabled {
        visible.push("switch it on".to_owned());
    }
    let wanted = std::iter::once(MESSAGE_EVENTS[0]).chain(OTHER_EVENTS);
    let missing: Vec<&str> = wanted.filter(|event| !webhook.has(event)).collect();
    if !missing.is_empty() {
        visible.push(format!(
            "add events {}, as far as Gladly takes them",
            missing.join(", ")
        ));
    }
    if account.webhook_credentials.is_some() && !webhook.has_credentials {
        visible.push("add user name and password".to_owned());
    }
    let mut keys = webhook.header_keys.iter();
    let has_others = keys.any(|key| !key.eq_ignore_ascii_case(IDENTIFIER_HEADER));
    let lacks_identifier = !webhook.sends(IDENTIFIER_HEADER);
    if lacks_identifier && !has_others {
        visible.push(format!("add header {IDENTIFIER_HEADER}"));
    }
    let id = webhook.id.clone();
    let step = if visible.is_empty() {
        Step::Confirm(id)
    } else {
        Step::Repair(id)
    };
    let mut changes = visible;
    if has_others {
        changes.push(format!(
            "leave its headers: it has more than {IDENTIFIER_HEADER}, whose values Gladly does not show"
        ));
    } else if !lacks_identifier {
        changes.push(format!(
            "write {IDENTIFIER_HEADER} again, for Gladly does not show its value"
        ));
    }
    let by_hand = (has_others && lacks_identifier).then(|| {
        format!(
            "the webhook has headers, but no {IDENTIFIER_HEADER}: add it in Gladly by hand, with ACCOUNT_IDENTIFIER as its value, or the relay refuses all it brings"
        )
    });
    Plan {
        step,
        changes,
        events: (!missing.is_empty()).then(|| with_all_events(&webhook.events)),
        subscribed: webhook.events.len(),
        name: None,
        url: url.clone(),
        enable: !webhook.enabled,
        identifier: account.identifiers.first().filter(|_| !has_others).cloned(),
        by_hand,
        credentials: account.webhook_credentials.clone(),
    }
}

/// All events that the relay uses, today's and the older one for messages.
fn all_events() -> Vec<String> {
    let all = MESSAGE_EVENTS.iter().chain(&OTHER_EVENTS);
    all.map(ToString::to_string).collect()
}

fn with_all_events(subscribed: &[String]) -> Vec<String> {
    let mut all = subscribed.to_vec();
    let added = all_events().into_iter();
    all.extend(added.filter(|event| !subscribed.contains(event)));
    all
}

fn in_words(events: &[String]) -> String {
    format!("{}, as far as Gladly takes them", events.join(", "))
}
