//! Carries a plan out, and says why Gladly refused it.

use reqwest::Url;
use serde_json::{Value, json};

use super::plan::{Plan, Step};
use crate::check::find_ours;
use crate::gladly::{Client, MESSAGE_EVENTS, NoAnswer, Precedence, Registration};
use crate::upstream::Seen;

/// How carrying it out ended: the events that Gladly took, if they were
/// written, or why it refused.
pub type Synced<Events = Option<Vec<String>>> = Result<Events, String>;

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

/// Carries a plan out. An organization's API may not know every event: then the
/// webhook goes without it, and all the rest is done.
pub async fn sync(client: &Client, plan: &Plan, url: &Url) -> Synced {
    let carrying = Carrying { client, plan, url };
    let Some(all) = &plan.events else {
        carrying.must(None).await?;
        return Ok(None);
    };
    let taken = match carrying.whole(all).await? {
        Some(taken) => taken,
        None => carrying.one_by_one(all).await?,
    };
    if MESSAGE_EVENTS.iter().any(|event| holds(&taken, event)) {
        Ok(Some(taken))
    } else {
        Err(no_messages())
    }
}

fn no_messages() -> String {
    let [today, older] = MESSAGE_EVENTS;
    format!("Gladly takes neither {today} nor {older}, so no message would arrive; ask Gladly")
}

fn holds(events: &[String], event: &str) -> bool {
    events.iter().any(|held| held == event)
}

/// A plan being carried out.
struct Carrying<'a> {
    client: &'a Client,
    plan: &'a Plan,
    url: &'a Url,
}

impl Carrying<'_> {
    /// Tries them all, then without those that Gladly names or, if it names none,
    /// without one of the two events for messages. What it took, if anything.
    async fn whole(&self, all: &[String]) -> Result<Option<Vec<String>>, String> {
        let mut events = all.to_vec();
        let refused = loop {
            match self.try_with(Some(&events)).await? {
                Tried::Taken(_) => return Ok(Some(events)),
                Tried::NotThese(seen) => match named_event(&seen, &events) {
                    Some(named) if events.len() > 1 => events.remove(named),
                    _ => break events,
                },
            };
        };
        for event in MESSAGE_EVENTS.iter().rev() {
            let mut events = refused.clone();
            events.retain(|other| other != event);
            if events.is_empty() || events.len() == refused.len() {
                continue;
            }
            if let Tried::Taken(_) = self.try_with(Some(&events)).await? {
                return Ok(Some(events));
            }
        }
        Ok(None)
    }

    /// Does what needs no new events, then adds them each by itself.
    async fn one_by_one(&self, all: &[String]) -> Synced<Vec<String>> {
        let (mut taken, id) = match &self.plan.step {
            Step::Create => self.create_with_one().await?,
            Step::Repair(id) | Step::Confirm(id) => {
                self.must(None).await?;
                (all[..self.plan.subscribed].to_vec(), id.clone())
            }
        };
        for event in all {
            if holds(&taken, event) {
                continue;
            }
            taken.push(event.clone());
            let body = json!({ "events": taken });
            let answer = self.client.change_webhook(&id, &body).await;
            if let Tried::NotThese(_) = self.judge(answer)? {
                taken.pop();
            }
        }
        Ok(taken)
    }

    /// Makes the webhook with the first event that Gladly takes: it must have one.
    async fn create_with_one(&self) -> Result<(Vec<String>, String), String> {
        for event in MESSAGE_EVENTS {
            let events = vec![event.to_owned()];
            if let Tried::Taken(_) = self.try_with(Some(&events)).await? {
                let existing = look_up(self.client, Precedence::Fetch).await?;
                let ours = find_ours(&existing, self.url);
                let id = ours.map(|webhook| webhook.id.clone());
                return Ok((events, id.ok_or("it was made, but with one event only; run this again, which adds the others")?));
            }
        }
        Err(no_messages())
    }

    async fn must(&self, events: Option<&[String]>) -> Result<Seen, String> {
        match self.try_with(events).await? {
            Tried::Taken(seen) => Ok(seen),
            Tried::NotThese(seen) => Err(why_refused(&seen, self.url)),
        }
    }

    async fn try_with(&self, events: Option<&[String]>) -> Result<Tried, String> {
        let body = self.plan.body(events);
        self.judge(match &self.plan.step {
            Step::Create => self.client.create_webhook(&body).await,
            Step::Repair(id) | Step::Confirm(id) => self.client.change_webhook(id, &body).await,
        })
    }

    fn judge(&self, answer: Result<Seen, NoAnswer>) -> Result<Tried, String> {
        let seen = answer.map_err(|NoAnswer(what)| {
            format!("Gladly gives no answer: {what}; run it again, which does no harm")
        })?;
        match seen.status {
            201 | 204 => Ok(Tried::Taken(seen)),
            _ if is_about(&seen, "events") => Ok(Tried::NotThese(seen)),
            _ => Err(why_refused(&seen, self.url)),
        }
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

/// What came of trying a set of events.
enum Tried {
    Taken(Seen),
    /// Gladly does not know one of them.
    NotThese(Seen),
}

/// Which of these an error names: by its place, or alone of all by its name. An
/// error that names several may list those that are known.
fn named_event(seen: &Seen, events: &[String]) -> Option<usize> {
    errors(seen).find_map(|error| {
        let attr = error["attr"].as_str()?.strip_prefix("events")?;
        let place = attr
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        if let Some(place) = place.and_then(|place| place.parse().ok()) {
            return (place < events.len()).then_some(place);
        }
        let detail = error["detail"].as_str().unwrap_or_default();
        let mut named = (0..events.len()).filter(|place| detail.contains(&events[*place]));
        named.next().filter(|_| named.next().is_none())
    })
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
