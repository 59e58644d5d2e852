//! The decisions about messages, answers and failures, as functions of plain
//! values: no I/O, no clock, no randomness of its own. [`decide`] says what to do
//! about a turn's messages, [`judge`] what to do with the bot's answer,
//! [`find_sent`] what became of a part, [`last_unanswered`] what waits in a
//! conversation that came to the bot.
//!
//! Whose a conversation is stands in [`crate::conversation::Facts::whose`]; what
//! a turn does next in [`super::turn`].

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::{Attachments, Policy};
use crate::conversation::{Known, Repetition};
use crate::gladly::{Initiator, Item};
use crate::id::ItemId;
use crate::outcome::{HandoffReason, SkipReason};
use crate::text::{self, Channel, Part};
use jiff::Timestamp;

/// The same text this often in a row is two machines talking.
const SAME_TEXT_LIMIT: u32 = 3;
/// Waits between tries grow up to this.
const LONGEST_WAIT: Duration = Duration::from_mins(5);
/// The longest `Retry-After` that is honoured.
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(10);
/// The longest text of a message that is looked at, in characters: far more
/// than anybody writes.
const LONGEST_TEXT: usize = 50_000;
/// The longest text of all of a turn's messages, in characters.
const LONGEST_TEXTS: usize = 200_000;
/// What is looked at of each message once that is used up.
const LEAST_TEXT: usize = 1_000;

/// Items that are part of the timeline but that nobody wrote to anybody
/// (Gladly API description, "Conversation item").
const NOT_MESSAGES: [&str; 4] = [
    "CONVERSATION_NOTE",
    "CONVERSATION_STATUS_CHANGE",
    "TOPIC_CHANGE",
    "CUSTOMER_ACTIVITY",
];

/// What was found in a message: all that decisions need of it, read once. The
/// store keeps it sealed until the turn ends; its `Debug` shows no words.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and any may hold together with any other"
)]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Written by a customer, and a message at all.
    pub by_customer: bool,
    /// Gladly's `content.type`.
    pub content_type: String,
    /// The customer's own words, without what they quote.
    pub words: String,
    /// Tells equal texts of one conversation apart from others; none if blank.
    pub digest: Option<String>,
    /// Names of attached files.
    pub attachments: Vec<String>,
    /// A machine wrote it.
    pub automated: bool,
    /// The customer asks for a human.
    pub asks_for_human: bool,
    /// The language, if it can be told with confidence (ISO 639-1).
    pub locale: Option<String>,
    /// False if Gladly would not show the item.
    pub readable: bool,
}

impl Content {
    /// An item that exists but can't be read through the API.
    pub fn unreadable() -> Self {
        Self {
            by_customer: true,
            content_type: String::new(),
            words: String::new(),
            digest: None,
            attachments: Vec::new(),
            automated: false,
            asks_for_human: false,
            locale: None,
            readable: false,
        }
    }

    /// A message that somebody has answered: nothing of it is read.
    pub fn dealt_with() -> Self {
        Self {
            by_customer: false,
            readable: true,
            ..Self::unreadable()
        }
    }

    /// The channel that a reply must use; none if the API can't reply to it.
    pub fn channel(&self) -> Option<Channel> {
        Channel::from_content_type(&self.content_type)
    }
}

/// Reads the items of one turn in order: the more text there was, the less is
/// looked at of those that follow.
#[derive(Debug)]
pub struct Reader {
    left: usize,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            left: LONGEST_TEXTS,
        }
    }
}

impl Reader {
    /// Finds out what is in an item. Takes a while for long texts, so it is no
    /// work for a thread that others wait for. `salt` keeps equal texts of
    /// different conversations apart.
    pub fn read(&mut self, policy: &Policy, item: &Item, salt: &str) -> Content {
        let longest = self.left.clamp(LEAST_TEXT, LONGEST_TEXT);
        let text: String = item.content.text.chars().take(longest).collect();
        self.left = self.left.saturating_sub(text.len());
        read(policy, item, &text, salt)
    }
}

fn read(policy: &Policy, item: &Item, text: &str, salt: &str) -> Content {
    let content = &item.content;
    let channel = content.channel();
    let words = text::question(
        channel.unwrap_or(Channel::Chat),
        text,
        policy.max_question_length,
    );
    Content {
        by_customer: is_customers_message(item),
        content_type: content.content_type.clone(),
        digest: digest(text.trim(), salt),
        attachments: content.attachments.clone(),
        automated: channel == Some(Channel::Email)
            && text::is_automated_email(&content.from, &content.subject, text),
        asks_for_human: text::asks_for_human(&policy.ask_for_human, &words),
        locale: Some(text)
            .filter(|_| policy.detect_language)
            .and_then(text::locale)
            .map(str::to_owned),
        words,
        readable: true,
    }
}

fn digest(text: &str, salt: &str) -> Option<String> {
    let digest = Sha256::new()
        .chain_update(salt)
        .chain_update([0])
        .chain_update(text.to_lowercase())
        .finalize();
    (!text.is_empty()).then(|| BASE64.encode(digest))
}

/// Whether a customer wrote it to somebody.
pub fn is_customers_message(item: &Item) -> bool {
    item.initiator == Initiator::Customer && is_message(item)
}

/// What to do about a turn's messages.
#[derive(Clone, PartialEq, Eq)]
pub enum Decision {
    /// Put this to the bot.
    Ask {
        /// The customer's words, in order.
        question: String,
        /// Which message the answer replies to: the latest.
        reply_to: usize,
        /// Its channel.
        channel: Channel,
    },
    /// Give it to a human.
    HandOff(HandoffReason),
    /// Leave it.
    Skip(SkipReason),
}

/// Decides what to do about the messages of a turn in a conversation that is
/// the bot's. `known` is what was known before them but for `repetition`, which
/// counts them.
pub fn decide(
    policy: &Policy,
    contents: &[Content],
    known: &Known,
    repetition: &Repetition,
    now: Timestamp,
) -> Decision {
    let by_customer: Vec<(usize, &Content)> = contents
        .iter()
        .enumerate()
        .filter(|(_, content)| content.by_customer)
        .collect();
    let Some((reply_to, latest)) = by_customer.last() else {
        return Decision::Skip(SkipReason::NotCustomer);
    };
    let unsupported = || Decision::HandOff(HandoffReason::UnsupportedContent);
    let any =
        |test: &dyn Fn(&Content) -> bool| by_customer.iter().any(|(_, content)| test(content));
    if any(&|content| !content.readable || content.channel().is_none()) {
        return unsupported();
    }
    if any(&|content| content.automated) {
        return Decision::HandOff(HandoffReason::AutomatedEmail);
    }
    if policy.attachments == Attachments::HandOff && any(&|content| !content.attachments.is_empty())
    {
        return unsupported();
    }
    let question = question(policy, contents);
    let (Some(channel), false) = (latest.channel(), question.is_empty()) else {
        return unsupported();
    };
    if any(&|content| content.asks_for_human) {
        return Decision::HandOff(HandoffReason::CustomerRequested);
    }
    if repetition.count >= SAME_TEXT_LIMIT
        || known.replies_last_hour(now) >= policy.max_replies_per_hour
    {
        return Decision::HandOff(HandoffReason::LoopSuspected);
    }
    if policy.max_turns > 0 && known.replies() >= policy.max_turns {
        return Decision::HandOff(HandoffReason::TurnLimit);
    }
    Decision::Ask {
        question,
        reply_to: *reply_to,
        channel,
    }
}

/// The words of all of the customer's messages, in order; empty if there are none.
pub fn question(policy: &Policy, contents: &[Content]) -> String {
    let words: Vec<&str> = contents
        .iter()
        .filter(|content| content.by_customer && !content.words.is_empty())
        .map(|content| content.words.as_str())
        .collect();
    text::question(Channel::Chat, &words.join("\n"), policy.max_question_length)
}

/// How often the customer's last text came in a row, after these messages. What was
/// counted before, as by a turn that a crash cut short, is passed over.
pub fn repetition(before: &Repetition, messages: &[(ItemId, Content)]) -> Repetition {
    let counted = messages
        .iter()
        .position(|(item_id, _)| before.item_id.as_ref() == Some(item_id));
    let new = &messages[counted.map_or(0, |index| index + 1)..];
    let digests = new
        .iter()
        .filter(|(_, content)| content.by_customer)
        .filter_map(|(item_id, content)| Some((item_id, content.digest.as_ref()?)));
    digests.fold(before.clone(), |run, (item_id, digest)| {
        let same = run.digest.as_ref() == Some(digest);
        Repetition {
            count: if same { run.count.saturating_add(1) } else { 1 },
            digest: Some(digest.clone()),
            item_id: Some(item_id.clone()),
        }
    })
}

/// What to do with the bot's answer.
#[derive(Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Send it.
    Deliver(Vec<Part>),
    /// Give the conversation to a human.
    HandOff(HandoffReason),
}

/// Judges the bot's answer.
pub fn judge(
    policy: &Policy,
    channel: Channel,
    answer: Option<&str>,
    wants_human: bool,
) -> Verdict {
    if wants_human {
        return Verdict::HandOff(HandoffReason::BotRequested);
    }
    let Some(answer) = answer.filter(|answer| !policy.no_answer.is_match(answer)) else {
        return Verdict::HandOff(HandoffReason::BotNoAnswer);
    };
    match text::write(channel, answer) {
        Ok(parts) if parts.is_empty() => Verdict::HandOff(HandoffReason::BotNoAnswer),
        Ok(parts) => Verdict::Deliver(parts),
        // Gladly takes no message that long, and a chat of many parts is no answer.
        Err(text::TooLong) => Verdict::HandOff(HandoffReason::ReplyRejected),
    }
}

/// How long to wait after a failure. `failures` counts those in a row before
/// this one, `after` is what the other side asked for, `random` from 0 to 1.
pub fn wait_after(
    policy: &Policy,
    failures: u32,
    after: Option<Duration>,
    random: f64,
) -> Duration {
    backoff(policy, failures, random).max(after.unwrap_or_default().min(LONGEST_RETRY_AFTER))
}

/// Exponential, from half of the full wait to all of it by `random`.
fn backoff(policy: &Policy, failures: u32, random: f64) -> Duration {
    let full = policy
        .first_retry_wait
        .saturating_mul(2_u32.saturating_pow(failures.min(20)))
        .min(LONGEST_WAIT);
    full.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
}

/// An item of the timeline, as far as looking for one's own words needs it.
#[derive(Debug, Clone)]
pub struct Seen<'a> {
    /// Its id.
    pub id: &'a ItemId,
    /// True if the customer wrote it.
    pub by_customer: bool,
    /// True if it says what is looked for.
    pub same_words: bool,
}

/// What a list of items says about a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Search {
    /// It became this item.
    Found(ItemId),
    /// It is not there.
    NotThere,
    /// The customer's item is not listed, so what follows it may not be either.
    Unclear,
}

/// Looks for a part: after the customer's item, not by the customer, with the
/// same words, and not known to be another part.
pub fn find_sent(items: &[Seen<'_>], after: &ItemId, taken: &[ItemId]) -> Search {
    let Some(index) = items.iter().position(|item| item.id == after) else {
        return Search::Unclear;
    };
    let fits = |item: &&Seen<'_>| !item.by_customer && item.same_words && !taken.contains(item.id);
    let found = items[index + 1..].iter().find(fits);
    found.map_or(Search::NotThere, |item| Search::Found(item.id.clone()))
}

/// What waits in a conversation that came to the bot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unanswered {
    /// The customer's last item, to be taken up.
    Item(usize),
    /// No customer has written, as far as is listed.
    Nothing,
    /// Somebody has answered it, or the bot has dealt with it.
    Answered,
}

/// The customer's last item, unless somebody else has written since or the bot has
/// answered it or handed it off. What the bot wrote since may answer an earlier one.
pub fn last_unanswered(items: &[Item], known: &Known) -> Unanswered {
    let Some(index) = items.iter().rposition(is_customers_message) else {
        return Unanswered::Nothing;
    };
    let by_others = |item: &Item| {
        is_message(item)
            && item.initiator != Initiator::Automation
            && !known.own_items().contains(&item.id)
    };
    let answered = items[index + 1..].iter().any(by_others);
    if answered || known.is_settled(&items[index].id) {
        Unanswered::Answered
    } else {
        Unanswered::Item(index)
    }
}

/// Whether this item of the customer has its answer, as far as is listed: an agent has
/// written since, or the bot has dealt with it or with something later. What the bot
/// wrote since may answer something earlier.
pub fn answered_since(items: &[Item], item_id: &ItemId, known: &Known) -> bool {
    let mut from_it = items.iter().skip_while(|item| item.id != *item_id);
    agent_answered(items, item_id, known) || from_it.any(|item| known.is_settled(&item.id))
}

/// Whether an agent has written after this item of the customer, as far as is
/// listed.
pub fn agent_answered(items: &[Item], item_id: &ItemId, known: &Known) -> bool {
    let by_agent = |item: &Item| {
        is_message(item)
            && item.initiator == Initiator::Agent
            && !known.own_items().contains(&item.id)
    };
    items
        .iter()
        .position(|item| item.id == *item_id)
        .is_some_and(|index| items[index + 1..].iter().any(by_agent))
}

fn is_message(item: &Item) -> bool {
    !NOT_MESSAGES.contains(&item.content.content_type.as_str())
}

#[cfg(test)]
mod tests;
