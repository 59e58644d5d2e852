//! Carries a plan out, and says why Gladly refused it.

use reqwest::Url;
use serde_json::Value;

use super::plan::{Plan, Step};
use crate::gladly::{Client, NoAnswer, Precedence, Registration};
use crate::upstream::Seen;

/// How carrying it out ended: the events that Gladly took, if they were
/// written, or why it refused.
pub type Synced = Result<Option<Vec<String>>, String>;

/// The webhooks that Gladly has.
///
/// # Errors
/// Why it does not tell, for the operator.
pub async fn look_up(client: &Client, precedence: Precedence) -> Result<Vec<Registration>, String> {
    let seen = match client.see_webhooks(precedence).await {
        Ok(seen) if seen.is_success() => seen,
        Ok(seen) => return Err(why_not(seen.status)),
        Err(NoAnswer(what)) => return Err(format!("Gladly gives no answer: {what}")),
    };
    Registration::read_all(&seen.body)
        .ok_or_else(|| "Gladly's answer is no list of webhooks; see GLADLY_URL".to_owned())
}

/// Carries a plan out. Where Gladly does not know an event, the next set is tried.
pub async fn sync(client: &Client, plan: &Plan, url: &Url) -> Synced {
    let mut sets = plan.events.iter();
    let mut events = sets.next();
    loop {
        let body = plan.body(events.map(Vec::as_slice));
        let answer = match &plan.step {
            Step::Create => client.create_webhook(&body).await,
            Step::Repair(id) | Step::Confirm(id) => client.change_webhook(id, &body).await,
        };
        let seen = answer.map_err(|NoAnswer(what)| {
            format!("Gladly gives no answer: {what}; run it again, which does no harm")
        })?;
        if matches!(seen.status, 201 | 204) {
            return Ok(events.cloned());
        }
        let next = sets.next().filter(|_| is_about(&seen, "events"));
        if next.is_none() {
            return Err(why_refused(&seen, url));
        }
        events = next;
    }
}

/// Switches the webhook with this id on; it leads to `url`.
///
/// # Errors
/// Why Gladly did not, for the operator.
pub async fn switch_on(client: &Client, id: &str, url: &Url) -> Result<(), String> {
    match client.switch_webhook_on(id).await {
        Ok(seen) if seen.status == 204 => Ok(()),
        Ok(seen) => Err(why_refused(&seen, url)),
        Err(NoAnswer(what)) => Err(format!("Gladly gives no answer: {what}")),
    }
}

fn why_not(status: u16) -> String {
    match status {
        401 => "Gladly refuses the user or its token; see GLADLY_USERNAME and GLADLY_API_TOKEN".to_owned(),
        403 => "the user may not see to webhooks; give it the role Team Manager or Administrator in Gladly".to_owned(),
        404 => "Gladly does not know what was asked for; see GLADLY_URL, then run it again".to_owned(),
        429 => "the organization's calls are used up at present; run it again".to_owned(),
        status => format!("Gladly answers with status {status}; run it again later"),
    }
}

fn why_refused(seen: &Seen, url: &Url) -> String {
    if !matches!(seen.status, 400 | 422) {
        return why_not(seen.status);
    }
    let named: Vec<String> = errors(seen).map(named).collect();
    let named = named.join(", ");
    if errors(seen).any(|error| error["code"] == "taken") {
        return format!("Gladly says that {url} is taken ({named}); see `webhooks list`");
    }
    let about_address = is_about(seen, "url") || mentions_ping(seen) || named.is_empty();
    if about_address {
        return format!(
            "Gladly did not get the answer 200 to its PING from {url}: the relay must be running and reachable there, with these settings; start it, see that `{url}` answers from outside, then run this again ({named})"
        );
    }
    format!("Gladly refuses the webhook: {named}")
}

fn errors(seen: &Seen) -> impl Iterator<Item = &Value> {
    let errors = seen.body.get("errors").and_then(Value::as_array);
    errors.into_iter().flatten()
}

fn is_about(seen: &Seen, attribute: &str) -> bool {
    let about = |error: &Value| {
        let attr = error["attr"].as_str().unwrap_or_default();
        attr == attribute || attr.starts_with(&format!("{attribute}["))
    };
    errors(seen).any(about)
}

fn mentions_ping(seen: &Seen) -> bool {
    let mentions = |error: &Value| {
        let detail = error["detail"].as_str().unwrap_or_default();
        detail.to_lowercase().contains("ping")
    };
    errors(seen).any(mentions)
}

/// What an error is about. Its `detail` is left out: it may repeat a secret.
fn named(error: &Value) -> String {
    let word = |name: &str| {
        let text = error[name].as_str().unwrap_or("-");
        let sane = text.len() <= 64 && text.bytes().all(|b| b.is_ascii_graphic());
        if sane {
            text.to_owned()
        } else {
            "-".to_owned()
        }
    };
    format!("{} {}", word("attr"), word("code"))
}
