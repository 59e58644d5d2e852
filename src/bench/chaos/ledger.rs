//! What became of every message, read from the simulated services alone.
//!
//! Each message bears a token, and the simulated bot repeats the question, so
//! a reply shows which messages it answers, and whose.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::repeats::AskedTwice;
use crate::clock::{later, time_until};
use crate::sim::{ConversationView, GladlyWorld, ItemView, Operation};

/// A message's mark: the number of its customer, and its own among theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token {
    /// Whose.
    pub customer: usize,
    /// Which of theirs, from 0.
    pub number: usize,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "item{:06}of{:06}", self.number, self.customer)
    }
}

/// The tokens in a text, in order.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let token = |word: &str| {
        let (number, customer) = word.strip_prefix("item")?.split_once("of")?;
        Some(Token {
            customer: customer.parse().ok()?,
            number: number.parse().ok()?,
        })
    };
    text.split_whitespace().filter_map(token).collect()
}

/// Counts over all messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Messages that customers wrote.
    pub written: usize,
    /// Messages whose webhook got a 200.
    pub accepted: usize,
    /// Messages that the bot answered.
    pub replied: usize,
    /// Of these, in time.
    pub replied_in_time: usize,
    /// Messages that a human has, because the relay handed off.
    pub handed_off: usize,
    /// Messages that a human had anyway: taken over, or closed.
    pub skipped: usize,
    /// Messages with neither answer nor human.
    pub lost: usize,
    /// Messages answered more than once.
    pub answered_twice: usize,
    /// Messages answered in a conversation of somebody else.
    pub answered_elsewhere: usize,
    /// Messages put to the bot more than once, and why.
    pub asked_twice: AskedTwice,
    /// Messages answered after one that was written when they were accepted already.
    pub out_of_order: usize,
    /// Replies sent although the look before them showed a human's conversation.
    pub bot_after_human: usize,
    /// Replies that a human's taking over met between look and post, which
    /// nothing can prevent: Gladly has no conditional reply.
    pub crossed_on_the_way: usize,
    /// Conversations with more than one note.
    pub noted_twice: usize,
    /// Messages whose outcome came later than the deadline and the allowance.
    pub late: usize,
    /// The longest from acceptance to outcome.
    pub slowest: Duration,
}

impl Verdict {
    /// Messages that have an outcome.
    pub fn promised(&self) -> usize {
        self.replied + self.handed_off + self.skipped
    }

    /// Whether every promise held, and any was made.
    pub fn holds(&self) -> bool {
        let broken = [
            self.lost,
            self.answered_twice,
            self.answered_elsewhere,
            self.out_of_order,
            self.bot_after_human,
            self.noted_twice,
            self.late,
            self.asked_twice.without_cause,
        ];
        self.promised() > 0 && broken.iter().all(|count| *count == 0)
    }
}

/// Judges what is in the simulated Gladly, with what is found of Gleen's questions.
/// `limit` is the deadline and the allowance beyond it.
pub fn judge(
    world: &GladlyWorld,
    asked_twice: AskedTwice,
    conversations: &[String],
    limit: Duration,
) -> Verdict {
    let accepted = acceptances(world);
    let looks = looks(world);
    let mut verdict = Verdict {
        asked_twice,
        ..Verdict::default()
    };
    for id in conversations {
        let Some(view) = world.conversation(id) else {
            continue;
        };
        let looks = looks
            .get(id.as_str())
            .map(Vec::as_slice)
            .unwrap_or_default();
        Judge {
            verdict: &mut verdict,
            view: &view,
            accepted: &accepted,
            looks,
            limit,
        }
        .judge();
    }
    verdict
}

/// When each item's webhook first got a 200, and its place in the sequence.
fn acceptances(world: &GladlyWorld) -> HashMap<String, (u64, Timestamp)> {
    let mut first: HashMap<&str, (u64, Timestamp)> = HashMap::new();
    for delivery in world
        .deliveries()
        .iter()
        .filter(|delivery| delivery.succeeded())
    {
        let entry = first
            .entry(&delivery.event_id)
            .or_insert((delivery.sequence, delivery.at));
        *entry = (*entry).min((delivery.sequence, delivery.at));
    }
    let mut accepted: HashMap<String, (u64, Timestamp)> = HashMap::new();
    for event in world.events() {
        let item = event["content"]["messageId"]
            .as_str()
            .or(event["content"]["conversationItemId"].as_str());
        let acceptance = event["id"].as_str().and_then(|id| first.get(id));
        if let (Some(item), Some(acceptance)) = (item, acceptance) {
            let entry = accepted.entry(item.to_owned()).or_insert(*acceptance);
            *entry = (*entry).min(*acceptance);
        }
    }
    accepted
}

/// The places in the sequence of the looks at each conversation.
fn looks(world: &GladlyWorld) -> BTreeMap<String, Vec<u64>> {
    let mut looks: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for request in world.requests() {
        let id = request.path.rsplit('/').next().unwrap_or_default();
        if request.operation == Operation::GetConversation && request.status == Some(200) {
            looks
                .entry(id.to_owned())
                .or_default()
                .push(request.sequence);
        }
    }
    looks
}

struct Judge<'a> {
    verdict: &'a mut Verdict,
    view: &'a ConversationView,
    accepted: &'a HashMap<String, (u64, Timestamp)>,
    looks: &'a [u64],
    limit: Duration,
}

impl Judge<'_> {
    fn judge(mut self) {
        let messages: Vec<&ItemView> = self
            .view
            .items
            .iter()
            .filter(|item| item.initiator_type == "CUSTOMER")
            .collect();
        let mut answers: Vec<Vec<&ItemView>> = vec![Vec::new(); messages.len()];
        for reply in self.view.replies() {
            for token in tokens(reply.text().unwrap_or_default()) {
                let own = messages.get(token.number).filter(|message| {
                    let text = message.text().unwrap_or_default();
                    tokens(text).contains(&token)
                });
                match own {
                    Some(_) => answers[token.number].push(reply),
                    None => self.verdict.answered_elsewhere += 1,
                }
            }
        }
        let human = first_human(self.view);
        for (message, answers) in messages.iter().zip(&answers) {
            self.judge_message(message, answers, human);
        }
        self.judge_order(&messages, &answers);
        self.judge_takeover(human);
        self.verdict.noted_twice += usize::from(self.view.notes().len() > 1);
    }

    fn judge_message(
        &mut self,
        message: &ItemView,
        answers: &[&ItemView],
        human: Option<&ItemView>,
    ) {
        self.verdict.written += 1;
        let accepted = self.accepted.get(&message.id);
        self.verdict.accepted += usize::from(accepted.is_some());
        let outcome = match (answers.first(), human) {
            (Some(answer), _) => {
                self.verdict.replied += 1;
                self.verdict.answered_twice += usize::from(answers.len() > 1);
                answer
            }
            (None, Some(human)) => {
                let handed_off = human.initiator_type == "API";
                *(if handed_off {
                    &mut self.verdict.handed_off
                } else {
                    &mut self.verdict.skipped
                }) += 1;
                human
            }
            (None, None) => {
                self.verdict.lost += 1;
                return;
            }
        };
        if let Some((_, accepted_at)) = accepted {
            let took = time_until(outcome.timestamp, *accepted_at);
            self.verdict.slowest = self.verdict.slowest.max(took);
            let late = outcome.timestamp > later(*accepted_at, self.limit);
            self.verdict.late += usize::from(late);
            self.verdict.replied_in_time += usize::from(!late && !answers.is_empty());
        }
    }

    /// Only what was surely in order: the earlier message was accepted before
    /// the later one was even written.
    fn judge_order(&mut self, messages: &[&ItemView], answers: &[Vec<&ItemView>]) {
        for later in 1..messages.len() {
            let earlier = later - 1;
            let (Some(first), Some(second)) = (answers[earlier].first(), answers[later].first())
            else {
                continue;
            };
            let accepted = self.accepted.get(&messages[earlier].id);
            let surely_before =
                accepted.is_some_and(|(sequence, _)| *sequence < messages[later].sequence);
            let same = first.id == second.id;
            let order = tokens(first.text().unwrap_or_default());
            let place = |number| order.iter().position(|token| token.number == number);
            let swapped = same && place(earlier) > place(later);
            if surely_before && (swapped || (!same && first.sequence > second.sequence)) {
                self.verdict.out_of_order += 1;
            }
        }
    }

    fn judge_takeover(&mut self, human: Option<&ItemView>) {
        let Some(human) = human else { return };
        for reply in self
            .view
            .replies()
            .iter()
            .filter(|reply| reply.sequence > human.sequence)
        {
            let look = self.looks.iter().rfind(|look| **look < reply.sequence);
            if look.is_some_and(|look| *look < human.sequence) {
                self.verdict.crossed_on_the_way += 1;
            } else {
                self.verdict.bot_after_human += 1;
            }
        }
    }
}

/// The item that shows a human having it first.
fn first_human(view: &ConversationView) -> Option<&ItemView> {
    view.items.iter().find(|item| {
        let holder = &item.content["assignees"]["currentAssignee"];
        let closed = item.content["status"] == "CLOSED";
        let elsewhere = holder["inboxId"]
            .as_str()
            .is_some_and(|inbox| inbox != "ai-inbox");
        let by_human = holder["agentId"]
            .as_str()
            .is_some_and(|agent| agent != "gleen-bot");
        item.content["type"] == "CONVERSATION_STATUS_CHANGE" && (closed || elsewhere || by_human)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_held_if_nothing_was_promised() {
        assert!(!Verdict::default().holds());
        let answered = Verdict {
            replied: 1,
            ..Verdict::default()
        };
        assert!(answered.holds());
        let elsewhere = Verdict {
            answered_elsewhere: 1,
            ..answered
        };
        assert!(!elsewhere.holds());
        let asked_twice = AskedTwice {
            without_cause: 1,
            ..AskedTwice::default()
        };
        let asked = Verdict {
            asked_twice,
            replied: 1,
            ..Verdict::default()
        };
        assert!(!asked.holds());
    }
}
