//! Every decision about a turn, as functions of plain values: no I/O, no
//! clock, no randomness of its own. The table "Decisions" of the design is
//! [`decide`], [`judge`] and [`whose`], row by row.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::{later, time_until};
use crate::config::{Attachments, Policy};
use crate::conversation::{Holder, Known, Status};
use crate::id::{AgentId, InboxId, ItemId};
use crate::outcome::{HandoffReason, SkipReason};
use crate::store::{History, Repetition};
use crate::text::{self, Channel, Part};

/// How long a fact about who holds a conversation is believed without looking.
/// A human's taking over reaches the relay as a webhook, usually within
/// seconds; after that time the relay looks for itself.
const FRESH: Duration = Duration::from_secs(15);
/// The same text this often in a row is two machines talking.
const SAME_TEXT_LIMIT: u32 = 3;
/// The most times a question is put to Gleen.
pub const MAX_ASKS: u32 = 3;
/// How long a turn keeps trying while Gladly fails.
const GIVE_UP_AFTER: Duration = Duration::from_hours(24);
/// Waits between tries grow up to this.
const LONGEST_WAIT: Duration = Duration::from_mins(5);
/// The longest `Retry-After` that is honoured.
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(10);

/// Items that are part of the timeline but that nobody wrote to anybody
/// (Gladly API description, "Conversation item").
const NOT_MESSAGES: [&str; 4] = [
    "CONVERSATION_NOTE",
    "CONVERSATION_STATUS_CHANGE",
    "TOPIC_CHANGE",
    "CUSTOMER_ACTIVITY",
];

/// The bot's place in Gladly.
#[derive(Debug, Clone)]
pub struct Bot {
    /// The inbox it answers.
    pub ai_inbox_id: InboxId,
    /// Its agent.
    pub agent_id: AgentId,
}

/// What was found in a message. Kept in the store until the turn ends.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gathered {
    /// Written by a customer, and a message at all.
    pub by_customer: bool,
    /// Gladly's `content.type`.
    pub content_type: String,
    /// The words as they stand in Gladly.
    pub text: String,
    /// An email's sender.
    pub from: String,
    /// An email's subject.
    pub subject: String,
    /// Names of attached files.
    pub attachments: Vec<String>,
    /// False if Gladly would not show the item.
    pub readable: bool,
}

impl Gathered {
    /// An item that exists but can't be read through the API.
    pub fn unreadable() -> Self {
        Self {
            by_customer: true,
            content_type: String::new(),
            text: String::new(),
            from: String::new(),
            subject: String::new(),
            attachments: Vec::new(),
            readable: false,
        }
    }

    /// True for what a person wrote; false for notes and the like.
    pub fn is_message(content_type: &str) -> bool {
        !NOT_MESSAGES.contains(&content_type)
    }

    fn channel(&self) -> Option<Channel> {
        Channel::from_content_type(&self.content_type)
    }
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

/// Whether the conversation is the bot's: while it is open and sits in the AI
/// inbox, unassigned or assigned to the bot.
pub fn whose(bot: &Bot, holder: &Holder, status: Status) -> Result<(), SkipReason> {
    if status == Status::Closed {
        return Err(SkipReason::Closed);
    }
    if holder.inbox_id.as_ref() != Some(&bot.ai_inbox_id) {
        return Err(SkipReason::NotAiInbox);
    }
    match &holder.agent_id {
        Some(agent) if *agent != bot.agent_id => Err(SkipReason::HumanAssigned),
        _ => Ok(()),
    }
}

/// [`whose`] by what is known. Unknown counts as the bot's: see [`needs_look`].
pub fn whose_by_known(bot: &Bot, known: &Known) -> Result<(), SkipReason> {
    let Some(holder) = &known.holder else {
        return Ok(());
    };
    let handed_off = known.handed_off_at.is_some_and(|at| holder.at <= at);
    let status = known
        .status
        .as_ref()
        .map_or(Status::Open, |status| status.value);
    match whose(bot, &holder.value, status) {
        Err(SkipReason::NotAiInbox) if handed_off => Err(SkipReason::HandedOff),
        verdict => verdict,
    }
}

/// Whether Gladly must be looked at before a decision: what is known may be
/// out of date or out of order. `last_message_at` is when the turn's latest
/// message was written.
pub fn needs_look(known: &Known, last_message_at: Timestamp, now: Timestamp) -> bool {
    let Some(holder) = &known.holder else {
        return true;
    };
    let stale = time_until(now, holder.at) > FRESH;
    // Gladly's clock and this machine's differ a little, so a holder said to be
    // newer than the relay's own handoff may in truth be older.
    let near_handoff = known
        .handed_off_at
        .is_some_and(|at| holder.at > at && time_until(holder.at, at) <= FRESH);
    let unclear = known
        .status
        .as_ref()
        .is_some_and(|status| match status.value {
            Status::Open => false,
            Status::Unclear => true,
            // A customer who writes later may have opened it again.
            Status::Closed => status.at <= last_message_at,
        });
    stale || near_handoff || unclear
}

/// Decides what to do about the messages of a turn in a conversation that is
/// the bot's.
pub fn decide(policy: &Policy, messages: &[Gathered], history: &History) -> Decision {
    let by_customer: Vec<(usize, &Gathered)> = messages
        .iter()
        .enumerate()
        .filter(|(_, message)| message.by_customer)
        .collect();
    let Some((reply_to, latest)) = by_customer.last() else {
        return Decision::Skip(SkipReason::NotCustomer);
    };
    let unsupported = || Decision::HandOff(HandoffReason::UnsupportedContent);
    let any =
        |test: &dyn Fn(&Gathered) -> bool| by_customer.iter().any(|(_, message)| test(message));
    if any(&|message| !message.readable || message.channel().is_none()) {
        return unsupported();
    }
    if any(&is_automated) {
        return Decision::HandOff(HandoffReason::AutomatedEmail);
    }
    if policy.attachments == Attachments::HandOff && any(&|message| !message.attachments.is_empty())
    {
        return unsupported();
    }
    let question = question(policy, &by_customer);
    let (Some(channel), false) = (latest.channel(), question.is_empty()) else {
        return unsupported();
    };
    if any(&|message| text::asks_for_human(&policy.ask_for_human, &own_words(policy, message))) {
        return Decision::HandOff(HandoffReason::CustomerRequested);
    }
    if history.repetition.count >= SAME_TEXT_LIMIT
        || history.replies_last_hour >= policy.max_replies_per_hour
    {
        return Decision::HandOff(HandoffReason::LoopSuspected);
    }
    if policy.max_turns > 0 && history.replies >= policy.max_turns {
        return Decision::HandOff(HandoffReason::TurnLimit);
    }
    Decision::Ask {
        question,
        reply_to: *reply_to,
        channel,
    }
}

fn is_automated(message: &Gathered) -> bool {
    message.channel() == Some(Channel::Email)
        && text::is_automated_email(&message.from, &message.subject, &message.text)
}

fn own_words(policy: &Policy, message: &Gathered) -> String {
    let channel = message.channel().unwrap_or(Channel::Chat);
    text::question(channel, &message.text, policy.max_question_length)
}

/// The texts of all messages, in order; empty if there is none.
fn question(policy: &Policy, messages: &[(usize, &Gathered)]) -> String {
    let texts: Vec<String> = messages
        .iter()
        .map(|(_, message)| own_words(policy, message))
        .filter(|text| !text.is_empty())
        .collect();
    text::question(Channel::Chat, &texts.join("\n"), policy.max_question_length)
}

/// What the customer wrote last, for the note; none if there is no text.
pub fn asked(policy: &Policy, messages: &[Gathered]) -> Option<String> {
    let by_customer: Vec<(usize, &Gathered)> = messages
        .iter()
        .enumerate()
        .filter(|(_, message)| message.by_customer)
        .collect();
    Some(question(policy, &by_customer)).filter(|question| !question.is_empty())
}

/// How often the customer's last text came in a row, after these messages.
/// `salt` keeps equal texts of different conversations apart in the store.
pub fn repetition(before: &Repetition, messages: &[Gathered], salt: &str) -> Repetition {
    let texts = messages
        .iter()
        .filter(|message| message.by_customer)
        .map(|message| message.text.trim());
    texts
        .filter(|text| !text.is_empty())
        .fold(before.clone(), |run, text| {
            let digest = Sha256::new()
                .chain_update(salt)
                .chain_update([0])
                .chain_update(text.to_lowercase())
                .finalize();
            let digest = BASE64.encode(digest);
            let same = run.digest.as_ref() == Some(&digest);
            Repetition {
                count: if same { run.count.saturating_add(1) } else { 1 },
                digest: Some(digest),
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

/// Whether to go on with a turn that could not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextTry {
    /// Try again then.
    At(Timestamp),
    /// A person must look.
    GiveUp,
}

/// When to try again after a failure. `attempts` counts the failures in a row
/// before this one, `failing_since` is when they began, `after` what the other
/// side asked for, `random` from 0 to 1.
pub fn next_try(
    policy: &Policy,
    attempts: u32,
    failing_since: Option<Timestamp>,
    after: Option<Duration>,
    random: f64,
    now: Timestamp,
) -> NextTry {
    if failing_since.is_some_and(|since| time_until(now, since) >= GIVE_UP_AFTER) {
        return NextTry::GiveUp;
    }
    let wait =
        backoff(policy, attempts, random).max(after.unwrap_or_default().min(LONGEST_RETRY_AFTER));
    NextTry::At(later(now, wait))
}

/// Exponential, from half of the full wait to all of it by `random`.
pub fn backoff(policy: &Policy, attempts: u32, random: f64) -> Duration {
    let full = policy
        .first_retry_wait
        .saturating_mul(2_u32.saturating_pow(attempts.min(20)))
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

/// The item that a part has become, if it did: after the customer's item,
/// not by the customer, with the same words, and not known to be another part.
pub fn find_sent(items: &[Seen<'_>], after: &ItemId, taken: &[ItemId]) -> Option<ItemId> {
    let start = items
        .iter()
        .position(|item| item.id == after)
        .map_or(0, |index| index + 1);
    let fits = |item: &&Seen<'_>| !item.by_customer && item.same_words && !taken.contains(item.id);
    items[start..].iter().find(fits).map(|item| item.id.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(attempts: u32, after: Option<Duration>) -> Duration {
        let now = Timestamp::UNIX_EPOCH;
        match next_try(&Policy::default(), attempts, Some(now), after, 1.0, now) {
            NextTry::At(at) => time_until(at, now),
            NextTry::GiveUp => panic!("it has only begun to fail"),
        }
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let first = Policy::default().first_retry_wait;
        assert_eq!(wait(0, None), first);
        assert_eq!(wait(1, None), first * 2);
        assert_eq!(wait(4, None), first * 16);
        assert_eq!(wait(60, None), LONGEST_WAIT);
    }

    #[test]
    fn a_wait_that_was_asked_for_is_kept_within_reason() {
        let asked = Duration::from_mins(6);
        assert_eq!(wait(0, Some(asked)), asked);
        assert_eq!(wait(0, Some(Duration::from_hours(9))), LONGEST_RETRY_AFTER);
        assert_eq!(wait(60, Some(Duration::from_secs(1))), LONGEST_WAIT);
    }

    #[test]
    fn equal_texts_of_different_conversations_leave_different_digests() {
        let message = Gathered {
            text: "hello".to_owned(),
            ..Gathered::unreadable()
        };
        let digest = |salt| repetition(&Repetition::default(), &[message.clone()], salt).digest;
        assert_eq!(digest("acme/a"), digest("acme/a"));
        assert_ne!(digest("acme/a"), digest("acme/b"));
    }
}
