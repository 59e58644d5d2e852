//! The webhook resource: checking what a caller wants it to be, and showing it.

use axum::http::{HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use super::event::OTHER_EVENTS;
use super::options::GladlyOptions;
use super::problem::Problem;

#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) events: Vec<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) credentials: Option<(String, String)>,
    pub(crate) enabled: bool,
    pub(crate) disabled_at: Option<String>,
}

/// A webhook to register from Rust, where no `PING` is sent.
#[derive(Debug, Clone)]
pub struct WebhookSpec {
    /// Its name.
    pub name: String,
    /// Where events are posted.
    pub url: String,
    /// The types of the events it gets.
    pub events: Vec<String>,
    /// Headers on each delivery.
    pub headers: Vec<(String, String)>,
    /// HTTP Basic user name and password on each delivery.
    pub credentials: Option<(String, String)>,
}

impl WebhookSpec {
    /// The webhook of the setup guide: its events, today's and the older
    /// message event both, and the account's identifier as a header.
    pub fn relay(url: impl Into<String>, identifier: impl Into<String>) -> Self {
        let messages = ["CONTACT/MESSAGE_RECEIVED", "MESSAGE/RECEIVED"];
        Self {
            name: "Relay".to_owned(),
            url: url.into(),
            events: messages
                .iter()
                .chain(OTHER_EVENTS)
                .map(ToString::to_string)
                .collect(),
            headers: vec![("X-Account-Identifier".to_owned(), identifier.into())],
            credentials: None,
        }
    }
}

impl Webhook {
    pub(crate) fn new(id: String) -> Self {
        Self {
            id,
            name: String::new(),
            url: String::new(),
            events: Vec::new(),
            headers: Vec::new(),
            credentials: None,
            enabled: false,
            disabled_at: None,
        }
    }

    /// As the API shows it: headers and credentials are write-only.
    pub(crate) fn to_json(&self) -> Value {
        let keys: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        let mut shown = json!({
            "id": self.id, "name": self.name, "url": self.url, "events": self.events,
            "headerKeys": keys, "hasCredentials": self.credentials.is_some(), "enabled": self.enabled,
        });
        if let Some(disabled_at) = &self.disabled_at {
            shown["disabledAtDueToRetryLimit"] = json!(disabled_at);
        }
        shown
    }

    /// Takes over what `body` holds, checked; what it leaves out stays.
    pub(crate) fn merge(&mut self, body: &Value, options: &GladlyOptions) -> Result<(), Problem> {
        let body = body
            .as_object()
            .ok_or_else(|| Problem::malformed("not a JSON object"))?;
        if let Some(name) = body.get("name") {
            self.name = checked_name(name)?;
        }
        if let Some(url) = body.get("url") {
            self.url = checked_url(url)?;
        }
        if let Some(events) = body.get("events") {
            self.events = checked_events(events, options)?;
        }
        if let Some(headers) = body.get("headers") {
            self.headers = checked_headers(headers)?;
        }
        if let Some(credentials) = body.get("credentials") {
            self.credentials = checked_credentials(credentials)?;
        }
        if let Some(enabled) = body.get("enabled") {
            let invalid = || Problem::bad("enabled", "invalid", "enabled must be true or false");
            self.enabled = enabled.as_bool().ok_or_else(invalid)?;
        }
        Ok(())
    }

    /// What a webhook can't be without.
    pub(crate) fn require_all(body: &Value) -> Result<(), Problem> {
        for attr in ["name", "url", "events"] {
            if body.get(attr).is_none() {
                return Err(Problem::blank(attr));
            }
        }
        Ok(())
    }
}

fn checked_name(value: &Value) -> Result<String, Problem> {
    let name = value.as_str().filter(|name| !name.trim().is_empty());
    let name = name.ok_or_else(|| Problem::blank("name"))?;
    if name.chars().count() > 200 {
        let detail = "name cannot be larger than 200 characters";
        return Err(Problem::bad("name", "too_long", detail));
    }
    Ok(name.to_owned())
}

/// https, or http to this machine: the one rule that is laxer than Gladly's.
fn checked_url(value: &Value) -> Result<String, Problem> {
    let invalid = || Problem::bad("url", "invalid", "url must be an https URL");
    let text = value.as_str().ok_or_else(invalid)?;
    let url = reqwest::Url::parse(text).map_err(|_| invalid())?;
    let loopback = match url.host_str() {
        Some("localhost" | "[::1]") => true,
        Some(host) => host.starts_with("127."),
        None => return Err(invalid()),
    };
    let allowed = url.scheme() == "https" || (url.scheme() == "http" && loopback);
    if allowed {
        Ok(text.to_owned())
    } else {
        Err(invalid())
    }
}

fn checked_events(value: &Value, options: &GladlyOptions) -> Result<Vec<String>, Problem> {
    let events = value.as_array().filter(|events| !events.is_empty());
    let events = events.ok_or_else(|| Problem::blank("events"))?;
    let known = |kind: &str| {
        let exists = OTHER_EVENTS.contains(&kind) || options.message_events.kinds().contains(&kind);
        exists
            && !options
                .unknown_events
                .kinds
                .iter()
                .any(|event| event == kind)
    };
    events
        .iter()
        .map(|event| match event.as_str() {
            Some(kind) if known(kind) => Ok(kind.to_owned()),
            _ => Err(Problem::bad(
                "events",
                "invalid",
                if options.unknown_events.are_unnamed {
                    "an event is not known".to_owned()
                } else {
                    format!("event {event} is not known")
                },
            )),
        })
        .collect()
}

fn checked_headers(value: &Value) -> Result<Vec<(String, String)>, Problem> {
    let invalid = || {
        Problem::bad(
            "headers",
            "invalid",
            "headers must be names with string values",
        )
    };
    let headers: &Map<String, Value> = value.as_object().ok_or_else(invalid)?;
    let checked = headers.iter().map(|(name, value)| {
        let value = value.as_str().ok_or_else(invalid)?;
        HeaderName::try_from(name).map_err(|_| invalid())?;
        HeaderValue::try_from(value).map_err(|_| invalid())?;
        Ok((name.clone(), value.to_owned()))
    });
    checked.collect()
}

fn checked_credentials(value: &Value) -> Result<Option<(String, String)>, Problem> {
    if value.is_null() {
        return Ok(None);
    }
    let part = |name: &str| {
        let text = value[name].as_str().filter(|text| !text.is_empty());
        text.map(ToOwned::to_owned)
            .ok_or_else(|| Problem::blank(&format!("credentials.{name}")))
    };
    Ok(Some((part("username")?, part("password")?)))
}
