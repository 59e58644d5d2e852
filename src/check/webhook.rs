//! Whether Gladly's webhook leads to this relay and tells it enough.

use reqwest::Url;

use super::finding::{Category, Finding, shown};
use super::gladly::not_answered;
use crate::config::AccountConfig;
use crate::gladly::{MESSAGE_EVENTS, NoAnswer, OTHER_EVENTS, Registration};
use crate::id::AccountName;
use crate::upstream::Seen;

/// The header that tells whose webhook it is.
pub const IDENTIFIER_HEADER: &str = "X-Account-Identifier";
/// What to do about nearly everything here.
const SYNC: &str = "run `gladly-relay webhooks sync`";

/// Judges the answer to `GET /webhooks`. The webhook at our address is that of the
/// `first` account of the organization, if this is another.
pub(super) fn judge_webhooks(
    answer: &Result<Seen, NoAnswer>,
    account: &AccountConfig,
    public_url: Option<&Url>,
    first: Option<&AccountName>,
) -> Vec<Finding> {
    let about = Category::Webhook;
    let seen = match answer {
        Ok(seen) if seen.is_success() => seen,
        Ok(seen) if seen.status == 403 => {
            return vec![Finding::failure(
                about,
                "the user may not see webhooks, so neither `webhooks sync` nor this command can",
                "give the API user the role Team Manager or Administrator",
            )];
        }
        other => return vec![not_answered(about, "the list of webhooks", other)],
    };
    let Some(all) = Registration::read_all(&seen.body) else {
        return vec![not_answered(about, "the list of webhooks", answer)];
    };
    let Some(url) = public_url else {
        return vec![without_url(&all)];
    };
    if let Some(first) = first {
        let what = format!(
            "whether it has a webhook can't be told: the one that leads to {url} is {first}'s"
        );
        let mend = "see in Gladly that it has one, with its own identifier and another host name that leads to this relay";
        return vec![Finding::warning(about, what, mend)];
    }
    match find_ours(&all, url) {
        Some(webhook) => judge_ours(webhook, account),
        None => vec![Finding::failure(
            about,
            format!("none of Gladly's {} webhooks leads to {url}", all.len()),
            format!("start the relay, then {SYNC}"),
        )],
    }
}

/// The webhook with exactly our address.
pub fn find_ours<'a>(all: &'a [Registration], url: &Url) -> Option<&'a Registration> {
    let is_ours = |webhook: &&Registration| Url::parse(&webhook.url).is_ok_and(|its| its == *url);
    all.iter().find(is_ours)
}

fn without_url(all: &[Registration]) -> Finding {
    let likely = all
        .iter()
        .filter(|webhook| webhook.sends(IDENTIFIER_HEADER));
    let likely: Vec<String> = likely.map(|webhook| shown(&webhook.url)).collect();
    let what = if likely.is_empty() {
        format!("no webhook in Gladly sends {IDENTIFIER_HEADER}")
    } else {
        format!(
            "webhooks that send {IDENTIFIER_HEADER}: {}",
            likely.join(", ")
        )
    };
    Finding::warning(
        Category::Webhook,
        format!("{what}; which of them is this relay's can't be told"),
        "set RELAY_PUBLIC_URL",
    )
}

fn judge_ours(webhook: &Registration, account: &AccountConfig) -> Vec<Finding> {
    let about = Category::Webhook;
    let name = shown(&webhook.name);
    let mut findings = vec![judge_enabled(webhook, &name)];
    if !webhook.sends(IDENTIFIER_HEADER) {
        let what = format!("{name} sends no {IDENTIFIER_HEADER}: the relay refuses all it brings");
        findings.push(Finding::failure(about, what, SYNC));
    }
    if account.webhook_credentials.is_some() && !webhook.has_credentials {
        let what = format!(
            "{name} brings no user name and password, but ACCOUNT_WEBHOOK_USERNAME demands them"
        );
        findings.push(Finding::failure(about, what, SYNC));
    }
    findings.push(judge_events(webhook, &name));
    findings
}

fn judge_enabled(webhook: &Registration, name: &str) -> Finding {
    let about = Category::Webhook;
    let mend = format!(
        "mend why; a relay that runs with RELAY_PUBLIC_URL switches it on again, else {SYNC}"
    );
    match &webhook.switched_off_at {
        _ if webhook.enabled => Finding::ok(about, format!("{name} leads here and is on")),
        Some(at) => Finding::failure(
            about,
            format!(
                "Gladly switched {name} off at {} because deliveries failed: nothing is delivered",
                shown(at)
            ),
            mend,
        ),
        None => Finding::failure(
            about,
            format!("{name} is switched off: nothing is delivered"),
            SYNC,
        ),
    }
}

fn judge_events(webhook: &Registration, name: &str) -> Finding {
    let about = Category::Webhook;
    if !webhook.tells_of_messages() {
        let what = format!("{name} does not tell of messages ({})", MESSAGE_EVENTS[0]);
        return Finding::failure(about, what, SYNC);
    }
    let missing = OTHER_EVENTS.iter().filter(|event| !webhook.has(event));
    let missing: Vec<&str> = missing.copied().collect();
    if missing.is_empty() {
        return Finding::ok(about, format!("{name} has every event that the relay uses"));
    }
    Finding::warning(
        about,
        format!("{name} lacks events: {}", missing.join(", ")),
        SYNC,
    )
}
