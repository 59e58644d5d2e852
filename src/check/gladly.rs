//! What Gladly's answers mean for the account's settings.

use reqwest::header::HeaderMap;
use serde_json::Value;

use super::finding::{Category, Finding, shown};
use super::words::in_plain_words;
use crate::config::GladlyConfig;
use crate::gladly::{Deed, NoAnswer};
use crate::upstream::Seen;

/// Words by which an inbox is a bot's.
const BOTS_WORDS: [&str; 7] = [
    "ai",
    "bot",
    "chatbot",
    "gleen",
    "alhena",
    "virtual",
    "automated",
];

type Answer = Result<Seen, NoAnswer>;

/// Whether Gladly is there and takes the token. Unless it does, there is no
/// point in asking on.
pub(super) fn judge_organization(
    answer: &Answer,
    config: &GladlyConfig,
) -> Result<Finding, Finding> {
    let about = Category::Gladly;
    let url = &config.url;
    let failure = |what: String, mend: &str| Err(Finding::failure(about, what, mend));
    let seen = match answer {
        Ok(seen) => seen,
        Err(NoAnswer(what)) => {
            let what = format!("{url} gives no answer: {}", in_plain_words(what));
            return failure(what, "mend it, or set GLADLY_URL (`url`)");
        }
    };
    let name = text(&seen.body, "name");
    match (seen.status, text(&seen.body, "id")) {
        (200..=299, Some(_)) => Ok(Finding::ok(
            about,
            format!(
                "{url} takes the token: organization {}",
                shown(name.unwrap_or_default())
            ),
        )),
        (200..=404, _) if ![401, 403].contains(&seen.status) => failure(
            format!(
                "what answers at {url} is not Gladly's API (status {})",
                seen.status
            ),
            "set GLADLY_URL (`url`) to https://ORGANIZATION.gladly.com",
        ),
        (401, _) => failure(
            format!("Gladly refuses the user {} or its token", config.username),
            "set GLADLY_USERNAME (`username`) to the API user's email and GLADLY_API_TOKEN (`api_token`) to a token that this user has created",
        ),
        (403, _) => failure(
            format!("the user {} may not use the API", config.username),
            "give it the role API User in Gladly",
        ),
        (429, _) => failure(
            "the organization's calls are used up at present".to_owned(),
            "try again; if it stays so, its other API clients use them",
        ),
        (status, _) => failure(
            format!("Gladly answers with status {status}"),
            "try again; if it stays so, ask Gladly",
        ),
    }
}

/// Whether Gladly tells its rate, which the relay keeps to.
pub(super) fn judge_rate(headers: &HeaderMap, configured: u32) -> Finding {
    let about = Category::Gladly;
    let number = |name| headers.get(name)?.to_str().ok()?.trim().parse::<u32>().ok();
    let Some(limit) = number("ratelimit-limit-second") else {
        return Finding::warning(
            about,
            "Gladly's answers don't tell its rate (Ratelimit-Limit-Second)",
            format!(
                "see that the organization allows {configured} calls a second (GLADLY_REQUESTS_PER_SECOND)"
            ),
        );
    };
    let what = format!("Gladly allows {limit} calls a second, {configured} are configured");
    if configured == limit {
        return Finding::ok(about, what);
    }
    let mend = format!("set GLADLY_REQUESTS_PER_SECOND (`requests_per_second`) to {limit}");
    Finding::warning(about, what, mend)
}

/// Whether the user may do all that the relay does. One finding for all rights
/// that are there, one for each that is not.
pub(super) fn judge_deeds(answers: &[(Deed, Answer)]) -> Vec<Finding> {
    let about = Category::Gladly;
    let mut findings = Vec::new();
    for (deed, answer) in answers {
        let may = deed.as_str();
        match answer {
            // The right, and no such thing to use it on.
            Ok(seen) if matches!(seen.status, 200..=299 | 400 | 404 | 422) => {}
            Ok(seen) if matches!(seen.status, 401 | 403) => findings.push(Finding::failure(
                about,
                format!("the user may not {may}"),
                "give the API user the roles API User and Agent in Gladly",
            )),
            other => findings.push(not_answered(about, &format!("whether it may {may}"), other)),
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            about,
            "the user may read and write in conversations, and move them",
        ));
    }
    findings
}

/// Whether the two inboxes are there, on, and which is whose.
pub(super) fn judge_inboxes(ai: &Answer, handoff: &Answer, config: &GladlyConfig) -> Vec<Finding> {
    let bots = Inbox {
        role: "the AI inbox",
        setting: "GLADLY_AI_INBOX_ID (`ai_inbox_id`)",
        id: config.ai_inbox_id.as_str(),
    };
    let humans = Inbox {
        role: "the human inbox",
        setting: "GLADLY_HANDOFF_INBOX_ID (`handoff_inbox_id`)",
        id: config.handoff_inbox_id.as_str(),
    };
    let mut findings = vec![bots.judge(ai), humans.judge(handoff)];
    let name = |answer: &Answer| text(&answer.as_ref().ok()?.body, "name").map(str::to_owned);
    if let (Some(bots), Some(humans)) = (name(ai), name(handoff))
        && is_a_bots(&humans)
        && !is_a_bots(&bots)
    {
        findings.push(Finding::warning(
            Category::Inboxes,
            format!(
                "by their names the two are swapped: the bot answers {} and hands over to {}",
                shown(&bots),
                shown(&humans)
            ),
            "swap GLADLY_AI_INBOX_ID and GLADLY_HANDOFF_INBOX_ID",
        ));
    }
    findings
}

/// One inbox as the settings name it.
struct Inbox<'a> {
    role: &'static str,
    setting: &'static str,
    id: &'a str,
}

impl Inbox<'_> {
    fn judge(&self, answer: &Answer) -> Finding {
        let Self { role, setting, id } = self;
        let about = Category::Inboxes;
        let seen = match answer {
            Ok(seen) if seen.is_success() => seen,
            Ok(seen) if matches!(seen.status, 400 | 404) => {
                return Finding::failure(
                    about,
                    format!("{role} {id} does not exist"),
                    format!(
                        "set {setting} to the id at the end of its address in Gladly, /home/team/ID"
                    ),
                );
            }
            other => return not_answered(about, role, other),
        };
        let name = shown(text(&seen.body, "name").unwrap_or_default());
        if seen.body.get("disabled").and_then(Value::as_bool) == Some(true) {
            return Finding::failure(
                about,
                format!("{role} {name} is switched off"),
                format!("switch it on in Gladly, or name another in {setting}"),
            );
        }
        Finding::ok(about, format!("{role} is {name}"))
    }
}

fn is_a_bots(name: &str) -> bool {
    let name = name.to_lowercase();
    name.split(|c: char| !c.is_alphanumeric())
        .any(|word| BOTS_WORDS.contains(&word))
}

/// Whether the agent is the API user, and belongs to the AI inbox if Gladly tells.
pub(super) fn judge_agent(answer: &Answer, config: &GladlyConfig) -> Vec<Finding> {
    let about = Category::Agent;
    let id = config.agent_id.as_str();
    let mend = "set GLADLY_AGENT_ID (`agent_id`) to the API user's id, from its address in Gladly, /users/ID";
    let seen = match answer {
        Ok(seen) if seen.is_success() => seen,
        Ok(seen) if matches!(seen.status, 400 | 404) => {
            return vec![Finding::failure(
                about,
                format!("the agent {id} does not exist"),
                mend,
            )];
        }
        other => return vec![not_answered(about, "the agent", other)],
    };
    let name = shown(text(&seen.body, "name").unwrap_or_default());
    let identity = match text(&seen.body, "emailAddress") {
        Some(email) if email.eq_ignore_ascii_case(&config.username) => {
            Finding::ok(about, format!("the agent is {name}, the API user"))
        }
        Some(email) => Finding::failure(
            about,
            format!(
                "the agent is {name}, {}, but the API user is {}: the bot would take its own conversations for somebody else's",
                shown(email),
                config.username
            ),
            mend,
        ),
        None => Finding::warning(
            about,
            format!("the agent is {name}; whether that is the API user, Gladly does not tell"),
            mend,
        ),
    };
    let outside = (belongs(&seen.body, config.ai_inbox_id.as_str()) == Some(false)).then(|| {
        Finding::failure(
            about,
            format!("the agent {name} does not belong to the AI inbox"),
            "add it to that inbox in Gladly, or mend GLADLY_AI_INBOX_ID (`ai_inbox_id`)",
        )
    });
    std::iter::once(identity).chain(outside).collect()
}

/// Whether an agent belongs to an inbox; none if Gladly does not tell.
fn belongs(agent: &Value, inbox_id: &str) -> Option<bool> {
    let inboxes = agent.get("inboxIds").or_else(|| agent.get("inboxes"))?;
    let is_it = |inbox: &Value| inbox.as_str().or_else(|| text(inbox, "id")) == Some(inbox_id);
    Some(inboxes.as_array()?.iter().any(is_it))
}

/// An answer that tells nothing of what was asked.
pub(super) fn not_answered(about: Category, asked: &str, answer: &Answer) -> Finding {
    let why = match answer {
        Ok(seen) => format!("status {}", seen.status),
        Err(NoAnswer(what)) => in_plain_words(what),
    };
    let mend = match answer {
        Ok(seen) if seen.status == 403 => "give the API user the roles that the README names",
        _ => "try again; if it stays so, ask Gladly",
    };
    Finding::failure(about, format!("Gladly does not tell {asked}: {why}"), mend)
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}
