//! One account: a Gladly organization, its bot, and the secret by which its
//! webhooks are told apart.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::Url;
use secrecy::SecretString;

use super::duration::parse_duration;
use super::policy::{Policy, read_policy};
use super::reader::{Section, Setting};
use crate::id::{AccountName, AgentId, InboxId};

/// The settings of one account.
#[derive(Debug, Clone)]
pub struct AccountConfig {
    /// Its name in logs, metrics and the store. `ACCOUNT_NAME`; default: the
    /// first part of the Gladly host, `acme` of `acme.gladly.com`.
    pub name: AccountName,
    /// Accepted values of `X-Account-Identifier`. `ACCOUNT_IDENTIFIER`.
    pub identifiers: Vec<SecretString>,
    /// HTTP Basic credentials that webhooks must also bring, if set.
    /// `ACCOUNT_WEBHOOK_USERNAME`, `ACCOUNT_WEBHOOK_PASSWORD`.
    pub webhook_credentials: Option<WebhookCredentials>,
    /// Conversations in which the bot thinks side by side.
    /// `ACCOUNT_MAX_CONCURRENT_QUESTIONS`.
    pub max_concurrent_questions: usize,
    /// Where its customers write.
    pub gladly: GladlyConfig,
    /// Its bot.
    pub gleen: GleenConfig,
    /// When to answer and when to hand off.
    pub policy: Policy,
}

/// HTTP Basic credentials on the webhook.
#[derive(Debug, Clone)]
pub struct WebhookCredentials {
    /// The user name.
    pub username: String,
    /// The password.
    pub password: SecretString,
}

/// Access to one Gladly organization.
#[derive(Debug, Clone)]
pub struct GladlyConfig {
    /// `GLADLY_URL`: the organization's address without a path.
    pub url: Url,
    /// `GLADLY_USERNAME`: the API user's email address.
    pub username: String,
    /// `GLADLY_API_TOKEN`.
    pub api_token: SecretString,
    /// `GLADLY_AI_INBOX_ID`: the bot answers what sits here.
    pub ai_inbox_id: InboxId,
    /// `GLADLY_HANDOFF_INBOX_ID`: humans answer what sits here.
    pub handoff_inbox_id: InboxId,
    /// `GLADLY_AGENT_ID`: the bot's own agent.
    pub agent_id: AgentId,
    /// `GLADLY_REQUESTS_PER_SECOND`: the organization's limit.
    pub requests_per_second: u32,
}

/// Access to one Gleen bot.
#[derive(Debug, Clone)]
pub struct GleenConfig {
    /// `GLEEN_URL`. It may have a path, as of a gateway.
    pub url: Url,
    /// `GLEEN_API_KEY`.
    pub api_key: SecretString,
    /// `GLEEN_TIMEOUT`: for one question.
    pub timeout: Duration,
    /// `GLEEN_REPLY_POINTER`: where the answer's text stands, if not in a usual field.
    pub reply_pointer: Option<String>,
    /// `GLEEN_HANDOFF_POINTER`: where the answer says "transfer to a human".
    pub handoff_pointer: Option<String>,
}

const NAME: Setting = Setting {
    key: "name",
    variable: Some("ACCOUNT_NAME"),
    write: "1 to 64 characters of A-Z, a-z, 0-9, . - and _, different for each account",
};
const IDENTIFIER: Setting = Setting {
    key: "identifier",
    variable: Some("ACCOUNT_IDENTIFIER"),
    write: "the value of X-Account-Identifier that this account's webhook sends",
};
const WEBHOOK_USERNAME: Setting = Setting {
    key: "webhook_username",
    variable: Some("ACCOUNT_WEBHOOK_USERNAME"),
    write: "the webhook's HTTP Basic user name, without a colon",
};
const WEBHOOK_PASSWORD: Setting = Setting {
    key: "webhook_password",
    variable: Some("ACCOUNT_WEBHOOK_PASSWORD"),
    write: "the webhook's HTTP Basic password",
};
const MAX_CONCURRENT_QUESTIONS: Setting = Setting {
    key: "max_concurrent_questions",
    variable: Some("ACCOUNT_MAX_CONCURRENT_QUESTIONS"),
    write: "a whole number from 1 to 1000",
};
const GLADLY_URL: Setting = Setting {
    key: "url",
    variable: Some("GLADLY_URL"),
    write: "the organization's address without a path, such as https://acme.gladly.com (plain http only to this machine)",
};
const GLADLY_USERNAME: Setting = Setting {
    key: "username",
    variable: Some("GLADLY_USERNAME"),
    write: "the API user's email address",
};
const GLADLY_API_TOKEN: Setting = Setting {
    key: "api_token",
    variable: Some("GLADLY_API_TOKEN"),
    write: "the API user's token",
};
const AI_INBOX_ID: Setting = Setting {
    key: "ai_inbox_id",
    variable: Some("GLADLY_AI_INBOX_ID"),
    write: "the id of the inbox that the bot answers, from its address in Gladly",
};
const HANDOFF_INBOX_ID: Setting = Setting {
    key: "handoff_inbox_id",
    variable: Some("GLADLY_HANDOFF_INBOX_ID"),
    write: "the id of the inbox that humans answer, from its address in Gladly",
};
const AGENT_ID: Setting = Setting {
    key: "agent_id",
    variable: Some("GLADLY_AGENT_ID"),
    write: "the id of the bot's own user, from its address in Gladly",
};
const REQUESTS_PER_SECOND: Setting = Setting {
    key: "requests_per_second",
    variable: Some("GLADLY_REQUESTS_PER_SECOND"),
    write: "the organization's limit, a whole number from 1 to 100000",
};
const GLEEN_URL: Setting = Setting {
    key: "url",
    variable: Some("GLEEN_URL"),
    write: "Gleen's address, such as https://api.gleen.ai (plain http only to this machine)",
};
const GLEEN_API_KEY: Setting = Setting {
    key: "api_key",
    variable: Some("GLEEN_API_KEY"),
    write: "the bot's API key",
};
const GLEEN_TIMEOUT: Setting = Setting {
    key: "timeout",
    variable: Some("GLEEN_TIMEOUT"),
    write: "a duration longer than 0s, such as 25s",
};
const REPLY_POINTER: Setting = Setting {
    key: "reply_pointer",
    variable: Some("GLEEN_REPLY_POINTER"),
    write: "a JSON pointer such as /data/answer",
};
const HANDOFF_POINTER: Setting = Setting {
    key: "handoff_pointer",
    variable: Some("GLEEN_HANDOFF_POINTER"),
    write: "a JSON pointer such as /data/transfer",
};

/// Every variable that speaks of one account, to tell when one is set although
/// the file holds several accounts.
pub(super) const VARIABLES: [&Setting; 17] = [
    &NAME,
    &IDENTIFIER,
    &WEBHOOK_USERNAME,
    &WEBHOOK_PASSWORD,
    &MAX_CONCURRENT_QUESTIONS,
    &GLADLY_URL,
    &GLADLY_USERNAME,
    &GLADLY_API_TOKEN,
    &AI_INBOX_ID,
    &HANDOFF_INBOX_ID,
    &AGENT_ID,
    &REQUESTS_PER_SECOND,
    &GLEEN_URL,
    &GLEEN_API_KEY,
    &GLEEN_TIMEOUT,
    &REPLY_POINTER,
    &HANDOFF_POINTER,
];

/// Reads one account. None if something required is missing or wrong, which
/// the section's mistakes then say.
pub(super) fn read_account(section: &Section<'_>, policy: &Policy) -> Option<AccountConfig> {
    let identifiers = section.require_secrets(&IDENTIFIER);
    let webhook_credentials = read_webhook_credentials(section);
    let max_concurrent_questions = section
        .get(&MAX_CONCURRENT_QUESTIONS, |text| {
            text.parse().ok().filter(|limit| (1..=1000).contains(limit))
        })
        .unwrap_or(64);
    let name = section.get(&NAME, parse_name);
    let gladly = read_gladly(&section.section("gladly"));
    let gleen = read_gleen(&section.section("gleen"));
    let policy = read_policy(&section.section("policy"), policy);
    section.finish();
    let (gladly, mut gleen) = (gladly?, gleen?);
    check_deadline(
        &section.section("gleen"),
        &mut gleen.timeout,
        policy.answer_deadline,
    );
    Some(AccountConfig {
        name: name.unwrap_or_else(|| default_name(&gladly.url)),
        identifiers,
        webhook_credentials,
        max_concurrent_questions,
        gladly,
        gleen,
        policy,
    })
}

/// Nobody waits for Gleen longer than for the answer: an ordinary wait is cut short,
/// one that was asked for is a mistake.
fn check_deadline(gleen: &Section<'_>, timeout: &mut Duration, deadline: Duration) {
    if deadline >= *timeout {
        return;
    }
    if gleen.gives(&GLEEN_TIMEOUT) {
        let what = format!(
            "{timeout:?}, longer than the answer deadline of {deadline:?}; \
             shorten GLEEN_TIMEOUT or raise RELAY_ANSWER_DEADLINE (`answer_deadline`)"
        );
        gleen.wrong(&GLEEN_TIMEOUT, &what);
    }
    *timeout = deadline;
}

fn read_webhook_credentials(section: &Section<'_>) -> Option<WebhookCredentials> {
    let username = section.get(&WEBHOOK_USERNAME, parse_username);
    let password = section.secret(&WEBHOOK_PASSWORD);
    match (username, password) {
        (Some(username), Some(password)) => Some(WebhookCredentials { username, password }),
        (None, None) => None,
        (Some(_), None) => {
            section.wrong(
                &WEBHOOK_PASSWORD,
                "missing, but the user name is given; give both or neither",
            );
            None
        }
        (None, Some(_)) => {
            section.wrong(
                &WEBHOOK_USERNAME,
                "missing, but the password is given; give both or neither",
            );
            None
        }
    }
}

fn read_gladly(section: &Section<'_>) -> Option<GladlyConfig> {
    let url = section.require(&GLADLY_URL, parse_organization);
    let username = section.require(&GLADLY_USERNAME, parse_username);
    let api_token = section.require_secret(&GLADLY_API_TOKEN);
    let ai_inbox_id = section.require(&AI_INBOX_ID, |text| InboxId::parse(text).ok());
    let handoff_inbox_id = section.require(&HANDOFF_INBOX_ID, |text| InboxId::parse(text).ok());
    let agent_id = section.require(&AGENT_ID, |text| AgentId::parse(text).ok());
    let requests_per_second = section
        .get(&REQUESTS_PER_SECOND, |text| {
            text.parse()
                .ok()
                .filter(|rate| (1..=100_000).contains(rate))
        })
        .unwrap_or(10);
    section.finish();
    if ai_inbox_id.is_some() && ai_inbox_id == handoff_inbox_id {
        section.wrong(
            &HANDOFF_INBOX_ID,
            "the same as the AI inbox; name the inbox that humans answer",
        );
        return None;
    }
    Some(GladlyConfig {
        url: url?,
        username: username?,
        api_token: api_token?,
        ai_inbox_id: ai_inbox_id?,
        handoff_inbox_id: handoff_inbox_id?,
        agent_id: agent_id?,
        requests_per_second,
    })
}

fn read_gleen(section: &Section<'_>) -> Option<GleenConfig> {
    let default_url = || parse_url("https://api.gleen.ai");
    let url = section.get(&GLEEN_URL, parse_url).or_else(default_url);
    let api_key = section.require_secret(&GLEEN_API_KEY);
    let timeout = section
        .get(&GLEEN_TIMEOUT, |text| {
            parse_duration(text).filter(|timeout| !timeout.is_zero())
        })
        .unwrap_or(Duration::from_secs(25));
    let reply_pointer = section.get(&REPLY_POINTER, parse_pointer);
    let handoff_pointer = section.get(&HANDOFF_POINTER, parse_pointer);
    section.finish();
    Some(GleenConfig {
        url: url?,
        api_key: api_key?,
        timeout,
        reply_pointer,
        handoff_pointer,
    })
}

/// A colon would end the user name in HTTP Basic (RFC 7617).
fn parse_username(text: &str) -> Option<String> {
    (!text.is_empty() && !text.contains(':')).then(|| text.to_owned())
}

/// RFC 6901: empty, or every reference token after a slash.
fn parse_pointer(text: &str) -> Option<String> {
    text.starts_with('/').then(|| text.to_owned())
}

fn parse_name(text: &str) -> Option<AccountName> {
    let sane = (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    sane.then(|| AccountName::new(text))
}

fn default_name(url: &Url) -> AccountName {
    let host = url.host_str().unwrap_or_default();
    let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    AccountName::new(if is_address {
        host
    } else {
        host.split('.').next().unwrap_or(host)
    })
}

/// Gladly's API stands at the root, and what is copied from a browser has a path.
fn parse_organization(text: &str) -> Option<Url> {
    parse_url(text).filter(|url| url.path() == "/")
}

/// An https address, or http to this machine. No user, password, query or fragment. The dot
/// that a complete host name may end in is left out: it makes no other organization.
pub fn parse_url(text: &str) -> Option<Url> {
    let mut url = Url::parse(text).ok()?;
    if let Some(host) = url.host_str()?.strip_suffix('.').map(str::to_owned) {
        url.set_host(Some(&host)).ok()?;
    }
    let host = url.host_str()?;
    let loopback = host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    let scheme_fits = url.scheme() == "https" || (url.scheme() == "http" && loopback);
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    (scheme_fits && plain).then_some(url)
}
