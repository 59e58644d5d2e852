//! What the settings show by themselves: right as far as they go, but perhaps
//! not what was meant.

use std::time::Duration;

use reqwest::Url;
use secrecy::ExposeSecret;

use super::finding::{Category, Finding};
use crate::config::{AccountConfig, Config};
use crate::id::AccountName;

/// As many characters as 128 bits have in hexadecimal digits.
const LONG_IDENTIFIER: usize = 32;
/// What Gladly needs of the deadline, beside the question: a look, the reply,
/// perhaps a second try.
const ROOM_FOR_GLADLY: Duration = Duration::from_secs(10);
/// Where the relay takes webhooks.
pub(super) const WEBHOOK_PATH: &str = "/webhooks/gladly";

/// Judges the settings alone.
pub fn judge_configuration(config: &Config) -> Vec<Finding> {
    let mut findings = vec![store_path(config), public_url(config.public_url.as_ref())];
    findings.extend(sweep(config.sweep_interval));
    for account in &config.accounts {
        let of_account = [deadline(account), identifiers(account)];
        findings.extend(of_account.map(|finding| finding.of(&account.name)));
    }
    findings.extend(conflicting(&config.accounts).into_iter().map(shared));
    findings
}

fn shared((account, first): (&AccountName, &AccountName)) -> Finding {
    let what = format!(
        "it is of the same organization as {first}, in which Gladly allows the relay's address once"
    );
    let mend = "see that its webhook uses another host name that leads to this relay";
    Finding::warning(Category::Configuration, what, mend).of(account)
}

/// The accounts that can't have a webhook of their own for our one address,
/// because Gladly allows it once in an organization: each with who has it.
pub fn conflicting(accounts: &[AccountConfig]) -> Vec<(&AccountName, &AccountName)> {
    let mut conflicts = Vec::new();
    for (index, account) in accounts.iter().enumerate() {
        let organization = account.gladly.url.origin();
        let same = |other: &&AccountConfig| other.gladly.url.origin() == organization;
        if let Some(first) = accounts[..index].iter().find(same) {
            conflicts.push((&account.name, &first.name));
        }
    }
    conflicts
}

/// Two slashes begin a path that is relative to wherever the relay is started.
fn store_path(config: &Config) -> Finding {
    let about = Category::Configuration;
    let relative = config.store.path().filter(|path| !path.is_absolute());
    let Some(path) = relative else {
        return Finding::ok(about, format!("the database is {}", config.store));
    };
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    Finding::warning(
        about,
        format!(
            "the database's path is relative to the working directory, so here it is {}",
            path.display()
        ),
        format!(
            "write RELAY_STORE=sqlite://{}, with three slashes",
            path.display()
        ),
    )
}

fn public_url(url: Option<&Url>) -> Finding {
    let about = Category::PublicUrl;
    let Some(url) = url else {
        return Finding::warning(
            about,
            "not set, so nobody can tell whether Gladly's webhook leads here, nor switch it on again",
            format!("set RELAY_PUBLIC_URL, such as https://relay.example.com{WEBHOOK_PATH}"),
        );
    };
    if url.scheme() != "https" {
        return Finding::warning(
            about,
            format!("{url} is this machine alone: Gladly can't reach it"),
            "set RELAY_PUBLIC_URL to its https address, unless Gladly is simulated here",
        );
    }
    if url.path() != WEBHOOK_PATH {
        return Finding::warning(
            about,
            format!("{url} does not end in {WEBHOOK_PATH}, where the relay takes webhooks"),
            "set RELAY_PUBLIC_URL to the whole address, unless a proxy changes the path",
        );
    }
    Finding::ok(about, format!("{url}"))
}

fn sweep(interval: Duration) -> Option<Finding> {
    interval.is_zero().then(|| {
        Finding::warning(
            Category::Configuration,
            "events that no webhook brings are not looked for, and a webhook that Gladly switches off stays off",
            "unset RELAY_SWEEP_INTERVAL (`sweep_interval`), or write 5m",
        )
    })
}

fn deadline(account: &AccountConfig) -> Finding {
    let about = Category::Configuration;
    let (deadline, timeout) = (account.policy.answer_deadline, account.gleen.timeout);
    let what = format!("customers wait at most {deadline:?}, of which {timeout:?} are Gleen's");
    if deadline.saturating_sub(timeout) < ROOM_FOR_GLADLY {
        let mend = format!(
            "leave Gladly {ROOM_FOR_GLADLY:?}: shorten GLEEN_TIMEOUT or raise RELAY_ANSWER_DEADLINE (`answer_deadline`)"
        );
        return Finding::warning(about, what, mend);
    }
    Finding::ok(about, what)
}

/// The identifier is all that shows a webhook to be Gladly's.
fn identifiers(account: &AccountConfig) -> Finding {
    let about = Category::Configuration;
    let short = |identifier: &&secrecy::SecretString| {
        identifier.expose_secret().chars().count() < LONG_IDENTIFIER
    };
    let (all, short) = (
        account.identifiers.len(),
        account.identifiers.iter().filter(short).count(),
    );
    if short == 0 {
        return Finding::ok(
            about,
            format!("identifiers accepted: {all}, none of them short"),
        );
    }
    Finding::warning(
        about,
        format!(
            "{short} of {all} identifiers shorter than {LONG_IDENTIFIER} characters, so it may be guessed"
        ),
        "issue a new ACCOUNT_IDENTIFIER: openssl rand -hex 32",
    )
}
